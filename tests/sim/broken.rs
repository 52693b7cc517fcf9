//! Sockets whose descriptor turns out to be none, at each place that can meet it: their own listener ends, every
//! datagram that waited has a reason, and nothing of it stays in the loop.

use polyport::exchange::ExchangeLimits;
use polyport::limits::Limits;
use polyport::metrics::DropReason;

use crate::bench::{Bench, Bind, Kind, Setup};
use crate::world::SocketId;

/// Nanoseconds of a millisecond.
const MS: u64 = 1_000_000;
const BROKEN: Option<i32> = Some(libc::EBADF);

fn setup() -> Setup {
    let exchange =
        ExchangeLimits { slots: 32, slot_len: 4096, stride: 4096 + 192, ..ExchangeLimits::default() };
    Setup { exchange, segments: true, level: true, ..Setup::default() }
}

/// What was lost with the socket; fails while anything of the listener is left in the loop.
#[track_caller]
fn lost(bench: &mut Bench, socket: SocketId) -> u64 {
    // What comes now finds nobody.
    bench.burst(socket, 50 * MS, 1, 3);
    bench.fall_silent();
    assert!(!bench.world().is_watched(socket) && !bench.world().watches_room(socket));
    assert_eq!(bench.waiting(socket), 0);
    bench.counters(socket).dropped(DropReason::SocketBroken)
}

#[test]
fn trains_are_lost_by_the_datagram() {
    let mut bench = Bench::new(&Setup { trains: true, ..setup() });
    let (echo, _) = bench.listen(&Bind::default());
    bench.world().script(echo).sends.push_back(BROKEN);
    bench.burst(echo, 0, 1, 20);
    bench.burst(echo, 0, 2, 7);
    assert_eq!(lost(&mut bench, echo), 27);
    assert_eq!((bench.counters(echo).queued, bench.counters(echo).sent), (27, 0));
}

#[test]
fn a_refused_train_whose_pieces_meet_it_loses_those_that_did_not_leave() {
    for left in 0..5 {
        for trains in [false, true] {
            let mut bench = Bench::new(&Setup { trains, ..setup() });
            let (echo, _) = bench.listen(&Bind::default());
            let pieces = std::iter::repeat_n(None, left).chain([BROKEN]);
            bench.world().script(echo).sends.extend([Some(libc::EMSGSIZE)].into_iter().chain(pieces));
            bench.burst(echo, 0, 1, 5);
            bench.burst(echo, 0, 2, 3);
            let lost = lost(&mut bench, echo);
            assert_eq!((bench.answered(echo).len() as u64, lost), (left as u64, 8 - left as u64));
        }
    }
}

#[test]
fn a_lone_answer_is_lost() {
    let mut bench = Bench::new(&setup());
    let (echo, _) = bench.listen(&Bind::default());
    bench.world().script(echo).sends.push_back(BROKEN);
    bench.burst(echo, 0, 1, 1);
    assert_eq!(lost(&mut bench, echo), 1);
}

/// The first of the due ones meets it; what is due later has nowhere to go either.
#[test]
fn delayed_datagrams_are_lost_and_the_listener_ends_with_the_first() {
    let delay = [("delay", "5ms".to_owned())];
    let mut bench = Bench::new(&setup());
    let (lossy, _) = bench.listen(&Bind { kind: Kind::Lossy, options: &delay, ..Bind::default() });
    bench.world().script(lossy).sends.extend([None, BROKEN]);
    bench.burst(lossy, 0, 1, 1);
    bench.burst(lossy, MS, 2, 2);
    bench.burst(lossy, 4 * MS, 3, 2);
    // Nobody takes these: the socket broke before they came.
    bench.burst(lossy, 8 * MS, 4, 2);
    assert_eq!(lost(&mut bench, lossy), 4);
    assert_eq!((bench.counters(lossy).received, bench.counters(lossy).sent), (5, 1));
}

/// The bytes of a backlog are given back as well: the other listener may have them all.
#[test]
fn a_backlog_is_lost_when_a_receive_meets_it() {
    let limits = Limits { backlog_total_bytes: 32 * 5, ..Limits::default() };
    let mut bench = Bench::new(&Setup { limits, segments: false, ..setup() });
    let [(closes, _), (other, _)] = [(); 2].map(|()| bench.listen(&Bind::default()));
    bench.world().fill(closes, 0);
    bench.burst(closes, 0, 1, 4);
    bench.settle_but_waiting(closes, 4);
    bench.world().close(closes);
    bench.burst(closes, 0, 1, 1);
    assert_eq!(lost(&mut bench, closes), 4);
    bench.world().fill(other, 0);
    bench.burst(other, 0, 1, 5);
    bench.world().open(other, MS, 100);
    bench.settle();
    assert_eq!(bench.answered(other).len(), 5);
}

#[test]
fn a_backlog_is_lost_when_its_own_send_meets_it() {
    // The second is more than one look at a backlog takes.
    for waiting in [4, 100] {
        let limits = Limits { backlog_datagrams: 1000, ..Limits::default() };
        let mut bench = Bench::new(&Setup { limits, ..setup() });
        let (echo, _) = bench.listen(&Bind::default());
        bench.world().fill(echo, 0);
        bench.burst(echo, 0, 1, waiting);
        bench.settle_but_waiting(echo, waiting as u64);
        bench.world().script(echo).sends.push_back(BROKEN);
        bench.world().open(echo, MS, 1000);
        assert_eq!(lost(&mut bench, echo), waiting as u64);
    }
}

/// A timer that goes on would turn the loop for ever.
#[test]
fn the_timers_of_its_handler_end_with_it() {
    let tick = [("tick", "10ms".to_owned())];
    for by_receive in [true, false] {
        let mut bench = Bench::new(&setup());
        let (moody, _) = bench.listen(&Bind { kind: Kind::Moody, options: &tick, ..Bind::default() });
        let script = bench.world().script(moody);
        if by_receive {
            script.receives.push_back(BROKEN);
        } else {
            script.sends.push_back(BROKEN);
        }
        bench.burst(moody, 5 * MS, 1, 1);
        assert_eq!(lost(&mut bench, moody), u64::from(!by_receive));
    }
}

/// A socket that waits to be looked at again, after an error that stays, breaks while a delayed answer is sent.
#[test]
fn nobody_looks_at_it_again() {
    let delay = [("delay", "5ms".to_owned())];
    let mut bench = Bench::new(&setup());
    let (lossy, _) = bench.listen(&Bind { kind: Kind::Lossy, options: &delay, ..Bind::default() });
    bench.burst(lossy, 0, 1, 1);
    bench.world().script(lossy).receives.extend([None, Some(libc::ENOBUFS)]);
    bench.burst(lossy, 2 * MS, 1, 1);
    bench.world().script(lossy).sends.push_back(BROKEN);
    assert_eq!(lost(&mut bench, lossy), 1);
    let errors = bench.counters(lossy).receive_errors;
    assert_eq!(errors, 1, "it was looked at after it broke");
}
