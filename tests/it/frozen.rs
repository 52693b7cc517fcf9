//! The plugins of frozen versions of the ABI (`tests/it/abi`): each is compiled against the header that it was written for, or
//! brings its structs along, and the polyport of today loads it and serves by it. What a plugin of a later version finds is
//! tried with the same source.
//!
//! What is refused for other reasons is in `refused.rs`; that the header and the Rust crate of today agree, in
//! `abi_layout.rs`.

mod headers;

use std::env::consts::DLL_SUFFIX;
use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use polyport_abi::ABI_MINOR;
use polyport_tests::plugins::{compile_c, repository, spec};
use polyport_tests::process::Finished;
use polyport_tests::tool::tool;
use polyport_tests::{Client, DEADLINE, Daemon};
use serde_json::{Value, json};

use crate::polyport;

const CONFIG: i32 = 78;

/// The directory of what is kept of a version.
fn kept(version: &str) -> PathBuf {
    repository().join("tests/it/abi").join(version)
}

/// The C plugin of a version, against the header beside it.
fn in_c(version: &str, flags: &[&str], dir: &Path) -> Option<PathBuf> {
    compile_c(&kept(version).join("plugin.c"), &[&["-pthread"], flags].concat(), dir, "frozen")
}

/// The Rust plugin of a version, which knows no crate of ours. What later compilers warn of is nobody's to mend.
fn in_rust(version: &str, dir: &Path) -> Option<PathBuf> {
    let library = dir.join(format!("frozen{DLL_SUFFIX}"));
    let mut command = Command::new(tool("rustc")?);
    command.args(["--crate-type", "cdylib", "--edition", "2024", "--cap-lints", "allow", "-o"]);
    let output = command.arg(&library).arg(kept(version).join("plugin.rs")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::set_permissions(&library, fs::Permissions::from_mode(0o755)).unwrap();
    Some(library)
}

#[track_caller]
fn says(client: &Client, word: &str) -> String {
    String::from_utf8(client.ask(word.as_bytes())).unwrap()
}

/// What `plugin inspect` reads from the file and, with `--run`, hears from an instance.
fn inspected(library: &Path, flags: &[&str]) -> Value {
    let finished = polyport().args(&["plugin", "inspect", "--json"]).args(flags).arg(library).run();
    serde_json::from_str(&finished.expect_code(0).stdout).unwrap()
}

fn checked(spec: &str) -> Finished {
    polyport().arg("check").listen(spec).run()
}

/// Breaks the handler by a datagram, and waits for the next.
fn break_and_come_back(daemon: &mut Daemon, client: &Client) {
    client.send(b"break");
    daemon.process.wait_for_stderr("the handler is back");
}

#[test]
fn a_c_plugin_of_1_0_is_served_with_all_that_it_uses() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = in_c("1.0", &[], dir.path()) else { return };
    let options = ",name=old,on=false,count=3,factor=-1.5,part=50%,wait=2ms,room=1KiB,text=hello,colour=blue,\
                   peer=10.0.0.7:53,key=secret";
    let mut daemon = polyport().listen(spec("127.0.0.1:0", &library) + options).serve();
    let client = daemon.client(0);
    assert_eq!(says(&client, "options"), "0 3 -1.5 0.5 2000000 1024 hello 1 53:10.7  6");
    assert_eq!(says(&client, "why"), "0L");
    client.expect_echo(b"");
    client.expect_echo(&[b'x'; 1400]);
    client.expect_echo(b"later");
    client.expect_echo(b"error");
    assert_eq!(says(&client, "timer"), "timer");
    assert_eq!(says(&client, "send"), "sent");
    client.send(b"flush");
    assert_eq!([client.receive(), client.receive()], [b"flush", b"flush"]);
    client.send(b"drop");
    client.send(b"log");
    daemon.process.wait_for_stderr("a line of 1.0");
    break_and_come_back(&mut daemon, &client);
    assert_eq!(says(&client, "why"), "1L");
    let served = daemon.stop();
    // `break` was not counted as a word, and the counter has outlived the instance.
    assert_eq!((served.counted("old", "words_total"), served.counted("old", "longest_bytes")), (10, 1400));
    let books = ["received", "replied", "consumed", "dropped"].map(|what| served.received("old", what));
    // Consumed: timer, send, log. Dropped: drop, break.
    assert_eq!(books, [13, 8, 3, 2], "{}", served.line("old"));
    assert_eq!((served.sent("old", "sent"), served.counted("old", "faults")), (11, 1));
}

