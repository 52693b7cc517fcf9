//! Socket buffers: asked for, and got.

use std::io;

use socket2::Socket;

/// The two buffers of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffers {
    /// Datagrams that wait to be read.
    pub recv: BufferSize,
    /// Datagrams on their way to the device.
    pub send: BufferSize,
}

/// A buffer's size in bytes, in the unit of `SO_RCVBUF` and `SO_SNDBUF` as one sets them. Linux doubles the value for
/// its own book-keeping and reports it doubled (`socket(7)`); that is undone here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferSize {
    /// What [`crate::SocketOptions`] asked for; `None` if it left the system's default.
    pub asked: Option<usize>,
    /// What the kernel granted.
    pub got: usize,
}

impl BufferSize {
    /// Whether the kernel granted less than was asked: raise `net.core.rmem_max` (`wmem_max` for sending), or grant
    /// `CAP_NET_ADMIN`.
    #[must_use]
    pub fn clamped(&self) -> bool {
        self.asked.is_some_and(|asked| self.got < asked)
    }
}

/// Which buffer is meant.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Direction {
    Recv,
    Send,
}

/// Asks for `size` bytes. Being granted less is no error here: [`Buffers`] reports it.
pub(crate) fn ask(socket: &Socket, direction: Direction, size: usize) -> io::Result<()> {
    // A size beyond the kernel's int would wrap to a negative, which it takes for the minimum.
    let size = size.min(MAX_ASK);
    // One that `CAP_NET_ADMIN` has granted would shrink to the limit, where the process has given that up.
    if granted(socket, direction)? == size {
        return Ok(());
    }
    match direction {
        Direction::Recv => socket.set_recv_buffer_size(size)?,
        Direction::Send => socket.set_send_buffer_size(size)?,
    }
    if granted(socket, direction)? < size {
        force(socket, direction, size);
    }
    Ok(())
}

/// Raises a receive buffer to `size` bytes, as far as the limit of the system goes. A larger one stays as it is.
pub(crate) fn raise(socket: &Socket, size: usize) -> io::Result<()> {
    if granted(socket, Direction::Recv)? < size {
        socket.set_recv_buffer_size(size.min(MAX_ASK))?;
    }
    Ok(())
}

/// The size in the unit of [`ask`].
pub(crate) fn granted(socket: &Socket, direction: Direction) -> io::Result<usize> {
    let size = match direction {
        Direction::Recv => socket.recv_buffer_size()?,
        Direction::Send => socket.send_buffer_size()?,
    };
    Ok(if cfg!(target_os = "linux") { size / 2 } else { size })
}

/// Goes past the limit where `CAP_NET_ADMIN` allows it; being refused is the common case and no fault.
#[cfg(target_os = "linux")]
fn force(socket: &Socket, direction: Direction, size: usize) {
    let name = match direction {
        Direction::Recv => libc::SO_RCVBUFFORCE,
        Direction::Send => libc::SO_SNDBUFFORCE,
    };
    if let Ok(size) = crate::sys::fit(size) {
        drop(crate::sockopt::set_int(socket, libc::SOL_SOCKET, name, size));
    }
}

#[cfg(not(target_os = "linux"))]
fn force(_: &Socket, _: Direction, _: usize) {}

/// The kernel doubles what is asked and keeps it in an int.
const MAX_ASK: usize = (libc::c_int::MAX / 2) as usize;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clamped_means_less_than_asked() {
        assert!(BufferSize { asked: Some(10), got: 9 }.clamped());
        assert!(!BufferSize { asked: Some(10), got: 10 }.clamped());
        assert!(!BufferSize { asked: Some(1), got: 1152 }.clamped(), "the kernel has a minimum, too");
        assert!(!BufferSize { asked: None, got: 9 }.clamped());
    }
}
