//! Values in slots that are used again, and doubly linked chains through them: whatever happens to one value
//! takes constant time.

use polyport_plugin::Chunked;

/// No slot.
const NONE: u32 = u32::MAX;

/// Slots for values; each value can be in up to `LANES` chains, one a lane.
#[derive(Debug)]
pub(crate) struct Arena<T, const LANES: usize> {
    nodes: Chunked<Node<T, LANES>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Node<T, const LANES: usize> {
    value: Option<T>,
    links: [Links; LANES],
}

#[derive(Clone, Copy, Debug)]
struct Links {
    newer: u32,
    older: u32,
}

const UNLINKED: Links = Links { newer: NONE, older: NONE };

/// The ends of a chain. The links between them are in the arena, in one lane: the owner of the chain passes the
/// same lane each time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain {
    newest: u32,
    oldest: u32,
    len: usize,
}

impl Default for Chain {
    fn default() -> Self {
        Self { newest: NONE, oldest: NONE, len: 0 }
    }
}

impl Chain {
    /// Slots in the chain.
    #[must_use]
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Whether no slot is in the chain.
    #[must_use]
    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The slot that has been in the chain for longest.
    #[must_use]
    pub(crate) const fn oldest(&self) -> Option<u32> {
        if self.oldest == NONE { None } else { Some(self.oldest) }
    }
}

impl<T, const LANES: usize> Arena<T, LANES> {
    /// An arena without a slot; it grows as values come.
    #[must_use]
    pub(crate) const fn new() -> Self {
        Self { nodes: Chunked::new(), free: Vec::new() }
    }

    /// Puts a value into a slot, in no chain yet.
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        let node = Node { value: Some(value), links: [UNLINKED; LANES] };
        if let Some(at) = self.free.pop()
            && let Some(place) = self.nodes.get_mut(at as usize)
        {
            *place = node;
            return at;
        }
        // The tables built on this have limits far below 2^32 slots.
        u32::try_from(self.nodes.push(node)).unwrap_or(NONE)
    }

    /// Takes a value out. It must be in no chain any more.
    pub(crate) fn remove(&mut self, at: u32) -> Option<T> {
        let value = self.nodes.get_mut(at as usize)?.value.take()?;
        self.free.push(at);
        Some(value)
    }

    /// The value in a slot.
    #[must_use]
    pub(crate) fn get(&self, at: u32) -> Option<&T> {
        self.nodes.get(at as usize)?.value.as_ref()
    }

    /// The value in a slot, to change it.
    pub(crate) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        self.nodes.get_mut(at as usize)?.value.as_mut()
    }

    /// Slots ever made: what the arena costs in memory.
    #[cfg(test)]
    pub(crate) fn slots(&self) -> usize {
        self.nodes.len()
    }

    /// Makes a slot the newest of `chain`. It must be in no chain of this lane yet.
    pub(crate) fn link(&mut self, chain: &mut Chain, lane: usize, at: u32) {
        let before = chain.newest;
        match self.links(before, lane) {
            Some(links) => links.newer = at,
            None => chain.oldest = at,
        }
        if let Some(links) = self.links(at, lane) {
            *links = Links { newer: NONE, older: before };
        }
        chain.newest = at;
        chain.len += 1;
    }

    /// Takes a slot out of `chain`, in which it must be.
    pub(crate) fn unlink(&mut self, chain: &mut Chain, lane: usize, at: u32) {
        let Some(links) = self.links(at, lane) else { return };
        let Links { newer, older } = std::mem::replace(links, UNLINKED);
        match self.links(newer, lane) {
            Some(links) => links.older = older,
            None => chain.newest = older,
        }
        match self.links(older, lane) {
            Some(links) => links.newer = newer,
            None => chain.oldest = newer,
        }
        chain.len = chain.len.saturating_sub(1);
    }

    fn links(&mut self, at: u32, lane: usize) -> Option<&mut Links> {
        self.nodes.get_mut(at as usize)?.links.get_mut(lane)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Two lanes against two queues: one links every value, the other every second one.
        #[test]
        fn chains_are_queues_with_removal_from_the_middle(steps in prop::collection::vec(any::<(bool, u8)>(), 1..200)) {
            let mut arena = Arena::<u8, 2>::new();
            let (mut all, mut even) = (Chain::default(), Chain::default());
            let mut model: VecDeque<(u32, u8)> = VecDeque::new();
            let mut most = 0;
            for (add, value) in steps {
                if add || model.is_empty() {
                    let at = arena.insert(value);
                    arena.link(&mut all, 0, at);
                    if value % 2 == 0 {
                        arena.link(&mut even, 1, at);
                    }
                    model.push_back((at, value));
                } else {
                    let (at, was) = model.remove(usize::from(value) % model.len()).unwrap();
                    arena.unlink(&mut all, 0, at);
                    if was % 2 == 0 {
                        arena.unlink(&mut even, 1, at);
                    }
                    prop_assert_eq!(arena.remove(at), Some(was));
                    prop_assert_eq!(arena.get(at), None);
                }
                most = most.max(model.len());
                let evens: Vec<u32> = model.iter().filter(|(_, v)| v % 2 == 0).map(|(at, _)| *at).collect();
                prop_assert_eq!((all.len(), even.len()), (model.len(), evens.len()));
                prop_assert_eq!(all.oldest(), model.front().map(|(at, _)| *at));
                prop_assert_eq!(even.oldest(), evens.first().copied());
                prop_assert!(arena.slots() == most, "slots are used again");
            }
        }
    }
}
