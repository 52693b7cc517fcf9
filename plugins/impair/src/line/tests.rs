//! Decisions that never change, and that they do not depend on each other.

use std::vec::Vec;

use super::*;
use crate::{Config, Direction, FourStates, GilbertElliott, Share, client};

fn share(value: f64) -> Share {
    Share::new(value).unwrap()
}

fn shares<const N: usize>(values: [f64; N]) -> [Share; N] {
    values.map(share)
}

fn script(seed: u64, direction: Direction, config: &Config) -> Script {
    Script::new(seed, direction, Start::Line, config, None).unwrap()
}

/// The client of the golden sequences.
fn line() -> Line {
    Line::new(client::by_address_and_port("192.0.2.1:5000".parse().unwrap(), 0), Family::Ipv4)
}

/// Which of the first `count` datagrams are lost, with seed 1.
fn lost(direction: Direction, config: &Config, count: u64) -> Vec<u64> {
    lost_of(line(), direction, config, count)
}

fn lost_of(mut line: Line, direction: Direction, config: &Config, count: u64) -> Vec<u64> {
    let script = script(1, direction, config);
    (0..count).filter(|_| matches!(line.decide(&script, 0, 100, 0), Fate::Lost(Cause::Loss))).collect()
}

#[test]
fn the_decisions_of_a_seed_never_change() {
    let loss = |p| Config { loss: share(p), ..Config::default() };
    assert_eq!(lost(Direction::Only, &loss(0.25), 40), [3, 6, 12, 14, 15, 22, 23, 28, 32]);
    assert_eq!(lost(Direction::Up, &loss(0.01), 1000), [39, 54, 131, 289, 434, 683, 789, 917]);
    assert_eq!(lost(Direction::Down, &loss(0.01), 1000), [21, 258, 368, 425, 584, 760]);
    let correlated = Config { loss_correlation: share(0.5), ..loss(0.1) };
    assert_eq!(lost(Direction::Up, &correlated, 100), [43, 44, 45, 52, 53, 54, 55, 92, 93]);
    let model = GilbertElliott::from_arguments(&shares([0.05, 0.25])).unwrap();
    let elliott = Config { loss_gemodel: Some(model), ..Config::default() };
    let expected = [10, 12, 13, 14, 25, 26, 80, 81, 82, 83, 84, 85, 90, 91, 92];
    assert_eq!(lost(Direction::Up, &elliott, 100), expected);
}

/// The line that all share, which has no port either.
#[test]
fn the_decisions_of_the_shared_line_never_change() {
    let loss = Config { loss: share(0.01), ..Config::default() };
    let lost = |direction| lost_of(Line::new(client::SHARED, Family::Ipv4), direction, &loss, 1000);
    assert_eq!(lost(Direction::Up), [0, 96, 284, 292, 311, 589]);
    assert_eq!(lost(Direction::Down), [96, 129, 188, 295, 524, 574, 896, 919, 976]);
}

#[test]
fn a_line_is_small() {
    assert!(size_of::<Line>() <= 40, "{}", size_of::<Line>());
    assert!(FourStates::from_arguments(&[]).is_none());
}

/// After 2^64 datagrams the numbers begin anew.
#[test]
fn numbers_wrap() {
    let config = Config { loss: share(0.5), loss_correlation: share(0.5), ..Config::default() };
    let script = script(1, Direction::Up, &config);
    let (mut late, mut early) = (Line { n: u64::MAX, ..line() }, line());
    late.decide(&script, 0, 1, 0);
    assert_eq!(late.count(), 0);
    // The first of all has none before it that it could take over; from the first fresh draw on, both agree.
    let fates = |line: &mut Line| (0..64).map(|_| line.decide(&script, 0, 1, 0)).collect::<Vec<_>>();
    assert_eq!(fates(&mut late)[32..], fates(&mut early)[32..]);
}

/// Memory is only what the options need.
#[test]
fn a_box_is_made_only_where_it_is_needed() {
    let mut plain = line();
    let model = GilbertElliott::from_arguments(&shares([0.1, 0.3])).unwrap();
    let (some, delay) = (share(0.1), 1_000);
    let config = Config {
        loss_gemodel: Some(model),
        duplicate: some,
        corrupt: some,
        corrupt_correlation: some,
        late: some,
        reorder: some,
        delay,
        jitter: 10,
        rate: None,
        ..Config::default()
    };
    let without = Script::new(
        1,
        Direction::Up,
        Start::Line,
        &Config { corrupt_correlation: share(0.0), ..config.clone() },
        None,
    );
    for _ in 0..100 {
        plain.decide(without.as_ref().unwrap(), 0, 1, 0);
    }
    assert!(plain.memory.is_none());
    plain.decide(&script(1, Direction::Up, &Config { rate: Some(1_000), ..config }), 0, 1, 0);
    assert!(plain.memory.is_some());
}
