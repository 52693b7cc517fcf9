//! Sending: from the outputs of a handler to the kernel.
//!
//! ```text
//! coalesce  runs of equal datagrams to one peer become one message
//! transmit  messages -> kernel; what the socket does not take waits in the listener's backlog
//! ```

mod coalesce;
mod transmit;

pub(crate) use coalesce::MAX_OUTPUTS;
pub(crate) use transmit::Transmitter;
