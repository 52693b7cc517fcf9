//! A map of bounded size that forgets what was not asked for longest.

use std::hash::{Hash, RandomState};
use std::num::NonZeroUsize;

use lru::LruCache;
use polyport_plugin::{Places, Reservation};

/// A map with a limit. Every operation takes constant time, and memory is allocated as entries come.
#[derive(Debug)]
pub(crate) struct Recent<K: Eq + Hash, V> {
    /// The hasher is keyed at random, so nobody can choose keys that collide; nothing iterates over the map, so
    /// that cannot change a run.
    map: LruCache<K, V, RandomState>,
    places: Places,
}

impl<K: Eq + Hash, V> Recent<K, V> {
    /// Room for `limit` entries of `each` bytes, at least one, as far as the reservation grows.
    #[must_use]
    pub(crate) fn with_limit(limit: usize, each: usize, reservation: Reservation) -> Self {
        // A map made with its limit would allocate for all entries at once, for every listener.
        let mut map = LruCache::unbounded_with_hasher(RandomState::new());
        let places = Places::new(reservation, each, limit);
        map.resize(cap(&places));
        Self { map, places }
    }

    /// The value of `key`, made by `make` if there is none, and whether another one was forgotten for it.
    pub(crate) fn entry(&mut self, key: K, make: impl FnOnce() -> V) -> (&mut V, bool) {
        let new = !self.map.contains(&key);
        let forgot = new && !self.places.have_room(self.map.len());
        if new && !forgot {
            self.map.resize(cap(&self.places));
        }
        // A map that is full takes the memory of the one it forgets.
        (self.map.get_or_insert_mut(key, make), forgot)
    }

    /// The value of `key`; does not count as asking for it.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.map.peek_mut(key)
    }

    /// Entries there are.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }
}

/// The places of a table as the map has them; there is always one.
fn cap(places: &Places) -> NonZeroUsize {
    NonZeroUsize::new(places.granted()).unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use polyport_counting_alloc::{CountingAlloc, allocations, live_bytes};

    use super::*;

    #[global_allocator]
    static ALLOCATOR: CountingAlloc = CountingAlloc;

    #[test]
    fn what_was_not_asked_for_longest_is_forgotten() {
        let mut map = Recent::with_limit(2, 1, Reservation::default());
        assert_eq!(map.entry("a", || 1), (&mut 1, false));
        assert_eq!(map.entry("b", || 2), (&mut 2, false));
        assert_eq!(map.entry("a", || 9), (&mut 1, false));
        assert_eq!(map.entry("c", || 3), (&mut 3, true));
        assert_eq!(map.len(), 2);
        assert_eq!(map.get_mut(&"b"), None);
        assert_eq!(map.get_mut(&"a"), Some(&mut 1));
        assert_eq!(map.entry("d", || 4), (&mut 4, true));
        assert_eq!(map.get_mut(&"a"), None, "looking did not make it recent");
    }

    #[test]
    fn many_keys_need_the_memory_of_the_limit() {
        let before = live_bytes();
        let mut map = Recent::with_limit(1000, 1, Reservation::default());
        let mut blocks = 0;
        for key in 0..100_000_u32 {
            map.entry(key, || key);
            if key == 10_000 {
                blocks = allocations();
            }
        }
        assert_eq!(map.len(), 1000);
        // Once the limit is reached, nothing more is allocated, except that the index may double once, to 4096 places.
        assert!(allocations() - blocks <= 1, "{}", allocations() - blocks);
        let bytes = live_bytes() - before;
        assert!((24_000..24_000 + 17 * 4096 + 1000).contains(&bytes), "{bytes}");
    }
}
