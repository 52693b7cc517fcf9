//! Datagrams of a recording, pcap or pcapng, whoever wrote it. It is read piece by piece: memory does not grow with the file.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the kinds of blocks, options and links are many, and few concern us"
)]

use std::fmt;
use std::io::{self, Chain, Cursor, Read};
use std::net::SocketAddr;

use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption;
use pcap_file::pcapng::{Block, PcapNgReader};
use pcap_file::{DataLink, PcapError};

use crate::packet::{self, Skipped};

/// How a pcapng file begins, in either byte order.
const SECTION_HEADER: [u8; 4] = 0x0A0D_0D0A_u32.to_be_bytes();
/// Interfaces of a section: a host with all its containers has some hundred, and each is held in memory.
const INTERFACES: usize = 65_536;
/// The resolution of a timestamp that a file does not name: microseconds.
const MICROSECONDS: u8 = 6;

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
    /// The comments of its packet.
    pub comments: Vec<String>,
    /// The flags word of its packet (`epb_flags`), if it has one.
    pub flags: Option<u32>,
}

/// Why a file cannot be read on.
#[derive(Debug)]
pub enum ReadError {
    /// It is neither pcap nor pcapng.
    Foreign,
    /// Reading has failed.
    Io(io::Error),
    /// It ends in the middle of a packet, or a block is longer than any is.
    Cut,
    /// It contradicts itself.
    Broken(String),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str("it is neither pcap nor pcapng"),
            Self::Io(error) => write!(f, "it cannot be read: {error}"),
            Self::Cut => {
                f.write_str("it ends in the middle of a packet, or names a length that no packet has")
            }
            Self::Broken(what) => write!(f, "it is broken: {what}"),
        }
    }
}

impl std::error::Error for ReadError {}

impl From<PcapError> for ReadError {
    fn from(error: PcapError) -> Self {
        match error {
            PcapError::IncompleteBuffer => Self::Cut,
            PcapError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => Self::Cut,
            PcapError::IoError(error) => Self::Io(error),
            other => Self::Broken(other.to_string()),
        }
    }
}

/// A file that is being read.
pub struct CaptureReader<R: Read> {
    form: Form<Chain<Cursor<Vec<u8>>, R>>,
}

enum Form<R: Read> {
    Pcap(PcapReader<R>),
    PcapNg { reader: PcapNgReader<R>, interfaces: Vec<Interface> },
}

#[derive(Clone, Copy)]
struct Interface {
    link: DataLink,
    /// As `if_tsresol` has it: a power of ten, or with the highest bit one of two.
    resolution: u8,
    offset_s: i64,
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
    pub fn new(mut file: R) -> Result<Self, ReadError> {
        let mut head = Vec::new();
        (&mut file).take(4).read_to_end(&mut head).map_err(ReadError::Io)?;
        let is_new = head == SECTION_HEADER;
        let whole = Cursor::new(head).chain(file);
        let foreign = |error| match ReadError::from(error) {
            ReadError::Io(error) => ReadError::Io(error),
            _ => ReadError::Foreign,
        };
        let form = if is_new {
            Form::PcapNg { reader: PcapNgReader::new(whole).map_err(foreign)?, interfaces: Vec::new() }
        } else {
            Form::Pcap(PcapReader::new(whole).map_err(foreign)?)
        };
        Ok(Self { form })
    }

