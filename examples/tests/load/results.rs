//! What a run writes down, and what is made of it afterwards.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::server::{Server, disorderly};
use crate::tester::{Ran, command, expect, measure, run, tool};

fn good() -> Server {
    Server::start(|request| request.send(&request.response()))
}

/// Runs `polyport-load` with words that may have spaces, in a folder.
fn run_in(folder: &Path, words: &[&str]) -> Ran {
    command().args(words).current_dir(folder).output().unwrap().into()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value}"))
}

#[test]
fn loss_belongs_to_the_interval_in_which_it_was_planned() {
    let server = Server::start(|request| {
        if !(100..150).contains(&request.number) {
            request.send(&request.response());
        }
    });
    let result = measure(server.address, "--interval 50ms");
    let intervals = result["intervals"].as_array().unwrap();
    let of = |name: &str| intervals.iter().map(|interval| number(&interval[name])).collect::<Vec<_>>();
    assert_eq!(of("start_ns"), [0, 50_000_000, 100_000_000, 150_000_000]);
    assert_eq!((of("planned"), of("sent")), (vec![50; 4], vec![50; 4]));
    assert_eq!((of("lost"), of("ok")), (vec![0, 0, 50, 0], vec![50, 50, 0, 50]));
    assert!(intervals[2]["latency"]["rtt_from_plan"].is_null());
    assert_eq!(intervals[2]["latency"]["lag"]["count"], 50);
    assert_eq!(intervals[3]["latency"]["rtt_from_plan"]["count"], 50);
    assert_eq!(result["config"]["interval_ns"], 50_000_000);
}

#[test]
fn what_threads_did_is_in_the_intervals_of_one_run() {
    let server = Server::start(|request| {
        if !(100..150).contains(&request.number) {
            request.send(&request.response());
        }
    });
    let line = format!(
        "{} --rate 1000/s -d 200ms --warmup 0s --no-handshake --timeout 2s --drain 1s --interval 50ms --threads 2 --flows 3 --json-stream -q",
        server.address
    );
    let ran = run(&line);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let events: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (end, others) = events.split_last().unwrap();
    let result = &end["report"];
    expect(&result["counts"], &[("planned", 200), ("sent", 200), ("ok", 150)]);
    let intervals = result["intervals"].as_array().unwrap();
    let of = |name: &str| intervals.iter().map(|interval| number(&interval[name])).collect::<Vec<_>>();
    assert_eq!(of("start_ns"), [0, 50_000_000, 100_000_000, 150_000_000]);
    assert_eq!((of("planned"), of("sent")), (vec![50; 4], vec![50; 4]));
    // Which datagrams came as the hundredth and after it is a matter of two threads, but not how many.
    assert_eq!((of("lost").iter().sum::<u64>(), of("ok").iter().sum::<u64>()), (50, 150));
    let counted = |interval: &Value| number(&interval["latency"]["lag"]["count"]);
    assert_eq!(intervals.iter().map(counted).collect::<Vec<_>>(), [50; 4]);
    assert_eq!(result["latency"]["rtt_from_plan"]["count"], 150);
    let flows = result["flows"].as_array().unwrap();
    assert_eq!(flows.iter().map(|flow| number(&flow["sent"])).collect::<Vec<_>>(), [67, 67, 66]);
    // Each answer of each thread was of one event at most.
    let heard = |event: &Value| event["interval_rtt_from_plan"]["count"].as_u64().unwrap_or(0);
    let heard: u64 = others.iter().map(heard).sum();
    assert!((1..=150).contains(&heard), "{heard}");
    let last = others.last().unwrap();
    assert_eq!(last["event"], "interval");
    assert!(number(&last["sent"]) > 134, "those of both threads: {last}");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("stream"), &ran.stdout).unwrap();
    let shown = run_in(folder.path(), &["report", "show", "--per-flow", "stream"]);
    assert!(shown.stdout.contains(" planned 200 = sent 200 + not sent 0"), "{}", shown.stderr);
    for flow in flows {
        let socket = flow["sockets"][0].as_str().unwrap();
        assert!(shown.stdout.contains(socket), "{socket}: {}", shown.stdout);
    }
}

