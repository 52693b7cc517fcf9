//! Trains, flows and threads change how datagrams travel, and nothing of what is said about them.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::tester::{Ran, command, expect, expect_classes, run};
use crate::train_server::TrainServer;

/// A rate that no debug build keeps up with, so that many datagrams are due at once. The timeout is longer than any pause of
/// a busy machine.
const FAST: &str = "--rate 200k/s -d 150ms --warmup 0s --no-handshake --raw-echo --json -q --timeout 3s";

fn fast(targets: impl std::fmt::Display, more: &str) -> Value {
    let ran = run(&format!("{targets} {FAST} {more}"));
    assert_eq!(ran.code, 0, "{more}: {}", ran.stderr);
    let result = ran.json();
    assert_eq!(result["local"]["dropped_in_our_socket"], 0, "the machine is too slow for this test");
    let count = |name: &str| result["counts"][name].as_u64().unwrap();
    assert_eq!(count("planned"), 30_000);
    assert_eq!(count("planned"), count("sent") + count("not_sent"));
    assert_eq!(count("not_sent"), count("not_sent_behind"));
    result
}

#[track_caller]
fn of(result: &Value, name: &str) -> u64 {
    result["counts"][name].as_u64().unwrap()
}

/// The sums of a column over the rows of a table.
#[track_caller]
fn sum(result: &Value, table: &str, column: &str) -> u64 {
    result[table].as_array().unwrap().iter().map(|row| row[column].as_u64().unwrap()).sum()
}

const COLUMNS: [&str; 7] = ["sent", "ok", "late", "lost", "dup_down", "reordered", "lost_unknown"];

/// Every table adds up to the same.
#[track_caller]
fn expect_sums(result: &Value) {
    for column in COLUMNS {
        let whole = of(result, column);
        assert_eq!((sum(result, "flows", column), sum(result, "ports", column)), (whole, whole), "{column}");
    }
    assert_eq!(result["latency"]["rtt_from_plan"]["count"], of(result, "ok") + of(result, "late"));
    assert_eq!(result["latency"]["lag"]["count"], of(result, "sent"));
}

#[test]
fn a_part_of_a_train_that_is_lost_is_lost_and_no_more() {
    for more in [
        "--gso auto",
        "--gso on",
        "--gso off",
        "--flows 3",
        "--flows 4 --threads 2",
        "--threads 2 --pacing busy",
    ] {
        let server = TrainServer::start("127.0.0.1:0", false, |number, datagram, answers| {
            if number % 7 != 3 {
                answers.push(datagram.to_vec());
            }
        });
        let result = fast(server.address, more);
        let record = server.stop();
        let received: u64 = record.received.values().sum();
        assert_eq!(of(&result, "sent"), received, "{more}");
        assert_eq!(of(&result, "lost"), (received + 3) / 7, "{more}");
        expect_classes(&result, &[("ok", of(&result, "sent") - of(&result, "lost"))]);
        expect_sums(&result);
        let trains = !more.contains("off");
        if cfg!(target_os = "linux") {
            assert_eq!(record.trains > 0, trains, "{more}");
            assert_eq!(record.torn > 0, trains, "{more}: parts of trains were lost");
            assert_eq!(result["local"]["in_trains"].as_u64() > Some(0), trains, "{more}");
        }
        // Each flow has the port and the datagrams that the server saw.
        let flows = result["flows"].as_array().unwrap();
        assert_eq!(flows.len(), record.received.len(), "{more}");
        for flow in flows {
            let port: u16 = flow["sockets"][0].as_str().unwrap().rsplit_once(':').unwrap().1.parse().unwrap();
            assert_eq!(record.received[&([127, 0, 0, 1], port).into()], flow["sent"], "{more}: {flow}");
        }
    }
}

