//! The end in order: nothing new is taken, what is due within the grace leaves, and the rest has a reason. C24, R43.

use std::fs;
use std::net::UdpSocket;
use std::time::Duration;

use polyport_tests::plugins::{compile_c, fixture, spec};
use polyport_tests::{Daemon, wait};
use rustix::process::Signal;

use crate::polyport;

/// How long is listened for what must not come, once the daemon has ended.
const QUIET: Duration = Duration::from_millis(50);

/// Asks it to end, and returns when it says that it waits for something.
fn end_begins(daemon: &mut Daemon) {
    daemon.process.signal(Signal::TERM);
    daemon.process.wait_for_stderr("ending: ");
}

#[test]
fn what_is_due_in_time_is_sent_and_nothing_new_is_taken() {
    const SENT: usize = 20;
    let mut daemon =
        polyport().listen("127.0.0.1:0=lossy,delay=1s,name=far").listen("127.0.0.1:0=echo").serve();
    let (far, echo) = (daemon.client(0), daemon.client(1));
    (0..SENT).for_each(|_| far.send(b"answered in a second"));
    daemon.wait_until_drained(0);
    end_begins(&mut daemon);
    far.send(b"too late");
    echo.send(b"too late");
    (0..SENT).for_each(|_| assert_eq!(far.receive(), b"answered in a second"));
    let served = daemon.ended();
    served.finished.expect_stderr(&["ending: waiting to be sent: 20 datagrams"]);
    assert_eq!((served.received("far", "received"), served.sent("far", "sent")), (20, 20));
    assert!(!served.line("far").contains("stopping"), "{}", served.line("far"));
    assert_eq!(served.received("echo", "received"), 0);
    assert_eq!((far.receive_within(QUIET), echo.receive_within(QUIET)), (None, None));
}

/// What lies in the sockets when the signal comes has arrived.
#[test]
fn what_the_kernel_has_queued_is_served() {
    const SENT: usize = 100;
    let daemon = polyport().listen("127.0.0.1:0=echo").listen("[::1]:0=echo").serve();
    let clients = [daemon.client(0), daemon.client(1)];
    daemon.process.freeze();
    clients.iter().for_each(|client| (0..SENT).for_each(|_| client.send(b"before the signal")));
    daemon.process.signal(Signal::TERM);
    daemon.process.thaw();
    clients.iter().for_each(|client| {
        (0..SENT).for_each(|_| assert_eq!(client.receive(), b"before the signal"));
    });
    let served = daemon.ended();
    assert!(!served.finished.stderr.contains("ending: "), "{}", served.finished.stderr);
}

#[test]
fn what_is_not_due_in_time_is_dropped_and_waited_for_by_nobody() {
    let daemon = polyport()
        .listen("127.0.0.1:0=lossy,delay=60s,name=far")
        .listen("127.0.0.1:0=lossy,delay=50ms,name=near")
        .serve();
    let (far, near) = (daemon.client(0), daemon.client(1));
    (0..10).for_each(|_| {
        far.send(b"never");
        near.send(b"soon");
    });
    daemon.wait_until_drained(0);
    let served = daemon.stop_by(Signal::TERM);
    (0..10).for_each(|_| assert_eq!(near.receive(), b"soon"));
    assert_eq!((served.sent("far", "stopping"), served.sent("near", "sent")), (10, 10));
}

#[test]
fn without_grace_it_ends_at_once() {
    let daemon = polyport().args(&["--grace", "0s"]).listen("127.0.0.1:0=lossy,delay=1s,name=far").serve();
    let client = daemon.client(0);
    (0..10).for_each(|_| client.send(b"never"));
    daemon.wait_until_drained(0);
    let served = daemon.stop_by(Signal::TERM);
    assert_eq!((served.sent("far", "stopping"), served.finished.stderr.contains("ending: ")), (10, false));
}

