//! Names among the upstreams: when each is looked up, and what was found.
//!
//! A lookup may take seconds, and a handler must not wait: a thread makes it and wakes the handler (`lookups`). Here is only when.

use std::net::SocketAddr;

use crate::endpoint::{Endpoint, Host};

const SECOND: u64 = 1_000_000_000;
/// After a first lookup that found nothing; then twice as long each time.
const FIRST_WAIT_NS: u64 = SECOND;
/// Longest wait where names are looked up until they are found, and never again.
const LONGEST_WAIT_NS: u64 = 30 * SECOND;
/// Addresses of one name that are used.
const MOST_ADDRESSES: usize = 16;

/// A name to look up, with the port that goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// What has come of a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// What was found is what there was.
    Same,
    /// There are other addresses.
    Other,
    /// It found nothing; what there was stays.
    Failed,
}

/// The names of a configuration.
#[derive(Debug, Default)]
pub(crate) struct Names {
    entries: Vec<Entry>,
    /// From one lookup of a name that was found to the next; 0: there is none.
    resolve_ns: u64,
}

#[derive(Debug)]
struct Entry {
    name: Name,
    found: Vec<SocketAddr>,
    /// When it is looked up next; never while a lookup is under way.
    due_ns: u64,
    /// How long to wait after the next lookup that finds nothing.
    wait_ns: u64,
}

const NEVER: u64 = u64::MAX;

impl Names {
    /// Those among `to`; what was found of them before stays known.
    pub(crate) fn set(&mut self, to: &[Endpoint], resolve_ns: u64, now_ns: u64) {
        let mut before = std::mem::take(&mut self.entries);
        let changed = std::mem::replace(&mut self.resolve_ns, resolve_ns) != resolve_ns;
        for endpoint in to {
            let Host::Name(host, port) = &endpoint.host else { continue };
            let name = Name { host: host.clone(), port: *port };
            if self.entries.iter().any(|entry| entry.name == name) {
                continue;
            }
            let known = before.iter().position(|entry| entry.name == name).map(|at| before.swap_remove(at));
            let fresh = |name| Entry { name, found: Vec::new(), due_ns: now_ns, wait_ns: FIRST_WAIT_NS };
            let mut entry = known.unwrap_or_else(|| fresh(name));
            if changed && !entry.found.is_empty() {
                entry.due_ns = now_ns;
            }
            self.entries.push(entry);
        }
    }

    /// The names that are to be looked up now; each is under way from now on.
    pub(crate) fn take_due(&mut self, now_ns: u64) -> Vec<Name> {
        let due = self.entries.iter_mut().filter(|entry| entry.due_ns <= now_ns);
        due.map(|entry| {
            entry.due_ns = NEVER;
            entry.name.clone()
        })
        .collect()
    }

