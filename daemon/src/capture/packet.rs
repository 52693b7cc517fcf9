//! A datagram as the IP packet it may have come in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use etherparse::{IpDscp, IpEcn, IpHeaders, Ipv4Header, Ipv6Header, PacketBuilder, UdpHeader, ip_number};

/// What stands for an unknown TTL or hop limit: the recommended one of RFC 1700.
const UNKNOWN_HOPS: u8 = 64;
/// Bytes of a header of UDP.
const UDP_HEADER: usize = 8;

/// A datagram without its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Envelope {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) tos: u8,
    pub(super) ttl: u8,
}

/// Writes the packet to `out`, which is emptied before, with as much of a payload of `len` bytes as was copied. Returns the length
/// of the whole packet.
pub(super) fn build(envelope: &Envelope, payload: &[u8], len: usize, out: &mut Vec<u8>) -> usize {
    out.clear();
    let Envelope { from, to, .. } = *envelope;
    let is_whole = payload.len() == len;
    let Some(ip) = ip_header(envelope) else { return 0 };
    if is_whole {
        // Longer than a packet of IP can be, no socket has sent it.
        PacketBuilder::ip(ip).udp(from.port(), to.port()).write_to_vec(out, payload).unwrap_or(());
        return out.len();
    }
    // The checksum of what is not there is not known: 0 is none (RFC 768).
    let length = u16::try_from(UDP_HEADER + len).unwrap_or(u16::MAX);
    let udp = UdpHeader { source_port: from.port(), destination_port: to.port(), length, checksum: 0 };
    let mut ip = ip;
    ip.set_payload_len(UDP_HEADER + len).unwrap_or(());
    ip.write(out).unwrap_or(());
    udp.write(out).unwrap_or(());
    let headers = out.len();
    out.extend_from_slice(payload);
    headers + len
}

fn ip_header(envelope: &Envelope) -> Option<IpHeaders> {
    let Envelope { from, to, tos, ttl } = *envelope;
    let hops = if ttl == 0 { UNKNOWN_HOPS } else { ttl };
    if from.is_ipv4() && to.is_ipv4() {
        let [source, destination] = [from, to].map(|side| match side.ip() {
            IpAddr::V4(ip) => ip.octets(),
            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED.octets(),
        });
        let mut header = Ipv4Header::new(0, hops, ip_number::UDP, source, destination).ok()?;
        header.dscp = IpDscp::try_new(tos >> 2).ok()?;
        header.ecn = IpEcn::try_new(tos & 0b11).ok()?;
        header.dont_fragment = false;
        return Some(IpHeaders::Ipv4(header, etherparse::Ipv4Extensions::default()));
    }
    let [source, destination] = [from, to].map(|side| match side.ip() {
        IpAddr::V6(ip) => ip.octets(),
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv6Addr::UNSPECIFIED.octets(),
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
    });
    let header = Ipv6Header {
        traffic_class: tos,
        hop_limit: hops,
        next_header: ip_number::UDP,
        source,
        destination,
        ..Ipv6Header::default()
    };
    Some(IpHeaders::Ipv6(header, etherparse::Ipv6Extensions::default()))
}

#[cfg(test)]
mod tests {
    use pcap_file::DataLink;
    use polyport_capture::{Skipped, datagram};

    use super::*;

    #[test]
    fn a_datagram_is_a_packet_and_comes_back() {
        for (from, to) in [("192.0.2.1:1", "192.0.2.2:65535"), ("[2001:db8::1]:1", "[::]:2")] {
            let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
            let envelope = Envelope { from, to, tos: 0xb9, ttl: 3 };
            for len in [0, 1, 1472, 65_507] {
                let payload = vec![0x5a; len];
                let mut packet = Vec::new();
                let whole = build(&envelope, &payload, len, &mut packet);
                assert_eq!(whole, packet.len());
                assert_eq!(datagram(DataLink::RAW, &packet, whole).unwrap(), (from, to, &*payload));
                assert_eq!(packet[if from.is_ipv4() { 8 } else { 7 }], 3);
            }
            let mut packet = Vec::new();
            let whole = build(&envelope, b"abc", 1000, &mut packet);
            assert_eq!(whole, packet.len() + 997);
            assert_eq!(datagram(DataLink::RAW, &packet, whole), Err(Skipped::Truncated));
        }
    }
}
