//! The network interface that a socket is tied to: `SO_BINDTODEVICE` of `socket(7)`. Linux only.

use std::io;
use std::net::SocketAddr;

#[cfg(target_os = "linux")]
use socket2::SockFilter;
use socket2::Socket;

#[cfg(target_os = "linux")]
use crate::connect;
use crate::{SocketOptions, interface_index};

/// Ties a socket that was taken over as its options say, if it is not tied so. The interface of a link-local address is none
/// of its options'.
pub(crate) fn tie_as(socket: &Socket, options: &SocketOptions) -> io::Result<()> {
    if cfg!(not(target_os = "linux")) {
        return tie_again(socket, options.device.as_deref());
    }
    let wanted = match (&options.device, local(socket)?) {
        (Some(name), _) => match interface_index(name) {
            Err(_) if options.device_later => return tie_to_nobody(socket),
            index => Some(index?),
        },
        (None, SocketAddr::V6(local)) if local.scope_id() > 0 => return Ok(()),
        (None, _) => None,
    };
    if tied_to(socket)? == wanted { Ok(()) } else { tie_again(socket, options.device.as_deref()) }
}

fn local(socket: &Socket) -> io::Result<SocketAddr> {
    socket.local_addr()?.as_socket().ok_or_else(|| io::ErrorKind::Unsupported.into())
}

/// Ties a new socket as the options say. `false`: the interface is not there, which is no error; then the socket takes nothing
/// until [`tie_to_nobody`] is called, which is for when it is bound.
#[cfg(target_os = "linux")]
pub(crate) fn tie(socket: &Socket, options: &SocketOptions) -> io::Result<bool> {
    let Some(device) = &options.device else { return Ok(true) };
    match socket.bind_device(Some(device.as_bytes())) {
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) && options.device_later => {
            shut(socket)?;
            Ok(false)
        }
        result => result.map(|()| true),
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn tie(_: &Socket, options: &SocketOptions) -> io::Result<bool> {
    if options.device.is_some() { Err(io::ErrorKind::Unsupported.into()) } else { Ok(true) }
}

/// Where an address is bound whose interface is not there: one that is link-local has to have some interface.
pub(crate) fn anywhere(mut addr: SocketAddr) -> SocketAddr {
    /// Loopback has this index in every network namespace.
    const LOOPBACK: u32 = 1;
    if let SocketAddr::V6(six) = &mut addr
        && six.ip().is_unicast_link_local()
    {
        six.set_scope_id(LOOPBACK);
    }
    addr
}

#[cfg(target_os = "linux")]
pub(crate) fn tied_to(socket: &Socket) -> io::Result<Option<u32>> {
    let index = crate::sockopt::get_int(socket, libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX)?;
    Ok(u32::try_from(index).ok().filter(|index| *index > 0))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn tied_to(_: &Socket) -> io::Result<Option<u32>> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Since Linux 5.7 anybody may tie a socket, but only who has `CAP_NET_RAW` may tie again one that is tied. Undoing
/// `connect(2)` unties it for anybody; a filter keeps away what comes in between.
#[cfg(target_os = "linux")]
pub(crate) fn tie_again(socket: &Socket, device: Option<&str>) -> io::Result<()> {
    let inner = socket;
    let name = device.map(str::as_bytes);
    match inner.bind_device(name) {
        // An earlier call may have failed on its way.
        Ok(()) => return open(inner),
        Err(error) if error.raw_os_error() != Some(libc::EPERM) => return Err(error),
        Err(_) => {}
    }
    untie(socket)?;
    inner.bind_device(name)?;
    open(inner)
}

/// Unties the socket without a right, and lets nothing in.
#[cfg(target_os = "linux")]
fn untie(socket: &Socket) -> io::Result<()> {
    let before = local(socket)?;
    shut(socket)?;
    connect::dissolve(socket)?;
    // A port that the system had chosen went with it.
    if local(socket)?.port() != before.port() { socket.bind(&before.into()) } else { Ok(()) }
}

/// Ties the socket to an interface that does not exist, so that nothing comes in or goes out.
#[cfg(target_os = "linux")]
pub(crate) fn tie_to_nobody(socket: &Socket) -> io::Result<()> {
    /// The kernel counts interfaces from 1 on.
    const NOBODY: libc::c_int = libc::c_int::MAX;
    untie(socket)?;
    crate::sockopt::set_int(socket, libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX, NOBODY)?;
    open(socket)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn tie_to_nobody(_: &Socket) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn tie_again(_: &Socket, device: Option<&str>) -> io::Result<()> {
    if device.is_some() { Err(io::ErrorKind::Unsupported.into()) } else { Ok(()) }
}

/// Lets nothing in.
#[cfg(target_os = "linux")]
fn shut(socket: &Socket) -> io::Result<()> {
    /// `BPF_RET | BPF_K` of `linux/bpf_common.h`: returns how many bytes of a datagram are taken.
    const RETURN: u16 = 0x06;
    socket.attach_filter(&[SockFilter::new(RETURN, 0, 0, 0)])
}

/// Undoes [`shut`].
#[cfg(target_os = "linux")]
fn open(socket: &Socket) -> io::Result<()> {
    match socket.detach_filter() {
        // There is none.
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        result => result,
    }
}
