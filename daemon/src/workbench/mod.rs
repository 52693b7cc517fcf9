//! What an author does with a plugin, and a user with a strange one: see what there is, look into it, begin a new one.
//!
//! ```text
//! sources    which plugins are meant
//! list       what the search path offers
//! inspect    all that is known of one plugin, as a person or a program reads it
//! amount     types, bounds and defaults of options in words
//! trial      the same plugin made in a process of its own, so that a crash is only an answer
//! subject    that process
//! signals    names of those that end it
//! conformance  whether a plugin keeps the rules of the ABI, each case in a process of its own
//! new        a project to begin with
//! world      a virtual network with virtual time
//! recording  datagrams of a pcap file
//! play       a plugin serves there, by the loop that serves real datagrams
//! ```
//!
//! Everything here ends before it comes back; nothing is served to anybody.

mod amount;
mod conformance;
mod inspect;
mod list;
mod new;
mod play;
mod recording;
mod signals;
mod sources;
mod subject;
mod trial;
mod world;

pub use conformance::{
    CASES, Case, EVERYWHERE, Found, RULES, Ran, Report, Terms, Trouble, run as run_case,
    within as within_case,
};
pub use inspect::{Inspected, inspect};
pub use list::{Listed, list};
pub use new::{Language, NewError, Project, create};
pub use play::{Play, play};
pub use recording::arrivals as recorded;
pub use sources::Bench;
pub use subject::examine;
pub use trial::{Trial, try_out};
pub use world::{Arrival, Seen};
