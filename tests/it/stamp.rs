//! The STAMP reflector against a sender that was written from RFC 8762 alone, in another language, and read by tshark.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use polyport_tests::network::Network;
use polyport_tests::process::Process;
use polyport_tests::tool::tool;
use polyport_tests::{Client, Daemon};
use serde_json::Value;

use super::arrivals::wait_for_stamps;
use crate::polyport;

const KEY: &str = "000102030405060708090a0b0c0d0e0f1011121314151617";
/// How far the daemon's idea of the wall clock may be off, nanoseconds: what a machine without time makes of two reads.
const SLACK_NS: u64 = 5_000_000_000;

/// What the sender says of each answer to it.
#[track_caller]
fn send(python: &Path, to: SocketAddr, arguments: &[&str]) -> Vec<Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/it/stamp_sender.py");
    let mut command = Command::new(python);
    command.arg(script).arg(to.ip().to_string()).arg(to.port().to_string()).args(arguments);
    let finished = Process::spawn(&mut command).finish();
    finished.expect_code(0).stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn number(answer: &Value, field: &str) -> u64 {
    answer[field].as_u64().unwrap_or_else(|| panic!("no {field}: {answer}"))
}

fn numbers(answers: &[Value], field: &str) -> Vec<u64> {
    answers.iter().map(|answer| number(answer, field)).collect()
}

/// The packet went, came, left and came back in this order.
#[track_caller]
fn expect_order(answers: &[Value]) {
    for answer in answers {
        let [t1, t2, t3, t4] = ["t1", "t2", "t3", "t4"].map(|field| number(answer, field));
        assert!(t1 <= t2 && t2 <= t3 && t2 <= t4 && t3 <= t4 + SLACK_NS, "{answer}");
    }
}

#[test]
fn a_sender_from_the_specification_learns_times_ttl_and_numbers_over_both_families() {
    let Some(python) = tool("python3") else { return };
    let daemon = polyport()
        .listen("127.0.0.1:0=stamp,name=v4,error=1ms,synchronized=true")
        .listen("[::1]:0=stamp,name=v6,timestamps=ptp")
        .serve();
    wait_for_stamps();
    for (row, name, ttl, arguments) in
        [(0, "v4", 61, &["--ttl", "61"][..]), (1, "v6", 17, &["--ttl", "17", "--ptp"])]
    {
        let answers = send(&python, daemon.addresses()[row], &[&["--count", "5"], arguments].concat());
        assert_eq!(numbers(&answers, "sequence"), [0, 1, 2, 3, 4]);
        assert_eq!(numbers(&answers, "ttl"), [ttl; 5], "{name}");
        expect_order(&answers);
        let error = &answers[0]["error"];
        let expected = if name == "v4" { (true, false, 0.001) } else { (false, true, 0.010) };
        let seconds = error["seconds"].as_f64().unwrap();
        assert_eq!((&error["synchronized"], &error["ptp"]), (&expected.0.into(), &expected.1.into()));
        assert!((expected.2..expected.2 * 1.01).contains(&seconds), "{error}");
    }
    let served = daemon.stop();
    assert_eq!((served.counted("v4", "reflected_total"), served.received("v6", "replied")), (5, 5));
}

/// The formats of both sides are the same unless the reflector is told otherwise; and each answer is as long as its request.
#[test]
fn answers_have_the_format_and_the_length_of_their_requests() {
    let Some(python) = tool("python3") else { return };
    let daemon = polyport().listen("127.0.0.1:0=stamp").serve();
    let to = daemon.addresses()[0];
    for (size, arguments) in [("44", &[][..]), ("45", &["--ptp"]), ("1400", &[]), ("60000", &["--ptp"])] {
        let answers = send(&python, to, &[&["--size", size], arguments].concat());
        assert_eq!(number(&answers[0], "length").to_string(), size);
        assert_eq!(answers[0]["error"]["ptp"], Value::from(!arguments.is_empty()));
        expect_order(&answers);
    }
    // TWAMP Light without padding, and with less than an answer is longer by.
    for size in ["14", "30", "43"] {
        assert_eq!(numbers(&send(&python, to, &["--size", size]), "length"), [44]);
    }
    let client = daemon.client(0);
    client.send(&[0; 13]);
    let served = daemon.stop();
    assert_eq!((served.counted("stamp", "padded_total"), served.counted("stamp", "short_total")), (3, 1));
}

#[test]
fn with_state_each_session_is_counted_for_itself() {
    let Some(python) = tool("python3") else { return };
    let daemon = polyport()
        .listen("127.0.0.1:0=stamp,name=plain,mode=stateful")
        .listen("127.0.0.1:0=stamp,name=marked,mode=stateful,ssid=true")
        .serve();
    // A sender whose every second packet is lost: by the numbers of the answers, on the way there.
    let client = daemon.client(0);
    for (lost, expected) in [(0_u32, 0_u32), (2, 1), (4, 2)] {
        let answer = client.ask(&[&lost.to_be_bytes()[..], &[0; 40]].concat());
        assert_eq!(
            (answer[..4].to_vec(), answer[24..28].to_vec()),
            (expected.to_be_bytes().to_vec(), lost.to_be_bytes().to_vec())
        );
    }
    for row in [0, 1] {
        let answers = send(&python, daemon.addresses()[row], &["--count", "3", "--ssid", "4711"]);
        assert_eq!(numbers(&answers, "sequence"), [0, 1, 2]);
        assert_eq!(numbers(&answers, "ssid"), [if row == 0 { 0 } else { 4711 }; 3]);
    }
    let served = daemon.stop();
    assert_eq!((served.counted("plain", "sessions"), served.counted("marked", "sessions")), (2, 1));
}

