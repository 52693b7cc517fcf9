//! A datagram that outlives the call in which it was queued.

use std::net::SocketAddr;

use super::{Answers, Output, ReplySource};

/// A datagram in the host's own memory. It leaves later, even if the handler that queued it is gone by then.
#[derive(Debug)]
pub struct OwnedOutput {
    /// Destination.
    pub to: SocketAddr,
    /// Source; none lets the kernel choose.
    pub from: Option<ReplySource>,
    /// TOS or traffic class; 0 leaves it to the socket.
    pub tos: u8,
    /// The session by whose socket it leaves; 0 is the listener's.
    pub session: u64,
    /// TTL or hop limit; 0 leaves it to the system.
    pub hop_limit: u8,
    /// It leaves whole or not at all.
    pub df: bool,
    /// Its bytes.
    pub payload: Vec<u8>,
}

impl OwnedOutput {
    /// Copies an output that is one datagram into `buffer`, whose old content is lost.
    #[must_use]
    pub fn copy(output: &Output<'_>, mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        buffer.extend_from_slice(output.payload);
        let Output { to, from, tos, session, hop_limit, df, .. } = *output;
        Self { to, from, tos, session, hop_limit, df, payload: buffer }
    }

    /// The datagram as an output that is sent now and answers no received datagram.
    #[must_use]
    pub fn as_output(&self) -> Output<'_> {
        Output {
            answers: Answers::default(),
            payload: &self.payload,
            to: self.to,
            from: self.from,
            at_ns: 0,
            segment: 0,
            tos: self.tos,
            session: self.session,
            to_client: false,
            proved: false,
            df: self.df,
            asked_with: 0,
            hop_limit: self.hop_limit,
            answers_group: false,
            ticket: 0,
        }
    }
}
