//! What the handlers that impair datagrams, `lossy` and `relay`, have in common: everything between the texts of the
//! configuration and the engine (`polyport-impair`).
//!
//! ```text
//! options   common      profile, seed, key, timeline, decisions    flattened into the handler's own
//!           direction   what happens one way                       nested as up and down
//! meaning   plan        all of it together, checked: scripts       profile, timeline, numbers_of, numbers, files, text
//! running   key         what a client is
//!           lane        a direction at work
//!           counts      counters of a direction
//!           decisions   the log of decisions, by a thread of its own
//! ```
//!
//! A handler has one [`Plan`], of which [`Plan::scripts`] makes a script a direction, for each of these a [`Lane`], and for each client
//! a [`Line`](polyport_impair::Line) a direction. Each datagram is a [`Lane::decide`]. Once a second comes [`Decisions::tick`]:
//!
//! ```
//! use polyport_impair_options::{Common, Direction, Plan, Way};
//! use polyport_plugin::{Error, config};
//!
//! config! {
//!     #[derive(Debug)]
//!     pub struct Options {
//!         common: Common = flattened;
//!         up: Direction = nested;
//!         down: Direction = nested;
//!     }
//! }
//!
//! fn plan(options: &Options) -> Result<Plan<2>, Error> {
//!     Plan::new(&options.common, [Way::up(&options.up), Way::down(&options.down)])
//! }
//! ```
//!
//! An option that is not given is `None`: a profile may give it, or else it changes nothing. So own options override a profile
//! also where they say what is the default.
#![forbid(unsafe_code)]

mod arrived;
mod common;
mod counts;
mod decisions;
mod direction;
mod files;
mod key;
mod lane;
mod numbers;
mod numbers_of;
mod plan;
mod profile;
mod text;
mod timeline;

pub use arrived::Arrived;
pub use common::{Common, TimelineFrom};
pub use counts::Counts;
pub use decisions::Decisions;
pub use direction::{Correlation, Direction, Distribution, Order};
pub use key::{Client, Key, Keys, Name, family};
pub use lane::Lane;
pub use numbers::bit_rate;
pub use plan::{Plan, Way};
pub use profile::{Described, Profile};
