//! Looks at what the hot path does not show. Each look is rare enough to cost next to nothing.
//!
//! ```text
//! addresses     which addresses are the host's own, as they come and go
//! groups        groups on interfaces that have gone and come again
//! kernel_drops  datagrams that the kernel dropped at a socket before the loop could take them
//! slow_calls    handlers that keep every other listener waiting
//! ```

mod addresses;
mod groups;
mod kernel_drops;
mod slow_calls;

pub(crate) use addresses::HostAddresses;
pub(crate) use groups::Groups;
pub(crate) use kernel_drops::{Sampler, look};
pub(crate) use slow_calls::{CallTiming, Slow, SlowWatch};
