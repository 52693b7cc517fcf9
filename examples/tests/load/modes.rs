//! Ways to send: as what was planned, and as a server sees it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use crate::server::{Server, disorderly};
use crate::tester::{expect, measure, run};

fn good() -> Server {
    Server::start(|request| request.send(&request.response()))
}

/// Runs what has a length of its own; it must end with 0.
#[track_caller]
fn load(targets: impl std::fmt::Display, more: &str) -> serde_json::Value {
    let line = format!("{targets} --warmup 0s --no-handshake --json -q --timeout 2s {more}");
    let ran = run(&line);
    assert_eq!(ran.code, 0, "{line}: {}", ran.stderr);
    ran.json()
}

#[test]
fn steps_and_ramps_plan_what_they_say() {
    let server = good();
    let result = load(server.address, "--flow 500:100ms,0..2000:100ms");
    expect(&result["counts"], &[("planned", 150), ("sent", 150), ("ok", 150)]);
    let flow = &result["config"]["flow"];
    assert_eq!((&flow[0]["from_per_second"], &flow[1]["to_per_second"]), (&500.0.into(), &2000.0.into()));
    assert_eq!(result["config"]["duration_ns"], 200_000_000);
    let result = load(server.address, "--ramp 0..2k/200ms");
    expect(&result["counts"], &[("planned", 200), ("ok", 200)]);
    let shown = run(&format!(
        "{} --warmup 0s --no-handshake -q --ramp 0..2k/200ms --arrival burst:8",
        server.address
    ));
    assert!(shown.stdout.contains("rate 0..2000/s for 200ms (bursts of 8)"), "{}", shown.stdout);
}

#[test]
fn random_arrivals_repeat_by_seed() {
    let server = good();
    let planned = |seed: u64| {
        let result = load(server.address, &format!("--rate 2k/s -d 200ms --arrival poisson --seed {seed}"));
        assert_eq!(result["config"]["arrival"], "poisson");
        let counts = &result["counts"];
        assert_eq!((&counts["planned"], &counts["lost"]), (&counts["ok"], &0.into()));
        counts["planned"].as_u64().unwrap()
    };
    let counts: Vec<u64> = (1..=4).map(planned).collect();
    assert_eq!(planned(1), counts[0]);
    assert!(counts.iter().any(|count| *count != counts[0]), "{counts:?}");
    // Six standard deviations.
    assert!(counts.iter().all(|count| count.abs_diff(400) < 120), "{counts:?}");
}

#[test]
fn a_closed_loop_never_has_more_than_that_in_flight() {
    let server = Server::start(|request| {
        let reply = request.response();
        request.send_later(Duration::from_millis(50), &reply);
    });
    let result = load(server.address, "--in-flight 4 -d 500ms");
    let sent = result["counts"]["sent"].as_u64().unwrap();
    // Four in each 50 ms at most, and on a busy machine fewer.
    assert!((4..=44).contains(&sent), "{sent}");
    expect(&result["counts"], &[("planned", sent), ("ok", sent), ("lost", 0), ("not_sent", 0)]);
    let latency = &result["latency"];
    assert!(latency["rtt_from_plan"].is_null(), "nothing was planned");
    assert!(latency["rtt_from_send"]["min"].as_u64() >= Some(50_000_000));
    let shown =
        run(&format!("{} --in-flight 4 -d 200ms --warmup 0s -q --threshold p99>50ms", server.address));
    assert_eq!(shown.code, 0, "{}", shown.stdout);
    assert!(shown.stdout.contains("4 in flight (closed loop"), "{}", shown.stdout);
}

#[test]
fn who_is_not_answered_in_a_closed_loop_goes_on_after_the_timeout() {
    let server = Server::start(|request| {
        if request.number % 2 == 0 {
            request.send(&request.response());
        }
    });
    let ran = run(&format!(
        "{} --in-flight 1 -d 1s --timeout 100ms --warmup 0s --no-handshake --json -q",
        server.address
    ));
    let counts = &ran.json()["counts"];
    let (ok, lost) = (counts["ok"].as_u64().unwrap(), counts["lost"].as_u64().unwrap());
    assert!((1..=11).contains(&lost) && ok.abs_diff(lost) <= 1, "{counts}");
}

