//! Options of PPT/1.

use clap::Args;

use crate::heading;
use crate::key::KeyArgs;

/// What is asked for of the protocol, secrets among it.
#[derive(Args, Clone, Debug)]
pub struct ProtocolArgs {
    /// Asks the targets when they received and answered (TIMES of PPT/1), and shows the delay of each way: the offset of their clocks is
    /// estimated, with the error that it may have
    #[arg(long, conflicts_with = "raw_echo", help_heading = heading::PROTOCOL)]
    pub one_way: bool,
    /// Repeats ids and random turns; predictable ids are for tests
    #[arg(long, value_name = "N", help_heading = heading::PROTOCOL)]
    pub seed: Option<u64>,
    /// Secrets
    #[command(flatten)]
    pub key: KeyArgs,
}
