//! Looks at what the hot path does not show, each of them rare enough to cost nothing.
//!
//! ```text
//! kernel_drops  what sockets dropped before anybody could take it
//! slow_calls    which handler keeps every listener waiting
//! ```

mod kernel_drops;
mod slow_calls;

pub(crate) use kernel_drops::{Sampler, look};
pub(crate) use slow_calls::SlowWatch;
