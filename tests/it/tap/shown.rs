//! What a tap shows agrees with the books, whoever reads it.

use std::fs;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;

use polyport_tests::plugins::built;
use polyport_tests::{DEADLINE, wait};
use serde_json::{Value, json};

use super::{ended, last_words, socket, tap, tshark};
use crate::polyport;

/// The datagrams that a tap has printed as JSON.
fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn count(all: &[Value], members: &[(&str, &str)]) -> u64 {
    all.iter().filter(|one| members.iter().all(|(name, value)| one[*name] == *value)).count() as u64
}

/// Counts by tshark, comments, and the books are the same; headers are correct.
#[test]
fn a_capture_has_all_that_the_books_have() {
    let daemon = polyport()
        .listen("127.0.0.1:0=echo")
        .listen("127.0.0.1:0=lossy,loss=40%,delay=30ms,duplicate=20%,seed=7")
        .listen("[::1]:0=echo,name=six")
        .serve();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("all.pcapng");
    let writer = tap(&daemon, &["--all", "-w", file.to_str().unwrap()]);
    for row in 0..3 {
        let client = daemon.client(row);
        client.send_numbered(50);
    }
    // Bursts, each of which comes as a train where the kernel joins it, and goes as one.
    let burst = daemon.client(0);
    for _ in 0..10 {
        (0..20).for_each(|_| burst.send(&[b'x'; 1000]));
        (0..20).for_each(|_| drop(burst.receive()));
    }
    wait::until("what is delayed has left", || {
        let status = crate::control::json(&daemon, &["status"]);
        status["total"]["received"] == 350 && status["total"]["waiting"] == 0
    });
    let finished = ended(writer);
    finished.expect_code(0);
    let (shown, left_out) = last_words(&finished);
    let served = daemon.stop();
    let of =
        |what: &str| ["echo", "lossy", "six"].map(|name| served.received(name, what)).iter().sum::<u64>();
    let sent: u64 = ["echo", "lossy", "six"].map(|name| served.sent(name, "sent")).iter().sum();
    assert_eq!((shown, left_out), (of("received") + sent, 0), "{}", served.finished.stdout);
    let fields = [
        "frame.interface_name",
        "frame.comment",
        "ip.checksum.status",
        "udp.checksum.status",
        "_ws.malformed",
    ];
    let Some(lines) = tshark(&file, &fields) else { return };
    assert_eq!(lines.len() as u64, shown);
    let with = |words: &[&str]| {
        lines.iter().filter(|line| words.iter().all(|word| line.contains(word))).count() as u64
    };
    assert_eq!(
        with(&["lossy\t", "verdict=dropped reason=on_purpose"]),
        served.received("lossy", "on_purpose")
    );
    assert_eq!(with(&["verdict=replied"]), of("replied"));
    assert_eq!(with(&["lossy\t", "verdict=sent"]), served.sent("lossy", "sent"));
    assert_eq!(with(&["verdict=sent latency_ns="]), sent, "each answers something");
    // 1 is good; of IPv6 there is no checksum of the header.
    for line in &lines {
        let columns: Vec<&str> = line.split('\t').collect();
        assert!(columns[2] == if columns[0] == "six" { "" } else { "1" }, "{line}");
        assert_eq!((columns[3], columns[4]), ("1", ""), "{line}");
    }
}