#[test]
fn what_is_given_up_has_its_interval_as_well() {
    let server = good();
    let ran = run(&format!(
        "{} --rate 5M/s -d 200ms --interval 50ms --timeout 20ms --warmup 0s --drain 50ms -q --json",
        server.address
    ));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let result = ran.json();
    let intervals = result["intervals"].as_array().unwrap();
    let sum = |name: &str| intervals.iter().map(|interval| number(&interval[name])).sum::<u64>();
    for name in ["planned", "sent", "ok", "late", "error", "lost", "not_sent", "not_sent_behind"] {
        assert_eq!(sum(name), number(&result["counts"][name]), "{name}");
    }
    assert!(intervals.iter().all(|interval| interval["planned"] == 250_000), "{intervals:#?}");
    assert!(sum("not_sent_behind") > 0);
}

#[test]
fn a_run_says_who_when_and_how() {
    let server = good();
    let result = measure(server.address, "--seed 18446744073709551615");
    let run = &result["runs"][0];
    assert_eq!(run["seed"], "18446744073709551615");
    assert!(run["command"].as_array().unwrap().iter().any(|word| word == "--no-handshake"));
    let started = run["started"].as_str().unwrap();
    assert!(started.len() == "2026-11-30T12:00:00.000Z".len() && started.ends_with('Z'), "{started}");
    assert!(run["host"]["processors"].as_u64().unwrap() > 0 && run["shard"].is_null());
}

#[test]
fn a_stream_has_a_start_its_intervals_and_an_end() {
    let server = good();
    let line = format!(
        "{} --rate 1000/s -d 300ms --warmup 0s --no-handshake --timeout 2s --interval 50ms --json-stream -q",
        server.address
    );
    let ran = run(&line);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let events: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!((names[0], names[names.len() - 1]), ("start", "end"));
    assert!(names.len() > 2 && names[1..names.len() - 1].iter().all(|name| *name == "interval"), "{names:?}");
    assert_eq!((&events[0]["format"], &events[0]["config"]["rate"]["count"]), (&3.into(), &1000.into()));
    let sent: Vec<u64> = events[1..names.len() - 1].iter().map(|event| number(&event["sent"])).collect();
    assert!(sent.is_sorted() && *sent.last().unwrap() <= 300, "{sent:?}");
    let report = &events[names.len() - 1]["report"];
    expect(&report["counts"], &[("planned", 300), ("ok", 300)]);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("stream"), &ran.stdout).unwrap();
    let shown = run_in(folder.path(), &["report", "show", "stream"]);
    assert!(shown.stdout.contains(" planned 300 = sent 300 + not sent 0"), "{}", shown.stderr);
    let object = serde_json::to_string(report).unwrap();
    fs::write(folder.path().join("log"), format!("before\n{object}\nwarning: behind {{\n")).unwrap();
    assert_eq!(
        run_in(folder.path(), &["report", "show", "log"]).stdout,
        shown.stdout,
        "both streams in one log"
    );
    let torn: Vec<&str> = ran.stdout.lines().take(2).collect();
    fs::write(folder.path().join("torn"), torn.join("\n")).unwrap();
    let refused = run_in(folder.path(), &["report", "show", "torn"]);
    assert!(refused.code == 65 && refused.stderr.contains("had not ended"), "{}", refused.stderr);
}

/// What a terminal obeys, in the form that JSON has it.
const ESCAPE: &str = "\u{1b}[31m\u{9b}2J";

