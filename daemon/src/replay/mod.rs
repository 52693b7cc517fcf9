//! A recording sent again: the datagrams of a file to a server, each at its time, and what comes back.
//!
//! ```text
//! pace     when each datagram is due, on the monotonic clock
//! sources  a socket for each source of the recording, bounded
//! report   what was sent, how late, and what came back
//! run      the three together
//! ```
//!
//! The clock is an argument. `daemon/docs/tap.md` is its manual.

mod pace;
mod report;
mod run;
mod sources;

pub use pace::Speed;
pub use report::{Late, Report};
pub use run::{Failure, SOURCES, Settings, Target, run};
