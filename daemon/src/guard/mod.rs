//! Which datagrams reach a handler, and which leave because of one. The guard decides by addresses alone: it has no I/O
//! and no clock.
//!
//! ```text
//! source     whether a received datagram reaches the handler
//! departure  whether a datagram of a handler leaves
//! loops      the addresses of our own listeners, which no reply may go to
//! budget     how much may leave to an address that nobody has proved
//! prefixes   what is remembered of source prefixes, in constant memory
//! ```

mod budget;
mod departure;
mod loops;
mod prefixes;
mod source;

pub use budget::{Budgets, Counted, Reply, Request};
pub use departure::{Departure, depart};
pub use loops::OwnAddresses;
pub use source::admit;
