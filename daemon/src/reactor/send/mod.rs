//! From outputs to the kernel.
//!
//! ```text
//! coalesce  runs of equal datagrams to one peer become one message
//! transmit  messages -> kernel; what it does not take waits in the listener's backlog
//! ```

mod coalesce;
mod transmit;

pub(crate) use coalesce::MAX_OUTPUTS;
pub(crate) use transmit::Transmitter;
