//! The budget, case by case.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;
use crate::guard::prefixes::PERIOD_NS;

pub(super) const KEY: [u8; 16] = *b"not from outside";
pub(super) const MS: u64 = 1_000_000;
pub(super) const BUDGET: Budget =
    Budget { amplification_milli: 3000, rate: None, slip: 2, v4_prefix: 24, v6_prefix: 56, loopback: false };

/// A large table, which forgets nobody in these tests.
pub(super) fn large() -> Budgets {
    Budgets::new(65_536, KEY)
}

pub(super) fn request(peer: impl Into<IpAddr>, bytes: usize) -> Request {
    Request { peer: SocketAddr::new(peer.into(), 5000), bytes, datagrams: 1 }
}

/// A reply to the only request of a call, of the same length at most.
fn reply(to: impl Into<IpAddr>, bytes: usize) -> Reply {
    Reply { to: SocketAddr::new(to.into(), 5000), bytes, datagrams: 1, answers: Some(0), short: true }
}

fn unasked(to: impl Into<IpAddr>, bytes: usize) -> Reply {
    Reply { answers: None, short: false, ..reply(to, bytes) }
}

const A: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// Of the same prefix as `A`.
const B: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 200);
const C: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
pub(super) const REFUSED: Result<(), DropReason> = Err(DropReason::Amplification);
pub(super) const LIMITED: Result<(), DropReason> = Err(DropReason::RateLimited);

/// A call with one request and one reply.
fn one(
    budgets: &mut Budgets,
    budget: &Budget,
    asked: Request,
    reply: Reply,
    now_ns: u64,
) -> Result<(), DropReason> {
    budgets.open(budget, std::iter::once(asked));
    let paid = budgets.pay(budget, &reply, now_ns);
    budgets.close(budget, now_ns);
    paid
}

/// A call with one request and these replies.
fn call(budgets: &mut Budgets, budget: &Budget, asked: Request, replies: &[Reply], now_ns: u64) -> Vec<bool> {
    budgets.open(budget, std::iter::once(asked));
    let left = replies.iter().map(|reply| budgets.pay(budget, reply, now_ns).is_ok()).collect();
    budgets.close(budget, now_ns);
    left
}

#[test]
fn headers_count_both_ways() {
    let mut budgets = large();
    // 28 + 100 octets pay for 384: 28 + 356.
    let fits = |budgets: &mut Budgets, bytes| one(budgets, &BUDGET, request(A, 100), reply(A, bytes), 0);
    assert_eq!(fits(&mut budgets, 356), Ok(()));
    assert_eq!(fits(&mut budgets, 357), REFUSED);
    // The first was paid to the octet; the second paid for nothing, and its 128 octets are there for the third.
    assert_eq!(fits(&mut budgets, 2 * 384 - 28), Ok(()));
    let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    assert_eq!(one(&mut budgets, &BUDGET, request(v6, 0), reply(v6, 2 * 48), 0), Ok(()));
    assert_eq!(one(&mut budgets, &BUDGET, request(v6, 0), reply(v6, 2 * 48 + 1), 0), REFUSED);
    let mapped = A.to_ipv6_mapped();
    assert_eq!(one(&mut large(), &BUDGET, request(mapped, 100), reply(A, 356), 0), Ok(()), "it is IPv4");
    assert_eq!(one(&mut large(), &BUDGET, request(A, 100), reply(mapped, 357), 0), REFUSED);
}

/// A train has the headers of each of its datagrams.
#[test]
fn a_train_counts_as_its_datagrams() {
    let train = |bytes| Request { datagrams: 10, ..request(A, bytes) };
    let back = |bytes| Reply { datagrams: 10, ..reply(A, bytes) };
    assert_eq!(one(&mut large(), &BUDGET, train(1000), back(3560), 0), Ok(()));
    assert_eq!(one(&mut large(), &BUDGET, train(1000), back(3561), 0), REFUSED);
    let long = Reply { datagrams: 1, ..back(3560 + 9 * 28) };
    assert_eq!(one(&mut large(), &BUDGET, train(1000), long, 0), Ok(()));
}

#[test]
fn replies_are_paid_once_and_by_their_own_prefix() {
    let mut budgets = large();
    // 30 octets pay for three datagrams of 2.
    assert_eq!(
        call(&mut budgets, &BUDGET, request(A, 2), &[reply(A, 2); 5], 0),
        [true, true, true, false, false]
    );
    assert_eq!(call(&mut budgets, &BUDGET, request(C, 2), &[reply(A, 2); 2], 0), [false, false]);
    // What is left over for C is there for it, and for nobody else.
    assert_eq!(budgets.pay(&BUDGET, &unasked(A, 2), 0), REFUSED);
    assert_eq!(budgets.pay(&BUDGET, &unasked(C, 2), 0), Ok(()));
    assert_eq!(call(&mut budgets, &BUDGET, request(A, 2), &[reply(B, 62), reply(B, 0)], 0), [true, false]);
}