#[test]
fn with_a_key_it_agrees_as_well_and_who_has_none_hears_nothing() {
    let Some(python) = tool("python3") else { return };
    let options = format!("options = {{ auth = \"hmac\", key = \"{KEY}\", mode = \"stateful\" }}\n");
    let table = format!("[[listen]]\nbind = [\"127.0.0.1:0\", \"[::1]:0\"]\nplugin = \"stamp\"\n{options}");
    let daemon = polyport().arg("-vv").config(&table).serve();
    for address in daemon.addresses() {
        let answers = send(&python, *address, &["--count", "3", "--key", KEY]);
        assert_eq!(
            (numbers(&answers, "sequence"), numbers(&answers, "length")),
            (vec![0, 1, 2], vec![112; 3])
        );
        expect_order(&answers);
        assert_eq!(
            numbers(&send(&python, *address, &["--key", KEY, "--size", "1400", "--ptp"]), "length"),
            [1400]
        );
    }
    let stranger = daemon.client(0);
    stranger.send(&[0; 112]);
    stranger.send(&[0; 44]);
    // The answer to what comes after shows that there was none before.
    assert_eq!(send(&python, daemon.addresses()[0], &["--key", KEY]).len(), 1);
    let served = daemon.stop();
    assert_eq!(
        (served.counted("stamp", "unauthentic_total"), served.counted("stamp", "short_total")),
        (1, 1)
    );
    let shown = &served.finished;
    assert!(!shown.stderr.contains(KEY) && !shown.stdout.contains(KEY), "{}", shown.stderr);
    polyport()
        .listen("127.0.0.1:0=stamp,auth=hmac,key=beef")
        .refused(78)
        .expect_stderr(&["16 octets at least, not 2"]);
}

/// Another program that knows the protocol finds in it what the sender says.
#[test]
fn tshark_reads_the_answers_as_the_sender_does() {
    let (Some(python), Some(tshark)) = (tool("python3"), tool("tshark")) else { return };
    let daemon = polyport().listen("127.0.0.1:0=stamp,error=1s").serve();
    let (to, dir) = (daemon.addresses()[0], tempfile::tempdir().unwrap());
    let file = dir.path().join("sent.pcap");
    let answers = send(&python, to, &["--count", "2", "--ttl", "33", "--pcap", &file.display().to_string()]);
    let mut command = Command::new(tshark);
    command
        .arg("-n")
        .arg("-d")
        .arg(format!("udp.port=={},twamp.test", to.port()))
        .args(["-T", "fields", "-r"])
        .arg(&file);
    command.args(["-Y", &format!("udp.srcport=={}", to.port())]);
    let fields = [
        "seq_number",
        "sender_seq_number",
        "sender_ttl",
        "error_estimate.scale",
        "error_estimate.multiplier",
    ];
    for field in fields.iter().chain(&["sender_timestamp", "receive_timestamp", "timestamp"]) {
        command.args(["-e", &format!("twamp.test.{field}")]);
    }
    let output = command.output().expect("tshark can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown = String::from_utf8(output.stdout).expect("tshark prints UTF-8");
    let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(lines.len(), answers.len(), "{shown}");
    for (number_of_it, (line, answer)) in lines.iter().zip(&answers).enumerate() {
        // The fields of the sender's estimate have the same names as those of the answer's, so they are there twice.
        let first = |field: &str| field.split(',').next().unwrap_or_default().to_owned();
        let plain: Vec<String> = line[..5].iter().map(|field| first(field)).collect();
        assert_eq!(
            plain,
            [&number_of_it.to_string()[..], &number_of_it.to_string(), "33", "25", "128"],
            "{shown}"
        );
        // `Nov 14, 2023 22:13:20.500000000 UTC`: the fraction of a second is enough to compare.
        for (field, time) in line[5..].iter().zip(["t1", "t2", "t3"]) {
            let fraction =
                field.split_once('.').and_then(|(_, rest)| rest.split(' ').next()).unwrap_or_default();
            let (shown_ns, ours) =
                (fraction.parse::<u64>().unwrap_or(u64::MAX), number(answer, time) % 1_000_000_000);
            assert!(shown_ns.abs_diff(ours) <= 2, "{time}: {field} is not {ours}");
        }
    }
}

/// At its well-known port: another host's reflector at that port, or whoever forges its address, gets no answer.
#[test]
fn at_its_own_port_it_serves_another_host_and_starts_no_loop() {
    let Some(python) = tool("python3") else { return };
    let Some(network) = Network::new() else { return };
    let program = env!("CARGO_BIN_EXE_polyport-under-test");
    let daemon: Daemon = network.here.launch(program).listen(":862=stamp,name=reflector").serve();
    for host in ["10.77.0.1", "fd77::1"] {
        let to = SocketAddr::new(host.parse().unwrap(), 862);
        let answers = network.there.inside(|| send(&python, to, &["--count", "2"]));
        assert_eq!(numbers(&answers, "ttl"), [64; 2], "one hop, which takes nothing away");
        expect_order(&answers);
    }
    let to = SocketAddr::new("10.77.0.1".parse().unwrap(), 862);
    let from = SocketAddr::new("10.77.0.2".parse().unwrap(), 862);
    network.there.inside(|| Client::from(from, to).send(&[0; 44]));
    let other = network.there.inside(|| Client::from(SocketAddr::new(from.ip(), 0), to));
    assert_eq!(network.there.inside(|| other.ask(&[0; 44])).len(), 44);
    let served = daemon.stop();
    assert_eq!((served.sent("reflector", "sent"), served.received("reflector", "received")), (5, 6));
    assert_eq!(
        served.sent("reflector", "loop_port") + served.sent("reflector", "same_port"),
        1,
        "{}",
        served.line("reflector")
    );
}