#[test]
fn lines_objects_and_filters_show_the_same_datagrams() {
    let daemon = polyport().listen("127.0.0.1:0=echo").listen("127.0.0.1:0=lossy,loss=100%").serve();
    let mut taps: Vec<_> = [
        &["echo", "--json"][..],
        &["echo", "lossy"],
        &["--all", "--drops", "--json"],
        &["echo", "--direction", "out", "--peer", "127.0.0.0/8", "--json"],
    ]
    .into_iter()
    .map(|words| tap(&daemon, words))
    .collect();
    // There are as many as there may be.
    let fifth = crate::control::command(&daemon, &["tap", "echo"]);
    fifth.expect_code(75).expect_stderr(&["4 taps run already"]);
    for n in 0..10 {
        daemon.client(0).expect_echo(format!("datagram {n}").as_bytes());
        daemon.client(1).send(b"lost");
    }
    wait::until("all are counted", || crate::control::json(&daemon, &["status"])["total"]["received"] == 20);
    let mut ends = taps.drain(..).map(|tap| {
        let finished = ended(tap);
        finished.expect_code(0);
        finished
    });
    let echo = objects(&ends.next().unwrap().stdout);
    assert_eq!(echo.len(), 20, "{echo:?}");
    assert_eq!(count(&echo, &[("direction", "in"), ("verdict", "replied"), ("listener", "echo")]), 10);
    assert_eq!(count(&echo, &[("direction", "out"), ("verdict", "sent")]), 10);
    assert!(echo.iter().all(|one| one["latency_ns"].as_u64().unwrap() > 0 && one["bytes"] == 10), "{echo:?}");
    let lines = ends.next().unwrap().stdout;
    assert_eq!(lines.lines().count(), 30);
    assert_eq!(lines.matches("  4 bytes  dropped: on_purpose").count(), 10, "{lines}");
    let drops = objects(&ends.next().unwrap().stdout);
    assert_eq!((drops.len() as u64, count(&drops, &[("reason", "on_purpose")])), (10, 10));
    let out = objects(&ends.next().unwrap().stdout);
    assert_eq!((out.len() as u64, count(&out, &[("direction", "out")])), (10, 10));
    drop(ends);
    // A place is free again.
    let after = tap(&daemon, &["echo", "--count", "2"]);
    daemon.client(0).expect_echo(b"seven");
    let after = after.finish();
    after.expect_code(0).expect_stderr(&["2 datagrams shown, 0 left out; all that was asked for"]);
    drop(daemon.stop());
}

/// Both sides of a relay, each with its addresses and the session.
#[test]
fn a_relay_is_seen_on_both_sides() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = server.local_addr().unwrap();
    let daemon = polyport().listen(format!("127.0.0.1:0=relay,to={to}")).serve();
    let seen = tap(&daemon, &["relay", "--json"]);
    let client = daemon.client(0);
    client.send(b"question");
    let mut buffer = [0; 100];
    server.set_read_timeout(Some(DEADLINE)).unwrap();
    let (n, session) = server.recv_from(&mut buffer).unwrap();
    server.send_to(&buffer[..n], session).unwrap();
    assert_eq!(client.receive(), b"question");
    wait::until("all are counted", || crate::control::json(&daemon, &["status"])["total"]["sent"] == 1);
    let finished = ended(seen);
    let all = objects(&finished.expect_code(0).stdout);
    let told: Vec<_> = all.iter().map(|one| (&one["direction"], &one["upstream"], &one["verdict"])).collect();
    let (into, out) = (json!("in"), json!("out"));
    let (yes, no) = (json!(true), Value::Null);
    let (replied, sent) = (json!("replied"), json!("sent"));
    assert_eq!(
        told,
        [(&into, &no, &replied), (&out, &yes, &sent), (&into, &yes, &replied), (&out, &no, &sent)],
        "{all:?}"
    );
    assert!(all.iter().all(|one| one["session"] == all[0]["session"] && one["session"].is_u64()), "{all:?}");
    assert!(all.iter().all(|one| one["latency_ns"].as_u64().is_some()), "{all:?}");
    assert_eq!(
        (&all[1]["local"], &all[2]["local"]),
        (&json!(session.to_string()), &json!(session.to_string()))
    );
    drop(daemon.stop());
}

/// What broke the handler, what stood behind it, and what came while there was none.
#[test]
fn what_a_broken_handler_costs_is_seen() {
    let library = built("fixture-panics");
    let spec = format!("127.0.0.1:0={},name=panics,on_fault=off", library.display());
    let daemon = polyport().listen(spec).serve();
    let seen = tap(&daemon, &["--all", "--json"]);
    daemon.client(0).send(b"boom");
    daemon.client(0).send(b"nobody is here");
    wait::until("both are counted", || crate::control::json(&daemon, &["status"])["total"]["received"] == 2);
    let all = objects(&ended(seen).expect_code(0).stdout);
    let reasons: Vec<_> = all.iter().map(|one| one["reason"].as_str().unwrap_or_default()).collect();
    let counted = crate::control::json(&daemon, &["status"])["total"]["dropped_in"].clone();
    for (reason, n) in counted.as_object().unwrap() {
        let shown = reasons.iter().filter(|other| *other == reason).count() as u64;
        assert_eq!(Some(shown), n.as_u64(), "{reason}: {all:?}");
    }
    assert_eq!(all.len(), 2, "{all:?}");
    drop(daemon.stop());
}

