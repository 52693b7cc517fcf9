//! A packet of a recording as the datagram it is.
#![expect(clippy::wildcard_enum_match_arm, reason = "the kinds of links are many, and few concern us")]

use std::net::{IpAddr, SocketAddr};

use etherparse::{LaxSlicedPacket, NetSlice, SlicedPacket, TransportSlice};
use pcap_file::DataLink;

/// Why a packet is no datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Skipped {
    /// Another protocol.
    NotUdp,
    /// A fragment of one.
    Fragment,
    /// It was cut when it was recorded.
    Truncated,
    /// Its headers are wrong.
    Malformed,
    /// Recorded on a link that is not known here.
    Link,
}

impl Skipped {
    /// In words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::NotUdp => "not UDP",
            Self::Fragment => "fragments",
            Self::Truncated => "cut when they were recorded",
            Self::Malformed => "with wrong headers",
            Self::Link => "of an unknown link type",
        }
    }
}

/// Both sides and the payload of a packet, if it is a whole datagram of UDP; `whole` is its length as it was on the wire.
///
/// # Errors
/// Why it is none.
pub fn datagram(
    link: DataLink,
    packet: &[u8],
    whole: usize,
) -> Result<(SocketAddr, SocketAddr, &[u8]), Skipped> {
    if packet.len() < whole {
        return Err(cut(link, packet));
    }
    let sliced = match link {
        DataLink::ETHERNET => SlicedPacket::from_ethernet(packet),
        DataLink::RAW | DataLink::IPV4 | DataLink::IPV6 => SlicedPacket::from_ip(packet),
        DataLink::LINUX_SLL => SlicedPacket::from_linux_sll(packet),
        // Four bytes with the family of the address, in the byte order of whoever recorded it.
        DataLink::NULL | DataLink::LOOP => SlicedPacket::from_ip(packet.get(4..).ok_or(Skipped::Malformed)?),
        // Protocol first, then interface, type and address: draft-ietf-opsawg-pcaplinktype, LINUX_SLL2.
        DataLink::LINUX_SLL2 => SlicedPacket::from_ip(packet.get(20..).ok_or(Skipped::Malformed)?),
        _ => return Err(Skipped::Link),
    };
    let sliced = sliced.map_err(|_| Skipped::Malformed)?;
    if sliced.is_ip_payload_fragmented() {
        return Err(Skipped::Fragment);
    }
    let Some(TransportSlice::Udp(udp)) = &sliced.transport else { return Err(Skipped::NotUdp) };
    let (from, to) = match &sliced.net {
        Some(NetSlice::Ipv4(ip)) => {
            (IpAddr::V4(ip.header().source_addr()), IpAddr::V4(ip.header().destination_addr()))
        }
        Some(NetSlice::Ipv6(ip)) => {
            (IpAddr::V6(ip.header().source_addr()), IpAddr::V6(ip.header().destination_addr()))
        }
        Some(NetSlice::Arp(_)) | None => return Err(Skipped::NotUdp),
    };
    let (from, to) = (SocketAddr::new(from, udp.source_port()), SocketAddr::new(to, udp.destination_port()));
    let payload = udp.payload();
    Ok((from, to, payload))
}

/// Of a packet that was cut when it was recorded: whether it is a datagram at all.
fn cut(link: DataLink, packet: &[u8]) -> Skipped {
    let lax = match link {
        DataLink::ETHERNET => LaxSlicedPacket::from_ethernet(packet).ok(),
        DataLink::RAW | DataLink::IPV4 | DataLink::IPV6 => LaxSlicedPacket::from_ip(packet).ok(),
        _ => None,
    };
    let other = lax.is_some_and(|lax| !matches!(lax.transport, Some(TransportSlice::Udp(_)) | None));
    if other { Skipped::NotUdp } else { Skipped::Truncated }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    #[test]
    fn a_datagram_is_found_behind_each_link_and_a_cut_one_is_told() {
        let builder = PacketBuilder::ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64).udp(1, 2);
        let mut ip = Vec::new();
        builder.write(&mut ip, b"hello").unwrap();
        let sides = ("192.0.2.1:1".parse().unwrap(), "192.0.2.2:2".parse().unwrap());
        let ethernet = [&[0; 12][..], &[8, 0], &ip].concat();
        let cooked = [&[0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0][..], &ip].concat();
        let null = [&[2, 0, 0, 0][..], &ip].concat();
        let newer = [&[0; 20][..], &ip].concat();
        for (link, packet) in [
            (DataLink::ETHERNET, &ethernet),
            (DataLink::RAW, &ip),
            (DataLink::IPV4, &ip),
            (DataLink::LINUX_SLL, &cooked),
            (DataLink::LINUX_SLL2, &newer),
            (DataLink::NULL, &null),
        ] {
            let found = datagram(link, packet, packet.len()).unwrap();
            assert_eq!((found.0, found.1, found.2), (sides.0, sides.1, &b"hello"[..]), "{link:?}");
        }
        assert_eq!(datagram(DataLink::RAW, &ip, ip.len() + 1), Err(Skipped::Truncated));
        assert_eq!(datagram(DataLink::USB_LINUX, &ip, ip.len()), Err(Skipped::Link));
        assert_eq!(datagram(DataLink::RAW, &ip[..20], 20), Err(Skipped::Malformed));
    }
}
