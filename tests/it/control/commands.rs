//! What the commands do, each with the real program on both sides.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};

use polyport_tests::plugins::{compile_c, fixture, spec};
use polyport_tests::ports::free_range;
use polyport_tests::wait;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{HELLO, Raw, STATUS, code, command, echo, json, socket};
use crate::polyport;

fn sum(drops: &Value) -> u64 {
    drops.as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum()
}

#[track_caller]
fn adds_up(counts: &Value) {
    let n = |name: &str| counts[name].as_u64().unwrap();
    assert_eq!(
        n("received"),
        n("replied") + n("consumed") + n("kept") + sum(&counts["dropped_in"]),
        "{counts}"
    );
    assert_eq!(n("queued"), n("sent") + n("waiting") + sum(&counts["dropped_out"]), "{counts}");
}

#[test]
fn status_says_what_is_served_and_what_was_counted() {
    let launch = polyport().config(
        "[[listen]]\nname = \"a\"\nbind = [\"127.0.0.1:0\", \"[::1]:0\"]\nplugin = \"echo\"\n\
         [[listen]]\nname = \"b\"\nbind = \"127.0.0.1:0\"\nplugin = \"lossy\"\noptions = { loss = \"100%\" }\n",
    );
    let config = launch.dir().join("polyport.toml");
    let daemon = launch.serve();
    (0..3).for_each(|n| daemon.client(0).send_numbered(n));
    daemon.client(1).expect_echo(b"six");
    daemon.client(2).send(b"lost");
    wait::until("all are counted", || json(&daemon, &["status"])["total"]["received"] == 5);
    let status = json(&daemon, &["status"]);
    assert_eq!(status["polyport"], 1);
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["pid"], daemon.process.pid().as_raw_nonzero().get());
    assert_eq!(status["source"], config.to_str().unwrap());
    assert_eq!((&status["listeners"], &status["addresses"]), (&json!(2), &json!(3)));
    assert_eq!((&status["next"], &status["log_level"]), (&Value::Null, &json!("info")));
    let entries = status["entries"].as_array().unwrap();
    let told: Vec<_> = entries.iter().map(|e| (&e["name"], &e["plugin"], &e["addresses"])).collect();
    assert_eq!(told, [(&json!("a"), &json!("echo"), &json!(2)), (&json!("b"), &json!("lossy"), &json!(1))]);
    assert_eq!((&entries[0]["counts"]["replied"], &entries[1]["counts"]["replied"]), (&json!(4), &json!(0)));
    assert_eq!(entries[1]["counts"]["dropped_in"], json!({ "on_purpose": 1 }));
    assert_eq!(entries[1]["metrics"]["datagrams_total"], 1);
    entries.iter().for_each(|entry| adds_up(&entry["counts"]));
    adds_up(&status["total"]);
    let text = command(&daemon, &["status"]);
    let text = &text.expect_code(0).stdout;
    for word in ["2 listeners on 3 addresses", "on_purpose 1", "127.0.0.1:", "lossy", "total"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let served = daemon.stop();
    assert_eq!(served.received("a", "replied"), 4);
}