#[test]
fn what_else_comes_in_a_train_has_its_class() {
    for more in ["", "--flows 2 --threads 2", "--gso off"] {
        let server = TrainServer::start("127.0.0.1:0", false, |number, datagram, answers| {
            let changed = |at: usize, bit: u8| {
                let mut changed = datagram.to_vec();
                changed[at] ^= bit;
                changed
            };
            answers.push(datagram.to_vec());
            match number % 10 {
                0 => answers.push(datagram.to_vec()),
                // The payload, the stream, the magic.
                1 => answers.push(changed(datagram.len() - 1, 1)),
                2 => answers.push(changed(0, 0xFF)),
                3 => answers.push(datagram[..43].to_vec()),
                _ => {}
            }
        });
        let result = fast(server.address, more);
        let record = server.stop();
        let received: u64 = record.received.values().sum();
        let nth = |n: u64| (received + 9 - n) / 10;
        expect_classes(
            &result,
            &[
                ("ok", received),
                ("dup_down", nth(0)),
                ("bad_checksum", nth(1)),
                ("not_ours", nth(2)),
                ("short", nth(3)),
            ],
        );
        expect(&result["counts"], &[("sent", received), ("ok", received), ("lost", 0), ("reordered", 0)]);
        expect_sums(&result);
    }
}

#[test]
fn both_families_and_many_targets_share_the_flows() {
    let servers = ["127.0.0.1:0", "[::1]:0", "127.0.0.1:0"]
        .map(|bind| TrainServer::start(bind, false, |_, datagram, answers| answers.push(datagram.to_vec())));
    let targets = servers.each_ref().map(|server| server.address.to_string()).join(" ");
    for more in ["--flows 3 --threads 2", "--distribution random --threads 2", ""] {
        let result = fast(&targets, more);
        expect(&result["counts"], &[("ok", of(&result, "sent")), ("lost", 0)]);
        expect_sums(&result);
        for flow in result["flows"].as_array().unwrap() {
            assert_eq!(flow["sockets"].as_array().unwrap().len(), 2, "one of each family: {flow}");
        }
    }
    for server in servers {
        server.stop();
    }
}

