//! Listeners that are added, removed, paused and drained while others serve.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use polyport_tests::ports::free_range;
use polyport_tests::wait;
use polyport_tests::{Client, Daemon};
use serde_json::{Value, json};

use super::{Raw, code, command, echo, json, socket};
use crate::polyport;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn at(port: u16) -> SocketAddr {
    SocketAddr::new(LOCALHOST, port)
}

fn states(daemon: &Daemon, listener: &str) -> Value {
    let all = json(daemon, &["status"]);
    let entries = all["entries"].as_array().unwrap();
    entries.iter().find(|entry| entry["name"] == listener).expect("it is there")["states"].clone()
}

#[test]
fn a_listener_is_added_and_removed_and_the_next_reload_takes_it_back() {
    let first = free_range(&[LOCALHOST], 3, 2000);
    let launch = polyport();
    let etc = launch.dir().join("etc");
    fs::create_dir(&etc).unwrap();
    let file = etc.join("polyport.toml");
    fs::write(&file, "[[listen]]\nname = \"a\"\nbind = \"127.0.0.1:0\"\nplugin = \"echo\"\n").unwrap();
    let mut daemon = launch.arg("-c").arg(&file).serve();
    let client = daemon.client(0);
    let spec = format!("127.0.0.1:{first}-{}=echo,reply=length", first + 1);
    let added = json(&daemon, &["add", &spec]);
    assert_eq!((&added["added"], &added["removed"], &added["replaced"]), (&json!(2), &json!(0), &json!(0)));
    assert_eq!(Client::of(at(first + 1)).ask(b"12345"), b"Your data was 5 bytes long");
    assert_eq!(states(&daemon, "echo"), json!({ "serving": 2 }));
    // Others have the name, the address here, and the address on this host.
    let taken = UdpSocket::bind(at(first + 2)).unwrap();
    for (spec, words) in [
        (format!("127.0.0.1:{}=echo,name=a", first + 9), "two listeners are named `a`"),
        (format!("127.0.0.1:{first}=echo,name=b"), "is used twice"),
        (format!("127.0.0.1:{}=echo,name=b", first + 2), "Address already in use"),
        ("127.0.0.1:0=lossy,loss=much".to_owned(), "expected a ratio"),
        ("127.0.0.1:0".to_owned(), "add:1:1"),
    ] {
        let refused = command(&daemon, &["add", &spec]);
        refused.expect_code(78).expect_stderr(&[words, "not added: 1 problem", "^"]);
        client.expect_echo(b"as before");
        assert_eq!(json(&daemon, &["status"])["addresses"], 3);
    }
    drop(taken);
    // It is a listener as any other.
    json(&daemon, &["set", "echo", "reply=same"]);
    Client::of(at(first)).expect_echo(b"the same");
    let removed = json(&daemon, &["remove", "echo"]);
    assert_eq!((&removed["added"], &removed["removed"]), (&json!(0), &json!(2)));
    UdpSocket::bind(at(first)).expect("its address is free again");
    command(&daemon, &["remove", "echo"]).expect_code(65).expect_stderr(&["there is no listener `echo`"]);
    command(&daemon, &["remove", "a"]).expect_code(78).expect_stderr(&["the configuration has no listener"]);
    client.expect_echo(b"as before");
    json(&daemon, &["add", &spec]);
    let told = daemon.reload(1);
    assert!(!told.is_empty());
    daemon.process.wait_for_stderr("reloaded: 2 addresses removed");
    client.expect_echo(b"as before");
    let served = daemon.stop();
    assert_eq!(served.received("echo", "replied"), 2);
}

/// Several at once, by several clients, and a reload between them: each is done as a whole, one after the other.
#[test]
fn requests_that_come_at_once_are_done_one_after_the_other() {
    let first = free_range(&[LOCALHOST], 8, 2200);
    let daemon = echo().serve();
    let clients: Vec<_> = (0..8)
        .map(|n| {
            let raw = Raw::of(&socket(daemon.dir()));
            let spec = format!("127.0.0.1:{}=echo,name=n{n}", first + n);
            std::thread::spawn(move || {
                let mut raw = raw;
                raw.ask(
                    json!({"jsonrpc":"2.0","id":1,"method":"add","params":{"spec":spec}})
                        .to_string()
                        .as_bytes(),
                )
            })
        })
        .collect();
    for client in clients {
        let answer = client.join().unwrap();
        assert_eq!(answer["result"]["added"], 1, "{answer}");
    }
    (0..8).for_each(|n| Client::of(at(first + n)).expect_echo(b"all of them"));
    assert_eq!(json(&daemon, &["status"])["listeners"], 9);
    drop(daemon.stop());
}

