//! The options that are not about one direction.

use polyport_plugin::{choices, config};

use crate::key::Key;
use crate::profile::Profile;

choices! {
    /// When a timeline and a trace begin.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum TimelineFrom {
        /// For all clients when the handler is made.
        Start = "start",
        /// For each client with its first datagram.
        Session = "session",
    }
}

config! {
    /// What both directions have in common.
    #[derive(Clone, Debug)]
    pub struct Common {
        profile: Option<Profile> = none, "A kind of network: options for up and down, which others override";
        seed: Option<i64> = none, "Fixes the decisions of this listener; without it the seed of the instance does";
        key: Key = "auto", "What of a client decisions depend on; auto: its address where this listener has a seed, else its port too";
        timeline: Option<String> = none, "When options change: \"30s down.loss=100%; 32s down.loss=8%\", or #1000 for a datagram";
        timeline_file: Option<String> = none, "A file with such steps, in lines", reads;
        timeline_from: TimelineFrom = "start", "What its times count from: the start of the handler, or of each client";
        timeline_repeat: Option<String> = none, "After so long the timeline begins again, such as 60s, or #5000 datagrams";
        decisions: Option<String> = none, "A file for every decision that changed something (CSV); what was there is kept as NAME.1.csv",
            writes;
    }
}

impl Common {
    /// What of a client its decisions depend on: whoever gives this listener no seed wants each run to be another one. A seed of
    /// the whole daemon does not count: a handler is handed a seed in any case, and cannot know whether it was configured. Who gives
    /// only that one and wants a client with another port to see the same run says `key = "address"`.
    #[must_use]
    pub const fn key(&self) -> Key {
        match (self.key, self.seed) {
            (Key::Auto, Some(_)) => Key::Address,
            (Key::Auto, None) => Key::Endpoint,
            (key, _) => key,
        }
    }
}
