//! Which datagrams reach a handler, and which leave because of one. The guard decides by addresses and by the policy
//! of the listener: it has no I/O and no clock.
//!
//! ```text
//! source     whether a received datagram reaches the handler
//! departure  whether a datagram of a handler leaves
//! decay      how far an answer may travel, where answers are bounded by that
//! loops      the addresses of our own listeners, which nothing may be sent to
//! local      the addresses of the host
//! budget     how much may leave to an address that nobody has proved
//! prefixes   what is remembered of source prefixes, in constant memory
//! ```

mod budget;
mod decay;
mod departure;
mod local;
mod loops;
mod prefixes;
mod source;

pub use budget::{Budgets, Counted, Reply, Request};
pub use decay::{decay, farthest};
pub use departure::{Departure, depart, dial};
pub use local::LocalAddress;
pub use loops::{Changed, OwnAddresses, Served};
pub use source::admit;
