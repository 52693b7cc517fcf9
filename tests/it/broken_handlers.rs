//! Handlers that break cost only their own listener (I4, R47): they panic, call themselves broken, or refuse
//! to be made again.

use std::time::Duration;

use polyport_tests::plugins::{built, compile_c, fixture, spec};
use polyport_tests::{Client, Launch};

use crate::polyport;

/// Longest wait for a handler to be made again in these tests, seconds; the backoff itself takes 0.1 to 1 s.
const BACK: usize = 20;
#[test]
fn a_panic_is_logged_with_its_place_and_costs_only_that_datagram() {
    let mut daemon = with_panics("").listen("127.0.0.1:0=echo,name=other").serve();
    let (client, other) = (daemon.client(0), daemon.client(1));
    client.expect_echo(b"before");
    client.send(b"boom");
    let address = daemon.addresses()[0];
    daemon.process.wait_for_stderr("the handler is back");
    other.expect_echo(b"the other listener serves");
    client.expect_echo(b"after");
    let log = daemon.process.stderr();
    let who = format!("listener panics {address} (plugin fixture-panics): ");
    for line in [
        "panicked at tests/fixtures/panics/src/lib.rs:",
        "as the payload asks",
        &format!("the handler broke in on_batch at a datagram of 4 bytes from {}: 'boom'", client.local()),
        "the handler is made again in ",
        "the handler is back",
    ] {
        assert!(log.lines().any(|l| l.contains(&who) && l.contains(line)), "no {line:?} in:\n{log}");
    }
    let served = daemon.stop();
    assert_eq!((served.received("panics", "replied"), served.received("panics", "poison")), (2, 1));
    assert_eq!((served.counted("panics", "faults"), served.counted("panics", "restarts")), (1, 1));
    assert_eq!((served.received("other", "replied"), served.counted("other", "faults")), (1, 0));
}

/// An error is no break: what was queued leaves, the handler stays, and the closing report says how often.
#[test]
fn a_handler_that_reports_errors_stays_and_they_are_counted() {
    const CALLS: usize = 3;
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = compile_c(&fixture("unwell"), &[], dir.path(), "unwell") else { return };
    let listen = spec("127.0.0.1:0", &library) + ",name=unwell";
    let daemon = polyport().listen(listen).listen("127.0.0.1:0=echo,name=well").serve();
    let (unwell, well) = (daemon.client(0), daemon.client(1));
    for call in 0..CALLS {
        unwell.expect_echo(format!("call {call}").as_bytes());
        well.expect_echo(b"fine");
    }
    let served = daemon.stop();
    let report = &served.finished.stdout;
    assert!(report.contains(&format!("  handler errors {CALLS}\n")), "{report}");
    assert_eq!(report.matches("handler errors").count(), 1, "{report}");
    let said = "the handler returned PP_ERROR (-1) from on_batch; it goes on";
    assert_eq!(served.finished.stderr.matches(said).count(), 1, "{}", served.finished.stderr);
    assert_eq!((served.counted("unwell", "errors"), served.counted("unwell", "faults")), (CALLS as u64, 0));
    assert_eq!(served.sent("unwell", "sent"), CALLS as u64);
}

#[test]
fn a_panic_in_drop_after_a_panic_is_survived() {
    let mut daemon = with_panics("").serve();
    daemon.client(0).send(b"boom drop");
    daemon.process.wait_for_stderr("in drop, as the payload asks");
    daemon.process.wait_for_stderr("the handler is back");
    daemon.client(0).expect_echo(b"after");
    assert_eq!(daemon.stop().counted("panics", "faults"), 1);
}

#[test]
fn a_panic_while_the_handler_is_made_is_a_refusal_at_the_start() {
    let refused = with_panics(",in_new=true").refused(78);
    refused.expect_stderr(&[
        "listener `panics`",
        "panicked at tests/fixtures/panics/src/lib.rs:",
        "in_new asks",
    ]);
}

#[test]
fn datagrams_for_a_handler_that_is_down_are_read_dropped_and_counted() {
    let mut daemon = with_panics("").serve();
    let client = daemon.client(0);
    client.send(b"boom");
    daemon.process.wait_for_stderr("is made again in");
    client.send(b"while it is down");
    assert_eq!(client.ask_until_answered(b"again", BACK), b"again");
    let served = daemon.stop();
    assert_eq!(served.received("panics", "poison"), 1, "{}", served.line("panics"));
    assert!(served.received("panics", "handler_down") >= 1, "{}", served.line("panics"));
}

