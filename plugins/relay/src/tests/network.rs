//! A bad network between clients and upstreams.

use std::time::Duration;

use polyport_plugin::testing::{Harness, Incoming, Memory, Outcome};

use super::{A, CLIENT, address, client, only, relay};
use crate::Relay;

/// Which of so many numbered datagrams of a client arrive at the upstream.
fn arrive(h: &mut Harness<Relay>, from: std::net::SocketAddr, count: u16) -> Vec<u16> {
    h.sent();
    (0..count).for_each(|n| _ = h.send(from, &n.to_be_bytes()));
    h.sent().iter().map(|sent| u16::from_be_bytes(sent.payload[..].try_into().unwrap())).collect()
}

#[test]
fn losses_repeat_by_the_seed_and_whatever_the_port_of_the_client_is() {
    let run = |seed: &str, from: &str, more: (&str, &str)| {
        let mut h = relay(&[("to", A), ("up.loss", "20%"), ("seed", seed), more]);
        let arrived = arrive(&mut h, address(from), 500);
        let lost = 500 - arrived.len() as u64;
        assert_eq!((h.counter("up_lost_total"), h.counter("up_datagrams_total")), (lost, 500));
        assert_eq!((h.discarded(), h.counter("down_lost_total")), (lost, 0));
        arrived
    };
    let address_key = ("key", "address");
    let first = run("1", CLIENT, address_key);
    assert!((350..450).contains(&first.len()), "{}", first.len());
    assert_eq!(first, run("1", "192.0.2.7:9999", address_key));
    assert_ne!(first, run("2", CLIENT, address_key));
    assert_ne!(first, run("1", "192.0.2.8:1000", address_key));
    assert_ne!(first, run("1", "192.0.2.7:9999", ("key", "endpoint")));
    assert_eq!(run("1", CLIENT, ("key", "order")), run("1", "192.0.2.99:1", ("key", "order")));
}

#[test]
fn both_ways_have_their_own_network() {
    let mut h = relay(&[
        ("to", A),
        ("down.loss", "100%"),
        ("down.delay", "5ms"),
        ("up.delay", "20ms"),
        ("seed", "1"),
    ]);
    h.send(CLIENT, b"up");
    let id = only(&h);
    assert_eq!(h.sent().len(), 0);
    let _ = h.advance(Duration::from_millis(19));
    assert_eq!(h.sent().len(), 0);
    let _ = h.advance(Duration::from_millis(1));
    assert_eq!(h.sent()[0].payload, b"up");
    h.upstream(id, b"down");
    assert_eq!((h.waiting(), h.sent().len(), h.counter("down_lost_total")), (0, 0, 1));
    h.reconfigure(&[("to", A), ("down.delay", "5ms"), ("up.delay", "20ms"), ("seed", "1"), ("idle", "1s")])
        .unwrap();
    h.upstream(id, b"down");
    let _ = h.advance(Duration::from_millis(5));
    assert_eq!(h.sent()[0].payload, b"down");
    let _ = h.advance(Duration::from_secs(200));
    let line = h.lines().into_iter().find(|line| line.contains("idle")).unwrap();
    assert!(line.contains("up 1 (2 B, lost 0), down 2 (8 B, lost 1)"), "{line}");
}

#[test]
fn what_is_decided_alike_stays_one_entry() {
    for options in
        [&[("to", A), ("up.delay", "20ms"), ("down.delay", "20ms")][..], &[("to", A), ("tos", "copy")]]
    {
        let mut h = relay(options);
        h.set_memory(Memory { tx_cap: 1, flushes: 0, ..Memory::default() });
        let like = |peer: &str| Incoming { tos: 0x2a, ..Incoming::new(address(peer), b"abc") };
        h.deliver(&vec![like(CLIENT); 64]);
        let id = only(&h);
        let _ = h.advance(Duration::from_millis(20));
        assert_eq!((h.sent().len(), h.refused()), (64, 0));
        h.deliver_by(id, &vec![like(A); 64]);
        let _ = h.advance(Duration::from_millis(20));
        assert_eq!((h.sent().len(), h.refused(), h.bad()), (64, 0, 0));
    }
}

