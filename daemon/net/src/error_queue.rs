//! The error queue of a socket: `IP_RECVERR` of `ip(7)`. ICMP errors with all they say, for clients that search for
//! the path MTU; never for a server's socket, where one dead peer would make sends to all others fail.
#![cfg_attr(target_os = "linux", expect(unsafe_code, reason = "recvmsg writes through pointers"))]

use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::UdpSocket;

/// One error from the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueuedError {
    /// The errno it stands for, such as ECONNREFUSED or EMSGSIZE.
    pub errno: i32,
    /// Who reported it.
    pub origin: ErrorOrigin,
    /// The MTU in bytes, IP header included, if `errno` is EMSGSIZE: of the next hop, or of the way out of this host.
    pub mtu: Option<u32>,
    /// The router or host that reported it, if an ICMP message did.
    pub offender: Option<IpAddr>,
    /// Where the datagram at fault was sent to, as quoted in the report.
    pub destination: Option<SocketAddr>,
    /// Bytes of that datagram's payload that were quoted and fitted the caller's memory.
    pub quoted: usize,
}

/// Who reported an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorOrigin {
    /// This host, before the datagram left.
    Local,
    /// An ICMP message (RFC 792).
    Icmp {
        /// Its type.
        kind: u8,
        /// Its code.
        code: u8,
    },
    /// An `ICMPv6` message (RFC 4443).
    Icmp6 {
        /// Its type.
        kind: u8,
        /// Its code.
        code: u8,
    },
    /// Something else, by the number of `linux/errqueue.h`.
    Other(u8),
}

impl UdpSocket {
    /// Turns the error queue on or off. While on, errors reach the socket even if it is not connected, and each also
    /// fails one send or receive; poll reports it as an error condition.
    ///
    /// # Errors
    /// `Unsupported` off Linux.
    pub fn set_error_queue(&self, on: bool) -> io::Result<()> {
        queue::set(self, on)
    }

    /// Takes the oldest error from the queue, and the start of the datagram at fault into `quote`; `None` if the queue
    /// is empty. Never blocks.
    ///
    /// # Errors
    /// `Unsupported` off Linux; EBADF and the like are bugs. EINTR is repeated inside.
    pub fn next_error(&self, quote: &mut [u8]) -> io::Result<Option<QueuedError>> {
        queue::next(self, quote)
    }
}

#[cfg(target_os = "linux")]
mod queue {
    use std::mem::offset_of;
    use std::os::fd::AsRawFd;

    use libc::sock_extended_err;

    use super::{ErrorOrigin, QueuedError, SocketAddr, UdpSocket, io};
    use crate::address::RawAddress;
    use crate::cmsg::{self, array_at};
    use crate::control::RECV_CAPACITY;
    use crate::sockopt;
    use crate::sys::{self, Header};

    pub(super) fn set(socket: &UdpSocket, on: bool) -> io::Result<()> {
        if socket.is_ipv6() {
            sockopt::set_int(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, on.into())
        } else {
            sockopt::set_int(socket, libc::IPPROTO_IP, libc::IP_RECVERR, on.into())
        }
    }

