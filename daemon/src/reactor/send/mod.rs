//! Sending: from the outputs of a handler to the kernel.
//!
//! ```text
//! coalesce  runs of equal datagrams to one peer become one message
//! outlet    where they leave: the socket of a listener, or of a session
//! transmit  messages -> kernel; what the socket does not take waits in its backlog
//! ```

mod coalesce;
mod outlet;
mod transmit;

pub(crate) use coalesce::MAX_OUTPUTS;
pub(crate) use outlet::Outlet;
pub(crate) use transmit::Transmitter;
