//! Interface names and indices: `if_nametoindex(3)`.
#![expect(unsafe_code, reason = "the two calls take C strings")]

use std::ffi::{CStr, CString};
use std::io;

use libc::c_char;

/// The index of the interface called `name`.
///
/// # Errors
/// ENODEV if there is none.
pub fn interface_index(name: &str) -> io::Result<u32> {
    let name = CString::new(name).map_err(|_| crate::sys::errno(libc::ENODEV))?;
    // SAFETY: `name` is a string with a final NUL.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

/// The name of the interface with `index`.
///
/// # Errors
/// ENXIO if there is none.
pub fn interface_name(index: u32) -> io::Result<String> {
    let mut buffer: [c_char; libc::IF_NAMESIZE] = [0; libc::IF_NAMESIZE];
    // SAFETY: `buffer` has the IF_NAMESIZE bytes that the call may write.
    let name = unsafe { libc::if_indextoname(index, buffer.as_mut_ptr()) };
    if name.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: not null, so it is `buffer`, in which the call has left a string with its final NUL.
    let name = unsafe { CStr::from_ptr(name) };
    Ok(name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_by_name_and_by_index() {
        let name = if cfg!(target_os = "linux") { "lo" } else { "lo0" };
        let index = interface_index(name).unwrap();
        assert_eq!(interface_name(index).unwrap(), name);
        interface_index("no-such-if").unwrap_err();
        interface_index("nul\0inside").unwrap_err();
        interface_name(u32::MAX).unwrap_err();
    }
}
