//! Pointers of the ABI as what they point to: texts, and so many of anything.
#![expect(unsafe_code, reason = "the plugin boundary: pointers become borrowed memory here")]

use core::ffi::{CStr, c_char};

/// The text of a C string: empty for NULL and for bytes that are not UTF-8.
///
/// # Safety
/// NULL, or a NUL-terminated string that lives for `'a`.
pub(crate) unsafe fn text<'a>(s: *const c_char) -> &'a str {
    if s.is_null() {
        return "";
    }
    // SAFETY: the caller promises it.
    unsafe { CStr::from_ptr(s) }.to_str().unwrap_or("")
}

/// So many values in a row; none for NULL.
///
/// # Safety
/// NULL, or `len` readable values that live for `'a`.
#[inline]
pub(crate) unsafe fn slice<'a, T>(data: *const T, len: usize) -> &'a [T] {
    if data.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: the caller promises it.
    unsafe { core::slice::from_raw_parts(data, len) }
}
