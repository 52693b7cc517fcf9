//! Tests of trains from the host's side: how a handler sees one, and which of its answers leave as one.

use polyport_abi::pp_tx;

use super::tests::{SMALL, arrived, echo, exchange, set};
use super::*;

fn train(len: usize) -> Exchange {
    let mut e = Exchange::new(ExchangeLimits { rx: 16, tx: 16, ..SMALL });
    e.ring_mut()[80..80 + len].iter_mut().zip(0..).for_each(|(b, i)| *b = i);
    assert!(e.push(Arrived { segment: 10, cap: 64, ..arrived(80, len) }));
    e.present();
    e
}

#[test]
fn a_train_is_seen_as_datagrams_that_share_a_buffer() {
    let e = train(25);
    assert_eq!(e.datagrams(), 3);
    assert_eq!(
        e.received.rx[..3].iter().map(|d| (d.len, d.cap)).collect::<Vec<_>>(),
        [(10, 10), (10, 10), (5, 5)]
    );
    assert_eq!(e.payload(2), [20, 21, 22, 23, 24]);
    // What the handler is shown lies where the host says.
    let first = e.received.rx[0].data.addr();
    assert_eq!(first, e.received.ring.at(80).addr());
    assert_eq!([1, 2].map(|n: usize| e.received.rx[n].data.addr() - first), [10, 20]);
    assert_eq!(e.peer(2), Some(arrived(0, 0).peer));
    assert_eq!(e.peer(3), None);
}

#[test]
fn the_echo_of_a_whole_train_is_one_output() {
    let mut e = train(25);
    set(&mut e, &[echo(0, 10), echo(1, 10), echo(2, 5)]);
    let out: Vec<_> = e.outputs().map(Result::unwrap).collect();
    assert_eq!(out.len(), 1);
    assert_eq!(
        (out[0].answers, out[0].segment, out[0].payload.len(), out[0].datagrams()),
        (Answers { first: 0, count: 3 }, 10, 25, 3)
    );
}

#[test]
fn a_gap_a_change_of_length_or_of_order_ends_a_train() {
    let cases: [(&[pp_tx], &[usize]); 5] = [
        (&[echo(0, 10), echo(2, 5)], &[10, 5]),
        (&[echo(0, 9), echo(1, 10), echo(2, 5)], &[9, 15]),
        (&[echo(1, 10), echo(0, 10), echo(2, 5)], &[10, 10, 5]),
        (&[echo(0, 10), echo(1, 10), pp_tx { at_ns: 9, ..echo(2, 5) }], &[20, 5]),
        (&[echo(0, 10), echo(0, 10)], &[10, 10]),
    ];
    for (entries, expected) in cases {
        let mut e = train(25);
        set(&mut e, entries);
        let lengths: Vec<_> = e.outputs().map(|o| o.unwrap().payload.len()).collect();
        assert_eq!(lengths, expected, "{entries:?}");
    }
}

#[test]
fn a_segmented_entry_is_a_run_and_the_last_piece_may_be_shorter() {
    let mut e = exchange(&[b"abcdefg"]);
    set(&mut e, &[pp_tx { segment: 3, ..echo(0, 7) }, pp_tx { segment: 7, ..echo(0, 7) }]);
    let out: Vec<_> = e.outputs().map(Result::unwrap).collect();
    assert_eq!(out.iter().map(Output::datagrams).collect::<Vec<_>>(), [3, 1]);
    // One piece is a datagram like any other: the kernel is not asked to cut it.
    assert_eq!(out.iter().map(|o| o.segment).collect::<Vec<_>>(), [3, 0]);
    assert_eq!(out[0].split().map(|o| o.payload).collect::<Vec<_>>(), [&b"abc"[..], b"def", b"g"]);
    set(&mut e, &[echo(0, 0)]);
    assert_eq!(e.outputs().map(|o| o.unwrap().split().count()).collect::<Vec<_>>(), [1]);
}
