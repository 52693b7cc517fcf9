//! A bad network as a function: what happens to a datagram, and when it leaves. No I/O, no clock, no bytes.
//!
//! ```text
//! Config    what a line does, as numbers: one field an option        check() says what contradicts
//!   Script  options and a timeline of one direction, with its seed    shared by all lines
//!     Line  one client in one direction                              decide() -> Fate
//! ```
//!
//! ```
//! use polyport_impair::{Config, Direction, Family, Fate, Line, Script, Share, Start, client};
//!
//! let config = Config { loss: Share::new(0.01).unwrap_or_default(), delay: 20_000_000, ..Config::default() };
//! let script = Script::new(7, Direction::Up, Start::Line, &config, None).expect("nothing contradicts");
//! let peer = "192.0.2.1:5000".parse().expect("an address");
//! let mut line = Line::new(client::by_address(peer, 0), Family::Ipv4);
//! // Ten thousand datagrams of 1200 bytes, a millisecond apart: every hundredth is lost, the others leave 20 ms later.
//! let mut lost = 0;
//! for number in 0..10_000 {
//!     let now = number * 1_000_000;
//!     match line.decide(&script, now, 1200, 0) {
//!         Fate::Lost(cause) => {
//!             assert_eq!(cause.name(), "lost");
//!             lost += 1;
//!         }
//!         Fate::Pass(pass) => assert_eq!(pass.at_ns, now + 20_000_000),
//!     }
//! }
//! assert!((60..140).contains(&lost), "{lost}");
//!
//! // The same seed, client and numbers have the same fates, whatever else happens.
//! let mut twin = Line::new(client::by_address(peer, 0), Family::Ipv4);
//! let again = (0..10_000).filter(|number| matches!(twin.decide(&script, number * 1_000_000, 1200, 0), Fate::Lost(_)));
//! assert_eq!(again.count(), lost);
//! ```
//!
//! The README beside the sources has the table of options, against netem's.
#![no_std]
#![forbid(unsafe_code)]
// No float on the way of a datagram: those who work something out beforehand say so.
#![cfg_attr(not(test), deny(clippy::float_arithmetic))]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod chance;
mod channel;
mod check;
pub mod client;
pub mod config;
mod fate;
mod frame;
pub mod limits;
mod line;
mod memory;
mod queue;
mod script;
mod slots;
mod state;
mod table;
mod text;
mod trace;

pub use chance::{Direction, Share, mix};
pub use check::Problem;
pub use config::{Burst, Config, Correlation, Distribution, FourStates, GilbertElliott, Order, Slot};
pub use fate::{Cause, Decision, Duplicate, Event, Fate, Pass, What, flip};
pub use frame::Family;
pub use limits::{MOST_ENTRIES, MOST_STEPS, MOST_TEXT};
pub use line::Line;
pub use script::{Clock, Script, Start, Step, Timeline};
pub use table::Table;
pub use text::ParseError;
pub use trace::{DelayTrace, RateTrace};

/// The example of the README runs, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