#[test]
fn a_result_of_a_stranger_is_refused_or_shown_without_harm() {
    let (server, folder) = (good(), tempfile::tempdir().unwrap());
    let good = measure(server.address, "--threshold ok>=1 --percentiles 50");
    let report = |action: &str, result: &Value| {
        fs::write(folder.path().join("hostile"), result.to_string()).unwrap();
        fs::write(folder.path().join("good"), good.to_string()).unwrap();
        let words: &[&str] = match action {
            "merge" => &["report", "merge", "--mixed", "good", "hostile"],
            "compare" => &["report", "compare", "good", "hostile"],
            _ => &["report", action, "hostile"],
        };
        let ran = run_in(folder.path(), words);
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
        assert!(
            !(ran.stdout.clone() + &ran.stderr).contains(['\u{1b}', '\u{9b}']),
            "{words:?}: {}{}",
            ran.stdout,
            ran.stderr
        );
        ran
    };
    let with = |pointer: &str, value: Value| {
        let mut result = good.clone();
        *result.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
        result
    };
    let many = |pointer: &str, count: usize| {
        let mut one = good.pointer(pointer).unwrap()[0].clone();
        one.as_object_mut().unwrap().entry("histogram").and_modify(|text| *text = Value::Null);
        with(pointer, vec![one; count].into())
    };
    let most = json!((1_u64 << 53) - 1);
    let runs: serde_json::Map<_, _> = (0..4).map(|length| (length.to_string(), most.clone())).collect();
    let name = |name: &str| json!({ name: 1 });
    let refused = [
        (with("/counts/planned", json!(u64::MAX)), "2^53"),
        (with("/counts/lost_up", json!(u64::MAX)), "2^53"),
        (with("/counts/dup_up", json!(1_u64 << 53)), "2^53"),
        (with("/late_sends", json!(1_u64 << 60)), "2^53"),
        (with("/loss_runs", json!(runs)), "2^53"),
        (with("/loss_runs", json!({"9007199254740992": 1})), "2^53"),
        (with("/config/interval_ns", json!(u64::MAX)), "2^53"),
        (with("/config/size", json!(1_u64 << 40)), "65507"),
        (with("/config/payload", json!(65_508)), "65507"),
        (many("/intervals", 1026), "intervals"),
        (many("/ports", 65_536), "ports"),
        (with("/histograms/lag", json!("HISTE/////8=")), "HdrHistogram"),
        (with("/classes", name(ESCAPE)), "there is no class `"),
        (with("/icmp", name(ESCAPE)), "there is no ICMP message `"),
        (with("/errors", name(ESCAPE)), "is no code"),
        (with("/loss_runs", name(ESCAPE)), "is no number of datagrams"),
        (with("/runs/0/started", json!(ESCAPE)), ""),
        (with("/config/pacing", json!(ESCAPE)), "unknown variant"),
        (with("/config/template", json!(format!("{{{ESCAPE}}}"))), "there is no field"),
        (with("/format", json!(1)), "its format is 1"),
    ];
    for (result, why) in &refused {
        // Of some ten megabytes, once is enough.
        let actions =
            ["show", "html", "merge", "compare"].into_iter().take(if *why == "ports" { 1 } else { 4 });
        for action in actions {
            let ran = report(action, result);
            assert!(ran.code == 65 && ran.stderr.contains(why), "{why}: {} {}", ran.code, ran.stderr);
        }
    }
    let mut shown = with("/thresholds/0/threshold", json!(ESCAPE));
    *shown.pointer_mut("/thresholds/0/measured").unwrap() = json!(ESCAPE);
    *shown.pointer_mut("/latency/chosen/0/percentile").unwrap() = json!(ESCAPE);
    let ran = report("show", &shown);
    assert!(
        ran.code == 0 && ran.stdout.matches("\\u{1b}[31m\\u{9b}2J").count() == 3,
        "{}{}",
        ran.stdout,
        ran.stderr
    );
    assert_eq!(report("merge", &shown).code, 65, "it is no threshold");
}

#[test]
fn a_file_that_cannot_be_written_takes_nothing_else_with_it() {
    let (server, folder) = (good(), tempfile::tempdir().unwrap());
    let target = server.address.to_string();
    let line = format!(
        "{target} --rate 100/s -d 100ms --warmup 0s --no-handshake --timeout 2s -q --json --csv /dev/full --html p.html"
    );
    let ran = run_in(folder.path(), &line.split(' ').collect::<Vec<_>>());
    assert_eq!((ran.code, &ran.json()["counts"]["ok"]), (74, &json!(10)), "{}", ran.stderr);
    assert!(ran.stderr.contains("cannot write /dev/full"), "{}", ran.stderr);
    let refused = run_in(folder.path(), &[&target, "--html", "."]);
    assert_eq!((refused.code, refused.stdout.as_str()), (73, ""), "before the run: {}", refused.stderr);
}

