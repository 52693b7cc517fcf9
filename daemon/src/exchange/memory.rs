//! Bytes that host and handler reach through pointers.
#![expect(unsafe_code, reason = "handlers see this memory through raw pointers")]

use std::ptr::{self, NonNull};
use std::slice;

/// A block of bytes that host and handler reach through raw pointers; freed with its owner.
#[derive(Debug)]
pub(super) struct Memory {
    base: NonNull<u8>,
    pub(super) len: usize,
}

impl Memory {
    /// A block of `len` zero bytes.
    pub(super) fn new(len: usize) -> Self {
        // The allocator does not write to a zeroed block of this size: the system gives each page on its first use.
        let bytes: &'static mut [u8] = Box::leak(vec![0; len].into_boxed_slice());
        Self { base: NonNull::from(bytes).cast(), len }
    }

    /// The address of the byte at `offset`.
    pub(super) fn at(&self, offset: usize) -> *mut u8 {
        self.base.as_ptr().wrapping_add(offset)
    }

    /// The `len` bytes from `offset` on, which must lie inside the block.
    pub(super) fn slice(&self, offset: usize, len: usize) -> &[u8] {
        assert!(offset.checked_add(len).is_some_and(|end| end <= self.len), "a slice inside the memory");
        // SAFETY: the range was just checked; handlers write only during a call, when no slice is lent out.
        unsafe { slice::from_raw_parts(self.at(offset), len) }
    }

    /// All bytes, to be written by the host.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: `base` and `len` are of the one allocation, and `&mut self` excludes every other slice.
        unsafe { slice::from_raw_parts_mut(self.base.as_ptr(), self.len) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let bytes = ptr::slice_from_raw_parts_mut(self.base.as_ptr(), self.len);
        // SAFETY: made by `Box::leak` of a boxed slice of exactly this length, and freed only here.
        drop(unsafe { Box::from_raw(bytes) });
    }
}
