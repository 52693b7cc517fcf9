//! Recordings are sent again.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use polyport_tests::plugins::repository;
use polyport_tests::process::Process;
use polyport_tests::wait;
use rustix::process::Signal;
use serde_json::Value;

use super::{ended, run, tap, tshark};
use crate::polyport;

#[track_caller]
fn json(words: &[&str], file: &Path) -> Value {
    let finished = run(&[&["replay"], words, &["--json"]].concat(), file);
    serde_json::from_str(&finished.expect_code(0).stdout).unwrap()
}

/// A tap, sent to a daemon that has just begun, gives the same answers: to each source as many, with the same bytes.
#[test]
fn a_tap_that_is_replayed_gives_the_same_answers() {
    const OPTIONS: &str = "lossy,loss=30%,duplicate=20%,seed=7,name=twin";
    let daemon = polyport().listen(format!("127.0.0.1:0={OPTIONS}")).serve();
    // It outlives the first daemon, and what it leaves behind.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("first.pcapng");
    let writer = tap(&daemon, &["twin", "-w", file.to_str().unwrap()]);
    let clients: Vec<_> = (0..4).map(|_| daemon.client(0)).collect();
    for n in 0..40_u64 {
        clients.iter().for_each(|client| client.send(format!("datagram {n}").as_bytes()));
        // One after the other, so that the handler draws for the same datagram.
        wait::until("they are counted", || {
            crate::control::json(&daemon, &["status"])["total"]["received"] == 4 * (n + 1)
        });
    }
    ended(writer).expect_code(0);
    let address = daemon.addresses()[0];
    let served = daemon.stop();
    // What a handler decides by its seed depends on its address.
    let again = polyport().listen(format!("{address}={OPTIONS}")).serve();
    let second = dir.path().join("second.pcapng");
    let writer = tap(&again, &["twin", "-w", second.to_str().unwrap()]);
    let report = json(&["--speed", "20"], &file);
    let finished = ended(writer);
    finished.expect_code(0);
    let replayed = again.stop();
    let sent = served.sent("twin", "sent");
    assert_eq!((&report["sent"], &report["sources"], &report["failed"]), (&160.into(), &4.into(), &0.into()));
    assert_eq!((replayed.received("twin", "received"), replayed.sent("twin", "sent")), (160, sent));
    assert_eq!(report["recorded_answers"], sent);
    assert_eq!((&report["answers"], &report["differing"]), (&sent.into(), &0.into()), "{report}");
    assert!(report["late"]["max_ns"].as_u64() >= report["late"]["p50_ns"].as_u64(), "{report}");
    let comments = |file: &Path| {
        let fields = ["udp.length", "frame.comment"];
        let lines = tshark(file, &fields)?.into_iter();
        Some(lines.map(|line| line.split(" latency").next().unwrap().to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(comments(&second).map(sorted), comments(&file).map(sorted));
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

/// A pcap with datagrams of these moments in microseconds, of different sources, to port 7.
fn pcap(moments: &[u64]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 101] {
        file.extend(word.to_le_bytes());
    }
    for (n, micros) in moments.iter().enumerate() {
        let mut packet = vec![
            0x45,
            0,
            0,
            29,
            0,
            0,
            0,
            0,
            64,
            17,
            0,
            0,
            192,
            0,
            2,
            u8::try_from(n % 250).unwrap(),
            192,
            0,
            2,
            255,
        ];
        packet.extend([4, 210, 0, 7, 0, 9, 0, 0, b'x']);
        let words = [micros / 1_000_000, micros % 1_000_000, packet.len() as u64, packet.len() as u64];
        words.iter().for_each(|word| file.extend(u32::try_from(*word).unwrap().to_le_bytes()));
        file.extend(packet);
    }
    file
}

/// The time between datagrams is that of the recording, or a part of it: never less, however late one is.
#[test]
fn the_pace_is_that_of_the_recording() {
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    let to = daemon.addresses()[0].to_string();
    let file = daemon.dir().join("paced.pcap");
    fs::write(&file, pcap(&[5_000_000, 5_300_000, 5_200_000, 5_600_000])).unwrap();
    let least = |words: &[&str]| {
        let report = json(&[&["--to", &to], words].concat(), &file);
        assert_eq!(
            (&report["sent"], &report["answers"], &report["sources"]),
            (&4.into(), &4.into(), &4.into())
        );
        assert_eq!(report["backwards"], 1);
        assert_eq!(report["recorded_answers"], Value::Null, "nobody recorded any");
        report
    };
    assert!(least(&[])["seconds"].as_f64().unwrap() >= 0.6);
    assert!(least(&["--speed", "2"])["seconds"].as_f64().unwrap() >= 0.3);
    assert!(least(&["--speed", "0.5"])["seconds"].as_f64().unwrap() >= 1.2);
    assert_eq!(least(&["--speed", "max"])["late"], Value::Null);
    let part = json(&["--to", &to, "--speed", "0", "--count", "2"], &file);
    assert_eq!(part["sent"], 2);
    // More sources than sockets share them.
    let shared = json(&["--to", &to, "--speed", "max", "--sources", "3"], &file);
    assert_eq!(
        (&shared["sources"], &shared["shared_sources"], &shared["answers"]),
        (&4.into(), &1.into(), &4.into())
    );
    // Without a server of its own, a recording of somebody else goes nowhere: least of all to where it went then.
    run(&["replay"], &file).expect_code(64).expect_stderr(&["it does not say to which server"]);
    assert_eq!(daemon.stop().received("echo", "received"), 4 * 4 + 2 + 4);
}

/// Links, tags, fragments and what was cut: what can be sent is, and the rest is named.
#[test]
fn recordings_of_anybody_are_read() {
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    let to = daemon.addresses()[0].to_string();
    let corpus = repository().join("tests/fuzz/corpus/captures");
    let report = |name: &str| json(&["--to", &to, "--speed", "max", "--wait", "0s"], &corpus.join(name));
    let ethernet = report("ethernet.pcap");
    assert_eq!((&ethernet["sent"], &ethernet["sent_bytes"]), (&2.into(), &6.into()));
    assert_eq!(ethernet["skipped"]["fragments"], 1, "{ethernet}");
    assert_eq!(
        ethernet["skipped"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum::<u64>(),
        2
    );
    for name in ["cooked.pcap", "cooked2.pcap", "loopback.pcap", "nanoseconds-big-endian.pcap"] {
        assert_eq!(report(name)["sent"], 1, "{name}");
    }
    for name in ["microseconds.pcapng", "big-endian.pcapng", "powers-of-two.pcapng"] {
        assert_eq!(report(name)["sent"], 3, "{name}");
    }
    let refused = |name: &str, code: i32, words: &str| {
        let finished = run(&["replay", "--speed", "max", "--wait", "0s", "--to", &to], &corpus.join(name));
        finished.expect_code(code).expect_stderr(&[words]);
        finished
    };
    refused("cut.pcap", 65, "there is no datagram in it to be sent");
    refused("unknown-link.pcap", 65, "there is no datagram in it to be sent");
    refused("garbage", 65, "it is neither pcap nor pcapng");
    refused("empty", 65, "it is neither pcap nor pcapng");
    let truncated = refused("truncated.pcapng", 65, "it ends in the middle of a packet");
    assert!(truncated.stdout.starts_with("sent 3 datagrams"), "{}", truncated.stdout);
    refused("huge-block.pcapng", 65, "a length that no packet has");
    refused("not there", 65, "No such file");
    drop(daemon.stop());
}

#[test]
fn ctrl_c_tells_what_was_done() {
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    let file = daemon.dir().join("long.pcap");
    fs::write(&file, pcap(&[0, 1, 3_600_000_000])).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_polyport-under-test"));
    command.args(["replay", "--to", &daemon.addresses()[0].to_string()]).arg(&file);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let long = Process::spawn(&mut command);
    wait::until("two are answered", || crate::control::json(&daemon, &["status"])["total"]["sent"] == 2);
    long.signal(Signal::INT);
    let finished = long.finish();
    assert!(
        finished.expect_code(130).stdout.starts_with("sent 2 datagrams, 2 bytes, of 2 sources"),
        "{}",
        finished.stdout
    );
    drop(daemon.stop());
}
