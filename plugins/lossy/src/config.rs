//! The options of the plugin.

use std::time::Duration;

use polyport_impair_options::{Common, Direction, Plan, Way};
use polyport_plugin::{Error, Ratio, config};

pub use polyport_echo_reply::Reply;

config! {
    /// Options of the plugin. What stands under no direction is about the whole way of an answer; what is under `up` is about
    /// a datagram before it is answered, and under `down` about its answer.
    #[derive(Clone, Debug)]
    pub struct LossyConfig {
        reply: Reply = "same", "What an answer says: the bytes that came in, or how many they were";
        df: bool = "false", "Whether an answer leaves whole or not at all, never in fragments";
        common: Common = flattened;
        whole: Direction = flattened;
        up: Direction = nested;
        down: Direction = nested;
        drop: Option<Ratio> = none, "Is called loss now, and refused";
        hold: Option<Duration> = none, "Is called late_by now, and refused";
    }
}

impl LossyConfig {
    /// What all the options mean together.
    ///
    /// # Errors
    /// Names the option that is wrong.
    pub fn plan(&self) -> Result<Plan<3>, Error> {
        if self.drop.is_some() {
            return Err(Error::option("drop", "it is called `loss` now, as netem calls it"));
        }
        if self.hold.is_some() {
            return Err(Error::option("hold", "it is called `late_by` now, and what it held back `late`"));
        }
        let ways = [Way::up(&self.up), Way::only(&self.whole), Way::down(&self.down)];
        Plan::new(&self.common, ways).map_err(|error| match error.option_name() {
            Some("reorder") => {
                let before = "what was called `reorder` before is `late` now";
                Error::option("reorder", format_args!("{}; {before}", error.message()))
            }
            _ => error,
        })
    }
}
