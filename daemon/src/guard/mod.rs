//! Which datagrams reach a handler, and which leave because of one. The guard decides by addresses alone: it has no I/O
//! and no clock.
//!
//! ```text
//! source     whether a received datagram reaches the handler
//! departure  whether a datagram of a handler leaves
//! decay      how far an answer may travel, where answers are bounded by that
//! loops      the addresses of our own listeners, which no reply may go to
//! ```

mod decay;
mod departure;
mod loops;
mod source;

pub use decay::decay;
pub use departure::{Departure, depart};
pub use loops::OwnAddresses;
pub use source::admit;
