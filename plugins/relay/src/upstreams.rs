//! Where sessions can go: which upstream a new one gets, and which of them are down.
//!
//! Nobody is probed. What sessions meet says it: an upstream gets a mark when ICMP says that nobody is there, and when a session
//! hears nothing. So many marks without an answer between, and it is down for a while, in which others are chosen. If all are down,
//! all count as up: it is better to try than to drop.

use std::net::{IpAddr, SocketAddr};

use polyport_plugin::mix;

use crate::config::Select;
use crate::hash::hash_of;

/// How upstreams are chosen, and what ends one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) select: Select,
    /// Of the hash.
    pub(crate) seed: u64,
    /// Marks that bring one down.
    pub(crate) marks: u32,
    /// How long it is down, nanoseconds.
    pub(crate) retry_ns: u64,
}

/// All upstreams: those that new sessions get, and those that some session has still. Each has a number, for as long as it is here.
#[derive(Debug)]
pub(crate) struct Upstreams {
    rules: Rules,
    all: Vec<Upstream>,
    /// Numbers of those that new sessions get, in the order of the configuration.
    listed: Vec<u32>,
    /// Numbers that are free.
    free: Vec<u32>,
}

#[derive(Clone, Debug)]
struct Upstream {
    address: SocketAddr,
    /// What of the hash is its own.
    key: u64,
    weight: u32,
    is_listed: bool,
    /// It has answered somebody.
    answers: bool,
    marks: u32,
    /// Up again from then on, nanoseconds of the monotonic clock; 0: up.
    down_until_ns: u64,
    /// Sessions that have it.
    sessions: u32,
    /// What it is owed, for `round`.
    credit: i64,
}

impl Upstreams {
    pub(crate) const fn new(rules: Rules) -> Self {
        Self { rules, all: Vec::new(), listed: Vec::new(), free: Vec::new() }
    }

    pub(crate) const fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// From now on new sessions get these, each with its weight, and no others. One that is named twice has both weights.
    pub(crate) fn list(&mut self, wanted: impl IntoIterator<Item = (SocketAddr, u16)>) {
        for number in std::mem::take(&mut self.listed) {
            if let Some(upstream) = self.get_mut(number) {
                (upstream.is_listed, upstream.weight) = (false, 0);
            }
        }
        for (address, weight) in wanted {
            let number = self.number(address);
            let Some(upstream) = self.get_mut(number) else { continue };
            upstream.weight += u32::from(weight);
            if !upstream.is_listed {
                upstream.is_listed = true;
                self.listed.push(number);
            }
        }
        let numbers = (0..).zip(&self.all);
        let unused = numbers.filter(|(number, upstream)| upstream.is_unused() && !self.free.contains(number));
        let unused: Vec<u32> = unused.map(|(number, _)| number).collect();
        self.free.extend(unused);
    }

    /// The number of an address, which is made if there is none.
    pub(crate) fn number(&mut self, address: SocketAddr) -> u32 {
        let known = self.all.iter().position(|upstream| upstream.address == address);
        if let Some(at) = known {
            let number = u32::try_from(at).unwrap_or(u32::MAX);
            self.free.retain(|free| *free != number);
            return number;
        }
        let upstream = Upstream {
            address,
            key: key(address),
            weight: 0,
            is_listed: false,
            answers: false,
            marks: 0,
            down_until_ns: 0,
            sessions: 0,
            credit: 0,
        };
        if let Some(number) = self.free.pop() {
            if let Some(place) = self.get_mut(number) {
                *place = upstream;
            }
            return number;
        }
        self.all.push(upstream);
        u32::try_from(self.all.len() - 1).unwrap_or(u32::MAX)
    }