/// B5: one datagram must not cost those that happen to come with it. The answers to those before it are void with the call; those
/// behind it are for the next handler.
#[test]
fn datagrams_behind_a_poisoned_one_are_served_by_the_next_handler() {
    let mut daemon = with_panics("").serve();
    let client = daemon.client(0);
    // One batch.
    daemon.process.freeze();
    for payload in [&b"first"[..], b"boom\n'", b"third", b"fourth"] {
        client.send(payload);
    }
    daemon.process.thaw();
    assert_eq!((client.receive(), client.receive()), (b"third".to_vec(), b"fourth".to_vec()));
    daemon.process.wait_for_stderr("the handler is back");
    let said = format!(
        "the handler broke in on_batch at a datagram of 6 bytes from {}: 'boom\\n\\''; 1 datagram of the batch before it \
         dropped; 2 datagrams behind kept for the next handler",
        client.local()
    );
    assert!(daemon.process.stderr().contains(&said), "no {said:?} in {}", daemon.process.stderr());
    let served = daemon.stop();
    let counted = ["received", "replied", "handler_fault", "poison", "handler_down"];
    assert_eq!(
        counted.map(|what| served.received("panics", what)),
        [4, 2, 1, 1, 0],
        "{}",
        served.line("panics")
    );
}

/// They are given once: whoever sends nothing but poison gets no second handler for the same batch.
#[test]
fn what_breaks_the_next_handler_as_well_is_not_kept_again() {
    let mut daemon = with_panics("").serve();
    let client = daemon.client(0);
    daemon.process.freeze();
    for payload in [&b"boom 1"[..], b"second", b"boom 3", b"fourth"] {
        client.send(payload);
    }
    daemon.process.thaw();
    daemon
        .process
        .wait_for_stderr("'boom 3'; 1 datagram of the batch before it dropped; 1 datagram behind dropped");
    assert_eq!(client.ask_until_answered(b"alive", BACK), b"alive");
    let served = daemon.stop();
    let counted = ["poison", "handler_fault"];
    assert_eq!(counted.map(|what| served.received("panics", what)), [2, 2], "{}", served.line("panics"));
    assert_eq!(served.counted("panics", "faults"), 2);
}

#[test]
fn a_daemon_that_stops_while_datagrams_are_kept_counts_them() {
    let mut daemon = with_panics(",in_restart=true").serve();
    let client = daemon.client(0);
    daemon.process.freeze();
    for payload in [&b"boom"[..], b"second", b"third"] {
        client.send(payload);
    }
    daemon.process.thaw();
    daemon.process.wait_for_stderr("refuses to make the handler again");
    let served = daemon.stop();
    let counted = ["received", "poison", "handler_down", "replied"];
    assert_eq!(
        counted.map(|what| served.received("panics", what)),
        [3, 1, 2, 0],
        "{}",
        served.line("panics")
    );
}

#[test]
fn the_state_of_a_broken_handler_goes_to_the_next_one() {
    let mut daemon = with_panics("").serve();
    for round in 1..=3 {
        // A socket of its own: late answers belong to another one.
        let client = daemon.client(0);
        client.expect_echo(b"one more");
        client.send(b"boom");
        daemon.process.wait_for_stderr_times("the handler is back", round);
        assert_eq!(client.ask_until_answered(b"how many", BACK), round.to_string().as_bytes());
    }
    daemon.client(0).send(b"boom rescue");
    daemon.process.wait_for_stderr("its state is lost: `rescue` returns -2");
    daemon.process.wait_for_stderr_times("the handler is back", 4);
    assert_eq!(daemon.client(0).ask_until_answered(b"how many", BACK), b"0");
    let served = daemon.stop();
    assert_eq!((served.counted("panics", "faults"), served.counted("panics", "restarts")), (4, 4));
}

/// It may be the state that breaks it: it is not handed on for ever.
#[test]
fn a_state_with_which_nothing_was_served_is_not_handed_on() {
    let mut daemon = with_panics("").serve();
    let client = daemon.client(0);
    client.expect_echo(b"one more");
    for broken in 1..=2 {
        daemon.client(0).send(b"boom");
        daemon.process.wait_for_stderr_times("the handler is back", broken);
    }
    daemon.process.wait_for_stderr("it has served nothing with its state");
    assert_eq!(client.ask_until_answered(b"how many", BACK), b"0");
    assert_eq!(daemon.stop().counted("panics", "faults"), 2);
}

