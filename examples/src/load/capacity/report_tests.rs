//! The texts of a capacity that was found, and of one that was not.

use polyport_protocol::SECOND;

use super::*;
use crate::load::capacity::json::{CapacityConfig, FORMAT};
use crate::load::capacity::trial::TrialReport;
use crate::load::config::Expect;
use crate::load::histogram::TotalLatency;
use crate::load::pacing::Pacing;
use crate::load::plan::Distribution;

fn trial(rate: f64, p99_ms: u64) -> TrialReport {
    let mut latency = TotalLatency::total().unwrap();
    (0..100).for_each(|_| latency.record(p99_ms * 1_000_000));
    TrialReport {
        rate_per_second: rate,
        duration_ns: SECOND,
        planned: 1000,
        sent: 1000,
        ok: 999,
        loss_ratio: 0.001,
        rtt_from_plan: latency.percentiles(),
        lag: None,
        generator_limited: None,
        good: vec![true],
    }
}

fn bound(rate: f64, good: u64, bad: u64) -> BoundReport {
    BoundReport {
        rate_per_second: rate,
        trials: good + bad,
        good_ns: good * 10 * SECOND,
        bad_ns: bad * 10 * SECOND,
        exceeded_ratio: 1.0 / 3.0,
        short_trials: 1,
        short_good_ns: SECOND,
        short_bad_ns: 0,
    }
}

fn result(lower: Option<BoundReport>, upper: Option<BoundReport>) -> CapacityReport {
    CapacityReport {
        format: FORMAT,
        program: "polyport-load".to_owned(),
        config: CapacityConfig {
            targets: vec!["127.0.0.1:7000".parse().unwrap()],
            min_per_second: 100.0,
            max_per_second: 1e6,
            max_lag_ns: 1,
            timeout_ns: SECOND,
            distribution: Distribution::RoundRobin,
            pacing: Pacing::Sleep,
            flows: 1,
            threads: 1,
            size: 100,
            expect: Expect::Reply,
            seed: 42,
        },
        goals: vec![GoalReport {
            conditions: vec!["loss<0.1%".to_owned(), "p99<5ms".to_owned()],
            width: 0.005,
            exceed_ratio: 0.5,
            initial_ns: SECOND,
            final_ns: 10 * SECOND,
            sum_ns: 30 * SECOND,
            lower,
            upper,
            throughput_per_second: lower.map(|lower| lower.rate_per_second * 0.999),
            reached: true,
        }],
        stopped: None,
        aborted: false,
        tester_ceiling_per_second: None,
        trials: vec![trial(1000.0, 1)],
        sweep: None,
        took_ns: 84 * SECOND,
    }
}

#[test]
fn a_bracket_says_how_sure_it_is() {
    let shown = text(&result(Some(bound(49_630.3, 2, 1)), Some(bound(50_131.0, 0, 2))), Style::PLAIN);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(
        lines,
        [
            " polyport-load  127.0.0.1:7000  capacity from 100/s to 1000000/s  1 trial in 84.0s  seed 42",
            " goal 1  loss<0.1%, p99<5ms  (width 0.5%, trials of 1.00s to 10.0s, sum 30.0s, exceed 50%)",
            "   lower bound       49630/s  3 trials of 10.0s and more: good 20.0s, bad 10.0s (33.33% exceeded); 1 shorter \
             one: good 1.00s, bad 0s",
            "   upper bound       50131/s  2 trials of 10.0s and more: good 0s, bad 20.0s (33.33% exceeded); 1 shorter \
             one: good 1.00s, bad 0s",
            "   throughput        49581/s  answered at the lower bound, in the worst trial that counts",
        ]
    );
    assert!(warnings(&result(None, None)).is_empty());
}

#[test]
fn a_missing_bound_says_why() {
    let shown = |result: &CapacityReport| text(result, Style::PLAIN);
    let none = shown(&result(None, Some(bound(100.0, 0, 2))));
    assert!(none.contains("lower bound  none: not even the lowest rate meets the goal"), "{none}");
    let all = shown(&result(Some(bound(1e6, 2, 0)), None));
    assert!(all.contains("upper bound  none: the highest rate meets the goal"), "{all}");
    let mut limited = result(Some(bound(80_000.0, 2, 0)), None);
    limited.tester_ceiling_per_second = Some(80_000.0);
    limited.trials[0].generator_limited = Some(LimitReport::NotSent(7));
    let text = shown(&limited);
    assert!(text.contains("upper bound  unknown: above 80000/s the tester is the limit"), "{text}");
    assert!(
        warnings(&limited)[0].starts_with("in 1 of 1 trial the tester was the limit, at last by 7 not sent")
    );
    let mut stopped = result(None, None);
    stopped.stopped = Some(StoppedReport::Time);
    stopped.goals[0].reached = false;
    assert_eq!(shown(&stopped).matches("not decided").count(), 2);
    assert!(warnings(&stopped)[0].contains("--search-time"));
}

#[test]
fn a_sweep_is_a_table_with_bars_and_a_knee() {
    let steps = [(1000.0, 1), (2000.0, 10), (3000.0, 100)].map(|(rate, p99)| StepReport {
        trial: trial(rate, p99),
        answered_per_second: rate,
        power: None,
    });
    let sweep = SweepReport {
        capacity_per_second: 2727.0,
        steps: steps.to_vec(),
        criterion: "greatest power".to_owned(),
        knee: Some(1),
    };
    let lines = super::sweep(&sweep, Style::PLAIN);
    let bars: Vec<usize> = lines.iter().map(|line| line.matches('\u{2588}').count()).collect();
    assert_eq!(bars, [0, 0, 1, 13, 24, 0], "{lines:#?}");
    assert!(
        lines[3].starts_with(" *       2000/s        2000/s   0.100%") && lines[3].ends_with("<- knee"),
        "{lines:#?}"
    );
    assert!(lines[5].contains("2000/s  greatest power"));
}