#[test]
fn a_second_one_leaves_and_bits_are_flipped_in_each_alone() {
    let mut h = relay(&[("to", A), ("up.duplicate", "50%"), ("up.corrupt", "50%"), ("seed", "3")]);
    let payload = [0_u8; 100];
    (0..400).for_each(|_| _ = h.send(CLIENT, &payload));
    let sent = h.sent();
    let flipped = |bytes: &[u8]| bytes.iter().map(|byte| byte.count_ones()).sum::<u32>();
    assert!(sent.iter().all(|sent| sent.payload.len() == 100 && flipped(&sent.payload) <= 1));
    let corrupted = sent.iter().filter(|sent| flipped(&sent.payload) == 1).count() as u64;
    assert_eq!(sent.len() as u64, 400 + h.counter("up_duplicated_total"));
    assert_eq!(corrupted, h.counter("up_corrupted_total"));
    assert!((150..250).contains(&h.counter("up_duplicated_total")), "{}", h.counter("up_duplicated_total"));
    assert!((250..350).contains(&corrupted), "{corrupted}");
    h.send(CLIENT, b"");
    assert_eq!(h.bad(), 0);
}

#[test]
fn congestion_is_marked_where_the_sender_can_have_that() {
    let mut h =
        relay(&[("to", A), ("tos", "copy"), ("up.loss", "100%"), ("up.ecn", "true"), ("down.loss", "100%")]);
    for (tos, arrives) in [(0x28, None), (0x2a, Some(0x2b)), (0x01, Some(0x03))] {
        h.deliver(&[Incoming { tos, ..Incoming::new(address(CLIENT), b"x") }]);
        assert_eq!(h.sent().first().map(|sent| sent.tos), arrives);
    }
    assert_eq!((h.counter("up_marked_total"), h.counter("up_lost_total")), (2, 1));
}

#[test]
fn a_shared_channel_is_one_line_for_all() {
    for (channel, together) in [("client", false), ("shared", true)] {
        let mut h =
            relay(&[("to", A), ("channel", channel), ("up.rate", "1Mbit"), ("up.packet_overhead", "0")]);
        // 1250 bytes take 10 ms.
        h.send_batch(&[(client(1), &[0; 1250][..]), (client(2), &[0; 1250])]);
        let _ = h.advance(Duration::from_millis(10));
        assert_eq!(h.sent().len(), if together { 1 } else { 2 });
        let _ = h.advance(Duration::from_millis(10));
        assert_eq!(h.sent().len(), usize::from(together));
    }
}

#[test]
fn a_timeline_changes_what_happens_and_may_begin_with_each_client() {
    for (from, expected) in [("start", [1, 0, 0]), ("session", [1, 1, 0])] {
        let mut h =
            relay(&[("to", A), ("timeline", "30s up.loss=100%"), ("timeline_from", from), ("idle", "1h")]);
        h.send(client(1), b"x");
        let first = h.sent().len();
        let _ = h.advance(Duration::from_secs(40));
        h.send(client(2), b"x");
        let second = h.sent().len();
        h.send(client(1), b"x");
        assert_eq!([first, second, h.sent().len()], expected, "{from}");
    }
}

#[test]
fn what_contradicts_is_refused_with_the_option() {
    for (options, option, why) in [
        (&[("up.reorder", "5%")][..], "up.reorder", "what is not delayed cannot be overtaken"),
        (&[("up.loss", "1%"), ("up.ecn", "true")], "up.ecn", "set tos to copy"),
        (&[("timeline", "1s down.ecn=true down.loss=1%")], "down.ecn", "set tos to copy"),
        (&[("down.delay", "5ms"), ("down.jitter", "6ms")], "down.jitter", "is more than the delay, 5ms"),
        (&[("up.jitter", "1ms")], "up.jitter", "is more than the delay"),
        (&[("timeline", "1s up.loss=1%; 2s up.loss=2%; 3s up.lost=3%")], "timeline", "step 3"),
        (&[("timeline", "1s up.loss=1%; 3s up.loss=2%; 2s up.loss=3%")], "timeline", "step 3"),
        (&[("up.loss", "1%"), ("up.loss_gemodel", "1% 25%")], "up.loss_gemodel", "another loss model"),
    ] {
        let all = [&[("to", A)], options].concat();
        let refused = Harness::<Relay>::try_new(&all, 1).unwrap_err();
        assert_eq!(refused.option.as_deref(), Some(option), "{refused}");
        assert!(refused.message.contains(why), "{refused}");
    }
}

