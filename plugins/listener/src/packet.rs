//! A datagram as the IP packet it may have come in.
//!
//! The host hands over payload and addresses, not headers. So the headers are made anew: addresses, ports, lengths, ECN
//! and checksums are those of the datagram; TTL is where it is known and else [`UNKNOWN_HOPS`]; identification,
//! flow label and options are not there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use etherparse::{IpEcn, IpHeaders, Ipv4Header, Ipv6Header, PacketBuilder, ip_number};

/// What stands for an unknown TTL or hop limit: the recommended one of RFC 1700.
const UNKNOWN_HOPS: u8 = 64;

/// What is known of a datagram.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard<'a> {
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    /// Number of the interface it came in by.
    pub(crate) ifindex: Option<u32>,
    pub(crate) ecn: u8,
    pub(crate) hop_limit: Option<u8>,
    pub(crate) payload: &'a [u8],
}

/// Writes the packet to `out`, which is emptied before. False if it would be longer than IP allows.
pub(crate) fn build(heard: &Heard<'_>, out: &mut Vec<u8>) -> bool {
    out.clear();
    let Heard { peer, local, payload, .. } = *heard;
    let Some(ip) = ip_header(heard) else { return false };
    PacketBuilder::ip(ip).udp(peer.port(), local.port()).write_to_vec(out, payload).is_ok()
}

fn ip_header(heard: &Heard<'_>) -> Option<IpHeaders> {
    let hops = heard.hop_limit.unwrap_or(UNKNOWN_HOPS);
    let ecn = IpEcn::try_new(heard.ecn).ok()?;
    match heard.peer.ip() {
        IpAddr::V4(source) => {
            let destination = match heard.local.ip() {
                IpAddr::V4(ip) => ip,
                IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
            };
            let mut header =
                Ipv4Header::new(0, hops, ip_number::UDP, source.octets(), destination.octets()).ok()?;
            header.ecn = ecn;
            Some(IpHeaders::Ipv4(header, etherparse::Ipv4Extensions::default()))
        }
        IpAddr::V6(source) => {
            let destination = match heard.local.ip() {
                IpAddr::V6(ip) => ip,
                IpAddr::V4(_) => Ipv6Addr::UNSPECIFIED,
            };
            let header = Ipv6Header {
                traffic_class: ecn.value(),
                hop_limit: hops,
                next_header: ip_number::UDP,
                source: source.octets(),
                destination: destination.octets(),
                ..Ipv6Header::default()
            };
            Some(IpHeaders::Ipv6(header, etherparse::Ipv6Extensions::default()))
        }
    }
}

#[cfg(test)]
mod tests {
    use etherparse::{NetHeaders, PacketHeaders, TransportHeader};

    use super::*;

    fn packet(peer: &str, local: &str, payload: &[u8]) -> Vec<u8> {
        let (peer, local) = (peer.parse().unwrap(), local.parse().unwrap());
        let mut out = vec![1, 2, 3];
        assert!(build(&Heard { peer, local, ifindex: None, ecn: 2, hop_limit: Some(7), payload }, &mut out));
        out
    }

    #[test]
    fn headers_say_what_is_known_and_checksums_are_right() {
        for len in [0, 5, 65_507] {
            let payload = vec![0xA5; len];
            let bytes = packet("192.0.2.1:5000", "239.1.2.3:1062", &payload);
            assert_eq!(bytes.len(), 28 + len);
            let parsed = PacketHeaders::from_ip_slice(&bytes).unwrap();
            let (Some(NetHeaders::Ipv4(ip, _)), Some(TransportHeader::Udp(udp))) =
                (parsed.net, parsed.transport)
            else {
                panic!("not UDP over IPv4");
            };
            assert_eq!((ip.source, ip.destination), ([192, 0, 2, 1], [239, 1, 2, 3]));
            assert_eq!(
                (ip.time_to_live, ip.ecn.value(), ip.header_checksum),
                (7, 2, ip.calc_header_checksum())
            );
            assert_eq!((udp.source_port, udp.destination_port), (5000, 1062));
            assert_eq!(udp.checksum, udp.calc_checksum_ipv4(&ip, &payload).unwrap());
            assert_eq!(parsed.payload.slice(), payload);
        }
    }

    #[test]
    fn ipv6_too() {
        for len in [0, 5, 65_507] {
            let payload = vec![0x5A; len];
            let bytes = packet("[2001:db8::1]:5000", "[ff15::1]:1062", &payload);
            assert_eq!(bytes.len(), 48 + len);
            let parsed = PacketHeaders::from_ip_slice(&bytes).unwrap();
            let (Some(NetHeaders::Ipv6(ip, _)), Some(TransportHeader::Udp(udp))) =
                (parsed.net, parsed.transport)
            else {
                panic!("not UDP over IPv6");
            };
            assert_eq!(ip.destination, "ff15::1".parse::<Ipv6Addr>().unwrap().octets());
            assert_eq!((ip.hop_limit, ip.traffic_class), (7, 2));
            assert_eq!(udp.checksum, udp.calc_checksum_ipv6(&ip, &payload).unwrap());
            assert_eq!(parsed.payload.slice(), payload);
        }
    }

    #[test]
    fn what_ip_cannot_carry_is_refused() {
        let (peer, local) = ("192.0.2.1:1".parse().unwrap(), "192.0.2.2:1".parse().unwrap());
        let heard = Heard { peer, local, ifindex: None, ecn: 0, hop_limit: None, payload: &vec![0; 65_508] };
        assert!(!build(&heard, &mut Vec::new()));
    }
}
