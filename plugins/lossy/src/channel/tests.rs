//! The decisions: their shares, that they do not depend on each other, and what they are made of.

use std::net::SocketAddr;
use std::time::Duration;

use polyport_plugin::Ratio;

use super::{Answer, Fate, decide, flip, key};
use crate::config::{LossyConfig, Reply};

const SEED: u64 = 7;
const RUN: u64 = 20_000;
const PORT: u16 = 7001;

fn peer() -> SocketAddr {
    "192.0.2.1:5000".parse().unwrap()
}

fn ratio(share: f64) -> Ratio {
    Ratio::new(share).unwrap()
}

fn quiet() -> LossyConfig {
    let (zero, none) = (Ratio::ZERO, Duration::ZERO);
    LossyConfig {
        drop: zero,
        duplicate: zero,
        corrupt: zero,
        reorder: zero,
        delay: none,
        jitter: none,
        hold: Duration::from_millis(10),
        reply: Reply::Same,
        df: false,
        seed: None,
    }
}

fn all(share: f64) -> LossyConfig {
    let share = ratio(share);
    let jitter = Duration::from_millis(4);
    LossyConfig { drop: share, duplicate: share, corrupt: share, reorder: share, jitter, ..quiet() }
}

fn answers(config: &LossyConfig, seed: u64) -> Vec<Option<Answer>> {
    let fate = |number| match decide(config, seed, PORT, peer(), number) {
        Fate::Drop => None,
        Fate::Answer(answer) => Some(answer),
    };
    (0..RUN).map(fate).collect()
}

/// The share of `count` in [`RUN`] is within four standard deviations of `share`.
#[track_caller]
fn assert_share(count: usize, of: usize, share: f64) {
    let (count, of) = (f64::from(u32::try_from(count).unwrap()), f64::from(u32::try_from(of).unwrap()));
    let deviation = (share * (1.0 - share) / of).sqrt();
    assert!((count / of - share).abs() < 4.0 * deviation, "{count} of {of} is not {share}");
}

#[test]
fn each_decision_has_its_share() {
    for share in [0.01, 0.25, 0.5, 0.9] {
        let all = answers(&all(share), SEED);
        let kept: Vec<Answer> = all.iter().flatten().copied().collect();
        assert_share(all.len() - kept.len(), all.len(), share);
        assert_share(kept.iter().filter(|a| a.duplicate).count(), kept.len(), share);
        assert_share(kept.iter().filter(|a| a.corrupt.is_some()).count(), kept.len(), share);
        assert_share(kept.iter().filter(|a| a.held.is_some()).count(), kept.len(), share);
        // Jitter is uniform: each quarter of it gets a quarter of the answers.
        for quarter in 0..4 {
            let range = Duration::from_millis(quarter)..Duration::from_millis(quarter + 1);
            assert_share(kept.iter().filter(|a| range.contains(&a.wait)).count(), kept.len(), 0.25);
        }
    }
}

#[test]
fn zero_is_never_and_one_is_always() {
    assert!(answers(&quiet(), SEED).iter().all(|a| *a == Some(Answer::default())));
    assert!(answers(&all(1.0), SEED).iter().all(Option::is_none));
    let rest = LossyConfig { drop: Ratio::ZERO, ..all(1.0) };
    assert!(
        answers(&rest, SEED).iter().flatten().all(|a| a.duplicate && a.corrupt.is_some() && a.held.is_some())
    );
}

#[test]
fn turning_one_option_on_does_not_shift_another() {
    let full = answers(&LossyConfig { drop: Ratio::ZERO, ..all(0.3) }, SEED);
    let alone = |config: LossyConfig| answers(&config, SEED).into_iter().map(Option::unwrap);
    let share = ratio(0.3);
    let full = || full.iter().copied().map(Option::unwrap);
    assert!(
        alone(LossyConfig { duplicate: share, ..quiet() })
            .map(|a| a.duplicate)
            .eq(full().map(|a| a.duplicate))
    );
    assert!(
        alone(LossyConfig { corrupt: share, ..quiet() }).map(|a| a.corrupt).eq(full().map(|a| a.corrupt))
    );
    assert!(
        alone(LossyConfig { reorder: share, ..quiet() })
            .map(|a| a.held.is_some())
            .eq(full().map(|a| a.held.is_some()))
    );
    let jitter = Duration::from_millis(4);
    assert!(alone(LossyConfig { jitter, ..quiet() }).map(|a| a.wait).eq(full().map(|a| a.wait)));
    // With drop on, those that are left fare as before.
    let dropping = answers(&all(0.3), SEED);
    assert!(dropping.iter().zip(full()).all(|(some, one)| some.is_none_or(|some| some == one)));
}

