//! One visit: how much it takes, and when it ends.

use polyport::exchange::ExchangeLimits;
use polyport::limits::Limits;

use crate::bench::{ASKED, Bench, Bind, Setup};
use crate::peers::{FAR, lone_peer, payload};
use crate::world::{Datagram, SocketId};

/// Nanoseconds of a millisecond.
const MS: u64 = 1_000_000;

/// Two busy listeners, four datagrams a receive call, and so many bytes a visit; the sizes of their visits.
#[track_caller]
fn visits(visit_bytes: usize, len: usize, each: usize) -> Vec<usize> {
    let limits = Limits { visit_bytes, ..Limits::default() };
    let mut bench = Bench::new(&Setup { limits, ..Setup::default() });
    let sockets = [(); 2].map(|()| bench.listen(&Bind::default()).0);
    for socket in sockets {
        for _ in 0..each {
            let id = bench.id();
            let (peer, destination) = (lone_peer(false, id), ASKED.into());
            bench.world().arrive(
                socket,
                0,
                Datagram { id, peer, destination, hop_limit: FAR, payload: payload(id, 0, len) },
            );
        }
    }
    bench.settle();
    let order: Vec<usize> = bench.world().journal.left.iter().map(|(at, ..)| *at).collect();
    assert_eq!(order.len(), 2 * each);
    order.chunk_by(|a, b| a == b).map(<[usize]>::len).collect()
}

#[test]
fn a_visit_ends_when_it_took_its_bytes() {
    assert_eq!(visits(100, 32, 20)[..9], [4; 9]);
    assert_eq!(visits(129, 32, 16)[..3], [5; 3]);
    assert_eq!(visits(1, 32, 12), [1; 24]);
}

#[test]
fn a_datagram_without_bytes_is_one_byte_of_a_visit() {
    assert_eq!(visits(4, 0, 20)[..9], [4; 9]);
    assert_eq!(visits(8, 0, 16), [8; 4]);
}

/// Errors that the socket has got over do not count against it: sixteen in a row would end the visit, and the socket
/// would not be looked at for 10 ms.
#[test]
fn errors_before_and_after_a_success_are_not_in_a_row() {
    let mut bench = Bench::new(&Setup::default());
    let (echo, _) = bench.listen(&Bind::default());
    let errors = || std::iter::repeat_n(Some(libc::ECONNREFUSED), 15);
    let script = errors().chain([None]).chain(errors()).chain([None]).chain(errors());
    bench.world().script(echo).receives.extend(script);
    bench.burst(echo, 0, 1, 12);
    bench.turn().unwrap();
    assert_eq!((bench.answered(echo).len(), bench.counters(echo).receive_errors), (12, 45));
    assert!(bench.world().is_watched(echo));
}

/// A look for more that finds something makes the next ones usual again; without it, one batch in 32 is followed by one.
#[test]
fn a_second_look_that_finds_something_is_worth_another() {
    const APART: u64 = 20 * MS;
    let exchange = ExchangeLimits { slots: 32, ..Setup::default().exchange };
    let mut bench = Bench::new(&Setup { exchange, ..Setup::default() });
    let (echo, _) = bench.listen(&Bind::default());
    // Receive calls are slow enough for something to come before the second look.
    bench.world().orders.slow_ns = MS;
    let mut calls = |followed: bool| {
        bench.burst(echo, APART, 1, 2);
        if followed {
            bench.burst(echo, APART + MS + MS / 2, 1, 2);
        }
        calls_of_a_round(&mut bench, echo)
    };
    let found: Vec<u64> = (0..64).map(|_| calls(false)).collect();
    // In vain twice, then rarely.
    assert_eq!(found.iter().filter(|calls| **calls == 2).count(), 2 + 1, "{found:?}");
    let next_look = found.iter().rposition(|calls| *calls == 2).unwrap() + 32;
    (found.len()..next_look).for_each(|_| assert_eq!(calls(false), 1));
    // The batch, the look that finds more, and the look after that.
    assert_eq!(calls(true), 3);
    assert_eq!(calls(false), 2, "a look that found something is worth another");
}

fn calls_of_a_round(bench: &mut Bench, socket: SocketId) -> u64 {
    let before = bench.world().journal.ledgers[socket.0].calls;
    bench.settle();
    bench.world().journal.ledgers[socket.0].calls - before
}
