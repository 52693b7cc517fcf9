//! The loop: one thread, any number of listeners, generic over the I/O it runs on.
//!
//! ```text
//! turn      poll -> ready list -> visits while the budget lasts -> timers and delayed datagrams
//! visit     receive -> admit -> handler -> settle -> transmit, for one listener
//! settle    what the handler queued -> sent now, delayed, or dropped with a reason
//! transmit  messages -> kernel; what it does not take waits in a bounded backlog
//! ```
//!
//! Time, randomness and I/O are arguments: [`Io`] brings sockets and the clock, the seed comes with
//! [`Reactor::new`]. The same loop runs on mio ([`MioIo`]) and in the seeded simulation of the tests.

mod ahead;
mod backlog;
mod clock;
mod coalesce;
mod delayed;
mod errno;
mod fault;
mod governor;
mod io;
mod limits;
mod listener;
mod machine;
mod mio_alarm;
mod mio_io;
mod mio_readiness;
mod mio_rest;
mod moderation;
mod pace;
mod polling;
mod ready;
mod report;
mod sample;
mod seed;
mod settle;
mod slow;
mod timers;
mod transmit;
mod turn;
mod visit;

pub use clock::Clock;
pub use io::{Event, Interest, Io, Message, Now, Received, Token, Wait};
pub use limits::ReactorLimits;
pub use listener::{ListenerSpec, OnFault};
pub use machine::{Flow, Reactor};
pub use mio_io::{BindError, Membership, MioIo, PathMtuDiscovery, Socket, SocketOptions, interface_name};
pub use report::{AddError, ListenerReport};