/// Of thousands of addresses each page is bounded, and all pages together have all.
#[test]
fn a_status_comes_in_pages() {
    let hosts: Vec<IpAddr> = (1..=30).map(|n| Ipv4Addr::new(127, 0, 7, n).into()).collect();
    let first = free_range(&hosts, 50, 0);
    let tables: String = (0..30)
        .map(|n| format!("[[listen]]\nname = \"l{n}\"\nbind = \"127.0.0.1:0\"\nplugin = \"echo\"\n"))
        .collect();
    let ranges: Vec<String> = hosts.iter().map(|ip| format!("\"{ip}:{first}-{}\"", first + 49)).collect();
    let range = ranges.join(", ");
    let all = format!("{tables}[[listen]]\nname = \"range\"\nbind = [{range}]\nplugin = \"echo\"\n");
    let daemon = polyport().config(&all).serve();
    let mut names = Vec::new();
    let mut offset = Some(0);
    while let Some(at) = offset {
        let page = json(&daemon, &["status", "--limit", "7", "--offset", &at.to_string()]);
        let entries = page["entries"].as_array().unwrap();
        assert!(entries.len() <= 7 && page["addresses"] == 1530, "{page}");
        names.extend(entries.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()));
        offset = page["next"].as_u64();
    }
    let expected: Vec<String> = (0..30).map(|n| format!("l{n}")).chain(["range".to_owned()]).collect();
    assert_eq!(names, expected);
    let page = json(&daemon, &["status", "range", "--limit", "5000"]);
    let entries = page["entries"].as_array().unwrap();
    assert_eq!((entries.len(), &page["next"]), (1000, &json!(1000)));
    assert_eq!(entries[999]["bind"], json!([format!("127.0.7.20:{}", first + 49)]));
    let rest = json(&daemon, &["status", "range", "--limit", "1000", "--offset", "1000"]);
    assert_eq!((rest["entries"].as_array().unwrap().len(), &rest["next"]), (500, &Value::Null));
    let beyond = json(&daemon, &["status", "--offset", "99999"]);
    assert_eq!((&beyond["entries"], &beyond["next"]), (&json!([]), &Value::Null));
    let nobody = command(&daemon, &["status", "nobody"]);
    nobody.expect_code(65).expect_stderr(&["there is no listener `nobody`"]);
    drop(daemon.stop());
}

#[test]
fn a_reload_says_what_has_changed_or_what_is_wrong() {
    let text = |loss: &str| {
        format!("[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"lossy\"\noptions = {{ loss = \"{loss}\" }}\n")
    };
    let launch = polyport();
    let etc = launch.dir().join("etc");
    fs::create_dir(&etc).unwrap();
    let file = etc.join("polyport.toml");
    fs::write(&file, text("0%")).unwrap();
    let mut daemon = launch.arg("-c").arg(&file).serve();
    daemon.client(0).expect_echo(b"before");
    let same = command(&daemon, &["reload"]);
    assert!(same.expect_code(0).stdout.starts_with("reloaded: nothing has changed, in "), "{}", same.stdout);
    fs::write(&file, text("100%")).unwrap();
    let changed = json(&daemon, &["reload"]);
    assert_eq!(
        (&changed["reconfigured"], &changed["replaced"], &changed["adjusted"]),
        (&json!(1), &json!(0), &json!(0))
    );
    assert_eq!(changed["summary"], "1 address changed");
    fs::write(&file, text("much")).unwrap();
    let wrong = command(&daemon, &["reload"]);
    wrong.expect_code(78).expect_stderr(&[
        "polyport.toml:4:20",
        "^^^^^^ this value",
        "not reloaded: 1 problem",
    ]);
    let wrong = command(&daemon, &["reload", "--json"]);
    let wrong: Value = serde_json::from_str(&wrong.expect_code(78).stdout).unwrap();
    let data = &wrong["error"]["data"];
    assert_eq!((code(&wrong), &data["total"], &data["problems"][0]["line"]), (-32_010, &json!(1), &json!(4)));
    assert!(data["text"].as_str().unwrap().contains("^^^^^^ this value"), "{data}");
    // The log has it as well.
    daemon.process.wait_for_stderr_times("not reloaded: 1 problem", 2);
    fs::write(&file, text("0%")).unwrap();
    command(&daemon, &["reload"]).expect_code(0);
    daemon.client(0).expect_echo(b"again");
    drop(daemon.stop());
}

