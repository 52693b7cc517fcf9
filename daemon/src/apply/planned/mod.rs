//! What `polyport plan` says of a plan before anybody serves it.
//!
//! ```text
//! needs        what it takes of the machine: descriptors, memory, rights
//! clashes      what is in its way: addresses that others hold, ports that any program may get
//! holders      which sockets there are, and whose
//! difference   what would become of what a daemon serves
//! report       all of it, as data
//! told         and for people
//! ```

mod clashes;
mod difference;
mod holders;
mod needs;
mod report;
mod told;

pub(crate) use report::Planned;
pub(crate) use told::told;
