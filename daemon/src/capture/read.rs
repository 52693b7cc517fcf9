//! Datagrams of a recording with what a tap has said of them, if it is one of ours.
#![expect(clippy::wildcard_enum_match_arm, reason = "the kinds of options are many, and few concern us")]

use std::fmt;
use std::io::Read;
use std::net::SocketAddr;

use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use polyport_capture::Skipped;

use super::comment::{Said, direction};
use crate::tap::Direction;

pub use polyport_capture::ReadError;

/// A datagram of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Unix time, nanoseconds.
    pub at_ns: u64,
    /// Who sent it.
    pub from: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
    /// Its bytes.
    pub payload: Vec<u8>,
    /// Which way it went, if the file says it.
    pub direction: Option<Direction>,
    /// What a tap has said of it; none if the file is of somebody else.
    pub said: Option<Said>,
}

/// A file that is being read.
pub struct CaptureReader<R: Read> {
    file: polyport_capture::CaptureReader<R>,
}

impl<R: Read> fmt::Debug for CaptureReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaptureReader").finish_non_exhaustive()
    }
}

impl<R: Read> CaptureReader<R> {
    /// Looks how a file begins.
    ///
    /// # Errors
    /// It is no recording.
    pub fn new(file: R) -> Result<Self, ReadError> {
        polyport_capture::CaptureReader::new(file).map(|file| Self { file })
    }

    /// The next packet: a datagram, or why it is none. None at the end of the file.
    ///
    /// # Errors
    /// What is wrong with the file; nothing behind it is read.
    pub fn next_packet(&mut self) -> Result<Option<Result<Datagram, Skipped>>, ReadError> {
        let packet = self.file.next_packet()?;
        Ok(packet.map(|packet| packet.map(Datagram::from)))
    }
}

impl From<polyport_capture::Datagram> for Datagram {
    fn from(found: polyport_capture::Datagram) -> Self {
        let polyport_capture::Datagram { at_ns, from, to, payload, comments, flags } = found;
        let said = comments.iter().find_map(|comment| Said::read(comment));
        Self { at_ns, from, to, payload, direction: flags.and_then(direction), said }
    }
}

/// What a packet says of itself: its comment if that is of a tap, and which way it went.
pub(super) fn said_of(packet: &EnhancedPacketBlock<'_>) -> (Option<Said>, Option<Direction>) {
    let said = packet.options.iter().find_map(|option| match option {
        EnhancedPacketOption::Comment(comment) => Said::read(comment),
        _ => None,
    });
    let way = packet.options.iter().find_map(|option| match option {
        EnhancedPacketOption::Flags(flags) => direction(*flags),
        _ => None,
    });
    (said, way)
}