/// Each is refused with its place, by the command and in the log, and nothing is served otherwise (R45).
#[test]
fn twenty_broken_configurations_change_nothing() {
    let good = "[[listen]]\nname = \"a\"\nbind = \"127.0.0.1:0\"\nplugin = \"lossy\"\n";
    let second =
        |line: &str| format!("{good}[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"echo\"\n{line}\n");
    let first = |line: &str| format!("{good}{line}\n");
    // The line that is to blame.
    let broken = [
        ("[[listen]".to_owned(), 1),
        ("seed = -1\n".to_owned() + good, 1),
        ("seed = \"x\"\n".to_owned() + good, 1),
        ("control = 7\n".to_owned() + good, 1),
        ("colour = true\n".to_owned() + good, 1),
        ("[limits]\nvisit_datagrams = 0\n".to_owned() + good, 2),
        ("[limits]\nvist_datagrams = 1\n".to_owned() + good, 2),
        ("[sandbox]\nseccomp = \"maybe\"\n".to_owned() + good, 2),
        (first("options = { loss = \"101%\" }"), 5),
        (first("options = { loss = \"much\" }"), 5),
        (first("options = { los = \"1%\" }"), 5),
        (first("options = 7"), 5),
        (first("on_fault = \"explode\""), 5),
        (first("recv_buffer = \"1TiB\""), 5),
        (first("reply = { budgte = true }"), 5),
        (good.replace("127.0.0.1:0", "127.0.0.1:99999"), 3),
        (good.replace("lossy", "no-such-plugin"), 4),
        (second("name = \"a\""), 8),
        (second("join = \"127.0.0.1\""), 8),
        (second("sessions = -1"), 8),
        (second("").replace("127.0.0.1:0\"\nplugin = \"echo", "192.0.2.1:7\"\nplugin = \"echo"), 6),
    ];
    let launch = polyport();
    let etc = launch.dir().join("etc");
    fs::create_dir(&etc).unwrap();
    let file = etc.join("polyport.toml");
    fs::write(&file, good).unwrap();
    let daemon = launch.arg("-c").arg(&file).serve();
    for (n, (text, line)) in broken.iter().enumerate() {
        fs::write(&file, text).unwrap();
        let refused = command(&daemon, &["reload", "--json"]);
        let refused: Value = serde_json::from_str(&refused.expect_code(78).stdout).unwrap();
        let data = &refused["error"]["data"];
        let lines: Vec<_> = data["problems"].as_array().unwrap().iter().map(|p| p["line"].as_u64()).collect();
        assert!(lines.contains(&Some(*line)), "{text}\n{data}");
        assert!(data["text"].as_str().unwrap().contains('^'), "{data}");
        daemon.client(0).expect_echo(format!("{n}").as_bytes());
    }
    fs::write(&file, good).unwrap();
    assert!(command(&daemon, &["reload"]).expect_code(0).stdout.contains("nothing has changed"));
    assert_eq!(daemon.stop().received("a", "replied"), broken.len() as u64);
}

/// Of thousands of problems a hundred are told, and how many there are.
#[test]
fn of_many_problems_a_reload_tells_the_first() {
    let launch = polyport();
    let etc = launch.dir().join("etc");
    fs::create_dir(&etc).unwrap();
    let file = etc.join("polyport.toml");
    fs::write(&file, "[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"echo\"\n").unwrap();
    let daemon = launch.arg("-c").arg(&file).serve();
    let wrong: String =
        (0..1000).map(|n| format!("[[listen]]\nname = \"n{n}\"\nbind = 7\nplugin = \"echo\"\n")).collect();
    fs::write(&file, wrong).unwrap();
    let refused = command(&daemon, &["reload", "--json"]);
    let refused: Value = serde_json::from_str(&refused.expect_code(78).stdout).unwrap();
    let data = &refused["error"]["data"];
    assert_eq!((&data["total"], data["problems"].as_array().unwrap().len()), (&json!(1000), 100));
    assert!(data["text"].as_str().unwrap().contains("and 900 more problems"));
    daemon.client(0).expect_echo(b"as before");
    drop(daemon.stop());
}

