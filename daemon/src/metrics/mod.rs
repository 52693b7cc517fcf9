//! Counters, the reasons of drops, and the check that nothing is lost. This module uses no other module of the daemon.

mod counters;
mod drop_reason;

pub use counters::{Conservation, Counters};
pub use drop_reason::{DropReason, Stage};
