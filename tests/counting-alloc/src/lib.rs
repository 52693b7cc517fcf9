//! An allocator for tests that counts what the current thread allocates.
//!
//! A test binary makes it its own, and then asks before and after what it watches:
//!
//! ```
//! use polyport_counting_alloc::{CountingAlloc, allocations, live_bytes};
//!
//! #[global_allocator]
//! static ALLOCATOR: CountingAlloc = CountingAlloc;
//!
//! let (count, bytes) = (allocations(), live_bytes());
//! let memory = vec![0_u8; 1000];
//! assert_eq!((allocations() - count, live_bytes() - bytes), (1, 1000));
//! drop(memory);
//! assert_eq!((allocations() - count, live_bytes() - bytes), (1, 0));
//! ```
#![expect(unsafe_code, reason = "a counting allocator is an unsafe trait over the system's")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator with counters. Other threads, such as the test runner's, have counters of their own.
#[derive(Clone, Copy, Debug, Default)]
pub struct CountingAlloc;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
    static BYTES: Cell<isize> = const { Cell::new(0) };
}

/// Allocations this thread has made. To grow a block in place counts as one as well.
#[must_use]
pub fn allocations() -> usize {
    COUNT.get()
}

/// Bytes this thread has allocated, less those it has freed. Below zero in a thread that frees what others made.
#[must_use]
pub fn live_bytes() -> isize {
    BYTES.get()
}

fn add(bytes: isize) {
    BYTES.set(BYTES.get().wrapping_add(bytes));
}

// SAFETY: every call goes to the system's allocator unchanged; the counters neither allocate nor unwind.
unsafe impl GlobalAlloc for CountingAlloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get().wrapping_add(1));
        add(layout.size().cast_signed());
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        add(layout.size().cast_signed().wrapping_neg());
        // SAFETY: `memory` came from `alloc` above, so from the system's allocator, with this layout.
        unsafe { System.dealloc(memory, layout) }
    }
}