/// Only that listener, without a handler made anew, and until the configuration is read again.
#[test]
fn set_changes_options_of_one_listener_until_the_next_reload() {
    let table =
        |name: &str| format!("[[listen]]\nname = \"{name}\"\nbind = \"127.0.0.1:0\"\nplugin = \"lossy\"\n");
    let launch = polyport();
    let etc = launch.dir().join("etc");
    fs::create_dir(&etc).unwrap();
    let file = etc.join("polyport.toml");
    let text = table("a") + "options = { loss = \"0%\" }\n" + &table("b") + &table("c");
    fs::write(&file, &text).unwrap();
    let mut daemon = launch.arg("-c").arg(&file).serve();
    (0..3).for_each(|row| daemon.client(row).expect_echo(b"before"));
    // What was written meanwhile is for a reload, and not for this.
    fs::write(&file, text.replace("\"c\"\n", "\"c\"\non_fault = \"exit\"\n")).unwrap();
    let set = command(&daemon, &["set", "a", "loss=100%", "delay=1ms"]);
    let told = &set.expect_code(0).stdout;
    assert!(
        told.starts_with("set: 1 address changed, in ") && told.ends_with("the next reload takes it back\n"),
        "{told}"
    );
    daemon.process.wait_for_stderr("listener a: `delay`, `loss` set (control socket)");
    daemon.client(0).send(b"lost");
    daemon.client(1).expect_echo(b"as before");
    let again = json(&daemon, &["set", "a", "loss=99.9%"]);
    assert_eq!(again["reconfigured"], 1, "{again}");
    for (words, code, told) in [
        (&["set", "a", "loss=much"][..], 78, "set a loss:1:6"),
        (&["set", "a", "los=1%"], 78, "set a los:1:1"),
        (&["set", "nobody", "loss=1%"], 65, "there is no listener `nobody`"),
        (&["set", "a", "loss"], 64, "expected KEY=VALUE"),
        (&["set", "a"], 64, "KEY=VALUE"),
    ] {
        let refused = command(&daemon, words);
        refused.expect_code(code).expect_stderr(&[told]);
    }
    daemon.process.wait_for_stderr("not set: 1 problem; everything is served as before");
    let counted = json(&daemon, &["status", "a"]);
    assert_eq!(counted["entries"][0]["counts"]["restarts"], 0);
    assert!(command(&daemon, &["reload"]).expect_code(0).stdout.starts_with("reloaded: 2 addresses changed"));
    (0..3).for_each(|row| daemon.client(row).expect_echo(b"again"));
    drop(daemon.stop());
}

/// A secret does not come into the log or an answer, whether it is taken or not.
#[test]
fn a_secret_that_is_set_is_shown_nowhere() {
    let mut daemon = polyport().listen("127.0.0.1:0=responder").serve();
    let set = command(&daemon, &["set", "responder", "key=5ec4e75ec4e75ec4"]);
    assert!(!format!("{}{}", set.stdout, set.stderr).contains("5ec4e7"), "{}", set.stderr);
    let set = command(&daemon, &["set", "responder", "key=5ec4e7?"]);
    assert!(!format!("{}{}", set.expect_code(78).stdout, set.stderr).contains("5ec4e7"), "{}", set.stderr);
    let set = command(&daemon, &["set", "responder", "kye=5ec4e75ec4e75ec4"]);
    assert!(!format!("{}{}", set.expect_code(78).stdout, set.stderr).contains("5ec4e7"), "{}", set.stderr);
    daemon.process.wait_for_stderr_times("not set: 1 problem", 2);
    assert!(!daemon.process.stderr().contains("5ec4e7"), "{}", daemon.process.stderr());
    drop(daemon.stop());
}

#[test]
fn the_level_of_the_log_is_changed_while_it_runs() {
    let mut daemon = echo().serve();
    daemon.client(0).expect_echo(b"quietly");
    assert_eq!(command(&daemon, &["log-level"]).expect_code(0).stdout, "info\n");
    assert_eq!(command(&daemon, &["log-level", "trace"]).expect_code(0).stdout, "trace\n");
    daemon.client(0).expect_echo(b"with a line");
    daemon.process.wait_for_stderr("replied");
    assert_eq!(json(&daemon, &["log-level", "warn"]), json!({ "level": "warn" }));
    assert_eq!(json(&daemon, &["status"])["log_level"], "warn");
    command(&daemon, &["log-level", "loud"]).expect_code(64);
    let before = daemon.process.stderr().len();
    command(&daemon, &["reload"]).expect_code(0);
    daemon.process.signal(Signal::TERM);
    let finished = daemon.process.finish();
    assert!(!finished.expect_code(0).stderr[before..].contains("info: "), "{}", finished.stderr);
}

