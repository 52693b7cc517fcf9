//! Sockets for a process that may make none any more: another one, small and confined, makes them and hands them over.
//!
//! ```text
//! maker    who makes sockets: this process, or the broker
//! client   the end of the daemon: starts the broker, asks it, receives descriptors (unix(7), SCM_RIGHTS)
//! serve    the broker: what it does, and what it refuses
//! order    what is asked for
//! wire     the messages between the two: one packet each, bounded
//! ```
//!
//! The broker is the same program once more, started before rights are given up. It keeps the right to bind ports and
//! to ask for large buffers, and nothing else. It ends when the daemon does.

#[cfg(target_os = "linux")]
mod client;
mod maker;
mod order;
#[cfg(target_os = "linux")]
mod serve;
#[cfg(target_os = "linux")]
mod wire;

#[cfg(target_os = "linux")]
pub use client::{Broker, SUBCOMMAND};
pub use maker::{Found, Maker, Ready};
#[cfg(target_os = "linux")]
pub use serve::serve;
#[cfg(target_os = "linux")]
pub(crate) use wire::Wanted;