#[test]
fn a_profile_is_a_network_and_own_options_override_it() {
    for (own, before, more) in [(("idle", "1h"), 149, 5), (("up.delay", "400ms"), 399, 5)] {
        let mut h = relay(&[("to", A), ("profile", "3g"), own]);
        h.send(CLIENT, b"x");
        let _ = h.advance(Duration::from_millis(before));
        assert_eq!(h.sent().len(), 0, "{own:?}");
        let _ = h.advance(Duration::from_millis(more));
        assert_eq!(h.sent().len(), 1, "{own:?}");
    }
    // What is not overridden is still there: the other way.
    let mut h = relay(&[("to", A), ("profile", "3g"), ("up.delay", "0s"), ("up.jitter", "0s")]);
    h.send(CLIENT, b"x");
    let _ = h.advance(Duration::from_millis(5));
    assert_eq!(h.sent().len(), 1);
    let id = only(&h);
    h.upstream(id, b"x");
    assert_eq!((h.sent().len(), h.waiting()), (0, 1));
}

/// Its time under way is the relay's own doing.
#[test]
fn a_server_is_not_silent_while_the_relay_holds_what_it_is_asked() {
    let options = [("to", A), ("silence", "10s"), ("up.delay", "8s"), ("down.delay", "8s"), ("marks", "1")];
    let mut h = relay(&options);
    h.send(CLIENT, b"first");
    let id = only(&h);
    h.upstream(id, b"answers");
    for second in 0..18 {
        h.send(CLIENT, b"asked");
        assert_eq!((only(&h), h.counter("moved_total")), (id, 0), "{second}");
        let _ = h.advance(Duration::from_secs(1));
    }
    // It has had the first of them for ten seconds.
    h.send(CLIENT, b"silent");
    assert_ne!(only(&h), id);
    assert_eq!((h.counter("moved_total"), h.counter("upstream_down_total")), (1, 1));
}

#[test]
fn of_two_that_leave_the_first_counts() {
    let mut h =
        relay(&[("to", A), ("up.duplicate", "100%"), ("up.delay", "5s"), ("up.jitter", "4s"), ("seed", "2")]);
    h.send(CLIENT, b"first");
    let id = only(&h);
    h.upstream(id, b"answers");
    let _ = h.advance(Duration::from_secs(60));
    h.sent();
    h.send(CLIENT, b"asked");
    let mut waited = 0;
    while h.sent().is_empty() {
        let _ = h.advance(Duration::from_millis(100));
        waited += 1;
    }
    assert!((10..90).contains(&waited), "{waited}");
    let _ = h.advance(Duration::from_millis(9_800));
    h.send(CLIENT, b"asked");
    assert_eq!(only(&h), id);
    let _ = h.advance(Duration::from_millis(200));
    h.send(CLIENT, b"asked");
    assert_ne!(only(&h), id);
}

/// The line goes on with its numbers, and each session says what it has lost itself.
#[test]
fn what_a_session_lost_before_it_moved_is_in_its_own_line() {
    let mut h = relay(&[("to", A), ("up.loss", "50%"), ("down.loss", "50%"), ("seed", "1"), ("idle", "1m")]);
    let lost = |h: &Harness<Relay>| ["up_lost_total", "down_lost_total"].map(|what| h.counter(what));
    (0..40).for_each(|_| _ = h.send(CLIENT, b"x"));
    let first = only(&h);
    (0..40).for_each(|_| _ = h.upstream(first, b"x"));
    (0..40).for_each(|_| _ = h.send(CLIENT, b"x"));
    let _ = h.advance(Duration::from_secs(10));
    let before = lost(&h);
    while only(&h) == first {
        h.send(CLIENT, b"x");
    }
    let line = h.lines().into_iter().find(|line| line.contains(", moved; ")).unwrap();
    // The one by which it moved was decided about on the new session's account.
    let expected = |[up, down]: [u64; 2]| [format!("lost {up})"), format!("lost {down})")];
    assert!(expected(before).iter().all(|lost| line.contains(lost)), "{before:?} {line}");
    (0..10).for_each(|_| _ = h.send(CLIENT, b"x"));
    let after = lost(&h);
    let _ = h.advance(Duration::from_secs(120));
    let line = h.lines().into_iter().find(|line| line.contains(", idle; ")).unwrap();
    let own = [after[0] - before[0], after[1] - before[1]];
    assert!(own[0] > 0 && expected(own).iter().all(|lost| line.contains(lost)), "{own:?} {line}");
}

