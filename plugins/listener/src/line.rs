//! A datagram as one line of the log.

use std::fmt::{self, Write};

use polyport_plugin::Datagram;

use crate::cast::Cast;

/// Sender, destination, interface, length, and the payload as far as `limit` bytes go.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) datagram: &'a Datagram<'a>,
    pub(crate) interface: &'a str,
    pub(crate) limit: usize,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { datagram, interface, limit } = *self;
        let (payload, cast) = (datagram.payload(), Cast::of(datagram));
        write!(f, "{} -> {} {cast} on {interface}, ", datagram.peer(), datagram.local())?;
        let unit = if payload.len() == 1 { "byte" } else { "bytes" };
        write!(f, "{} {unit}: \"", payload.len())?;
        escape(f, payload.get(..limit).unwrap_or(payload))?;
        f.write_str(if payload.len() > limit { "\"..." } else { "\"" })
    }
}

/// What can be printed as it is, apostrophes between the quotation marks as well; the rest, quotes and backslashes in the
/// manner of Rust.
fn escape(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        for (at, piece) in chunk.valid().split('\'').enumerate() {
            f.write_str(if at > 0 { "'" } else { "" })?;
            for escaped in piece.chars().flat_map(char::escape_debug) {
                f.write_char(escaped)?;
            }
        }
        for byte in chunk.invalid() {
            write!(f, "\\x{byte:02x}")?;
        }
    }
    Ok(())
}
