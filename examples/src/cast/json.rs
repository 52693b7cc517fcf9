//! What happens on a group, one JSON object a line, each as soon as it has happened.

use std::net::SocketAddr;

use polyport_protocol::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::outcome::{ExitError, deliver_on};
use crate::text::hex;

/// A line of `polyport-cast --json`. Times count from the start of the program, in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum CastLine {
    /// From now on it is heard what comes: the first line with `--listen`.
    Listening {
        /// Where.
        at: SocketAddr,
    },
    /// A datagram has left.
    Sent {
        /// When.
        at_ns: Nanos,
        /// Its number, from 1.
        number: u64,
        /// Where it went.
        to: SocketAddr,
        /// What was given to be sent.
        content: Content,
    },
    /// An answer to what was sent.
    Answer {
        /// When.
        at_ns: Nanos,
        /// Who sent it.
        from: SocketAddr,
        /// The whole datagram.
        content: Content,
    },
    /// A datagram to the group or broadcast address.
    Heard {
        /// When.
        at_ns: Nanos,
        /// Who sent it.
        from: SocketAddr,
        /// The address it was sent to.
        to: SocketAddr,
        /// By which interface it came; `null` where the system does not say.
        interface: Option<String>,
        /// `ok` for a valid frame of PPT/1, `plain` for what is none, else the malformation as SPEC.md section 6 names it.
        class: String,
        /// The frame; `null` if it is not valid.
        frame: Option<Event>,
        /// The payload of a valid frame, else the whole datagram.
        content: Content,
    },
    /// The last line, unless a failure ended the run.
    End {
        /// Datagrams that were sent.
        sent: u64,
        /// Answers that came.
        answers: u64,
        /// Datagrams that were heard.
        heard: u64,
        /// Who had sent these, at most 65,536 of them.
        senders: u64,
    },
}

/// Octets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Content {
    /// As text, if they are UTF-8.
    pub text: Option<String>,
    /// In lower-case hex.
    pub payload: String,
}

/// What tells a frame from others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// The kind in lower-case letters, `event` for what this tool sends.
    pub kind: String,
    /// The stream id, eight hex digits.
    pub stream_id: String,
    /// Number of the frame in its stream, in decimal digits.
    #[serde(with = "crate::json::decimal")]
    #[schemars(with = "String", regex(pattern = "^[0-9]+$"))]
    pub seq: u64,
}

impl From<&[u8]> for Content {
    fn from(octets: &[u8]) -> Self {
        Self { text: std::str::from_utf8(octets).ok().map(str::to_owned), payload: hex(octets) }
    }
}

impl CastLine {
    /// Prints the line.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn deliver(&self) -> Result<(), ExitError> {
        self.deliver_on().map(|_| ())
    }

    /// Prints the line, and says whether anybody still reads.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn deliver_on(&self) -> Result<bool, ExitError> {
        deliver_on(crate::json::line(self)?)
    }
}
