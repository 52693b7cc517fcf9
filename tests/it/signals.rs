//! Signals: which end the daemon in order, and which must not end it at all. R43; what SIGHUP reloads is in `reload.rs`.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use polyport_tests::bare::terminal;
use polyport_tests::client::Client;
use polyport_tests::plugins::repository;
use polyport_tests::ports::free_range;
use polyport_tests::tool::{make_pipe, tool};
use polyport_tests::{Launch, wait};
use rustix::process::Signal;

use super::recordings::packets;
use crate::polyport;

const RECORDED: usize = 50;

/// A daemon that echoes, and one that records into `file` beside it.
fn recording(launch: Launch, file: &Path) -> Launch {
    let record = format!("127.0.0.1:0=listener,ack=true,leisure=0s,record=pcapng,file={}", file.display());
    launch.listen("127.0.0.1:0=echo").listen(record)
}

#[test]
fn sigterm_ends_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("heard.pcapng");
    let daemon = recording(polyport(), &file).serve();
    let client = daemon.client(1);
    (0..RECORDED).for_each(|_| assert_eq!(client.ask(b"hear me"), b"ack"));
    let served = daemon.stop_by(Signal::TERM);
    assert_eq!(served.counted("listener", "recorded_total"), 2 * RECORDED as u64);
    assert_eq!(packets(&file), 2 * RECORDED as u64, "with the answers");
}

/// C10: a terminal that closes must not cost the books or the recording, and nobody else would end the daemon.
#[test]
fn a_sighup_of_a_terminal_that_is_gone_ends_it_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("heard.pcapng");
    let (person, program) = terminal();
    let port = free_range(&[std::net::Ipv4Addr::LOCALHOST.into()], 1, 7_900);
    let record =
        format!("127.0.0.1:{port}=listener,ack=true,leisure=0s,record=pcapng,file={}", file.display());
    let log = File::create(dir.path().join("log")).unwrap();
    let mut daemon = polyport().listen(record).bare(program, log);
    let client = Client::of(([127, 0, 0, 1], port).into());
    let log_holds = |words: &str| fs::read_to_string(dir.path().join("log")).unwrap().contains(words);
    wait::until("the service", || log_holds("served by"));
    assert_eq!(client.ask(b"hear me"), b"ack");
    daemon.signal(Signal::HUP);
    assert_eq!(client.ask(b"still there"), b"ack", "the terminal is there");
    drop(person);
    assert!(daemon.end_by(Signal::HUP).code().is_some(), "it ended by itself");
    assert!(packets(&file) >= 4, "the recording is whole");
    assert!(log_holds("the terminal has gone (SIGHUP)"));
}

/// Shells and service managers send several; there is nothing to be reloaded any more.
#[test]
fn a_sighup_while_it_ends_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    if !make_pipe(&pipe) {
        return;
    }
    // The end waits for its reader, so that there is time for the next signal.
    let _sleeps = File::options().read(true).write(true).open(&pipe).unwrap();
    let daemon = recording(polyport(), &pipe).serve();
    let (echo, heard) = (daemon.client(0), daemon.client(1));
    (0..3).for_each(|_| assert_eq!(heard.ask(&[b'x'; 10_000].repeat(4)), b"ack"));
    daemon.process.signal(Signal::TERM);
    wait::until("the end of the service", || {
        echo.send(b"still there?");
        echo.receive_within(Duration::from_millis(50)).is_none()
    });
    (0..2).for_each(|_| daemon.process.signal(Signal::HUP));
    let finished = daemon.process.finish();
    finished.expect_code(0);
    assert!(finished.stdout.contains("\nserved:\n"), "{}", finished.stdout);
}

/// A later signal does not wait for what the first one waits for.
#[test]
fn a_second_sigint_ends_it_at_once_but_not_in_the_same_moment() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    if !make_pipe(&pipe) {
        return;
    }
    let _sleeps = File::options().read(true).write(true).open(&pipe).unwrap();
    let daemon = recording(polyport(), &pipe).serve();
    let heard = daemon.client(1);
    (0..3).for_each(|_| assert_eq!(heard.ask(&[b'x'; 10_000].repeat(4)), b"ack"));
    let mut process = daemon.process;
    wait::until("the end", || {
        process.signal(Signal::INT);
        process.has_ended()
    });
    let finished = process.finish();
    finished.expect_code(130);
    assert!(!finished.stdout.contains("served:"), "{}", finished.stdout);
}

/// `nohup(1)` says that a terminal that closes is no reason to end; the signal is as good as any to ask for a reload.
#[test]
fn who_starts_it_with_sighup_ignored_can_reload_it() {
    let program = env!("CARGO_BIN_EXE_polyport-under-test");
    let launch = polyport().replaced_by("sh").arg("-c").arg("trap '' HUP; exec \"$0\" \"$@\"").arg(program);
    let mut daemon = launch.listen("127.0.0.1:0=echo").serve();
    daemon.process.signal(Signal::HUP);
    daemon.process.wait_for_stderr("reloaded: nothing has changed");
    daemon.client(0).expect_echo(b"still here");
    assert_eq!(daemon.stop().received("echo", "replied"), 1);
}

#[test]
fn signals_that_mean_nothing_are_told_once_and_ignored() {
    let mut daemon = polyport().listen("127.0.0.1:0=echo").serve();
    for (signal, name) in [(Signal::USR1, "SIGUSR1"), (Signal::USR2, "SIGUSR2"), (Signal::USR1, "SIGUSR1")] {
        daemon.process.signal(signal);
        daemon.process.wait_for_stderr(&format!("warn: {name} means nothing yet and is ignored\n"));
    }
    daemon.process.signal(Signal::PIPE);
    daemon.process.signal(Signal::XFSZ);
    daemon.client(0).expect_echo(b"still here");
    let finished = daemon.stop().finished;
    assert_eq!(finished.stderr.matches("means nothing yet").count(), 2, "{}", finished.stderr);
}

/// R43: each signal interrupts what it finds, and costs no datagram.
#[test]
fn a_storm_of_signals_costs_nothing() {
    const SIGNALS: u32 = 10_000;
    let Some(python) = tool("python3") else { return };
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    let script = repository().join("tests/it/storm.py");
    let mut storm = std::process::Command::new(python);
    let mut storm = storm.arg(script).args([daemon.pid(), SIGNALS.to_string()]).spawn().unwrap();
    let client = daemon.client(0);
    let mut asked = 0;
    wait::until("the end of the storm", || {
        for _ in 0..100 {
            client.expect_echo(b"in the storm");
        }
        asked += 100;
        storm.try_wait().unwrap().is_some()
    });
    assert!(storm.wait().unwrap().success());
    let served = daemon.stop();
    assert_eq!(served.received("echo", "replied"), asked);
    assert_eq!(served.finished.logged().len(), 3, "{}", served.finished.stderr);
}
