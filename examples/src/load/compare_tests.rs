use polyport_protocol::{MILLISECOND, SECOND};

use super::*;
use crate::load::class::Class;

/// A run of `seconds` at 500 datagrams a second whose latencies scatter around `usual`; of a thousand, `lost` are lost.
fn run(seed: u64, seconds: u64, usual: Nanos, lost: u64) -> Run {
    let mut rng = generator(Some(seed));
    let mut intervals = Intervals::new(seconds * SECOND, SECOND).unwrap();
    for index in 0..seconds * 500 {
        let planned = index * 2 * MILLISECOND;
        intervals.plan(planned, 1);
        intervals.left(planned, planned + 1000);
        if rng.random_range(0..1000) >= lost {
            // Whole intervals are slower than others, as they are on real machines.
            let mood = 900 + planned / SECOND * 7919 % 200;
            let latency = usual * mood / 1000 * rng.random_range(500..1500) / 1000;
            intervals.answered(Class::Ok, planned, planned + 1000, planned + latency);
        }
    }
    Run { intervals: Some(intervals), length: seconds * SECOND }
}

const METHOD: Method = Method { confidence: 0.99, tolerance: 0.05, seed: 1 };

fn verdict(report: &CompareReport, name: &str) -> Verdict {
    report.figures.iter().find(|figure| figure.name == name).unwrap().verdict
}

#[test]
fn two_runs_of_the_same_do_not_differ() {
    for seed in 0..4 {
        let report =
            compare(&run(seed, 20, MILLISECOND, 5), &run(seed + 100, 20, MILLISECOND, 5), METHOD).unwrap();
        assert!(!report.regression, "{}", report.text());
        assert!(report.figures.iter().all(|figure| figure.verdict == Verdict::Same), "{}", report.text());
    }
}

#[test]
fn what_is_slower_or_loses_more_is_worse_and_the_other_way_round_better() {
    let (before, after) = (run(1, 20, MILLISECOND, 2), run(2, 20, MILLISECOND * 5 / 4, 30));
    let report = compare(&before, &after, METHOD).unwrap();
    for name in ["p50", "p90", "p99", "send.p50", "loss"] {
        assert_eq!(verdict(&report, name), Verdict::Worse, "{name}: {}", report.text());
    }
    assert_eq!(verdict(&report, "rate"), Verdict::Same);
    assert!(report.regression && report.text().contains("WORSE"));
    let p50 = report.figures.iter().find(|figure| figure.name == "p50").unwrap();
    assert!(p50.between[0] < 0.25 && 0.25 < p50.between[1], "{p50:?}");
    let back = compare(&after, &before, METHOD).unwrap();
    assert_eq!((verdict(&back, "p50"), back.regression), (Verdict::Better, false));
}

#[test]
fn a_change_within_the_tolerance_is_none() {
    let (before, after) = (run(1, 60, MILLISECOND, 0), run(2, 60, MILLISECOND * 104 / 100, 0));
    assert_eq!(verdict(&compare(&before, &after, METHOD).unwrap(), "p50"), Verdict::Same);
    let strict = Method { tolerance: 0.0, ..METHOD };
    assert_eq!(verdict(&compare(&before, &after, strict).unwrap(), "p50"), Verdict::Worse);
}

#[test]
fn the_same_seed_gives_the_same_answer_and_few_intervals_give_none() {
    let (before, after) = (run(1, 8, MILLISECOND, 1), run(2, 8, MILLISECOND, 1));
    assert_eq!(compare(&before, &after, METHOD).unwrap(), compare(&before, &after, METHOD).unwrap());
    let short = compare(&before, &run(1, 4, MILLISECOND, 0), METHOD).unwrap_err();
    assert!(short.contains("the second run has 4 whole intervals"), "{short}");
}

#[test]
fn a_long_run_is_drawn_in_blocks() {
    let report = compare(&run(1, 130, MILLISECOND, 0), &run(2, 10, MILLISECOND, 0), METHOD).unwrap();
    assert_eq!(report.blocks, [43, 10]);
}

/// A run as [`run`], whose intervals each have a mood of their own by chance: some are up to a tenth slower than others.
fn moody(seed: u64, seconds: u64, usual: Nanos) -> Run {
    let mut rng = generator(Some(seed));
    let mut intervals = Intervals::new(seconds * SECOND, SECOND).unwrap();
    for second in 0..seconds {
        let mood = rng.random_range(950..1050);
        for index in 0..200 {
            let planned = second * SECOND + index * 5 * MILLISECOND;
            intervals.plan(planned, 1);
            intervals.left(planned, planned + 1000);
            if rng.random_range(0..1000) >= 5 {
                let latency = usual * mood / 1000 * rng.random_range(500..1500) / 1000;
                intervals.answered(Class::Ok, planned, planned + 1000, planned + latency);
            }
        }
    }
    Run { intervals: Some(intervals), length: seconds * SECOND }
}

/// Pairs of runs that are compared.
const PAIRS: u64 = 20;

#[test]
fn of_runs_of_the_same_hardly_any_differ_and_a_tenth_more_is_seen() {
    let compared = |seed: u64, usual: Nanos, method: Method| {
        compare(&moody(seed, 30, MILLISECOND), &moody(seed + 10_000, 30, usual), method).unwrap()
    };
    let differs =
        |report: &CompareReport| report.figures.iter().any(|figure| figure.verdict != Verdict::Same);
    let tenth = MILLISECOND * 11 / 10;
    // As it is asked for if nothing is said. A twentieth of the pairs may be taken for different.
    let mistaken = (0..PAIRS).filter(|seed| differs(&compared(*seed, MILLISECOND, METHOD))).count() as u64;
    assert!(mistaken <= PAIRS / 20, "{mistaken} of {PAIRS}");
    // A change of a tenth is twice the tolerance, and more than the moods of thirty intervals leave in doubt.
    let seen = |seed: &u64| verdict(&compared(*seed, tenth, METHOD), "p50") == Verdict::Worse;
    let seen = (0..PAIRS).filter(seen).count() as u64;
    assert!(seen >= PAIRS * 19 / 20, "{seen} of {PAIRS}");
    // Without tolerance there is the bootstrap alone: each figure is wrong as often as its confidence says, or little more, as
    // thirty intervals are few.
    let bare = Method { confidence: 0.95, tolerance: 0.0, seed: 1 };
    let figures = (0..PAIRS).flat_map(|seed| compared(seed, MILLISECOND, bare).figures);
    let wrong = figures.filter(|figure| figure.verdict != Verdict::Same).count() as u64;
    assert!(wrong <= PAIRS * READINGS.len() as u64 / 10, "{wrong}");
}