#[test]
fn stop_ends_it_in_order_and_waits_for_the_end() {
    let daemon = echo().serve();
    let socket = socket(daemon.dir());
    daemon.client(0).expect_echo(b"before");
    let stopped = command(&daemon, &["stop"]);
    assert_eq!(stopped.expect_code(0).stdout, "stopped\n");
    assert!(!socket.exists());
    let finished = daemon.process.finish();
    let stdout = &finished.expect_code(0).stdout;
    assert!(stdout.contains("received 1 = replied 1"), "{stdout}");
}

/// The thread of the socket does not wait for the loop: a daemon whose handler does not return says who it is, that it
/// cannot take more requests, and ends.
#[test]
fn a_loop_that_is_stuck_can_be_asked_to_end() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = compile_c(&fixture("dies"), &[], dir.path(), "dies") else { return };
    let mut daemon = polyport().listen(spec("127.0.0.1:0", &library)).serve();
    let path = socket(daemon.dir());
    daemon.client(0).send(b"loop");
    daemon.process.wait_for_stderr("on_batch has not returned for ");
    let mut waiting: Vec<Raw> = (0..9).map(|_| Raw::of(&path)).collect();
    for raw in &mut waiting {
        raw.send(STATUS);
        raw.send(b"\n");
    }
    // Eight wait, whichever they are.
    let mut told = None;
    wait::until("one of nine is told so", || {
        told = waiting.iter_mut().find_map(Raw::try_receive);
        told.is_some()
    });
    assert_eq!(code(&told.unwrap()), -32_000);
    assert_eq!(Raw::of(&path).ask(HELLO)["result"]["polyport"], 1);
    let stopped = command(&daemon, &["stop"]);
    stopped.expect_code(0);
    daemon.process.finish().expect_code(70);
}

#[test]
fn without_a_daemon_a_command_says_where_it_looked() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = dir.path().join("s");
    for words in [&["status"][..], &["reload"], &["stop"], &["log-level"]] {
        let finished = super::command_at(&nowhere, words);
        finished.expect_code(69).expect_stderr(&[nowhere.to_str().unwrap(), "no daemon answers"]);
    }
    let launch = polyport();
    let place = launch.runtime_dir().join("control.sock");
    let finished = launch.env("XDG_RUNTIME_DIR", dir.path()).env("TMPDIR", dir.path()).arg("status").run();
    // A daemon of the system may be there, or what a killed one has left behind.
    let is_left_behind = finished.stderr.contains("no daemon answers on /run/polyport/control.sock");
    if finished.code() == Some(69) && !is_left_behind {
        finished.expect_stderr(&[place.to_str().unwrap(), "--control PATH"]);
    }
    polyport().args(&["status", "--control", "off"]).run().expect_code(64);
}

#[test]
fn while_it_ends_the_status_is_told_and_changes_are_refused_at_once() {
    let mut daemon =
        polyport().args(&["--grace", "1h"]).listen("127.0.0.1:0=lossy,delay=60s,name=far").serve();
    daemon.client(0).send(b"in a minute");
    daemon.wait_until_drained(0);
    command(&daemon, &["log-level", "info"]).expect_code(0);
    daemon.process.signal(Signal::TERM);
    daemon.process.wait_for_stderr("ending: ");
    for change in [&["reload"][..], &["set", "far", "delay=1s"]] {
        command(&daemon, change).expect_code(69).expect_stderr(&["the daemon ends"]);
    }
    assert_eq!(json(&daemon, &["status"])["total"]["received"], 1);
}
