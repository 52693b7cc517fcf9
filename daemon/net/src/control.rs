//! The meaning of the control messages of UDP: `ip(7)`, `ipv6(7)`, `udp(7)`, RFC 3542 section 6.

use std::io;
use std::mem::offset_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use libc::{c_int, in_pktinfo, in6_pktinfo};

use crate::cmsg::{self, array_at};
use crate::meta::{Local, SendMessage, Source};
use crate::{offload, sys};

/// Control bytes of a received message; room for all that [`crate::SocketOptions`] can ask for.
pub(crate) type RecvControl = cmsg::Buffer<{ RECV_CAPACITY as usize }>;
/// Control bytes of a message to send.
pub(crate) type SendControl = cmsg::Buffer<SEND_CAPACITY>;

/// What the control messages of one datagram said.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) local: Option<Local>,
    pub(crate) tos: Option<u8>,
    pub(crate) hop_limit: Option<u8>,
    pub(crate) segment: Option<u16>,
    pub(crate) fragment: Option<u16>,
    pub(crate) unix_ns: Option<u64>,
}

/// Reads the control bytes of a datagram. Unknown, short or garbled messages are passed over.
pub(crate) fn read(bytes: &[u8]) -> Received {
    let mut received = Received::default();
    for message in cmsg::messages(bytes) {
        let data = message.data;
        match (message.level, message.kind) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => received.local = local_v4(data),
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => received.local = local_v6(data),
            (libc::IPPROTO_IP, RECEIVED_TOS) | (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                received.tos = byte(data);
            }
            (libc::IPPROTO_IP, RECEIVED_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                received.hop_limit = byte(data);
            }
            (offload::LEVEL, offload::UDP_GRO) => {
                received.segment =
                    array_at(data, 0).map(c_int::from_ne_bytes).and_then(|n| n.try_into().ok());
            }
            #[cfg(target_os = "linux")]
            (libc::IPPROTO_IP, libc::IP_RECVFRAGSIZE) | (libc::IPPROTO_IPV6, libc::IPV6_RECVFRAGSIZE) => {
                let size = array_at(data, 0).map(c_int::from_ne_bytes).and_then(|n| n.try_into().ok());
                received.fragment = size.filter(|size| *size > 0);
            }
            #[cfg(target_os = "linux")]
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => received.unix_ns = moment(data),
            _ => {}
        }
    }
    received
}

/// Writes the control messages that `message` asks for; the result is their length, 0 if it asks for none.
///
/// # Errors
/// EINVAL if the source is of another family than the destination: the kernel would ignore it silently.
/// Unsupported if the message is a train and this system cannot cut it, or has a hop limit and this system cannot set
/// it.
pub(crate) fn write(message: &SendMessage<'_>, buffer: &mut SendControl) -> io::Result<usize> {
    let mut writer = cmsg::Writer::new(&mut buffer.bytes);
    let mut fits = true;
    if let Some(source) = &message.from {
        fits &= match (source.ip, message.to) {
            (IpAddr::V4(ip), SocketAddr::V4(_)) => {
                writer.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &pktinfo_v4(ip, source))
            }
            (IpAddr::V6(ip), SocketAddr::V6(_)) => {
                writer.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &pktinfo_v6(ip, source))
            }
            (IpAddr::V4(_), SocketAddr::V6(_)) | (IpAddr::V6(_), SocketAddr::V4(_)) => false,
        };
    }
    if message.tos != 0 {
        let class = c_int::from(message.tos).to_ne_bytes();
        // A mapped destination leaves as IPv4, whatever the socket is.
        fits &= match message.to.ip().to_canonical() {
            IpAddr::V4(_) => writer.push(libc::IPPROTO_IP, libc::IP_TOS, &class),
            IpAddr::V6(_) => writer.push(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &class),
        };
    }
    if let Some(hops) = message.hops() {
        if !CAN_SET_HOP_LIMIT {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let hops = c_int::from(hops.get()).to_ne_bytes();
        fits &= match message.to.ip().to_canonical() {
            IpAddr::V4(_) => writer.push(libc::IPPROTO_IP, libc::IP_TTL, &hops),
            IpAddr::V6(_) => writer.push(libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT, &hops),
        };
    }
    if let Some(segment) = message.train() {
        if !offload::CAN_SEGMENT {
            return Err(io::ErrorKind::Unsupported.into());
        }
        fits &= writer.push(offload::LEVEL, offload::UDP_SEGMENT, &segment.get().to_ne_bytes());
    }
    if fits { Ok(writer.used()) } else { Err(sys::errno(libc::EINVAL)) }
}