    pub(super) fn next(socket: &UdpSocket, quote: &mut [u8]) -> io::Result<Option<QueuedError>> {
        let mut name = RawAddress::new();
        let mut control = cmsg::Buffer::<CAPACITY>::new();
        let mut vector = libc::iovec { iov_base: quote.as_mut_ptr().cast(), iov_len: quote.len() };
        let mut header = Header::new();
        header.msg.msg_name = (&raw mut name).cast();
        header.msg.msg_namelen = RawAddress::CAPACITY;
        header.msg.msg_iov = &raw mut vector;
        header.msg.msg_iovlen = 1;
        header.msg.msg_control = control.bytes.as_mut_ptr().cast();
        header.msg.msg_controllen = sys::fit(CAPACITY)?;
        let (fd, message) = (socket.as_raw_fd(), &raw mut header.msg);
        let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
        // SAFETY: the header's pointers lead to the live, writable locals above and to `quote`, of the lengths stated.
        let quoted = match sys::retry(|| unsafe { libc::recvmsg(fd, message, flags) }) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            result => result?,
        };
        let control = &control.bytes[..sys::length(header.msg.msg_controllen).min(CAPACITY)];
        let destination = name.get(header.msg.msg_namelen);
        Ok(Some(read(control, destination, quoted).unwrap_or(UNEXPLAINED)))
    }

    /// Finds the report among the control messages.
    pub(super) fn read(
        control: &[u8],
        destination: Option<SocketAddr>,
        quoted: usize,
    ) -> Option<QueuedError> {
        let message = cmsg::messages(control).find(|message| {
            matches!(
                (message.level, message.kind),
                (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
            )
        })?;
        let data = message.data;
        let errno =
            i32::try_from(u32::from_ne_bytes(array_at(data, offset_of!(sock_extended_err, ee_errno))?))
                .ok()?;
        let [origin, kind, code] = array_at(data, offset_of!(sock_extended_err, ee_origin))?;
        let info = u32::from_ne_bytes(array_at(data, offset_of!(sock_extended_err, ee_info))?);
        let offender = data.get(size_of::<sock_extended_err>()..).and_then(RawAddress::from_bytes);
        Some(QueuedError {
            errno,
            origin: match origin {
                libc::SO_EE_ORIGIN_LOCAL => ErrorOrigin::Local,
                libc::SO_EE_ORIGIN_ICMP => ErrorOrigin::Icmp { kind, code },
                libc::SO_EE_ORIGIN_ICMP6 => ErrorOrigin::Icmp6 { kind, code },
                other => ErrorOrigin::Other(other),
            },
            mtu: (errno == libc::EMSGSIZE).then_some(info),
            offender: offender.map(|address| address.ip()),
            destination,
            quoted,
        })
    }

    /// For a queue entry without a report, which the kernel does not make: it must not look like an empty queue.
    const UNEXPLAINED: QueuedError = QueuedError {
        errno: libc::EPROTO,
        origin: ErrorOrigin::Other(0),
        mtu: None,
        offender: None,
        destination: None,
        quoted: 0,
    };

    /// The report with its address, and what else the socket may have asked for.
    const CAPACITY: usize = cmsg::space(size_of::<sock_extended_err>() + size_of::<libc::sockaddr_in6>())
        + RECV_CAPACITY as usize;

    const _: () = assert!(
        offset_of!(sock_extended_err, ee_type) == offset_of!(sock_extended_err, ee_origin) + 1
            && offset_of!(sock_extended_err, ee_code) == offset_of!(sock_extended_err, ee_origin) + 2
    );
}

/// Reads a report from arbitrary bytes.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    #[cfg(target_os = "linux")]
    if let Some(error) = queue::read(bytes, None, 7) {
        assert!(error.errno >= 0 && error.quoted == 7);
        assert!(error.mtu.is_none() || error.errno == libc::EMSGSIZE);
    }
    #[cfg(not(target_os = "linux"))]
    let _: &[u8] = bytes;
}

#[cfg(not(target_os = "linux"))]
mod queue {
    use super::{QueuedError, UdpSocket, io};

    pub(super) fn set(_: &UdpSocket, _: bool) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn next(_: &UdpSocket, _: &mut [u8]) -> io::Result<Option<QueuedError>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmsg;

    /// "Fragmentation needed" from 192.0.2.9 with a next hop of 1400, as the kernel lays it out.
    const REPORT: [u8; 32] = {
        let mut data = [0; 32];
        data[0] = libc::EMSGSIZE.to_le_bytes()[0];
        [data[4], data[5], data[6]] = [2, 3, 4];
        [data[8], data[9]] = 1400_u16.to_le_bytes();
        data[16] = 2;
        [data[20], data[21], data[22], data[23]] = [192, 0, 2, 9];
        data
    };

    #[test]
    fn a_report_is_read_whole_or_not_at_all() {
        for len in 0..=REPORT.len() {
            let mut buffer = cmsg::Buffer::<64>::new();
            let mut writer = cmsg::Writer::new(&mut buffer.bytes);
            assert!(writer.push(libc::IPPROTO_IP, libc::IP_RECVERR, &REPORT[..len]));
            let used = writer.used();
            let read = queue::read(&buffer.bytes[..used], None, 7);
            assert_eq!(read.is_some(), len >= 12, "{len} bytes");
            if len == REPORT.len() && cfg!(target_endian = "little") {
                let error = read.unwrap();
                assert_eq!((error.errno, error.mtu, error.quoted), (libc::EMSGSIZE, Some(1400), 7));
                assert_eq!(error.origin, ErrorOrigin::Icmp { kind: 3, code: 4 });
                assert_eq!(error.offender, Some("192.0.2.9".parse().unwrap()));
            }
        }
        assert_eq!(queue::read(&[], None, 0), None);
    }
}
