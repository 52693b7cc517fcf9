//! IP fragments: whether what came had been cut on its way, and sending what must not be cut (RFC 791 section 2.3, RFC
//! 8200 section 4.5).

use std::io;

use crate::{SendBatch, SendMessage, UdpSocket};

/// Whether this system can send single datagrams unfragmented. Elsewhere [`SendBatch::send_unfragmented`] is
/// `Unsupported`.
pub const CAN_SEND_UNFRAGMENTED: bool = cfg!(target_os = "linux");

impl UdpSocket {
    /// Fills [`crate::RecvMeta::fragment`] from now on, or no longer (`IP_RECVFRAGSIZE`, `IPV6_RECVFRAGSIZE` of
    /// `linux/in.h` and `linux/in6.h`). A router or firewall that puts fragments together hides them: then the datagram
    /// looks whole.
    ///
    /// # Errors
    /// `Unsupported` where the kernel does not tell: Linux before 4.10, and other systems.
    pub fn set_recv_fragment_size(&self, on: bool) -> io::Result<()> {
        system::set_recv_size(self, on)?;
        self.expect_control();
        Ok(())
    }
}

impl SendBatch {
    /// Sends as [`Self::send_iter`] does, but whole or not at all: over IPv4 with the don't-fragment bit, over IPv6 without
    /// fragmenting here, and without regard to what is known about the path, which may be forged or out of date. What is
    /// longer than the interface takes fails with EMSGSIZE. Other messages of the socket are not concerned.
    ///
    /// UDP has no control message for it, so this costs three more system calls for the whole batch.
    ///
    /// # Errors
    /// Those of [`Self::send`]; `Unsupported` unless [`CAN_SEND_UNFRAGMENTED`].
    pub fn send_unfragmented<'a>(
        &mut self,
        socket: &UdpSocket,
        messages: impl IntoIterator<IntoIter: ExactSizeIterator<Item = SendMessage<'a>> + Clone>,
    ) -> io::Result<usize> {
        let _whole = system::Whole::new(socket)?;
        self.send_iter(socket, messages)
    }

    /// Sends as [`Self::send_connected`] does, whole or not at all as [`Self::send_unfragmented`] says.
    ///
    /// # Errors
    /// Those of both.
    pub fn send_connected_unfragmented<'a>(
        &mut self,
        socket: &UdpSocket,
        messages: impl IntoIterator<IntoIter: ExactSizeIterator<Item = SendMessage<'a>> + Clone>,
    ) -> io::Result<usize> {
        let _whole = system::Whole::new(socket)?;
        self.send_connected(socket, messages)
    }
}

#[cfg(target_os = "linux")]
mod system {
    use libc::c_int;

    use super::{UdpSocket, io};
    use crate::sockopt;

    pub(super) fn set_recv_size(socket: &UdpSocket, on: bool) -> io::Result<()> {
        let (level, name) = if socket.is_ipv6() {
            (libc::IPPROTO_IPV6, libc::IPV6_RECVFRAGSIZE)
        } else {
            (libc::IPPROTO_IP, libc::IP_RECVFRAGSIZE)
        };
        match sockopt::set_int(socket, level, name, on.into()) {
            Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => {
                Err(io::ErrorKind::Unsupported.into())
            }
            result => result,
        }
    }

    /// While it lives, what its socket sends leaves whole or not at all. The option is read and put back each time: a
    /// descriptor of the same socket elsewhere may have changed it.
    pub(super) struct Whole<'s> {
        socket: &'s UdpSocket,
        before: c_int,
    }

    impl<'s> Whole<'s> {
        pub(super) fn new(socket: &'s UdpSocket) -> io::Result<Self> {
            let (level, name, probe) = option(socket);
            let before = sockopt::get_int(socket, level, name)?;
            sockopt::set_int(socket, level, name, probe)?;
            Ok(Self { socket, before })
        }
    }

    impl Drop for Whole<'_> {
        fn drop(&mut self) {
            let (level, name, _) = option(self.socket);
            // The kernel takes back the value that it gave.
            let restored = sockopt::set_int(self.socket, level, name, self.before);
            debug_assert!(restored.is_ok(), "{restored:?}");
        }
    }

    fn option(socket: &UdpSocket) -> (c_int, c_int, c_int) {
        if socket.is_ipv6() {
            (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE)
        } else {
            (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE)
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{UdpSocket, io};

    pub(super) fn set_recv_size(_: &UdpSocket, _: bool) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) struct Whole;

    impl Whole {
        pub(super) fn new(_: &UdpSocket) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }
}
