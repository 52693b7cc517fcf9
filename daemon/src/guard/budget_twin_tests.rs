//! The budget against a slow twin that remembers everything, and against its promise.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::tests::{BUDGET, KEY, LIMITED, MS, REFUSED, large, request};
use super::*;
use crate::guard::prefixes::PERIOD_NS;

/// What a test asks for, in small numbers.
#[derive(Clone, Debug)]
struct Step {
    pause_ms: u64,
    /// Who sends, and how much.
    requests: Vec<(u8, usize)>,
    /// Which request is answered, if any; to whom, if not to its sender; how much.
    replies: Vec<(Option<prop::sample::Index>, Option<u8>, usize)>,
}

fn step() -> impl Strategy<Value = Step> {
    let requests = prop::collection::vec((any::<u8>(), 0_usize..200), 0..5);
    let answers = prop::option::weighted(0.8, any::<prop::sample::Index>());
    let to = prop::option::weighted(0.2, any::<u8>());
    let replies = prop::collection::vec((answers, to, prop_oneof![0_usize..200, 0_usize..1500]), 0..8);
    let pause_ms = prop_oneof![Just(0_u64), 0_u64..50, 0_u64..1200];
    (pause_ms, requests, replies).prop_map(|(pause_ms, requests, replies)| Step {
        pause_ms,
        requests,
        replies,
    })
}

fn budget() -> impl Strategy<Value = Budget> {
    let factors = prop::sample::select(vec![500_u32, 1000, 2718, 3000, 3000, 10_000]);
    (factors, prop::option::of(0_u32..6), 0_u32..4).prop_map(|(amplification_milli, rate, slip)| Budget {
        amplification_milli,
        rate,
        slip,
        ..BUDGET
    })
}

/// Address `n` of those that a test knows: prefixes with several addresses each, in both families.
fn address(n: u8, prefixes: u8) -> IpAddr {
    let prefix = n / 4 % prefixes;
    if n.is_multiple_of(2) {
        IpAddr::V4(Ipv4Addr::new(192, 0, prefix, n))
    } else {
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, prefix.into(), 0, 0, 0, 0, n.into()))
    }
}

/// What left: by which prefix, in which period, and at what price.
#[derive(Debug, Default)]
struct Books {
    came: BTreeMap<(IpAddr, u64), u64>,
    left: BTreeMap<(IpAddr, u64), u64>,
}

/// The prefix of an address, without the code under test.
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => Ipv4Addr::from(ip.to_bits() & 0xffff_ff00).into(),
        IpAddr::V6(ip) => Ipv6Addr::from(ip.to_bits() >> 72 << 72).into(),
    }
}

fn wire(ip: IpAddr, bytes: usize) -> u64 {
    bytes as u64 + if ip.is_ipv4() { 28 } else { 48 }
}

impl Books {
    /// The promise: what left in any periods in a row was paid for by what came in them and in the one before.
    fn check(&self, milli: u32) -> Result<(), TestCaseError> {
        let in_periods = |books: &BTreeMap<(IpAddr, u64), u64>, of: IpAddr, from: u64, to: u64| {
            books.range((of, from)..=(of, to)).map(|(_, bytes)| *bytes).sum::<u64>()
        };
        for (of, last) in self.left.keys() {
            for (_, first) in self.left.keys().filter(|(other, period)| other == of && period <= last) {
                let left = in_periods(&self.left, *of, *first, *last);
                let came = in_periods(&self.came, *of, first.saturating_sub(1), *last);
                prop_assert!(
                    left * 1000 <= came * u64::from(milli),
                    "{of}: {left} of {came} in {first} to {last}"
                );
            }
        }
        Ok(())
    }
}

/// The slow twin: every byte that ever came, and every reply that ever left. It counts thousandths of bytes, too, and
/// forgets them at the end of a call.
#[derive(Debug, Default)]
struct Twin {
    /// Prefix, period, which request of the current call, and how much may still leave because of it.
    came: Vec<(IpAddr, u64, Option<usize>, u64)>,
    replies: BTreeMap<(IpAddr, u64), u32>,
}

