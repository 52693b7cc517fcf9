//! Counters, the reasons of drops, and the conservation check. A leaf: knows nothing of sockets or plugins.

mod counters;
mod drop_reason;

pub use counters::{Conservation, Counters};
pub use drop_reason::{DropReason, Stage};
