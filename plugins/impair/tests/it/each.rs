//! Options one by one, each with what it does to a few datagrams, worked out by hand.

use std::sync::Arc;

use polyport_impair::{Cause, Config, DelayTrace, Direction, Family, Fate, Line, Script, Start, What};

use crate::configs::share;

const MS: u64 = 1_000_000;

/// How long each of these waits, us, or why it is lost: when it comes, ms, and how long it is.
fn fates(config: &Config, arrivals: &[(u64, usize)]) -> Vec<Result<u64, Cause>> {
    let script = Script::new(1, Direction::Up, Start::Line, config, None).unwrap();
    let mut line = Line::new(1, Family::Ipv4);
    let fate = |(ms, len): &(u64, usize)| match line.decide(&script, ms * MS, *len, 0) {
        Fate::Pass(pass) => Ok((pass.at_ns - ms * MS) / 1000),
        Fate::Lost(cause) => Err(cause),
    };
    arrivals.iter().map(fate).collect()
}

#[test]
fn of_a_gap_at_most_one_is_reordered() {
    let config = Config { reorder: share(1.0), gap: Some(3), delay: 9 * MS, ..Config::default() };
    let waits = fates(&config, &[(0, 1); 7]);
    assert_eq!(waits, [9000, 9000, 0, 9000, 9000, 0, 9000].map(Ok));
}

#[test]
fn what_is_longer_than_the_mtu_is_lost_and_in_a_blackout_all() {
    let config = Config { mtu: Some(1000), ..Config::default() };
    assert_eq!(fates(&config, &[(0, 1000), (0, 1001), (0, 0)]), [Ok(0), Err(Cause::Mtu), Ok(0)]);
    let config = Config { blackout: true, ..Config::default() };
    assert_eq!(fates(&config, &[(0, 1000), (5, 0)]), [Err(Cause::Blackout); 2]);
}

#[test]
fn delays_of_a_trace_are_taken_in_turn_or_by_time() {
    let delay_trace = Some(Arc::new(DelayTrace::parse("1\n2.5\n300us").unwrap()));
    let config = Config { delay_trace, ..Config::default() };
    assert_eq!(fates(&config, &[(0, 1); 5]), [1000, 2500, 300, 1000, 2500].map(Ok));
    let config = Config { delay_trace_step: Some(10 * MS), ..config };
    // Their time begins with the first datagram, at 7.
    let arrivals = [(7, 1), (16, 1), (17, 1), (27, 1), (37, 1)];
    assert_eq!(fates(&config, &arrivals), [1000, 1000, 2500, 300, 1000].map(Ok));
}

#[test]
fn a_link_carries_cells_one_after_the_other() {
    let config = Config { rate: Some(1_000_000), ..Config::default() };
    // 100 bytes and 28, 8 us each.
    assert_eq!(fates(&config, &[(0, 100), (0, 100), (2, 100)]), [1024, 2048, 1072].map(Ok));
    let overhead = Config { packet_overhead: Some(0), ..config.clone() };
    assert_eq!(fates(&overhead, &[(0, 100)]), [Ok(800)]);
    // 128 bytes are three cells of 48, each 53 on the link.
    let cells = Config { cell_size: Some(48), cell_overhead: 5, ..config };
    assert_eq!(fates(&cells, &[(0, 100), (0, 100)]), [1272, 2544].map(Ok));
}

#[test]
fn late_ones_come_later_by_so_much() {
    let config = Config { late: share(1.0), late_by: 5 * MS, delay: MS, ..Config::default() };
    assert_eq!(fates(&config, &[(0, 1), (3, 1)]), [Ok(6000); 2]);
    let script = Script::new(1, Direction::Up, Start::Line, &config, None).unwrap();
    let Fate::Pass(pass) = Line::new(1, Family::Ipv4).decide(&script, 0, 1, 0) else { panic!("it is lost") };
    assert!(pass.what.has(What::LATE));
}
