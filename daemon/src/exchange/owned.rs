//! An output that outlives its call.

use super::{Answers, Output, ReplySource};
use std::net::SocketAddr;

/// A datagram in the host's own memory: it leaves later, whatever became of the handler that queued it.
#[derive(Debug)]
pub struct OwnedOutput {
    /// Destination.
    pub to: SocketAddr,
    /// Source; none lets the kernel choose.
    pub from: Option<ReplySource>,
    /// ECN bits.
    pub ecn: u8,
    /// Its bytes.
    pub payload: Vec<u8>,
}

impl OwnedOutput {
    /// Copies one datagram that a handler queued into `buffer`, whose memory is used again.
    #[must_use]
    pub fn copy(output: &Output<'_>, mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        buffer.extend_from_slice(output.payload);
        Self { to: output.to, from: output.from, ecn: output.ecn, payload: buffer }
    }

    /// As an output that answers nothing, to be sent now.
    #[must_use]
    pub fn as_output(&self) -> Output<'_> {
        Output {
            answers: Answers::default(),
            payload: &self.payload,
            to: self.to,
            from: self.from,
            at_ns: 0,
            segment: 0,
            ecn: self.ecn,
        }
    }
}
