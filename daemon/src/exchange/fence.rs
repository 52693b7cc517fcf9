//! Memory for the tests of plugins: nothing may be touched behind it, and nothing of it after its call.
//!
//! A handler that reads or writes where it must not do it ends its process by a signal, and [`trespass`] tells from the address
//! whose memory it was. The daemon itself serves without any of this.
#![expect(unsafe_code, reason = "maps pages and takes them away")]

use std::fmt;
use std::io;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// What lies in a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Holds {
    /// Received datagrams, each at the end of a slot.
    Datagrams = 1,
    /// `pp_batch::rx`.
    Descriptors,
    /// `pp_batch::tx`.
    Entries,
    /// A chunk of the arena.
    Arena,
    /// What `pp_create::values` points to.
    Values,
}

impl Holds {
    const ALL: [Self; 5] = [Self::Datagrams, Self::Descriptors, Self::Entries, Self::Arena, Self::Values];
}

/// Pages that are reserved, and closed where they were not opened. The first page, and the last of each slot, are never opened.
#[derive(Debug)]
pub(crate) struct Region {
    start: NonNull<u8>,
    len: usize,
    /// Its place in [`KNOWN`]; none if there was no room.
    known: Option<usize>,
}

/// A region as the handler of a fatal signal finds it.
struct Known {
    start: AtomicUsize,
    len: AtomicUsize,
    /// Bytes from one slot to the next; a region that is one block has one slot.
    stride: AtomicUsize,
    /// [`Holds`]; 0 is a free place, and [`TAKEN`] one that is about to be filled.
    holds: AtomicUsize,
    /// The call it was lent to has returned.
    is_closed: AtomicUsize,
}

/// Regions that are told apart; of any more it is not known what they hold.
const MOST: usize = 1024;
/// A place that somebody is about to fill.
const TAKEN: usize = usize::MAX;

static KNOWN: [Known; MOST] = [const {
    Known {
        start: AtomicUsize::new(0),
        len: AtomicUsize::new(0),
        stride: AtomicUsize::new(0),
        holds: AtomicUsize::new(0),
        is_closed: AtomicUsize::new(0),
    }
}; MOST];

