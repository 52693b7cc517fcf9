//! A handler that queues what no handler may queue: dropped and counted with the right reason, and nothing
//! else is harmed (R49).

use polyport_tests::Daemon;
use polyport_tests::plugins::{compile_c, fixture, spec};
use polyport_tests::served::Served;

use crate::polyport;

#[test]
fn answers_to_datagrams_that_do_not_exist_are_dropped() {
    attack(b"r", |served| assert_eq!(served.sent("hostile", "bad_tx"), 2));
}

#[test]
fn lengths_beyond_the_buffer_are_dropped() {
    attack(b"l", |served| {
        assert_eq!(served.sent("hostile", "bad_tx") + served.sent("hostile", "reply_too_long"), 2);
    });
}

#[test]
fn lengths_beyond_a_datagram_are_dropped() {
    attack(b"m", |served| assert_eq!(served.sent("hostile", "reply_too_long"), 1));
}

#[test]
fn datagrams_without_a_destination_are_dropped() {
    attack(b"n", |served| assert_eq!(served.sent("hostile", "no_destination"), 2));
}

#[test]
fn datagrams_to_port_zero_are_dropped() {
    attack(b"p", |served| assert_eq!(served.sent("hostile", "invalid"), 1));
}

#[test]
fn datagrams_to_the_other_family_are_dropped() {
    attack(b"f", |served| assert_eq!(served.sent("hostile", "no_destination"), 1));
}

#[test]
fn datagrams_from_the_address_of_somebody_else_are_dropped() {
    attack(b"s", |served| {
        let refused = ["unreachable", "invalid", "address_gone"].map(|reason| served.sent("hostile", reason));
        assert_eq!(refused.iter().sum::<u64>(), 1, "{}", served.line("hostile"));
    });
}

#[test]
fn a_count_beyond_the_ring_is_cut_to_the_ring() {
    attack(b"c", |served| {
        let dropped = served.sent("hostile", "no_destination");
        assert!((1..100_000).contains(&dropped), "{dropped}");
    });
}

#[test]
fn a_batch_that_was_overwritten_harms_nobody() {
    attack(b"a", |served| assert_eq!(served.received("hostile", "consumed"), 1));
}

#[test]
fn a_hundred_attacks_are_one_line_in_the_log() {
    let Some((daemon, _dir)) = hostile() else { return };
    let client = daemon.client(0);
    for _ in 0..100 {
        client.send(b"n");
    }
    client.expect_echo(b"IN BETWEEN");
    let served = daemon.stop();
    assert_eq!(served.sent("hostile", "no_destination"), 200);
    let lines = served.finished.stderr.matches("queued an invalid datagram").count();
    assert_eq!(lines, 1, "{}", served.finished.stderr);
}

/// Has the handler do what `payload` says, and fails unless it and its neighbour serve as before.
#[track_caller]
fn attack(payload: &[u8], check: impl FnOnce(&Served)) {
    let Some((daemon, _dir)) = hostile() else { return };
    let (client, neighbour) = (daemon.client(0), daemon.client(1));
    client.expect_echo(b"BEFORE");
    client.send(payload);
    // Visits take turns in the order of arrival, so this one ends after the attack, which was alone in its batch.
    neighbour.expect_echo(b"NEXT DOOR");
    client.expect_echo(b"AFTER");
    let served = daemon.stop();
    assert_eq!(served.received("hostile", "received"), 3);
    assert_eq!(served.sent("hostile", "sent"), 2, "{}", served.line("hostile"));
    assert_eq!(served.counted("hostile", "faults"), 0);
    assert_eq!(served.received("neighbour", "replied"), 1);
    check(&served);
}

fn hostile() -> Option<(Daemon, tempfile::TempDir)> {
    let dir = tempfile::tempdir().unwrap();
    let library = compile_c(&fixture("hostile"), &[], dir.path(), "hostile")?;
    let hostile = spec("127.0.0.1:0", &library) + ",name=hostile";
    Some((polyport().listen(hostile).listen("127.0.0.1:0=echo,name=neighbour").serve(), dir))
}