/// What comes to a paused listener waits in the kernel, others are served, and everything is answered after it.
#[test]
fn a_paused_listener_is_not_read_and_loses_nothing_that_the_kernel_holds() {
    let daemon = polyport().listen("127.0.0.1:0=echo,name=a").listen("127.0.0.1:0=echo,name=b").serve();
    let (a, b) = (daemon.client(0), daemon.client(1));
    a.expect_echo(b"before");
    // Busy at this very moment, and polled perhaps.
    (0..200).for_each(|_| a.expect_echo(b"busy"));
    assert_eq!(json(&daemon, &["pause", "a"])["addresses"], 1);
    assert_eq!(
        (states(&daemon, "a"), states(&daemon, "b")),
        (json!({ "paused": 1 }), json!({ "serving": 1 }))
    );
    a.send_numbered(50);
    (0..100).for_each(|_| b.expect_echo(b"next door"));
    assert!(a.receive_within(Duration::from_millis(20)).is_none());
    assert_eq!(json(&daemon, &["status", "a"])["entries"][0]["counts"]["received"], 201);
    let text = command(&daemon, &["status"]);
    assert!(text.expect_code(0).stdout.contains("paused 1"), "{}", text.stdout);
    // A reload or other options leave it so.
    json(&daemon, &["set", "a", "reply=same"]);
    json(&daemon, &["reload"]);
    assert_eq!(states(&daemon, "a"), json!({ "paused": 1 }));
    assert_eq!(json(&daemon, &["resume", "a"])["addresses"], 1);
    a.expect_numbered(50);
    a.expect_echo(b"as before");
    for method in ["pause", "resume", "drain"] {
        command(&daemon, &[method, "nobody"])
            .expect_code(65)
            .expect_stderr(&["there is no listener `nobody`"]);
    }
    let served = daemon.stop();
    assert_eq!((served.received("a", "received"), served.received("a", "replied")), (252, 252));
}

/// What lies in the socket is served, what is due leaves, and then it says so; what comes later is not read.
#[test]
fn a_drained_listener_has_sent_everything_and_takes_nothing_new() {
    let daemon =
        polyport().listen("127.0.0.1:0=lossy,name=late,delay=300ms").listen("127.0.0.1:0=echo").serve();
    let client = daemon.client(0);
    client.send_numbered(100);
    let drained = json(&daemon, &["drain", "late", "--within", "50s"]);
    assert_eq!((&drained["drained"], &drained["left"]), (&json!(true), &json!(0)), "{drained}");
    let counts = json(&daemon, &["status", "late"])["entries"][0]["counts"].clone();
    assert_eq!((&counts["sent"], &counts["waiting"]), (&json!(100), &json!(0)), "{counts}");
    client.expect_numbered(100);
    client.send(b"too late");
    daemon.client(1).expect_echo(b"next door");
    assert_eq!(states(&daemon, "late"), json!({ "draining": 1 }));
    assert_eq!(json(&daemon, &["status", "late"])["entries"][0]["counts"]["received"], 100);
    // Then it may go, and nothing is lost by that but what came too late.
    assert_eq!(json(&daemon, &["remove", "late"])["removed"], 1);
    let served = daemon.stop();
    assert_eq!(served.received("late", "replied"), 100);
}

/// A drain is bounded: what is due in an hour is not waited for.
#[test]
fn a_drain_that_takes_too_long_says_so_and_goes_on() {
    let daemon = polyport().listen("127.0.0.1:0=lossy,name=late,delay=50s").serve();
    daemon.client(0).send(b"one");
    wait::until("it waits", || json(&daemon, &["status", "late"])["entries"][0]["counts"]["waiting"] == 1);
    let refused = command(&daemon, &["drain", "late", "--within", "100ms"]);
    refused.expect_code(69).expect_stderr(&["not drained in ", "at 1 address"]);
    let mut raw = Raw::of(&socket(daemon.dir()));
    let ask = json!({"jsonrpc":"2.0","id":1,"method":"drain","params":{"listener":"late","within_ms":0}});
    let answer = raw.ask(ask.to_string().as_bytes());
    assert_eq!(
        (&answer["result"]["drained"], &answer["result"]["left"]),
        (&json!(false), &json!(1)),
        "{answer}"
    );
    let wrong = json!({"jsonrpc":"2.0","id":1,"method":"drain","params":{"listener":"late","within":1}});
    assert_eq!(code(&raw.ask(wrong.to_string().as_bytes())), -32_602);
    drop(daemon.kill());
}