#[test]
fn a_c_plugin_of_1_0_is_checked_and_inspected() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = in_c("1.0", &[], dir.path()) else { return };
    let listen = spec("127.0.0.1:0", &library);
    checked(&listen).expect_code(0);
    // By the bounds of the table, and by the plugin's own `check`, at the option that it names.
    checked(&(listen.clone() + ",count=10")).expect_code(CONFIG).expect_stderr(&["out of bounds: 1 to 9"]);
    let refused = checked(&(listen + ",room=2"));
    refused.expect_code(CONFIG).expect_stderr(&["more than there is room for", "count"]);

    let seen = inspected(&library, &["--run"]);
    for (key, value) in [
        ("loadable", json!(true)),
        ("abi", json!("1.0")),
        ("oldest_host", json!("1.0")),
        ("instance", json!("address")),
        ("functions", json!(["create", "destroy", "on_batch", "on_timer", "check", "reconfigure", "save"])),
    ] {
        assert_eq!(seen[key], value, "{key}: {seen}");
    }
    let types: Vec<&str> =
        seen["options"].as_array().unwrap().iter().map(|o| o["type"].as_str().unwrap()).collect();
    let all = [
        "boolean",
        "integer",
        "number",
        "ratio",
        "duration",
        "size",
        "text",
        "word",
        "address",
        "any value",
        "text",
    ];
    assert_eq!(types, all);
    let ran = seen["run"].to_string();
    assert!(ran.contains("words_total") && ran.contains("longest_bytes"), "{ran}");
}

#[test]
fn a_rust_plugin_of_1_0_is_served_checked_and_inspected() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = in_rust("1.0", dir.path()) else { return };
    let listen = spec("127.0.0.1:0", &library) + ",name=old,part=12.5%,wait=3ms";
    checked(&listen).expect_code(0);
    let seen = inspected(&library, &[]);
    assert_eq!(
        (&seen["name"], &seen["abi"], &seen["loadable"]),
        (&json!("frozen-rust"), &json!("1.0"), &json!(true))
    );

    let daemon = polyport().listen(listen).serve();
    let client = daemon.client(0);
    assert_eq!(says(&client, "options"), "0.125 3000000");
    client.expect_echo(b"later");
    client.expect_echo(b"anything else");
    assert_eq!(says(&client, "timer"), "timer");
    client.send(b"drop");
    client.expect_echo(b"the last");
    let served = daemon.stop();
    assert_eq!(served.counted("old", "words_total"), 4);
    let books = ["received", "replied", "consumed", "dropped"].map(|what| served.received("old", what));
    assert_eq!(books, [6, 4, 1, 1], "{}", served.line("old"));
    assert_eq!(served.sent("old", "sent"), 5);
    assert!(!served.finished.stderr.contains("was built for"), "{}", served.finished.stderr);
}

/// A server that the plugins of 1.3 relay to.
fn upstream() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

/// Sends one datagram through the relay and back.
#[track_caller]
fn relay(client: &Client, upstream: &UdpSocket) {
    let mut buffer = [0; 64];
    client.send(b"relay this");
    let (len, from) = upstream.recv_from(&mut buffer).expect("what was relayed");
    assert_eq!(&buffer[..len], b"relay this");
    upstream.send_to(b"and back", from).unwrap();
    assert_eq!(client.receive(), b"and back");
}