    /// A lookup has ended. Of a name that is not among them any more nothing changes.
    pub(crate) fn answer(&mut self, name: &Name, found: &[SocketAddr], now_ns: u64) -> Change {
        let resolve_ns = self.resolve_ns;
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.name == *name) else {
            return Change::Same;
        };
        if found.is_empty() {
            let is_regular = resolve_ns > 0 && !entry.found.is_empty();
            let wait_ns = if is_regular { resolve_ns.max(FIRST_WAIT_NS) } else { entry.wait_ns };
            let longest = if resolve_ns == 0 { LONGEST_WAIT_NS } else { resolve_ns.max(FIRST_WAIT_NS) };
            entry.wait_ns = entry.wait_ns.saturating_mul(2).min(longest);
            entry.due_ns = now_ns.saturating_add(wait_ns.min(longest));
            return Change::Failed;
        }
        entry.wait_ns = FIRST_WAIT_NS;
        entry.due_ns =
            if resolve_ns == 0 { NEVER } else { now_ns.saturating_add(resolve_ns.max(FIRST_WAIT_NS)) };
        // A server of names turns its answers round; that is no change, and moves nobody.
        let mut merged: Vec<_> = entry.found.iter().copied().filter(|old| found.contains(old)).collect();
        for new in found {
            if merged.len() < MOST_ADDRESSES && !merged.contains(new) {
                merged.push(*new);
            }
        }
        if merged == entry.found {
            return Change::Same;
        }
        entry.found = merged;
        Change::Other
    }

    /// The addresses of a name, as far as they are known.
    pub(crate) fn found(&self, host: &str, port: u16) -> &[SocketAddr] {
        let entry = self.entries.iter().find(|entry| entry.name.host == host && entry.name.port == port);
        entry.map_or(&[], |entry| &entry.found)
    }

    /// What another instance has found, until the next lookup of it.
    pub(crate) fn remember(&mut self, name: &Name, found: &[SocketAddr]) {
        if let Some(entry) =
            self.entries.iter_mut().find(|entry| entry.name == *name && entry.found.is_empty())
        {
            entry.found = found.iter().copied().take(MOST_ADDRESSES).collect();
        }
    }

    /// All names with an address.
    pub(crate) fn known(&self) -> impl Iterator<Item = (&Name, &[SocketAddr])> {
        let known = self.entries.iter().filter(|entry| !entry.found.is_empty());
        known.map(|entry| (&entry.name, entry.found.as_slice()))
    }

    /// When the next lookup is due; none if none is, or all are under way.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        self.entries.iter().map(|entry| entry.due_ns).min().filter(|due_ns| *due_ns != NEVER)
    }

    /// Names without an address.
    pub(crate) fn unresolved(&self) -> u64 {
        self.entries.iter().filter(|entry| entry.found.is_empty()).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(texts: &[&str], resolve_ns: u64) -> Names {
        let mut names = Names::default();
        names.set(&endpoints(texts), resolve_ns, 1);
        names
    }

    fn endpoints(texts: &[&str]) -> Vec<Endpoint> {
        texts.iter().map(|text| Endpoint::parse(text).unwrap()).collect()
    }

    fn addresses(numbers: &[u8]) -> Vec<SocketAddr> {
        numbers.iter().map(|n| SocketAddr::from(([192, 0, 2, *n], 53))).collect()
    }

    fn one(names: &mut Names, now_ns: u64) -> Name {
        let due = names.take_due(now_ns);
        assert_eq!(due.len(), 1);
        due.into_iter().next().unwrap()
    }

    #[test]
    fn the_wait_doubles_while_nothing_is_found_and_ends_at_the_time_of_resolving() {
        for (resolve, expected) in [(10, [1, 2, 4, 8, 10, 10, 10]), (0, [1, 2, 4, 8, 16, 30, 30])] {
            let mut names = names(&["192.0.2.1:53", "a.example:53"], resolve * SECOND);
            let mut now = 1;
            for wait in expected {
                let name = one(&mut names, now);
                assert_eq!((names.take_due(now).len(), names.next_ns()), (0, None), "it is under way");
                assert_eq!(names.answer(&name, &[], now), Change::Failed);
                assert_eq!((names.next_ns(), names.unresolved()), (Some(now + wait * SECOND), 1));
                assert!(names.take_due(now + wait * SECOND - 1).is_empty());
                now += wait * SECOND;
            }
        }
    }

    #[test]
    fn what_was_found_stays_when_a_later_lookup_finds_nothing() {
        let mut names = names(&["a.example:53"], 30 * SECOND);
        let name = one(&mut names, 1);
        assert_eq!(names.answer(&name, &addresses(&[1, 2]), 1), Change::Other);
        assert_eq!((names.next_ns(), names.unresolved()), (Some(1 + 30 * SECOND), 0));
        let now = 1 + 30 * SECOND;
        let name = one(&mut names, now);
        assert_eq!(names.answer(&name, &[], now), Change::Failed);
        assert_eq!(names.found("a.example", 53), addresses(&[1, 2]));
        assert_eq!((names.next_ns(), names.unresolved()), (Some(now + 30 * SECOND), 0));
    }

    #[test]
    fn turned_round_answers_are_no_change_and_new_ones_come_last() {
        let mut names = names(&["a.example:53"], SECOND);
        let mut now = 1;
        for (found, change, kept) in [
            (&[1, 2, 3][..], Change::Other, &[1, 2, 3][..]),
            (&[3, 1, 2], Change::Same, &[1, 2, 3]),
            (&[4, 3, 1], Change::Other, &[1, 3, 4]),
            (&[9, 9], Change::Other, &[9]),
        ] {
            let name = one(&mut names, now);
            assert_eq!(names.answer(&name, &addresses(found), now), change);
            assert_eq!(names.found("a.example", 53), addresses(kept));
            now += SECOND;
        }
        let many: Vec<u8> = (1..100).collect();
        let name = one(&mut names, now);
        names.answer(&name, &addresses(&many), now);
        assert_eq!(names.found("a.example", 53).len(), MOST_ADDRESSES);
    }

    #[test]
    fn without_a_time_of_resolving_a_name_is_looked_up_until_it_is_found() {
        let mut names = names(&["a.example:53"], 0);
        let name = one(&mut names, 1);
        names.answer(&name, &addresses(&[1]), 1);
        assert_eq!(names.next_ns(), None);
    }

    /// It was found, and other options have it looked up once more.
    #[test]
    fn a_known_name_that_is_looked_up_once_more_in_vain_waits_longer_each_time() {
        let mut names = names(&["a.example:53"], 30 * SECOND);
        let name = one(&mut names, 1);
        names.answer(&name, &addresses(&[1]), 1);
        let mut now = 5;
        names.set(&endpoints(&["a.example:53"]), 0, now);
        for wait in [1, 2, 4, 8, 16, 30, 30] {
            let name = one(&mut names, now);
            assert_eq!(names.answer(&name, &[], now), Change::Failed);
            now += wait * SECOND;
            assert_eq!((names.next_ns(), names.found("a.example", 53)), (Some(now), &addresses(&[1])[..]));
        }
        let name = one(&mut names, now);
        assert_eq!((names.answer(&name, &addresses(&[1]), now), names.next_ns()), (Change::Same, None));
    }

    #[test]
    fn a_new_configuration_keeps_what_is_known_and_forgets_who_is_gone() {
        let mut names = names(&["a.example:53", "b.example:53", "a.example:53*2"], 30 * SECOND);
        for name in names.take_due(1) {
            names.answer(&name, &addresses(&[1]), 1);
        }
        names.set(&endpoints(&["c.example:53", "a.example:53"]), 30 * SECOND, 5);
        assert_eq!((names.unresolved(), names.next_ns()), (1, Some(5)));
        assert_eq!(names.found("a.example", 53), addresses(&[1]));
        let gone = Name { host: "b.example".to_owned(), port: 53 };
        assert_eq!(names.answer(&gone, &addresses(&[2]), 6), Change::Same);
        assert!(names.found("b.example", 53).is_empty());
    }
}
