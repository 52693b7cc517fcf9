//! Addresses that have one handler together: it counts over all of them, answers by the one that was asked, and breaks and comes
//! back at all of them at once. The journal looks at each answer: by the socket that was asked, to who asked, with its bytes.

use std::net::{IpAddr, SocketAddr};

use polyport::limits::Limits;
use polyport::metrics::DropReason;
use polyport::plugin::Cell;
use polyport::reactor::{Flow, ListenerState, OnFault, Token};

use crate::bench::{ASKED, Bench, Bind, Kind, Setup, without_budget};
use crate::peers::{BY_WAKE, LATER, peer};
use crate::reloads::{change, wish};
use crate::world::{SocketId, Upstream};

/// Nanoseconds of a millisecond.
const MS: u64 = 1_000_000;
const SERVER: &str = "203.0.113.9:27015";
/// Commands of the handler: see `tests/fixtures/census`.
const BY_SESSION: u8 = 7;
const PANIC: u8 = b'p';
const CLOSE: u8 = b'c';
const REPLY: u8 = b'n';

struct Addresses {
    bench: Bench,
    sockets: Vec<SocketId>,
    tokens: Vec<Token>,
}

/// A listener with so many addresses, and a neighbour that echoes.
fn addresses(setup: &Setup, n: u16, bind: &Bind<'_>) -> Addresses {
    let mut bench = Bench::new(setup);
    let binds: Vec<_> = (0..n)
        .map(|port| Bind {
            kind: Kind::Census,
            local: SocketAddr::from((ASKED, 7000 + port)),
            ..bind.clone()
        })
        .collect();
    let (sockets, tokens) = bench.listen_together(&binds);
    Addresses { bench, sockets, tokens }
}

impl Addresses {
    fn command(&mut self, address: usize, after_ns: u64, from: u16, command: u8) {
        self.bench.command(self.sockets[address], after_ns, from, command);
    }

    /// The cell of the handler, wherever it is.
    fn cell(&self, name: &str) -> u64 {
        let reports = self.bench.reactor.reports();
        let mut cells = reports.flat_map(|report| {
            report.cells.iter().filter(|cell| cell.name == name).map(Cell::value).collect::<Vec<_>>()
        });
        let value = cells.next().unwrap();
        assert_eq!(cells.next(), None, "one handler has one cell");
        value
    }

    fn answered(&mut self) -> Vec<usize> {
        let sockets = self.sockets.clone();
        sockets.into_iter().map(|socket| self.bench.answered(socket).len()).collect()
    }
}

#[test]
fn one_handler_counts_over_all_its_addresses_and_answers_by_each() {
    for level in [false, true] {
        let mut all = addresses(&Setup { level, ..Setup::default() }, 50, &Bind::default());
        for address in 0..50 {
            (0..3).for_each(|client| all.command(address, 0, client, 0));
        }
        all.bench.settle();
        assert_eq!(all.cell("seen_total"), 150);
        assert_eq!(all.answered(), [3; 50]);
        assert_eq!(all.bench.counters(all.sockets[7]).replied, 3, "each address has its own books");
    }
}

/// The timer speaks through the first address; what it sends leaves by the one that was asked, in order, in its books.
#[test]
fn what_a_timer_sends_leaves_by_the_address_it_names() {
    let mut all = addresses(&Setup::default(), 5, &Bind::default());
    for round in 0..20 {
        (0..5).for_each(|address| all.command(address, round * 3 * MS, 1, LATER));
    }
    all.bench.settle();
    assert_eq!(all.answered(), [20; 5]);
    let counters = all.bench.counters(all.sockets[3]);
    assert_eq!((counters.received, counters.consumed, counters.queued, counters.sent), (20, 20, 20, 20));
}

/// A call that wakes it is about the first address; a ticket remembers which one was asked.
#[test]
fn a_ticket_is_answered_by_the_address_that_was_asked() {
    let mut all = addresses(&Setup::default(), 5, &Bind::default());
    for round in 0..20 {
        (0..5).for_each(|address| all.command(address, round * 3 * MS, 1, BY_WAKE));
    }
    all.bench.settle();
    assert_eq!(all.answered(), [20; 5]);
    let counters = all.bench.counters(all.sockets[3]);
    assert_eq!((counters.received, counters.consumed, counters.queued, counters.sent), (20, 20, 20, 20));
    // The first address speaks for all; without it, the next one does.
    all.bench.world().close(all.sockets[0]);
    all.command(0, 0, 1, 0);
    all.command(4, MS, 1, BY_WAKE);
    all.bench.settle();
    assert_eq!(all.answered()[4], 21);
}