/// A daemon with the C plugin of 1.3 at two addresses of one listener.
#[cfg(target_os = "linux")]
fn two_addresses(library: &Path, upstream: &UdpSocket) -> Daemon {
    let to = upstream.local_addr().unwrap();
    let toml = format!(
        "[[listen]]\nname = 'new'\nbind = ['127.0.0.1:0', '127.0.0.2:0']\nplugin = '{}'\n\
         options = {{ to = ['{to}', '10.0.0.1:7'], weights = [3, 9], wait = '2ms' }}\n",
        library.display()
    );
    polyport().config(&toml).serve()
}

/// All of what came with 1.1 to 1.3, by a plugin that knows no more than the header that is kept.
#[cfg(target_os = "linux")]
fn serves_all_of_1_3(library: &Path) -> (Daemon, UdpSocket) {
    let upstream = upstream();
    let mut daemon = two_addresses(library, &upstream);
    let client = daemon.client(0);
    let port = upstream.local_addr().unwrap().port();
    assert_eq!(says(&client, "options"), format!("{port} 7 3 9 2000000"));
    assert_eq!(says(&client, "made"), "2 + 0 0 ");
    assert_eq!(says(&client, "facts"), "++ 0");
    for word in ["whole", "delay", "anything else"] {
        client.expect_echo(word.as_bytes());
    }
    assert_eq!(says(&client, "ask"), "woken");
    assert_eq!(says(&client, "refusal"), "own listener");
    assert_eq!(says(&client, "group"), "+");

    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.send_to(b"by", daemon.addresses()[0]).unwrap();
    let mut buffer = [0; 64];
    let (len, from) = socket.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..len], from), (&b"by the last"[..], daemon.addresses()[1]));

    relay(&client, &upstream);
    break_and_come_back(&mut daemon, &client);
    assert_eq!(says(&client, "made"), "2 + 1 13 kept");
    // The session was kept by the next instance.
    relay(&client, &upstream);
    assert_eq!(says(&client, "close"), "+");
    (daemon, upstream)
}

#[cfg(target_os = "linux")]
#[test]
fn a_c_plugin_of_1_3_is_served_with_all_that_it_uses() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = in_c("1.3", &[], dir.path()) else { return };
    let (daemon, _upstream) = serves_all_of_1_3(&library);
    // The end of a session is told before anything is shown that came later.
    assert_eq!(says(&daemon.client(0), "made"), "2 + 1 13 kept");
    let served = daemon.stop();
    assert_eq!(served.counted("new", "ended_total"), 1, "{}", served.finished.stdout);
    assert!(served.counted("new", "words_total") >= 13, "{}", served.finished.stdout);
    assert_eq!((served.counted("new", "faults"), served.received("new", "poison")), (1, 1));
    assert!(!served.finished.stderr.contains("was built for"), "{}", served.finished.stderr);
}

#[test]
fn a_rust_plugin_of_1_3_is_served_checked_and_inspected() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = in_rust("1.3", dir.path()) else { return };
    let upstream = upstream();
    let listen = format!("{},name=new,to={}", spec("127.0.0.1:0", &library), upstream.local_addr().unwrap());
    checked(&listen).expect_code(0);
    let seen = inspected(&library, &[]);
    assert_eq!((&seen["abi"], &seen["oldest_host"]), (&json!("1.3"), &json!("1.3")));
    assert_eq!(
        seen["functions"],
        json!(["create", "destroy", "on_batch", "on_session", "rescue", "on_wake"])
    );

    let mut daemon = polyport().listen(listen).serve();
    let client = daemon.client(0);
    assert_eq!(says(&client, "state"), "0 true 0 ");
    assert_eq!(says(&client, "ask"), "woken");
    client.expect_echo(b"anything else");
    relay(&client, &upstream);
    break_and_come_back(&mut daemon, &client);
    assert_eq!(says(&client, "state"), "1 true 13 kept by Rust");
    let served = daemon.stop();
    assert_eq!((served.counted("new", "words_total"), served.received("new", "poison")), (6, 1));
    assert_eq!((served.counted("new", "tickets"), served.counted("new", "answered")), (1, 1));
}

