//! Options that change while datagrams wait: nothing of what was before is read as if it belonged to what comes.

use std::sync::Arc;

use polyport_impair::{
    Clock, Config, Direction, Family, Fate, Line, Order, RateTrace, Script, Slot, Start, Step, Timeline,
};
use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};

use crate::configs::{Dice, config};
use crate::twin::{Arrival, Twin};

const MS: u64 = 1_000_000;
const S: u64 = 1000 * MS;

fn script(start: Start, config: &Config, timeline: Option<&Timeline>) -> Script {
    Script::new(5, Direction::Up, start, config, timeline).unwrap()
}

/// A link of so many opportunities a second.
fn traced(a_second: u32) -> Config {
    let times: Vec<String> = (1..=a_second).map(|n| (n * 1000 / a_second).to_string()).collect();
    Config { trace: Some(Arc::new(RateTrace::parse(&times.join("\n")).unwrap())), ..Config::default() }
}

fn leaves(line: &mut Line, script: &Script, now: u64) -> u64 {
    match line.decide(script, now, 1000, 0) {
        Fate::Pass(pass) => pass.at_ns,
        Fate::Lost(cause) => panic!("{cause:?} at {now}"),
    }
}

/// The numbers of a trace's opportunities mean nothing in another trace: a hundred seconds of a fast one are hours of a slow one.
#[test]
fn another_trace_is_begun_anew() {
    let (fast, slow) = (traced(1000), traced(10));
    let steps = vec![Step { at: 100 * S, config: slow.clone() }];
    let timeline = Timeline { steps, clock: Clock::Time, repeat: 0 };
    for by_step in [true, false] {
        let mut line = Line::new(1, Family::Ipv4);
        let before = script(Start::At(0), &fast, by_step.then_some(&timeline));
        let after = if by_step { before.clone() } else { script(Start::At(0), &slow, None) };
        for second in 0..100 {
            assert_eq!(leaves(&mut line, &before, second * S + 1), second * S + MS);
        }
        for second in 100..105 {
            assert_eq!(leaves(&mut line, &after, second * S + 1), second * S + 100 * MS, "{by_step}");
        }
    }
}

/// A trace that is read from its file again goes on: nobody gets more of the link by a reload. One that begins elsewhere is
/// begun anew.
#[test]
fn the_same_trace_goes_on_and_begins_anew_where_it_begins_elsewhere() {
    let mut line = Line::new(1, Family::Ipv4);
    let first = script(Start::At(0), &traced(10), None);
    let again = script(Start::At(0), &traced(10), None);
    // 1028 bytes each: two of them fill the better part of two opportunities.
    assert_eq!([&first, &again, &first].map(|script| leaves(&mut line, script, 0) / MS), [100, 200, 300]);
    let own = script(Start::Line, &traced(10), None);
    let mut line = Line::new(1, Family::Ipv4);
    let now = 1000 * S;
    assert_eq!(leaves(&mut line, &first, now + 1), now + 100 * MS);
    // It is 1000 s since the start, and none since the line began.
    for second in 1..5 {
        assert_eq!(leaves(&mut line, &own, now + second * S + 1), now + second * S + 1);
        assert_eq!(leaves(&mut line, &own, now + second * S + 1), now + second * S + 100 * MS + 1);
    }
}

/// Slots of an hour do not hold who comes under slots of a millisecond.
#[test]
fn other_slots_are_another_chain() {
    let slots = |ns| Config {
        slot: Some(Slot { min: ns, max: ns, packets: None, bytes: None }),
        ..Config::default()
    };
    let mut line = Line::new(1, Family::Ipv4);
    assert_eq!(leaves(&mut line, &script(Start::Line, &slots(3600 * S), None), 0), 3600 * S);
    let quick = script(Start::Line, &slots(MS), None);
    assert_eq!([5, 7].map(|now| leaves(&mut line, &quick, now) / MS), [1, 1]);
}

/// Each kind of waiting, and then nothing but the order.
#[test]
fn who_keeps_the_order_is_not_overtaken_by_who_comes_after_a_step() {
    let keep = Config { order: Order::Keep, ..Config::default() };
    let slot = Slot { min: 50 * MS, max: 50 * MS, packets: None, bytes: None };
    for waits in [
        Config { delay: 50 * MS, ..keep.clone() },
        Config { delay: 50 * MS, ..Config::default() },
        Config { rate: Some(200_000), ..keep.clone() },
        Config { slot: Some(slot), ..keep.clone() },
        traced(20),
    ] {
        for then in [
            keep.clone(),
            Config { delay: MS, ..keep.clone() },
            Config { rate: Some(1_000_000_000), ..keep.clone() },
            Config { order: Order::Keep, ..traced(1000) },
            Config { slot: Some(Slot { min: MS, max: MS, ..slot }), ..keep.clone() },
        ] {
            let steps = vec![Step { at: 1, config: then.clone() }];
            let timeline = Timeline { steps, clock: Clock::Datagrams, repeat: 0 };
            let by_step = script(Start::At(0), &waits, Some(&timeline));
            let (before, after) = (script(Start::At(0), &waits, None), script(Start::At(0), &then, None));
            for two in [[&by_step, &by_step], [&before, &after]] {
                let mut line = Line::new(1, Family::Ipv4);
                let [first, second] = two.map(|script| leaves(&mut line, script, 0));
                assert!(first > 40 * MS && second >= first, "{first} {second}: {waits:?}, then {then:?}");
            }
        }
    }
}

