//! At the bounds of everything: no panic, nothing leaves before it came, memory stays bounded.

use std::sync::Arc;

use polyport_impair::limits::{FASTEST_RATE, LONGEST_NS, MOST_OVERHEAD};
use polyport_impair::{
    Burst, Cause, Config, Direction, Distribution, Family, Fate, Line, RateTrace, Script, Slot, Start, Table,
};
use proptest::prelude::{ProptestConfig, any, prop_assert, proptest};

use crate::configs::{Dice, config, share};

fn script(seed: u64, start: Start, config: &Config) -> Script {
    Script::new(seed, Direction::Down, start, config, None).unwrap()
}

/// Small, around a power of two, or at the top.
fn odd(dice: &mut Dice) -> u64 {
    match dice.below(4) {
        0 => dice.below(3),
        1 => (1 << dice.below(64)) - dice.below(2),
        2 => u64::MAX - dice.below(3),
        _ => dice.roll(),
    }
}

fn odd_len(dice: &mut Dice) -> usize {
    usize::try_from(odd(dice)).unwrap_or(usize::MAX)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// Times that jump to and fro, lengths of all sizes, options at their largest.
    #[test]
    fn nothing_leaves_before_it_came(mask in 0_u32..1 << 20, seed in any::<u64>(), large in any::<bool>()) {
        let mut config = config(mask, seed);
        if large {
            enlarge(&mut config);
        }
        let mut dice = Dice(seed);
        let start = if dice.below(2) == 0 { Start::Line } else { Start::At(odd(&mut dice)) };
        let script = script(seed, start, &config);
        let mut line = Line::new(dice.roll(), Family::Ipv6);
        for _ in 0..200 {
            let (now, len) = (odd(&mut dice), odd_len(&mut dice));
            if let Fate::Pass(pass) = line.decide(&script, now, len, 255) {
                prop_assert!(pass.at_ns >= now, "{now} {len}: {pass:?}");
                prop_assert!(pass.copy.is_none_or(|copy| copy.at_ns >= now), "{now} {len}: {pass:?}");
            }
        }
    }
}

/// Everything that is on as large as it may be.
fn enlarge(config: &mut Config) {
    config.delay = if config.delay > 0 { LONGEST_NS } else { 0 };
    config.jitter = if config.jitter > 0 { LONGEST_NS } else { 0 };
    config.late_by = LONGEST_NS;
    config.packet_overhead = Some(65_536);
    config.gap = config.gap.map(|_| u16::MAX);
    if let Some(slot) = &mut config.slot {
        *slot = Slot { min: 1, max: LONGEST_NS, ..*slot };
    }
    if config.cell_size.is_some() {
        (config.cell_size, config.cell_overhead) = (Some(1), 65_536);
    }
    config.rate = config.rate.map(|rate| if rate % 2 == 0 { 1 } else { FASTEST_RATE });
    config.loss_burst = config.loss_burst.map(|burst| Burst { length: u16::MAX, ..burst });
    config.limit = config.limit.map(|_| 1 << 20);
    config.limit_bytes = config.limit_bytes.map(|_| u64::MAX);
    assert_eq!(config.check(), []);
    assert_eq!(MOST_OVERHEAD, 65_536);
}

/// A link that never catches up holds as many as its limit, also where time stands still or goes back.
#[test]
fn what_waits_is_bounded() {
    let config = Config { rate: Some(1), ..Config::default() };
    let script = script(1, Start::Line, &config);
    let mut line = Line::new(1, Family::Ipv4);
    let passed = |line: &mut Line, now: u64, count: u64| {
        (0..count).filter(|_| matches!(line.decide(&script, now, 0, 0), Fate::Pass(_))).count()
    };
    assert_eq!(passed(&mut line, 1_000_000, 5_000), 1000, "as many as netem's");
    assert_eq!(passed(&mut line, 0, 5_000), 0);
    assert_eq!(line.decide(&script, 0, 0, 0), Fate::Lost(Cause::QueueFull));
    // A datagram is 28 bytes here, and takes 224 s: after so long there is room for one.
    assert_eq!(passed(&mut line, 1_000_000 + 224_000_000_000, 5), 1);
}

#[test]
fn a_limit_of_bytes_counts_headers_and_leaves_with_the_datagrams() {
    // 1,000 bytes are across in 1 ms.
    let config = Config { rate: Some(8_000_000), limit_bytes: Some(2_500), ..Config::default() };
    let script = script(1, Start::Line, &config);
    let mut line = Line::new(1, Family::Ipv4);
    let mut at = |now: u64, len: usize| match line.decide(&script, now, len, 0) {
        Fate::Pass(pass) => Some(pass.at_ns),
        Fate::Lost(_) => None,
    };
    let ms = 1_000_000;
    assert_eq!(
        [at(0, 972), at(0, 972), at(0, 473), at(0, 472)],
        [Some(ms), Some(2 * ms), None, Some(5 * ms / 2)]
    );
    assert_eq!([at(ms - 1, 0), at(ms, 972), at(ms, 0)], [None, Some(7 * ms / 2), None]);
    assert_eq!(at(1_000 * ms, 2_500), None, "longer than the whole queue");
}

