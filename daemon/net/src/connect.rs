//! Undoing `connect(2)`: an address of family `AF_UNSPEC`.
#![expect(unsafe_code, reason = "std and socket2 have no address without a family")]

use std::io;
use std::os::fd::AsRawFd;

use crate::sys;

pub(crate) fn dissolve(socket: &impl AsRawFd) -> io::Result<()> {
    // SAFETY: sockaddr is a C struct of integers; all zero is AF_UNSPEC.
    let nobody = unsafe { std::mem::zeroed::<libc::sockaddr>() };
    let len = sys::fit(size_of::<libc::sockaddr>())?;
    // SAFETY: `nobody` is a live sockaddr of that length.
    match sys::check(unsafe { libc::connect(socket.as_raw_fd(), &raw const nobody, len) }) {
        // On macOS the kernel dissolves the association and then reports this.
        Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) && cfg!(target_vendor = "apple") => {
            Ok(())
        }
        result => result,
    }
}
