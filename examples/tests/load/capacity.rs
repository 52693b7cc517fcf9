//! The search for capacity: what it prints, and how it ends.

use std::time::Duration;

use polyport_tools::load::capacity::json::{CapacityReport, LimitReport, StoppedReport};

use crate::server::Server;
use crate::tester::{Ran, run};

/// Trials that are as short as they can be on a machine that runs other tests meanwhile, and a tester that may be late.
const QUICK: &str = "--warmup 0s --no-handshake --timeout 2s --max-lag 1s --min-rate 20/s --max-rate 200/s";

fn report(ran: &Ran) -> CapacityReport {
    let object: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let report: CapacityReport = serde_json::from_value(object.clone()).unwrap();
    assert_eq!(serde_json::to_value(&report).unwrap(), object, "the fields of the type, and no other");
    report
}

fn good() -> Server {
    Server::start(|request| request.send(&request.response()))
}

#[test]
fn a_server_that_takes_all_has_no_upper_bound() {
    let server = good();
    let goal = "loss<=5%,width=20%,initial=100ms,final=200ms,sum=400ms";
    let ran = run(&format!("{} {QUICK} --find-max {goal} --json", server.address));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let report = report(&ran);
    let found = &report.goals[0];
    assert!(
        found.reached && found.upper.is_none() && report.tester_ceiling_per_second.is_none(),
        "{report:#?}"
    );
    assert!((found.lower.unwrap().rate_per_second - 200.0).abs() < 1e-6, "{report:#?}");
    assert_eq!(found.conditions, ["loss<=5%"]);
    assert!(report.trials.iter().all(|trial| trial.sent == trial.planned && trial.good == [true]));
    let lengths: Vec<u64> = report.trials.iter().map(|trial| trial.duration_ns / 1_000_000).collect();
    assert_eq!((lengths.first(), lengths.last()), (Some(&100), Some(&200)), "trials grow");
    assert_eq!(ran.stderr.lines().filter(|line| line.starts_with("trial ")).count(), lengths.len());
}

#[test]
fn a_goal_that_no_rate_meets_ends_with_99() {
    let server = Server::start(|request| {
        if request.number % 2 == 0 {
            request.send(&request.response());
        }
    });
    let goal = "loss<10%,initial=100ms,final=100ms,sum=100ms";
    let ran = run(&format!("{} {QUICK} --find-max {goal} -q --drain 200ms", server.address));
    assert_eq!((ran.code, ran.stderr.as_str()), (99, ""), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("lower bound  none: not even the lowest rate meets the goal"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("upper bound       20.00/s  1 trial of 100ms and more: good 0s, bad 100ms"),
        "{}",
        ran.stdout
    );
}

#[test]
fn what_the_tester_holds_back_is_no_bound_of_the_server() {
    // Every answer takes a second, so ten that may wait for theirs are ten a second.
    let server = Server::start(|request| {
        let reply = request.response();
        request.send_later(Duration::from_secs(1), &reply);
    });
    let goal = "loss<=5%,width=40%,initial=1s,final=1s,sum=1s";
    let line =
        format!("{} {QUICK} --timeout 10s --max-in-flight 60 --find-max {goal} --json", server.address);
    let ran = run(&line.replace("--timeout 2s ", ""));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let report = report(&ran);
    let limited: Vec<f64> = report
        .trials
        .iter()
        .filter(|trial| matches!(trial.generator_limited, Some(LimitReport::InFlight(_))))
        .map(|trial| trial.rate_per_second)
        .collect();
    assert!(!limited.is_empty() && report.trials.iter().all(|trial| trial.good != [false]), "{report:#?}");
    let found = &report.goals[0];
    let (lower, ceiling) = (found.lower.unwrap().rate_per_second, report.tester_ceiling_per_second.unwrap());
    assert!(found.reached && found.upper.is_none(), "{report:#?}");
    assert!((40.0..=70.0).contains(&lower) && lower <= ceiling && limited.iter().all(|rate| *rate > ceiling));
    assert!(ran.stderr.contains("the tester was the limit, at last by"), "{}", ran.stderr);
    assert!(ran.stderr.contains("held back (--max-in-flight)"), "{}", ran.stderr);
}

#[test]
fn a_server_that_is_silent_is_no_result() {
    let mute = Server::start(|_| ());
    let goal = "loss<10%,initial=100ms,final=100ms,sum=100ms";
    let ran = run(&format!("{} {QUICK} --find-max {goal} -q --drain 0s", mute.address));
    assert_eq!(ran.code, 69, "{}", ran.stdout);
    assert!(ran.stderr.contains("error: no answer: sent "), "{}", ran.stderr);
}

#[test]
fn a_search_ends_with_its_time_and_says_so() {
    let server = good();
    let ran = run(&format!("{} {QUICK} --find-max loss<=5% --search-time 1ms --json", server.address));
    assert_eq!(ran.code, 75, "{}", ran.stderr);
    let report = report(&ran);
    assert_eq!((report.stopped, report.goals[0].reached), (Some(StoppedReport::Time), false));
    assert!(ran.stderr.contains("longer than --search-time"), "{}", ran.stderr);
}

#[test]
fn a_sweep_shows_every_step() {
    let server = good();
    let ran = run(&format!("{} {QUICK} --find-knee --steps 4 --step-time 100ms -q", server.address));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains(" latency over load  4 steps up to "), "{}", ran.stdout);
    assert!(ran.stdout.contains('\u{2588}') && ran.stdout.contains("greatest power: answers a second / p99"));
    assert_eq!(ran.stdout.matches("<- knee").count(), 1, "{}", ran.stdout);
}

#[test]
fn what_contradicts_itself_is_64() {
    for more in [
        "--find-max loss<1% --rate 5/s",
        "--find-max loss<1% --duration 5s",
        "--find-knee --threshold loss<1%",
        "--find-max width=1%",
        "--find-max loss<1% --min-rate 5/s --max-rate 5/s",
        "--find-max loss<1% --max-lag 2s --timeout 1s",
        "--find-max loss<1%,sum=101d",
        "--find-knee --steps 3",
    ] {
        let ran = run(&format!("127.0.0.1:9 {more}"));
        assert_eq!((ran.code, ran.stdout.as_str()), (64, ""), "{more}: {}", ran.stderr);
    }
}