/// A reload leaves the tap as it is; a listener that comes under its name is seen as well.
#[test]
fn a_tap_goes_on_over_a_reload() {
    let text = |loss: &str| {
        format!(
            "[[listen]]\nname = \"one\"\nbind = \"127.0.0.1:0\"\nplugin = \"lossy\"\noptions = {{ loss = \"{loss}\" }}\n"
        )
    };
    let launch = polyport();
    let file = launch.dir().join("config.toml");
    fs::write(&file, text("0%")).unwrap();
    let mut daemon = launch.arg("-c").arg(&file).serve();
    let seen = tap(&daemon, &["one", "--json"]);
    daemon.client(0).expect_echo(b"before");
    fs::write(&file, text("100%")).unwrap();
    daemon.reload(1);
    daemon.client(0).send(b"after");
    wait::until("it is counted", || {
        crate::control::json(&daemon, &["status"])["total"]["dropped_in"]["on_purpose"] == 1
    });
    // Under another name it is another listener.
    fs::write(&file, text("100%").replace("\"one\"", "\"two\"")).unwrap();
    daemon.reload(2);
    daemon.client(0).send(b"unseen");
    wait::until("it is counted", || {
        crate::control::json(&daemon, &["status"])["total"]["dropped_in"]["on_purpose"] == 2
    });
    let all = objects(&ended(seen).expect_code(0).stdout);
    let told: Vec<_> = all.iter().map(|one| one["verdict"].as_str().unwrap()).collect();
    assert_eq!(told, ["replied", "sent", "dropped"], "{all:?}");
    drop(daemon.stop());
}

#[test]
fn who_is_not_there_is_said() {
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    let command = |words: &[&str]| crate::control::command(&daemon, words);
    command(&["tap", "nobody"]).expect_code(65).expect_stderr(&["there is no listener `nobody`"]);
    command(&["tap"]).expect_code(64).expect_stderr(&["which listener?"]);
    command(&["tap", "echo", "--peer", "host"]).expect_code(76).expect_stderr(&["expected an address"]);
    command(&["tap", "echo", "--json", "-w", "-"]).expect_code(64);
    let nowhere = daemon.dir().join("nowhere.sock");
    let finished = polyport().args(&["tap", "echo", "--control"]).arg(&nowhere).run();
    finished.expect_code(69).expect_stderr(&["no daemon answers"]);
    // The end of the daemon is the end of the tap, in order.
    let seen = tap(&daemon, &["echo"]);
    daemon.client(0).expect_echo(b"one");
    drop(daemon.stop());
    let finished = seen.finish();
    finished.expect_code(0).expect_stderr(&["2 datagrams shown, 0 left out; the daemon ends"]);
}

/// Any program can ask for the stream, by the words of the manual.
#[test]
fn the_stream_is_an_interface() {
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    let mut stream = UnixStream::connect(socket(daemon.dir())).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let request = json!({"jsonrpc": "2.0", "id": 9, "method": "tap", "params": {"listeners": ["echo"], "count": 2, "snaplen": 3}});
    stream.write_all(format!("{request}\n").as_bytes()).unwrap();
    let mut line = Vec::new();
    let mut byte = [0];
    while byte != *b"\n" {
        stream.read_exact(&mut byte).unwrap();
        line.push(byte[0]);
    }
    let answer: Value = serde_json::from_slice(&line).unwrap();
    let result = &answer["result"];
    assert_eq!((&answer["id"], &result["tap"], &result["snaplen"]), (&json!(9), &json!("pcapng"), &json!(3)));
    assert_eq!(result["addresses"], 1);
    daemon.client(0).expect_echo(b"abcdef");
    let mut capture = Vec::new();
    stream.read_to_end(&mut capture).unwrap();
    let kinds: Vec<u32> = crate::recordings::blocks(&capture).iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [0x0A0D_0D0A, 1, 6, 6, 5]);
    let file = daemon.dir().join("cut.pcapng");
    fs::write(&file, &capture).unwrap();
    if let Some(lines) = tshark(&file, &["frame.len", "frame.cap_len", "udp.length"]) {
        assert_eq!(lines, ["34\t31\t14", "34\t31\t14"]);
    }
    drop(daemon.stop());
}
