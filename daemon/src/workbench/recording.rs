//! UDP datagrams of a recording, pcap or pcapng, as arrivals.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use pcap_file::DataLink;
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::{Block, PcapNgReader};

use super::world::Arrival;

/// Datagrams that are taken of a file; they are held in memory.
const MOST_DATAGRAMS: usize = 1 << 20;
/// How a pcapng file begins, in either byte order.
const SECTION_HEADER: [u8; 4] = 0x0A0D_0D0A_u32.to_be_bytes();

/// Reads a recording. The first datagram arrives at once, each other as long after it as it was recorded; what is not UDP or cut is
/// left out.
///
/// # Errors
/// What is wrong with the file, in words.
pub fn arrivals(path: &Path) -> Result<Vec<Arrival>, String> {
    let mut file = BufReader::new(File::open(path).map_err(|error| error.to_string())?);
    let mut head = [0; 4];
    file.read_exact(&mut head).map_err(|error| error.to_string())?;
    file.rewind().map_err(|error| error.to_string())?;
    let mut found = Found::default();
    if head == SECTION_HEADER {
        pcapng(file, &mut found)?;
    } else {
        pcap(file, &mut found)?;
    }
    Ok(found.arrivals)
}

fn pcapng(file: impl Read, found: &mut Found) -> Result<(), String> {
    let mut reader = PcapNgReader::new(file).map_err(|error| error.to_string())?;
    let mut links = Vec::new();
    while let Some(block) = reader.next_block() {
        match block.map_err(|error| error.to_string())? {
            Block::SectionHeader(_) => links.clear(),
            Block::InterfaceDescription(interface) => links.push(interface.linktype),
            Block::EnhancedPacket(packet) => {
                let link = usize::try_from(packet.interface_id).ok().and_then(|at| links.get(at));
                let link = *link.ok_or("a packet of an interface that is not described")?;
                found.add(link, packet.timestamp, &packet.data)?;
            }
            Block::Packet(_)
            | Block::SimplePacket(_)
            | Block::NameResolution(_)
            | Block::InterfaceStatistics(_)
            | Block::SystemdJournalExport(_)
            | Block::Unknown(_) => {}
        }
    }
    Ok(())
}

fn pcap(file: impl Read, found: &mut Found) -> Result<(), String> {
    let mut reader = PcapReader::new(file).map_err(|error| error.to_string())?;
    let link = reader.header().datalink;
    while let Some(packet) = reader.next_packet() {
        let packet = packet.map_err(|error| error.to_string())?;
        found.add(link, packet.timestamp, &packet.data)?;
    }
    Ok(())
}

/// What was found so far.
#[derive(Default)]
struct Found {
    arrivals: Vec<Arrival>,
    /// When the first datagram was recorded.
    first: Option<Duration>,
}

impl Found {
    fn add(&mut self, link: DataLink, at: Duration, packet: &[u8]) -> Result<(), String> {
        let Some((peer, payload)) = datagram(link, packet)? else { return Ok(()) };
        if self.arrivals.len() >= MOST_DATAGRAMS {
            return Err(format!("more than {MOST_DATAGRAMS} datagrams; cut the recording"));
        }
        let since = at.saturating_sub(*self.first.get_or_insert(at));
        let at_ns = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        self.arrivals.push(Arrival { at_ns, peer, payload });
        Ok(())
    }
}

/// Sender and payload of a packet, if it is a whole UDP datagram.
fn datagram(link: DataLink, packet: &[u8]) -> Result<Option<(SocketAddr, Vec<u8>)>, String> {
    let is_one_of = |known: &[DataLink]| known.contains(&link);
    let sliced = if is_one_of(&[DataLink::ETHERNET]) {
        SlicedPacket::from_ethernet(packet)
    } else if is_one_of(&[DataLink::RAW, DataLink::IPV4, DataLink::IPV6]) {
        SlicedPacket::from_ip(packet)
    } else if is_one_of(&[DataLink::LINUX_SLL]) {
        SlicedPacket::from_linux_sll(packet)
    } else {
        let known = "Ethernet, raw IP and Linux cooked are read";
        return Err(format!("recorded on a link of type {link:?}; {known}"));
    };
    let Ok(sliced) = sliced else { return Ok(None) };
    let Some(TransportSlice::Udp(udp)) = sliced.transport else { return Ok(None) };
    let ip = match sliced.net {
        Some(NetSlice::Ipv4(ip)) => IpAddr::V4(ip.header().source_addr()),
        Some(NetSlice::Ipv6(ip)) => IpAddr::V6(ip.header().source_addr()),
        Some(NetSlice::Arp(_)) | None => return Ok(None),
    };
    Ok(Some((SocketAddr::new(ip, udp.source_port()), udp.payload().to_vec())))
}
