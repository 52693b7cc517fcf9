//! The screen of one run whose every number differs.

use polyport_protocol::{Code, MILLISECOND, SECOND};

use super::*;
use crate::load::class::{Class, ClassCounts};
use crate::load::config::example;
use crate::load::histogram::TotalLatency;
use crate::load::icmp::Complaint;
use crate::load::stamps::StampCounts;
use crate::load::summary::Local;

const PORTS: Tables = Tables { ports: true, flows: false };

fn run() -> (Config, Summary) {
    let targets = [7000, 7001].map(|port| ([127, 0, 0, 1], port).into());
    let config = Config { seed: 42, ..example(targets.to_vec()) };
    let mut latency = TotalLatency::total().unwrap();
    (1..=100).for_each(|i| latency.record(i * MILLISECOND));
    let read = latency.percentiles();
    let total = Tally {
        sent: 997,
        ok: 900,
        late: 50,
        error: 2,
        lost_up: 20,
        lost_down: 15,
        lost_unknown: 10,
        dup_up: 3,
        dup_down: 11,
        reordered: 41,
        three_reordered: 4,
        ..Tally::default()
    };
    let mut classes = ClassCounts::default();
    classes.count(Class::WrongSource);
    classes.count(Class::Error(Code::BUSY));
    classes.count(Class::Error(Code::BUSY));
    let port = |index: usize, tally| Port {
        address: targets[index],
        tally,
        icmp: 0,
        from_plan: read,
        histogram: None,
    };
    let summary = Summary {
        planned: 1000,
        skipped: [0, 2, 1, 0],
        ports: vec![port(0, Tally { sent: 500, ok: 500, ..Tally::default() }), port(1, total)],
        total,
        classes,
        from_plan: read,
        lag: read,
        density: BTreeMap::from([(0, 900), (-1, 80), (7, 20)]),
        loss_runs: BTreeMap::from([(1, 40), (5, 1)]),
        late_sends: 21,
        took: SECOND,
        drained: 100 * MILLISECOND,
        local: Local { socket_drops: Some(6), eagain: 8, receive_buffer: 212_992, ..Local::default() },
        ..Summary::default()
    };
    (config, summary)
}

#[test]
fn the_screen_shows_both_identities() {
    let (config, summary) = run();
    let judged = |met| Judgement { text: "p99<5ms".into(), met, measured: "99.0ms".into() };
    let screen = text(&config, &summary, &[judged(true), judged(false)], PORTS, Style::PLAIN);
    let expected = " \
polyport-load  2 ports on 127.0.0.1:7000-7001  rate 1000/s (constant)  1.00s + drain 100ms  seed 42
 \u{2713} ok    p99<5ms               99.0ms
 \u{2717} FAIL  p99<5ms               99.0ms
 rate    asked 1000/s, achieved 997/s
                       p50      p90      p95      p99    p99.9   p99.99      max     mean   stddev
 rtt (from plan)    50.0ms   90.0ms   95.0ms   99.0ms    100ms    100ms    100ms   50.4ms   28.8ms
 rtt (from send)         -
 ipdv (of rtt)           -
 generator lag      50.0ms   90.0ms   95.0ms   99.0ms    100ms    100ms    100ms   50.4ms   28.8ms    late sends 2.10%
 planned 1000 = sent 997 + not sent 3 (behind 2, refused 1)
 sent    997 = ok 900 + late 50 + error 2 (code 16 2) + lost 45 (up 20, down 15, unknown 10)
 losses  in a row: 40 of 1, 1 of 5 (longest 5)
 order   displaced by -1 8.00%, +7 2.00%
 extra   dup up 3, dup down 11, reordered 41 (3-reordered 4), malformed 0
 other   wrong_source 1
 local   socket drops 6, send EAGAIN 8    worst port 127.0.0.1:7001: loss 4.51%, p99 99.0ms
 target                            sent        ok    late   error    lost     loss      p50      p99    icmp
 127.0.0.1:7000                     500       500       0       0       0       0%   50.0ms   99.0ms       0
 127.0.0.1:7001                     997       900      50       2      45    4.51%   50.0ms   99.0ms       0
";
    assert_eq!(screen, expected);
}

#[test]
fn percentiles_of_choice_have_the_columns() {
    let (config, summary) = run();
    let point = |name: &str, nanos| Chosen {
        percentile: name.to_owned(),
        rtt_from_plan: Some(nanos),
        rtt_from_send: None,
        lag: Some(nanos),
        ipdv: None,
        way_up: None,
        way_down: None,
        ipdv_up: None,
        ipdv_down: None,
        inside: None,
    };
    let chosen = vec![point("p75", 75 * MILLISECOND), point("p99.999", 99 * MILLISECOND)];
    let screen = text(&config, &Summary { chosen, ..summary }, &[], Tables::default(), Style::PLAIN);
    let lines = "                       p75  p99.999      max     mean   stddev
 rtt (from plan)    75.0ms   99.0ms    100ms   50.4ms   28.8ms
 rtt (from send)         -
";
    assert!(screen.contains(lines), "{screen}");
}

#[test]
fn a_raw_echo_claims_no_direction_and_an_abort_shows_what_is_pending() {
    let (config, mut summary) = run();
    summary.aborted = true;
    summary.total.pending = 5;
    let screen =
        text(&Config { expect: Expect::Echo, ..config }, &summary, &[], Tables::default(), Style::PLAIN);
    assert!(screen.contains(" + lost 45 + pending 5\n"), "{screen}");
    assert!(screen.contains(" extra   dup 11,"), "{screen}");
    assert!(screen.contains("seed 42  interrupted\n"), "{screen}");
}

