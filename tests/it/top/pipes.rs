//! What goes into pipes, and what many listeners and peers are.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use polyport_tests::wait;
use serde_json::Value;

use super::{Screen, Traffic, busy, command, order, socket};
use crate::polyport;

const USAGE: i32 = 64;
const NO_REPLY: i32 = 69;

#[test]
fn what_a_pipe_gets_is_text_or_json() {
    let daemon = busy().serve();
    let traffic = Traffic::to((0..3).map(|row| daemon.client(row)).collect());
    let path = socket(daemon.dir());
    let run = |words: &[&str]| polyport().arg("top").args(words).arg("--control").arg(&path).run();
    let told = run(&["--once", "-i", "300ms", "--sort", "name"]);
    let text = &told.expect_code(0).stdout;
    assert_eq!(order(text), ["alpha", "bravo", "charlie"], "{text}");
    assert!(
        text.contains("\nLISTENER  PLUGIN ") && text.contains("\ntotal ") && text.contains("on_purpose"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}') && told.stderr.is_empty(), "{text}{}", told.stderr);
    let told = run(&["--json", "--count", "3", "-i", "100ms", "--filter", "BRA"]);
    let lines: Vec<Value> =
        told.expect_code(0).stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    for line in &lines {
        assert_eq!(
            (&line["entries"][0]["name"], line["entries"].as_array().unwrap().len()),
            (&"bravo".into(), 1)
        );
        let rates = &line["entries"][0]["rates"];
        assert!(
            rates["received"].as_f64().unwrap() >= 0.0 && line["interval_s"].as_f64().unwrap() > 0.0,
            "{line}"
        );
    }
    assert_eq!(run(&["--json", "--once", "-i", "100ms"]).expect_code(0).stdout.lines().count(), 1);
    run(&[]).expect_code(USAGE).expect_stderr(&["--once", "--json"]);
    run(&["-i", "1ms"]).expect_code(USAGE).expect_stderr(&["100ms"]);
    let told = polyport().args(&["top", "--once", "--control", "/nowhere/at/all"]).run();
    told.expect_code(NO_REPLY).expect_stderr(&["/nowhere/at/all"]);
    let variables = polyport()
        .arg("top")
        .env("POLYPORT_CONTROL", &path)
        .env("POLYPORT_TOP_JSON", "yes")
        .env("POLYPORT_TOP_COUNT", "2")
        .env("POLYPORT_TOP_INTERVAL", "100ms")
        .env("POLYPORT_TOP_FILTER", "a")
        .env("POLYPORT_TOP_SORT", "name")
        .env("POLYPORT_TOP_REVERSE", "1")
        .run();
    let lines: Vec<Value> =
        variables.expect_code(0).stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[1]["entries"][0]["name"]), (2, &"charlie".into()));
    drop(traffic);
    drop(daemon.stop());
}

#[test]
fn a_reader_that_has_seen_enough_is_no_fault() {
    let daemon = busy().serve();
    let mut launch =
        polyport().args(&["top", "--json", "-i", "100ms", "--control"]).arg(socket(daemon.dir()));
    let command = launch.command().stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(line.starts_with("{\"at\":"), "{line}");
    drop(out);
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""));
    drop(daemon.stop());
}

#[test]
fn thousands_of_listeners_come_in_pages() {
    const LISTENERS: usize = 2_300;
    let mut config = String::new();
    for at in 0..LISTENERS {
        config
            .push_str(&format!("[[listen]]\nname = 'l{at:04}'\nbind = '127.0.0.1:0'\nplugin = 'discard'\n"));
    }
    let daemon = polyport().config(&config).serve();
    daemon.client(1_500).send(b"one");
    let path = socket(daemon.dir());
    let top = |words: &[&str]| polyport().arg("top").args(words).arg("--control").arg(&path).run();
    let told = top(&["--json", "--once", "-i", "100ms", "--sort", "name"]);
    let told: Value = serde_json::from_str(&told.expect_code(0).stdout).unwrap();
    let entries = told["entries"].as_array().unwrap();
    assert_eq!((entries.len(), &told["addresses"]), (LISTENERS, &LISTENERS.into()));
    let is_in_order = (0..LISTENERS).zip(entries).all(|(at, entry)| entry["name"] == format!("l{at:04}"));
    assert!(is_in_order, "each is there once");
    wait::until("what came to a later page is counted there", || {
        let told = top(&["--json", "--once", "-i", "100ms", "--filter", "l1500"]);
        let told: Value = serde_json::from_str(&told.expect_code(0).stdout).unwrap();
        told["entries"][0]["counts"]["received"] == 1
    });
    let Some(screen) = Screen::start((80, 24), &command(&daemon, "-i 200ms --sort name")) else { return };
    screen.until("the first", |text| text.contains("l0000") && text.contains("2300 listeners"));
    screen.press("End");
    screen.until("the last", |text| text.contains("l2299"));
    screen.press("q");
    screen.until("the end", |text| text.contains("code 0"));
    drop(daemon.stop());
}

#[test]
fn who_sends_most_is_told_of_ipv4_and_ipv6() {
    let config = "[[listen]]\nname = 'both'\nbind = ['127.0.0.1:0', '[::1]:0']\nplugin = 'echo'\n";
    let daemon = polyport().config(config).serve();
    let (four, six) = (daemon.client(0), daemon.client(1));
    let path = socket(daemon.dir());
    let ask = |words: &[&str]| polyport().arg("peers").args(words).arg("--control").arg(&path).run();
    let seen = || -> Value {
        serde_json::from_str(&ask(&["both", "--for", "0s", "--json"]).expect_code(0).stdout).unwrap()
    };
    assert_eq!(seen()["peers"].as_array().unwrap().len(), 0, "nobody was looked at");
    // One after the other, so that each comes by a receive call of its own.
    for _ in 0..30 {
        six.expect_echo(b"six");
    }
    for _ in 0..10 {
        four.expect_echo(b"four");
    }
    let last = seen();
    assert_eq!(last["datagrams"], 40, "{last}");
    let peers = last["peers"].as_array().unwrap();
    let addresses: Vec<&str> = peers.iter().map(|peer| peer["address"].as_str().unwrap()).collect();
    assert_eq!(addresses, ["::1", "127.0.0.1"], "{last}");
    let sum: u64 = peers.iter().map(|peer| peer["datagrams"].as_u64().unwrap()).sum();
    assert_eq!((sum, &last["bytes"], &peers[0]["more"]), (40, &130.into(), &0.into()), "{last}");
    let told = ask(&["both", "--for", "0s", "--limit", "1"]);
    let text = &told.expect_code(0).stdout;
    assert!(text.contains("PEER") && text.contains("[::1]:") && !text.contains("127.0.0.1"), "{text}");
    ask(&["nobody"]).expect_code(65).expect_stderr(&["there is no listener `nobody`"]);
    drop(daemon.stop());
}
