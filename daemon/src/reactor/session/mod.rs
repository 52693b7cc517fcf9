//! Sessions: sockets beside a listener's that its handler has asked for.
//!
//! ```text
//! slot     one session
//! slots    all of them, by their ids
//! owners   which a listener has
//! wheel    when they have been idle for too long
//! book     what they counted
//! family   those of one listener
//! outlet   where their datagrams leave
//! open     made and ended
//! kept     which a new handler goes on with
//! chain    those to listeners of the same daemon
//! near     those that may lead there, by where they lead
//! review   whether one may lead there, and whether it still may
//! visit    received from
//! settle   what a handler with sessions queued
//! events   what it is told
//! bundle   those of a handler that serves several addresses
//! ```
//!
//! The loop visits sessions through their listener: the ready list has one entry for its socket and one for all of its
//! sessions, each with the share of one visit. So nobody waits longer for a listener with a thousand sessions than for two
//! listeners.

mod book;
mod bundle;
mod chain;
mod events;
mod family;
mod kept;
mod near;
mod open;
mod outlet;
mod owners;
mod review;
mod settle;
mod slot;
mod slots;
mod visit;
mod wheel;

pub use book::{SessionBook, SessionReport};
pub(crate) use family::Family;
pub(crate) use slots::Sessions;
