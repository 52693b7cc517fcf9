//! What addresses counted that are gone, by the series under which metrics tell them: an address that comes again goes on where it
//! ended, and a sum of several does not shrink.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::steps::{Place, shown};
use crate::config::{Bind, Plan};
use crate::control::http::figures::MOST_RANGES;
use crate::metrics::Counters;
use crate::reactor::{ListenerReport, Removed, SessionBook};

/// Series of which the counts are kept when their addresses are gone, four for each that is told at a time: whoever exchanges addresses
/// without end does not fill the memory. Those behind are not kept, and begin at 0 if they come again.
const MOST_GONE: usize = 4 * MOST_RANGES;

/// Listener and address as they are told, of those that have no series of their own.
pub(super) const OTHERS: &str = "(others)";

/// What is kept.
#[derive(Debug, Default)]
pub(super) struct Gone {
    /// By the name of the listener, and the address or range.
    series: BTreeMap<(Arc<str>, String), Sum>,
    /// The plan of those that go now, with the number of the first range of each table.
    going: Option<(Arc<Plan>, Arc<[usize]>)>,
}

/// What was counted.
#[derive(Debug, Default)]
pub(super) struct Sum {
    pub(super) counters: Counters,
    /// Datagrams that wait to be sent, of those that only leave.
    pub(super) waiting: u64,
    /// What sessions counted, and how many datagrams wait to leave by them.
    pub(super) sessions: Option<(SessionBook, u64)>,
}

impl Gone {
    /// What is removed from now on is of this plan.
    pub(super) fn begin(&mut self, plan: &Arc<Plan>) {
        self.going = Some((Arc::clone(plan), first_ranges(plan).into()));
    }

    /// Has nothing, and is for those that leave as this is for those that are gone.
    pub(super) fn beside(&self) -> Self {
        Self { series: BTreeMap::new(), going: self.going.clone() }
    }

    /// Nothing of it is there any more. Returns that plan: thousands of tables take a while to be freed.
    pub(super) fn end(&mut self) -> Option<(Arc<Plan>, Arc<[usize]>)> {
        self.going.take()
    }

    /// Keeps what a listener has counted.
    pub(super) fn add<S>(&mut self, removed: &Removed<S>) {
        let Removed { name, local, tag, counters, sessions, .. } = removed;
        let sessions = sessions.as_ref().map(|book| (book, 0));
        self.count((name, *local, *tag), (counters, 0), sessions);
    }

    /// Keeps what a listener has counted so far that leaves.
    pub(super) fn add_report(&mut self, report: &ListenerReport<'_>) {
        let ListenerReport { name, local, tag, counters, waiting, .. } = report;
        let sessions = report.sessions.map(|sessions| (sessions.book, sessions.waiting));
        self.count((name, *local, *tag), (counters, *waiting), sessions);
    }

    fn count(
        &mut self,
        (name, local, tag): (&Arc<str>, SocketAddr, u64),
        (counters, waiting): (&Counters, u64),
        sessions: Option<(&SessionBook, u64)>,
    ) {
        let Some((plan, first)) = &self.going else { return };
        let place = Place::of_tag(tag);
        let (Some((_, bind)), Some(first)) = (place.of(plan), first.get(place.entry as usize)) else {
            return;
        };
        let key = if first + place.bind as usize >= MOST_RANGES {
            (Arc::from(OTHERS), OTHERS.to_owned())
        } else {
            (Arc::clone(name), label(bind, local))
        };
        // The one of all others has its place in any case: what it stands for does not shrink.
        let is_one_more = *key.0 != *OTHERS && !self.series.contains_key(&key);
        if self.series.len() >= MOST_GONE && is_one_more {
            return;
        }
        let sum = self.series.entry(key).or_default();
        sum.counters += counters;
        sum.waiting += waiting;
        if let Some((book, waiting)) = sessions.filter(|(book, _)| !book.is_blank()) {
            let all = sum.sessions.get_or_insert_default();
            all.0 += book;
            all.1 += waiting;
        }
    }

    /// What was counted under this listener and address by those that are gone.
    pub(super) fn of(&self, listener: &str, address: &str) -> Option<&Sum> {
        self.series.get(&(Arc::from(listener), address.to_owned()))
    }
}

/// For each table of a plan the number of its first bind address or range among all of them.
pub(super) fn first_ranges(plan: &Plan) -> Vec<usize> {
    let mut ranges = 0;
    let first = plan.listen.iter().map(|listen| {
        let first = ranges;
        ranges += listen.bind.len();
        first
    });
    first.collect()
}

/// How a bind address is told, or the range of one that is bound to `local`.
pub(super) fn label(bind: &Bind, local: SocketAddr) -> String {
    // Port 0 is any: the one that it is tells it from others.
    match bind.addresses().next().filter(|_| bind.count() > 1) {
        Some(first) => shown(bind, first),
        None => local.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::from_listen_args;
    use crate::plugin::Cells;

    /// However many series are kept, what has none of its own is counted.
    #[test]
    fn the_sum_of_the_others_has_its_place_when_all_are_taken() {
        let listen = |n: usize| format!("127.0.0.1:{}=echo,name=n{n}", 1 + n);
        let plan = from_listen_args(&(0..=MOST_RANGES).map(listen).collect::<Vec<_>>()).plan;
        let mut gone = Gone::default();
        gone.begin(&Arc::new(plan));
        let mut remove = |entry: u32, name: &str, port: u16| {
            let mut counters = Counters::default();
            counters.received = 1;
            let local = ([127, 0, 0, 1], port).into();
            let tag = Place { entry, bind: 0 }.tag();
            let name = Arc::from(name);
            gone.add(&Removed {
                name,
                local,
                socket: (),
                counters,
                cells: Cells::default(),
                sessions: None,
                tag,
            });
        };
        for n in 0..=MOST_GONE {
            remove(0, &format!("n{n}"), 1);
        }
        let last = u32::try_from(MOST_RANGES).unwrap();
        remove(last, "n1000", 1001);
        remove(last, "n1000", 1001);
        let received = |name: &str, address: &str| gone.of(name, address).map(|sum| sum.counters.received);
        assert_eq!(received("n0", "127.0.0.1:1"), Some(1));
        assert_eq!(received(&format!("n{MOST_GONE}"), "127.0.0.1:1"), None, "there is no more room");
        assert_eq!(received(OTHERS, OTHERS), Some(2));
    }
}
