//! Which sessions a listener has: what is about one listener must not look at the sessions of all.

use std::collections::HashMap;

use crate::reactor::io::Token;

/// No session.
const NONE: u32 = u32::MAX;

/// The sessions of each listener, a list through the numbers of their slots.
#[derive(Debug, Default)]
pub(super) struct Owners {
    /// The newest session of each listener that has any.
    newest: HashMap<Token, u32>,
    /// By the number of the slot.
    links: Vec<Link>,
}

/// The neighbours of a session in its list.
#[derive(Clone, Copy, Debug)]
struct Link {
    newer: u32,
    older: u32,
}

const UNLINKED: Link = Link { newer: NONE, older: NONE };

impl Owners {
    /// A listener has the session in a slot from now on, which was in no list.
    pub(super) fn add(&mut self, owner: Token, index: u32) {
        let older = self.newest.insert(owner, index).unwrap_or(NONE);
        if self.links.len() <= index as usize {
            self.links.resize(index as usize + 1, UNLINKED);
        }
        self.link(index, Link { newer: NONE, older });
        if let Some(older) = self.links.get_mut(older as usize) {
            older.newer = index;
        }
    }

    /// A listener has the session in a slot no more.
    pub(super) fn remove(&mut self, owner: Token, index: u32) {
        let Some(Link { newer, older }) = self.links.get(index as usize).copied() else { return };
        self.link(index, UNLINKED);
        if let Some(older) = self.links.get_mut(older as usize) {
            older.newer = newer;
        }
        if let Some(newer) = self.links.get_mut(newer as usize) {
            newer.older = older;
        } else if older == NONE {
            self.newest.remove(&owner);
        } else {
            self.newest.insert(owner, older);
        }
    }

    /// The slots of the sessions of a listener, in order.
    pub(super) fn of(&self, owner: Token) -> Vec<u32> {
        let mut next = self.newest.get(&owner).copied();
        let mut slots = Vec::new();
        while let Some(index) = next {
            slots.push(index);
            next = self.links.get(index as usize).map(|link| link.older).filter(|older| *older != NONE);
        }
        slots.sort_unstable();
        slots
    }

    fn link(&mut self, index: u32, link: Link) {
        if let Some(place) = self.links.get_mut(index as usize) {
            *place = link;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    #[test]
    fn each_listener_has_what_it_got_and_did_not_give_back() {
        for seed in 0..50 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut owners = Owners::default();
            // The obvious twin.
            let mut all = BTreeMap::<u32, Token>::new();
            for _ in 0..500 {
                let index = rng.random_range(0..40);
                match all.remove(&index) {
                    Some(owner) => owners.remove(owner, index),
                    None => {
                        let owner = Token { index: rng.random_range(0..4), generation: 1 };
                        owners.add(owner, index);
                        all.insert(index, owner);
                    }
                }
                for index in 0..5 {
                    let owner = Token { index, generation: 1 };
                    let expected: Vec<_> =
                        all.iter().filter(|(_, of)| **of == owner).map(|(index, _)| *index).collect();
                    assert_eq!(owners.of(owner), expected, "seed {seed}");
                }
            }
        }
    }

    #[test]
    fn who_has_none_takes_no_memory() {
        let mut owners = Owners::default();
        let owner = Token { index: 1, generation: 1 };
        owners.add(owner, 3);
        owners.remove(owner, 3);
        assert!(owners.newest.is_empty() && owners.of(owner).is_empty());
    }
}
