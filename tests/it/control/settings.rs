//! Settings of a listener that are set while it serves: they count at once, they are told from what was read, and a reload takes
//! them back.

use std::fs;
use std::num::NonZeroU8;
use std::time::Duration;

use polyport_net::{Facts, RecvBatch, SlotLayout, SocketOptions, UdpSocket};
use polyport_tests::{Daemon, wait};
use serde_json::{Value, json};

use super::{Raw, command, json, socket};
use crate::polyport;

fn serve(text: &str) -> Daemon {
    let launch = polyport();
    let etc = launch.dir().join("etc");
    fs::create_dir(&etc).unwrap();
    let file = etc.join("polyport.toml");
    fs::write(&file, text).unwrap();
    launch.arg("-c").arg(&file).serve()
}

fn listen(name: &str, plugin: &str, more: &str) -> String {
    format!("[[listen]]\nname = \"{name}\"\nbind = \"127.0.0.1:0\"\nplugin = \"{plugin}\"\n{more}\n")
}

/// What is served by its configuration, and what of it was set.
#[track_caller]
fn configured(daemon: &Daemon, listener: usize) -> Value {
    let mut raw = Raw::of(&socket(daemon.dir()));
    let answer = raw.ask(br#"{"jsonrpc":"2.0","id":1,"method":"configuration"}"#);
    answer["result"]["entries"][listener].clone()
}

/// TOS and TTL of the answer to a datagram.
#[track_caller]
fn header(daemon: &Daemon) -> (u8, u8) {
    let mut client = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &SocketOptions::default()).unwrap();
    let facts = client.want(Facts { tos: true, hop_limit: true, ..Facts::NONE });
    assert!(facts.tos && facts.hop_limit);
    let to = daemon.addresses()[0];
    let sender = polyport_net::SendMessage {
        to,
        from: None,
        parts: &[std::io::IoSlice::new(b"?")],
        segment: None,
        tos: 0,
        hop_limit: NonZeroU8::new(33),
    };
    polyport_net::SendBatch::new(1).send(&client, &[sender]).unwrap();
    let (layout, mut batch) = (SlotLayout::new(2048, 0), RecvBatch::new(1));
    let mut memory = vec![0; layout.memory(1)];
    wait::until("the answer", || batch.recv(&client, &mut memory, layout, 1).is_ok_and(|n| n > 0));
    let meta = batch.metas().next().unwrap();
    (meta.tos.unwrap(), meta.hop_limit.unwrap())
}

#[test]
fn they_count_at_once_without_another_socket_or_handler_until_a_reload() {
    let mut daemon = serve(&(listen("a", "lossy", "recv_buffer = \"128KiB\"") + &listen("b", "echo", "")));
    let client = daemon.client(0);
    client.expect_echo(b"before");
    assert_eq!(header(&daemon), (0, 64));
    assert_eq!(configured(&daemon, 0)["set"], Value::Null);
    let set = json(&daemon, &["set", "a", "listen.tos=af41", "listen.ttl=9"]);
    assert_eq!(
        (&set["adjusted"], &set["replaced"], &set["reconfigured"]),
        (&json!(1), &json!(0), &json!(0)),
        "{set}"
    );
    assert_eq!(header(&daemon), (0x88, 9));
    // The hops of requests are asked for of the socket that serves.
    json(&daemon, &["set", "a", "reply.ttl=decay", "listen.ttl=200"]);
    assert_eq!(header(&daemon), (0x88, 32));
    // One answer a second, also on loopback, and none of those above.
    json(&daemon, &["set", "a", "reply.rate=1/s", "reply.slip=0", "reply.loopback=counted"]);
    let mut answered = 0;
    for _ in 0..20 {
        client.send(b"much");
        answered += usize::from(client.receive_within(Duration::from_millis(5)).is_some());
    }
    assert!(answered < 20, "{answered}");
    let dropped =
        || json(&daemon, &["status", "a"])["entries"][0]["counts"]["dropped_out"]["rate_limited"].as_u64();
    wait::until("replies above the rate are dropped", || dropped() > Some(0));
    json(&daemon, &["set", "a", "reply.budget=off", "on_fault=exit", "recv_buffer=64KiB", "loss=0%"]);
    client.expect_echo(b"as before");
    let told = configured(&daemon, 0);
    let expected = json!({
        "on_fault": null, "options.loss": null, "recv_buffer": "128KiB", "reply.budget": null, "reply.ttl": null,
        "tos": null, "ttl": null
    });
    assert_eq!(told["set"], expected, "{told}");
    assert_eq!(
        (&told["settings"]["tos"], &told["settings"]["recv_buffer"]),
        (&json!("0x88"), &json!("64KiB"))
    );
    // What is as it was read is set no more.
    json(&daemon, &["set", "a", "recv_buffer=128KiB", "on_fault=restart"]);
    assert_eq!(configured(&daemon, 0)["set"]["recv_buffer"], Value::Null);
    let plan = command(&daemon, &["plan", "-c", daemon.dir().join("etc/polyport.toml").to_str().unwrap()]);
    let stdout = &plan.expect_code(0).stdout;
    assert!(
        stdout.contains("tos 0x88 -> (default) (was set)")
            && stdout.contains("options.loss 0% -> (default) (was set)"),
        "{stdout}"
    );
    let counts = json(&daemon, &["status", "a"])["entries"][0]["counts"].clone();
    assert_eq!(counts["restarts"], 0, "{counts}");
    assert!(daemon.reload(1).contains("reloaded: 1 address changed"));
    assert_eq!(configured(&daemon, 0)["set"], Value::Null);
    assert_eq!(header(&daemon), (0, 64));
    drop(daemon.stop());
}

