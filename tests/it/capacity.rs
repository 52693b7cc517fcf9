//! The search for capacity, against a server whose capacity is known: behind a link of so many bits a second.

use std::process::Command;

use polyport_tests::process::{Finished, Process};
use polyport_tools::load::capacity::json::CapacityReport;

use crate::polyport;

/// Octets of each datagram: 1024 bits with the headers of IPv4 and UDP.
const SIZE: u32 = 100;

/// Datagrams that the link carries in a second. So few that a pause of a busy machine, after which what is late leaves at
/// once, is no more than the queue takes.
const LINK: f64 = 200.0;

/// Datagrams that wait for the link.
const QUEUE: f64 = 50.0;

/// Seconds of the trials that count.
const TRIAL: f64 = 2.0;

/// Share that may be lost.
const LOSS: f64 = 0.02;

/// The rate whose trials lose just so much: what the link carries, and what waits for it at the end of a trial.
const CAPACITY: f64 = (LINK + QUEUE / TRIAL) / (1.0 - LOSS);

#[track_caller]
fn load(arguments: &str) -> (Finished, CapacityReport) {
    let link = LINK * f64::from(SIZE + 28) * 8.0 / 1000.0;
    let spec = format!("127.0.0.1:0=lossy,name=link,rate={link}kbit,limit={QUEUE},recv_buffer=4MiB");
    let daemon = polyport().listen(spec).serve();
    let mut command = Command::new(env!("CARGO_BIN_EXE_polyport-load-under-test"));
    command.arg(daemon.addresses()[0].to_string());
    // What is late by less than the queue holds is this rate still; answers take the queue's time, and the tester's.
    command.args(["--size", &SIZE.to_string(), "--raw-echo", "--timeout", "3s", "--max-lag", "200ms"]);
    command.args(["--warmup", "100ms", "--min-rate", "20/s", "--max-rate", "4k/s", "--json"]);
    command.args(arguments.split_ascii_whitespace());
    let finished = Process::spawn(&mut command).finish();
    drop(daemon.stop());
    let report =
        serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}"));
    (finished, report)
}

#[test]
fn the_rate_of_a_link_lies_in_the_bracket() {
    let goal = format!("loss<={}%,width=5%,initial=500ms,final={TRIAL}s,sum={}s", LOSS * 100.0, 2.0 * TRIAL);
    let (finished, report) = load(&format!("--find-max {goal} --find-max {goal},p50<120ms"));
    finished.expect_code(0);
    let [by_loss, by_latency] = report.goals.as_slice() else { panic!("{report:#?}") };
    let (lower, upper) = (by_loss.lower.unwrap(), by_loss.upper.unwrap());
    // A datagram more or less, of the hundreds of a trial.
    assert!(
        lower.rate_per_second <= CAPACITY * 1.01 && upper.rate_per_second >= CAPACITY * 0.99,
        "{report:#?}"
    );
    assert!((upper.rate_per_second - lower.rate_per_second) / upper.rate_per_second <= 0.05001);
    assert!(by_loss.throughput_per_second.unwrap() >= lower.rate_per_second * (1.0 - LOSS));
    assert!(lower.trials >= 1 && lower.good_ns >= 2_000_000_000 && upper.bad_ns + upper.short_bad_ns > 0);
    // The queue is a quarter of a second long: half of the answers would wait longer than the second goal lets them.
    let quick = by_latency.upper.unwrap().rate_per_second;
    assert!(quick >= LINK * 0.9 && quick <= upper.rate_per_second * 1.001, "{report:#?}");
    let lines = finished.stderr.lines().filter(|line| line.starts_with("trial ")).count();
    assert_eq!(lines, report.trials.len());
    assert!(report.trials.len() > 5 && report.trials.iter().all(|trial| trial.planned > 0));
}

#[test]
fn latency_over_load_bends_at_the_rate_of_the_link() {
    let (finished, report) = load("--find-knee --steps 8 --step-time 1s");
    finished.expect_code(0);
    let sweep = report.sweep.unwrap();
    assert!(report.goals.len() == 1 && sweep.steps.len() == 8, "{sweep:#?}");
    // A link of a second carries what waits for it, too.
    let capacity = sweep.capacity_per_second;
    assert!((LINK * 0.8..=(LINK + QUEUE) * 1.1).contains(&capacity), "{sweep:#?}");
    let knee = &sweep.steps[sweep.knee.unwrap()];
    assert!(knee.trial.rate_per_second <= LINK * 1.15, "{sweep:#?}");
    let last = sweep.steps.last().unwrap();
    assert!(last.power < knee.power && last.trial.rate_per_second >= capacity, "{sweep:#?}");
}
