//! The words in which the tests speak: start the real program, talk to it over real sockets, stop it, and
//! look at what it said.
//!
//! ```text
//! launch    what to start it with -> served, refused, or run to its end
//! daemon    a program that serves: its addresses, its signals, its end
//! process   a child whose output is read with a deadline on every wait
//! served    the equation it prints when it stops, as numbers
//! bare      a process whose output the test reads itself, or not at all
//! upstream  a server to be relayed to
//! client    a socket that asks and waits no longer than a deadline
//! mounts    directories from which nothing can be run
//! forger    a host that sends with forged sources, and sees what comes back to them
//! strangers many senders on this host, by addresses of loopback
//! network   hosts made for a test and removed with it, two on one wire or one alone
//! ports     free ranges, a place where those of the default configuration are free
//! plugins   the libraries that were built, changed copies of them, libraries made from C
//! kernel    what the kernel counted itself
//! strace    the system calls of a daemon, seen or made to fail
//! wait      what only asking again can tell
//! tool      what may be missing on a machine, and must not be in CI
//! ```
//!
//! Nothing here waits without an end, and nothing is left running: what a test started dies with its value.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test that cannot go on says why and fails"
)]

pub mod bare;
pub mod client;
pub mod daemon;
#[cfg(target_os = "linux")]
pub mod forger;
#[cfg(target_os = "linux")]
pub mod kernel;
pub mod launch;
#[cfg(target_os = "linux")]
pub mod mounts;
#[cfg(target_os = "linux")]
pub mod network;
pub mod plugins;
pub mod ports;
pub mod process;
pub mod served;
#[cfg(target_os = "linux")]
pub mod strace;
#[cfg(target_os = "linux")]
pub mod strangers;
pub mod tool;
pub mod upstream;
pub mod wait;

use std::time::Duration;

pub use client::Client;
pub use daemon::Daemon;
pub use launch::Launch;
pub use process::Finished;

/// How much larger than usual the tests of load are: `POLYPORT_SCALE=10` sends the millions that an ordinary run is
/// too short for.
#[must_use]
pub fn scale() -> u32 {
    let wanted = std::env::var("POLYPORT_SCALE").ok();
    wanted.map_or(1, |text| text.parse().expect("POLYPORT_SCALE is a whole number"))
}

/// How long a test waits for anything before it fails: far beyond what a slow machine with two busy cores
/// needs, since only a failing test ever waits that long.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// The plugin of the tutorial compiles; `tests/it/tutorial.rs` follows the rest of that page.
#[cfg(doctest)]
#[doc = include_str!("../../plugins/README.md")]
struct Tutorial;