#[test]
fn a_handler_that_breaks_is_made_again_however_often() {
    let mut daemon = with_panics("").listen("127.0.0.1:0=echo,name=other").serve();
    for broken in 1..=6 {
        assert_eq!(daemon.client(0).ask_until_answered(b"alive", BACK), b"alive");
        // A socket of its own: late answers to the attempts above belong to another one.
        daemon.client(0).send(b"boom");
        daemon.process.wait_for_stderr_times("the handler broke in on_batch", broken);
    }
    assert_eq!(daemon.client(0).ask_until_answered(b"alive", BACK), b"alive");
    daemon.client(1).expect_echo(b"the other listener serves");
    let served = daemon.stop();
    assert_eq!((served.counted("panics", "faults"), served.counted("panics", "restarts")), (6, 6));
    assert_eq!(served.received("panics", "poison"), 6);
}

#[test]
fn with_on_fault_off_the_first_break_is_the_last_and_the_others_go_on() {
    let mut daemon = with_panics(",on_fault=off").listen("127.0.0.1:0=echo,name=other").serve();
    let client = daemon.client(0);
    daemon.process.freeze();
    for payload in [&b"boom"[..], b"behind"] {
        client.send(payload);
    }
    daemon.process.thaw();
    daemon.process.wait_for_stderr("on_fault = \"off\": the handler is not made again");
    for _ in 0..3 {
        client.send(b"anybody?");
    }
    daemon.client(1).expect_echo(b"the other listener serves");
    assert_eq!(client.receive_within(Duration::from_millis(1500)), None, "it stays down");
    let served = daemon.stop();
    assert_eq!((served.counted("panics", "faults"), served.counted("panics", "restarts")), (1, 0));
    let counted = ["poison", "handler_fault", "handler_down"];
    assert_eq!(counted.map(|what| served.received("panics", what)), [1, 1, 3], "{}", served.line("panics"));
}

#[test]
fn a_thousand_poisoned_datagrams_do_not_harm_a_neighbour() {
    let daemon = with_panics("").listen("127.0.0.1:0=echo,name=other").serve();
    let (poisoned, neighbour) = (daemon.client(0), daemon.client(1));
    for _ in 0..20 {
        for _ in 0..50 {
            poisoned.send(b"boom");
        }
        neighbour.expect_echo(b"still here");
    }
    let served = daemon.stop();
    assert_eq!(served.received("other", "replied"), 20);
    let faults = served.counted("panics", "faults");
    assert!(faults >= 1);
    assert_eq!(served.received("panics", "poison"), faults, "each break has one cause");
}

#[test]
fn a_panic_while_the_handler_is_made_again_counts_as_another_break() {
    let mut daemon = with_panics(",in_restart=true").serve();
    daemon.client(0).send(b"boom");
    daemon.process.wait_for_stderr_times("the plugin refuses to make the handler again: ", 3);
    let served = daemon.stop();
    assert!(served.counted("panics", "faults") >= 4);
    assert_eq!(served.counted("panics", "restarts"), 0);
}

#[test]
fn with_on_fault_exit_the_daemon_stops_with_a_software_error() {
    let daemon = with_panics(",on_fault=exit").serve();
    daemon.client(0).send(b"boom");
    let finished = daemon.process.finish();
    finished.expect_code(70).expect_stderr(&["on_fault = \"exit\": the daemon stops", "panicked at"]);
    assert!(finished.stdout.contains("\nserved:\n"), "{}", finished.stdout);
}

#[test]
fn a_c_handler_that_calls_itself_broken_takes_the_same_path() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = compile_c(&fixture("fatal"), &[], dir.path(), "fatal") else { return };
    let mut daemon = polyport().listen(spec("127.0.0.1:0", &library) + ",name=fatal").serve();
    let client = daemon.client(0);
    client.expect_echo(b"before");
    client.send(b"fatal");
    daemon.process.wait_for_stderr("the handler is back");
    client.expect_echo(b"after");
    let served = daemon.stop();
    assert_eq!(served.received("fatal", "poison"), 1, "it was alone");
    // What it had queued before it broke was void.
    assert_eq!((served.sent("fatal", "replies"), served.counted("fatal", "faults")), (2, 1));
}

