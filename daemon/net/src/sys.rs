//! What every system call here shares: the message header, the retry on EINTR, the integer conversions.
#![expect(unsafe_code, reason = "message headers are zeroed as C does it: libc keeps padding fields private")]

use std::io;

use libc::{c_int, c_uint, msghdr};

/// `struct mmsghdr`, defined here so that the call-by-call path on systems without it uses the same arrays.
#[repr(C)]
pub(crate) struct Header {
    pub(crate) msg: msghdr,
    /// Bytes received into, or sent from, the message.
    pub(crate) len: c_uint,
}

#[cfg(target_os = "linux")]
const _: () = assert!(
    size_of::<Header>() == size_of::<libc::mmsghdr>()
        && align_of::<Header>() == align_of::<libc::mmsghdr>()
        && std::mem::offset_of!(Header, len) == std::mem::offset_of!(libc::mmsghdr, msg_len),
    "Header is passed where the kernel expects mmsghdr"
);

impl Header {
    pub(crate) const fn new() -> Self {
        // SAFETY: msghdr is a C struct of integers and raw pointers, all of which may be zero.
        let msg = unsafe { std::mem::zeroed::<msghdr>() };
        Self { msg, len: 0 }
    }
}

/// Runs a system call until it is not interrupted by a signal; a negative result becomes the errno.
///
/// Only for calls that do not block, so the repetition is bounded by the number of signals.
pub(crate) fn retry<R>(mut call: impl FnMut() -> R) -> io::Result<usize>
where
    usize: TryFrom<R>,
{
    loop {
        if let Ok(done) = usize::try_from(call()) {
            return Ok(done);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Turns the 0 or -1 of a system call into a result.
pub(crate) fn check(result: c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The error the kernel would give for `errno`.
pub(crate) fn errno(errno: c_int) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

/// Converts between the integer types that C libraries choose differently for one field; EINVAL if it does not fit.
pub(crate) fn fit<T, U: TryFrom<T>>(value: T) -> io::Result<U> {
    U::try_from(value).map_err(|_| errno(libc::EINVAL))
}

/// Converts a length the kernel wrote; what does not fit is taken as 0.
pub(crate) fn length<T>(value: T) -> usize
where
    usize: TryFrom<T>,
{
    usize::try_from(value).unwrap_or(0)
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;

    fn fail_with(errno: c_int) -> isize {
        // SAFETY: the call only tells where this thread's errno lies.
        let location = unsafe { libc::__errno_location() };
        // SAFETY: it lies in memory of this thread, valid as long as the thread lives.
        unsafe { location.write(errno) };
        -1
    }

    #[test]
    fn only_an_interruption_is_repeated() {
        let mut calls = 0;
        let done = retry(|| {
            calls += 1;
            if calls < 3 { fail_with(libc::EINTR) } else { 7 }
        });
        assert_eq!((done.unwrap(), calls), (7, 3));

        let mut calls = 0;
        let failed = retry(|| {
            calls += 1;
            fail_with(libc::EAGAIN)
        });
        assert_eq!((failed.unwrap_err().raw_os_error(), calls), (Some(libc::EAGAIN), 1));
    }
}
