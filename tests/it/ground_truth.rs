//! The load tester against servers that keep books of their own: both must tell the same story, number by number.

use std::process::Command;

use polyport_tests::process::Process;
use polyport_tests::served::Served;
use serde_json::Value;

use crate::polyport;

/// Datagrams of a run, in two seconds: enough for each rare event to happen often, slow enough that a pause of a busy
/// machine does not fill a socket's buffer.
const DATAGRAMS: u64 = 2000;

/// What both sides say about one run.
struct Story {
    tester: Value,
    server: Served,
}

/// Serves `handler` and loads it; both must end well.
#[track_caller]
fn story(handler: &str, arguments: &str) -> Story {
    let story = any_story(handler, &format!("--rate 1000/s --duration 2s {arguments}"));
    assert_eq!((story.count("planned"), story.count("sent")), (DATAGRAMS, DATAGRAMS));
    story
}

/// As [`story`], whatever the rate.
#[track_caller]
fn any_story(handler: &str, arguments: &str) -> Story {
    let daemon = polyport().listen(format!("127.0.0.1:0={handler},name=truth,recv_buffer=4MiB")).serve();
    let mut command = Command::new(env!("CARGO_BIN_EXE_polyport-load-under-test"));
    command.arg(daemon.addresses()[0].to_string());
    // Handshake and warm-up would be in the books of a handler that does not know the flag W.
    command.args(["--warmup", "0s", "--no-handshake"]);
    command.args(["--json", "--quiet"]).args(arguments.split_ascii_whitespace());
    let finished = Process::spawn(&mut command).finish();
    finished.expect_code(0);
    let tester: Value = serde_json::from_str(&finished.stdout).expect("one JSON object");
    let story = Story { tester, server: daemon.stop() };
    assert_eq!(story.tester["local"]["dropped_in_our_socket"], 0, "the machine is too slow for this test");
    story
}

impl Story {
    #[track_caller]
    fn count(&self, name: &str) -> u64 {
        self.tester["counts"][name].as_u64().expect("a count")
    }

    /// Datagrams that the daemon received. Fewer than were sent if its socket's buffer was full after all, which is a
    /// loss like others and must be in the tester's books, too.
    #[track_caller]
    fn arrived(&self) -> u64 {
        let arrived = self.server.received("truth", "received");
        assert!(arrived > DATAGRAMS / 2 && arrived <= DATAGRAMS, "{arrived} arrived");
        arrived
    }

    /// Datagrams lost between the two programs.
    #[track_caller]
    fn vanished(&self) -> u64 {
        DATAGRAMS - self.arrived()
    }

    #[track_caller]
    fn class(&self, name: &str) -> u64 {
        self.tester["classes"][name].as_u64().expect("a class")
    }

    #[track_caller]
    fn handler(&self, counter: &str) -> u64 {
        self.server.counted("truth", counter)
    }

    /// A counter that must have moved, else the run proves nothing.
    #[track_caller]
    fn moved(&self, counter: &str) -> u64 {
        let count = self.handler(counter);
        assert!(count > 0, "{counter} did not move");
        count
    }
}

#[test]
fn what_the_handler_dropped_is_what_the_tester_lost() {
    let story = story("lossy,loss=10%,seed=7", "--raw-echo --timeout 3s");
    assert_eq!(story.count("lost"), story.moved("dropped_total") + story.vanished());
    assert_eq!(story.class("ok"), story.handler("answered_total"));
    assert_eq!(story.count("received"), story.class("ok"), "and nothing else came");
}

#[test]
fn what_the_handler_duplicated_is_what_the_tester_saw_twice() {
    let story = story("lossy,duplicate=5%,seed=7", "--raw-echo");
    assert_eq!(story.class("dup_down"), story.moved("duplicated_total"));
    assert_eq!((story.class("ok"), story.count("lost")), (story.arrived(), story.vanished()));
    assert_eq!(story.count("reordered"), 0, "a duplicate is not reordering");
    assert_eq!(story.count("received"), story.arrived() + story.class("dup_down"));
}

#[test]
fn what_the_handler_corrupted_is_malformed_and_lost() {
    let story = story("lossy,corrupt=10%,seed=7", "--raw-echo --timeout 3s");
    let corrupted = story.moved("corrupted_total");
    assert_eq!(story.count("malformed"), corrupted);
    assert_eq!(story.count("lost"), corrupted + story.vanished());
    assert_eq!(story.class("ok"), story.arrived() - corrupted);
    // A flipped bit of magic, version or lengths is noticed before the checksum is looked at.
    let early = ["not_ours", "unknown_version", "bad_hlen", "bad_length", "trailing", "bad_option"];
    let early: u64 = early.map(|class| story.class(class)).iter().sum();
    assert_eq!(story.class("bad_checksum") + early, corrupted);
    assert!(story.class("bad_checksum") > early, "most bits are behind the header");
}

