//! The control socket: who runs the daemon asks it, and changes it, while it serves. `daemon/docs/control.md` is its manual.
//!
//! ```text
//! wire      the messages: owned, bounded, serialisable; a leaf
//! frame     a line of bytes to a request, an answer to a line (JSON-RPC 2.0)
//! place     where the socket is, if nobody says it
//! peer      who is on the other side of a connection
//! endpoint  the socket in the file system: bound for its owner alone, taken over when stale, removed at the end
//! talk      one connection: reads a line, waits for its answer, writes it, each within its bounds
//! calls     what goes to the loop, and how an answer comes back
//! counts    what is counted
//! tap       a connection that has become a stream of datagrams, with a thread of its own
//! give      a connection by which another daemon takes over, with a thread of its own
//! take      the other side of that
//! socket    the thread that has all connections
//! streams   connections that become a tap or a take-over
//! client    the other side
//! http/     metrics, health and readiness, for programs that speak HTTP
//! ```
//!
//! The thread waits for clients; the loop of the daemon never does. A request that concerns the loop is put into a bounded queue
//! and the loop is woken as a signal wakes it; the answer comes back by a channel.

mod calls;
mod client;
mod counts;
mod endpoint;
mod frame;
mod give;
pub mod http;
mod peer;
mod place;
mod socket;
mod streams;
#[cfg(target_os = "linux")]
mod take;
mod talk;
mod tap;
pub mod wire;

pub use calls::{Call, Reply};
pub use client::{CallError, Client};
pub use endpoint::{BindError, Cause, Endpoint};
pub use give::{Hand, Step, Taking};
pub use place::{OFF, default_places, existing_place};
pub use socket::{Hooks, Server};
#[cfg(target_os = "linux")]
pub use take::{Lost, Receiving};