    /// The next packet: a datagram, or why it is none. None at the end of the file.
    ///
    /// # Errors
    /// What is wrong with the file; nothing behind it is read.
    pub fn next_packet(&mut self) -> Result<Option<Result<Datagram, Skipped>>, ReadError> {
        match &mut self.form {
            Form::Pcap(reader) => {
                let link = reader.header().datalink;
                let Some(packet) = reader.next_packet() else { return Ok(None) };
                let found = packet?;
                let at_ns = u64::try_from(found.timestamp.as_nanos()).unwrap_or(u64::MAX);
                Ok(Some(datagram(link, &found.data, found.orig_len, at_ns, (Vec::new(), None))))
            }
            Form::PcapNg { reader, interfaces } => {
                while let Some(block) = reader.next_block() {
                    match block? {
                        Block::SectionHeader(_) => interfaces.clear(),
                        Block::InterfaceDescription(interface) => {
                            if interfaces.len() >= INTERFACES {
                                let what = format!("a section has more than {INTERFACES} interfaces");
                                return Err(ReadError::Broken(what));
                            }
                            interfaces.push(described(interface.linktype, &interface.options));
                        }
                        Block::EnhancedPacket(packet) => {
                            let at = usize::try_from(packet.interface_id).ok();
                            let Some(interface) = at.and_then(|at| interfaces.get(at)) else {
                                let what = "a packet of an interface that is not described";
                                return Err(ReadError::Broken(what.to_owned()));
                            };
                            // The crate takes every unit for a nanosecond.
                            let units = u64::try_from(packet.timestamp.as_nanos()).unwrap_or(u64::MAX);
                            let at_ns = interface.unix_ns(units);
                            let said = said_of(&packet);
                            return Ok(Some(datagram(
                                interface.link,
                                &packet.data,
                                packet.original_len,
                                at_ns,
                                said,
                            )));
                        }
                        // Without a time.
                        Block::Packet(_) | Block::SimplePacket(_) => {
                            return Ok(Some(Err(Skipped::Malformed)));
                        }
                        Block::NameResolution(_)
                        | Block::InterfaceStatistics(_)
                        | Block::SystemdJournalExport(_)
                        | Block::Unknown(_) => {}
                    }
                }
                Ok(None)
            }
        }
    }
}

fn described(link: DataLink, options: &[InterfaceDescriptionOption<'_>]) -> Interface {
    let mut interface = Interface { link, resolution: MICROSECONDS, offset_s: 0 };
    for option in options {
        match option {
            InterfaceDescriptionOption::IfTsResol(resolution) => interface.resolution = *resolution,
            InterfaceDescriptionOption::IfTsOffset(offset) => interface.offset_s = offset.cast_signed(),
            _ => {}
        }
    }
    interface
}

impl Interface {
    /// Unix time in nanoseconds of so many units.
    fn unix_ns(self, units: u64) -> u64 {
        const NS: u128 = 1_000_000_000;
        let exponent = u32::from(self.resolution & 0x7f);
        let units = u128::from(units);
        let ns = if self.resolution & 0x80 != 0 {
            if exponent >= 64 { 0 } else { (units * NS) >> exponent }
        } else {
            10_u128.checked_pow(exponent).map_or(0, |per_second| units * NS / per_second)
        };
        let offset_ns = i128::from(self.offset_s) * 1_000_000_000;
        let at = i128::try_from(ns).unwrap_or(i128::MAX).saturating_add(offset_ns);
        u64::try_from(at.max(0)).unwrap_or(u64::MAX)
    }
}

fn datagram(
    link: DataLink,
    packet: &[u8],
    whole: u32,
    at_ns: u64,
    (comments, flags): (Vec<String>, Option<u32>),
) -> Result<Datagram, Skipped> {
    let whole = usize::try_from(whole).unwrap_or(usize::MAX);
    let (from, to, payload) = packet::datagram(link, packet, whole)?;
    Ok(Datagram { at_ns, from, to, payload: payload.to_vec(), comments, flags })
}

/// What a packet says of itself: its comments, and its flags word.
fn said_of(packet: &EnhancedPacketBlock<'_>) -> (Vec<String>, Option<u32>) {
    let (mut comments, mut flags) = (Vec::new(), None);
    for option in &packet.options {
        match option {
            EnhancedPacketOption::Comment(comment) => comments.push(comment.to_string()),
            EnhancedPacketOption::Flags(word) => flags = flags.or(Some(*word)),
            _ => {}
        }
    }
    (comments, flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_reckoned_in_the_units_of_the_file() {
        let of = |resolution, offset_s| Interface { link: DataLink::RAW, resolution, offset_s };
        assert_eq!(of(6, 0).unix_ns(1_500_000), 1_500_000_000);
        assert_eq!(of(9, 0).unix_ns(7), 7);
        assert_eq!(of(0, -1).unix_ns(3), 2_000_000_000);
        assert_eq!(of(0x80 | 10, 0).unix_ns(512), 500_000_000);
        assert_eq!(of(0x7f, 0).unix_ns(u64::MAX), 0);
        assert_eq!(of(0xff, 0).unix_ns(u64::MAX), 0);
        assert_eq!(of(0, i64::MIN).unix_ns(1), 0);
        assert_eq!(of(0, i64::MAX).unix_ns(u64::MAX), u64::MAX);
    }
}
