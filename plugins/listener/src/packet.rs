//! A datagram as the IP packet it may have come in.
//!
//! The host hands over payload and addresses, not headers. So the headers are made anew: addresses, ports, lengths and
//! checksums are those of the datagram, and so are TTL and TOS where the kernel told them. What it did not tell has a
//! value all the same, and [`Unknown`] says of which fields that is so.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use etherparse::{IpDscp, IpEcn, IpHeaders, Ipv4Header, Ipv6Header, PacketBuilder, ip_number};

use crate::cast::Cast;

/// What stands for an unknown TTL or hop limit: the recommended one of RFC 1700.
const UNKNOWN_HOPS: u8 = 64;

/// Which way a datagram went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// It came, sent to these.
    In(Cast),
    /// It was given to the host, to be sent.
    Out,
}

/// What is known of a datagram besides its payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About {
    pub(crate) way: Way,
    /// The other side.
    pub(crate) peer: SocketAddr,
    /// Our side; the unspecified address is one that is not known.
    pub(crate) local: SocketAddr,
    /// Number of the interface it came in by.
    pub(crate) ifindex: Option<u32>,
    /// TOS or traffic class.
    pub(crate) tos: Option<u8>,
    pub(crate) hop_limit: Option<u8>,
    /// When it came, or was to leave, ns since 1970.
    pub(crate) unix_ns: u64,
    /// That is the time of the kernel, not that of its reading.
    pub(crate) kernel_time: bool,
}

#[cfg(test)]
impl About {
    /// A datagram from 192.0.2.1 to 192.0.2.2, of which nothing more is known.
    pub(crate) const UNKNOWN: Self = Self {
        way: Way::In(Cast::Unicast),
        peer: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 1),
        local: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 2),
        ifindex: None,
        tos: None,
        hop_limit: None,
        unix_ns: 7,
        kernel_time: false,
    };
}

/// A datagram and what is known of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard<'a> {
    pub(crate) about: About,
    pub(crate) payload: &'a [u8],
}

/// Writes the packet to `out`, which is emptied before. False if it would be longer than IP allows.
pub(crate) fn build(heard: &Heard<'_>, out: &mut Vec<u8>) -> bool {
    out.clear();
    let About { way, peer, local, .. } = heard.about;
    let (from, to) = if way == Way::Out { (local, peer) } else { (peer, local) };
    let Some(ip) = ip_header(&heard.about, from.ip(), to.ip()) else { return false };
    PacketBuilder::ip(ip).udp(from.port(), to.port()).write_to_vec(out, heard.payload).is_ok()
}

fn ip_header(about: &About, from: IpAddr, to: IpAddr) -> Option<IpHeaders> {
    let hops = about.hop_limit.unwrap_or(UNKNOWN_HOPS);
    let tos = about.tos.unwrap_or(0);
    if about.peer.is_ipv4() {
        let [source, destination] = [from, to].map(|ip| match ip {
            IpAddr::V4(ip) => ip.octets(),
            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED.octets(),
        });
        let mut header = Ipv4Header::new(0, hops, ip_number::UDP, source, destination).ok()?;
        header.dscp = IpDscp::try_new(tos >> 2).ok()?;
        header.ecn = IpEcn::try_new(tos & 0b11).ok()?;
        // It is not known whether fragments were forbidden, and those that came were joined.
        header.dont_fragment = false;
        return Some(IpHeaders::Ipv4(header, etherparse::Ipv4Extensions::default()));
    }
    let [source, destination] = [from, to].map(|ip| match ip {
        IpAddr::V6(ip) => ip.octets(),
        IpAddr::V4(_) => Ipv6Addr::UNSPECIFIED.octets(),
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

/// Says which fields of a packet are not as they were on the wire, because nobody knows.
#[derive(Debug)]
pub(crate) struct Unknown<'a>(pub(crate) &'a About);

impl fmt::Display for Unknown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let About { way, peer, local, tos, hop_limit, kernel_time, .. } = *self.0;
        if way == Way::Out {
            f.write_str("given to be sent; ")?;
        }
        let (never, hops, class) = if peer.is_ipv4() {
            ("id, fragment flags, IP options, UDP checksum", "TTL", "TOS")
        } else {
            ("flow label, extension headers", "hop limit", "traffic class")
        };
        write!(f, "unknown: {never}")?;
        let side = if way == Way::Out { "source" } else { "destination" };
        let sometimes =
            [(hop_limit.is_none(), hops), (tos.is_none(), class), (local.ip().is_unspecified(), side)];
        for (_, name) in sometimes.iter().filter(|(unknown, _)| *unknown) {
            write!(f, ", {name}")?;
        }
        if way != Way::Out && !kernel_time {
            f.write_str(", time of arrival (this is when it was read)")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use etherparse::{NetHeaders, PacketHeaders, TransportHeader};

    use super::*;

    fn packet(peer: &str, local: &str, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![1, 2, 3];
        assert!(build(&Heard { about: about(peer, local), payload }, &mut out));
        out
    }

    fn about(peer: &str, local: &str) -> About {
        About {
            way: Way::In(Cast::Unicast),
            peer: peer.parse().unwrap(),
            local: local.parse().unwrap(),
            ifindex: None,
            tos: Some(0xBA),
            hop_limit: Some(7),
            unix_ns: 0,
            kernel_time: true,
        }
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
                (ip.time_to_live, ip.dscp.value(), ip.ecn.value(), ip.header_checksum),
                (7, 0x2E, 2, ip.calc_header_checksum())
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
            assert_eq!((ip.hop_limit, ip.traffic_class), (7, 0xBA));
            assert_eq!(udp.checksum, udp.calc_checksum_ipv6(&ip, &payload).unwrap());
            assert_eq!(parsed.payload.slice(), payload);
        }
    }

    #[test]
    fn what_ip_cannot_carry_is_refused() {
        let about = about("192.0.2.1:1", "192.0.2.2:1");
        assert!(!build(&Heard { about, payload: &vec![0; 65_508] }, &mut Vec::new()));
    }

    #[test]
    fn what_leaves_goes_the_other_way() {
        for (peer, local) in [("192.0.2.1:5000", "192.0.2.2:7"), ("[2001:db8::1]:5000", "[2001:db8::2]:7")] {
            let heard = Heard { about: About { way: Way::Out, ..about(peer, local) }, payload: b"ack" };
            let (mut out, mut back) = (Vec::new(), Vec::new());
            assert!(build(&heard, &mut out));
            assert!(build(&Heard { about: about(local, peer), ..heard }, &mut back));
            assert_eq!(out, back);
        }
    }

    #[test]
    fn what_is_not_known_is_said() {
        let known = about("192.0.2.1:1", "192.0.2.2:1");
        let never = "unknown: id, fragment flags, IP options, UDP checksum";
        assert_eq!(Unknown(&known).to_string(), never);
        let nothing = About { tos: None, hop_limit: None, kernel_time: false, ..known };
        assert_eq!(
            Unknown(&nothing).to_string(),
            format!("{never}, TTL, TOS, time of arrival (this is when it was read)")
        );
        let six = About { peer: "[::1]:1".parse().unwrap(), local: "[::]:1".parse().unwrap(), ..nothing };
        assert_eq!(
            Unknown(&About { way: Way::Out, ..six }).to_string(),
            "given to be sent; unknown: flow label, extension headers, hop limit, traffic class, source"
        );
        assert_eq!(
            Unknown(&About { tos: Some(0), hop_limit: Some(1), kernel_time: true, ..six }).to_string(),
            "unknown: flow label, extension headers, destination"
        );
    }
}