fn local_v4(data: &[u8]) -> Option<Local> {
    let source = Ipv4Addr::from(array_at::<4>(data, offset_of!(in_pktinfo, ipi_spec_dst))?);
    let destination = Ipv4Addr::from(array_at::<4>(data, offset_of!(in_pktinfo, ipi_addr))?);
    Some(Local {
        destination: IpAddr::V4(destination),
        source: (!source.is_unspecified() && !source.is_multicast()).then_some(IpAddr::V4(source)),
        ifindex: u32::from_ne_bytes(array_at(data, offset_of!(in_pktinfo, ipi_ifindex))?),
    })
}

fn local_v6(data: &[u8]) -> Option<Local> {
    let destination = Ipv6Addr::from(array_at::<16>(data, offset_of!(in6_pktinfo, ipi6_addr))?);
    Some(Local {
        destination: IpAddr::V6(destination),
        source: (!destination.is_unspecified() && !destination.is_multicast())
            .then_some(IpAddr::V6(destination)),
        ifindex: u32::from_ne_bytes(array_at(data, offset_of!(in6_pktinfo, ipi6_ifindex))?),
    })
}

/// A `struct timespec` of the wall clock, in nanoseconds since 1970; none for what is before that.
#[cfg(target_os = "linux")]
fn moment(data: &[u8]) -> Option<u64> {
    const SECONDS: usize = size_of::<libc::time_t>();
    let number = |at: usize| -> Option<u64> {
        let bytes = array_at::<SECONDS>(data, at)?;
        u64::try_from(libc::time_t::from_ne_bytes(bytes)).ok()
    };
    let nanos = number(offset_of!(libc::timespec, tv_nsec))?;
    number(offset_of!(libc::timespec, tv_sec))?.checked_mul(1_000_000_000)?.checked_add(nanos)
}

fn pktinfo_v4(ip: Ipv4Addr, source: &Source) -> [u8; size_of::<in_pktinfo>()] {
    let mut data = [0; size_of::<in_pktinfo>()];
    data[offset_of!(in_pktinfo, ipi_ifindex)..][..4].copy_from_slice(&source.ifindex.to_ne_bytes());
    data[offset_of!(in_pktinfo, ipi_spec_dst)..][..4].copy_from_slice(&ip.octets());
    data
}

fn pktinfo_v6(ip: Ipv6Addr, source: &Source) -> [u8; size_of::<in6_pktinfo>()] {
    let mut data = [0; size_of::<in6_pktinfo>()];
    data[offset_of!(in6_pktinfo, ipi6_addr)..][..16].copy_from_slice(&ip.octets());
    data[offset_of!(in6_pktinfo, ipi6_ifindex)..][..4].copy_from_slice(&source.ifindex.to_ne_bytes());
    data
}

/// A small number that systems pass as one byte (TOS on Linux, TTL on macOS) or as an int.
fn byte(data: &[u8]) -> Option<u8> {
    match data {
        [byte] => Some(*byte),
        _ => array_at(data, 0).map(c_int::from_ne_bytes).and_then(|n| n.try_into().ok()),
    }
}

#[cfg(not(target_vendor = "apple"))]
const RECEIVED_TOS: c_int = libc::IP_TOS;
#[cfg(not(target_vendor = "apple"))]
const RECEIVED_TTL: c_int = libc::IP_TTL;
#[cfg(target_vendor = "apple")]
const RECEIVED_TOS: c_int = libc::IP_RECVTOS;
#[cfg(target_vendor = "apple")]
const RECEIVED_TTL: c_int = libc::IP_RECVTTL;