#[test]
#[cfg(target_os = "linux")]
fn thousands_of_targets_each_get_their_share() {
    let server =
        TrainServer::start("0.0.0.0:0", false, |_, datagram, answers| answers.push(datagram.to_vec()));
    let port = server.address.port();
    let targets: Vec<String> =
        (0..3000).map(|n| format!("127.1.{}.{}:{port}", n / 250, n % 250 + 1)).collect();
    let mut command = command();
    command.args(&targets).args("--rate 60k/s -d 200ms --warmup 0s --raw-echo --threads 2".split(' '));
    command.args("--json -q --timeout 5s".split(' '));
    let ran = Ran::from(command.output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let (result, record) = (ran.json(), server.stop());
    assert_eq!(of(&result, "planned"), 12_000);
    expect(&result["counts"], &[("ok", of(&result, "sent")), ("lost", 0)]);
    expect_sums(&result);
    assert_eq!((record.at.len(), result["ports"].as_array().unwrap().len()), (3000, 3000));
    // The handshake asked each of them at least once more.
    let warm_up = result["classes"]["warm_up"].as_u64().unwrap();
    assert!(warm_up >= 3000, "{warm_up}");
    assert_eq!(record.received.values().sum::<u64>(), of(&result, "sent") + warm_up);
}

/// Whatever the way, the datagrams of a seed are the same: every stream, number and id.
#[test]
fn a_seed_repeats_every_id_whatever_carries_it() {
    let ids = |more: &str| {
        let server =
            TrainServer::start("127.0.0.1:0", true, |_, datagram, answers| answers.push(datagram.to_vec()));
        // Slow enough for all of them to leave.
        let line =
            "--rate 4k/s -d 250ms --warmup 0s --no-handshake --raw-echo --json -q --timeout 20s --seed 5";
        let ran = run(&format!("{} {line} {more}", server.address));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        expect(&ran.json()["counts"], &[("ok", 1000)]);
        // Id, stream, number.
        server
            .stop()
            .kept
            .iter()
            .map(|head| (head[8..20].to_vec(), head[24..32].to_vec()))
            .collect::<BTreeSet<_>>()
    };
    let one = ids("--gso off --flows 2");
    assert_eq!(one.len(), 1000);
    assert_eq!(one, ids("--gso auto --flows 2"));
    let two = ids("--flows 2 --threads 2");
    assert_eq!(two, ids("--flows 2 --threads 2 --gso off"));
    assert_ne!(one, two, "threads number their streams one after the other");
}

#[test]
fn ctrl_c_ends_all_threads_and_their_books_hold() {
    let server = TrainServer::start("127.0.0.1:0", false, |number, datagram, answers| {
        if number % 2 == 0 {
            answers.push(datagram.to_vec());
        }
    });
    let line = format!(
        "{} --warmup 0s --rate 20k/s -d 1h --timeout 1h --interval 20ms --json --raw-echo --flows 3 --threads 3",
        server.address
    );
    let mut child = command().args(line.split(' ')).spawn().unwrap();
    let mut progress = BufReader::new(child.stderr.take().unwrap());
    let mut shown = String::new();
    while !shown.contains("ok 1") {
        shown.clear();
        assert!(progress.read_line(&mut shown).unwrap() > 0, "it ended early");
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let mut rest = String::new();
    progress.read_to_string(&mut rest).unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    server.stop();
    assert_eq!(ran.code, 130, "{rest}");
    let result = ran.json();
    assert!(of(&result, "ok") > 0 && of(&result, "pending_at_abort") > 0, "{result:#}");
    assert_eq!(
        of(&result, "sent"),
        of(&result, "ok") + of(&result, "pending_at_abort"),
        "nothing can be lost"
    );
    assert_eq!(of(&result, "planned"), of(&result, "sent") + of(&result, "not_sent"));
    for flow in result["flows"].as_array().unwrap() {
        assert!(flow["sent"].as_u64() > Some(0), "{flow}");
    }
    expect_sums(&result);
}

#[test]
#[cfg(target_os = "linux")]
fn the_kernels_stamps_leave_out_what_the_tester_slept() {
    let server =
        TrainServer::start("127.0.0.1:0", false, |_, datagram, answers| answers.push(datagram.to_vec()));
    let line = "--rate 2000/s -d 300ms --warmup 0s --no-handshake --raw-echo --json -q --timeout 3s";
    let of_clock = |clock: &str| {
        let ran = run(&format!("{} {line} --rx-time {clock}", server.address));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        expect(&ran.json()["counts"], &[("ok", 600), ("lost", 0)]);
        ran.json()
    };
    let kernel = of_clock("kernel");
    let stamps = &kernel["local"]["stamps"];
    assert_eq!(
        (&stamps["used"], &stamps["missing"], &stamps["implausible"]),
        (&600.into(), &0.into(), &0.into())
    );
    assert_eq!(kernel["config"]["rx_time"], "kernel");
    let point = |at: &str| kernel["latency"]["rtt_from_send"][at].as_u64().unwrap();
    assert!(point("min") > 0 && point("min") <= point("p50"), "{kernel:#}");
    let tester = of_clock("tester");
    assert!(tester["local"]["stamps"].is_null());
    server.stop();
}

#[test]
fn more_threads_than_flows_and_foreign_processors_are_refused() {
    for (line, words) in [
        ("--threads 2 --flows 1", "1 flows cannot be divided among 2 threads"),
        ("--pin=9999", "names no processors"),
        ("--pin=1000", "this process may not use processor 1000"),
    ] {
        if line.contains("pin") && cfg!(not(target_os = "linux")) {
            continue;
        }
        let ran = run(&format!("127.0.0.1:9 {line}"));
        assert_eq!(ran.code, 64, "{}", ran.stderr);
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_pinned_load_is_a_load() {
    let server =
        TrainServer::start("127.0.0.1:0", false, |_, datagram, answers| answers.push(datagram.to_vec()));
    let result = fast(server.address, "--pin");
    assert_eq!(result["config"]["pin"].as_array().unwrap().len(), 1);
    expect(&result["counts"], &[("ok", of(&result, "sent"))]);
    server.stop();
}
