//! Sans-I/O machines of the clients.
//!
//! Each machine is driven the same way: give it what came (`handle_input`), drain what has to go
//! (`poll_transmit`), ask when it wants to be woken (`poll_timeout`), and wake it (`handle_timeout`). Times are
//! [`Nanos`](crate::Nanos) since an epoch of the caller's choice and must not run backwards.

mod backoff;
mod budget;
mod mtu;
mod pacer;
mod reject;
mod request;
mod rtt;

use core::net::SocketAddr;

pub use backoff::{MAX_TRANSMISSIONS, TIMER_CAP, Textbook, busy_wait, full_jitter, retransmit_timer};
pub use budget::RetryBudget;
pub use mtu::{Bound, CONTROL_LEN, MtuConfig, MtuInput, MtuResult, MtuSearch};
pub use pacer::{Pacer, Slot};
pub use reject::{Reject, RejectCounters};
pub use request::{Answer, Failure, Handle, Input, Request, RequestClient, RequestConfig, RequestError};
pub use rtt::{Preset, RttEstimator};

/// A datagram the machine wrote to the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where to send it.
    pub destination: SocketAddr,
    /// Octets written.
    pub len: usize,
}
