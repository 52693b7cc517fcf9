//! What is remembered of each datagram of a stream: a ring indexed by its number.

use polyport_protocol::Nanos;

/// One datagram. There is no attempt number: a load tester never repeats a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Number in its stream.
    pub seq: u64,
    /// Its id on the wire: an answer is known by it without computing it again.
    pub id: u64,
    /// When it should have left.
    pub planned: Nanos,
    /// When it left.
    pub sent: Nanos,
    /// What became of it.
    pub state: State,
    /// Where it got to, as far as the responder told.
    pub reach: Reach,
    /// The responder's numbers of the first and of the latest answer.
    pub answers: Option<(u64, u64)>,
}

/// What became of a datagram so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The slot holds nothing, or a datagram that did not leave.
    Free,
    /// No answer yet, and the timeout has not passed.
    Open,
    /// No answer yet, and the timeout has passed.
    Expired,
    /// Answered.
    Answered,
}

/// What RSTAT windows said about a datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// No window covered it.
    #[default]
    Unknown,
    /// Every window that covered it had its bit clear.
    NotSeen,
    /// A window had its bit set.
    Seen,
}

impl Entry {
    const FREE: Self =
        Self { seq: 0, id: 0, planned: 0, sent: 0, state: State::Free, reach: Reach::Unknown, answers: None };

    /// A datagram that leaves now.
    #[must_use]
    pub const fn open(seq: u64, planned: Nanos, sent: Nanos) -> Self {
        Self { seq, planned, sent, state: State::Open, ..Self::FREE }
    }
}

/// The last datagrams of a stream. No hashing, no allocation after it is made.
#[derive(Clone, Debug)]
pub struct Ring {
    /// All there are, or none before the first is stored.
    entries: Vec<Entry>,
    capacity: usize,
}

/// Rings of at most so many datagrams get their memory with the first one, which costs some microseconds: every port of a
/// host may be a target, and a short run does not come to each. Longer ones would hold that first datagram up.
const SHORT: usize = 1024;

impl Ring {
    /// Room for `capacity` datagrams, rounded up to a power of two.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1).next_power_of_two();
        let entries = if capacity > SHORT { vec![Entry::FREE; capacity] } else { Vec::new() };
        Self { entries, capacity }
    }

    /// The datagram with this number, if it is remembered.
    #[must_use]
    pub fn get(&self, seq: u64) -> Option<&Entry> {
        Some(self.slot(seq)).filter(|entry| entry.seq == seq && entry.state != State::Free)
    }

    /// The entry of this number, to change it; `None` if it is free or was taken by another number.
    pub fn get_mut(&mut self, seq: u64) -> Option<&mut Entry> {
        let index = self.index(seq);
        self.entries.get_mut(index).filter(|entry| entry.seq == seq && entry.state != State::Free)
    }

    /// What lies where a datagram with this number would: itself, an older one, or nothing.
    #[must_use]
    pub fn slot(&self, seq: u64) -> &Entry {
        self.entries.get(self.index(seq)).unwrap_or(&Entry::FREE)
    }

    /// Stores a datagram over the older one in its place, which is handed back.
    pub fn put(&mut self, entry: Entry) -> Entry {
        if self.entries.is_empty() {
            self.entries = vec![Entry::FREE; self.capacity];
        }
        let index = self.index(entry.seq);
        std::mem::replace(&mut self.entries[index], entry)
    }

    /// Datagrams there is room for.
    #[must_use]
    pub const fn capacity(&self) -> u64 {
        self.capacity as u64
    }

    /// All that is remembered, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> + '_ {
        self.entries.iter().filter(|entry| entry.state != State::Free)
    }

    /// Forgets everything, handing out what was there in no particular order.
    pub fn drain(&mut self) -> impl Iterator<Item = Entry> + '_ {
        let taken = self.entries.iter_mut().map(|entry| std::mem::replace(entry, Entry::FREE));
        taken.filter(|entry| entry.state != State::Free)
    }

    fn index(&self, seq: u64) -> usize {
        // The length is a power of two; a remainder of it fits a usize.
        usize::try_from(seq & (self.capacity as u64 - 1)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_finds_its_own_entry_only() {
        let mut ring = Ring::new(3);
        assert!((ring.get(0).is_none(), ring.slot(7).state) == (true, State::Free), "without memory yet");
        assert_eq!((ring.drain().count(), ring.capacity(), Ring::new(5000).capacity()), (0, 4, 8192));
        assert_eq!(ring.put(Entry::open(1, 10, 0)).state, State::Free);
        assert_eq!(ring.get(1).map(|entry| entry.planned), Some(10));
        assert!(ring.get(5).is_none(), "the same slot, another number");
        assert!(ring.get(0).is_none(), "a free slot is not datagram 0");
        assert_eq!(ring.put(Entry::open(5, 50, 0)).planned, 10, "four slots");
        assert!(ring.get(1).is_none() && ring.get(5).is_some());
        assert_eq!(ring.drain().count(), 1);
        assert!(ring.get(5).is_none());
    }
}
