//! Tests of the shared memory from the host's side. The tests write the entries that a handler would write.
#![expect(unsafe_code, reason = "plays a handler, which writes through pointers")]

use std::net::{IpAddr, SocketAddr};
use std::ptr;

use polyport_abi::{
    NO_RX, RX_HAS_LOCAL, RX_KERNEL_TIME, TX_DF, TX_FROM, TX_PROVED, TX_TO, pp_addr, pp_batch, pp_tx,
};

use super::send_queue::EMPTY_TX;
use super::*;

pub(super) const SMALL: ExchangeLimits = ExchangeLimits {
    slots: 4,
    slot_len: 64,
    stride: 80,
    rx: 4,
    present: 4,
    tx: 2,
    tx_total: 5,
    arena: 128,
    arena_chunks: 3,
    tickets: 8,
};

pub(super) const BOUND: &str = "0.0.0.0:1062";

pub(super) fn arrived(offset: usize, len: usize) -> Arrived {
    Arrived {
        offset,
        len,
        cap: len,
        segment: 0,
        peer: "192.0.2.1:5000".parse().unwrap(),
        destination: None,
        reply_from: None,
        ifindex: 0,
        tos: 0,
        hop_limit: 0,
        session: 0,
        flags: ArrivalFlags::default(),
    }
}

/// Datagrams that came alone, with the time of the kernel, between trains, which have none: a constant delay from the arrival keeps
/// them in their order, in whatever calls they are shown.
#[test]
fn nobody_is_told_an_earlier_time_than_the_one_before() {
    for present in [1, 4, 1024] {
        let mut e = Exchange::new(ExchangeLimits { present, ..SMALL });
        let mut told = Vec::new();
        // Two receive calls, the first of which did not empty the queue.
        for (now_ns, batch) in [(100, [Some(40), None, Some(60)]), (110, [Some(90), Some(105), Some(104)])] {
            e.clear(now_ns, BOUND.parse().unwrap());
            for (slot, stamp) in batch.into_iter().enumerate() {
                let train = Arrived { segment: 3, cap: 64, ..arrived(slot * 80, 7) };
                assert!(e.push(if stamp.is_some() { arrived(slot * 80, 1) } else { train }));
                e.push_stamp(stamp.unwrap_or(0));
            }
            while e.present() > 0 {
                e.stamp(0, now_ns);
                told.extend(
                    e.received.rx[..e.datagrams()].iter().map(|d| (d.rx_ns, d.flags & RX_KERNEL_TIME)),
                );
            }
        }
        let first = [(40, 16), (100, 0), (100, 0), (100, 0), (100, 0)];
        let second = [(100, 0), (105, 16), (105, 0)];
        assert_eq!(told, [&first[..], &second].concat(), "{present} a call");
    }
}

/// The time of the kernel goes with its message: past those that are not let in, into each datagram of a train, and from one
/// call to the next.
#[test]
fn the_time_of_the_kernel_reaches_the_datagrams_of_its_message() {
    const AHEAD: i64 = 1_000_000;
    const LATEST: u64 = 100;
    let mut e = Exchange::new(SMALL);
    e.clear(LATEST, BOUND.parse().unwrap());
    let train = Arrived { segment: 3, cap: 64, ..arrived(80, 7) };
    for (number, message) in [arrived(0, 1), train, arrived(160, 1), arrived(240, 1)].into_iter().enumerate()
    {
        assert!(e.push(message));
        e.push_stamp([1_000_007, 1_000_099, 0, 5][number]);
    }
    e.retain(|message| message.offset != 0);
    assert!(e.has_stamps());
    let mut told = Vec::new();
    while e.present() > 0 {
        e.stamp(AHEAD, LATEST);
        told.extend(e.received.rx[..e.datagrams()].iter().map(|d| (d.rx_ns, d.flags & RX_KERNEL_TIME)));
    }
    // What is not known is the time of the turn, and nobody behind it came before it.
    assert_eq!(told, [(99, 16), (99, 16), (99, 16), (100, 0), (100, 0)]);
    // Another socket knows nothing of that, and no time is 0.
    e.clear(LATEST, "192.0.2.1:8".parse().unwrap());
    assert!(e.push(arrived(0, 1)));
    e.push_stamp(5);
    e.present();
    e.stamp(AHEAD, LATEST);
    assert_eq!((e.received.rx[0].rx_ns, e.received.rx[0].flags & RX_KERNEL_TIME), (1, 16));
    // The wall clock was set back after the arrival.
    e.clear(600, BOUND.parse().unwrap());
    assert!(e.push(arrived(0, 1)));
    e.push_stamp(1_000_000);
    e.present();
    e.stamp(0, LATEST);
    assert_eq!(e.received.rx[0].rx_ns, LATEST);
    e.clear(600, BOUND.parse().unwrap());
    assert!(!e.has_stamps());
    assert!(e.push(arrived(0, 1)));
    e.present();
    assert_eq!((e.received.rx[0].rx_ns, e.received.rx[0].flags), (600, 0));
}

