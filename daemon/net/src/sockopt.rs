//! `setsockopt(2)` and `getsockopt(2)` for the options that socket2 does not cover.
#![expect(unsafe_code, reason = "the two calls take a pointer to the option's value")]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use libc::{c_int, socklen_t};

use crate::sys;

/// Sets an option whose value is a C int.
pub(crate) fn set_int(socket: &impl AsFd, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    set(socket, level, name, &value)
}

/// Sets an option whose value is the C type `T`.
pub(crate) fn set<T: Copy>(socket: &impl AsFd, level: c_int, name: c_int, value: &T) -> io::Result<()> {
    let fd = socket.as_fd().as_raw_fd();
    let len = sys::fit::<usize, socklen_t>(size_of::<T>())?;
    let value = (&raw const *value).cast::<libc::c_void>();
    // SAFETY: `value` leads to a live `T`, whose size is passed with it; the kernel only reads.
    sys::check(unsafe { libc::setsockopt(fd, level, name, value, len) })
}

/// Reads an option whose value is a C int.
pub(crate) fn get_int(socket: &impl AsFd, level: c_int, name: c_int) -> io::Result<c_int> {
    get::<1>(socket, level, name).map(|[value]| value)
}

/// Reads an option whose value is up to `N` C ints; those the kernel does not know stay 0.
pub(crate) fn get<const N: usize>(socket: &impl AsFd, level: c_int, name: c_int) -> io::Result<[c_int; N]> {
    let fd = socket.as_fd().as_raw_fd();
    let mut values = [0; N];
    let mut len = sys::fit::<usize, socklen_t>(size_of_val(&values))?;
    let target = values.as_mut_ptr().cast::<libc::c_void>();
    // SAFETY: `target` leads to `len` writable bytes, and ints may hold whatever the kernel writes.
    sys::check(unsafe { libc::getsockopt(fd, level, name, target, &raw mut len) })?;
    Ok(values)
}
