//! A map of bounded size that forgets what was not asked for longest.

use crate::arena::{Arena, Chain};
use std::collections::HashMap;
use std::hash::Hash;

/// The only lane of the arena.
const AGE: usize = 0;

/// A map with a limit. Every operation takes constant time, and memory is allocated as entries come.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    /// Its hasher is keyed at random, so nobody can choose keys that collide; nothing iterates over it, so
    /// that cannot change a run.
    index: HashMap<K, u32>,
    arena: Arena<(K, V), 1>,
    age: Chain,
    limit: usize,
}

impl<K: Copy + Eq + Hash, V> Recent<K, V> {
    /// Room for `limit` entries, at least one.
    #[must_use]
    pub(crate) fn with_limit(limit: usize) -> Self {
        Self { index: HashMap::new(), arena: Arena::new(), age: Chain::default(), limit: limit.max(1) }
    }

    /// The value of `key`, made by `make` if there is none, and whether another one was forgotten for it.
    pub(crate) fn entry(&mut self, key: K, make: impl FnOnce() -> V) -> (Option<&mut V>, bool) {
        if let Some(&at) = self.index.get(&key) {
            self.arena.unlink(&mut self.age, AGE, at);
            self.arena.link(&mut self.age, AGE, at);
            return (self.arena.get_mut(at).map(|(_, value)| value), false);
        }
        let forgot = self.age.len() >= self.limit && self.forget_oldest();
        let at = self.arena.insert((key, make()));
        self.arena.link(&mut self.age, AGE, at);
        self.index.insert(key, at);
        (self.arena.get_mut(at).map(|(_, value)| value), forgot)
    }

    /// The value of `key`; does not count as asking for it.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = *self.index.get(key)?;
        self.arena.get_mut(at).map(|(_, value)| value)
    }

    /// Entries there are.
    #[must_use]
    pub(crate) const fn len(&self) -> usize {
        self.age.len()
    }

    fn forget_oldest(&mut self) -> bool {
        let Some(at) = self.age.oldest() else { return false };
        self.arena.unlink(&mut self.age, AGE, at);
        if let Some((key, _)) = self.arena.remove(at) {
            self.index.remove(&key);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_asked_for_longest_is_forgotten() {
        let mut map = Recent::with_limit(2);
        assert_eq!(map.entry("a", || 1), (Some(&mut 1), false));
        assert_eq!(map.entry("b", || 2), (Some(&mut 2), false));
        assert_eq!(map.entry("a", || 9), (Some(&mut 1), false));
        assert_eq!(map.entry("c", || 3), (Some(&mut 3), true));
        assert_eq!(map.len(), 2);
        assert_eq!(map.get_mut(&"b"), None);
        assert_eq!(map.get_mut(&"a"), Some(&mut 1));
    }

    #[test]
    fn a_million_keys_need_the_slots_of_the_limit() {
        let mut map = Recent::with_limit(1000);
        for key in 0..1_000_000_u32 {
            map.entry(key, || key);
        }
        assert_eq!((map.len(), map.arena.slots(), map.index.len()), (1000, 1000, 1000));
        assert!(map.index.capacity() < 4000);
    }
}
