//! A hint to the CPU about memory that will be needed soon. With a thousand busy listeners none of them is in the
//! cache, and the system calls of one visit take long enough to fetch the memory of the next.
#![cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "prefetching takes a pointer"))]

/// Bytes of a cache line, on x86-64 and most other CPUs.
pub(crate) const CACHE_LINE: usize = 64;

/// Prefetches the first `bytes` at the address `at`, which may be any address. Does nothing on a CPU for which the
/// standard library has no such instruction.
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
