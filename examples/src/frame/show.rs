//! An explained frame as a table for people, and as an object for programs.

use std::fmt::Write;

use polyport_protocol::{DecodeError, Frame};
use polyport_terminal::{Style, escape_payload};
use serde_json::{Value, json};

use super::explain::explain;
use crate::text::hex;

/// What a decoder said.
type Verdict<'d> = Result<Frame<'d>, DecodeError>;

/// `ok`, or the malformation as SPEC.md section 6 names it.
#[must_use]
pub fn class(verdict: Verdict<'_>) -> &'static str {
    verdict.map_or_else(DecodeError::name, |_| "ok")
}

/// One line a field; the last line is the class.
#[must_use]
pub fn as_table(datagram: &[u8], verdict: Verdict<'_>, style: Style) -> String {
    let heading = format!("{:>6}  {:<32}  {:<14}  meaning", "offset", "hex", "field");
    let mut text = style.bold(heading);
    for line in explain(datagram, verdict.map(|_| ())) {
        let (offset, octets, field) = (line.offset, shortened(line.octets), line.field);
        // Writing to a String cannot fail.
        write!(text, "\n{offset:>6}  {octets:<32}  {field:<14}  {}", line.meaning).unwrap_or_default();
    }
    let class = class(verdict);
    let class = if verdict.is_ok() { style.green(class) } else { style.red(class) };
    format!("{text}\nclass: {class}")
}

/// Class, length, every field, and the values of a valid frame.
#[must_use]
pub fn as_object(datagram: &[u8], verdict: Verdict<'_>) -> Value {
    let fields: Vec<Value> = explain(datagram, verdict.map(|_| ()))
        .iter()
        .map(|line| {
            let octets = hex(line.octets);
            json!({"offset": line.offset, "hex": octets, "field": line.field, "meaning": line.meaning})
        })
        .collect();
    let frame = verdict.ok().map(|frame| values(&frame));
    json!({"class": class(verdict), "length": datagram.len(), "frame": frame, "fields": fields})
}

fn values(frame: &Frame<'_>) -> Value {
    let header = frame.header();
    json!({
        "kind": format!("{:?}", header.kind).to_lowercase(),
        "flags": header.flags.to_octet(),
        "request_id": format!("{:016x}", header.request_id),
        "stream_id": format!("{:08x}", header.stream_id),
        "attempt": header.attempt,
        "code": header.code.0,
        "seq": header.seq,
        "timestamp": header.timestamp,
        "key_id": frame.options().key_id(),
        "payload": hex(frame.payload()),
        "text": escape_payload(frame.payload()),
        "padding": frame.padding(),
    })
}

/// Sixteen octets fill the column.
fn shortened(octets: &[u8]) -> String {
    if octets.len() <= 16 { hex(octets) } else { format!("{}.. +{}", hex(&octets[..12]), octets.len() - 12) }
}