#[test]
fn sizes_are_mixed_as_asked() {
    let sizes = Arc::new(Mutex::new(BTreeMap::<usize, u64>::new()));
    let seen = Arc::clone(&sizes);
    let server = Server::start(move |request| {
        *seen.lock().unwrap().entry(request.datagram.len()).or_default() += 1;
        request.send(request.datagram);
    });
    let result = measure(server.address, "--expect echo --sizes 100:3,500:1 --seed 7");
    expect(&result["counts"], &[("ok", 200)]);
    assert_eq!((&result["config"]["sizes"], &result["config"]["size"]), (&"100:3,500:1".into(), &500.into()));
    let sizes = std::mem::take(&mut *sizes.lock().unwrap());
    assert_eq!((sizes.len(), sizes[&100] + sizes[&500]), (2, 200), "{sizes:?}");
    // Six standard deviations of a share of a quarter.
    assert!(sizes[&500].abs_diff(50) < 37, "{sizes:?}");
    let small = run(&format!("{} --sizes 20:1", server.address));
    assert_eq!(small.code, 64, "{}", small.stderr);
}

#[test]
fn percentiles_and_losses_in_a_row_are_shown() {
    // Of each ten, 3, 4 and 5 are lost, and 8.
    let server = Server::start(|request| {
        if ![3, 4, 5, 8].contains(&(request.number % 10)) {
            request.send(&request.response());
        }
    });
    let result = measure(server.address, "--percentiles 75,99.5 --seed 3");
    expect(&result["counts"], &[("ok", 120), ("lost", 80)]);
    assert_eq!(result["loss_runs"], serde_json::json!({"1": 20, "3": 20}));
    let latency = &result["latency"];
    let names: Vec<&str> = latency["chosen"]
        .as_array()
        .unwrap()
        .iter()
        .map(|point| point["percentile"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["p75", "p99.5"]);
    assert!(latency["chosen"][1]["rtt_from_plan"].as_u64() >= latency["rtt_from_plan"]["p99"].as_u64());
    // Neighbours: 0-1, 1-2, 6-7, and 9-0 of the next ten.
    assert_eq!(latency["ipdv"]["count"], 4 * 20 - 1);
    let shown =
        run(&format!("{} --rate 1k/s -d 50ms --warmup 0s --no-handshake -q --drain 2s", server.address));
    assert!(shown.stdout.contains(" losses  in a row: 5 of 1, 5 of 3 (longest 3)\n"), "{}", shown.stdout);
}

#[test]
fn each_way_has_its_delay_where_the_target_stamps() {
    // Its clock is far ahead.
    let server = Server::start(|request| request.send(&request.stamped(1 << 60)));
    let result = measure(server.address, "--one-way");
    let delays = &result["latency"]["one_way"];
    assert_eq!((&delays["stamped"], &delays["kept"]), (&200.into(), &200.into()));
    let (up, down) = (&delays["up"], &delays["down"]);
    assert_eq!((&up["count"], &down["count"]), (&200.into(), &200.into()));
    let offset: i64 = delays["clock_offset_ns"].as_str().unwrap().parse().unwrap();
    // Its clock counts from its start, ours from ours: seconds apart, as this machine started them.
    assert!((offset - (1 << 60)).abs() < 60_000_000_000, "{offset}");
    assert!(delays["error_ns"].as_u64() <= result["latency"]["rtt_from_send"]["min"].as_u64());
    let mute = Server::start(|request| request.send(&request.response()));
    let shown = run(&format!("{} --rate 1k/s -d 50ms --warmup 0s -q --one-way", mute.address));
    assert!(shown.stdout.contains("the targets do not stamp"), "{}", shown.stdout);
}

#[test]
fn a_template_is_another_text_each_time() {
    let texts = Arc::new(Mutex::new(Vec::<String>::new()));
    let seen = Arc::clone(&texts);
    let server = Server::start(move |request| {
        seen.lock().unwrap().push(String::from_utf8(request.datagram.to_vec()).unwrap());
        request.send(b"ok");
    });
    let ran = command_line(server.address, "GET {seq} {random:4} {time}");
    expect(&ran["counts"], &[("ok", 200)]);
    let mut texts = std::mem::take(&mut *texts.lock().unwrap());
    assert_eq!(texts.len(), 200);
    let fields: Vec<&str> = texts[7].split(' ').collect();
    assert_eq!((fields[0], fields[1], fields[2].len(), fields.len()), ("GET", "7", 4, 4));
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 200);
}

