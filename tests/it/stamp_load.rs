//! `polyport-load --stamp` against the shipped reflector, and against one that was written from RFC 8762 alone, in another language, and
//! misbehaves by the numbers of packets: each class, each direction of loss and each time is what it did.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use polyport_tests::process::{Finished, Process};
use polyport_tests::tool::tool;
use serde_json::Value;

use super::arrivals::wait_for_stamps;
use crate::polyport;

const KEY: &str = "000102030405060708090a0b0c0d0e0f1011121314151617";
const MILLISECOND: u64 = 1_000_000;

/// Runs a load of 200 packets with nothing before it, unless `more` says otherwise.
fn run(to: SocketAddr, more: &str) -> Finished {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polyport-load-under-test"));
    command.arg(to.to_string()).args(["--warmup", "0s", "--json", "-q"]);
    for (name, value) in [("--rate", "1000/s"), ("-d", "200ms"), ("--timeout", "5s")] {
        if !more.split_ascii_whitespace().any(|word| word == name) {
            command.args([name, value]);
        }
    }
    command.args(more.split_ascii_whitespace());
    Process::spawn(&mut command).finish()
}

/// That, to its good end, as JSON.
#[track_caller]
fn load(to: SocketAddr, more: &str) -> Value {
    let finished = run(to, more);
    serde_json::from_str(&finished.expect_code(0).stdout).expect("one JSON object")
}

/// The independent reflector.
struct Reflector {
    process: Process,
    address: SocketAddr,
}

impl Reflector {
    #[track_caller]
    fn start(python: &Path, host: &str, arguments: &str) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/it/stamp_reflector.py");
        let mut command = Command::new(python);
        command.arg(script).arg(host).args(arguments.split_ascii_whitespace());
        let mut process = Process::spawn(&mut command);
        assert!(process.wait_for_stdout("port "), "it ended: {}", process.stderr());
        let port: u16 = process.stdout().trim().strip_prefix("port ").unwrap().parse().unwrap();
        Self { process, address: SocketAddr::new(host.parse().unwrap(), port) }
    }

    /// Loads it, and looks that it lives.
    #[track_caller]
    fn load(&mut self, more: &str) -> Value {
        let told = load(self.address, &format!("--stamp --no-handshake {more}"));
        assert!(!self.process.has_ended(), "{}", self.process.stderr());
        told
    }
}

#[track_caller]
fn expect(table: &Value, wanted: &[(&str, u64)]) {
    for (name, count) in wanted {
        assert_eq!(table[name], *count, "{name} of {table:#}");
    }
}

/// Of a machine that does other things meanwhile nothing is known but the order of times.
#[track_caller]
fn expect_times(told: &Value) {
    let latency = &told["latency"];
    let least =
        |name: &str| latency[name]["min"].as_u64().unwrap_or_else(|| panic!("no {name}: {latency:#}"));
    assert!(least("rtt_from_send") <= least("rtt_from_plan"));
    let ways = &latency["one_way"];
    assert_eq!(ways["stamped"], told["counts"]["ok"], "{ways:#}");
    assert!(ways["up"]["max"].as_u64() > Some(0) && ways["down"]["max"].as_u64() > Some(0), "{ways:#}");
    // The neighbours that came one after the other: nearly all of them.
    let neighbours = latency["ipdv"]["count"].as_u64().unwrap();
    assert!(neighbours > 0);
    let ipdv = &latency["ipdv_ways"];
    assert_eq!((&ipdv["up"]["count"], &ipdv["down"]["count"]), (&neighbours.into(), &neighbours.into()));
}

