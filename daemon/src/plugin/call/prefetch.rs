//! A word to the CPU about memory that will be needed: with a thousand busy listeners each of them is cold, and
//! the system calls of one visit are time enough to fetch the next one's.
#![expect(unsafe_code, reason = "prefetching takes a pointer")]

/// Bytes fetched together by every CPU this runs on.
pub(crate) const CACHE_LINE: usize = 64;

/// Asks for the first `bytes` of what lies at `at`. It changes nothing but time, and does nothing where there is
/// no such instruction.
#[inline]
pub(crate) fn prefetch<T>(at: *const T, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..bytes).step_by(CACHE_LINE) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch of any address is a hint; it reads nothing and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast::<i8>().wrapping_add(line)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (at, bytes);
}