/// Bytes of a page.
pub(crate) fn page() -> usize {
    // SAFETY: asks for a number.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

impl Region {
    /// `slots` slots with room for so many bytes each, all closed.
    ///
    /// # Errors
    /// Those of `mmap(2)`.
    pub(crate) fn new(holds: Holds, slots: usize, bytes: usize) -> io::Result<Self> {
        let stride = bytes.next_multiple_of(page()).max(page()) + page();
        let len = page() + stride * slots.max(1);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping at a place of the system's choice.
        let start = unsafe { libc::mmap(ptr::null_mut(), len, libc::PROT_NONE, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let free = |known: &Known| known.holds.compare_exchange(0, TAKEN, Acquire, Relaxed).is_ok();
        let known = KNOWN.iter().position(free);
        if let Some(place) = known.and_then(|at| KNOWN.get(at)) {
            place.start.store(start.addr().get(), Relaxed);
            place.len.store(len, Relaxed);
            place.stride.store(stride, Relaxed);
            place.is_closed.store(0, Relaxed);
            place.holds.store(holds as usize, Release);
        }
        Ok(Self { start, len, known })
    }

    /// Opens room for so many bytes at the end of a slot, zero, and returns where they begin and how far that is from the start.
    /// Nothing behind them may be touched, nor the pages before.
    ///
    /// # Errors
    /// Those of `mprotect(2)`, or there is no such room.
    pub(crate) fn open(&self, slot: usize, bytes: usize) -> io::Result<(NonNull<u8>, usize)> {
        let stride = self.stride();
        let end = (slot + 1).checked_mul(stride).and_then(|end| end.checked_add(page()));
        let end = end.filter(|end| *end <= self.len);
        let end = end.ok_or(io::ErrorKind::InvalidInput)? - page();
        let pages = bytes.next_multiple_of(page());
        if pages > stride - page() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.protect(end - pages, pages, libc::PROT_READ | libc::PROT_WRITE)?;
        let at = end - bytes;
        // SAFETY: inside the mapping.
        Ok((unsafe { self.start.add(at) }, at))
    }

    /// Closes all of it: its call has returned.
    ///
    /// # Errors
    /// Those of `mprotect(2)`.
    pub(crate) fn close(&self) -> io::Result<()> {
        if let Some(place) = self.known.and_then(|at| KNOWN.get(at)) {
            place.is_closed.store(1, Relaxed);
        }
        self.protect(0, self.len, libc::PROT_NONE)?;
        // SAFETY: the mapping is ours, and nobody may look at it any more; what it held is given back.
        unsafe { libc::madvise(self.start.as_ptr().cast(), self.len, libc::MADV_DONTNEED) };
        Ok(())
    }

    /// Where it begins.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Its length, bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn stride(&self) -> usize {
        let known = self.known.and_then(|at| KNOWN.get(at));
        known.map_or_else(|| self.len - page(), |place| place.stride.load(Relaxed))
    }

    fn protect(&self, at: usize, len: usize, how: libc::c_int) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        let from = self.start.as_ptr().wrapping_add(at);
        // SAFETY: whole pages inside the mapping.
        let result = unsafe { libc::mprotect(from.cast(), len, how) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if let Some(place) = self.known.and_then(|at| KNOWN.get(at)) {
            place.holds.store(0, Release);
        }
        // SAFETY: mapped by `new` with this length, and unmapped only here.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// Memory of a region that was touched and must not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trespass {
    holds: Holds,
    how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// The byte that is so many behind the end, the first of them 1; of that slot.
    Behind(usize, usize),
    /// A byte before the beginning, of that slot.
    Before(usize),
    /// Its call had returned.
    Late,
}

/// Whose memory there is at an address that nobody may touch; none if it is not that of a region. For handlers of signals: no lock,
/// and no memory.
#[must_use]
pub fn trespass(address: usize) -> Option<Trespass> {
    KNOWN.iter().find_map(|place| {
        let holds = place.holds.load(Acquire);
        let holds = Holds::ALL.into_iter().find(|kind| *kind as usize == holds)?;
        let offset = address.checked_sub(place.start.load(Relaxed))?;
        if offset >= place.len.load(Relaxed) {
            return None;
        }
        let stride = place.stride.load(Relaxed).max(1);
        let offset = offset.saturating_sub(page());
        let (slot, within) = (offset / stride, offset % stride);
        let behind = within.checked_sub(stride.saturating_sub(page()));
        let how = match behind {
            _ if place.is_closed.load(Relaxed) != 0 => How::Late,
            Some(behind) => How::Behind(behind + 1, slot),
            None => How::Before(slot),
        };
        Some(Trespass { holds, how })
    })
}

/// Whose memory it was, where, and in brackets the rule of `plugins/ABI.md`.
impl fmt::Display for Trespass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, rule) = match self.holds {
            Holds::Datagrams => ("the bytes of datagram", "3.2"),
            Holds::Descriptors => ("`rx` of the batch", "4.1"),
            Holds::Entries => ("`tx` of the batch", "4.2"),
            Holds::Arena => ("the arena", "4.6"),
            Holds::Values => ("the values of the options", "3.6"),
        };
        match self.how {
            How::Late if self.holds == Holds::Datagrams => {
                write!(f, "bytes of a datagram whose call had returned [rule 3.6]")
            }
            How::Late => write!(f, "{what}, whose call had returned [rule 3.6]"),
            How::Behind(n, slot) => {
                write!(f, "byte {n} behind {what}")?;
                self.slot(f, slot)?;
                write!(f, " [rule {rule}]")
            }
            // An allocator looks there, when it is to free what is not its own.
            How::Before(slot) => {
                write!(f, "a byte before {what}")?;
                self.slot(f, slot)?;
                write!(f, " [rule {}]", if self.holds == Holds::Datagrams { rule } else { "3.1" })
            }
        }
    }
}

impl Trespass {
    fn slot(&self, f: &mut fmt::Formatter<'_>, slot: usize) -> fmt::Result {
        if self.holds == Holds::Datagrams { write!(f, " {slot}") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_behind_before_and_late_is_told_apart() {
        let region = Region::new(Holds::Datagrams, 3, 65_535).unwrap();
        for (slot, bytes) in [(0, 1), (1, 0), (2, 65_535)] {
            let (at, offset) = region.open(slot, bytes).unwrap();
            // SAFETY: room that was opened, and belongs to nobody else.
            unsafe { at.as_ptr().write_bytes(7, bytes) };
            assert_eq!(at.addr().get() - region.start.addr().get(), offset);
            let end = at.addr().get() + bytes;
            let said = |address| trespass(address).unwrap().to_string();
            assert_eq!(said(end), format!("byte 1 behind the bytes of datagram {slot} [rule 3.2]"));
            assert_eq!(said(end + 9), format!("byte 10 behind the bytes of datagram {slot} [rule 3.2]"));
            let before = end - bytes.next_multiple_of(page()) - 1;
            assert!(bytes > 60_000 || said(before).starts_with("a byte before"), "{slot}");
        }
        assert!(region.open(3, 1).is_err() && region.open(0, 70_000).is_err());
        region.close().unwrap();
        let start = region.start.addr().get();
        assert_eq!(
            trespass(start).unwrap().to_string(),
            "bytes of a datagram whose call had returned [rule 3.6]"
        );
        drop(region);
        assert_eq!(trespass(start), None);
    }
}
