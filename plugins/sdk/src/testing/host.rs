//! What the host in miniature remembers: time, cells, timers, lines, and the memory of the call that runs.

use core::net::IpAddr;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::cell::RefCell;
use std::collections::BTreeMap;

use polyport_abi as abi;
use polyport_abi::{pp_addr, pp_tx};

use super::tickets::Tickets;

/// Sizes of the memory one call gets. The defaults are small enough that a test of 100 answers flushes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Entries of the ring.
    pub tx_cap: usize,
    /// Bytes of an arena.
    pub arena_cap: usize,
    /// How often a call may flush before the host refuses.
    pub flushes: usize,
}

impl Default for Memory {
    fn default() -> Self {
        // The arena takes the largest payload at least once.
        Self { tx_cap: 64, arena_cap: 128 * 1024, flushes: 64 }
    }
}

/// A timer: when it fires, and the period.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timer {
    pub(super) at_ns: u64,
    pub(super) every_ns: u64,
}

/// One metric cell, keyed by name: a restarted instance gets it back.
#[derive(Debug)]
struct Cell {
    name: String,
    kind: u32,
    /// Never freed, as in the daemon: a thread of the plugin may count when the harness is gone.
    value: &'static AtomicU64,
}

std::thread_local! {
    /// Numbers of cells that are gone, for the next ones: whoever makes a million harnesses takes the memory of one.
    static SPARE: RefCell<Vec<&'static AtomicU64>> = const { RefCell::new(Vec::new()) };
}

impl Cell {
    fn new(kind: u32, name: &str) -> Self {
        let spare = SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten();
        let value = spare.unwrap_or_else(|| Box::leak(Box::default()));
        value.store(0, Relaxed);
        Self { name: name.to_owned(), kind, value }
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        // The thread may be at its end; then one number is left over.
        let _ = SPARE.try_with(|spare| spare.borrow_mut().push(self.value));
    }
}

/// The state behind `pp_ctx`.
#[derive(Debug, Default)]
pub(super) struct Fake {
    cells: Vec<Cell>,
    pub(super) timers: BTreeMap<u64, Timer>,
    pub(super) lines: Vec<(i32, String)>,
    pub(super) memory: Memory,
    /// Datagrams of a call that find room to leave later; none is as many as it likes.
    pub(super) delay_room: Option<u32>,
    pub(super) call: Call,
    pub(super) kept: Kept,
    pub(super) sessions: super::sessions::Sessions,
    pub(super) facts: Facts,
    /// The host is older than 1.3: what it hands out of the arena holds what was there.
    pub(super) stale_arena: bool,
    pub(super) tickets: Tickets,
    /// Groups the socket is in: group, source and interface.
    pub(super) groups: Vec<(IpAddr, Option<IpAddr>, u32)>,
}

/// What handlers are told of each datagram, `WANT_*`.
#[derive(Debug)]
pub(super) struct Facts {
    /// What this host can tell.
    pub(super) offered: u32,
    /// What it tells.
    pub(super) told: u32,
}

impl Default for Facts {
    fn default() -> Self {
        let offered = abi::WANT_TOS | abi::WANT_HOPS | abi::WANT_LOCAL | abi::WANT_TIME | abi::WANT_LONE_TIME;
        Self { offered, told: 0 }
    }
}

/// The books of what the instances keep.
#[derive(Debug)]
pub(super) struct Kept {
    /// Bytes granted.
    pub(super) bytes: u64,
    /// Most bytes that may be granted.
    pub(super) most: u64,
    /// Requests refused.
    pub(super) refused: u64,
    /// An instance is being made: the time to ask first.
    pub(super) making: bool,
    /// An instance has asked then.
    open: bool,
}

impl Default for Kept {
    fn default() -> Self {
        Self { bytes: 0, most: u64::MAX, refused: 0, making: false, open: false }
    }
}

impl Kept {
    /// Grants `bytes` if there are so many.
    pub(super) fn reserve(&mut self, bytes: u64) -> i32 {
        self.open |= self.making;
        if !self.open {
            return abi::UNSUPPORTED;
        }
        match self.bytes.checked_add(bytes).filter(|after| *after <= self.most || bytes == 0) {
            Some(after) => {
                self.bytes = after;
                abi::OK
            }
            None => {
                self.refused += 1;
                abi::ERROR
            }
        }
    }
}

/// The memory of one call. What was handed out stays until the next one.
#[derive(Debug, Default)]
pub(super) struct Call {
    /// Full rings that were flushed, in order.
    pub(super) taken: Vec<pp_tx>,
    rings: Vec<Vec<pp_tx>>,
    arenas: Vec<Vec<u8>>,
}

