//! Metrics, health and readiness by HTTP, for programs that watch. `daemon/docs/metrics.md` is its manual.
//!
//! ```text
//! figures   what the loop tells of itself: owned, bounded, serialisable; a leaf
//! family    what a family of series is
//! table     every series, and where it comes from
//! text      figures and table to text, in the two forms that Prometheus asks for
//! gather    asking the loop: one gathering at a time
//! answer    a request to an answer
//! server    the thread with all connections, and their bounds
//! ```
//!
//! As with the control socket, the loop of the daemon never waits for a client. hyper speaks HTTP, on one thread.

mod answer;
pub mod family;
pub mod figures;
mod gather;
mod server;
pub mod table;
mod text;

pub use answer::Hooks;
pub use gather::Wanted;
pub use server::Server;
pub use text::{Form, write};
