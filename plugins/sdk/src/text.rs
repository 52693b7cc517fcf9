//! C strings of the ABI as text.
#![expect(unsafe_code, reason = "the plugin boundary: pointers become borrowed text here")]

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
