//! A million datagrams: shares, runs, correlation, distributions. The seeds are fixed, so a test passes always or never; the
//! bounds are four standard deviations, or what chance exceeds once in ten thousand.
#![expect(clippy::cast_precision_loss, reason = "counts of a million are exact")]

use std::sync::Arc;

use polyport_impair::{
    Burst, Cause, Config, Correlation, Direction, Distribution, Family, Fate, FourStates, GilbertElliott,
    Line, Pass, Script, Share, Slot, Start, Table, What,
};

use crate::configs::share;
use crate::twin::{Arrival, Twin};

const COUNT: usize = 1_000_000;

/// A datagram every 10 us.
fn fates(config: &Config, seed: u64) -> impl Iterator<Item = Fate> {
    let script = Script::new(seed, Direction::Only, Start::Line, config, None).unwrap();
    let mut line = Line::new(77, Family::Ipv4);
    (0..COUNT as u64).map(move |n| line.decide(&script, n * 10_000, 1000, 2))
}

fn lost(config: &Config, seed: u64) -> Vec<bool> {
    fates(config, seed).map(|fate| fate == Fate::Lost(Cause::Loss)).collect()
}

fn passed(config: &Config, seed: u64) -> impl Iterator<Item = Pass> {
    fates(config, seed).filter_map(|fate| match fate {
        Fate::Pass(pass) => Some(pass),
        Fate::Lost(_) => None,
    })
}