/// Whoever was asked somewhere else has paid as well, and nobody else.
#[test]
fn the_budget_of_a_peer_is_one_for_all_addresses() {
    let mut all = addresses(&Setup::default(), 2, &Bind::default());
    all.command(0, 0, 1, LATER);
    all.command(1, 0, 2, LATER);
    all.bench.settle();
    assert_eq!(all.answered(), [1, 1]);
    assert_eq!(all.bench.counters(all.sockets[1]).dropped(DropReason::Amplification), 0);
}

#[test]
fn a_full_socket_keeps_what_other_addresses_send_by_it() {
    let mut all = addresses(&Setup::default(), 2, &Bind::default());
    all.bench.world().fill(all.sockets[1], 0);
    (0..5).for_each(|client| all.command(1, 0, client, LATER));
    all.bench.settle_but_waiting(all.sockets[1], 5);
    all.bench.world().open(all.sockets[1], MS, 100);
    all.bench.settle();
    assert_eq!(all.answered(), [0, 5]);
}

#[test]
fn a_panic_silences_all_addresses_and_they_come_back_together() {
    let mut all = addresses(&Setup::default(), 20, &Bind::default());
    (0..20).for_each(|address| all.command(address, 0, 1, 0));
    all.command(11, MS, 9, PANIC);
    // While it is down, nobody is answered, wherever.
    (0..20).for_each(|address| all.command(address, 10 * MS, 2, 0));
    (0..20).for_each(|address| all.command(address, 1000 * MS, 3, 0));
    all.bench.settle();
    assert_eq!(all.answered(), [2; 20]);
    let counters: Vec<_> = all.sockets.iter().map(|socket| all.bench.counters(*socket)).collect();
    let sum = |of: fn(&polyport::metrics::Counters) -> u64| counters.iter().map(of).sum::<u64>();
    assert_eq!((sum(|c| c.faults), sum(|c| c.restarts)), (1, 1), "one instance broke, once");
    assert_eq!(counters[11].dropped(DropReason::Poison), 1);
    assert_eq!(sum(|c| c.dropped(DropReason::HandlerDown)), 20);
    // What it had counted goes on: 20 before, the poison, 20 after.
    all.command(5, 0, 1, REPLY);
    let reply = all.bench.run();
    assert!(
        reply.unwrap_err().contains("never asked"),
        "the answer is a text that the journal does not know"
    );
    let (_, _, text) = all.bench.world().journal.left.last().unwrap().clone();
    assert_eq!(text, b"42 5 20");
    assert_eq!((all.cell("seen_total"), all.cell("instances")), (62 - 20, 1));
}

/// What came with the poison, and behind it, is given to the next one, at the address that it came to.
#[test]
fn what_lay_behind_the_poison_is_answered_by_the_next_one() {
    let mut all = addresses(&Setup::default(), 3, &Bind::default());
    all.command(1, 0, 1, 0);
    all.command(1, 0, 2, PANIC);
    all.command(1, 0, 3, 0);
    all.bench.settle();
    let counters = all.bench.counters(all.sockets[1]);
    assert_eq!((all.answered(), counters.dropped(DropReason::Poison)), (vec![0, 1, 0], 1));
    assert_eq!(counters.dropped(DropReason::HandlerFault), 1, "what it had answered before is void");
}

#[test]
fn a_handler_that_will_not_come_back_is_tried_again_for_all() {
    let refuse = [("refuse_restart", "true".to_owned())];
    let mut all = addresses(&Setup::default(), 3, &Bind { options: &refuse, ..Bind::default() });
    all.command(0, 0, 1, PANIC);
    all.bench.settle();
    (0..3).for_each(|address| all.command(address, 0, 2, 0));
    all.bench.settle();
    let dropped = all.sockets.iter().map(|s| all.bench.counters(*s).dropped(DropReason::HandlerDown));
    let (faults, down) = (all.bench.counters(all.sockets[0]).faults, dropped.sum::<u64>());
    // The state was refused with the first attempt, and is not handed on again: the second attempt succeeds.
    assert_eq!((faults, down), (2, 0), "{:?}", all.answered());
}