/// A slot chain of one nanosecond and a day of delay: what a datagram costs stays bounded.
#[test]
fn slots_far_away_are_not_walked_to() {
    let slot = Slot { min: 1, max: 1, packets: Some(2), bytes: None };
    let config = Config { slot: Some(slot), delay: LONGEST_NS, limit: Some(10_000), ..Config::default() };
    let script = script(1, Start::Line, &config);
    let mut line = Line::new(1, Family::Ipv4);
    let times: Vec<u64> = (0..5_000)
        .map(|_| match line.decide(&script, 7, 1, 0) {
            Fate::Pass(pass) => pass.at_ns - 7 - LONGEST_NS,
            Fate::Lost(cause) => panic!("{cause:?}"),
        })
        .collect();
    assert!(times.windows(3).all(|three| three[2] > three[0]), "two a slot");
    assert!(times.is_sorted() && times[0] < 2 && times[4_999] < 2_502, "{:?}", &times[..9]);
}

/// An hour of silence on a trace of one millisecond, then more than an opportunity carries.
#[test]
fn a_trace_goes_on_after_a_silence() {
    let trace = Arc::new(RateTrace::parse("1\n").unwrap());
    let config = Config { trace: Some(trace), packet_overhead: Some(0), ..Config::default() };
    let script = script(1, Start::At(0), &config);
    let mut line = Line::new(1, Family::Ipv4);
    let hour = 3_600_000_000_000;
    let mut at = |now: u64, len: usize| match line.decide(&script, now, len, 0) {
        Fate::Pass(pass) => pass.at_ns,
        Fate::Lost(cause) => panic!("{cause:?}"),
    };
    let ms = 1_000_000;
    assert_eq!([at(0, 1_500), at(0, 1), at(0, 1_499), at(0, 1)], [ms, 2 * ms, 2 * ms, 3 * ms]);
    assert_eq!([at(hour, 1_500), at(hour + 1, 4_500), at(hour + 1, 1)], [hour, hour + 3 * ms, hour + 4 * ms]);
}

/// Jitter above the delay: cut at the moment of arrival, never before, and said.
#[test]
fn jitter_above_the_delay_is_cut() {
    for distribution in [Distribution::Uniform, Distribution::Table(Arc::new(Table::normal()))] {
        let config = Config { delay: 1_000, jitter: 5_000, distribution, ..Config::default() };
        let script = script(1, Start::Line, &config);
        assert!(script.notes().iter().any(|note| note.option == "jitter" && note.message.contains("larger")));
        let mut line = Line::new(1, Family::Ipv4);
        let at_once = (0..1_000).filter(|_| match line.decide(&script, 99, 1, 0) {
            Fate::Pass(pass) => pass.at_ns == 99,
            Fate::Lost(_) => false,
        });
        let at_once = at_once.count();
        assert!((350..450).contains(&at_once), "{at_once}: two fifths");
    }
}

/// Keeping the order costs nobody its place, whatever the jitter.
#[test]
fn order_is_kept() {
    let config = Config {
        delay: 10_000_000,
        jitter: 9_000_000,
        order: polyport_impair::Order::Keep,
        ..Config::default()
    };
    let script = script(1, Start::Line, &config);
    let mut line = Line::new(1, Family::Ipv4);
    let times: Vec<u64> = (0..10_000)
        .map(|n| match line.decide(&script, n * 100_000, 1, 0) {
            Fate::Pass(pass) => pass.at_ns,
            Fate::Lost(cause) => panic!("{cause:?}"),
        })
        .collect();
    assert!(times.is_sorted());
    assert!(config.notes().is_empty() && !share(0.1).is_never());
}

/// Marks are for senders that listen; a mark that is there stays one.
#[test]
fn only_who_can_be_marked_is() {
    let config = Config { loss: share(1.0), ecn: true, ..Config::default() };
    let script = script(1, Start::Line, &config);
    let mut line = Line::new(1, Family::Ipv4);
    let fates = [0, 1, 2, 3, 0xFC, 0xFE].map(|tos| line.decide(&script, 5, 1, tos));
    let marked = fates.map(|fate| matches!(fate, Fate::Pass(pass) if pass.mark && pass.at_ns == 5));
    assert_eq!(marked, [false, true, true, true, false, true]);
    assert_eq!(fates[0], Fate::Lost(Cause::Loss));
}