/// What was set aside when the instance was made is enough for what it had then, whatever it had since.
#[test]
fn a_smaller_queue_and_the_larger_one_again_are_the_same_instance() {
    let with = |limit| [("to", A), ("up.rate", "1Mbit"), ("up.limit", limit), ("seed", "1")];
    let mut h = relay(&with("1000"));
    for limit in ["10", "1000", "10"] {
        h.reconfigure(&with(limit)).unwrap();
    }
    assert!(h.reconfigure(&with("100000")).unwrap_err().message.contains("not supported"));
}

#[test]
fn a_lost_request_waits_for_no_answer() {
    let mut h = relay(&[("to", A), ("replies", "1"), ("up.loss", "100%")]);
    (0..20).for_each(|_| _ = h.send(CLIENT, b"x"));
    assert_eq!(h.sessions().len(), 1);
    let options = [("to", A), ("replies", "1"), ("up.duplicate", "100%")];
    h.reconfigure(&options).unwrap();
    h.send(CLIENT, b"x");
    let id = only(&h);
    h.upstream(id, b"one");
    assert_eq!(only(&h), id, "two were sent");
    h.upstream(id, b"two");
    assert_eq!(h.sessions().len(), 0);
}

#[test]
fn what_needs_a_new_instance_says_so_and_sessions_stay() {
    let mut h = relay(&[("to", A)]);
    h.send(CLIENT, b"x");
    let id = only(&h);
    let worse = [("to", A), ("up.loss", "100%")];
    assert!(h.reconfigure(&worse).unwrap_err().message.contains("not supported"));
    h.reload(&worse).unwrap();
    h.sent();
    assert_eq!(h.send(CLIENT, b"lost"), Outcome::Done);
    assert_eq!((only(&h), h.sent().len()), (id, 0));
    h.reconfigure(&[("to", A)]).unwrap();
    h.send(CLIENT, b"x");
    assert_eq!((only(&h), h.sent().len()), (id, 1));
}

#[test]
fn decisions_are_in_a_file_and_equal_for_equal_seeds() {
    let dir = std::env::temp_dir().join(format!("polyport-relay-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let run = |name: &str, seed: &str| {
        let file = dir.join(name);
        let path = file.to_str().unwrap();
        let mut h = relay(&[
            ("to", A),
            ("up.loss", "30%"),
            ("down.duplicate", "30%"),
            ("seed", seed),
            ("decisions", path),
        ]);
        (0..50).for_each(|_| _ = h.send(CLIENT, b"x"));
        let id = only(&h);
        (0..50).for_each(|_| _ = h.upstream(id, b"x"));
        drop(h.stop());
        let text = std::fs::read_to_string(&file).unwrap();
        let without_time = |line: &str| line.split_once(',').unwrap().1.to_owned();
        text.lines().map(without_time).collect::<Vec<_>>()
    };
    let [one, two, other] =
        [("a.csv", "1"), ("b.csv", "1"), ("c.csv", "2")].map(|(name, seed)| run(name, seed));
    std::fs::remove_dir_all(&dir).unwrap();
    assert_eq!(one[0], "client,dir,n,bytes,what,wait_ns");
    assert!(one.len() > 20 && one == two && one != other);
    assert!(
        one.iter().any(|line| line.starts_with("192.0.2.7,up,") && line.ends_with(",1,lost,0")),
        "{one:?}"
    );
    assert!(one.iter().any(|line| line.contains(",down,") && line.contains("duplicated")), "{one:?}");
}