/// A handler in C says which datagram it works on, or nobody knows.
#[test]
fn which_datagram_broke_a_c_handler_is_known_if_it_says_so() {
    let dir = tempfile::tempdir().unwrap();
    for (flags, said, counted) in [
        (&[][..], "; which datagram did it is not known, 3 datagrams of the batch dropped", [0, 3, 0]),
        (
            &["-DSAYS_WHICH"],
            ": 'fatal'; 1 datagram of the batch before it dropped; 1 datagram behind kept",
            [1, 1, 1],
        ),
    ] {
        let Some(library) = compile_c(&fixture("fatal"), flags, dir.path(), "fatal") else { return };
        let mut daemon = polyport().listen(spec("127.0.0.1:0", &library) + ",name=fatal").serve();
        let client = daemon.client(0);
        daemon.process.freeze();
        [&b"first"[..], b"fatal", b"third"].into_iter().for_each(|payload| client.send(payload));
        daemon.process.thaw();
        daemon.process.wait_for_stderr("the handler is back");
        assert!(daemon.process.stderr().contains(said), "no {said:?} in {}", daemon.process.stderr());
        let served = daemon.stop();
        let found = ["poison", "handler_fault", "replied"].map(|what| served.received("fatal", what));
        assert_eq!(found, counted, "{}", served.line("fatal"));
    }
}

/// What C has to say for its successor: bytes with a version, and only if all of them fit.
#[test]
fn a_c_handler_rescues_its_state() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = compile_c(&fixture("rescues"), &[], dir.path(), "rescues") else { return };
    let mut daemon = polyport().listen(spec("127.0.0.1:0", &library) + ",name=rescues").serve();
    let client = daemon.client(0);
    assert_eq!(client.ask(b"what"), b"nothing");
    client.send(b"fatal");
    daemon.process.wait_for_stderr("the handler is back");
    assert_eq!(client.ask_until_answered(b"what", BACK), b"7 kept");
    client.send(b"too much");
    daemon.process.wait_for_stderr("its state of 1099511627776 bytes is lost");
    daemon.process.wait_for_stderr_times("the handler is back", 2);
    assert_eq!(client.ask_until_answered(b"what", BACK), b"nothing");
    assert_eq!(daemon.stop().counted("rescues", "faults"), 2);
}

#[test]
fn a_c_handler_that_reports_an_error_keeps_its_answers_and_its_life() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = compile_c(&fixture("fatal"), &[], dir.path(), "fatal") else { return };
    let daemon = polyport().listen(spec("127.0.0.1:0", &library) + ",name=fatal").serve();
    daemon.client(0).expect_echo(b"error");
    daemon.client(0).expect_echo(b"after");
    let served = daemon.stop();
    assert_eq!((served.received("fatal", "replied"), served.counted("fatal", "faults")), (2, 0));
}

#[test]
fn a_handler_that_refuses_to_be_made_again_is_quoted_and_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["-DNEVER_AGAIN"];
    let Some(library) = compile_c(&fixture("fatal"), &flags, dir.path(), "fatal") else { return };
    let mut daemon = polyport().listen(spec("127.0.0.1:0", &library)).serve();
    Client::of(daemon.addresses()[0]).send(b"fatal");
    daemon.process.wait_for_stderr_times("refuses to make the handler again: once\\nwas enough", 2);
}

/// A plugin may keep the handle of an instance beyond its end, in a thread of its own for example. The host answers that
/// it is too late, writes no line, and sets no timer.
#[test]
fn a_handle_of_an_instance_that_is_gone_or_was_never_made_does_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = compile_c(&fixture("late"), &[], dir.path(), "late") else { return };
    let mut daemon = polyport().listen(spec("127.0.0.1:0", &library)).serve();
    let client = daemon.client(0);
    client.send(b"fatal");
    daemon.process.wait_for_stderr("refuses to make the handler again: not yet");
    daemon.process.wait_for_stderr("the handler is back");
    assert_eq!(String::from_utf8(client.ask(b"late")).unwrap(), "+--");
    let text = daemon.stop().finished.stderr;
    assert!(text.contains("the living speaks") && !text.contains("the destroyed speaks"), "{text}");
    assert!(!text.contains("the refused speaks"), "{text}");
}

/// A listener `panics`, with more settings behind it.
fn with_panics(more: &str) -> Launch {
    let spec = spec("127.0.0.1:0", &built("fixture-panics"));
    polyport().listen(format!("{spec},name=panics{more}"))
}
