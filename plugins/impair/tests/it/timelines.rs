//! Options that change on the way, by time and by number, once and again.

use polyport_impair::{
    Cause, Clock, Config, Direction, Family, Fate, Line, MOST_STEPS, Problem, Script, Start, Step, Timeline,
};
use proptest::prelude::{any, prop_assert_eq, proptest};

use crate::configs::{Dice, share};

const MS: u64 = 1_000_000;

fn delayed(delay: u64) -> Config {
    Config { delay, ..Config::default() }
}

fn timeline(clock: Clock, repeat: u64, steps: &[(u64, u64)]) -> Timeline {
    let steps = steps.iter().map(|(at, delay)| Step { at: *at, config: delayed(*delay) }).collect();
    Timeline { steps, clock, repeat }
}

fn script(start: Start, timeline: &Timeline) -> Result<Script, Vec<Problem>> {
    Script::new(1, Direction::Up, start, &delayed(1), Some(timeline))
}

fn waits(script: &Script, times: &[u64]) -> Vec<u64> {
    let mut line = Line::new(3, Family::Ipv4);
    times.iter().map(|now| waits_at(script, &mut line, *now)).collect()
}

fn waits_at(script: &Script, line: &mut Line, now: u64) -> u64 {
    match line.decide(script, now, 10, 0) {
        Fate::Pass(pass) => pass.at_ns - now,
        Fate::Lost(cause) => panic!("{cause:?}"),
    }
}

#[test]
fn steps_hold_from_their_moment_on() {
    let steps = timeline(Clock::Time, 0, &[(30, 2), (40, 3), (40 * MS, 4)]);
    let from_100 = script(Start::At(100), &steps).unwrap();
    assert_eq!(
        waits(&from_100, &[0, 100, 129, 130, 139, 140, 141, 100 + 40 * MS, u64::MAX / 2]),
        [1, 1, 1, 2, 2, 3, 3, 4, 4]
    );
    // Two at once, if nothing came between.
    assert_eq!(waits(&from_100, &[500]), [3]);
    // Each line has its own time, from its first datagram.
    let from_line = script(Start::Line, &steps).unwrap();
    assert_eq!(waits(&from_line, &[1_000, 1_029, 1_030, 1_040]), [1, 1, 2, 3]);
}

#[test]
fn steps_by_number_repeat_exactly() {
    let steps = timeline(Clock::Datagrams, 0, &[(2, 2), (3, 3)]);
    let script = script(Start::At(0), &steps).unwrap();
    assert_eq!(waits(&script, &[5, 900, 7, 5, 0]), [1, 1, 2, 3, 3], "whatever the time");
    let again = timeline(Clock::Datagrams, 4, &[(2, 2), (3, 3)]);
    let script = self::script(Start::At(0), &again).unwrap();
    assert_eq!(waits(&script, &[0; 10]), [1, 1, 2, 3, 1, 1, 2, 3, 1, 1]);
}

#[test]
fn a_time_that_goes_back_changes_nothing() {
    let steps = timeline(Clock::Time, 0, &[(30, 2), (40, 3)]);
    assert_eq!(waits(&script(Start::At(0), &steps).unwrap(), &[35, 5, 39, 41, 0]), [2, 2, 2, 3, 3]);
}

#[test]
fn what_is_wrong_is_named_with_its_step() {
    let wrong = |timeline: &Timeline| -> Vec<(&'static str, Option<usize>)> {
        script(Start::Line, timeline)
            .unwrap_err()
            .iter()
            .map(|problem| (problem.option, problem.step))
            .collect()
    };
    assert_eq!(
        wrong(&timeline(Clock::Time, 0, &[(5, 1), (5, 2), (4, 3)])),
        [("timeline", Some(1)), ("timeline", Some(2))]
    );
    assert_eq!(wrong(&timeline(Clock::Time, 5, &[(5, 1)])), [("timeline_repeat", None)]);
    assert_eq!(wrong(&timeline(Clock::Time, 5, &[])), [("timeline_repeat", None)]);
    let many: Vec<(u64, u64)> = (0..=MOST_STEPS as u64).map(|at| (at, 1)).collect();
    assert_eq!(wrong(&timeline(Clock::Time, 0, &many)), [("timeline", Some(MOST_STEPS))]);
    // A mistake in the third step is told once, also if the steps behind it have it too.
    let mut steps = timeline(Clock::Time, 0, &[(1, 1), (2, 1), (3, 1), (4, 1)]);
    for step in &mut steps.steps[2..] {
        step.config.rate = Some(0);
    }
    assert_eq!(wrong(&steps), [("rate", Some(2))]);
    // One of the options is not told again with the steps.
    let options = Config { rate: Some(0), ..delayed(1) };
    for step in &mut steps.steps {
        step.config.rate = Some(0);
    }
    let all = Script::new(1, Direction::Up, Start::Line, &options, Some(&steps)).unwrap_err();
    assert_eq!(
        all.iter().map(|problem| (problem.option, problem.step)).collect::<Vec<_>>(),
        [("rate", None)]
    );
}