impl Twin {
    fn pay(&mut self, budget: &Budget, reply: &Reply, now_ns: u64) -> Result<(), DropReason> {
        let (to, period) = (network(reply.to.ip()), now_ns / PERIOD_NS);
        let price = wire(reply.to.ip(), reply.bytes) * 1000;
        let is_own = |number: Option<usize>| number.is_some() && number == reply.answers;
        let mut purses: Vec<_> = self
            .came
            .iter_mut()
            .filter(|(from, at, number, _)| {
                let is_earlier = number.is_none_or(|number| reply.answers.is_none_or(|own| number <= own));
                *from == to && *at + 1 >= period && is_earlier
            })
            .collect();
        if purses.iter().map(|purse| purse.3).sum::<u64>() < price {
            return REFUSED;
        }
        if let Some(rate) = budget.rate {
            let replies = self.replies.entry((to, now_ns / (2 * PERIOD_NS))).or_default();
            let slips = |over: u32| budget.slip > 0 && over.is_multiple_of(budget.slip);
            if *replies >= rate && !reply.short {
                return LIMITED;
            }
            *replies += 1;
            if *replies > rate && !slips(*replies - rate) {
                return LIMITED;
            }
        }
        // Its own request first, then what was there before the call, the oldest first, then the rest of the call.
        purses.sort_by_key(|(_, at, number, _)| (!is_own(*number), number.is_some(), *at, *number));
        let mut left = price;
        for (_, _, number, purse) in purses {
            // Stored are whole bytes.
            let wanted = if number.is_none() { left.next_multiple_of(1000) } else { left };
            let part = wanted.min(*purse);
            *purse -= part;
            left -= part.min(left);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// As long as nobody is forgotten, the table decides as somebody would who remembers everything.
    #[test]
    fn the_table_agrees_with_the_twin(budget in budget(), steps in prop::collection::vec(step(), 1..30)) {
        let mut books = Books::default();
        let (mut budgets, mut twin) = (large(), Twin::default());
        run(&mut budgets, &budget, &steps, 3, &mut books, |reply, paid, now_ns, came| {
            for (number, request) in came.iter().enumerate() {
                let ip = request.peer.ip();
                let entry = (network(ip), now_ns / PERIOD_NS, Some(number), wire(ip, request.bytes) * u64::from(budget.amplification_milli));
                if !twin.came.iter().any(|other| other.2 == Some(number)) {
                    twin.came.push(entry);
                }
            }
            match reply {
                Some(reply) => prop_assert_eq!(paid, twin.pay(&budget, reply, now_ns), "{:?}", reply),
                None => twin.came.iter_mut().for_each(|entry| (entry.2, entry.3) = (None, entry.3 / 1000 * 1000)),
            }
            Ok(())
        })?;
        prop_assert_eq!(budgets.take_evicted(), 0);
        books.check(budget.amplification_milli)?;
    }

    /// A table that forgets nearly everybody keeps the promise, and lets leave what its own request pays for.
    #[test]
    fn who_forgets_is_strict_but_not_with_those_who_pay(
        budget in budget(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut books = Books::default();
        let mut budgets = Budgets::new(1, KEY);
        let mut alone = true;
        run(&mut budgets, &budget, &steps, 60, &mut books, |reply, paid, _, came| {
            let Some(reply) = reply else {
                alone = true;
                return Ok(());
            };
            let own = reply.answers.and_then(|number| came.get(number)).filter(|own| own.peer == reply.to);
            let pays = own.is_some_and(|own| {
                let ip = own.peer.ip();
                wire(ip, reply.bytes) * 1000 <= wire(ip, own.bytes) * u64::from(budget.amplification_milli)
            });
            if alone && pays && budget.rate.is_none() {
                prop_assert_eq!(paid, Ok(()), "{:?}", reply);
            }
            alone = false;
            Ok(())
        })?;
        books.check(budget.amplification_milli)?;
    }
}

/// Runs steps; `seen` is told of every reply, and at the end of a call of none. Both get the requests of the call.
fn run(
    budgets: &mut Budgets,
    budget: &Budget,
    steps: &[Step],
    prefixes: u8,
    books: &mut Books,
    mut seen: impl FnMut(Option<&Reply>, Result<(), DropReason>, u64, &[Request]) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let mut now_ns = 7 * PERIOD_NS;
    for step in steps {
        now_ns += step.pause_ms * MS;
        let period = now_ns / PERIOD_NS;
        let came: Vec<Request> =
            step.requests.iter().map(|(from, bytes)| request(address(*from, prefixes), *bytes)).collect();
        for request in &came {
            let ip = request.peer.ip();
            *books.came.entry((network(ip), period)).or_default() += wire(ip, request.bytes);
        }
        budgets.open(budget, came.iter().copied());
        for (answers, to, bytes) in &step.replies {
            let answers = answers.filter(|_| !came.is_empty()).map(|index| index.index(came.len()));
            let own = answers.and_then(|number| came.get(number));
            let ip = match (to, own) {
                (None, Some(own)) => own.peer.ip(),
                (to, _) => address(to.unwrap_or(0), prefixes),
            };
            let short = own.is_some_and(|own| *bytes <= own.bytes);
            let reply = Reply { to: SocketAddr::new(ip, 5000), bytes: *bytes, datagrams: 1, answers, short };
            let paid = budgets.pay(budget, &reply, now_ns);
            if paid.is_ok() {
                *books.left.entry((network(ip), period)).or_default() += wire(ip, *bytes);
            }
            seen(Some(&reply), paid, now_ns, &came)?;
        }
        budgets.close(budget, now_ns);
        seen(None, Ok(()), now_ns, &came)?;
    }
    Ok(())
}