    /// Whether there is nowhere to go.
    pub(crate) const fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// The upstream for a new session of a client; another one than `except` if there is any.
    pub(crate) fn choose(&mut self, client: u64, now_ns: u64, except: Option<u32>) -> Option<u32> {
        let others = |number: &u32| Some(*number) != except;
        let up = |number: &u32| self.is_up(*number, now_ns);
        let any = |fits: &dyn Fn(&u32) -> bool| self.listed.iter().any(fits);
        // The best that there is: up and another, another, up, any.
        let stage = if any(&|number| others(number) && up(number)) {
            (true, true)
        } else if any(&up) {
            (false, true)
        } else if any(&others) {
            (true, false)
        } else {
            (false, false)
        };
        let fits = |upstreams: &Self, number: u32| {
            (!stage.0 || others(&number)) && (!stage.1 || upstreams.is_up(number, now_ns))
        };
        match self.rules.select {
            Select::First => self.listed.iter().copied().find(|number| fits(self, *number)),
            Select::Hash => {
                let seed = self.rules.seed;
                let fitting = self.listed.iter().copied().filter(|number| fits(self, *number));
                let scored =
                    fitting.filter_map(|number| Some((self.get(number)?.score(seed, client), number)));
                scored.max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, number)| number)
            }
            Select::Round => self.next_in_turn(fits),
        }
    }

    /// Each gets what it is owed, and the one that is owed most goes and pays for all: so the heavy ones are spread.
    fn next_in_turn(&mut self, fits: impl Fn(&Self, u32) -> bool) -> Option<u32> {
        let mut total = 0;
        let mut best: Option<(i64, u32)> = None;
        for at in 0..self.listed.len() {
            let Some(number) = self.listed.get(at).copied().filter(|number| fits(self, *number)) else {
                continue;
            };
            let Some(upstream) = self.get_mut(number) else { continue };
            upstream.credit += i64::from(upstream.weight);
            total += i64::from(upstream.weight);
            if best.is_none_or(|(credit, _)| upstream.credit > credit) {
                best = Some((upstream.credit, number));
            }
        }
        let (_, number) = best?;
        self.get_mut(number)?.credit -= total;
        Some(number)
    }

    pub(crate) fn address(&self, number: u32) -> Option<SocketAddr> {
        self.get(number).map(|upstream| upstream.address)
    }

    /// Whether new sessions get it.
    pub(crate) fn is_listed(&self, number: u32) -> bool {
        self.get(number).is_some_and(|upstream| upstream.is_listed)
    }

    /// Whether it has answered anybody.
    pub(crate) fn answers(&self, number: u32) -> bool {
        self.get(number).is_some_and(|upstream| upstream.answers)
    }

    pub(crate) fn is_up(&self, number: u32, now_ns: u64) -> bool {
        self.get(number).is_some_and(|upstream| upstream.down_until_ns <= now_ns)
    }

    /// Whether a session that leaves it finds one that is up.
    pub(crate) fn another_is_up(&self, number: u32, now_ns: u64) -> bool {
        self.listed.iter().any(|other| *other != number && self.is_up(*other, now_ns))
    }

    /// It has answered: what was held against it is forgotten.
    #[inline]
    pub(crate) fn heard(&mut self, number: u32) {
        if let Some(upstream) = self.get_mut(number) {
            (upstream.answers, upstream.marks, upstream.down_until_ns) = (true, 0, 0);
        }
    }

    /// A mark against it. True if it goes down.
    pub(crate) fn mark(&mut self, number: u32, now_ns: u64) -> bool {
        let (most, retry_ns) = (self.rules.marks, self.rules.retry_ns);
        let Some(upstream) = self.get_mut(number) else { return false };
        upstream.marks = upstream.marks.saturating_add(1);
        // Once it is up again, one mark is enough until it has answered.
        let falls = upstream.marks >= most && upstream.down_until_ns <= now_ns;
        if falls {
            upstream.down_until_ns = now_ns.saturating_add(retry_ns);
        }
        falls
    }

    /// It cannot be sent to: as many marks as it takes. True if it goes down.
    pub(crate) fn fail(&mut self, number: u32, now_ns: u64) -> bool {
        let most = self.rules.marks;
        if let Some(upstream) = self.get_mut(number) {
            upstream.marks = upstream.marks.max(most);
        }
        self.mark(number, now_ns)
    }

    /// A session has it.
    pub(crate) fn enter(&mut self, number: u32) {
        if let Some(upstream) = self.get_mut(number) {
            upstream.sessions += 1;
        }
    }

    /// A session has it no more.
    pub(crate) fn leave(&mut self, number: u32) {
        let Some(upstream) = self.get_mut(number) else { return };
        upstream.sessions = upstream.sessions.saturating_sub(1);
        if upstream.is_unused() {
            self.free.push(number);
        }
    }

    /// How many of those that new sessions get are down.
    pub(crate) fn down(&self, now_ns: u64) -> u64 {
        self.listed.iter().filter(|number| !self.is_up(**number, now_ns)).count() as u64
    }

    /// Addresses of those that have answered somebody.
    pub(crate) fn answering(&self) -> impl Iterator<Item = SocketAddr> {
        self.all
            .iter()
            .filter(|upstream| upstream.answers && !upstream.is_unused())
            .map(|upstream| upstream.address)
    }

    fn get(&self, number: u32) -> Option<&Upstream> {
        self.all.get(number as usize)
    }

    fn get_mut(&mut self, number: u32) -> Option<&mut Upstream> {
        self.all.get_mut(number as usize)
    }
}