/// A template has blanks, so the line is not split at them.
fn command_line(target: impl std::fmt::Display, template: &str) -> serde_json::Value {
    let mut command = crate::tester::command();
    command.arg(target.to_string()).args(["--expect", "any", "--template", template]);
    command.args("--rate 1000/s -d 200ms --warmup 0s --no-handshake --json -q --timeout 2s".split(' '));
    let ran = crate::tester::Ran::from(command.output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.json()
}

#[test]
fn threads_plan_what_one_plans() {
    let server = good();
    for more in [
        "--rate 2k/s -d 200ms --arrival poisson --seed 5",
        "--rate 2k/s -d 200ms --arrival burst:16",
        "--flow 500:100ms,0..2000:100ms",
        "--ramp 0..2k/200ms --arrival poisson --seed 6",
    ] {
        let one = load(server.address, &format!("{more} --flows 4"));
        let three = load(server.address, &format!("{more} --flows 4 --threads 3"));
        let planned = one["counts"]["planned"].as_u64().unwrap();
        expect(&three["counts"], &[("planned", planned), ("ok", planned), ("not_sent", 0)]);
        let sent = |result: &serde_json::Value| -> Vec<u64> {
            result["flows"].as_array().unwrap().iter().map(|flow| flow["sent"].as_u64().unwrap()).collect()
        };
        assert_eq!(sent(&one), sent(&three), "{more}: the same ones have the same flows");
    }
}

#[test]
fn a_closed_loop_is_divided_among_threads() {
    let server = Server::start(|request| {
        let reply = request.response();
        request.send_later(Duration::from_millis(50), &reply);
    });
    let result = load(server.address, "--in-flight 5 --threads 2 --flows 3 -d 500ms");
    let sent = result["counts"]["sent"].as_u64().unwrap();
    assert!((5..=55).contains(&sent), "{sent}");
    expect(&result["counts"], &[("planned", sent), ("ok", sent), ("lost", 0), ("not_sent", 0)]);
    let flows = result["flows"].as_array().unwrap();
    assert!(flows.iter().all(|flow| flow["sent"].as_u64() > Some(0)), "{flows:?}");
    for (more, told) in [
        ("--in-flight 1 --threads 2", "--in-flight 1 cannot be divided among 2 threads"),
        ("--in-flight 9 --max-in-flight 8", "--in-flight 9 is above --max-in-flight 8"),
        ("--in-flight 9 --pcap file.pcap", "--in-flight"),
        ("--find-max loss<1% --pcap file.pcap", "--find-max"),
        ("--expect any --payload-file file --sizes 50:1", "--payload-file is as long as it is"),
    ] {
        let ran = run(&format!("{} {more}", server.address));
        assert!(ran.code == 64 && ran.stderr.contains(told), "{more}: {}", ran.stderr);
    }
}

/// Trains have parts of one length, so a mix makes short ones; none of it may change what arrives.
#[test]
fn sizes_and_texts_are_the_same_with_trains_and_threads() {
    for more in ["--gso off", "--gso auto", "--gso auto --threads 2 --flows 2"] {
        let sizes = Arc::new(Mutex::new(BTreeMap::<usize, u64>::new()));
        let seen = Arc::clone(&sizes);
        let server = Server::start(move |request| {
            *seen.lock().unwrap().entry(request.datagram.len()).or_default() += 1;
            request.send(request.datagram);
        });
        let line = format!(
            "--expect any --sizes 100:3,500:1 --seed 7 --rate 2k/s -d 200ms --arrival burst:40 {more}"
        );
        let result = load(server.address, &line);
        expect(&result["counts"], &[("planned", 400), ("sent", 400), ("ok", 400)]);
        assert!(result["latency"]["ipdv"].is_null(), "datagrams of several sizes are no neighbours");
        let sizes = std::mem::take(&mut *sizes.lock().unwrap());
        assert_eq!((sizes.len(), sizes[&100] + sizes[&500]), (2, 400), "{sizes:?}");
        // Six standard deviations.
        assert!(sizes[&500].abs_diff(100) < 52, "{sizes:?}");
    }
}

#[test]
fn what_streams_found_is_added_over_threads() {
    for more in ["", "--threads 2"] {
        let server = disorderly();
        let result = load(server.address, &format!("--flows 4 --rate 1600/s -d 100ms --one-way {more}"));
        expect(&result["counts"], &[("sent", 160), ("ok", 152), ("lost", 8), ("reordered", 4)]);
        assert_eq!(result["loss_runs"], json!({ "2": 4 }), "{more}");
        assert_eq!(result["reorder_density"], json!({ "-1": 4, "0": 144, "1": 4 }), "{more}");
        // Neighbours in a row are 0 to 9, 12 to 19, 21 with 20, and 22 to 39.
        assert_eq!(result["latency"]["ipdv"]["count"], 4 * (9 + 7 + 1 + 17), "{more}");
        let ways = &result["latency"]["one_way"];
        assert_eq!((&ways["stamped"], &ways["up"]["count"]), (&152.into(), &152.into()), "{more}");
    }
}
