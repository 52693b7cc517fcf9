//! An explained frame as one JSON object.

use polyport_protocol::Frame;
use polyport_terminal::escape_payload;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::explain::{Line, explain};
use super::verdict::{NoDatagram, Verdict, class};
use crate::text::hex;

/// What `polyport-frame decode --json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FrameReport {
    /// `ok`, or the malformation as SPEC.md section 6 names it; `not_hex` or `too_long` if there is no datagram to judge.
    pub class: String,
    /// Why there is no datagram to judge; `null` if there is one.
    pub reason: Option<String>,
    /// The number of the line, from 1; `null` unless lines were read.
    pub line: Option<usize>,
    /// Octets of the datagram; `null` if there is none.
    pub length: Option<usize>,
    /// The values of a valid frame; `null` if it is none.
    pub frame: Option<Values>,
    /// Every octet of the datagram in one field or another.
    pub fields: Vec<Field>,
}

/// The values of a valid frame. Octets and ids are in lower-case hex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Values {
    /// The kind in lower-case letters.
    pub kind: String,
    /// The octet of flags.
    pub flags: u8,
    /// The request id, sixteen hex digits.
    pub request_id: String,
    /// The stream id, eight hex digits.
    pub stream_id: String,
    /// Number of the transmission, 0 for the first.
    pub attempt: u8,
    /// The code of an ERROR.
    pub code: u8,
    /// Number of the frame in its stream, in decimal digits.
    #[serde(with = "crate::json::decimal")]
    #[schemars(with = "String", regex(pattern = "^[0-9]+$"))]
    pub seq: u64,
    /// Nanoseconds on the sender's clock, in decimal digits.
    #[serde(with = "crate::json::decimal")]
    #[schemars(with = "String", regex(pattern = "^[0-9]+$"))]
    pub timestamp: u64,
    /// Number of the key that sealed the frame; `null` without AUTH.
    pub key_id: Option<u32>,
    /// The payload in hex.
    pub payload: String,
    /// The payload as ASCII, all else escaped.
    pub text: String,
    /// Octets of padding.
    pub padding: usize,
}

/// One field, as it lies in the datagram.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Field {
    /// Octets before the field.
    pub offset: usize,
    /// The octets of the field in hex.
    pub hex: String,
    /// The name of the field in SPEC.md.
    pub field: String,
    /// What the value of the field says.
    pub meaning: String,
}

impl FrameReport {
    /// Class, length, every field, and the values of a valid frame.
    #[must_use]
    pub fn new(datagram: &[u8], verdict: Verdict<'_>) -> Self {
        Self {
            class: class(verdict).to_owned(),
            reason: None,
            line: None,
            length: Some(datagram.len()),
            frame: verdict.ok().map(|frame| Values::new(&frame)),
            fields: explain(datagram, verdict.map(|_| ())).into_iter().map(Field::new).collect(),
        }
    }
}

impl FrameReport {
    /// Of an input that is no datagram.
    #[must_use]
    pub fn none(why: &NoDatagram) -> Self {
        Self {
            class: why.class().to_owned(),
            reason: Some(why.to_string()),
            line: None,
            length: None,
            frame: None,
            fields: Vec::new(),
        }
    }

    /// The report of a line of the input, by its number.
    #[must_use]
    pub const fn at_line(mut self, number: Option<usize>) -> Self {
        self.line = number;
        self
    }
}

impl Values {
    fn new(frame: &Frame<'_>) -> Self {
        let header = frame.header();
        Self {
            kind: format!("{:?}", header.kind).to_lowercase(),
            flags: header.flags.to_octet(),
            request_id: format!("{:016x}", header.request_id),
            stream_id: format!("{:08x}", header.stream_id),
            attempt: header.attempt,
            code: header.code.0,
            seq: header.seq,
            timestamp: header.timestamp,
            key_id: frame.options().key_id(),
            payload: hex(frame.payload()),
            text: escape_payload(frame.payload()),
            padding: frame.padding(),
        }
    }
}

impl Field {
    fn new(line: Line<'_>) -> Self {
        Self { offset: line.offset, hex: hex(line.octets), field: line.field, meaning: line.meaning }
    }
}