#[test]
fn what_the_handler_delayed_beyond_the_timeout_is_late() {
    // A timeout that no pause of a busy machine reaches, or a datagram could leave too late to be sent at all; and the
    // end of the delays is as far behind it.
    let story = story("lossy,loss=10%,delay=4s,seed=7", "--raw-echo --timeout 2s --drain 7s");
    assert_eq!(story.class("late"), story.moved("delayed_total"));
    assert_eq!(story.count("lost"), story.moved("dropped_total") + story.vanished());
    assert_eq!((story.class("ok"), story.count("pending_at_abort")), (0, 0));
    assert!(story.tester["latency"]["rtt_from_send"]["min"].as_u64() >= Some(4_000_000_000));
}

#[test]
fn only_what_the_handler_held_back_is_reordered() {
    // Longer than the pauses of a busy machine: what waits behind one overtakes nothing.
    let story = story("lossy,late=5%,late_by=300ms,seed=7", "--raw-echo");
    assert_eq!((story.class("ok"), story.count("lost")), (story.arrived(), story.vanished()));
    // What is held back at the end, or before a pause of this machine, is overtaken by nothing.
    let (held, reordered) = (story.moved("held_total"), story.count("reordered"));
    assert!(reordered <= held && reordered > held / 2, "{reordered} of {held}");
    // Of one that was overtaken by what the tester never got, the tester does not know.
    let overtaken = story.moved("reordered_total");
    assert!((reordered..=reordered + story.vanished()).contains(&overtaken), "{reordered} of {overtaken}");
    assert!(story.count("three_reordered") <= reordered);
}

#[test]
fn all_at_once_every_number_agrees() {
    let story = story("lossy,loss=10%,duplicate=5%,corrupt=3%,seed=7", "--raw-echo --timeout 3s");
    let [dropped, duplicated, corrupted] =
        ["dropped_total", "duplicated_total", "corrupted_total"].map(|counter| story.moved(counter));
    let answered = story.handler("answered_total");
    assert_eq!(answered + dropped, story.arrived());
    assert_eq!(story.count("received"), answered + duplicated);
    // An answer and its copy are corrupted each by itself: where one is, the other may be the answer.
    assert_eq!(story.count("malformed"), corrupted);
    assert_eq!(story.class("ok") + story.class("dup_down") + corrupted, answered + duplicated);
    assert!((answered - corrupted..=answered).contains(&story.class("ok")));
    assert_eq!(story.count("lost"), dropped + answered - story.class("ok") + story.vanished());
    for class in ["late", "error", "dup_up", "unknown_id", "stale_stream", "wrong_source", "wrong_kind"] {
        assert_eq!(story.class(class), 0, "{class}");
    }
}

/// More than a thread can send one by one: in trains, from several ports, by several threads. The daemon deals with trains
/// as with their datagrams.
#[test]
fn in_trains_flows_and_threads_every_number_agrees() {
    for arguments in ["--gso on", "--flows 3", "--flows 3 --threads 2 --gso off", "--threads 2"] {
        let handler = "lossy,loss=10%,duplicate=5%,corrupt=3%,seed=7";
        let story = any_story(
            handler,
            &format!("--rate 100k/s --duration 200ms --raw-echo --timeout 5s {arguments}"),
        );
        assert_eq!(story.count("planned"), 20_000);
        assert_eq!(story.count("planned"), story.count("sent") + story.count("not_sent"));
        let [dropped, duplicated, corrupted] =
            ["dropped_total", "duplicated_total", "corrupted_total"].map(|counter| story.moved(counter));
        let (answered, arrived) =
            (story.handler("answered_total"), story.server.received("truth", "received"));
        let vanished = story.count("sent") - arrived;
        assert_eq!(answered + dropped, arrived, "{arguments}");
        assert_eq!(story.count("received"), answered + duplicated, "{arguments}");
        assert_eq!(story.count("malformed"), corrupted, "{arguments}");
        assert_eq!(
            story.class("ok") + story.class("dup_down") + corrupted,
            answered + duplicated,
            "{arguments}"
        );
        assert_eq!(story.count("lost"), dropped + answered - story.class("ok") + vanished, "{arguments}");
        let flows = story.tester["flows"].as_array().expect("rows");
        for column in ["sent", "ok", "lost", "dup_down"] {
            let sum: u64 = flows.iter().map(|flow| flow[column].as_u64().expect("a count")).sum();
            assert_eq!(sum, story.count(column), "{column} {arguments}");
        }
    }
}

#[test]
fn an_echo_and_a_responder_answer_everything_once() {
    for (handler, arguments) in [("echo", "--raw-echo"), ("responder", "--streams 3")] {
        let story = story(handler, arguments);
        assert_eq!(
            (story.class("ok"), story.count("received")),
            (story.arrived(), story.arrived()),
            "{handler}"
        );
    }
}

#[test]
fn a_responder_with_a_key_takes_and_gives_tags() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    std::fs::write(&file, "000102030405060708090a0b0c0d0e0f").unwrap();
    let handler = "responder,auth=siphash,key=000102030405060708090a0b0c0d0e0f";
    let story = story(handler, &format!("--key-file {}", file.display()));
    assert_eq!((story.class("ok"), story.count("received")), (story.arrived(), story.arrived()));
}
