//! The outcome of a request as one JSON object.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use polyport_protocol::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answered::Answered;
use super::socket::SocketReport;
use crate::text::hex;

/// What `polyport-request --json` prints. What is not known is `null`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestReport {
    /// Who was asked.
    pub target: SocketAddr,
    /// The answer, if one came.
    pub answer: Option<AnswerReport>,
    /// Datagrams not accepted, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// The first addresses that datagrams came from which were not asked.
    pub wrong_sources: Vec<SocketAddr>,
    /// What the kernel says of the socket; only with `--show-socket`.
    pub socket: Option<SocketReport>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AnswerReport {
    /// Who sent it.
    pub from: SocketAddr,
    /// Its payload, if that is text in UTF-8.
    pub text: Option<String>,
    /// Its payload in hex.
    pub payload: String,
    /// From the first transmission to its arrival, nanoseconds.
    pub took_ns: Nanos,
    /// From the transmission it answers to its arrival, nanoseconds; `null` where nobody knows which one that was.
    pub rtt_ns: Option<Nanos>,
    /// Transmissions until then.
    pub transmissions: u8,
}

impl From<&Answered> for AnswerReport {
    fn from(answer: &Answered) -> Self {
        Self {
            from: answer.from,
            text: std::str::from_utf8(&answer.payload).ok().map(str::to_owned),
            payload: hex(&answer.payload),
            took_ns: answer.took,
            rtt_ns: answer.rtt,
            transmissions: answer.transmissions,
        }
    }
}