/// How long each waits, ns.
fn waits(config: &Config, seed: u64) -> Vec<f64> {
    passed(config, seed).enumerate().map(|(n, pass)| (pass.at_ns - n as u64 * 10_000) as f64).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

/// Of each value and the next.
fn lag1(values: &[f64]) -> f64 {
    let mean = mean(values);
    let products: f64 = values.windows(2).map(|two| (two[0] - mean) * (two[1] - mean)).sum();
    products / values.iter().map(|value| (value - mean).powi(2)).sum::<f64>()
}

fn as_numbers(events: &[bool]) -> Vec<f64> {
    events.iter().map(|event| f64::from(u8::from(*event))).collect()
}

/// The share of events is `expected`, if each is correlated by r with the one before.
#[track_caller]
fn assert_share(events: &[bool], expected: f64, r: f64) {
    let found = mean(&as_numbers(events));
    let deviation = (expected * (1.0 - expected) / events.len() as f64 * (1.0 + r) / (1.0 - r)).sqrt();
    assert!((found - expected).abs() < 4.0 * deviation, "{found}, not {expected}");
}

/// The correlation of events is `expected`: the share of those after an event that are events too is p + r (1 - p).
#[track_caller]
fn assert_lag1(events: &[bool], p: f64, expected: f64) {
    let after: Vec<bool> = events.windows(2).filter(|two| two[0]).map(|two| two[1]).collect();
    assert_share(&after, p + expected * (1.0 - p), 0.0);
    let found = lag1(&as_numbers(events));
    assert!((found - expected).abs() < 0.02, "{found}, not {expected}");
}

/// Lengths of runs of events.
fn runs(events: &[bool]) -> Vec<usize> {
    events.split(|event| !event).map(<[bool]>::len).filter(|length| *length > 0).collect()
}

/// Runs of `unit` times k have the chance `go^(k-1) (1 - go)`: chi squared, the seldom ones together.
#[track_caller]
fn assert_geometric(runs: &[usize], unit: usize, go: f64) {
    let total = runs.len() as f64;
    let (mut chi2, mut cells, mut rest, mut k) = (0.0, 0, total, 1);
    let mut left = total;
    loop {
        let found = runs.iter().filter(|length| **length == k * unit).count() as f64;
        let expected = rest * (1.0 - go);
        if rest * go < 20.0 || expected < 20.0 {
            chi2 += (left - rest).powi(2) / rest;
            break;
        }
        chi2 += (found - expected).powi(2) / expected;
        (rest, left, cells, k) = (rest * go, left - found, cells + 1, k + 1);
    }
    assert_chi2(chi2, f64::from(cells));
}

/// Once in ten thousand, chi squared is larger: by the cube root rule of Wilson and Hilferty.
#[track_caller]
fn assert_chi2(chi2: f64, freedoms: f64) {
    let spread = 2.0 / (9.0 * freedoms);
    let bound = freedoms * (1.0 - spread + 3.72 * spread.sqrt()).powi(3);
    assert!(chi2 < bound, "{chi2} with {freedoms} degrees of freedom, bound {bound}");
}

/// Kolmogorov and Smirnov: the largest distance from the distribution function, which may jump.
#[track_caller]
fn assert_distributed(values: &[f64], distribution: impl Fn(f64) -> f64, effective: f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len() as f64;
    let mut worst: f64 = 0.0;
    for (at, value) in sorted.iter().enumerate() {
        // Of equal ones the last counts.
        if sorted.get(at + 1) != Some(value) {
            worst = worst.max(((at + 1) as f64 / count - distribution(*value)).abs());
        }
    }
    let bound = 2.23 / effective.sqrt();
    assert!(worst < bound, "{worst}, bound {bound}");
}

fn loss(p: f64, r: f64) -> Config {
    Config { loss: share(p), loss_correlation: share(r), ..Config::default() }
}

#[test]
fn random_loss_has_its_share_and_runs() {
    for (p, seed) in [(0.01, 2), (0.25, 3), (0.9, 4)] {
        let events = lost(&loss(p, 0.0), seed);
        assert_share(&events, p, 0.0);
        assert_geometric(&runs(&events), 1, p);
    }
    assert_share(&lost(&loss(0.0001, 0.0), 1), 0.0001, 0.0);
    assert!(lost(&loss(1.0, 0.0), 5).iter().all(|lost| *lost));
}

/// The share is exactly p, the correlation exactly r, the mean run 1/((1-r)(1-p)).
#[test]
fn a_correlation_changes_neither_the_share_nor_itself() {
    for (p, r, seed, about) in [(0.01, 0.25, 1, 1.347), (0.2, 0.5, 2, 2.5), (0.5, 0.9, 3, 20.0)] {
        let events = lost(&loss(p, r), seed);
        assert_share(&events, p, r);
        assert_lag1(&events, p, r);
        let runs = runs(&events);
        assert_geometric(&runs, 1, 1.0 - (1.0 - r) * (1.0 - p));
        let length = runs.iter().sum::<usize>() as f64 / runs.len() as f64;
        assert!((length / about - 1.0).abs() < 0.03, "{length}, not {about}");
    }
}

/// What was measured of Linux: hardly anything is lost of what was asked for.
#[test]
fn the_rule_of_linux_loses_another_share() {
    for (p, r, low, high) in [(0.05, 0.25, 0.0015, 0.0025), (0.01, 0.25, 0.0, 2e-5), (0.2, 0.5, 0.027, 0.031)]
    {
        let config = Config { correlation: Correlation::Netem, ..loss(p, r) };
        let found = mean(&as_numbers(&lost(&config, 1)));
        assert!((low..=high).contains(&found), "{p} {r}: {found}");
    }
}

#[test]
fn bursts_have_one_length_and_their_share() {
    for (p, length, seed) in [(0.02, 4_u16, 1), (0.3, 7, 2), (0.05, 1, 3)] {
        let config = Config { loss_burst: Some(Burst { share: share(p), length }), ..Config::default() };
        let events = lost(&config, seed);
        let l = f64::from(length);
        let begin = p / (l * (1.0 - p) + p);
        // As correlated as runs of the length are.
        assert_share(&events, p, (l - 1.0) / (l + 1.0));
        assert_geometric(&runs(&events), usize::from(length), begin);
    }
}

#[test]
fn gilbert_and_elliott_lose_what_the_theory_says() {
    for (arguments, seed) in [
        (vec![0.01, 0.25], 1),
        (vec![0.02, 0.3, 0.7, 0.001], 2),
        (vec![0.3], 3),
        (vec![0.1, 0.05, 1.0, 0.2], 4),
    ] {
        let shares: Vec<_> = arguments.iter().copied().map(share).collect();
        let model = GilbertElliott::from_arguments(&shares).unwrap();
        let config = Config { loss_gemodel: Some(model), ..Config::default() };
        let events = lost(&config, seed);
        let (p, r) = (model.p.get(), model.r.get());
        let bad = p / (p + r);
        let expected = bad * model.bad_loss.get() + (1.0 - bad) * model.good_loss.get();
        assert_share(&events, expected, (1.0 - p - r).max(0.0));
        if arguments.len() < 3 {
            // The bad state is left with r, and then one is well at least.
            assert_geometric(&runs(&events), 1, 1.0 - r);
        }
    }
}

/// From 1, the way leads once through 3 (and 2 and 3 again), or through 4.
#[test]
fn the_four_states_lose_what_the_theory_says() {
    for (arguments, seed) in
        [(vec![0.02, 0.2, 0.1, 0.4, 0.005], 1), (vec![0.1, 0.5], 2), (vec![0.05, 0.3, 0.3, 0.2, 0.05], 3)]
    {
        let shares: Vec<_> = arguments.iter().copied().map(share).collect();
        let chain = FourStates::from_arguments(&shares).unwrap();
        let events = lost(&Config { loss_state: Some(chain), ..Config::default() }, seed);
        let [p13, p31, p32, p23, p14] =
            [chain.p13, chain.p31, chain.p32, chain.p23, chain.p14].map(Share::get);
        let pi1 = 1.0 / (1.0 + p14 + p13 / p31 + p13 * p32 / (p31 * p23));
        let expected = pi1 * (p13 / p31 + p14);
        // The spread is that of a thousand parts of the run.
        let parts: Vec<f64> = events.chunks(1000).map(|part| mean(&as_numbers(part))).collect();
        let found = mean(&parts);
        let spread = deviation(&parts) / (parts.len() as f64).sqrt();
        assert!((found - expected).abs() < 4.0 * spread, "{found}, not {expected}");
    }
    let tc = FourStates::from_arguments(&[share(0.02), share(0.2), share(0.1), share(0.4), share(0.005)]);
    let events = lost(&Config { loss_state: tc, ..Config::default() }, 1);
    let found = mean(&as_numbers(&events));
    assert!((found - 0.092_92).abs() < 0.002, "{found}");
}

/// Those of datagrams that are not lost, and of the copies as of the others.
#[test]
fn every_other_decision_has_its_share() {
    let config = Config {
        loss: share(0.1),
        ecn: true,
        duplicate: share(0.03),
        corrupt: share(0.02),
        late: share(0.05),
        reorder: share(0.07),
        delay: 1,
        ..Config::default()
    };
    let passes: Vec<Pass> = passed(&config, 9).collect();
    assert_eq!(passes.len(), COUNT, "all are marked instead of lost");
    let events = |has: fn(&Pass) -> bool| passes.iter().map(has).collect::<Vec<bool>>();
    assert_share(&events(|pass| pass.mark), 0.1, 0.0);
    assert_share(&events(|pass| pass.copy.is_some()), 0.03, 0.0);
    assert_share(&events(|pass| pass.corrupt.is_some()), 0.02, 0.0);
    assert_share(&events(|pass| pass.what.has(What::REORDERED)), 0.07, 0.0);
    let delayed: Vec<Pass> = passes.iter().filter(|pass| !pass.what.has(What::REORDERED)).copied().collect();
    assert_share(&delayed.iter().map(|pass| pass.what.has(What::LATE)).collect::<Vec<_>>(), 0.05, 0.0);
    let copies: Vec<_> = passes.iter().filter_map(|pass| pass.copy).collect();
    assert_share(&copies.iter().map(|copy| copy.corrupt.is_some()).collect::<Vec<_>>(), 0.02, 0.0);
    assert_share(&copies.iter().map(|copy| copy.what.has(What::REORDERED)).collect::<Vec<_>>(), 0.07, 0.0);
    // Every bit of a payload is flipped alike.
    let mut bits = [0_u32; 800];
    for random in passes.iter().filter_map(|pass| pass.corrupt) {
        let mut payload = [0; 100];
        assert!(polyport_impair::flip(&mut payload, random));
        let bit = payload
            .iter()
            .position(|byte| *byte != 0)
            .map(|at| at * 8 + payload[at].trailing_zeros() as usize);
        bits[bit.unwrap()] += 1;
    }
    let expected = f64::from(bits.iter().sum::<u32>()) / 800.0;
    assert_chi2(bits.iter().map(|found| (f64::from(*found) - expected).powi(2) / expected).sum(), 799.0);
}

#[test]
fn correlated_decisions_keep_their_share() {
    let config = Config {
        duplicate: share(0.3),
        duplicate_correlation: share(0.4),
        corrupt: share(0.2),
        corrupt_correlation: share(0.6),
        late: share(0.1),
        late_correlation: share(0.25),
        reorder: share(0.5),
        reorder_correlation: share(0.5),
        delay: 1,
        ..Config::default()
    };
    let passes: Vec<Pass> = passed(&config, 10).collect();
    let events = |has: fn(&Pass) -> bool| passes.iter().map(has).collect::<Vec<bool>>();
    for (events, p, r) in [
        (events(|pass| pass.copy.is_some()), 0.3, 0.4),
        (events(|pass| pass.corrupt.is_some()), 0.2, 0.6),
        (events(|pass| pass.what.has(What::REORDERED)), 0.5, 0.5),
    ] {
        assert_share(&events, p, r);
        assert_lag1(&events, p, r);
    }
    // What is reordered is not late: those that are left are no neighbours, so this is looked at alone.
    let late = Config { reorder: share(0.0), reorder_correlation: share(0.0), ..config };
    let events: Vec<bool> = passed(&late, 11).map(|pass| pass.what.has(What::LATE)).collect();
    assert_eq!(events.len(), COUNT);
    assert_share(&events, 0.1, 0.25);
    assert_lag1(&events, 0.1, 0.25);
}

/// Runs of lost ones and of those between them are as long in the engine as in the chain of its twin, with dice of its own.
#[test]
fn chains_have_the_runs_of_those_of_the_twin() {
    let states = |arguments: &[f64]| {
        let shares: Vec<Share> = arguments.iter().copied().map(share).collect();
        Config { loss_state: FourStates::from_arguments(&shares), ..Config::default() }
    };
    let elliott = |arguments: &[f64]| {
        let shares: Vec<Share> = arguments.iter().copied().map(share).collect();
        Config { loss_gemodel: GilbertElliott::from_arguments(&shares), ..Config::default() }
    };
    for config in [
        states(&[0.02, 0.2, 0.1, 0.4, 0.005]),
        states(&[0.05, 0.3, 0.3, 0.2, 0.05]),
        elliott(&[0.02, 0.3, 0.7, 0.001]),
        elliott(&[0.1, 0.05, 0.9, 0.2]),
    ] {
        let events = lost(&config, 1);
        let mut twin = Twin::new(&config, 2, Direction::Only, 77);
        let arrival = |n: u64| Arrival { now: n * 10_000, len: 1000, tos: 2 };
        let chain: Vec<bool> =
            (0..COUNT as u64).map(|n| twin.decide(arrival(n)) == Fate::Lost(Cause::Loss)).collect();
        assert_same_lengths(&runs(&events), &runs(&chain));
        let others = |events: &[bool]| runs(&events.iter().map(|event| !event).collect::<Vec<_>>());
        assert_same_lengths(&others(&events), &others(&chain));
    }
}

/// Two samples of one distribution: chi squared of both, the seldom lengths together.
#[track_caller]
fn assert_same_lengths(one: &[usize], other: &[usize]) {
    assert!(one.len() > 5_000 && other.len() > 5_000, "{} and {}", one.len(), other.len());
    let count = |lengths: &[usize], from: usize, to: usize| {
        lengths.iter().filter(|length| (from..to).contains(length)).count() as f64
    };
    let weight = (other.len() as f64 / one.len() as f64).sqrt();
    let (mut chi2, mut cells, mut from) = (0.0, 0, 1);
    while from < usize::MAX {
        let rare = |from| count(one, from, usize::MAX) + count(other, from, usize::MAX) < 80.0;
        // Cells get wider, as long runs are seldom; the last has all that is left.
        let mut to = from + 1;
        while to < usize::MAX && count(one, from, to) + count(other, from, to) < 40.0 {
            to += 1 + to / 16;
        }
        let to = if rare(to) { usize::MAX } else { to };
        let (a, b) = (count(one, from, to), count(other, from, to));
        chi2 += (weight * a - b / weight).powi(2) / (a + b);
        (cells, from) = (cells + 1, to);
    }
    assert!(cells > 3, "{cells}");
    assert_chi2(chi2, f64::from(cells - 1));
}

/// The largest wait stays below twice the delay, so nothing is cut.
fn jitter(distribution: Distribution, r: f64) -> Config {
    let (delay, jitter) = (100_000_000, 10_000_000);
    Config { delay, jitter, distribution, jitter_correlation: share(r), ..Config::default() }
}

#[test]
fn uniform_jitter_is_uniform_with_a_correlation_too() {
    for (r, seed) in [(0.0, 1), (0.25, 2), (0.5, 3)] {
        let waits = waits(&jitter(Distribution::Uniform, r), seed);
        let independent = COUNT as f64 * (1.0 - r) / (1.0 + r);
        assert_distributed(&waits, |wait| ((wait - 90e6) / 20e6).clamp(0.0, 1.0), independent);
        assert!((lag1(&waits) - r).abs() < 4.0 * 1e-3 * (1.0 + r), "{}", lag1(&waits));
        assert!(
            (deviation(&waits) / (10e6 / 3_f64.sqrt()) - 1.0).abs() < 0.01,
            "the spread stays what it is"
        );
    }
}

/// Linux correlates the 32 bits, and then takes their remainder: of a jitter far below 2^31 ns it leaves nothing of it.
#[test]
fn the_rule_of_linux_does_not_correlate_jitter() {
    for distribution in [Distribution::Uniform, Distribution::Table(Arc::new(Table::normal()))] {
        let config = Config { correlation: Correlation::Netem, ..jitter(distribution, 0.5) };
        let with = waits(&config, 1);
        let without = waits(&Config { jitter_correlation: share(0.0), ..config }, 1);
        assert!(lag1(&with).abs() < 0.01, "{}", lag1(&with));
        let ratio = deviation(&with) / deviation(&without);
        assert!((ratio - 1.0).abs() < 0.01, "{ratio}");
    }
}

#[test]
fn jitter_follows_its_table_with_a_correlation_too() {
    for (table, seed) in [(Table::normal(), 1), (Table::pareto(), 2), (Table::pareto_normal(), 3)] {
        let table = Arc::new(table);
        let mut steps: Vec<f64> = table.values().iter().map(|value| f64::from(*value)).collect();
        steps.sort_by(f64::total_cmp);
        // A wait is a whole number of ns, a step of the table 1,221 of them.
        let distribution = |wait: f64| {
            let value = (wait - 100e6) * 8192.0 / 10e6 + 0.01;
            steps.partition_point(|step| *step <= value) as f64 / steps.len() as f64
        };
        for r in [0.0, 0.3] {
            let waits = waits(&jitter(Distribution::Table(Arc::clone(&table)), r), seed);
            assert_distributed(&waits, distribution, COUNT as f64 * (1.0 - r) / (1.0 + r));
            assert!((lag1(&waits) - r).abs() < 0.01, "{}", lag1(&waits));
        }
    }
}

/// A million slots: each pause is uniform from min to max.
#[test]
fn slots_are_min_to_max_apart() {
    let slot = Slot { min: 20_000, max: 60_000, packets: Some(1), bytes: None };
    let config = Config { slot: Some(slot), limit: Some(1 << 20), ..Config::default() };
    let times: Vec<u64> = passed(&config, 4).map(|pass| pass.at_ns).collect();
    let pauses: Vec<f64> = times.windows(2).map(|two| (two[1] - two[0]) as f64).collect();
    assert_distributed(&pauses, |pause| ((pause + 1.0 - 20e3) / 40e3).clamp(0.0, 1.0), pauses.len() as f64);
    assert!(lag1(&pauses).abs() < 0.004);
}