const INT: usize = cmsg::space(size_of::<c_int>());
const PKTINFO: usize = cmsg::space(size_of::<in6_pktinfo>());
/// A time stamp: two numbers of 64 bits, where the kernel gives any.
const STAMP: usize = cmsg::space(16);
/// Address, class, hop limit, segment size, fragment size, time stamp. A `u8` converts to whatever integer a C library has
/// for control lengths.
pub(crate) const RECV_CAPACITY: u8 = {
    let capacity = PKTINFO + 4 * INT + STAMP;
    assert!(capacity <= 255);
    capacity.to_le_bytes()[0]
};
/// Address, class, hop limit, segment size.
const SEND_CAPACITY: usize = PKTINFO + 2 * INT + cmsg::space(size_of::<u16>());
/// Whether this system takes the TTL of a single IPv4 message as control data. Linux does since 3.13.
pub(crate) const CAN_SET_HOP_LIMIT: bool = cfg!(target_os = "linux");

const _: () = assert!(
    size_of::<in_pktinfo>() <= size_of::<in6_pktinfo>()
        && align_of::<RecvControl>() == align_of::<libc::cmsghdr>()
        && align_of::<SendControl>() == align_of::<libc::cmsghdr>(),
    "capacities are reckoned for IPv6, and the kernel's headers lie at the start of the buffers"
);

#[cfg(test)]
mod tests {
    use std::io::IoSlice;
    use std::num::{NonZeroU8, NonZeroU16};

    use super::*;

    const HOPS: NonZeroU8 = NonZeroU8::new(63).unwrap();

    fn written(to: &str, from: Option<Source>, payload: &[u8], segment: u16) -> io::Result<Received> {
        let parts = [IoSlice::new(payload)];
        let segment = NonZeroU16::new(segment);
        let hop_limit = CAN_SET_HOP_LIMIT.then_some(HOPS);
        let message = SendMessage {
            to: to.parse().unwrap(),
            from,
            parts: &parts,
            segment,
            tos: 0xB8 | 0b10,
            hop_limit,
        };
        let mut buffer = SendControl::new();
        let used = write(&message, &mut buffer)?;
        Ok(read(&buffer.bytes[..used]))
    }