pub(super) fn exchange(payloads: &[&[u8]]) -> Exchange {
    let mut e = Exchange::new(SMALL);
    for (i, payload) in payloads.iter().enumerate() {
        e.ring_mut()[i * 80..][..payload.len()].copy_from_slice(payload);
        assert!(e.push(arrived(i * 80, payload.len())));
    }
    e.present();
    e
}

pub(super) fn set(e: &mut Exchange, entries: &[pp_tx]) {
    e.queue.tx[..entries.len()].copy_from_slice(entries);
    e.queue.tx_len = entries.len();
}

#[test]
fn an_echo_entry_is_the_received_bytes_to_the_sender() {
    let mut e = exchange(&[b"one", b"", b"three"]);
    set(&mut e, &[pp_tx { rx: 2, len: 5, ..EMPTY_TX }, pp_tx { rx: 1, len: 0, ..EMPTY_TX }]);
    let out: Vec<_> = e.outputs().map(Result::unwrap).collect();
    assert_eq!(
        (out[0].payload, out[0].answers, out[0].to),
        (&b"three"[..], Answers { first: 2, count: 1 }, arrived(0, 0).peer)
    );
    assert_eq!(out[1].payload, b"");
}

#[test]
fn entries_outside_what_was_received_are_refused() {
    let mut e = exchange(&[b"one"]);
    let foreign = [0_u8; 8];
    let cases = [
        (pp_tx { rx: 1, len: 1, ..EMPTY_TX }, OutputError::Bad),
        (pp_tx { rx: 0, len: 4, ..EMPTY_TX }, OutputError::Bad),
        (pp_tx { rx: 0, len: 1, flags: 0x80, ..EMPTY_TX }, OutputError::Bad),
        (pp_tx { rx: 0, len: 1, flags: 0x04, data: foreign.as_ptr(), ..EMPTY_TX }, OutputError::Bad),
        (pp_tx { rx: 0, len: 1, flags: TX_PROVED | 0x08, ..EMPTY_TX }, OutputError::Bad),
        (pp_tx { rx: NO_RX, len: 0, ..EMPTY_TX }, OutputError::NoDestination),
        (pp_tx { rx: NO_RX, len: 0, flags: TX_TO, ..EMPTY_TX }, OutputError::NoDestination),
        (pp_tx { rx: 0, len: 65_508, data: foreign.as_ptr(), ..EMPTY_TX }, OutputError::TooLong),
        (pp_tx { rx: 0, len: u32::MAX, ..EMPTY_TX }, OutputError::TooLong),
    ];
    for (entry, expected) in cases {
        set(&mut e, &[entry]);
        assert_eq!(e.outputs().next().unwrap().unwrap_err(), expected, "{entry:?}");
    }
}