#[test]
fn the_shipped_reflector_tells_ways_ttl_and_class_over_both_families() {
    let daemon = polyport()
        .listen("127.0.0.1:0=stamp,name=v4,error=1ms,synchronized=true,reflect_tos=true,mode=stateful")
        .listen("[::1]:0=stamp,name=v6,timestamps=ptp,ssid=true")
        .serve();
    wait_for_stamps();
    let told = load(daemon.addresses()[0], "--stamp=stateful --ttl 61 --dscp ef");
    expect(&told["counts"], &[("planned", 200), ("sent", 200), ("ok", 200), ("lost", 0), ("received", 201)]);
    expect(&told["classes"], &[("ok", 200), ("warm_up", 1)]);
    expect_times(&told);
    let stamp = &told["stamp"];
    expect(
        stamp,
        &[("answers", 200), ("unusable_stamps", 0), ("own_numbers", 0), ("synchronized", 200), ("ptp", 0)],
    );
    assert_eq!(
        (&stamp["ttl_at_reflector"]["61"], &stamp["dscp_of_answers"]["46"]),
        (&200.into(), &200.into())
    );
    let error = stamp["error_estimate_ns"].as_u64().unwrap();
    assert!((MILLISECOND..MILLISECOND + MILLISECOND / 50).contains(&error), "{error}");
    assert_eq!(stamp["inside"]["count"], 200);
    // Both clocks are one.
    let ways = &told["latency"]["one_way"];
    let offset: i64 = ways["clock_offset_ns"].as_str().unwrap().parse().unwrap();
    assert!(offset.unsigned_abs() <= ways["error_ns"].as_u64().unwrap() + MILLISECOND, "{ways:#}");
    let told = load(daemon.addresses()[1], "--stamp --ssid 4711 --ttl 17 --size 1000 --threads 2 --flows 3");
    expect(&told["counts"], &[("sent", 200), ("ok", 200), ("lost", 0)]);
    expect(&told["stamp"], &[("ptp", 200), ("synchronized", 0), ("unusable_stamps", 0), ("other_length", 0)]);
    assert_eq!(told["stamp"]["ttl_at_reflector"]["17"], 200);
    expect(&told["config"], &[("size", 1000)]);
    expect(&told["config"]["stamp"], &[("ssid", 4711)]);
    expect_times(&told);
    let served = daemon.stop();
    assert_eq!(
        (served.counted("v4", "reflected_total"), served.counted("v6", "reflected_total")),
        (201, 201)
    );
}

#[test]
fn with_a_key_packets_are_sealed_both_ways() {
    let options = format!("options = {{ auth = \"hmac\", key = \"{KEY}\", mode = \"stateful\" }}\n");
    let table = format!("[[listen]]\nbind = [\"127.0.0.1:0\"]\nplugin = \"stamp\"\n{options}");
    let daemon = polyport().config(&table).serve();
    let to = daemon.addresses()[0];
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{KEY}").unwrap();
    let told = load(to, &format!("--stamp --key-file {}", file.path().display()));
    expect(&told["counts"], &[("sent", 200), ("ok", 200), ("lost", 0)]);
    expect(&told["config"], &[("size", 112)]);
    assert_eq!(told["config"]["stamp"]["authenticated"], true);
    let mut other = tempfile::NamedTempFile::new().unwrap();
    writeln!(other, "{}", KEY.replace('0', "f")).unwrap();
    let silent = run(to, &format!("--stamp --timeout 200ms --key-file {}", other.path().display()));
    silent.expect_code(69).expect_stderr(&["1 of 1 targets do not answer"]);
    let served = daemon.stop();
    assert_eq!(
        (served.counted("stamp", "reflected_total"), served.counted("stamp", "unauthentic_total")),
        (201, 5)
    );
    // An independent one agrees, and what is sealed with another key is no answer.
    let Some(python) = tool("python3") else { return };
    let mut reflector = Reflector::start(&python, "127.0.0.1", &format!("stateful --key {KEY}"));
    let told = reflector.load(&format!("--key-file {}", file.path().display()));
    expect(&told["counts"], &[("sent", 200), ("ok", 200)]);
    let mut liar =
        Reflector::start(&python, "127.0.0.1", &format!("stateful --key {}", KEY.replace('0', "e")));
    let finished = run(
        liar.address,
        &format!("--stamp --no-handshake --timeout 1s --key-file {}", file.path().display()),
    );
    let told: Value = serde_json::from_str(finished.stdout.lines().next().unwrap()).unwrap();
    expect(&told["classes"], &[("ok", 0), ("bad_auth", 200)]);
    assert!(finished.code() == Some(69) && !liar.process.has_ended());
    let mut short = tempfile::NamedTempFile::new().unwrap();
    writeln!(short, "beef").unwrap();
    run(to, &format!("--stamp --key-file {}", short.path().display()))
        .expect_code(65)
        .expect_stderr(&["16 octets"]);
}

