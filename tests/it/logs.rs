//! What is written while it serves: nothing for a datagram by default, one escaped line for each when asked.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::MetadataExt;
#[cfg(target_os = "linux")]
use std::process::Command;
use std::time::Duration;

#[cfg(target_os = "linux")]
use polyport_tests::plugins::repository;
use polyport_tests::plugins::{compile_c, fixture, spec};
use polyport_tests::ports::free_range;
use polyport_tests::process::Process;
#[cfg(target_os = "linux")]
use polyport_tests::tool::{skip, tool};
use polyport_tests::{Client, Daemon, wait};
use rustix::process::Signal;

use crate::polyport;

#[test]
fn at_the_default_level_datagrams_leave_no_line() {
    let daemon = polyport().listen("127.0.0.1:0=echo").listen("127.0.0.1:0=lossy,loss=100%").serve();
    let (echo, lossy) = (daemon.client(0), daemon.client(1));
    for _ in 0..50 {
        lossy.send(b"this text shall not be logged");
        echo.expect_echo(b"this text shall not be logged");
    }
    let finished = daemon.stop().finished;
    assert!(!finished.stderr.contains("shall not be logged"), "{}", finished.stderr);
    // One line a listener at the start, which says who serves it.
    assert_eq!(finished.logged().len(), 2, "{}", finished.stderr);
    assert_eq!(finished.stderr.matches("served by ").count(), 2, "{}", finished.stderr);
}

#[test]
fn a_filter_of_errors_leaves_only_those_of_the_log() {
    let daemon = polyport().env("POLYPORT_LOG", "polyport=error").listen("127.0.0.1:0=echo").serve();
    daemon.client(0).expect_echo(b"hush");
    assert_eq!(daemon.stop().finished.stderr, "");
}

/// C21: neither a table at the start nor books at the end.
#[test]
fn quiet_leaves_only_errors() {
    let port = free_range(&[IpAddr::V4(Ipv4Addr::LOCALHOST)], 1, 7180);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let spec = format!("{address}=echo");
    let mut launch = polyport().arg("-q").listen(&spec);
    let process = Process::spawn(launch.command());
    wait::until("it is bound", || UdpSocket::bind(address).is_err());
    Client::of(address).expect_echo(b"hush");
    process.signal(Signal::TERM);
    let finished = process.finish();
    finished.expect_code(0);
    assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("", ""));
    let check = polyport().arg("check").arg("-q").listen(spec).run();
    check.expect_code(0);
    assert_eq!((check.stdout.as_str(), check.stderr.as_str()), ("", ""));
    let refused = polyport().arg("-q").listen("127.0.0.1:0=ehco").refused(78);
    refused.expect_stderr(&["error: listener `ehco`: the plugin cannot be found"]);
}

/// A range of ports is a line, not one a port.
#[test]
fn who_serves_a_range_is_one_line() {
    let port = free_range(&[IpAddr::V4(Ipv4Addr::LOCALHOST)], 50, 7190);
    let daemon = polyport().listen(format!("127.0.0.1:{port}-{}=echo", port + 49)).serve();
    let logged = daemon.stop().finished.stderr;
    let told =
        format!("info: listener echo 127.0.0.1:{port}-{}: 50 addresses served by echo 0.1.0\n", port + 49);
    assert!(logged.ends_with(&told) && logged.lines().count() == 1, "{logged}");
}

#[test]
fn with_vv_every_datagram_is_a_line_with_its_verdict() {
    let mut daemon =
        polyport().arg("-vv").listen("127.0.0.1:0=echo").listen("127.0.0.1:0=lossy,loss=100%").serve();
    let (echo, lossy) = (daemon.client(0), daemon.client(1));
    echo.expect_echo(b"hello");
    lossy.send(b"goodbye");
    let (at_echo, at_lossy) = (daemon.addresses()[0], daemon.addresses()[1]);
    let answered = format!(" echo {at_echo}: {} says 'hello': replied 5 bytes\n", echo.local());
    let dropped = format!(" lossy {at_lossy}: {} says 'goodbye': dropped on purpose\n", lossy.local());
    daemon.process.wait_for_stderr(&answered);
    daemon.process.wait_for_stderr(&dropped);
    drop(daemon.stop());
}