#[test]
fn a_relay_may_have_fewer_sessions_from_now_on() {
    let daemon = serve(
        &(listen("server", "echo", "") + &listen("relay", "relay", "options = { to = \"127.0.0.1:9\" }")),
    );
    let to = daemon.addresses()[0];
    json(&daemon, &["set", "relay", &format!("to={to}"), "listen.sessions=1"]);
    daemon.client(1).expect_echo(b"the first");
    daemon.client(1).send(b"one too many");
    let entry = || json(&daemon, &["status"])["entries"][1].clone();
    wait::until("both have come", || entry()["counts"]["received"] == 2);
    assert_eq!(entry()["sessions"]["opened"], 1);
    let set = json(&daemon, &["set", "relay", "listen.sessions=2"]);
    assert_eq!(set["adjusted"], 1, "{set}");
    daemon.client(1).expect_echo(b"there is room again");
    assert_eq!(
        configured(&daemon, 1)["set"]["sessions"],
        Value::Null,
        "by default there is no bound of its own"
    );
    assert!(configured(&daemon, 1)["set"].as_object().unwrap().contains_key("sessions"));
    drop(daemon.stop());
}

/// What is no setting, and what takes another socket or a restart, is refused in words, and nothing of the request is done.
#[test]
fn what_cannot_be_set_is_said_with_what_does_it() {
    let daemon = serve(&(listen("a", "echo", "share = true") + &listen("b", "echo", "")));
    for (key, words) in [
        ("name=c", &["set a name:1:1", "write another one down, and reload"][..]),
        (
            "bind=127.0.0.1:7",
            &["set a bind:1:1", "another address is another socket: `add` it and `remove` this one"],
        ),
        ("limits.spin=0s", &["`limits` is about the whole daemon", "only a restart changes it"]),
        ("grace=1s", &["`grace` is about the whole daemon", "a reload changes it"]),
        ("tos=1", &["did you mean the setting `listen.tos`?"]),
        ("on_fault=never", &["set a on_fault:1:10", "expected"]),
        ("listen.device=nowhere0", &["this system has no interface"]),
        ("join=239.1.2.3", &["cannot be heard here"]),
        ("reply.prefix=1", &["set a reply.prefix:1:14"]),
    ] {
        // The setting beside it is good.
        command(&daemon, &["set", "a", "listen.ttl=9", key])
            .expect_code(78)
            .expect_stderr(&[words, &["not set: 1 problem", "^"]].concat());
    }
    assert_eq!((configured(&daemon, 0)["set"].clone(), header(&daemon)), (Value::Null, (0, 64)));
    drop(daemon.stop());
}