#[test]
fn the_grace_is_a_key_of_the_file_and_a_reload_changes_it() {
    let text = |grace: &str| {
        format!(
            "grace = \"{grace}\"\n\n[[listen]]\nname = \"far\"\nbind = \"127.0.0.1:0\"\nplugin = \"lossy\"\n\
             options = {{ delay = \"1s\" }}\n"
        )
    };
    let launch = polyport();
    let file = launch.dir().join("grace.toml");
    fs::write(&file, text("0s")).unwrap();
    let mut daemon = launch.arg("-c").arg(&file).serve();
    fs::write(&file, text("1m")).unwrap();
    daemon.process.signal(Signal::HUP);
    daemon.process.wait_for_stderr("reloaded: nothing has changed but grace, which is 60s now, in ");
    let client = daemon.client(0);
    (0..10).for_each(|_| client.send(b"a second"));
    daemon.wait_until_drained(0);
    let served = daemon.stop_by(Signal::TERM);
    assert_eq!(served.sent("far", "sent"), 10, "{}", served.finished.stderr);
}

#[test]
fn a_grace_that_is_none_is_refused() {
    for (grace, words) in
        [("2h", "expected 0ns to 3600s"), ("5", "a duration needs its unit, such as 5ms or 5s")]
    {
        let refused = polyport().args(&["run", "--grace", grace]).listen("127.0.0.1:0=echo").refused(64);
        refused.expect_stderr(&[words]);
    }
    let refused = polyport().config("grace = 5\n\n[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"echo\"\n");
    refused.refused(78).expect_stderr(&["`grace`", "a duration needs its unit, such as \"5ms\""]);
}

#[test]
fn a_second_signal_does_not_wait_for_what_is_due() {
    let mut daemon =
        polyport().args(&["--grace", "1h"]).listen("127.0.0.1:0=lossy,delay=60s,name=far").serve();
    daemon.client(0).send(b"in a minute");
    daemon.wait_until_drained(0);
    end_begins(&mut daemon);
    let mut process = daemon.process;
    wait::until("the end", || {
        process.signal(Signal::TERM);
        process.has_ended()
    });
    let finished = process.finish();
    finished.expect_code(130);
    assert!(!finished.stdout.contains("served:"), "{}", finished.stdout);
}

/// The server answers when the relay is asked to end already.
#[test]
fn answers_to_a_relay_that_are_on_their_way_are_waited_for() {
    let upstream = UdpSocket::bind("127.0.0.1:0").unwrap();
    upstream.set_read_timeout(Some(polyport_tests::DEADLINE)).unwrap();
    let to = upstream.local_addr().unwrap();
    let daemon = polyport().listen(format!("127.0.0.1:0=relay,to={to},name=relay")).serve();
    let client = daemon.client(0);
    client.send(b"are you there?");
    let mut buffer = [0; 100];
    let (len, session) = upstream.recv_from(&mut buffer).unwrap();
    daemon.process.freeze();
    daemon.process.signal(Signal::TERM);
    upstream.send_to(buffer.get(..len).unwrap(), session).unwrap();
    daemon.process.thaw();
    assert_eq!(client.receive(), b"are you there?");
    assert_eq!(daemon.ended().received("relay", "replied"), 1);
}

/// The watchdog ends it although the time for the end is not over, and a datagram of another listener waits.
#[test]
fn a_handler_that_hangs_during_the_end_does_not_hold_it() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = compile_c(&fixture("dies"), &[], dir.path(), "dies") else { return };
    let daemon = polyport()
        .args(&["--grace", "1h"])
        .listen(spec("127.0.0.1:0", &library))
        .listen("127.0.0.1:0=lossy,delay=60s,name=far")
        .serve();
    let (mortal, far) = (daemon.client(0), daemon.client(1));
    far.send(b"in a minute");
    daemon.wait_until_drained(1);
    daemon.process.freeze();
    mortal.send(b"sleep");
    daemon.process.signal(Signal::TERM);
    daemon.process.thaw();
    let finished = daemon.process.finish();
    finished.expect_code(70).expect_stderr(&["on_batch has not returned for ", "it ends without its books"]);
}