/// Nobody knows yet how the rest of the call goes: an answer to a request later in the call must find what it pays for.
#[test]
fn an_answer_takes_nothing_from_a_request_behind_its_own() {
    let mut budgets = large();
    budgets.open(&BUDGET, [request(A, 2), request(B, 2), request(A, 2)].into_iter());
    let long = Reply { answers: Some(1), ..reply(B, 2 * 90 - 28 + 1) };
    assert_eq!(budgets.pay(&BUDGET, &long, 0), REFUSED);
    assert_eq!(
        budgets.pay(&BUDGET, &Reply { bytes: long.bytes - 1, ..long }, 0),
        Ok(()),
        "the first had no answer"
    );
    assert_eq!(budgets.pay(&BUDGET, &Reply { answers: Some(2), ..reply(A, 62) }, 0), Ok(()));
    assert_eq!(
        budgets.pay(&BUDGET, &Reply { answers: Some(0), ..reply(A, 0) }, 0),
        REFUSED,
        "it has paid for another"
    );
    budgets.close(&BUDGET, 0);
    assert_eq!(budgets.pay(&BUDGET, &unasked(A, 0), 0), REFUSED, "nothing is left");
}

#[test]
fn what_answers_nothing_may_take_all_that_came_from_the_prefix() {
    let mut budgets = large();
    budgets.open(&BUDGET, [request(A, 2), request(C, 1000), request(B, 2)].into_iter());
    assert_eq!(budgets.pay(&BUDGET, &unasked(A, 2 * 90 - 27), 0), REFUSED);
    assert_eq!(budgets.pay(&BUDGET, &unasked(A, 2 * 90 - 28), 0), Ok(()));
    budgets.close(&BUDGET, 0);
}

#[test]
fn a_late_reply_is_paid_for_half_a_second_at_least_and_a_second_at_most() {
    for (asked_at, late, left) in [
        (0, 1, true),
        (PERIOD_NS - 1, PERIOD_NS - 1, true),
        (0, 2 * PERIOD_NS - 1, true),
        (0, 2 * PERIOD_NS, false),
        (PERIOD_NS - 1, PERIOD_NS + 1, false),
    ] {
        let mut budgets = large();
        call(&mut budgets, &BUDGET, request(A, 10), &[], asked_at);
        let paid = budgets.pay(&BUDGET, &unasked(B, 86), asked_at + late);
        assert_eq!(paid.is_ok(), left, "{asked_at} + {late}");
    }
}

#[test]
fn loopback_counts_if_asked_to() {
    let strict = Budget { loopback: true, ..BUDGET };
    for (ip, exempt) in [("127.0.0.1", true), ("127.9.9.9", true), ("::1", true), ("::ffff:127.0.0.1", true)]
        .into_iter()
        .chain([("128.0.0.1", false), ("::2", false), ("::ffff:192.0.2.1", false)])
    {
        let ip = ip.parse().unwrap();
        let counted = |budget| Counted::by(budget).includes(ip);
        assert_eq!(
            (counted(Some(&BUDGET)), counted(Some(&strict)), counted(None)),
            (!exempt, true, false),
            "{ip}"
        );
    }
    let mut budgets = large();
    call(&mut budgets, &BUDGET, request(Ipv4Addr::LOCALHOST, 10), &[], 0);
    call(&mut budgets, &strict, request(Ipv6Addr::LOCALHOST, 10), &[], 0);
    assert_eq!(budgets.pay(&strict, &unasked(Ipv4Addr::LOCALHOST, 0), 0), REFUSED, "nothing was stored");
    assert_eq!(budgets.pay(&strict, &unasked(Ipv6Addr::LOCALHOST, 0), 0), Ok(()));
}

#[test]
fn an_amplification_of_nothing_lets_nothing_leave() {
    let none = Budget { amplification_milli: 0, ..BUDGET };
    assert_eq!(one(&mut large(), &none, request(A, 1000), reply(A, 0), 0), REFUSED);
}

#[test]
fn a_prefix_gets_as_many_replies_a_second_as_the_rate_says() {
    let limited = Budget { rate: Some(3), slip: 0, ..BUDGET };
    let mut budgets = large();
    let mut ask = |peer: Ipv4Addr, at_ms: u64| {
        one(&mut budgets, &limited, request(peer, 10), reply(peer, 10), at_ms * MS)
    };
    assert_eq!([0, 1, 2, 3].map(|at| ask(A, at)), [Ok(()), Ok(()), Ok(()), LIMITED]);
    assert_eq!(
        (ask(B, 500), ask(C, 999), ask(A, 999)),
        (LIMITED, Ok(()), LIMITED),
        "a neighbour, and somebody else"
    );
    assert_eq!([1000, 1001, 1002, 1003].map(|at| ask(B, at)), [Ok(()), Ok(()), Ok(()), LIMITED]);
}

