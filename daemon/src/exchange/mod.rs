//! The memory that the host and a handler share during a call, behind a safe interface.
//!
//! ```text
//! limits      the sizes of that memory
//! arrival     a received message, in the host's own types
//! facts       what a handler wants to know of each
//! received    ring and rx: receive buffers, and one descriptor a datagram that points into them
//! tickets     the right to answer a datagram in a later call
//! send_queue  tx and arena: the handler's answers, and scratch memory for them in chunks
//! longest     how long they may be
//! output      the answers, checked entry by entry                                       [unsafe]
//! sessions    what it asks for about sessions, and is told of them
//! owned       an answer in the host's own memory, to leave later
//! queued      what kind of answers they are: one, the batch as it came, or anything
//! rest        what a handler that broke has not seen
//! call        all of it together, lent to one call after the other
//! memory      bytes that both sides reach through pointers                              [unsafe]
//! array       the same of descriptors and entries                                       [unsafe]
//! fence       memory for the tests of plugins, which tells who touches what he must not [unsafe]
//! claims      what handlers say that they have written there
//! fenced      an exchange of such memory, for one call
//! ```
//!
//! One [`Exchange`] belongs to a reactor and serves all its listeners, one call after the other.

mod array;
mod arrival;
mod call;
mod claims;
mod facts;
mod fence;
mod fenced;
mod limits;
mod longest;
mod memory;
mod output;
mod owned;
mod queued;
mod received;
mod rest;
mod send_queue;
mod sessions;
mod tickets;

pub(crate) use array::Array;
pub use arrival::{ArrivalFlags, Arrived, ReplySource};
pub use call::{Asked, Exchange};
pub use claims::Claims;
pub use facts::Facts;
pub(crate) use fence::{Holds, page};
pub use fence::{Trespass, trespass};
pub use limits::ExchangeLimits;
pub use longest::longest_to;
pub use output::{Answers, Output, OutputError, Outputs};
pub use owned::{Envelope, OwnedOutput};
pub use queued::Queued;
pub use rest::Unseen;
pub use sessions::{
    Client, CompactAddr, NetTrouble, OpenRefused, SessionEnd, SessionEvent, SessionFlags, SessionInfo,
    SessionNews, SessionRequest, SessionSpec,
};
pub use tickets::{Taken, TicketCounts, Used};

#[cfg(any(test, fuzzing))]
pub mod fuzz;
#[cfg(test)]
mod run_tests;
#[cfg(test)]
mod session_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod train_tests;
