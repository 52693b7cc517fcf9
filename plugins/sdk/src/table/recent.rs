//! A map of bounded size that forgets what was not asked for longest.

use std::hash::{BuildHasher, Hash, RandomState};

use super::chunked::Chunked;
use super::gradual::Gradual;
use crate::reservation::{Places, Reservation};

/// No entry.
const NONE: u32 = u32::MAX;

/// A map with a limit. Every operation takes constant time, also when it grows, and memory is allocated as entries come, as
/// far as the reservation grows. Its hasher is keyed at random, so nobody can choose keys that collide; its order is that of
/// asking, so the hasher cannot change a run.
#[derive(Debug)]
pub struct Recent<K, V> {
    /// Indices into `nodes`, by the hashes of their keys.
    index: Gradual<u32>,
    nodes: Chunked<Node<K, V>>,
    newest: u32,
    oldest: u32,
    hasher: RandomState,
    places: Places,
}

#[derive(Clone, Debug)]
struct Node<K, V> {
    key: K,
    value: V,
    newer: u32,
    older: u32,
}

impl<K: Eq + Hash, V> Recent<K, V> {
    /// Room for `limit` entries, at least one and less than 2^32, of `each` bytes: all that an entry costs at worst.
    #[must_use]
    pub fn with_limit(limit: usize, each: usize, reservation: Reservation) -> Self {
        Self {
            index: Gradual::new(),
            nodes: Chunked::new(),
            newest: NONE,
            oldest: NONE,
            hasher: RandomState::new(),
            places: Places::new(reservation, each, limit.min(NONE as usize)),
        }
    }

    /// Entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// There is no entry.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The value of a key; does not count as asking for it.
    #[must_use]
    pub fn peek(&self, key: &K) -> Option<&V> {
        self.node(self.find(key)?).map(|node| &node.value)
    }

    /// The value of a key, to change it; does not count as asking for it.
    pub fn peek_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.find(key)?;
        self.node_mut(at).map(|node| &mut node.value)
    }

    /// The value of a key, to change it.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.find(key)?;
        if self.newest != at {
            self.unlink(at);
            self.link(at);
        }
        self.node_mut(at).map(|node| &mut node.value)
    }

    /// Adds a key that is not there. Returns what is forgotten for it, where the limit is reached or the host has no memory
    /// for more.
    pub fn push(&mut self, key: K, value: V) -> Option<(K, V)> {
        debug_assert!(self.find(&key).is_none(), "the key is there");
        let hash = self.hasher.hash_one(&key);
        let node = Node { key, value, newer: NONE, older: NONE };
        let (at, forgotten) = match self.oldest {
            oldest if oldest != NONE && !self.places.have_room(self.len()) => {
                let forgotten = self.replace(oldest, node);
                (oldest, forgotten)
            }
            _ => (u32::try_from(self.nodes.push(node)).unwrap_or(NONE), None),
        };
        self.link(at);
        let Self { index, nodes, hasher, .. } = self;
        let hash_of = |at: &u32| nodes.get(*at as usize).map_or(0, |node| hasher.hash_one(&node.key));
        index.insert(hash, at, hash_of);
        forgotten
    }

    /// The value of a key, made by `make` if there is none, and whether another one was forgotten for it.
    pub fn entry(&mut self, key: &K, make: impl FnOnce() -> V) -> Option<(&mut V, bool)>
    where
        K: Clone,
    {
        let forgot = self.find(key).is_none() && self.push(key.clone(), make()).is_some();
        self.get_mut(key).map(|value| (value, forgot))
    }

    /// Keys and values, the one asked for last first.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let mut at = self.newest;
        std::iter::from_fn(move || {
            let node = self.node(at)?;
            at = node.older;
            Some((&node.key, &node.value))
        })
    }

    fn find(&self, key: &K) -> Option<u32> {
        let is = |at: &u32| self.node(*at).is_some_and(|node| node.key == *key);
        self.index.find(self.hasher.hash_one(key), is).copied()
    }

    fn node(&self, at: u32) -> Option<&Node<K, V>> {
        self.nodes.get(at as usize)
    }

    fn node_mut(&mut self, at: u32) -> Option<&mut Node<K, V>> {
        self.nodes.get_mut(at as usize)
    }

    /// Puts another entry into a place. Returns the one that was there.
    fn replace(&mut self, at: u32, node: Node<K, V>) -> Option<(K, V)> {
        self.unlink(at);
        let hash = self.hasher.hash_one(&self.node(at)?.key);
        self.index.remove(hash, |own| *own == at);
        let Node { key, value, .. } = std::mem::replace(self.node_mut(at)?, node);
        Some((key, value))
    }

    /// Makes a place that is in no order the newest.
    fn link(&mut self, at: u32) {
        let before = std::mem::replace(&mut self.newest, at);
        if let Some(node) = self.node_mut(at) {
            (node.newer, node.older) = (NONE, before);
        }
        match self.node_mut(before) {
            Some(node) => node.newer = at,
            None => self.oldest = at,
        }
    }

    /// Takes a place out of the order.
    fn unlink(&mut self, at: u32) {
        let Some((newer, older)) = self.node(at).map(|node| (node.newer, node.older)) else { return };
        match self.node_mut(newer) {
            Some(node) => node.older = older,
            None => self.newest = older,
        }
        match self.node_mut(older) {
            Some(node) => node.newer = newer,
            None => self.oldest = newer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;

    fn recent(limit: usize) -> Recent<u64, u64> {
        Recent::with_limit(limit, 1, Reservation::default())
    }

    #[test]
    fn what_was_not_asked_for_longest_is_forgotten() {
        let mut map = recent(2);
        assert_eq!(map.entry(&1, || 10), Some((&mut 10, false)));
        assert_eq!(map.entry(&2, || 20), Some((&mut 20, false)));
        assert_eq!(map.entry(&1, || 90), Some((&mut 10, false)));
        assert_eq!(map.entry(&3, || 30), Some((&mut 30, true)));
        assert_eq!((map.len(), map.peek(&2), map.peek(&1)), (2, None, Some(&10)));
        assert_eq!(map.peek_mut(&1), Some(&mut 10));
        assert_eq!(map.push(4, 40), Some((1, 10)), "looking did not make it recent");
        assert_eq!(recent(0).push(1, 2), None, "there is room for one at least");
    }

    /// Against a list, the one asked for last first.
    #[test]
    fn the_map_agrees_with_a_list() {
        for limit in [1, 2, 3, 50, 700] {
            let (mut map, mut list, mut random) = (recent(limit), Vec::new(), Rng::new(limit as u64));
            for n in 0..if cfg!(miri) { 100 } else { 4000_u64 } {
                let key = random.next_u64() % (limit as u64 * 2);
                let known = list.iter().position(|(own, _)| *own == key);
                match known {
                    Some(at) => {
                        let entry = list.remove(at);
                        assert_eq!(map.get_mut(&key).copied(), Some(entry.1));
                        list.insert(0, entry);
                    }
                    None => {
                        let gone = if list.len() == limit { list.pop() } else { None };
                        assert_eq!(map.get_mut(&key), None);
                        assert_eq!(map.push(key, n), gone);
                        list.insert(0, (key, n));
                    }
                }
                assert_eq!(map.len(), list.len());
                assert!(n % 50 > 0 || map.iter().map(|(k, v)| (*k, *v)).eq(list.iter().copied()));
            }
        }
    }
}