#[test]
fn a_stateful_reflector_tells_on_which_way_packets_were_lost_and_doubled() {
    let Some(python) = tool("python3") else { return };
    let what = "--lose-up 20,21,90 --lose-down 40,91,92,93 --twice-up 60 --twice-down 70,71 --swap 80";
    for host in ["127.0.0.1", "::1"] {
        for (arguments, own) in [("", 110..=180), ("--known 5000", 193..=193)] {
            let mut reflector = Reflector::start(&python, host, &format!("stateful {what} {arguments}"));
            let told = reflector.load("--timeout 2s");
            let wanted = [
                ("sent", 200),
                ("ok", 193),
                ("lost", 7),
                ("lost_up", 3),
                ("lost_down", 4),
                ("lost_unknown", 0),
            ];
            expect(&told["counts"], &wanted);
            expect(&told["counts"], &[("dup_up", 1), ("dup_down", 2), ("reordered", 1)]);
            assert!(own.contains(&told["stamp"]["own_numbers"].as_u64().unwrap()), "{:#}", told["stamp"]);
            assert_eq!(told["stamp"]["ttl_at_reflector"]["77"], 193);
            expect(&told["loss_runs"], &[("1", 1), ("2", 1), ("4", 1)]);
        }
    }
}

#[test]
fn a_stateless_reflector_tells_no_direction_and_it_is_said() {
    let Some(python) = tool("python3") else { return };
    let mut reflector =
        Reflector::start(&python, "127.0.0.1", "stateless --lose-up 20 --lose-down 40 --twice-up 60");
    let told = reflector.load("--timeout 2s");
    let wanted =
        [("ok", 198), ("lost", 2), ("lost_up", 0), ("lost_down", 0), ("lost_unknown", 2), ("dup_down", 1)];
    expect(&told["counts"], &wanted);
    let mut command = Command::new(env!("CARGO_BIN_EXE_polyport-load-under-test"));
    command.arg(reflector.address.to_string());
    command.args("--stamp --rate 1000/s -d 100ms --warmup 0s -q --no-handshake --timeout 1s".split(' '));
    let shown = Process::spawn(&mut command).finish();
    let text = &shown.expect_code(0).stdout;
    assert!(
        text.contains(
            " stamp   stateless, or nothing was lost on the way up: losses have no direction; TTL there 77"
        ),
        "{text}"
    );
    assert!(
        text.contains("its clock +- 156ms") && text.contains(" lost 2 (up 0, down 0, unknown 2)"),
        "{text}"
    );
    assert!(text.contains(" ipdv up ") && text.contains(" in reflector "), "{text}");
}

/// A clock that is ahead by an hour, and packets that wait in the reflector for 30 ms: neither is in a round trip or a way.
#[test]
fn the_reflectors_clock_and_its_time_are_taken_out() {
    let Some(python) = tool("python3") else { return };
    let hour = 3_600_000_000_000_u64;
    for ptp in ["", " --ptp"] {
        let arguments = format!("stateless --ahead {hour} --inside {}{ptp}", 30 * MILLISECOND);
        let mut reflector = Reflector::start(&python, "127.0.0.1", &arguments);
        let told = reflector.load("--rate 10/s -d 500ms");
        expect(&told["counts"], &[("sent", 5), ("ok", 5)]);
        let (latency, inside) = (&told["latency"], &told["stamp"]["inside"]);
        assert!(inside["min"].as_u64() >= Some(30 * MILLISECOND), "{inside:#}");
        let shortest = latency["rtt_from_send"]["min"].as_u64().unwrap();
        assert!(shortest < 30 * MILLISECOND, "{latency:#}: it waited there, and not on its way");
        let ways = &latency["one_way"];
        let offset: u64 = ways["clock_offset_ns"].as_str().unwrap().parse().unwrap();
        assert!(offset.abs_diff(hour) <= ways["error_ns"].as_u64().unwrap() + MILLISECOND, "{ways:#}");
        assert_eq!(told["stamp"]["ptp"], if ptp.is_empty() { 0 } else { 5 });
    }
}

