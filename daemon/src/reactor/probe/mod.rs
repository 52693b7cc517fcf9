//! Looks at what the hot path does not show. Each look is rare enough to cost next to nothing.
//!
//! ```text
//! addresses     which addresses are the host's own, as they come and go
//! alarms        drops that an operator must know of
//! call_times    how long handlers take, by a sample of their calls
//! everywhere    groups on every interface, also those that come later
//! groups        groups on interfaces that have gone and come again
//! kernel_drops  datagrams that the kernel dropped at a socket before the loop could take them
//! network       what listeners need of the network: the groups of both kinds, interfaces they are tied to, addresses that come later
//! peers         who sends most to a listener, while somebody asks
//! sketch        the same in memory that does not grow
//! slow_calls    handlers that keep every other listener waiting
//! ```

mod addresses;
mod alarms;
mod call_times;
mod everywhere;
mod groups;
mod kernel_drops;
mod network;
mod peers;
mod sketch;
mod slow_calls;

pub(crate) use addresses::HostAddresses;
pub(crate) use call_times::CallSample;
pub use call_times::CallTimes;
pub(crate) use kernel_drops::{Sampler, look};
pub(crate) use network::Network;
pub(crate) use peers::PeerWatch;
pub use peers::PeersSeen;
pub use sketch::PeerSeen;
pub(crate) use slow_calls::{CallTiming, Slow, SlowWatch};
