//! Texts to values: ratio, duration, size, address and rate, as they are written in `polyport.toml`,
//! behind `--listen`, in the options of plugins and on the command lines of the clients.
//!
//! `plugins/ABI.md`, section 9, has the grammar in words. The daemon, the test kit of plugin authors and
//! the clients all read these texts here, so a text means the same wherever it is written; [`cases`] is
//! the table that they are tested with.
//!
//! Pure functions. An error says what was expected and gives an example; it does not repeat the text,
//! since the caller points at it.
//!
//! ```
//! use std::time::Duration;
//!
//! assert_eq!(polyport_value::ratio("2.5%"), Ok(0.025));
//! assert_eq!(polyport_value::duration("1m 30s"), Ok(Duration::from_secs(90)));
//! assert_eq!(polyport_value::size("64KiB"), Ok(65_536));
//! ```

mod address;
pub mod cases;
mod duration;
mod rate;
mod ratio;
mod size;

pub use address::{Host, address, host_and_port, port_number};
pub use duration::duration;
pub use rate::{Rate, rate};
pub use ratio::ratio;
pub use size::size;

/// The example of the README runs, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