#[test]
fn on_fault_off_and_exit_hold_for_all_addresses() {
    let mut all = addresses(&Setup::default(), 3, &Bind { on_fault: OnFault::Off, ..Bind::default() });
    all.command(2, 0, 1, PANIC);
    (0..3).for_each(|address| all.command(address, MS, 2, 0));
    all.bench.fall_silent();
    let down =
        |all: &Addresses, at: usize| all.bench.counters(all.sockets[at]).dropped(DropReason::HandlerDown);
    assert_eq!([0, 1, 2].map(|at| down(&all, at)), [1, 1, 1]);
    let mut all = addresses(&Setup::default(), 3, &Bind { on_fault: OnFault::Exit, ..Bind::default() });
    all.command(2, 0, 1, PANIC);
    let ended = (0..100).any(|_| all.bench.turn().unwrap() == Flow::Fatal);
    assert!(ended);
}

/// A handler that stays off does not come back by a change as one for each address: only a restart makes it again.
#[test]
fn a_change_makes_no_handler_for_each_of_the_addresses() {
    let mut all = addresses(&Setup::default(), 3, &Bind { on_fault: OnFault::Off, ..Bind::default() });
    all.command(2, 0, 1, PANIC);
    all.bench.fall_silent();
    let plugin = Kind::Census.plugin();
    let wishes = all.tokens.iter().map(|token| wish(&all.bench, *token, &plugin, &[])).collect();
    let done = change(&mut all.bench, wishes).unwrap();
    assert_eq!((done.replaced, done.reconfigured), (0, 0));
    let states: Vec<_> = all.bench.reactor.reports().map(|report| report.state).collect();
    assert_eq!(states, [ListenerState::Failed; 3]);
}

/// The first address speaks for the timers; when its socket is unusable, the next one does.
#[test]
fn an_unusable_socket_costs_its_address_only() {
    for broken in [0, 1] {
        let mut all = addresses(&Setup { level: true, ..Setup::default() }, 3, &Bind::default());
        (0..3).for_each(|address| all.command(address, 0, 1, 0));
        all.bench.settle();
        all.bench.world().close(all.sockets[broken]);
        all.command(broken, 0, 2, 0);
        all.bench.settle();
        let others: Vec<_> = (0..3).filter(|at| *at != broken).collect();
        others.iter().for_each(|at| all.command(*at, 0, 3, LATER));
        all.bench.settle();
        let answered = all.answered();
        assert!(others.iter().all(|at| answered[*at] == 2), "{answered:?}");
        // It is made again for the others, if it breaks.
        all.command(others[0], 0, 4, PANIC);
        all.bench.settle();
        others.iter().for_each(|at| all.command(*at, 0, 5, 0));
        all.bench.settle();
        let answered = all.answered();
        assert!(others.iter().all(|at| answered[*at] == 3), "{answered:?}");
    }
}

#[test]
fn addresses_are_removed_one_by_one_and_the_handler_goes_with_the_last() {
    let mut all = addresses(&Setup::default(), 3, &Bind::default());
    (0..3).for_each(|address| all.command(address, 0, 1, 0));
    all.bench.settle();
    for (at, token) in all.tokens.clone().into_iter().enumerate() {
        assert_eq!(all.cell("instances"), 1);
        let removed = all.bench.reactor.remove(token).unwrap();
        all.bench.world().release(removed.socket);
        let cells: Vec<_> = removed.cells.iter().map(|cell| (cell.name.clone(), cell.value())).collect();
        if at == 2 {
            assert_eq!(cells, [("instances".to_owned(), 0), ("seen_total".to_owned(), 3)]);
        } else {
            assert_eq!(cells, [], "they are with those that stay");
        }
    }
}

#[test]
fn handlers_are_destroyed_once_at_the_end_and_their_books_stay() {
    let mut all = addresses(&Setup::default(), 9, &Bind::default());
    (0..9).for_each(|address| all.command(address, 0, 1, 0));
    all.bench.settle();
    all.bench.reactor.stop();
    assert_eq!((all.cell("seen_total"), all.cell("instances")), (9, 1), "gauges show what was");
}

