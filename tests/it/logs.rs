//! What is written while it serves: nothing for a datagram by default, one escaped line for each when asked.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use polyport_tests::plugins::{compile_c, fixture, repository, spec};
use polyport_tests::ports::free_range;
use polyport_tests::process::Process;
use polyport_tests::tool::{skip, tool};
use polyport_tests::{Client, Daemon, wait};
use rustix::process::Signal;

use crate::polyport;

#[test]
fn at_the_default_level_datagrams_leave_no_line() {
    let daemon = polyport().listen("127.0.0.1:0=echo").listen("127.0.0.1:0=lossy,drop=100%").serve();
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
        polyport().arg("-vv").listen("127.0.0.1:0=echo").listen("127.0.0.1:0=lossy,drop=100%").serve();
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
