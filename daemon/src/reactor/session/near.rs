//! Sessions that lead to a port of our own listeners, by where they lead. The addresses of a host may change ten times a second, and
//! a relay may have a hundred thousand sessions: only those are looked at whose destination is another place now.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::guard::Served;

/// The sessions that one of our own listeners may get the datagrams of. Most relays have none.
#[derive(Debug, Default)]
pub(super) struct Near(BTreeMap<SocketAddr, Target>);

/// Where sessions lead.
#[derive(Debug)]
struct Target {
    /// Who got what is sent there when that was looked at last.
    served: Option<Served>,
    ids: BTreeSet<u64>,
}

impl Near {
    /// A session leads to `to`, which comes to these listeners now, or to none.
    pub(super) fn add(&mut self, to: SocketAddr, id: u64, served: Option<Served>) {
        let target = self.0.entry(to).or_insert_with(|| Target { served, ids: BTreeSet::new() });
        target.ids.insert(id);
    }

    /// A session to `to` is there no more.
    pub(super) fn remove(&mut self, to: SocketAddr, id: u64) {
        let Some(target) = self.0.get_mut(&to) else { return };
        target.ids.remove(&id);
        if target.ids.is_empty() {
            self.0.remove(&to);
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The sessions whose destination comes to somebody else than when it was looked at last, each with it.
    pub(super) fn take_moved(
        &mut self,
        mut served: impl FnMut(SocketAddr) -> Option<Served>,
    ) -> Vec<(u64, SocketAddr)> {
        let mut moved = Vec::new();
        for (to, target) in &mut self.0 {
            let now = served(*to);
            if now != target.served {
                target.served = now;
                moved.extend(target.ids.iter().map(|id| (*id, *to)));
            }
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[test]
    fn only_what_is_another_place_now_is_looked_at() {
        let served = |closed| Some(Served { bound: at(7), closed });
        let mut near = Near::default();
        (0..100_000).for_each(|id| near.add(at(7), id, served(false)));
        (0..3).for_each(|id| near.add(at(8), 100_000 + id, None));
        let mut asked = 0;
        let mut moved = |near: &mut Near, of_eight| {
            near.take_moved(|to| {
                asked += 1;
                if to == at(8) { of_eight } else { served(false) }
            })
        };
        assert_eq!(moved(&mut near, None), []);
        near.remove(at(8), 100_001);
        let two = [(100_000, at(8)), (100_002, at(8))];
        assert_eq!(moved(&mut near, served(true)), two);
        assert_eq!(moved(&mut near, served(true)), [], "that is known now");
        assert_eq!(moved(&mut near, None), two);
        assert_eq!(asked, 8, "one question for each destination, whoever speaks to it");
        (0..100_000).for_each(|id| near.remove(at(7), id));
        assert_eq!(near.0.len(), 1);
    }
}
