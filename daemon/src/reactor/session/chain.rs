//! Sessions to listeners of the same daemon. One to a listener whose handler opens no sessions ends there. One to a listener whose
//! handler does goes on from there, so it needs that listener's word (`chain = true`), and never leads back to where it began.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::reactor::io::Token;

/// What sends by sessions: a listener, or the one handler of several addresses. That one may send by a session of any of them
/// whatever came to any other, so all of them are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Speaker {
    /// The listeners that are bound to an address.
    At(SocketAddr),
    /// The handler of a bundle.
    Bundle(Token),
}

/// Where a session begins, and the address that the listener is bound to where it leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Link {
    pub(super) from: Speaker,
    pub(super) to: SocketAddr,
}

/// The sessions to listeners of the same daemon. Most daemons have none.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    links: BTreeMap<u64, Link>,
    /// How many sessions there are of each link.
    counts: BTreeMap<Link, usize>,
    /// The addresses of bundles whose handlers open sessions, each with its bundle.
    bundles: BTreeSet<(SocketAddr, Token)>,
    /// When a refusal was told last, monotonic ns.
    pub(super) said_ns: Option<u64>,
}

impl Chain {
    pub(super) fn add(&mut self, id: u64, link: Link) {
        self.links.insert(id, link);
        *self.counts.entry(link).or_default() += 1;
    }

    #[inline]
    pub(super) fn remove(&mut self, id: u64) {
        if !self.links.is_empty() {
            self.unlink(id);
        }
    }

    #[cold]
    fn unlink(&mut self, id: u64) {
        let Some(link) = self.links.remove(&id) else { return };
        let Some(count) = self.counts.get_mut(&link) else { return };
        *count -= 1;
        if *count == 0 {
            self.counts.remove(&link);
        }
    }

    /// Forgets all sessions. Which addresses are of a bundle stays known.
    pub(super) fn clear(&mut self) {
        self.links.clear();
        self.counts.clear();
    }

    /// An address is of a bundle, whose handler opens sessions.
    pub(super) fn join(&mut self, at: SocketAddr, bundle: Token) {
        self.bundles.insert((at, bundle));
    }

    /// An address is of a bundle no more, if it was.
    pub(super) fn part(&mut self, at: SocketAddr, bundle: Token) {
        self.bundles.remove(&(at, bundle));
    }

    /// Whether what comes to address `from` may come to `to`, over any number of sessions; it does if that is there.
    pub(super) fn leads(&self, from: SocketAddr, to: Speaker) -> bool {
        let mut next: Vec<_> = self.speakers(from).collect();
        let mut seen: BTreeSet<_> = next.iter().copied().collect();
        while let Some(at) = next.pop() {
            if at == to {
                return true;
            }
            let onward = self.onward(at).flat_map(|on| self.speakers(on));
            next.extend(onward.filter(|on| seen.insert(*on)));
        }
        false
    }

    /// Who gets what comes to an address.
    fn speakers(&self, at: SocketAddr) -> impl Iterator<Item = Speaker> {
        let bundles = self.bundles.range((at, FIRST)..).take_while(move |(bound, _)| *bound == at);
        [Speaker::At(at)].into_iter().chain(bundles.map(|(_, bundle)| Speaker::Bundle(*bundle)))
    }

    /// The addresses that sessions of a speaker lead to.
    fn onward(&self, from: Speaker) -> impl Iterator<Item = SocketAddr> {
        let first = Link { from, to: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0) };
        self.counts
            .range(first..)
            .map(|(link, _)| *link)
            .take_while(move |link| link.from == from)
            .map(|link| link.to)
    }
}

/// The token before all others.
const FIRST: Token = Token { index: 0, generation: 0 };

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn leads(chain: &Chain, from: u16, to: u16) -> bool {
        chain.leads(at(from), Speaker::At(at(to)))
    }

    #[test]
    fn a_way_is_there_as_long_as_each_of_its_links_has_a_session() {
        let mut chain = Chain::default();
        let link = |from, to| Link { from: Speaker::At(at(from)), to: at(to) };
        for (id, link) in
            [(1, link(1, 2)), (2, link(2, 3)), (3, link(2, 3)), (4, link(3, 1)), (5, link(3, 4))]
        {
            chain.add(id, link);
        }
        assert!(leads(&chain, 1, 4) && leads(&chain, 2, 1) && leads(&chain, 9, 9));
        assert!(!leads(&chain, 4, 1) && !leads(&chain, 9, 1));
        chain.remove(2);
        assert!(leads(&chain, 1, 4), "another session is there still");
        chain.remove(3);
        assert!(!leads(&chain, 1, 4) && leads(&chain, 1, 2));
        (0..9).for_each(|id| chain.remove(id));
        assert!(chain.links.is_empty() && chain.counts.is_empty());
    }

    /// A handler of two addresses sends by the session of one what came to the other.
    #[test]
    fn all_addresses_of_a_bundle_are_one() {
        let bundles = [5, 6].map(|index| Token { index, generation: 1 });
        let [bundle, other] = bundles;
        let mut chain = Chain::default();
        for (port, bundle) in [(1, bundle), (2, bundle), (2, other), (4, other)] {
            chain.join(at(port), bundle);
        }
        chain.add(1, Link { from: Speaker::Bundle(bundle), to: at(3) });
        for from in [1, 2] {
            assert!(leads(&chain, from, 3), "{from}");
            assert!(chain.leads(at(from), Speaker::Bundle(bundle)), "{from}");
        }
        assert!(!leads(&chain, 4, 3) && !chain.leads(at(3), Speaker::Bundle(bundle)));
        // Who shares an address with another one gets what comes there as well.
        chain.add(2, Link { from: Speaker::Bundle(other), to: at(1) });
        assert!(leads(&chain, 4, 3) && chain.leads(at(4), Speaker::Bundle(bundle)));
        chain.part(at(1), bundle);
        assert!(!leads(&chain, 4, 3) && leads(&chain, 2, 3));
    }
}