#[test]
fn whatever_a_stranger_sends_stays_one_line_without_control_characters() {
    let mut daemon = polyport().arg("-vv").listen("127.0.0.1:0=echo").serve();
    let client = daemon.client(0);
    client.expect_echo(b"two\nlines\x1b[2J\r\0\x07 \xff\xfe and \xe2\x80\xae the end");
    daemon.process.wait_for_stderr(" the end': replied 35 bytes\n");
    let text = daemon.process.stderr();
    let line = text.lines().find(|line| line.contains(" says '")).unwrap();
    assert!(
        line.contains("says 'two\\nlines\\u{1b}[2J\\r\\u{0}\\u{7} \\xff\\xfe and \\u{202e} the end'"),
        "{line}"
    );
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
}

#[test]
fn a_long_datagram_is_shown_by_its_beginning() {
    let mut daemon = polyport().arg("-vv").listen("127.0.0.1:0=echo").serve();
    daemon.client(0).expect_echo(&vec![b'x'; 60_000]);
    daemon.process.wait_for_stderr("x...': replied 60000 bytes\n");
    let longest = daemon.process.stderr().lines().map(str::len).max().unwrap();
    assert!(longest < 1000, "{longest}");
}

/// Where its handler is told to write more than anybody wants to read.
fn talkative(filter: &str) -> Option<(Daemon, tempfile::TempDir)> {
    let dir = tempfile::tempdir().unwrap();
    let library = compile_c(&fixture("talkative"), &[], dir.path(), "talkative")?;
    let launch = polyport().env("POLYPORT_LOG", filter).listen(spec("127.0.0.1:0", &library));
    Some((launch.serve(), dir))
}

/// A call sees one moment, so its 200 lines fall into one second, and those of a call in a later one into another.
#[test]
fn of_a_flood_of_lines_fifty_a_second_are_written_and_the_rest_is_counted() {
    const MORE_THAN_A_SECOND: Duration = Duration::from_millis(1100);
    let Some((daemon, _dir)) = talkative("polyport=info") else { return };
    let client = daemon.client(0);
    client.expect_echo(b"info");
    assert_eq!(client.receive_within(MORE_THAN_A_SECOND), None);
    client.expect_echo(b"info");
    let text = daemon.stop().finished.stderr;
    let (first, second) = text.split_once(": 150 lines left out\n").expect("it says how many were left out");
    assert!(second.ends_with(": 150 lines left out\n"), "at the end no other line comes to say it: {second}");
    for part in [first, second] {
        assert_eq!(part.matches(": word number ").count(), 50, "{part}");
        assert!(part.contains("word number 0 ") && part.contains("word number 49 "), "{part}");
    }
}

/// Who asks for such lines wants all of them.
#[test]
fn a_flood_of_debug_lines_is_not_limited() {
    let Some((daemon, _dir)) = talkative("polyport=debug") else { return };
    daemon.client(0).expect_echo(b"debug");
    let text = daemon.stop().finished.stderr;
    assert_eq!(text.matches(": whisper number ").count(), 200, "{text}");
    assert!(!text.contains("left out"), "{text}");
}

#[test]
fn a_long_line_of_a_handler_is_cut() {
    const LONGEST: usize = 4096;
    let Some((daemon, _dir)) = talkative("polyport=info") else { return };
    daemon.client(0).expect_echo(b"long");
    let text = daemon.stop().finished.stderr;
    assert_eq!(text.matches('~').count(), LONGEST);
    assert!(text.contains(&("~".repeat(LONGEST) + "\n")), "in one line, and nothing behind it");
}

#[test]
fn the_filter_of_the_environment_can_ask_for_datagrams_alone() {
    let launch = polyport().env("POLYPORT_LOG", "polyport::datagram=trace");
    let mut daemon = launch.listen("127.0.0.1:0=echo").serve();
    daemon.client(0).expect_echo(b"hello");
    daemon.process.wait_for_stderr("says 'hello': replied 5 bytes");
}