impl Upstream {
    const fn is_unused(&self) -> bool {
        !self.is_listed && self.sessions == 0
    }

    /// Rendezvous by weight: the largest of `weight / -ln(u)` wins, with `u` from 0 to 1 by client and upstream. Whoever comes
    /// or goes moves no client between the others.
    fn score(&self, seed: u64, client: u64) -> f64 {
        const SCALE: f64 = 1.0 / 9_007_199_254_740_992.0;
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
        let unit = ((mix(seed, client, self.key) >> 11) as f64 + 0.5) * SCALE;
        f64::from(self.weight) / -unit.ln()
    }
}

/// 64 bits of an address.
fn key(address: SocketAddr) -> u64 {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    hash_of(ip.octets(), address.port().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn address(n: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, n], 53))
    }

    fn upstreams(select: Select, weights: &[u16]) -> Upstreams {
        let mut upstreams = Upstreams::new(Rules { select, seed: 7, marks: 3, retry_ns: 10 * SECOND });
        upstreams.list((1..).zip(weights).map(|(n, weight)| (address(n), *weight)));
        upstreams
    }

    /// How many of 10,000 clients each gets.
    fn shares(upstreams: &mut Upstreams, now_ns: u64) -> Vec<usize> {
        let mut shares = vec![0; upstreams.all.len()];
        for client in 0..10_000 {
            shares[upstreams.choose(mix(1, 2, client), now_ns, None).unwrap() as usize] += 1;
        }
        shares
    }

    #[test]
    fn a_hash_shares_by_weight_and_is_the_same_in_every_process() {
        let mut own = upstreams(Select::Hash, &[1, 1, 2]);
        let expected = [2500, 2500, 5000];
        // Five standard deviations.
        for (share, expected) in shares(&mut own, 1).into_iter().zip(expected) {
            assert!(share.abs_diff(expected) < 250, "{share}");
        }
        let first: Vec<_> = (0..12).map(|client| own.choose(client, 1, None).unwrap()).collect();
        assert_eq!(first, [2, 1, 0, 1, 2, 0, 2, 2, 2, 0, 1, 2]);
    }

    #[test]
    fn who_comes_or_goes_moves_no_client_between_the_others() {
        let mut own = upstreams(Select::Hash, &[1, 1, 1, 1]);
        let chosen = |own: &mut Upstreams, now_ns| -> Vec<_> {
            (0..2000).map(|client| own.choose(client, now_ns, None).unwrap()).collect()
        };
        let before = chosen(&mut own, 1);
        own.list((1..=3).map(|n| (address(n), 1)));
        for (was, is) in before.iter().zip(chosen(&mut own, 1)) {
            assert!(*was == 3 || *was == is);
        }
        own.list((1..=4).map(|n| (address(n), 1)));
        assert_eq!(chosen(&mut own, 1), before);
        // Down is as gone, for a while.
        assert!(own.fail(1, 1));
        for (was, is) in before.iter().zip(chosen(&mut own, 1)) {
            assert!(is != 1 && (*was == 1 || *was == is));
        }
        assert_eq!(chosen(&mut own, 1 + 10 * SECOND), before);
    }

    #[test]
    fn in_turn_each_gets_its_weight_and_the_heavy_ones_are_spread() {
        let mut own = upstreams(Select::Round, &[3, 1, 1]);
        let order: Vec<_> = (0..10).map(|_| own.choose(0, 1, None).unwrap()).collect();
        assert_eq!(order, [0, 1, 0, 2, 0, 0, 1, 0, 2, 0]);
    }

    #[test]
    fn the_first_that_is_up_and_all_if_none_is() {
        let mut own = upstreams(Select::First, &[1, 1]);
        assert_eq!(own.choose(0, 1, None), Some(0));
        assert!(!own.mark(0, 1) && !own.mark(0, 1) && own.mark(0, 1));
        assert_eq!((own.choose(0, 1, None), own.down(1)), (Some(1), 1));
        assert!(own.fail(1, 1) && !own.another_is_up(0, 1));
        assert_eq!((own.choose(0, 1, None), own.choose(0, 1, Some(0)), own.down(1)), (Some(0), Some(1), 2));
        let later = 1 + 10 * SECOND;
        assert_eq!((own.choose(0, later, None), own.down(later)), (Some(0), 0));
        assert!(own.mark(0, later), "one mark is enough until it has answered");
        own.heard(0);
        assert!(own.is_up(0, later) && !own.mark(0, later) && !own.mark(0, later));
    }

    #[test]
    fn an_answer_between_forgives_marks() {
        let mut own = upstreams(Select::First, &[1]);
        for _ in 0..10 {
            assert!(!own.mark(0, 1) && !own.mark(0, 1));
            own.heard(0);
        }
        assert!(own.answers(0) && own.is_up(0, 1));
    }

    #[test]
    fn what_is_unlisted_stays_while_a_session_has_it_and_then_its_place_is_free() {
        let mut own = upstreams(Select::First, &[1, 1]);
        own.enter(0);
        own.list([(address(2), 1)]);
        assert_eq!((own.address(0), own.is_listed(0), own.is_listed(1)), (Some(address(1)), false, true));
        assert_eq!(own.choose(0, 1, None), Some(1));
        own.leave(0);
        for n in 10..200 {
            own.list([(address(n), 1), (address(2), 1)]);
        }
        assert!(own.all.len() <= 4, "{}", own.all.len());
        assert!(own.is_listed(1));
        own.list([]);
        assert_eq!(own.choose(0, 1, None), None);
        assert_eq!(own.number(address(2)), 1);
        own.list([(address(2), 1), (address(2), 2)]);
        assert_eq!((own.listed.len(), own.get(1).unwrap().weight), (1, 3));
    }

    #[test]
    fn who_moves_gets_another_if_there_is_one() {
        let mut one = upstreams(Select::Hash, &[1]);
        assert_eq!(one.choose(5, 1, Some(0)), Some(0));
        let mut two = upstreams(Select::Hash, &[1, 1]);
        for client in 0..100 {
            assert_eq!(two.choose(client, 1, Some(0)), Some(1));
        }
        two.fail(1, 1);
        assert_eq!(two.choose(5, 1, Some(0)), Some(0), "the other one is down");
    }
}
