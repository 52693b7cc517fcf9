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
fn a_signal_that_means_nothing_is_told_once_and_ignored() {
    let mut daemon = polyport().listen("127.0.0.1:0=echo").serve();
    for signal in [Signal::USR2, Signal::PIPE, Signal::XFSZ, Signal::USR2] {
        daemon.process.signal(signal);
        daemon.client(0).expect_echo(b"still here");
    }
    daemon.process.wait_for_stderr("warn: SIGUSR2 means nothing yet and is ignored\n");
    let finished = daemon.stop().finished;
    assert_eq!(finished.stderr.matches("means nothing yet").count(), 1, "{}", finished.stderr);
}

/// The lines of the log that tell how it goes.
fn status(stderr: &str) -> Vec<&str> {
    stderr.lines().filter_map(|line| line.split_once(" info: status: ")).map(|(_, line)| line).collect()
}

#[test]
fn sigusr1_tells_the_log_how_it_goes() {
    let first = free_range(&[std::net::Ipv4Addr::LOCALHOST.into()], 100, 7_910);
    let mut daemon = polyport()
        .args(&["--grace", "0s"])
        .listen(format!("127.0.0.1:{first}-{}=echo,name=many", first + 99))
        .listen("127.0.0.1:0=lossy,delay=60s,name=far")
        .serve();
    let (many, far) = (Client::of(([127, 0, 0, 1], first + 42).into()), daemon.client(1));
    (0..5).for_each(|_| many.expect_echo(b"hello"));
    (0..3).for_each(|_| far.send(b"in a minute"));
    daemon.wait_until_drained(1);
    wait::until("all of it counted", || {
        daemon.process.signal(Signal::USR1);
        daemon.process.try_wait_for_stderr("status: busiest: listener far ")
    });
    let stderr = daemon.process.stderr().to_owned();
    let lines = status(&stderr);
    let last = lines.iter().rposition(|line| line.starts_with("polyport ")).unwrap();
    let lines = lines[last..].to_vec();
    let far_address = daemon.addresses()[1];
    let expected = [
        "received 8 = replied 8 + consumed 0 + dropped 0; replies 8 = sent 5 + dropped 0 + waiting 3; kernel drops 0".to_owned(),
        "bytes received 58, sent 25; handler faults 0, restarts 0".to_owned(),
        "waiting: delayed 3 (33 bytes), backlogs 0 bytes, tickets 0".to_owned(),
        format!(
            "busiest: listener many 127.0.0.1:{} (plugin echo): received 5, replied 5, sent 5, waiting 0, dropped 0",
            first + 42
        ),
        format!(
            "busiest: listener far {far_address} (plugin lossy): received 3, replied 3, sent 0, waiting 3, dropped 0"
        ),
    ];
    assert_eq!(lines[1..], expected, "{stderr}");
    assert!(
        lines[0].contains(", 2 listeners with 101 addresses, ") && lines[0].ends_with(" MiB of memory"),
        "{stderr}"
    );
    drop(daemon.stop());
}

/// A start takes its time, and whoever asks meanwhile is told when it is over.
#[test]
fn sigusr1_before_the_start_is_over_does_not_end_it() {
    let mut launch = polyport().listen("127.0.0.1:0=echo").listen("127.0.0.1:0=echo,name=other");
    let mut process = polyport_tests::process::Process::spawn(launch.command());
    let caught = || {
        let path = format!("/proc/{}/status", process.pid().as_raw_nonzero());
        let text = fs::read_to_string(path).unwrap();
        let mask = text.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim().to_owned();
        u64::from_str_radix(&mask, 16).unwrap() >> (libc::SIGUSR1 - 1) & 1 == 1
    };
    wait::until("the handler of the signal", caught);
    process.signal(Signal::USR1);
    process.signal(Signal::USR2);
    process.wait_for_stderr("info: status: polyport ");
    process.signal(Signal::TERM);
    process.finish().expect_code(0);
}

/// R43: each signal interrupts what it finds, and costs no datagram.
#[test]
#[expect(clippy::disallowed_methods, reason = "so many lines a second are allowed")]
fn a_storm_of_signals_costs_nothing() {
    const SIGNALS: u32 = 10_000;
    let Some(python) = tool("python3") else { return };
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    let script = repository().join("tests/it/storm.py");
    let mut storm = std::process::Command::new(python);
    let mut storm = storm.arg(script).args([daemon.pid(), SIGNALS.to_string()]).spawn().unwrap();
    let client = daemon.client(0);
    let (mut asked, began) = (0, std::time::Instant::now());
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
    let stderr = &served.finished.stderr;
    assert_eq!(stderr.matches("SIGUSR2 means nothing yet").count(), 1, "{stderr}");
    // One status a second at most, of a few lines each.
    let (lines, seconds) = (status(stderr), usize::try_from(began.elapsed().as_secs()).unwrap());
    let times = lines.iter().filter(|line| line.starts_with("polyport ")).count();
    assert!((1..=seconds + 2).contains(&times) && lines.len() <= 10 * times, "{seconds} s: {stderr}");
}