impl Fake {
    /// The cell `name`; a second kind under one name is a mistake of the plugin, and reported as such.
    pub(super) fn metric(&mut self, kind: u32, name: &str) -> *mut u64 {
        if let Some(cell) = self.cells.iter().find(|cell| cell.name == name) {
            if cell.kind != kind {
                self.lines.push((abi::LOG_ERROR, format!("metric {name} is a counter and a gauge")));
            }
            return cell.value.as_ptr();
        }
        let cell = Cell::new(kind, name);
        let at = cell.value.as_ptr();
        self.cells.push(cell);
        at
    }

    /// The number in a cell, or the names there are.
    pub(super) fn read(&self, name: &str, kind: u32) -> Result<u64, String> {
        let cell = self.cells.iter().find(|cell| cell.name == name && cell.kind == kind);
        cell.map(|cell| cell.value.load(Relaxed)).ok_or_else(|| {
            let names: Vec<&str> = self.cells.iter().map(|cell| cell.name.as_str()).collect();
            format!("no metric {name} of this kind; there are: {}", names.join(", "))
        })
    }

    pub(super) fn set_timer(&mut self, token: u64, at_ns: u64, every_ns: u64) {
        if at_ns == 0 {
            self.timers.remove(&token);
        } else {
            self.timers.insert(token, Timer { at_ns, every_ns });
        }
    }

    /// The timer that is due first; of equals, the one with the lower token.
    pub(super) fn next_timer(&self) -> Option<(u64, u64)> {
        self.timers.iter().map(|(token, timer)| (timer.at_ns, *token)).min()
    }

    /// Takes the due timer `token` out, or moves it on by its period.
    pub(super) fn fire(&mut self, token: u64) {
        if let Some(timer) = self.timers.get_mut(&token) {
            if timer.every_ns == 0 {
                self.timers.remove(&token);
            } else {
                timer.at_ns = timer.at_ns.saturating_add(timer.every_ns);
            }
        }
    }

    /// Starts a call: forgets the memory of the one before.
    pub(super) fn begin(&mut self) -> Fresh {
        self.call = Call::default();
        self.fresh()
    }

    /// Takes the `used` first entries of the current ring and hands out fresh memory; `None` when the call
    /// has used up its share.
    pub(super) fn flush(&mut self, used: usize) -> Option<Fresh> {
        (self.call.rings.len() <= self.memory.flushes).then(|| {
            self.take(used);
            self.fresh()
        })
    }

    /// Takes the `used` first entries of the current ring.
    pub(super) fn take(&mut self, used: usize) {
        if let Some(ring) = self.call.rings.last() {
            self.call.taken.extend(ring.iter().take(used));
        }
    }

    /// A new ring, filled with what a plugin must not mistake for zero, and a new arena.
    fn fresh(&mut self) -> Fresh {
        let mut ring = vec![DIRTY; self.memory.tx_cap];
        let mut arena = vec![if self.stale_arena { 0xDE } else { 0 }; self.memory.arena_cap];
        let fresh = Fresh { tx: ring.as_mut_ptr(), arena: arena.as_mut_ptr() };
        self.call.rings.push(ring);
        self.call.arenas.push(arena);
        fresh
    }
}

/// Where fresh memory is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fresh {
    pub(super) tx: *mut pp_tx,
    pub(super) arena: *mut u8,
}

const DIRTY_ADDR: pp_addr = pp_addr { ip: [0xDE; 16], port: 0xDEDE, family: 0xDE, reserved: 0, scope: 0 };

/// A ring is reused in the daemon: an entry holds what the batch before left there.
const DIRTY: pp_tx = pp_tx {
    data: core::ptr::dangling(),
    len: u32::MAX,
    rx: 0xDEDE,
    at_ns: u64::MAX,
    segment: 0xDEDE,
    tos: 0xDE,
    flags: 0xDE,
    run: 0xDEDE,
    to: DIRTY_ADDR,
    from: DIRTY_ADDR,
    session: 0xDEDE,
    reserved: 0xDEDE,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_cells_that_are_gone_serve_again_from_zero() {
        let metric = |name: &str| {
            let mut fake = Fake::default();
            let at = fake.metric(abi::COUNTER, name);
            assert_eq!(fake.read(name, abi::COUNTER), Ok(0));
            fake.cells[0].value.store(7, Relaxed);
            at
        };
        assert_eq!(metric("a_total"), metric("b_total"));
    }
}
