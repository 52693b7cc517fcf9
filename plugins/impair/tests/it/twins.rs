//! The engine against its twin: the same fate for every datagram, whatever the options.

use polyport_impair::{Config, Correlation, Direction, Distribution, Family, Line, Order, Script, Start};
use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};

use crate::configs::{Dice, config};
use crate::twin::{Arrival, Twin};

/// Datagrams at random times, of random lengths: now and then a silence, now and then many at once.
fn arrivals(seed: u64, count: u64) -> Vec<Arrival> {
    let mut dice = Dice(seed ^ 0xA5A5);
    let mut now = dice.below(1_000_000_000);
    (0..count)
        .map(|_| {
            now += match dice.below(10) {
                0 => dice.below(40_000_000),
                1..=3 => 0,
                _ => dice.below(1_000_000),
            };
            let len = if dice.below(20) == 0 { dice.below(65_508) } else { dice.below(1_500) };
            Arrival { now, len, tos: u8::try_from(dice.below(256)).unwrap() }
        })
        .collect()
}

/// Runs both; returns the first difference.
fn difference(config: &Config, seed: u64, count: u64) -> Option<String> {
    let direction = [Direction::Only, Direction::Up, Direction::Down][usize::try_from(seed % 3).unwrap()];
    let script = Script::new(seed, direction, Start::Line, config, None).unwrap();
    let client = seed.rotate_left(17);
    let (mut line, mut twin) = (Line::new(client, Family::Ipv4), Twin::new(config, seed, direction, client));
    arrivals(seed, count).into_iter().enumerate().find_map(|(n, arrival)| {
        let Arrival { now, len, tos } = arrival;
        let fate = line.decide(&script, now, usize::try_from(len).unwrap(), tos);
        let expected = twin.decide(arrival);
        (fate != expected).then(|| format!("{n}, {arrival:?}: {fate:?}, not {expected:?}"))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    /// Any options together.
    #[test]
    fn every_fate_is_that_of_the_twin(mask in 0_u32..1 << 20, seed in any::<u64>()) {
        prop_assert_eq!(difference(&config(mask, seed), seed, 150), None);
    }
}

/// Each group of options alone, and each two of them: what a random mask seldom has.
#[test]
fn few_options_too() {
    for one in 0..20 {
        for other in one..20 {
            for seed in 0..3 {
                let seed = seed + 1000 * (1 << one | 1 << other);
                let config = config(1 << one | 1 << other, seed);
                assert_eq!(difference(&config, seed, 300), None, "{one}, {other}, {config:?}");
            }
        }
    }
}

type Has = fn(&Config) -> bool;

#[test]
fn the_random_options_have_everything_in_them() {
    let all: Vec<Config> =
        (0..400).map(|seed| config(u32::try_from(Dice(seed).below(1 << 20)).unwrap(), seed)).collect();
    let has: [(&str, Has); 17] = [
        ("loss", |c| !c.loss.is_never()),
        ("burst", |c| c.loss_burst.is_some()),
        ("states", |c| c.loss_state.is_some()),
        ("gemodel", |c| c.loss_gemodel.is_some()),
        ("ecn", |c| c.ecn),
        ("table", |c| c.distribution != Distribution::Uniform),
        ("gap", |c| c.gap.is_some_and(|gap| gap > 1)),
        ("late", |c| !c.late.is_never()),
        ("keep", |c| c.order == Order::Keep),
        ("cells", |c| c.cell_size.is_some() && c.rate.is_some()),
        ("limit", |c| c.limit.is_some() && c.rate.is_some()),
        ("bytes", |c| c.limit_bytes.is_some()),
        ("slot", |c| c.slot.is_some_and(|slot| slot.packets.is_some() && slot.bytes.is_some())),
        ("trace", |c| c.trace.is_some() && c.jitter > 0),
        ("delays", |c| c.delay_trace.is_some() && c.delay_trace_step.is_some()),
        ("copy", |c| !c.jitter_correlation.is_never() && c.correlation == Correlation::Copy),
        ("netem", |c| !c.jitter_correlation.is_never() && c.correlation == Correlation::Netem),
    ];
    for (what, has) in has {
        assert!(all.iter().filter(|config| has(config)).count() > 4, "{what}");
    }
}