    #[test]
    fn source_and_class_of_both_families_survive() {
        for (to, ip) in [("192.0.2.1:9", "192.0.2.7"), ("[2001:db8::1]:9", "2001:db8::7")] {
            let ip: IpAddr = ip.parse().unwrap();
            let read = written(to, Some(Source { ip, ifindex: 3 }), b"x", 0).unwrap();
            assert_eq!(read.tos, Some(0xB8 | 0b10));
            assert_eq!(read.hop_limit, CAN_SET_HOP_LIMIT.then_some(63));
            let local = read.local.unwrap();
            assert_eq!((local.source, local.ifindex), (Some(ip), 3));
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_longest_control_data_fit() {
        for to in ["192.0.2.1:9", "[2001:db8::1]:9"] {
            let ip = to.parse::<SocketAddr>().unwrap().ip();
            let parts = [IoSlice::new(b"two datagrams")];
            let (from, segment) = (Some(Source { ip, ifindex: 3 }), NonZeroU16::new(7));
            let to = to.parse().unwrap();
            let message = SendMessage { to, from, parts: &parts, segment, tos: 3, hop_limit: Some(HOPS) };
            let mut buffer = SendControl::new();
            let used = write(&message, &mut buffer).unwrap();
            let kinds: Vec<_> = cmsg::messages(&buffer.bytes[..used]).map(|message| message.kind).collect();
            assert_eq!(kinds.len(), 4, "{to}: {kinds:?}");
            assert!(ip.is_ipv4() || used == SEND_CAPACITY, "{used} of {SEND_CAPACITY} bytes");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_mapped_destination_is_given_a_ttl_and_a_group_is_given_none() {
        let kinds = |to: &str| -> Vec<(c_int, c_int)> {
            let (to, hop_limit) = (to.parse().unwrap(), Some(HOPS));
            let message = SendMessage { to, from: None, parts: &[], segment: None, tos: 0, hop_limit };
            let mut buffer = SendControl::new();
            let used = write(&message, &mut buffer).unwrap();
            assert_eq!(message.is_plain(), used == 0, "{to}");
            cmsg::messages(&buffer.bytes[..used]).map(|message| (message.level, message.kind)).collect()
        };
        let (v4, v6) = ((libc::IPPROTO_IP, libc::IP_TTL), (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT));
        assert_eq!(kinds("192.0.2.1:9"), [v4]);
        assert_eq!(kinds("255.255.255.255:9"), [v4]);
        assert_eq!(kinds("[2001:db8::1]:9"), [v6]);
        assert_eq!(kinds("[::ffff:192.0.2.1]:9"), [v4]);
        for group in ["239.1.2.3:9", "[ff02::1]:9", "[::ffff:239.1.2.3]:9"] {
            assert_eq!(kinds(group), [], "{group}");
        }
    }

    #[test]
    fn a_source_of_the_other_family_is_an_error() {
        let source = Source { ip: "192.0.2.7".parse().unwrap(), ifindex: 0 };
        let error = written("[::1]:9", Some(source), b"x", 0).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    }

    #[test]
    fn group_and_unspecified_addresses_are_never_a_source() {
        let source = Source { ip: "ff02::1".parse().unwrap(), ifindex: 1 };
        assert_eq!(written("[::1]:9", Some(source), b"x", 0).unwrap().local.unwrap().source, None);
        let source = Source { ip: "0.0.0.0".parse().unwrap(), ifindex: 1 };
        assert_eq!(written("127.0.0.1:9", Some(source), b"x", 0).unwrap().local.unwrap().source, None);
    }

    #[test]
    fn short_data_is_unknown_not_wrong() {
        for len in 0..20 {
            let mut buffer = RecvControl::new();
            let mut writer = cmsg::Writer::new(&mut buffer.bytes);
            assert!(writer.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &vec![1; len]));
            let used = writer.used();
            assert_eq!(read(&buffer.bytes[..used]).local, None, "{len} bytes of 20");
        }
        let mut buffer = RecvControl::new();
        let mut writer = cmsg::Writer::new(&mut buffer.bytes);
        assert!(writer.push(libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT, &300_i32.to_ne_bytes()));
        assert!(writer.push(offload::LEVEL, offload::UDP_GRO, &(-1_i32).to_ne_bytes()));
        assert_eq!(read(&buffer.bytes), Received::default(), "values out of range");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_time_stamp_is_unix_time_in_nanoseconds() {
        let stamp = |seconds: i64, nanos: i64| {
            let mut buffer = RecvControl::new();
            let mut writer = cmsg::Writer::new(&mut buffer.bytes);
            let data = [seconds.to_ne_bytes(), nanos.to_ne_bytes()].concat();
            assert!(writer.push(libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, &data));
            let used = writer.used();
            read(&buffer.bytes[..used]).unix_ns
        };
        assert_eq!(stamp(1_700_000_000, 123_456_789), Some(1_700_000_000_123_456_789));
        // No time is better than a wrong one.
        assert_eq!([stamp(-1, 0), stamp(1, -1), stamp(i64::MAX, 0)], [None; 3]);
    }

    #[test]
    fn any_single_byte_error_is_harmless() {
        let mut buffer = RecvControl::new();
        let mut writer = cmsg::Writer::new(&mut buffer.bytes);
        assert!(writer.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &[7; size_of::<in_pktinfo>()]));
        assert!(writer.push(libc::IPPROTO_IP, RECEIVED_TTL, &64_i32.to_ne_bytes()));
        assert_eq!(read(&buffer.bytes).hop_limit, Some(64));
        for at in 0..usize::from(RECV_CAPACITY) {
            for value in 0..=u8::MAX {
                let mut garbled = buffer.bytes;
                garbled[at] = value;
                let read = read(&garbled);
                assert!(read.unix_ns.is_none() && read.segment.is_none_or(|size| size < 0x8000));
            }
        }
    }
}