#[test]
fn it_is_neutral_if_all_of_it_is() {
    let neutral = Config::default();
    let mut steps = Timeline { steps: vec![Step { at: 5, config: neutral.clone() }], ..Timeline::default() };
    let script =
        |steps: &Timeline| Script::new(1, Direction::Up, Start::Line, &neutral, Some(steps)).unwrap();
    assert!(script(&steps).is_neutral());
    steps.steps[0].config.loss = share(0.5);
    assert!(!script(&steps).is_neutral());
}

/// A line goes on with other options where it is: its numbers, and what waits.
#[test]
fn a_line_follows_another_script() {
    let link = |rate, limit| {
        let config = Config { rate: Some(rate), limit: Some(limit), ..Config::default() };
        Script::new(1, Direction::Up, Start::Line, &config, None).unwrap()
    };
    let mut line = Line::new(3, Family::Ipv4);
    // 972 and 28 bytes: 8 ms each.
    let at = |line: &mut Line, script: &Script| match line.decide(script, 0, 972, 0) {
        Fate::Pass(pass) => Ok(pass.at_ns / MS),
        Fate::Lost(cause) => Err(cause),
    };
    assert_eq!((0..2).map(|_| at(&mut line, &link(1_000_000, 3))).collect::<Vec<_>>(), [Ok(8), Ok(16)]);
    assert_eq!(
        (at(&mut line, &link(8_000_000, 3)), at(&mut line, &link(8_000_000, 3))),
        (Ok(17), Err(Cause::QueueFull))
    );
    assert_eq!(line.count(), 4);
    // Another timeline is noticed, also if the line stands late in the one before.
    let mut line = Line::new(3, Family::Ipv4);
    let first = script(Start::At(0), &timeline(Clock::Time, 0, &[(10, 2), (20, 3)])).unwrap();
    let second = script(Start::At(0), &timeline(Clock::Time, 0, &[(50, 7)])).unwrap();
    let waits = [(&first, 30), (&second, 31), (&second, 50), (&first, 51)]
        .map(|(script, now)| waits_at(script, &mut line, now));
    assert_eq!(waits, [3, 1, 7, 3]);
}

proptest! {
    /// Against a search from the first step on, at every datagram.
    #[test]
    fn the_step_is_the_last_that_is_due(seed in any::<u64>()) {
        let mut dice = Dice(seed);
        let mut at = 0;
        let steps: Vec<(u64, u64)> = (0..dice.below(8)).map(|number| {
            at += dice.below(50) + u64::from(number > 0);
            (at, 10 + number)
        }).collect();
        let clock = if dice.below(2) == 0 { Clock::Time } else { Clock::Datagrams };
        let repeat = if steps.is_empty() || dice.below(2) == 0 { 0 } else { at + 1 + dice.below(40) };
        let start = dice.below(100);
        let script = script(Start::At(start), &timeline(clock, repeat, &steps)).unwrap();
        let mut line = Line::new(9, Family::Ipv6);
        let mut now = 0;
        for n in 0..300 {
            now += dice.below(15);
            let position = if clock == Clock::Time { now.saturating_sub(start) } else { n };
            let within = position.checked_rem(repeat).unwrap_or(position);
            let due = steps.iter().rev().find(|(at, _)| *at <= within).map_or(1, |(_, delay)| *delay);
            prop_assert_eq!(waits_at(&script, &mut line, now), due, "datagram {} at {}", n, now);
        }
    }
}
