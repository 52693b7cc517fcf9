//! Bytes that host and handler reach through pointers.
#![expect(unsafe_code, reason = "handlers see this memory through raw pointers")]

use std::io;
use std::ptr::{self, NonNull};
use std::slice;

use super::fence::{Holds, Region};

/// A block of bytes that host and handler reach through raw pointers; freed with its owner.
#[derive(Debug)]
pub(super) struct Memory {
    base: NonNull<u8>,
    pub(super) len: usize,
    /// Where it lies, if it is fenced.
    region: Option<Region>,
}

impl Memory {
    /// A block of `len` zero bytes.
    pub(super) fn new(len: usize) -> Self {
        // The allocator does not write to a zeroed block of this size: the system gives each page on its first use.
        let bytes: &'static mut [u8] = Box::leak(vec![0; len].into_boxed_slice());
        Self { base: NonNull::from(bytes).cast(), len, region: None }
    }

    /// A block of `len` zero bytes that are the last of their page, and behind which nothing may be touched.
    ///
    /// # Errors
    /// The system has no such memory.
    pub(super) fn fenced(len: usize) -> io::Result<Self> {
        let region = Region::new(Holds::Arena, 1, len)?;
        let (base, _) = region.open(0, len)?;
        Ok(Self { base, len, region: Some(region) })
    }

    /// So many slots for so many bytes, of which only what was [put](Self::put) there may be touched. They cannot be had as one slice.
    ///
    /// # Errors
    /// The system has no such memory.
    pub(super) fn slots(slots: usize, bytes: usize) -> io::Result<Self> {
        let region = Region::new(Holds::Datagrams, slots, bytes)?;
        Ok(Self { base: region.start(), len: region.len(), region: Some(region) })
    }

    /// Puts bytes at the end of a slot, and returns their offset.
    ///
    /// # Errors
    /// There is no such slot, or no such room.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "no slice may be lent out meanwhile")]
    pub(super) fn put(&mut self, slot: usize, bytes: &[u8]) -> io::Result<usize> {
        let region = self.region.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        let (to, offset) = region.open(slot, bytes.len())?;
        // SAFETY: room of that length which was just opened, and no slice of it is lent out.
        unsafe { to.as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Ok(offset)
    }

    /// Lets nobody touch it any more, if it is fenced.
    pub(super) fn close(&self) -> io::Result<()> {
        self.region.as_ref().map_or(Ok(()), Region::close)
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
        if self.region.is_some() {
            return;
        }
        let bytes = ptr::slice_from_raw_parts_mut(self.base.as_ptr(), self.len);
        // SAFETY: made by `Box::leak` of a boxed slice of exactly this length, and freed only here.
        drop(unsafe { Box::from_raw(bytes) });
    }
}
