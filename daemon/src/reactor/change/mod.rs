//! Listeners come and go, and handlers of those that serve are replaced or get other options: all of it between two
//! batches, or nothing.
//!
//! ```text
//! wish    what listeners shall be, and how far the way there is
//! trial   what served before, for as long as the new ones are on trial
//! come    listeners that are not there yet: made ahead, and served after the switch
//! leave   listeners that go with the switch
//! make    a new handler beside the one that serves
//! share   how long a turn works at it
//! step    a part of the work in each turn: what can be made ahead, and what is left to be destroyed
//! go      the switch
//! back    a new handler breaks while it is on trial
//! ```

mod back;
mod come;
mod go;
mod leave;
mod make;
mod share;
mod step;
mod trial;
mod wish;

pub(crate) use trial::Trial;
pub(crate) use wish::Changing;
pub use wish::{ChangeDone, ChangeRefused, Changes, Newcomer, Wish};
