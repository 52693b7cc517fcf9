//! A datagram that outlives the call in which it was queued.

use std::net::SocketAddr;

use super::{Answers, Output, ReplySource};

/// A datagram in the host's own memory. It leaves later, even if the handler that queued it is gone by then.
#[derive(Debug)]
pub struct OwnedOutput {
    /// How it leaves.
    pub envelope: Envelope,
    /// Its bytes.
    pub payload: Vec<u8>,
}

/// How a datagram leaves, without its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Envelope {
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
}

impl OwnedOutput {
    /// Copies an output that is one datagram into `buffer`, whose old content is lost.
    #[must_use]
    pub fn copy(output: &Output<'_>, mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        buffer.extend_from_slice(output.payload);
        Self { envelope: Envelope::of(output), payload: buffer }
    }

    /// The datagram as an output that is sent now and answers no received datagram.
    #[must_use]
    pub fn as_output(&self) -> Output<'_> {
        self.envelope.output(&self.payload)
    }
}

impl Envelope {
    /// That of an output.
    #[must_use]
    pub fn of(output: &Output<'_>) -> Self {
        let Output { to, from, tos, session, hop_limit, df, .. } = *output;
        Self { to, from, tos, session, hop_limit, df }
    }

    /// A datagram with these bytes, as an output that is sent now and answers no received datagram.
    #[must_use]
    pub fn output<'a>(&self, payload: &'a [u8]) -> Output<'a> {
        Output {
            answers: Answers::default(),
            payload,
            to: self.to,
            from: self.from,
            at_ns: 0,
            segment: 0,
            tos: self.tos,
            session: self.session,
            to_client: false,
            address: Output::HERE,
            proved: false,
            df: self.df,
            asked_with: 0,
            hop_limit: self.hop_limit,
            answers_group: false,
            ticket: 0,
        }
    }
}