/// R22: nobody can be answered at port 0, and who sends from there may want a flood of errors.
#[cfg(target_os = "linux")]
#[test]
fn datagrams_from_source_port_zero_are_dropped_counted_and_not_logged() {
    const COUNT: u64 = 500;
    let Some(python) = tool("python3") else { return };
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    let port = daemon.addresses()[0].port().to_string();
    let script = repository().join("tests/it/odd_sources.py");
    let sent = Process::spawn(Command::new(python).arg(script).args([&port, &COUNT.to_string()])).finish();
    if sent.stderr.contains("PermissionError") {
        skip("raw sockets need CAP_NET_RAW");
        return;
    }
    sent.expect_code(0);
    assert_eq!(daemon.client(0).ask_until_answered(b"the next one", 10), b"the next one");
    let served = daemon.stop();
    // What did not fit the socket's queue is the kernel's loss.
    let dropped = served.received("echo", "source_port_zero");
    assert!((1..=COUNT).contains(&dropped), "{}", served.line("echo"));
    assert_eq!(served.received("echo", "received"), dropped + served.received("echo", "replied"));
    assert_eq!(served.finished.logged().len(), 1, "{}", served.finished.stderr);
}

/// The lines of a log, each of which is an object.
#[track_caller]
fn objects(log: &str) -> Vec<serde_json::Value> {
    let object = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    log.lines().map(object).collect()
}

