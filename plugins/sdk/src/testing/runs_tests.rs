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

/// Sends back later, and marked, as the first byte says.
struct Later;

impl Handler for Later {
    type Config = ();

    fn new((): (), _: &mut Setup<'_>) -> Result<Self> {
        Ok(Self)
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        let at_ns = batch.now_ns() + 1000;
        for datagram in batch.datagrams() {
            let first = datagram.payload().first().copied().unwrap_or(0);
            datagram.set_tos(first & 3);
            datagram.echo_at(if first & 4 > 0 { at_ns } else { 0 });
        }
    }
}

/// What goes the same way at the same time, and marked alike, shares an entry; each waits as one of its own.
#[test]
fn those_that_leave_later_or_marked_share_an_entry_with_their_like() {
    let mut h = Harness::<Later>::new(&[]);
    for (firsts, entries) in [(&[1, 1, 1, 1][..], 1), (&[1, 2, 2, 0, 0], 3), (&[4, 4, 4], 1), (&[4, 0, 4], 3)]
    {
        h.set_memory(Memory { tx_cap: entries, flushes: 0, ..Memory::default() });
        let bytes: Vec<_> = firsts.iter().map(|first| [*first]).collect();
        let batch: Vec<_> = bytes.iter().map(|bytes| (peer(), &bytes[..])).collect();
        h.send_batch(&batch);
        let _ = h.advance(core::time::Duration::from_micros(1));
        let mut sent: Vec<_> = h.sent().into_iter().map(|sent| (sent.payload[0], sent.tos)).collect();
        sent.sort_unstable();
        let mut expected: Vec<_> = firsts.iter().map(|first| (*first, first & 3)).collect();
        expected.sort_unstable();
        assert_eq!((sent, h.refused()), (expected, 0), "{firsts:?}");
    }
    h.set_memory(Memory::default());
    h.set_delay_room(2);
    h.send_batch(&[(peer(), &[4][..]), (peer(), &[4]), (peer(), &[4])]);
    assert_eq!(h.bad(), 0);
}

/// Sends on what follows as the one before, and notes how much that was.
struct Following;

impl Handler for Following {
    type Config = ();

    fn new((): (), _: &mut Setup<'_>) -> Result<Self> {
        Ok(Self)
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        let (mut followed, mut datagrams) = (Vec::new(), batch.datagrams());
        assert_eq!(datagrams.follow(), (0, 0), "nothing was sent yet");
        while let Some(datagram) = datagrams.next() {
            match datagram.payload().first() {
                Some(b'r') => _ = datagram.reply(b"reply"),
                Some(b'd') => datagram.discard(),
                Some(b'l') => _ = datagram.echo_at(u64::MAX),
                Some(b'p') => {
                    datagram.prove_peer();
                    datagram.echo();
                }
                _ => _ = datagram.echo(),
            }
            followed.push(datagrams.follow());
        }
        assert_eq!(datagrams.follow(), (0, 0), "nothing is left");
        batch.log(Level::Info, format_args!("{followed:?}"));
    }
}

#[test]
fn what_follows_is_what_came_the_same_way() {
    let mut h = Harness::<Following>::new(&[]);
    let other = SocketAddr::from(([192, 0, 2, 2], 5000));
    let port = SocketAddr::from(([192, 0, 2, 1], 5001));
    let batch: [(SocketAddr, &[u8]); 12] = [
        (peer(), b"a"),
        (peer(), b"bb"),
        (peer(), b""),
        (other, b"c"),
        (port, b"d is dropped"),
        (port, b"r is answered"),
        (port, b"e"),
        (port, b"l is echoed later where it is asked for"),
        (peer(), b"p is proved"),
        (peer(), b"f"),
        (peer(), b"g"),
        (peer(), b"h"),
    ];
    assert_eq!(h.send_batch(&batch), Outcome::Done);
    // Two behind the first, and the rest behind what says more than where it goes; `l` and `p` among them go as those before.
    assert_eq!(h.lines(), ["[(2, 2), (0, 0), (0, 0), (0, 0), (1, 39), (0, 0), (2, 2)]"]);
    let all: Vec<_> = sent(&mut h).into_iter().map(|(rx, _)| rx).collect();
    assert_eq!(
        (all, h.bad(), h.refused(), h.discarded()),
        (vec![0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11], 0, 0, 1)
    );
}

#[test]
fn nothing_follows_what_found_no_room() {
    let mut h = Harness::<Following>::new(&[]);
    h.set_memory(Memory { tx_cap: 1, flushes: 0, ..Memory::default() });
    let other = SocketAddr::from(([192, 0, 2, 2], 5000));
    let batch: [(SocketAddr, &[u8]); 4] = [(peer(), b"a"), (peer(), b"b"), (other, b"r"), (other, b"e")];
    assert_eq!(h.send_batch(&batch), Outcome::Done);
    assert_eq!((sent(&mut h).len(), h.refused()), (2, 2));
    assert_eq!(h.lines(), ["[(1, 1), (0, 0), (0, 0)]"]);
}
