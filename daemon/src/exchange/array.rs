//! Arrays that a handler reaches through a pointer.
#![expect(unsafe_code, reason = "handlers see this memory through raw pointers")]

use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};
use std::slice;

use super::fence::{Holds, Region};

/// An array of plain data: on the heap, or the last thing in its pages, behind which nothing may be touched.
#[derive(Debug)]
pub(crate) struct Array<T: Copy + 'static> {
    base: NonNull<T>,
    len: usize,
    /// Where it lies, if it is fenced.
    region: Option<Region>,
}

impl<T: Copy + 'static> Array<T> {
    /// An array on the heap.
    pub(crate) fn new(items: Vec<T>) -> Self {
        let items: &'static mut [T] = Box::leak(items.into_boxed_slice());
        Self { len: items.len(), base: NonNull::from(items).cast(), region: None }
    }

    /// A fenced array with the same items.
    ///
    /// # Errors
    /// The system has no such memory.
    pub(crate) fn fenced(items: &[T], holds: Holds) -> io::Result<Self> {
        let bytes = size_of_val(items);
        let region = Region::new(holds, 1, bytes)?;
        let base: NonNull<T> = region.open(0, bytes)?.0.cast();
        if !base.is_aligned() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        // SAFETY: room of that length which was just opened, and is aligned.
        unsafe { base.as_ptr().copy_from_nonoverlapping(items.as_ptr(), items.len()) };
        Ok(Self { base, len: items.len(), region: Some(region) })
    }

    /// Lets nobody touch it any more, if it is fenced. It must not be used then.
    pub(crate) fn close(&self) -> io::Result<()> {
        self.region.as_ref().map_or(Ok(()), Region::close)
    }
}

impl<T: Copy + 'static> Deref for Array<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: `len` items that were written by `new` or `fenced`, and are freed with `self`.
        unsafe { slice::from_raw_parts(self.base.as_ptr(), self.len) }
    }
}

impl<T: Copy + 'static> DerefMut for Array<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and `&mut self` excludes every other slice.
        unsafe { slice::from_raw_parts_mut(self.base.as_ptr(), self.len) }
    }
}

impl<T: Copy + 'static> Drop for Array<T> {
    fn drop(&mut self) {
        if self.region.is_none() {
            let items = ptr::slice_from_raw_parts_mut(self.base.as_ptr(), self.len);
            // SAFETY: made by `Box::leak` of a boxed slice of exactly this length, and freed only here.
            drop(unsafe { Box::from_raw(items) });
        }
    }
}
