//! Trains of datagrams: `UDP_SEGMENT` cuts one message into many on the way out, `UDP_GRO` joins many into one
//! on the way in (`udp(7)`).

use std::io;

use crate::{UdpSocket, sockopt};

/// Most datagrams in one `UDP_SEGMENT` message. Kernels before 6.9 allow 64, later ones 128; the lower holds
/// everywhere.
pub const MAX_SEGMENTS: usize = 64;

impl UdpSocket {
    /// Lets the kernel join datagrams of one sender into trains of up to 64 KiB; [`crate::RecvMeta::segment`] then
    /// says how to cut them. Off by default: it needs slots of [`crate::MAX_DATAGRAM`] bytes, and once any socket
    /// of the host has it on, every arriving packet pays a look-up for it. Worth it for few peers sending in bulk.
    ///
    /// # Errors
    /// `Unsupported` off Linux; `InvalidInput` after [`UdpSocket::keep_apart`]; ENOPROTOOPT before Linux 5.0.
    pub fn set_gro(&self, on: bool) -> io::Result<()> {
        if !CAN_SEGMENT {
            return Err(io::ErrorKind::Unsupported.into());
        }
        if on {
            if self.apart() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "its datagrams are kept apart"));
            }
            self.expect_control();
        }
        sockopt::set_int(self, LEVEL, UDP_GRO, on.into())
    }

    /// Whether this kernel takes [`crate::SendMessage::segment`]. It says nothing of the device: EIO at send time still
    /// means that one cannot.
    #[must_use]
    pub fn can_segment(&self) -> bool {
        CAN_SEGMENT && sockopt::get_int(self, LEVEL, UDP_SEGMENT).is_ok()
    }
}

/// Whether this system has the two options at all.
pub(crate) const CAN_SEGMENT: bool = cfg!(target_os = "linux");

pub(crate) const LEVEL: libc::c_int = libc::IPPROTO_UDP;
// The values of linux/udp.h; elsewhere never passed to the kernel.
pub(crate) const UDP_SEGMENT: libc::c_int = 103;
pub(crate) const UDP_GRO: libc::c_int = 104;
#[cfg(target_os = "linux")]
const _: () = assert!(UDP_SEGMENT == libc::UDP_SEGMENT && UDP_GRO == libc::UDP_GRO && LEVEL == libc::SOL_UDP);