/// Options that may follow each other, as many as are given. Correlations and models of loss begin anew with other options, which the
/// twin, that works everything out from the first datagram on, does not follow; and it forgets no slot, so there is no queue before
/// one that would need more of them than a line remembers.
fn some(dice: &mut Dice, count: u64) -> Vec<Config> {
    let with_slots = dice.below(2) == 0;
    let groups: &[u32] = if with_slots {
        &[5, 6, 7, 8, 9, 10, 11, 14, 16, 17]
    } else {
        &[0, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 17, 19]
    };
    (0..count)
        .map(|_| {
            let mask = groups.iter().filter(|_| dice.below(3) == 0).fold(0, |mask, group| mask | 1 << group);
            config(mask, dice.roll())
        })
        .collect()
}

/// Datagrams close to each other: much waits when the options change.
fn arrivals(dice: &mut Dice, count: u64) -> Vec<Arrival> {
    let mut now = S;
    let one = |_| {
        now += dice.below(300_000) * dice.below(2);
        Arrival { now, len: dice.below(1_500), tos: 0 }
    };
    (0..count).map(one).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// Steps by number and by time, and other options in the place of these, against the twin.
    #[test]
    fn every_fate_after_a_change_is_that_of_the_twin(seed in any::<u64>()) {
        let mut dice = Dice(seed);
        let configs = some(&mut dice, 4);
        let arrivals = arrivals(&mut dice, 160);
        // Which options hold for a datagram, and where times begin.
        let kind = dice.below(3);
        let start = dice.below(S);
        let clock = if kind == 0 { Clock::Datagrams } else { Clock::Time };
        let steps = (1_u64..).zip(&configs[1..]);
        let at = |number: u64| if kind == 0 { number * 40 } else { S + number * 3 * MS - start };
        let steps = steps.map(|(number, config)| Step { at: at(number), config: config.clone() }).collect();
        let timeline = Timeline { steps, clock, repeat: 0 };
        let by_steps = script(Start::At(start), &configs[0], Some(&timeline));
        let starts = [start, start, start / 2, start];
        let each: Vec<Script> =
            configs.iter().zip(starts).map(|(config, at)| script(Start::At(at), config, None)).collect();
        let mut line = Line::new(seed, Family::Ipv4);
        let mut twin = Twin::new(&configs[0], 5, Direction::Up, seed);
        let mut before = None;
        for (n, arrival) in arrivals.into_iter().enumerate() {
            let Arrival { now, len, tos } = arrival;
            let held = match kind {
                1 => timeline.steps.iter().filter(|step| start + step.at <= now).count(),
                _ => n / 40,
            };
            if before != Some(held) {
                twin.change(&configs[held], if kind == 2 { starts[held] } else { start });
                before = Some(held);
            }
            let script = if kind == 2 { &each[held] } else { &by_steps };
            let fate = line.decide(script, now, usize::try_from(len).unwrap(), tos);
            prop_assert_eq!(fate, twin.decide(arrival), "{} by {:?}, {:?}", n, configs[held], kind);
        }
    }

    /// Whatever was before: from the step on that keeps the order, nobody leaves before who came earlier.
    #[test]
    fn the_order_is_kept_across_steps(seed in any::<u64>()) {
        let mut dice = Dice(seed);
        let mut configs = some(&mut dice, 4);
        let kept = usize::try_from(dice.below(4)).unwrap();
        for config in &mut configs[kept..] {
            (config.order, config.gap, config.limit, config.limit_bytes) = (Order::Keep, None, None, None);
            (config.reorder, config.late) = Default::default();
        }
        let steps = (1_u64..).zip(&configs[1..]);
        let steps = steps.map(|(number, config)| Step { at: number * 40, config: config.clone() }).collect();
        let timeline = Timeline { steps, clock: Clock::Datagrams, repeat: 0 };
        let script = script(Start::Line, &configs[0], Some(&timeline));
        let mut line = Line::new(seed, Family::Ipv4);
        let mut last = 0;
        for (n, Arrival { now, len, .. }) in arrivals(&mut dice, 160).into_iter().enumerate() {
            let Fate::Pass(pass) = line.decide(&script, now, usize::try_from(len).unwrap(), 0) else { continue };
            prop_assert!(n / 40 < kept || pass.at_ns >= last, "{}: {} before {}", n, pass.at_ns, last);
            last = last.max(pass.copy.map_or(0, |copy| copy.at_ns)).max(pass.at_ns);
        }
    }
}