/// What is limited is not charged, and what is too long is not counted.
#[test]
fn both_bounds_hold_together_and_each_costs_only_what_leaves() {
    let limited = Budget { rate: Some(1), slip: 0, ..BUDGET };
    let mut budgets = large();
    let asked = request(A, 2);
    assert_eq!(one(&mut budgets, &limited, asked, reply(A, 63), 0), REFUSED);
    assert_eq!(one(&mut budgets, &limited, asked, reply(A, 2), 0), Ok(()));
    assert_eq!(one(&mut budgets, &limited, asked, reply(A, 2), 0), LIMITED);
    // 30 octets of each of the three requests, less the 10 that the one reply cost, pay for 240.
    assert_eq!(budgets.pay(&BUDGET, &unasked(A, 240 - 28 + 1), 0), REFUSED);
    assert_eq!(budgets.pay(&BUDGET, &unasked(A, 240 - 28), 0), Ok(()));
}

#[test]
fn every_so_manieth_limited_reply_slips_through_if_it_is_short() {
    for (slip, left) in [(0, 0), (1, 12), (2, 6), (5, 2)] {
        let limited = Budget { rate: Some(3), slip, ..BUDGET };
        let mut budgets = large();
        let ask =
            |budgets: &mut Budgets, reply: Reply| one(budgets, &limited, request(A, 10), reply, 0).is_ok();
        let some: Vec<bool> = (0..15).map(|_| ask(&mut budgets, reply(A, 10))).collect();
        assert_eq!(some.iter().filter(|left| **left).count(), 3 + left, "slip {slip}: {some:?}");
        assert!(some[..3].iter().all(|left| *left), "slip {slip}");
        // Long ones never do, and do not count towards the next that does.
        let long = Reply { short: false, ..reply(A, 11) };
        assert!((0..20).all(|_| !ask(&mut budgets, long)));
        if slip == 2 {
            assert_eq!([(); 4].map(|()| ask(&mut budgets, reply(A, 10))), [false, true, false, true]);
        }
    }
}

/// R28: a million sources, and a client that asks a thousand times meanwhile. Some handlers answer at once, others by
/// a timer, which only finds what was stored.
#[test]
fn a_million_sources_take_nothing_from_a_steady_client() {
    for (sources, rate, forged_replies) in
        [(1_000_000_u64, None, 1), (100_000, Some(1500), 1), (100_000, Some(1500), 5)]
    {
        let budget = Budget { rate, ..BUDGET };
        let mut budgets = Budgets::new(4096, KEY);
        let sets = |budgets: &Budgets| budgets.prefixes.memory();
        let (mut answered, mut late) = (0, 0);
        let mut random = 1_u32;
        for number in 0..sources {
            let now_ns = number * 1000;
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Another class than the client, and each of its prefixes is as likely as any other.
            let forged = Ipv4Addr::from(random.rotate_left(16) & 0x7fff_ffff);
            call(
                &mut budgets,
                &budget,
                request(forged, 20),
                &vec![reply(forged, 20); forged_replies],
                now_ns,
            );
            if number.is_multiple_of(1000) {
                answered +=
                    u64::from(one(&mut budgets, &budget, request(A, 20), reply(A, 20), now_ns).is_ok());
            }
            if number.is_multiple_of(1000) && rate.is_none() {
                late += u32::from(budgets.pay(&budget, &unasked(A, 20), now_ns + 2 * MS).is_ok());
            }
        }
        assert_eq!(answered, sources / 1000, "{rate:?}");
        assert!(rate.is_some() || late >= 990, "{late} of 1000 late answers left");
        assert_eq!(sets(&budgets), 4096 * 24, "bytes of the table");
        assert!(budgets.take_evicted() > sources / 2 && budgets.take_evicted() == 0);
    }
}

/// Who is over the rate cannot get rid of its account by sending from elsewhere.
#[test]
fn a_limited_prefix_stays_limited_while_others_come_and_go() {
    let limited = Budget { rate: Some(20), slip: 0, ..BUDGET };
    let mut budgets = Budgets::new(64, KEY);
    let mut left = 0;
    for number in 0..100_000_u32 {
        let now_ns = u64::from(number) * 10_000;
        let other = Ipv4Addr::from(number << 8);
        one(&mut budgets, &limited, request(other, 20), reply(other, 20), now_ns).unwrap_or(());
        left += u32::from(one(&mut budgets, &limited, request(C, 20), reply(C, 20), now_ns).is_ok());
    }
    assert_eq!(left, 20, "in one second");
}
