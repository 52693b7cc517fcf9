//! Keeps what the guard knows of the host's addresses fresh. The first reading is complete before anything is served;
//! later ones go on beside the traffic, a part a turn.

use std::io;

use polyport_terminal::counted;

use crate::guard::{LocalAddress, OwnAddresses};
use crate::reactor::io::{AddressReading, Io};

/// The state of the readings.
#[derive(Debug, Default)]
pub(crate) struct HostAddresses {
    /// What the reading that is under way has found so far.
    found: Option<Vec<LocalAddress>>,
    /// Addresses have changed since that reading began.
    changed: bool,
    /// What the guard knows.
    known: Vec<LocalAddress>,
    /// When the next part is read, or the next reading begins, monotonic ns; none waits for a change.
    next_ns: Option<u64>,
    /// When the last reading ended, monotonic ns.
    ended_ns: u64,
    /// The last reading failed, which was logged.
    failed: bool,
}

/// Least time between two readings, ns. The first of many changes is read at once, the others with the next reading.
const PAUSE_NS: u64 = 100_000_000;
/// When to try again after a failure, ns.
const AFTER_FAILURE_NS: u64 = 1_000_000_000;
/// When to read again where the system does not tell of changes, ns.
const UNTOLD_NS: u64 = 10_000_000_000;
/// Most addresses and ranges that are kept. A host with more is no host, and their list takes 40 MiB.
const MOST: usize = 1 << 20;
/// Most parts of the first reading that may bring nothing, and most readings that may be torn.
const MOST_IN_VAIN: u32 = 100;

impl HostAddresses {
    /// Reads all addresses at once, before the loop begins.
    pub(crate) fn read_all<I: Io>(&mut self, io: &mut I, own: &mut OwnAddresses, now_ns: u64) {
        self.next_ns = Some(now_ns);
        let mut in_vain = 0;
        while in_vain < MOST_IN_VAIN && self.next_ns == Some(now_ns) {
            let before = self.found.as_ref().map_or(0, Vec::len);
            if self.read(io, own, now_ns) == Some(AddressReading::Torn) {
                in_vain += 1;
                self.next_ns = Some(now_ns);
            } else {
                in_vain += u32::from(self.found.as_ref().map_or(0, Vec::len) == before);
            }
        }
    }

    /// Notes that addresses may have changed. A reading that is under way goes on, so that steady changes cannot keep it
    /// from its end; another one follows.
    pub(crate) fn changed(&mut self, now_ns: u64) {
        if self.found.is_some() {
            self.changed = true;
            return;
        }
        let at = now_ns.max(self.ended_ns.saturating_add(PAUSE_NS));
        self.next_ns = Some(self.next_ns.map_or(at, |next| next.min(at)));
    }

    /// When [`Self::run`] has something to do, monotonic ns.
    pub(crate) fn next(&self) -> Option<u64> {
        self.next_ns
    }

    /// What the last reading found, in ascending order.
    pub(crate) fn known(&self) -> &[LocalAddress] {
        &self.known
    }

    /// Reads a part, if it is time. Returns whether a reading has ended, after which other things of the network may have
    /// changed as well.
    #[inline]
    pub(crate) fn run<I: Io>(&mut self, io: &mut I, own: &mut OwnAddresses, now_ns: u64) -> bool {
        self.next_ns.is_some_and(|next| next <= now_ns)
            && self.read(io, own, now_ns).is_none_or(|reading| reading != AddressReading::Part)
    }

    /// Reads a part. None if that failed.
    #[cold]
    fn read<I: Io>(&mut self, io: &mut I, own: &mut OwnAddresses, now_ns: u64) -> Option<AddressReading> {
        let again = self.found.is_none();
        let mut found = self.found.take().unwrap_or_default();
        let result = io.read_addresses(again, &mut found);
        let result = if found.len() > MOST { Err(io::ErrorKind::OutOfMemory.into()) } else { result };
        match &result {
            Ok(AddressReading::Part) => {
                self.found = Some(found);
                self.next_ns = Some(now_ns);
                return result.ok();
            }
            Ok(AddressReading::Whole) => self.take(own, found),
            Ok(AddressReading::Torn) => {
                // What is missing now was there before, and an address too many costs nobody anything.
                found.extend_from_slice(&self.known);
                self.take(own, found);
                self.changed = true;
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failed, true) {
                    log::warn!(
                        "the addresses of this host cannot be read: {error}; listeners on all addresses may answer \
                         each other where a datagram pretends to come from one of them"
                    );
                }
                self.ended_ns = now_ns;
                self.next_ns = Some(now_ns.saturating_add(AFTER_FAILURE_NS));
                return None;
            }
        }
        self.ended_ns = now_ns;
        let pause_ns = if std::mem::take(&mut self.changed) {
            Some(PAUSE_NS)
        } else {
            (!io.tells_of_addresses()).then_some(UNTOLD_NS)
        };
        self.next_ns = pause_ns.map(|pause_ns| now_ns.saturating_add(pause_ns));
        result.ok()
    }

    /// Takes over what a reading found.
    fn take(&mut self, own: &mut OwnAddresses, mut found: Vec<LocalAddress>) {
        found.sort_unstable();
        found.dedup();
        if found != self.known {
            let ours = counted(found.len(), "address or range is", "addresses and ranges are");
            log::debug!("{ours} this host's own");
            own.set_local(&found);
            self.known = found;
        }
        self.failed = false;
    }
}