/// Both ways through the check: of one answer among others, and of the only one.
#[test]
fn the_longest_datagram_of_each_family_is_sent_and_no_longer_one() {
    let own = vec![0_u8; 70_000];
    for (peer, most) in [("192.0.2.1:5000", 65_507), ("[2001:db8::1]:5000", 65_527)] {
        let mut e = Exchange::new(SMALL);
        let message = Arrived { peer: peer.parse().unwrap(), ..arrived(0, 1) };
        assert!(e.push(message));
        e.present();
        for (len, fits) in [(most, true), (most + 1, false)] {
            let entry = pp_tx { data: own.as_ptr(), ..echo(0, len) };
            set(&mut e, &[entry]);
            let expected = if fits { Ok(len as usize) } else { Err(OutputError::TooLong) };
            let checked = e.outputs().next().unwrap().map(|out| out.payload.len());
            assert_eq!(checked, expected, "{len} bytes to {peer}");
            assert_eq!(matches!(e.queued(), Queued::One(_)), fits, "{len} bytes to {peer}");
        }
    }
}

#[test]
fn a_reply_leaves_from_the_address_that_was_asked_unless_told_otherwise() {
    let asked = ReplySource { ip: "198.51.100.7".parse().unwrap(), ifindex: 3 };
    let mut e = Exchange::new(SMALL);
    assert!(e.push(Arrived { reply_from: Some(asked), ..arrived(0, 1) }));
    e.present();
    let from = pp_addr::from("203.0.113.9:0".parse::<SocketAddr>().unwrap());
    set(&mut e, &[pp_tx { rx: 0, ..EMPTY_TX }, pp_tx { rx: 0, flags: TX_FROM, from, ..EMPTY_TX }]);
    let out: Vec<_> = e.outputs().map(|o| o.unwrap().from.unwrap()).collect();
    assert_eq!(out[0], asked);
    assert_eq!(out[1].ip, "203.0.113.9".parse::<IpAddr>().unwrap());
}

#[test]
fn a_descriptor_the_handler_scribbled_over_does_not_move_the_reply() {
    let mut e = exchange(&[b"one"]);
    e.received.rx[0].data = ptr::null_mut();
    e.received.rx[0].peer = pp_addr::from("203.0.113.9:9".parse::<SocketAddr>().unwrap());
    set(&mut e, &[pp_tx { rx: 0, len: 3, ..EMPTY_TX }]);
    let out = e.outputs().next().unwrap().unwrap();
    assert_eq!((out.payload, out.to), (&b"one"[..], arrived(0, 0).peer));
}

#[test]
fn messages_outside_the_ring_or_with_more_datagrams_than_descriptors_are_refused() {
    let mut e = Exchange::new(SMALL);
    assert!(!e.push(arrived(4 * 80, 1)));
    assert!(!e.push(arrived(usize::MAX, 1)));
    assert!(!e.push(Arrived { cap: 1, ..arrived(0, 2) }));
    let small = |segment| Arrived { segment, cap: 64, ..arrived(0, 9) };
    assert!(!e.push(small(2)));
    assert!(e.push(small(3)));
}

