//! Handlers that threads wake, and answers in later calls: from the right address, in the books, and nothing that a handler
//! can make up.

use polyport_tests::plugins::{compile_c, fixture, spec};
use polyport_tests::{Daemon, wait};

use crate::polyport;

fn wakes(listeners: usize) -> Option<(Daemon, tempfile::TempDir)> {
    let dir = tempfile::tempdir().unwrap();
    let library = compile_c(&fixture("wakes"), &["-pthread"], dir.path(), "wakes")?;
    let listen = |launch: polyport_tests::Launch, n| {
        launch.listen(spec("127.0.0.1:0", &library) + &format!(",name=wakes{n}"))
    };
    let launch = (0..listeners).fold(polyport(), listen).listen("127.0.0.1:0=echo,name=neighbour");
    Some((launch.serve(), dir))
}

/// 80,000 wakes of eight threads: the last is never lost, and the calls are no more than the wakes.
#[test]
fn a_storm_of_wakes_ends_in_a_call_that_sees_all_of_it() {
    let Some((daemon, _dir)) = wakes(1) else { return };
    let answer = daemon.client(0).ask(b"storm");
    let [calls, failed] = [0, 4].map(|at| u32::from_ne_bytes(answer[at..at + 4].try_into().unwrap()));
    assert_eq!(failed, 0);
    assert!((1..=80_008).contains(&calls), "{calls}");
    daemon.client(1).expect_echo(b"meanwhile");
    let served = daemon.stop();
    assert_eq!((served.received("wakes0", "consumed"), served.sent("wakes0", "sent")), (1, 1));
    assert_eq!((served.counted("wakes0", "tickets"), served.counted("wakes0", "answered")), (1, 1));
}

#[test]
fn a_thread_that_wakes_an_instance_which_is_gone_is_told_so_for_ever() {
    let Some((mut daemon, _dir)) = wakes(1) else { return };
    let client = daemon.client(0);
    client.send(b"fatal");
    daemon.process.wait_for_stderr("the handler is back");
    wait::until("the thread was told", || client.ask(b"late") == b"+");
    assert_eq!(daemon.stop().counted("wakes0", "faults"), 1);
}

#[test]
fn a_ticket_that_was_made_up_used_or_is_somebody_elses_is_refused() {
    let Some((daemon, _dir)) = wakes(2) else { return };
    for _ in 0..2 {
        assert_eq!(String::from_utf8(daemon.client(0).ask(b"forge")).unwrap(), "------");
    }
    daemon.client(0).expect_echo(b"leave");
    assert_eq!(daemon.client(1).ask(b"steal"), b"-");
    assert_eq!(daemon.client(1).ask(b"bare"), b"bare");
    let served = daemon.stop();
    // One of the entries that go on from a ticket is a run.
    assert_eq!((served.sent("wakes1", "bad_tx"), served.sent("wakes1", "sent")), (5, 2));
    let taken =
        ["wakes0", "wakes1"].map(|name| (served.counted(name, "tickets"), served.counted(name, "answered")));
    assert_eq!(taken, [(3, 2), (1, 1)]);
}

#[test]
fn a_code_that_is_none_is_named_counted_and_breaks_the_handler() {
    let Some((mut daemon, _dir)) = wakes(1) else { return };
    let client = daemon.client(0);
    client.send(b"odd");
    daemon.process.wait_for_stderr("the handler returned 7 from on_batch, which the ABI does not know");
    daemon.process.wait_for_stderr("the handler is back");
    client.expect_echo(b"again");
    let served = daemon.stop();
    assert_eq!((served.counted("wakes0", "codes"), served.counted("wakes0", "faults")), (1, 1));
    assert_eq!(served.received("wakes0", "poison"), 1);
}

/// They have the few records of their listener in turn.
#[test]
fn each_instance_of_a_listener_whose_handlers_break_can_be_woken() {
    let Some((mut daemon, _dir)) = wakes(1) else { return };
    let client = daemon.client(0);
    for times in 1..=4 {
        client.send(b"odd");
        daemon.process.wait_for_stderr_times("the handler is back", times);
    }
    let answer = client.ask(b"storm");
    assert_eq!(answer[4..8], [0; 4], "no wake was refused");
    assert_eq!(daemon.stop().counted("wakes0", "faults"), 4);
}
