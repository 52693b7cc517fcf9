//! Echoes in a row share an entry of the ring; what is sent is the same as without.

use core::net::SocketAddr;

use super::{Harness, Memory, Outcome};
use crate::prelude::*;

/// Answers by the first byte.
struct Mixed;

impl Handler for Mixed {
    type Config = ();

    fn new((): (), _: &mut Setup<'_>) -> Result<Self> {
        Ok(Self)
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        for datagram in batch.datagrams() {
            match datagram.payload().first() {
                Some(b'r') => _ = datagram.reply(b"reply"),
                Some(b'd') => datagram.discard(),
                Some(b'l') => _ = datagram.echo_at(u64::MAX),
                Some(b't') => {
                    let datagram = datagram.freeze();
                    datagram.echo();
                    datagram.echo();
                }
                Some(b'-') => {}
                _ => _ = datagram.echo(),
            }
        }
    }
}

/// Sends everything back.
struct All;

impl Handler for All {
    type Config = ();

    fn new((): (), _: &mut Setup<'_>) -> Result<Self> {
        Ok(Self)
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        batch.echo_all();
        assert_eq!((batch.datagrams().count(), batch.echo_all()), (0, 0), "each datagram is sent once");
    }
}

fn peer() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 5000))
}

/// What was sent back: which datagram, and its bytes.
fn sent<H: Handler>(h: &mut Harness<H>) -> Vec<(usize, Vec<u8>)> {
    h.sent().into_iter().map(|sent| (sent.rx.unwrap(), sent.payload)).collect()
}

#[test]
fn a_run_ends_where_something_else_comes_between() {
    let mut h = Harness::<Mixed>::new(&[]);
    let payloads: [&[u8]; 11] = [b"a", b"bb", b"", b"r", b"c", b"d", b"e", b"t", b"f", b"-", b"g"];
    let batch: Vec<_> = payloads.iter().map(|payload| (peer(), *payload)).collect();
    assert_eq!(h.send_batch(&batch), Outcome::Done);
    let expected: [(usize, &[u8]); 10] = [
        (0, b"a"),
        (1, b"bb"),
        (2, b""),
        (3, b"reply"),
        (4, b"c"),
        (6, b"e"),
        (7, b"t"),
        (7, b"t"),
        (8, b"f"),
        (10, b"g"),
    ];
    let expected: Vec<_> = expected.iter().map(|(rx, bytes)| (*rx, bytes.to_vec())).collect();
    assert_eq!((sent(&mut h), h.bad(), h.refused(), h.discarded()), (expected, 0, 0, 1));
}

#[test]
fn runs_need_no_room_but_their_first_entry() {
    let mut h = Harness::<Mixed>::new(&[]);
    h.set_memory(Memory { tx_cap: 1, arena_cap: 64, flushes: 0 });
    h.send_batch(&[(peer(), &b"a"[..]), (peer(), b"b"), (peer(), b"l"), (peer(), b"c")]);
    assert_eq!(sent(&mut h), [(0, b"a".to_vec()), (1, b"b".to_vec())]);
    assert_eq!((h.refused(), h.waiting()), (2, 0));
}

#[test]
fn everything_left_goes_back_whole_and_in_order() {
    let mut h = Harness::<All>::new(&[]);
    let payloads: Vec<Vec<u8>> = (0..300_usize).map(|i| vec![i.to_le_bytes()[0]; i % 7]).collect();
    let batch: Vec<_> = payloads.iter().map(|payload| (peer(), payload.as_slice())).collect();
    h.send_batch(&batch);
    let back: Vec<_> = payloads.iter().cloned().enumerate().collect();
    assert_eq!((sent(&mut h), h.bad(), h.refused()), (back, 0, 0));
    h.set_memory(Memory { tx_cap: 0, arena_cap: 0, flushes: 0 });
    h.send_batch(&batch);
    assert_eq!((sent(&mut h).len(), h.refused()), (0, 300), "who finds no room is counted");
}