#[test]
fn every_form_is_written() {
    let (server, folder) = (good(), tempfile::tempdir().unwrap());
    let target = server.address.to_string();
    let line = format!(
        "{target} --rate 1000/s -d 200ms --warmup 0s --no-handshake --timeout 2s --interval 50ms -q --json --threshold ok>=1 \
         --html p.html --svg p.svg --csv p.csv --hdr-log p.hlog --junit p.xml --openmetrics p.prom"
    );
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let ran = run_in(folder.path(), &words);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(read("p.html").contains(&target) && read("p.svg").starts_with("<svg"));
    let rows = read("p.csv");
    let sent = rows.lines().next().unwrap().split(',').position(|name| name == "sent").unwrap();
    let sum: u64 =
        rows.lines().skip(1).map(|row| row.split(',').nth(sent).unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(sum, 200);
    assert_eq!(read("p.hlog").lines().filter(|line| !line.starts_with('#')).count(), 12);
    assert!(read("p.xml").contains("tests=\"1\"") && read("p.prom").ends_with("# EOF\n"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 6, "nothing is left beside them");
    fs::write(folder.path().join("p.json"), &ran.stdout).unwrap();
    let again = run_in(folder.path(), &["report", "html", "p.json"]);
    assert_eq!(again.stdout, read("p.html"), "the page of the result is that of the run");
    let refused = run_in(folder.path(), &[&target, "--html", "nowhere/p.html"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (73, ""), "before the run: {}", refused.stderr);
}

/// Reads the suites as a CI system would, by another parser than that of the other tests, and says what it saw.
const JUNIT: &str = r#"
import json, sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
assert root.tag == "testsuites", root.tag
suite, = root.findall("testsuite")
cases = suite.findall("testcase")
assert int(suite.get("tests")) == len(cases) and float(suite.get("time")) > 0
assert int(suite.get("failures")) == sum(case.find("failure") is not None for case in cases)
print(json.dumps([[case.get("name"), case.find("failure") is None] for case in cases]))
"#;

#[test]
fn other_programs_read_the_files_for_them() {
    let (server, folder) = (good(), tempfile::tempdir().unwrap());
    let target = server.address.to_string();
    let words = [
        &target,
        "--rate",
        "500/s",
        "-d",
        "200ms",
        "--warmup",
        "0s",
        "--timeout",
        "2s",
        "-q",
        "--threshold",
        "ok>=1",
        "--threshold",
        "p99<1ns",
        "--junit",
        "p.xml",
        "--openmetrics",
        "p.prom",
    ];
    let ran = run_in(folder.path(), &words);
    assert_eq!(ran.code, 99, "{}", ran.stderr);
    if let Some(python) = tool(&["python3"]) {
        let script =
            Command::new(python).args(["-c", JUNIT, "p.xml"]).current_dir(folder.path()).output().unwrap();
        let said: Ran = script.into();
        assert!(said.code == 0 && said.stderr.is_empty(), "{}", said.stderr);
        let cases: Value = serde_json::from_str(&said.stdout).unwrap();
        assert_eq!(cases, json!([["ok>=1", true], ["p99<1ns", false]]));
    }
    if let Some(promtool) = tool(&["promtool"]) {
        let text = fs::File::open(folder.path().join("p.prom")).unwrap();
        let said: Ran = Command::new(promtool)
            .args(["check", "metrics"])
            .stdin(Stdio::from(text))
            .output()
            .unwrap()
            .into();
        assert!(
            said.code == 0 && said.stdout.is_empty() && said.stderr.is_empty(),
            "{}{}",
            said.stdout,
            said.stderr
        );
    }
}

#[test]
fn generators_share_the_targets_start_together_and_are_merged() {
    let (servers, folder) = ([good(), good(), good()], tempfile::tempdir().unwrap());
    let targets: Vec<String> = servers.iter().map(|server| server.address.to_string()).collect();
    let generator = |shard: &str, more: &[&str]| {
        let line = "--rate 900/s -d 200ms --interval 50ms --warmup 0s --timeout 2s -q --json --threshold ok>=180 --start-at +2s";
        let words = targets.iter().map(String::as_str).chain(line.split(' ')).chain(["--shard", shard]);
        command().args(words).args(more).spawn().unwrap()
    };
    let both = [generator("0/2", &[]), generator("1/2", &[])];
    let parts: Vec<Ran> =
        both.into_iter().map(|child| Ran::from(child.wait_with_output().unwrap())).collect();
    for (name, part) in ["a.json", "b.json"].into_iter().zip(&parts) {
        assert!(part.code == 0 || part.code == 99, "{}", part.stderr);
        fs::write(folder.path().join(name), &part.stdout).unwrap();
    }
    assert_eq!(number(&parts[0].json()["counts"]["planned"]), 120, "two of three targets");
    assert_eq!(parts[1].code, 99, "60 of the 180 that are wanted of all");
    let merged = run_in(folder.path(), &["report", "merge", "a.json", "b.json"]);
    assert_eq!(merged.code, 0, "{}", merged.stderr);
    let sum = merged.json();
    expect(&sum["counts"], &[("planned", 180), ("sent", 180), ("ok", 180)]);
    assert_eq!(sum["config"]["rate"], serde_json::json!({"count": 900, "period_ns": 1_000_000_000}));
    assert_eq!((sum["runs"].as_array().unwrap().len(), sum["ports"].as_array().unwrap().len()), (2, 3));
    assert_eq!(sum["thresholds"][0]["met"], true, "judged anew");
    let max = |result: &Value| number(&result["latency"]["rtt_from_plan"]["max"]);
    assert_eq!(max(&sum), max(&parts[0].json()).max(max(&parts[1].json())));
    assert_eq!(sum["latency"]["rtt_from_plan"]["count"], 180);
    let of_intervals: u64 = sum["intervals"].as_array().unwrap().iter().map(|one| number(&one["ok"])).sum();
    assert_eq!(of_intervals, 180);
    let screen = run_in(folder.path(), &["report", "show", "a.json", "b.json"]);
    assert!(screen.code == 0 && screen.stdout.contains(" planned 180 = sent 180"), "{}", screen.stdout);

    let other = measure(servers[0].address, "--interval 50ms --payload 100");
    fs::write(folder.path().join("c.json"), other.to_string()).unwrap();
    let refused = run_in(folder.path(), &["report", "merge", "a.json", "c.json"]);
    assert_eq!(refused.code, 65);
    assert!(refused.stderr.contains("payload is 100 and 32"), "{}", refused.stderr);
    let mixed = run_in(folder.path(), &["report", "merge", "--mixed", "a.json", "c.json"]);
    expect(&mixed.json()["counts"], &[("planned", 320)]);
}

#[test]
fn a_start_that_has_passed_is_refused() {
    let server = good();
    let ran = run(&format!("{} -q -d 100ms --start-at 2020-01-01T00:00:00Z", server.address));
    assert_eq!(ran.code, 64);
    assert!(ran.stderr.contains("--start-at was "), "{}", ran.stderr);
}

#[test]
fn what_became_slower_is_a_regression() {
    let (fast, folder) = (good(), tempfile::tempdir().unwrap());
    let slow = Server::start(|request| request.send_later(Duration::from_millis(40), &request.response()));
    for (name, server) in [("fast.json", &fast), ("slow.json", &slow)] {
        let line = format!(
            "{} --rate 500/s -d 600ms --interval 100ms --warmup 0s --no-handshake --timeout 5s -q --json",
            server.address
        );
        let ran = run(&line);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        fs::write(folder.path().join(name), ran.stdout).unwrap();
    }
    let compare = |words: &[&str]| run_in(folder.path(), &[&["report", "compare"], words].concat());
    let same = compare(&["--fail-on-regression", "slow.json", "slow.json"]);
    assert_eq!(same.code, 0, "{}{}", same.stdout, same.stderr);
    let worse = compare(&["fast.json", "slow.json", "--fail-on-regression"]);
    assert_eq!(worse.code, 99, "{}{}", worse.stdout, worse.stderr);
    assert!(
        worse.stdout.contains("WORSE") && worse.stdout.contains("with 99% confidence"),
        "{}",
        worse.stdout
    );
    assert_eq!(compare(&["fast.json", "slow.json"]).code, 0, "only if it is asked for");
    let json: Value = serde_json::from_str(&compare(&["fast.json", "slow.json", "--json"]).stdout).unwrap();
    assert_eq!((&json["regression"], &json["seed"]), (&true.into(), &"1".into()));
    let missing = compare(&["fast.json", "nowhere.json"]);
    assert!(missing.code == 65 && missing.stderr.contains("nowhere.json"), "{}", missing.stderr);
}

#[test]
fn figures_of_order_and_of_each_way_are_written_read_and_added() {
    let (server, folder) = (disorderly(), tempfile::tempdir().unwrap());
    let target = server.address.to_string();
    let measured = |name: &str, more: &str| {
        let line = format!("{target} --warmup 0s --no-handshake --timeout 2s -q --json {more}");
        let ran = run_in(folder.path(), &line.split(' ').collect::<Vec<_>>());
        assert_eq!(ran.code, 0, "{line}: {}", ran.stderr);
        fs::write(folder.path().join(name), &ran.stdout).unwrap();
        ran.json()
    };
    let merged = |words: &[&str]| run_in(folder.path(), &[&["report", "merge"], words].concat());
    let same = |one: &Value, other: &Value| {
        for part in ["config", "counts", "latency", "histograms", "reorder_density", "loss_runs", "intervals"]
        {
            assert_eq!(one[part], other[part], "{part}");
        }
    };
    let one = measured("one", "--rate 800/s -d 100ms --flows 2 --one-way --percentiles 50,99.5");
    assert_eq!(
        (&one["loss_runs"], &one["reorder_density"]),
        (&json!({ "2": 2 }), &json!({ "-1": 2, "0": 72, "1": 2 }))
    );
    same(&merged(&["one"]).json(), &one);
    let both = merged(&["one", "one"]).json();
    assert_eq!(both["loss_runs"], json!({ "2": 4 }));
    assert_eq!(both["reorder_density"], json!({ "-1": 4, "0": 144, "1": 4 }));
    let (latency, double) = (&one["latency"], &both["latency"]);
    assert_eq!(number(&double["ipdv"]["count"]), 2 * number(&latency["ipdv"]["count"]));
    assert_eq!(double["chosen"], latency["chosen"], "twice the same has the same percentiles");
    assert_eq!(number(&double["one_way"]["stamped"]), 2 * 76);
    assert_eq!(double["one_way"]["up"]["p50"], latency["one_way"]["up"]["p50"]);
    let shown = run_in(folder.path(), &["report", "show", "one"]);
    for row in [" ipdv ", " way up ", " losses  in a row: 2 of 2 ", " order "] {
        assert!(shown.stdout.contains(row), "{row}: {}", shown.stdout);
    }
    // A load of another shape is read as well, and its sum has twice the rate.
    let ramp = measured(
        "ramp",
        "--ramp 0..800/200ms --arrival poisson --seed 3 --sizes 100:1,200:1 --tos 4 --ttl 9",
    );
    assert!(ramp["latency"]["ipdv"].is_null());
    same(&merged(&["ramp"]).json(), &ramp);
    let both = merged(&["ramp", "ramp"]).json();
    assert_eq!(both["config"]["flow"][0]["to_per_second"], 1600.0);
    let closed = measured("closed", "--in-flight 3 -d 100ms");
    assert!(closed["histograms"]["rtt_from_plan"].is_null());
    same(&merged(&["closed"]).json(), &closed);
    assert_eq!(merged(&["closed", "closed"]).json()["config"]["in_flight"], 6);
    let refused = merged(&["--mixed", "one", "closed"]);
    assert!(
        refused.code == 65 && refused.stderr.contains("only one of them is a closed loop"),
        "{}",
        refused.stderr
    );
    for more in
        ["--shard 0/1 --in-flight 3", "--find-knee --html page.html", "--find-max loss<1% --flow 5:1s"]
    {
        let line = format!("{target} {more}");
        assert_eq!(run_in(folder.path(), &line.split(' ').collect::<Vec<_>>()).code, 64, "{line}");
    }
}
