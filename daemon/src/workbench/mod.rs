//! What an author does with a plugin, and a user with a strange one: see what there is, look into it, begin a new one.
//!
//! ```text
//! sources    which plugins are meant
//! list       what the search path offers
//! inspect    all that is known of one plugin, as a person or a program reads it
//! amount     types, bounds and defaults of options in words
//! trial      the same plugin made in a process of its own, so that a crash is only an answer
//! subject    that process
//! new        a project to begin with
//! ```
//!
//! Everything here ends before it comes back; nothing is served.

mod amount;
mod inspect;
mod list;
mod new;
mod sources;
mod subject;
mod trial;

pub use inspect::{Inspected, inspect};
pub use list::{Listed, list};
pub use new::{Language, NewError, Project, create};
pub use sources::Bench;
pub use subject::examine;
pub use trial::{Trial, try_out};