#[test]
fn decisions_are_independent_of_each_other() {
    let kept = answers(&LossyConfig { drop: Ratio::ZERO, ..all(0.5) }, SEED);
    let kept: Vec<Answer> = kept.into_iter().flatten().collect();
    // Of two fair coins that do not look at each other, a quarter of the throws shows both.
    assert_share(kept.iter().filter(|a| a.duplicate && a.corrupt.is_some()).count(), kept.len(), 0.25);
    assert_share(kept.iter().filter(|a| a.duplicate && a.held.is_some()).count(), kept.len(), 0.25);
    assert_share(kept.iter().filter(|a| a.held.is_some() && a.corrupt.is_some()).count(), kept.len(), 0.25);
    let early = |a: &Answer| a.wait < Duration::from_millis(2);
    assert_share(kept.iter().filter(|a| a.held.is_some() && early(a)).count(), kept.len(), 0.25);
    // Nor does a datagram look at the one before.
    assert_share(kept.windows(2).filter(|w| w[0].duplicate && w[1].duplicate).count(), kept.len() - 1, 0.25);
}

#[test]
fn seed_peer_and_number_all_matter() {
    let config = all(0.5);
    assert_eq!(answers(&config, SEED), answers(&config, SEED));
    let same =
        answers(&config, SEED).iter().zip(answers(&config, SEED + 1)).filter(|(a, b)| **a == *b).count();
    assert!(same < answers(&config, SEED).len() / 2);
    let fates = |peer: &str| {
        (0..64).map(|n| decide(&config, SEED, PORT, peer.parse().unwrap(), n)).collect::<Vec<_>>()
    };
    let peers = [
        "192.0.2.1:5000",
        "192.0.2.1:5001",
        "192.0.2.2:5000",
        "[2001:db8::1]:5000",
        "[fe80::1%1]:5000",
        "[fe80::1%2]:5000",
    ];
    for (i, a) in peers.iter().enumerate() {
        for b in &peers[i + 1..] {
            assert_ne!(fates(a), fates(b), "{a} and {b}");
        }
    }
}

/// The ports of a range have the options in common, and lose other numbers all the same.
#[test]
fn the_ports_of_a_range_do_not_lose_in_lockstep() {
    let config = all(0.2);
    let lost = |local: u16| -> Vec<u64> {
        (0..1000).filter(|n| decide(&config, SEED, local, peer(), *n) == Fate::Drop).collect()
    };
    let ports: Vec<Vec<u64>> = (7001..=7004).map(lost).collect();
    for (i, a) in ports.iter().enumerate() {
        assert_share(a.len(), 1000, 0.2);
        for b in &ports[i + 1..] {
            // Of a fifth that each loses, both lose a fifth.
            let both = a.iter().filter(|n| b.contains(n)).count();
            assert!((15..70).contains(&both), "{both} of {} and {}", a.len(), b.len());
        }
    }
    assert_eq!(lost(7001), ports[0], "and a run repeats");
}

#[test]
fn a_mapped_address_is_the_ipv4_one() {
    assert_eq!(key(7, "192.0.2.1:5000".parse().unwrap()), key(7, "[::ffff:192.0.2.1]:5000".parse().unwrap()));
}

/// The decisions are an interface: a seed written into somebody's test plan must go on meaning the same.
#[test]
fn the_decisions_of_a_seed_never_change() {
    let dropped: Vec<u64> =
        (0..40).filter(|n| decide(&all(0.25), 1, PORT, peer(), *n) == Fate::Drop).collect();
    // Computed by an independent implementation.
    assert_eq!(dropped, [6, 7, 9, 11, 12, 13, 14, 15, 16, 23, 24, 32, 38]);
}

#[test]
fn waiting_is_delay_and_jitter_and_the_hold() {
    let (delay, jitter) = (Duration::from_millis(20), Duration::from_millis(5));
    let hold = Duration::from_millis(70);
    let config = LossyConfig { delay, jitter, hold, reorder: Ratio::ONE, ..quiet() };
    for answer in answers(&config, SEED).into_iter().flatten() {
        assert!((delay..=delay + jitter).contains(&answer.wait));
        assert_eq!((answer.held, answer.after()), (Some(hold), answer.wait + hold));
    }
    for answer in answers(&LossyConfig { reorder: Ratio::ZERO, ..config }, SEED).into_iter().flatten() {
        assert_eq!((answer.held, answer.after()), (None, answer.wait));
    }
}

#[test]
fn exactly_one_bit_is_flipped_and_every_bit_can_be() {
    let mut reached = [0_u8; 3];
    for random in 0..24 {
        let mut payload = [0x5A; 3];
        assert!(flip(&mut payload, random));
        let flipped = payload.map(|byte| byte ^ 0x5A);
        assert_eq!(flipped.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
        reached.iter_mut().zip(flipped).for_each(|(all, one)| *all |= one);
    }
    assert_eq!(reached, [0xFF; 3]);
    assert!(!flip(&mut [], 5));
}