#[test]
fn answers_of_other_lengths_and_impossible_stamps_are_answers_all_the_same() {
    let Some(python) = tool("python3") else { return };
    for (kind, unusable, other) in [
        ("twamp-light", 0, 200),
        ("half", 0, 200),
        ("long", 0, 200),
        ("unset", 200, 0),
        ("backwards", 200, 0),
        ("ptp-overflow", 200, 0),
        ("corrupt", 200, 0),
    ] {
        let told = Reflector::start(&python, "127.0.0.1", kind).load("");
        expect(&told["counts"], &[("sent", 200), ("ok", 200), ("malformed", 0)]);
        expect(&told["stamp"], &[("unusable_stamps", unusable), ("other_length", other)]);
        assert_eq!(
            told["latency"]["one_way"].is_null(),
            unusable > 0,
            "{kind}: {:#}",
            told["latency"]["one_way"]
        );
        assert_eq!(told["latency"]["ipdv_ways"].is_null(), unusable > 0, "{kind}");
        assert_eq!(told["stamp"]["error_estimate_ns"].is_null(), kind == "corrupt");
    }
}

#[test]
fn what_is_no_answer_is_in_a_class_of_its_own() {
    let Some(python) = tool("python3") else { return };
    let told = Reflector::start(&python, "127.0.0.1", "stateful --hostile").load("--ssid 9");
    expect(&told["counts"], &[("sent", 200), ("ok", 200), ("malformed", 400), ("received", 1400)]);
    let wanted = [("short", 400), ("unknown_id", 200), ("wrong_timestamp", 200), ("stale_stream", 200)];
    expect(&told["classes"], &wanted);
    expect(&told["classes"], &[("wrong_source", 200), ("ok", 200)]);
}

#[test]
fn an_echo_is_no_reflector() {
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    run(daemon.addresses()[0], "--stamp").expect_code(76).expect_stderr(&["it is an echo and no reflector"]);
    drop(daemon.stop());
    for (more, told) in [
        ("--stamp --expect echo", "--expect"),
        ("--ssid 5", "--stamp"),
        ("--stamp --payload 5", "--payload"),
        ("--stamp --size 43", "--size 43 is too small"),
        ("--stamp --one-way", "--one-way"),
    ] {
        run("127.0.0.1:9".parse().unwrap(), more).expect_code(64).expect_stderr(&[told]);
    }
}

/// Results are added: what reflectors told by its counts, times by their buckets.
#[test]
fn results_are_merged_and_drawn() {
    let daemon = polyport().listen("127.0.0.1:0=stamp").serve();
    let dir = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_polyport-load-under-test");
    let mut files = Vec::new();
    for name in ["one", "two"] {
        let told = load(daemon.addresses()[0], "--stamp");
        let file = dir.path().join(name);
        std::fs::write(&file, told.to_string()).unwrap();
        files.push(file);
    }
    let report = |action: &str| {
        let mut command = Command::new(program);
        command.args(["report", action]).args(&files).arg("--mixed");
        let finished = Process::spawn(&mut command).finish();
        finished.expect_code(0);
        finished.stdout
    };
    let sum: Value = serde_json::from_str(&report("merge")).unwrap();
    expect(&sum["stamp"], &[("answers", 400), ("unusable_stamps", 0)]);
    expect(&sum["stamp"]["inside"], &[("count", 400)]);
    expect(&sum["latency"]["one_way"], &[("stamped", 400), ("kept", 400)]);
    let counted = |file: &Path| -> u64 {
        let told: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        told["latency"]["ipdv_ways"]["up"]["count"].as_u64().unwrap()
    };
    expect(&sum["latency"]["ipdv_ways"]["up"], &[("count", files.iter().map(|file| counted(file)).sum())]);
    assert!(report("show").contains(" stamp   stateless, or nothing was lost on the way up"));
    let page = report("html");
    assert!(page.contains("ipdv down") && page.contains("in reflector"), "{page}");
    drop(daemon.stop());
}
