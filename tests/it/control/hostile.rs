//! Clients that send garbage, hang, read nothing or are many: each costs itself, and datagrams are served meanwhile (R54).

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::thread;

use polyport_tests::wait;
use serde_json::{Value, json};

use super::{HELLO, Raw, STATUS, code, echo, json, socket};

#[test]
fn what_is_no_request_is_refused_and_the_connection_goes_on() {
    let daemon = echo().serve();
    let mut raw = Raw::of(&socket(daemon.dir()));
    let deep = "[".repeat(60_000);
    for (line, code) in [
        (&b"garbage"[..], -32_700),
        (b"\x00\x01\xff\xfe", -32_700),
        (b"{\"jsonrpc\":\"2.0\",\"id\":\"\xff\",\"method\":\"stop\"}", -32_700),
        (deep.as_bytes(), -32_700),
        (b"[]", -32_600),
        (br#"[{"jsonrpc":"2.0","id":1,"method":"stop"}]"#, -32_600),
        (br#"{"jsonrpc":"2.0","id":[],"method":"stop"}"#, -32_600),
        (br#"{"jsonrpc":"2.0","id":1e400,"method":"stop"}"#, -32_700),
        (br#"{"jsonrpc":"2.0","id":1,"method":"explode"}"#, -32_601),
        (br#"{"jsonrpc":"2.0","id":1,"method":"status","params":[1]}"#, -32_602),
        (br#"{"jsonrpc":"2.0","id":1,"method":"status","params":{"limit":99999999999999999999}}"#, -32_602),
    ] {
        assert_eq!(raw.refusal(line), code, "{}", String::from_utf8_lossy(line));
        daemon.client(0).expect_echo(b"served");
    }
    for id in [json!(7), json!("seven"), json!(null), json!(-1), json!(u64::MAX)] {
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": "hello" });
        assert_eq!(raw.ask(request.to_string().as_bytes())["id"], id);
    }
    // A notification is done and not answered: what comes next is the answer to the other line.
    raw.send(b"{\"jsonrpc\":\"2.0\",\"method\":\"log-level\",\"params\":{\"level\":\"debug\"}}\n\n");
    assert_eq!(raw.ask(HELLO)["result"]["polyport"], 1);
    assert_eq!(json(&daemon, &["log-level"])["level"], "debug");
    // Several lines at once are answered one after the other.
    raw.send(&[HELLO, b"\n", STATUS, b"\n", HELLO, b"\n"].concat());
    let answers: Vec<Value> = (0..3).filter_map(|_| raw.receive()).collect();
    assert!(answers[1]["result"]["entries"].is_array() && answers[2]["result"]["methods"].is_array());
    drop(daemon.stop());
}

#[test]
fn a_line_of_100_mb_is_not_kept() {
    let daemon = echo().serve();
    let path = socket(daemon.dir());
    daemon.client(0).expect_echo(b"warm");
    let before = daemon.anonymous_memory();
    let mut raw = Raw::of(&path);
    let block = vec![b'x'; 1 << 20];
    for _ in 0..100 {
        raw.send(&block);
    }
    assert_eq!(code(&raw.receive().unwrap()), -32_003);
    assert!(raw.receive().is_none(), "the connection has ended");
    daemon.client(0).expect_echo(b"served");
    let after = daemon.anonymous_memory();
    assert!(after < before + (8 << 20), "{before} bytes of memory, then {after}");
    assert_eq!(json(&daemon, &["status"])["control"]["too_long"], 1);
    drop(daemon.stop());
}

#[test]
fn a_thousand_connections_leave_room_for_one_more() {
    let daemon = echo().serve();
    let path = socket(daemon.dir());
    let mut held = Vec::new();
    for _ in 0..1000 {
        // The queue of the kernel is full now and then; `connect` waits.
        held.push(UnixStream::connect(&path).unwrap());
    }
    daemon.client(0).expect_echo(b"served");
    let status = json(&daemon, &["status"]);
    let control = &status["control"];
    assert!(control["connections"].as_u64().unwrap() >= 1001, "{control}");
    assert!(control["evicted"].as_u64().unwrap() >= 985, "{control}");
    // Those that gave way were told so.
    let mut first = Raw::of(&path);
    assert_eq!(first.ask(HELLO)["result"]["polyport"], 1);
    drop(held);
    drop(daemon.stop());
}

#[test]
fn who_hangs_in_the_middle_of_a_line_is_told_so_and_gone() {
    let daemon = echo().serve();
    let path = socket(daemon.dir());
    let mut slow = Raw::of(&path);
    slow.send(b"{\"jsonrpc\"");
    // Meanwhile others are answered, and datagrams served.
    for n in 0..20 {
        assert_eq!(Raw::of(&path).ask(HELLO)["result"]["polyport"], 1);
        daemon.client(0).expect_echo(format!("{n}").as_bytes());
    }
    assert_eq!(code(&slow.receive().unwrap()), -32_002);
    assert!(slow.receive().is_none());
    assert_eq!(json(&daemon, &["status"])["control"]["slow"], 1);
    drop(daemon.stop());
}

/// It asks for more than the kernel keeps for it, and reads none of it.
#[test]
fn who_reads_nothing_is_left_behind() {
    let tables: String = (0..1000)
        .map(|n| format!("[[listen]]\nname = \"l{n}\"\nbind = \"127.0.0.1:0\"\nplugin = \"echo\"\n"))
        .collect();
    let daemon = crate::polyport().config(&tables).serve();
    let path = socket(daemon.dir());
    let mut greedy = Raw::of(&path);
    for _ in 0..8 {
        greedy.send(br#"{"jsonrpc":"2.0","id":1,"method":"status","params":{"limit":1000}}"#);
        greedy.send(b"\n");
    }
    for n in 0..20 {
        daemon.client(n).expect_echo(b"served");
    }
    wait::until("it is counted as slow", || {
        let mut other = Raw::of(&path);
        other.ask(br#"{"jsonrpc":"2.0","id":1,"method":"status","params":{"limit":1}}"#)["result"]["control"]
            ["slow"]
            == 1
    });
    // What the kernel had taken comes; then it is over, in the middle of a line.
    drop(greedy);
    drop(daemon.stop());
}

/// Random bytes from several clients at once, cut at random, until as many datagrams were served as there should be.
#[test]
fn random_bytes_cost_no_datagram() {
    let daemon = echo().serve();
    let path = socket(daemon.dir());
    let clients: Vec<_> = (0..4_u64)
        .map(|seed| {
            let path = path.clone();
            thread::spawn(move || {
                let mut state = seed + 1;
                let mut next = move || {
                    // Xorshift64: enough to be without sense.
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    state
                };
                for _ in 0..50 {
                    let Ok(mut stream) = UnixStream::connect(&path) else { continue };
                    let bytes: Vec<u8> = (0..next() % 3000).map(|_| next().to_le_bytes()[0]).collect();
                    stream.write_all(&bytes).unwrap_or(());
                }
            })
        })
        .collect();
    let client = daemon.client(0);
    for n in 0..500_u32 {
        client.expect_echo(&n.to_be_bytes());
    }
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert_eq!(json(&daemon, &["status"])["total"]["replied"], 500);
    let served = daemon.stop();
    assert_eq!(served.received("echo", "replied"), 500);
}
