//! A hash table that grows a little with every entry.

use hashbrown::HashTable;

/// Places of the table before that one insertion looks at. With more than four, the entries have moved before the next
/// growth, see [`Gradual::grow`].
const PLACES_AT_ONCE: usize = 8;

/// A hash table. When it is full, a larger one takes its place, and every insertion moves a few of the entries: until they
/// have moved, there are two. The caller brings the hashes, as with the table it is made of.
#[derive(Clone, Debug)]
pub(super) struct Gradual<T> {
    table: HashTable<T>,
    /// The table before, whose entries move.
    before: HashTable<T>,
    /// The first place of the table before that was not looked at.
    next: usize,
}

impl<T> Gradual<T> {
    pub(super) const fn new() -> Self {
        Self { table: HashTable::new(), before: HashTable::new(), next: 0 }
    }

    /// Entries there are.
    pub(super) fn len(&self) -> usize {
        self.table.len() + self.before.len()
    }

    /// Entries there is memory for.
    pub(super) fn capacity(&self) -> usize {
        self.table.capacity() + self.before.capacity()
    }

    /// All entries, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.table.iter().chain(self.before.iter())
    }

    #[inline]
    pub(super) fn find(&self, hash: u64, mut is: impl FnMut(&T) -> bool) -> Option<&T> {
        self.table.find(hash, &mut is).or_else(|| self.before.find(hash, is))
    }

    #[inline]
    pub(super) fn find_mut(&mut self, hash: u64, mut is: impl FnMut(&T) -> bool) -> Option<&mut T> {
        match self.table.find_mut(hash, &mut is) {
            Some(found) => Some(found),
            None => self.before.find_mut(hash, is),
        }
    }

    /// Adds an entry that is not there. `hasher` gives the hash of any entry.
    pub(super) fn insert(&mut self, hash: u64, entry: T, hasher: impl Fn(&T) -> u64) {
        if self.table.len() == self.table.capacity() {
            self.grow();
        }
        self.table.insert_unique(hash, entry, &hasher);
        let end = self.next + PLACES_AT_ONCE;
        while self.next < end && !self.before.is_empty() {
            if let Ok(entry) = self.before.get_bucket_entry(self.next) {
                let (entry, _) = entry.remove();
                self.table.insert_unique(hasher(&entry), entry, &hasher);
            }
            self.next += 1;
        }
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, hash: u64, mut is: impl FnMut(&T) -> bool) -> Option<T> {
        for table in [&mut self.table, &mut self.before] {
            if let Ok(entry) = table.find_entry(hash, &mut is) {
                return Some(entry.remove().0);
            }
        }
        None
    }

    /// Puts a table with room in the place of the full one. What is removed leaves marks, which make a table full too: then
    /// the new one need not be larger.
    fn grow(&mut self) {
        // The entries of the table before have moved long ago: the new one had room for them and for an eighth of the
        // places of the one before, and each entry that came into it cleared eight.
        debug_assert!(self.before.is_empty(), "entries are left behind");
        let entries = self.table.len();
        let room = entries + (entries / 2).max(self.table.num_buckets() / 4).max(3);
        let mut fresh = std::mem::take(&mut self.before);
        if fresh.capacity() < room || fresh.capacity() > 4 * room {
            fresh = HashTable::with_capacity(room);
        }
        self.before = std::mem::replace(&mut self.table, fresh);
        self.next = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::Rng;

    fn hash(n: u64) -> u64 {
        crate::mix(1, n, 2)
    }

    #[test]
    fn entries_are_found_wherever_they_are_and_removed() {
        const ENTRIES: u64 = if cfg!(miri) { 100 } else { 3000 };
        let mut table = Gradual::new();
        for n in 0..ENTRIES {
            table.insert(hash(n), n, |n| hash(*n));
            assert_eq!(table.len() as u64, n + 1);
            for m in [0, n / 2, n] {
                assert_eq!(table.find(hash(m), |found| *found == m), Some(&m));
            }
            assert_eq!(table.find(hash(n + 1), |found| *found == n + 1), None);
        }
        for n in 0..ENTRIES {
            assert_eq!(table.find_mut(hash(n), |found| *found == n).copied(), Some(n));
            assert_eq!(table.remove(hash(n), |found| *found == n), Some(n));
            assert_eq!(table.remove(hash(n), |found| *found == n), None);
        }
        assert_eq!(table.len(), 0);
    }

    /// However many entries there are and however they come and go: one insertion moves a few of them, which shows in how
    /// often it asks for a hash.
    #[test]
    fn no_insertion_does_much() {
        const SIZES: &[(usize, u64)] =
            if cfg!(miri) { &[(20, 200)] } else { &[(100, 20_000), (20_000, 200_000), (30_000, 30_000)] };
        let mut random = Rng::new(3);
        for (most, all) in SIZES.iter().copied() {
            let (mut table, asked, mut held) = (Gradual::new(), Cell::new(0), Vec::new());
            for n in 0..all {
                if held.len() == most {
                    let gone = held.swap_remove(usize::try_from(random.next_u64() % most as u64).unwrap());
                    assert_eq!(table.remove(hash(gone), |found| *found == gone), Some(gone));
                }
                asked.set(0);
                table.insert(hash(n), n, |n| {
                    asked.set(asked.get() + 1);
                    hash(*n)
                });
                assert!(asked.get() <= PLACES_AT_ONCE, "{} at entry {n}", asked.get());
                held.push(n);
            }
            assert!(held.iter().all(|n| table.find(hash(*n), |found| found == n).is_some()));
            assert_eq!(table.len(), held.len());
            let places = table.table.num_buckets() + table.before.num_buckets();
            assert!(places <= 8 * most.next_power_of_two(), "{places} places for {most}");
        }
    }

    /// Nearly all are removed, and few come again: the tables shrink, and nothing is lost.
    #[test]
    fn a_table_that_has_become_too_large_shrinks() {
        const MANY: u64 = if cfg!(miri) { 300 } else { 50_000 };
        let mut table = Gradual::new();
        (0..MANY).for_each(|n| table.insert(hash(n), n, |n| hash(*n)));
        (0..MANY - 10).for_each(|n| assert_eq!(table.remove(hash(n), |found| *found == n), Some(n)));
        for n in MANY..8 * MANY {
            table.insert(hash(n), n, |n| hash(*n));
            assert!(table.remove(hash(n), |found| *found == n).is_some());
        }
        assert!((MANY - 10..MANY).all(|n| table.find(hash(n), |found| *found == n).is_some()));
    }
}
