//! Handlers of listeners that serve are replaced, or get other options, all of them between two batches or none.
//!
//! ```text
//! wish    what listeners shall be, and how far the way there is
//! trial   what served before, for as long as the new ones are on trial
//! make    a new handler beside the one that serves
//! step    a part of the work in each turn: what can be made ahead, and what is left to be destroyed
//! go      the switch
//! back    a new handler breaks while it is on trial
//! ```

mod back;
mod go;
mod make;
mod step;
mod trial;
mod wish;

pub(crate) use trial::Trial;
pub(crate) use wish::Changing;
pub use wish::{ChangeDone, ChangeRefused, Wish};