#[test]
fn as_json_every_line_is_an_object_that_says_which_listener_it_is_about() {
    let mut daemon =
        polyport().args(&["-vv", "--log-format", "json"]).listen("127.0.0.1:0=echo,name=near").serve();
    let (client, address) = (daemon.client(0), daemon.addresses()[0]);
    client.expect_echo(b"two\nlines \"quoted\"\x1b[2J\r\0\x7f \xff and \xe2\x80\xae\xc2\x85 the end");
    daemon.process.wait_for_stderr(" the end': replied ");
    daemon.process.signal(Signal::USR1);
    daemon.process.wait_for_stderr("status: waiting: ");
    let finished = daemon.stop().finished;
    assert!(!finished.stderr.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'));
    let objects = objects(&finished.stderr);
    for object in &objects {
        let text = |key: &str| object[key].as_str().unwrap_or_else(|| panic!("{key} of {object}"));
        let ts = text("ts");
        assert!(ts.len() == "2026-01-01T00:00:00.000Z".len() && ts.ends_with('Z'), "{object}");
        assert!(["error", "warn", "info", "debug", "trace"].contains(&text("level")), "{object}");
        assert!(text("target").starts_with("polyport") && !text("message").is_empty(), "{object}");
    }
    let of = |words: &str| {
        let found = objects.iter().find(|object| object["message"].as_str().unwrap().contains(words));
        found.unwrap_or_else(|| panic!("{words}: {}", finished.stderr)).clone()
    };
    let served = of("served by echo");
    assert_eq!((&served["level"], &served["listener"]), (&"info".into(), &"near".into()));
    assert_eq!(served["address"], address.to_string());
    let datagram = of(" the end'");
    assert_eq!((&datagram["level"], &datagram["target"]), (&"trace".into(), &"polyport::datagram".into()));
    let shown = r#"says 'two\nlines \"quoted\"\u{1b}[2J\r\u{0}\u{7f} \xff and \u{202e}\u{85} the end'"#;
    assert!(datagram["message"].as_str().unwrap().contains(shown), "{datagram}");
    assert!(of("status: waiting: ").get("listener").is_none());
}

#[test]
fn what_is_refused_is_an_object_as_well_and_the_environment_may_ask_for_it() {
    let launch = || polyport().env("POLYPORT_LOG_FORMAT", "json").listen("127.0.0.1:0=ehco");
    let refused = launch().refused(78);
    let objects = objects(&refused.stderr);
    assert_eq!((objects.len(), &objects[0]["level"]), (1, &"error".into()));
    let message = objects[0]["message"].as_str().unwrap();
    assert!(
        message.starts_with("error: listener `ehco`: the plugin cannot be found") && message.contains('\n'),
        "{message}"
    );
    let refused = launch().args(&["--log-format", "text"]).refused(78);
    refused.expect_stderr(&["error: listener `ehco`: the plugin cannot be found\n"]);
    let wrong = polyport().env("POLYPORT_LOG_FORMAT", "yaml").listen("127.0.0.1:0=echo").refused(64);
    wrong.expect_stderr(&["invalid value 'yaml' for '--log-format <text|json>'"]);
    let wrong = polyport().args(&["run", "--log-format", "yaml"]).listen("127.0.0.1:0=echo").refused(64);
    wrong.expect_stderr(&["invalid value '...' for '--log-format <text|json>'"]);
}

/// As `systemd.exec(5)` has it: the device and the inode of the stream are in the environment; a stream that is led elsewhere is another one.
#[test]
fn lines_to_the_journal_begin_with_their_priority_and_have_no_time() {
    let run = |stream: fn(&std::fs::Metadata) -> String, spec: &str, args: &[&str]| {
        let log = tempfile::NamedTempFile::new().unwrap();
        let stream = stream(&log.as_file().metadata().unwrap());
        let launch = polyport().env("JOURNAL_STREAM", stream).args(args).listen(spec);
        let mut process = launch.bare(std::process::Stdio::null(), log.reopen().unwrap());
        let read = || std::fs::read_to_string(log.path()).unwrap();
        wait::until("a line", || read().ends_with('\n'));
        process.end_by(Signal::TERM);
        read()
    };
    let this = |metadata: &std::fs::Metadata| format!("{}:{}", metadata.dev(), metadata.ino());
    let other = |metadata: &std::fs::Metadata| format!("{}:{}", metadata.dev(), metadata.ino() + 1);
    let served = run(this, "127.0.0.1:0=echo", &[]);
    assert!(served.starts_with("<6>listener echo 127.0.0.1:") && served.lines().count() == 1, "{served}");
    let refused = run(this, "127.0.0.1:0=ehco", &[]);
    assert!(refused.starts_with("<3>error: listener `ehco`"), "{refused}");
    assert!(refused.lines().count() > 1 && refused.lines().all(|line| line.starts_with("<3>")), "{refused}");
    let led_elsewhere = run(other, "127.0.0.1:0=echo", &[]);
    assert!(led_elsewhere.contains("Z info: listener echo "), "{led_elsewhere}");
    let json = run(this, "127.0.0.1:0=echo", &["--log-format", "json"]);
    assert_eq!(objects(&json).len(), 1, "{json}");
}

/// Two addresses of one listener, and another listener: each reason is told once of each listener, however often it is met.
#[cfg(target_os = "linux")]
#[test]
fn the_first_drop_of_a_reason_at_a_listener_is_one_warning() {
    const SENT: u64 = 50;
    let port = free_range(&[IpAddr::V4(Ipv4Addr::LOCALHOST)], 2, 7200);
    let mut daemon = polyport()
        .args(&["--grace", "0s"])
        .config(&format!(
            "[limits]\ndelayed_datagrams = 8\n\n\
             [[listen]]\nname = \"far\"\nbind = \"127.0.0.1:{port}-{}\"\nplugin = \"lossy\"\noptions = {{ delay = \"60s\" }}\n\n\
             [[listen]]\nname = \"further\"\nbind = \"127.0.0.1:0\"\nplugin = \"lossy\"\noptions = {{ delay = \"60s\" }}\n",
            port + 1
        ))
        .serve();
    let clients = [port, port + 1, daemon.addresses()[1].port()]
        .map(|port| Client::of(SocketAddr::from((Ipv4Addr::LOCALHOST, port))));
    for _ in 0..2 {
        clients.iter().for_each(|client| (0..SENT / 2).for_each(|_| client.send(b"in a minute")));
        for listener in ["far", "further"] {
            daemon.process.wait_for_stderr(&format!("warn: listener {listener} 127.0.0.1:"));
        }
    }
    [0, 1].into_iter().for_each(|row| daemon.wait_until_drained(row));
    let served = daemon.stop();
    assert!(served.sent("far", "delay_full") > 8 && served.sent("further", "delay_full") > 8);
    let told = served.finished.stderr.matches(" dropped (delay_full): too many delayed datagrams; ").count();
    assert_eq!(told, 2, "{}", served.finished.stderr);
}