#[test]
fn retain_drops_messages_before_they_are_presented() {
    let mut e = Exchange::new(SMALL);
    for (at, len) in [1, 2, 3].into_iter().enumerate() {
        assert!(e.push(arrived(at * 80, len)));
    }
    e.retain(|a| a.len != 2);
    assert_eq!((e.messages().len(), e.present()), (2, 2));
    assert_eq!(e.received.rx[..2].iter().map(|d| d.len).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(e.payload(1).len(), 3);
}

#[test]
fn messages_are_presented_in_batches_and_no_train_is_torn() {
    let mut e = Exchange::new(ExchangeLimits { present: 3, ..SMALL });
    let train = Arrived { segment: 3, cap: 64, ..arrived(80, 12) };
    for a in [arrived(0, 1), arrived(0, 1), train, arrived(0, 1), arrived(0, 1)] {
        assert!(e.push(a));
    }
    let batches: Vec<_> = std::iter::from_fn(|| Some(e.present()).filter(|n| *n > 0)).collect();
    assert_eq!(batches, [2, 4, 2]);
    let mut e = Exchange::new(ExchangeLimits { rx: 8, present: 2, ..SMALL });
    for a in [train, arrived(0, 1), arrived(0, 1), arrived(0, 1)] {
        assert!(e.push(a));
    }
    let batches: Vec<_> = std::iter::from_fn(|| Some(e.present()).filter(|n| *n > 0)).collect();
    assert_eq!(batches, [4, 2, 1], "a train that has more than a call takes is shown alone");
}

/// The kernel's word for a segment may be there without a train.
#[test]
fn no_call_shows_more_datagrams_than_there_are_descriptors() {
    let mut e = Exchange::new(ExchangeLimits { rx: 3, present: 100, ..SMALL });
    let train = Arrived { segment: 1, cap: 64, ..arrived(80, 2) };
    [train, train].into_iter().for_each(|a| assert!(e.push(a)));
    assert_eq!([e.present(), e.present(), e.present()], [2, 2, 0]);
}

#[test]
fn a_message_of_one_segment_goes_back_as_a_datagram() {
    for segment in [9, 20] {
        let mut e = Exchange::new(SMALL);
        assert!(e.push(Arrived { segment, ..arrived(0, 9) }));
        e.present();
        set(&mut e, &[echo(0, 9)]);
        let Queued::One(output) = e.queued() else { panic!("{:?}", e.queued()) };
        assert_eq!((output.segment, output.datagrams()), (0, 1));
        assert_eq!(e.messages()[0].segment, 0);
    }
}

/// A handler that says nothing about a datagram says nothing, whatever was said about the one before it.
#[test]
fn a_verdict_is_forgotten_with_its_datagram() {
    let mut e = exchange(&[b"one", b"two"]);
    e.received.rx.iter_mut().for_each(|d| d.verdict = polyport_abi::VERDICT_DISCARD);
    assert!(e.discarded(0) && e.discarded(1));
    for messages in [1, 2] {
        e.clear(0, BOUND.parse().unwrap());
        (0..messages).for_each(|_| assert!(e.push(arrived(0, 1))));
        e.present();
        assert!(!e.discarded(0) && !e.discarded(messages - 1), "{messages}");
        e.received.rx.iter_mut().for_each(|d| d.verdict = polyport_abi::VERDICT_DISCARD);
    }
}

#[test]
fn parked_entries_keep_their_order_and_their_bytes() {
    let mut e = Exchange::new(SMALL);
    assert!(e.push(arrived(0, 1)));
    e.present();
    let batch = blank_batch();
    let flushes = e_lend(&mut e, &batch);
    assert_eq!(flushes, vec![true, true, false]);
    let payloads: Vec<_> = e.outputs().map(|o| o.unwrap().payload.to_vec()).collect();
    assert_eq!(payloads, [vec![1; 4], vec![1; 4], vec![2; 4], vec![2; 4], vec![3; 4]]);
}

/// By each of the ways that make an output: a train, a run, an entry of its own, and the short way.
#[test]
fn an_output_knows_the_hop_limit_of_what_it_answers_whatever_the_handler_wrote() {
    let asked_with = |e: &Exchange| -> Vec<(u8, u8)> {
        e.outputs().map(Result::unwrap).map(|output| (output.asked_with, output.hop_limit)).collect()
    };
    let to = pp_addr::from("198.51.100.1:9".parse::<SocketAddr>().unwrap());
    let mut e = Exchange::new(ExchangeLimits { rx: 8, tx: 8, tx_total: 8, present: 8, ..SMALL });
    assert!(e.push(Arrived { hop_limit: 9, segment: 2, cap: 64, ..arrived(0, 6) }));
    assert!(e.push(Arrived { hop_limit: 0, ..arrived(80, 1) }));
    assert!(e.push(Arrived { hop_limit: 1, ..arrived(160, 1) }));
    e.present();
    e.received.rx.iter_mut().for_each(|datagram| datagram.hop_limit = 200);
    set(&mut e, &[echo(0, 2), echo(1, 2), echo(2, 2), echo(3, 1), echo(4, 1)]);
    assert_eq!(asked_with(&e), [(9, 0), (0, 0), (1, 0)], "a train echoed is one output");
    set(&mut e, &[pp_tx { run: 2, ..echo(2, 2) }]);
    assert_eq!(asked_with(&e), [(9, 0), (0, 0), (1, 0)], "a run of three messages");
    let unsolicited = pp_tx { flags: TX_TO, to, ..EMPTY_TX };
    let foreign = [0; 1];
    let elsewhere = pp_tx { flags: TX_TO, to, data: foreign.as_ptr(), ..echo(4, 1) };
    set(&mut e, &[elsewhere, pp_tx { data: foreign.as_ptr(), ..unsolicited }]);
    assert_eq!(asked_with(&e), [(1, 0), (0, 0)], "an answer to somebody else, and none");

    let mut e = Exchange::new(SMALL);
    assert!(e.push(Arrived { hop_limit: 7, ..arrived(0, 1) }));
    e.present();
    e.received.rx[0].hop_limit = 200;
    set(&mut e, &[echo(0, 1)]);
    let Queued::One(output) = e.queued() else { panic!("the short way") };
    assert_eq!((output.asked_with, output.hop_limit), (7, 0));
}

#[test]
fn a_datagram_was_sent_to_the_port_of_the_listener() {
    let mut e = Exchange::new(SMALL);
    e.clear(7, BOUND.parse().unwrap());
    assert!(e.push(arrived(0, 1)));
    assert!(e.push(Arrived { destination: Some("239.1.2.3".parse().unwrap()), ..arrived(80, 1) }));
    e.present();
    let seen: Vec<_> = e
        .received
        .rx
        .iter()
        .take(2)
        .map(|d| (d.local.socket_addr().unwrap().to_string(), d.flags, d.rx_ns))
        .collect();
    assert_eq!(seen, [(BOUND.to_owned(), 0, 7), ("239.1.2.3:1062".to_owned(), RX_HAS_LOCAL, 7)]);
}

#[test]
fn the_share_of_a_call_holds_flushes_included_and_needs_no_arena() {
    // There are more rounds than arena chunks: entries that lie in the ring need no chunk.
    for tx_total in 1..12 {
        let mut e = Exchange::new(ExchangeLimits { tx_total, ..SMALL });
        assert!(e.push(arrived(0, 1)));
        e.present();
        e.lend(&blank_batch(), |b, shared| {
            // SAFETY: the batch is valid during the call.
            let b = unsafe { &mut *b };
            loop {
                for slot in 0..b.tx_cap {
                    // SAFETY: `tx` has `tx_cap` entries.
                    unsafe { *b.tx.wrapping_add(slot as usize) = pp_tx { len: 1, rx: 0, ..EMPTY_TX } };
                }
                b.tx_len = b.tx_cap;
                // SAFETY: what the host's `flush` does: the exchange of the running call, reached by pointer.
                if !unsafe { (*shared).park(b) } {
                    break;
                }
            }
            b.tx_len = u32::MAX;
        });
        assert_eq!(e.outputs().count(), tx_total);
    }
}

/// Plays a handler that fills both entries and flushes, three times. The third flush finds the share used up.
fn e_lend(e: &mut Exchange, batch: &pp_batch) -> Vec<bool> {
    let mut flushes = Vec::new();
    e.lend(batch, |b, shared| {
        // SAFETY: the batch is valid during the call.
        let b = unsafe { &mut *b };
        for round in 1..=3_u8 {
            for slot in 0..if round == 3 { 1 } else { 2 } {
                // SAFETY: the arena has 128 bytes and 4 are used a round.
                unsafe { ptr::write_bytes(b.arena, round, 4) };
                b.arena_len = 4;
                let entry = pp_tx { data: b.arena, len: 4, rx: 0, ..EMPTY_TX };
                // SAFETY: `tx` has two entries.
                unsafe { *b.tx.wrapping_add(slot) = entry };
                b.tx_len += 1;
            }
            // SAFETY: what the host's `flush` does: the exchange of the running call, reached by pointer.
            flushes.push(unsafe { (*shared).park(b) });
        }
    });
    flushes
}

pub(super) fn blank_batch() -> pp_batch {
    pp_batch {
        size: 112,
        rx_len: 0,
        rx: ptr::null_mut(),
        tx: ptr::null_mut(),
        tx_len: 0,
        tx_cap: 0,
        arena: ptr::null_mut(),
        arena_len: 0,
        arena_cap: 0,
        now_ns: 0,
        wall_offset_ns: 0,
        ctx: ptr::null_mut(),
        host: ptr::null(),
        max_payload: 0,
        log_level: 0,
        refused: 0,
        delay_datagrams: 0,
        delay_bytes: 0,
        handling: 0,
        address: 0,
    }
}

pub(super) fn echo(rx: u32, len: u32) -> pp_tx {
    pp_tx { rx, len, ..EMPTY_TX }
}

#[test]
fn a_proof_is_taken_along_and_the_short_way_is_as_short() {
    let to = pp_addr::from("198.51.100.1:9".parse::<SocketAddr>().unwrap());
    let (mut e, proved) = (exchange(&[b"one", b"two"]), TX_PROVED);
    let mut seen = Vec::new();
    for entry in [
        echo(0, 3),
        pp_tx { flags: proved, ..echo(1, 3) },
        pp_tx { flags: proved, run: 1, ..echo(0, 3) },
        pp_tx { flags: proved | TX_TO, to, ..echo(0, 3) },
    ] {
        set(&mut e, &[entry]);
        seen.extend(e.outputs().map(Result::unwrap).map(|o| (o.proved, o.to.port())));
    }
    assert_eq!(seen, [(false, 5000), (true, 5000), (true, 5000), (true, 5000), (true, 9)]);
    let mut e = exchange(&[b"one"]);
    set(&mut e, &[pp_tx { flags: proved, ..echo(0, 3) }]);
    assert!(matches!(e.queued(), Queued::One(output) if output.proved));
}

#[test]
fn what_must_not_be_cut_is_known_as_long_as_it_waits_and_the_short_way_is_as_short() {
    let (mut e, df) = (exchange(&[b"one", b"two"]), TX_DF);
    let mut seen = Vec::new();
    for entry in [
        echo(0, 3),
        pp_tx { flags: df, ..echo(1, 3) },
        pp_tx { flags: df, run: 1, ..echo(0, 3) },
        pp_tx { flags: df | TX_PROVED, ..echo(0, 3) },
    ] {
        set(&mut e, &[entry]);
        for output in e.outputs().map(Result::unwrap) {
            let waited = OwnedOutput::copy(&output, Vec::new());
            assert_eq!(waited.as_output().df, output.df);
            seen.push((output.df, output.proved));
        }
    }
    assert_eq!(seen, [(false, false), (true, false), (true, false), (true, false), (true, true)]);
    let mut e = exchange(&[b"one"]);
    set(&mut e, &[pp_tx { flags: df, ..echo(0, 3) }]);
    assert!(matches!(e.queued(), Queued::One(output) if output.df));
}

#[test]
fn messages_are_numbered_by_what_is_presented() {
    let mut e = Exchange::new(ExchangeLimits { present: 3, ..SMALL });
    for (offset, len, segment) in [(0, 4, 2), (80, 1, 0), (160, 5, 2), (240, 0, 0)] {
        assert!(e.push(Arrived { segment, ..arrived(offset, len) }));
    }
    let mut seen = Vec::new();
    while e.present() > 0 {
        let lengths: Vec<usize> = e.presented().iter().map(|message| message.len).collect();
        let of = (0..=e.datagrams()).map(|rx| e.message_of(rx).zip(e.length(rx))).collect::<Vec<_>>();
        seen.push((lengths, of));
    }
    let first = (vec![4, 1], vec![Some((0, 2)), Some((0, 2)), Some((1, 1)), None]);
    let second = (vec![5], vec![Some((0, 2)), Some((0, 2)), Some((0, 1)), None]);
    assert_eq!(seen, [first, second, (vec![0], vec![Some((0, 0)), None])]);
    e.clear(1, BOUND.parse().unwrap());
    assert!(e.presented().is_empty() && e.message_of(0).is_none());
}