/// The session was opened at the first address that was asked for it, and all others use it: what they ask goes out by it, and
/// what comes back leaves by the address that was asked.
#[test]
fn a_session_of_one_address_serves_the_others() {
    let to = [("to", SERVER.to_owned())];
    for level in [false, true] {
        let bind = Bind { options: &to, reply: without_budget(), ..Bind::default() };
        let mut all = addresses(&Setup { level, ..Setup::default() }, 4, &bind);
        let echo = Upstream::Echo { times: 1, after_ns: MS };
        all.bench.world().upstreams.servers.insert(SERVER.parse().unwrap(), echo);
        for round in 0..10 {
            (0..4).for_each(|address| all.command((address + 2) % 4, round * MS, 1, BY_SESSION));
        }
        all.bench.settle();
        assert_eq!(all.answered(), [10; 4], "level {level}");
        let books: Vec<_> = all.bench.reactor.reports().map(|r| *r.sessions.unwrap().book).collect();
        assert_eq!(books.iter().map(|book| book.open).collect::<Vec<_>>(), [0, 0, 1, 0]);
        assert_eq!((books[2].counters.sent, books[2].counters.received), (40, 40));
        // Any of them ends it.
        all.command(1, 0, 1, CLOSE);
        all.command(1, MS, 1, BY_SESSION);
        all.bench.settle();
        let books: Vec<_> = all.bench.reactor.reports().map(|r| *r.sessions.unwrap().book).collect();
        assert_eq!(
            books.iter().map(|book| (book.opened, book.open)).collect::<Vec<_>>()[..3],
            [(0, 0), (1, 1), (1, 0)]
        );
        assert!(books.iter().all(|book| book.bad_requests == 0));
    }
}

#[test]
fn sessions_are_kept_over_a_restart_wherever_they_were_opened() {
    let to = [("to", SERVER.to_owned())];
    let bind = Bind { options: &to, reply: without_budget(), ..Bind::default() };
    let mut all = addresses(&Setup::default(), 3, &bind);
    let echo = Upstream::Echo { times: 1, after_ns: MS };
    all.bench.world().upstreams.servers.insert(SERVER.parse().unwrap(), echo);
    all.command(1, 0, 1, BY_SESSION);
    all.bench.settle();
    all.command(2, 0, 1, PANIC);
    all.bench.settle();
    all.command(0, 0, 1, BY_SESSION);
    all.bench.settle();
    let books: Vec<_> = all.bench.reactor.reports().map(|r| *r.sessions.unwrap().book).collect();
    assert_eq!((all.answered(), books[1].open, books[1].opened), (vec![1, 1, 0], 1, 1));
    assert_eq!(all.bench.world().upstreams.opens, 1);
}

/// 50,000 addresses cost one instance, and one line of the log when it breaks.
#[test]
fn fifty_thousand_addresses_have_one_instance() {
    const MANY: u16 = 50_000;
    let mut all = addresses(&Setup { level: true, ..Setup::default() }, MANY, &Bind::default());
    let asked = || (0..usize::from(MANY)).step_by(4999);
    asked().for_each(|address| all.command(address, 0, 1, 0));
    all.command(25_000, MS, 2, PANIC);
    asked().for_each(|address| all.command(address, 1000 * MS, 3, LATER));
    all.bench.settle();
    assert_eq!((all.cell("instances"), all.cell("seen_total")), (1, 23));
    let answered = all.answered();
    assert!(asked().all(|address| answered[address] == 2));
}

/// A busy handler of a hundred addresses keeps a neighbour waiting no longer than a hundred listeners would (I3, which the journal
/// watches); one address that is flooded does not keep the others.
#[test]
fn each_address_has_its_own_place_in_the_round() {
    let limits = Limits { visit_datagrams: 8, turn_datagrams: 64, ..Limits::default() };
    let mut all = addresses(&Setup { limits, level: true, ..Setup::default() }, 100, &Bind::default());
    let (neighbour, _) = all.bench.listen(&Bind::default());
    for client in 0..500 {
        all.bench.forge(all.sockets[0], 0, peer(false, client), IpAddr::V4(ASKED), 0);
    }
    (1..100).for_each(|address| all.command(address, 0, 1, 0));
    all.bench.burst(neighbour, 0, 1, 20);
    all.bench.settle();
    assert_eq!(all.bench.answered(neighbour).len(), 20);
    let answered = all.answered();
    assert_eq!((answered[0], answered[1..].iter().sum::<usize>()), (500, 99));
}