#[test]
fn every_warning_says_what_to_do() {
    let (config, mut summary) = run();
    summary.skipped = [1, 1, 1, 0];
    summary.behind_since = Some(20 * MILLISECOND);
    summary.local.refusal = Some("cannot send to 127.0.0.1:7000: no".into());
    summary.icmp.count(Complaint::V4 { kind: 3, code: 3 });
    summary.strangers.heard("192.0.2.7:9".parse().unwrap());
    let all = warnings(&config, &summary).join("\n");
    for part in [
        "dropped 6 datagrams",
        "raise net.core.rmem_max",
        "the rate was missed: asked 1000/s, achieved 997/s, behind since 20.0ms of the load",
        "the send buffer was full 8 times",
        "--max-in-flight",
        "cannot send to",
        "by ICMP: port_unreachable 1;",
        "wrong_source 1: from 192.0.2.7:9; ",
    ] {
        assert!(all.contains(part), "{part} in {all}");
    }
    let calm = Summary { late_sends: 9, total: summary.total, ..Summary::default() };
    assert!(warnings(&config, &calm).is_empty());
}

#[test]
fn no_advice_names_what_is_in_use() {
    let (config, run) = run();
    let late = Summary { late_sends: 10, total: run.total, ..Summary::default() };
    for (pacing, advice) in [
        (Pacing::Sleep, ", or try --pacing hybrid"),
        (Pacing::Hybrid, ", or try --pacing busy"),
        (Pacing::Busy, "is busy"),
    ] {
        let config = Config { pacing, ..config.clone() };
        assert!(warnings(&config, &late)[0].ends_with(advice), "{pacing:?}");
    }
    let mut full = run;
    full.local = Local { socket_drops: Some(1), receive_buffer: RECEIVE_BUFFER, ..Local::default() };
    full.skipped = [0, 3, 0, 0];
    full.behind_since = Some(0);
    let all = warnings(&config, &full).join("\n");
    assert!(!all.contains("rmem_max") && all.contains("--flows"), "{all}");
    assert!(all.contains("this machine is too slow or too busy: lower --rate"), "{all}");
}

#[test]
fn what_icmp_said_has_a_line_and_a_column() {
    let (config, mut summary) = run();
    summary.icmp.count(Complaint::V6 { kind: 1, code: 4 });
    summary.icmp.disbelieve();
    summary.ports[1].icmp = 1;
    let screen = text(&config, &summary, &[], PORTS, Style::PLAIN);
    assert!(screen.contains("\n icmp    port_unreachable 1, not believed 1\n"), "{screen}");
    assert!(screen.ends_with("  99.0ms       1\n"), "{screen}");
}

#[test]
fn plain_text_claims_neither_order_nor_copies() {
    let (config, mut summary) = run();
    summary.classes.count(Class::Unasked);
    let screen =
        text(&Config { expect: Expect::Any, ..config }, &summary, &[], Tables::default(), Style::PLAIN);
    assert!(screen.contains("\n extra   unasked 1\n other   wrong_source 1\n"), "{screen}");
}

#[test]
fn silence_is_said_with_what_came_instead() {
    let mut classes = ClassCounts::default();
    classes.count(Class::WarmUp);
    let total = Tally { sent: 7, lost_unknown: 7, ..Tally::default() };
    let mut summary = Summary { planned: 8, total, classes, ..Summary::default() };
    assert_eq!(unanswered(&summary), "no answer: sent 7, received nothing");
    summary.classes.count(Class::WrongSource);
    summary.icmp.count(Complaint::V4 { kind: 3, code: 13 });
    let told = "no answer: sent 7, received 1 that answer none of them; ICMP: prohibited 1";
    assert_eq!(unanswered(&summary), told);
    let local = Local { refusal: Some("send to 127.0.0.1:7000: no".into()), ..Local::default() };
    let unsent = Summary { planned: 8, local, ..Summary::default() };
    assert_eq!(unanswered(&unsent), "nothing was sent of the 8 planned: cannot send to 127.0.0.1:7000: no");
}

#[test]
fn flows_trains_and_stamps_are_shown_where_there_are_any() {
    let (config, mut summary) = run();
    let tables = Tables { ports: false, flows: true };
    summary.flows = vec![Flow {
        sockets: vec!["0.0.0.0:4000".parse().unwrap(), "[::]:4001".parse().unwrap()],
        thread: 1,
        tally: summary.total,
    }];
    let stamps = StampCounts { used: 90, missing: 0, implausible: 1 };
    summary.local =
        Local { trains: 7, in_trains: 70, trains_refused: 1, stamps: Some(stamps), ..summary.local };
    let screen = text(&config, &summary, &[], tables, Style::PLAIN);
    let expected = "
         trains 7 with 70 datagrams, trains refused 1, stamps of the kernel 90, implausible 1
 flow                        thread      sent        ok    late   error    lost     loss      dup reordered
 0.0.0.0:4000 [::]:4001           1       997       900      50       2      45    4.51%       14        41
";
    assert!(screen.ends_with(expected), "{screen}");
    let told = |config: &Config| warnings(config, &summary).join("\n");
    assert!(
        told(&config).contains("the wall clock was set during the run: 1 stamp of the kernel"),
        "{}",
        told(&config)
    );
    assert!(!told(&config).contains("1 train:"), "nobody asked for them");
    assert!(told(&Config { gso: Gso::On, ..config }).contains("refused 1 train: "));
}
