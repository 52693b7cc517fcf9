//! A map on the table that grows gradually.

use std::hash::{BuildHasher, Hash, RandomState};

use super::gradual::Gradual;

/// A hash map of which no call does much: it moves its entries a few at a time when it grows. Its hasher is keyed at random,
/// so nobody can choose keys that collide; and only [`values`](Self::values) shows their order, which is another in each run.
#[derive(Clone, Debug)]
pub struct GradualMap<K, V> {
    entries: Gradual<(K, V)>,
    hasher: RandomState,
}

impl<K, V> Default for GradualMap<K, V> {
    fn default() -> Self {
        Self { entries: Gradual::new(), hasher: RandomState::new() }
    }
}

impl<K: Eq + Hash, V> GradualMap<K, V> {
    /// An empty map, without memory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Entries there is memory for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.entries.capacity()
    }

    /// There is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.find(self.hasher.hash_one(key), |(own, _)| own == key).map(|(_, value)| value)
    }

    /// The value of a key, to change it.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let hash = self.hasher.hash_one(key);
        self.entries.find_mut(hash, |(own, _)| own == key).map(|(_, value)| value)
    }

    /// Sets the value of a key. Returns the one before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        if let Some(own) = self.get_mut(&key) {
            return Some(std::mem::replace(own, value));
        }
        let hasher = &self.hasher;
        self.entries.insert(hasher.hash_one(&key), (key, value), |(key, _)| hasher.hash_one(key));
        None
    }

    /// All values, in no order.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.iter().map(|(_, value)| value)
    }

    /// Takes a key out. Returns its value.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let hash = self.hasher.hash_one(key);
        self.entries.remove(hash, |(own, _)| own == key).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::Rng;

    #[test]
    fn it_is_a_map() {
        let (mut map, mut model, mut random) = (GradualMap::new(), HashMap::new(), Rng::new(5));
        assert!(map.is_empty());
        for _ in 0..if cfg!(miri) { 300 } else { 30_000 } {
            let (key, value) = (random.next_u64() % 2000, random.next_u64());
            if value % 3 == 0 {
                assert_eq!(map.remove(&key), model.remove(&key));
            } else {
                assert_eq!(map.insert(key, value), model.insert(key, value));
            }
            let other = value % 2000;
            assert_eq!((map.get(&other), map.len()), (model.get(&other), model.len()));
            assert_eq!(map.get_mut(&key), model.get_mut(&key));
        }
        let sorted = |values: Vec<u64>| {
            let mut values = values;
            values.sort_unstable();
            values
        };
        assert_eq!(sorted(map.values().copied().collect()), sorted(model.into_values().collect()));
    }
}