/// It is served with what this host has, and the operator is told that it could do more.
#[cfg(target_os = "linux")]
#[test]
fn a_plugin_for_a_later_minor_that_works_with_this_one_is_served_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let needs = format!("-DNEEDS={ABI_MINOR}");
    // A longer table, too: the functions that this host does not know are never called, they would abort. And a bit
    // that means nothing yet.
    let Some(library) = in_c("1.3", &["-DCLAIM=7", &needs, "-DLONGER", "-DNEW_BIT=0x40000000u"], dir.path())
    else {
        return;
    };
    let (daemon, _upstream) = serves_all_of_1_3(&library);
    let told =
        format!("plugin frozen-c 1.3.0 was built for plugin ABI 1.7, this polyport offers 1.{ABI_MINOR}");
    let served = daemon.stop();
    // Once, not for each address or instance.
    assert_eq!(served.finished.stderr.matches(&told).count(), 1, "{}", served.finished.stderr);

    let seen = inspected(&library, &[]);
    assert_eq!((&seen["abi"], &seen["loadable"]), (&json!("1.7"), &json!(true)));
    assert_eq!(
        seen["functions"],
        json!(["create", "destroy", "on_batch", "on_session", "rescue", "on_wake"])
    );
    checked(&(spec("127.0.0.1:0", &library) + ",to=127.0.0.1:9")).expect_code(0).expect_stderr(&[&told]);
}

/// I8, with a control: the same library runs where it needs no more than there is.
#[test]
fn a_plugin_that_needs_a_later_minor_is_refused_before_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let marker = dir.path().join("code-ran");
    let held = UdpSocket::bind("127.0.0.1:0").unwrap();
    let listen = |library: &Path| spec(held.local_addr().unwrap(), library) + ",to=127.0.0.1:9";
    let flags = ["-DCLAIM=7", "-DNEEDS=5", "-DMARKED"];
    let Some(library) = in_c("1.3", &flags, dir.path()) else { return };
    let words = [
        &format!("plugin frozen-c 1.3.0 needs plugin ABI 1.5 or later, this polyport has 1.{ABI_MINOR}"),
        "upgrade polyport",
    ];
    let refused = polyport().env("POLYPORT_TEST_MARKER", &marker).listen(listen(&library)).refused(CONFIG);
    refused.expect_stderr(&words);
    let refused = polyport().arg("check").env("POLYPORT_TEST_MARKER", &marker).listen(listen(&library)).run();
    refused.expect_code(CONFIG).expect_stderr(&words);
    let seen = polyport().args(&["plugin", "inspect", "--json"]).arg(&library).run();
    let seen: Value = serde_json::from_str(&seen.expect_code(CONFIG).stdout).unwrap();
    assert!(seen["why_not"].as_str().unwrap().contains("needs plugin ABI 1.5"), "{seen}");
    assert!(!marker.exists(), "code of a refused library ran");

    let control = in_c("1.3", &["-DCLAIM=7", "-DMARKED"], dir.path()).unwrap();
    let check = polyport().arg("check").env("POLYPORT_TEST_MARKER", &marker).listen(listen(&control)).run();
    check.expect_code(0);
    assert!(marker.exists(), "code of an accepted library runs");
}

#[test]
fn an_option_of_a_later_type_is_refused_when_the_plugin_is_loaded() {
    let dir = tempfile::tempdir().unwrap();
    // Alone, and as the type of elements.
    for (flag, number) in
        [("-DODD_OPTION=11u", 11), ("-DODD_OPTION=0x10Bu", 0x10B), ("-DODD_OPTION=0x201u", 0x201)]
    {
        let Some(library) = in_c("1.3", &["-DCLAIM=7", flag], dir.path()) else { return };
        let refused = polyport().listen(spec("127.0.0.1:0", &library) + ",to=127.0.0.1:9").refused(CONFIG);
        refused.expect_stderr(&[
            &format!("option odd has type {number}, which this polyport does not know"),
            &library.display().to_string(),
        ]);
    }
}
