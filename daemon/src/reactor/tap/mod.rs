//! Taps: readers outside of the loop that see what enters and leaves, and what became of it.
//!
//! ```text
//! attach  a tap begins: every listener learns of it, some hundred at a time
//! taps    who listens to which listeners, and the ways in for entries
//! staged  what was received and is not settled yet; latencies of what leaves later
//! ```
//!
//! A listener has a byte with a bit for each tap; a visit, a settled batch and a send call each look at that byte once. All else
//! is done for tapped listeners only.

mod attach;
mod staged;
mod taps;

pub(super) use taps::{Place, Taps};
