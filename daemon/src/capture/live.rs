//! Blocks of a tap that goes on, as its client reads them from the stream.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the kinds of blocks, options and links are many, and few concern us"
)]

use std::fmt;
use std::io::{self, Read};

use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption;
use pcap_file::pcapng::blocks::interface_statistics::InterfaceStatisticsOption;
use pcap_file::pcapng::{Block, PcapNgReader, PcapNgWriter};
use pcap_file::{DataLink, PcapError};
use polyport_capture::datagram;

use super::comment::{Said, Summary};
use super::read::said_of;
use crate::tap::Direction;

/// A datagram that a tap shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Unix time, nanoseconds.
    pub at_ns: u64,
    /// Which way it went.
    pub direction: Direction,
    /// Name of the listener.
    pub listener: String,
    /// Who sent it.
    pub from: std::net::SocketAddr,
    /// To whom.
    pub to: std::net::SocketAddr,
    /// Bytes of its payload.
    pub len: usize,
    /// What else is said of it.
    pub said: Said,
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A datagram.
    Shown(Box<Shown>),
    /// The last words.
    End(Summary),
    /// A block that describes others.
    Other,
}

/// Why there is no more.
#[derive(Debug)]
pub enum LiveError {
    /// The stream has failed, or ended in the middle of a block.
    Broken(io::Error),
    /// It is not what a tap writes.
    Strange(String),
}

impl fmt::Display for LiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(error) => error.fmt(f),
            Self::Strange(what) => f.write_str(what),
        }
    }
}

/// Reads the stream of a tap block by block.
pub struct Live<R: Read> {
    reader: PcapNgReader<R>,
    names: Vec<String>,
    /// What was read, as it is written to a file.
    copy: PcapNgWriter<Vec<u8>>,
}

impl<R: Read> fmt::Debug for Live<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("names", &self.names).finish_non_exhaustive()
    }
}

impl<R: Read> Live<R> {
    /// Reads how it begins.
    ///
    /// # Errors
    /// It is no pcapng, or ends at once.
    pub fn new(stream: R) -> Result<Self, LiveError> {
        let reader = PcapNgReader::new(stream).map_err(failed)?;
        let copy = PcapNgWriter::with_section_header(Vec::new(), reader.section().clone()).map_err(failed)?;
        Ok(Self { reader, names: Vec::new(), copy })
    }

    /// The next block; none at the end of the stream.
    ///
    /// # Errors
    /// The stream has failed, or is no pcapng.
    pub fn step(&mut self) -> Result<Option<Step>, LiveError> {
        let Self { reader, names, copy } = self;
        let Some(block) = reader.next_block() else { return Ok(None) };
        let block = block.map_err(failed)?;
        copy.write_block(&block).map_err(failed)?;
        let step = match &block {
            Block::InterfaceDescription(interface) => {
                let name = interface.options.iter().find_map(|option| match option {
                    InterfaceDescriptionOption::IfName(name) => Some(name.to_string()),
                    _ => None,
                });
                names.push(name.unwrap_or_default());
                Step::Other
            }
            Block::EnhancedPacket(packet) => {
                let (said, direction) = said_of(packet);
                let whole = usize::try_from(packet.original_len).unwrap_or(usize::MAX);
                let headers = datagram(DataLink::RAW, &packet.data, packet.data.len().min(whole));
                let (from, to, len) = match headers {
                    Ok((from, to, payload)) => (from, to, payload.len() + whole - packet.data.len()),
                    Err(_) => cut(&packet.data, whole)
                        .ok_or_else(|| LiveError::Strange("a packet that is no datagram".to_owned()))?,
                };
                let at = usize::try_from(packet.interface_id).ok();
                Step::Shown(Box::new(Shown {
                    at_ns: u64::try_from(packet.timestamp.as_nanos()).unwrap_or(u64::MAX),
                    direction: direction.unwrap_or(Direction::In),
                    listener: at.and_then(|at| names.get(at)).cloned().unwrap_or_default(),
                    from,
                    to,
                    len,
                    said: said.unwrap_or_default(),
                }))
            }
            Block::InterfaceStatistics(statistics) => {
                let comment = statistics.options.iter().find_map(|option| match option {
                    InterfaceStatisticsOption::Comment(comment) => Summary::read(comment),
                    _ => None,
                });
                comment.map_or(Step::Other, Step::End)
            }
            _ => Step::Other,
        };
        Ok(Some(step))
    }

    /// The blocks that were read since the last call, all of them whole.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(self.copy.get_mut())
    }
}

/// Both sides and the length of a datagram whose packet was cut.
fn cut(packet: &[u8], whole: usize) -> Option<(std::net::SocketAddr, std::net::SocketAddr, usize)> {
    use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};
    let lax = LaxSlicedPacket::from_ip(packet).ok()?;
    let (from, to, header) = match lax.net.as_ref()? {
        LaxNetSlice::Ipv4(ip) => {
            (ip.header().source_addr().into(), ip.header().destination_addr().into(), 28)
        }
        LaxNetSlice::Ipv6(ip) => {
            (std::net::IpAddr::V6(ip.header().source_addr()), ip.header().destination_addr().into(), 48)
        }
        LaxNetSlice::Arp(_) => return None,
    };
    let Some(TransportSlice::Udp(udp)) = lax.transport else { return None };
    let side = std::net::SocketAddr::new;
    Some((side(from, udp.source_port()), side(to, udp.destination_port()), whole.saturating_sub(header)))
}

fn failed(error: PcapError) -> LiveError {
    match error {
        PcapError::IoError(error) => LiveError::Broken(error),
        other => LiveError::Strange(other.to_string()),
    }
}
