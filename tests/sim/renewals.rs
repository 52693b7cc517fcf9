//! Listeners come and go by changes while others serve: all at once to who looks, or nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use polyport::limits::Limits;
use polyport::metrics::DropReason;
use polyport::reactor::{Changes, ListenerState, Newcomer, OnFault, Token};

use crate::bench::{Bench, Bind, Kind, Setup, without_budget};
use crate::reloads::{change, heir, loader, wish};
use crate::world::SocketId;

/// Nanoseconds of a millisecond.
const MS: u64 = 1_000_000;
const PANIC: u8 = 1;
const ANSWER_LATER: u8 = 5;
/// More than are made, opened and removed in one turn.
const MANY: u16 = 100;

fn bind(kind: Kind, port: u16) -> Bind<'static> {
    let local = (crate::bench::ASKED, port).into();
    Bind { kind, local, reply: without_budget(), ..Bind::default() }
}

/// Sockets at these ports that are bound, and served by nobody so far.
fn newcomers(bench: &mut Bench, ports: std::ops::Range<u16>) -> (Vec<SocketId>, Vec<Newcomer<SocketId>>) {
    let mut sockets = Vec::new();
    let all = ports.map(|port| {
        let bind = bind(Kind::Echo, port);
        let spec = bench.spec(Kind::Echo.plugin(), &bind);
        sockets.push(spec.socket);
        bench.expect_of(spec.socket, &bind);
        Newcomer::Alone(spec)
    });
    let all = all.collect();
    (sockets, all)
}

fn served(bench: &Bench) -> BTreeSet<u16> {
    bench.reactor.reports().map(|report| report.local.port()).collect()
}

/// Turns until nothing is left to be done of a change. Returns what was served at the end of each turn.
fn until_done(bench: &mut Bench) -> Vec<BTreeSet<u16>> {
    let mut seen = Vec::new();
    while bench.reactor.is_changing() {
        bench.turn().unwrap();
        seen.push(served(bench));
    }
    seen
}

/// What comes to a socket before it is served waits there, who serves already loses nothing, and until the switch
/// nobody sees anything of what is to come.
#[test]
fn newcomers_are_served_from_one_turn_on_and_what_came_before_waits() {
    let mut bench = Bench::new(&Setup::default());
    let (old, _) = bench.listen(&bind(Kind::Echo, 1));
    let (new, add) = newcomers(&mut bench, 2..2 + MANY);
    new.iter().for_each(|socket| bench.burst(*socket, 0, 7, 3));
    for n in 0..200 {
        bench.burst(old, n * MS / 20, 7, 1);
    }
    bench.reactor.change(Changes { wishes: Vec::new(), add, remove: Vec::new(), retag: Vec::new() });
    let mut turns = 0;
    let done = loop {
        bench.turn().unwrap();
        turns += 1;
        if let Some(changed) = bench.reactor.take_changed() {
            break changed.unwrap();
        }
        assert_eq!(served(&bench), BTreeSet::from([1]), "turn {turns}");
    };
    assert_eq!((done.added, done.removed, done.replaced), (usize::from(MANY), 0, 0));
    assert!(turns >= usize::from(MANY) / 8, "{turns}");
    let seen = until_done(&mut bench);
    assert_eq!(seen.last().unwrap().len(), 1 + usize::from(MANY));
    bench.settle();
    assert_eq!(bench.answered(old).len(), 200);
    for socket in new {
        assert_eq!(bench.answered(socket).len(), 3, "{socket:?}");
    }
}

/// The last newcomer refuses, or a listener that serves refuses its new handler: nothing was there, and nothing has
/// gone.
#[test]
fn one_that_refuses_leaves_nobody_behind_and_nobody_gone() {
    let (dir, mut loader) = (tempfile::tempdir().unwrap(), loader());
    let Some(refuses) = heir(dir.path(), &mut loader, "refuses", "-DNEVER") else { return };
    for by_newcomer in [true, false] {
        let mut bench = Bench::new(&Setup::default());
        let all: Vec<_> = (1..=20).map(|port| bench.listen(&bind(Kind::Echo, port))).collect();
        let (_, mut add) = newcomers(&mut bench, 21..21 + MANY);
        let mut wishes = Vec::new();
        if by_newcomer {
            let last = bind(Kind::Echo, 500);
            let spec = bench.spec(Arc::clone(&refuses), &last);
            bench.expect_of(spec.socket, &last);
            add.push(Newcomer::Alone(spec));
        } else {
            wishes.push(wish(&bench, all[0].1, &refuses, &[]));
        }
        for (socket, _) in &all {
            (0..50).for_each(|n| bench.burst(*socket, n * MS / 20, 7, 1));
        }
        let before = served(&bench);
        let remove = all.iter().skip(10).map(|(_, token)| *token).collect();
        bench.reactor.change(Changes { wishes, add, remove, retag: Vec::new() });
        let (mut seen, mut unserved) = (Vec::new(), Vec::new());
        while bench.reactor.is_changing() {
            bench.turn().unwrap();
            seen.push(served(&bench));
            let some = bench.reactor.take_unserved();
            assert!(some.len() <= 8, "{some:?}: their sockets are for somebody else to close, some a turn");
            unserved.extend(some);
        }
        assert!(seen.iter().all(|seen| *seen == before), "{seen:?}");
        // The one that has refused went with its listener.
        assert_eq!(unserved.len(), usize::from(MANY), "{by_newcomer}");
        let refused = bench.reactor.take_changed().unwrap().unwrap_err();
        assert_eq!((refused.len(), &*refused[0].error.message), (1, "not with me"));
        assert!(bench.reactor.take_removed().is_empty());
        bench.settle();
        for (socket, _) in &all {
            assert_eq!(bench.answered(*socket).len(), 50, "{socket:?}");
        }
    }
}

/// A refused removal leaves nothing behind: who was to go is drained and handed over as anybody else.
#[test]
fn who_was_to_go_and_stays_is_what_it_was() {
    let (dir, mut loader) = (tempfile::tempdir().unwrap(), loader());
    let Some(refuses) = heir(dir.path(), &mut loader, "refuses", "-DNEVER") else { return };
    let mut bench = Bench::new(&Setup::default());
    let all: Vec<_> = (1..=3).map(|port| bench.listen(&bind(Kind::Echo, port))).collect();
    let [(_, first), (second, second_token), (third, third_token)] = all[..] else { unreachable!() };
    assert!(bench.reactor.pause(second_token));
    let wishes = vec![wish(&bench, first, &refuses, &[])];
    let remove = vec![second_token, third_token];
    bench.reactor.change(Changes { wishes, add: Vec::new(), remove, retag: Vec::new() });
    until_done(&mut bench);
    bench.reactor.take_changed().unwrap().unwrap_err();
    let state = |bench: &Bench, token: Token| {
        bench.reactor.reports().find(|report| report.token == token).map(|report| report.state)
    };
    assert_eq!(state(&bench, second_token), Some(ListenerState::Paused));
    assert!(bench.reactor.fall_silent());
    bench.reactor.hear_again();
    bench.burst(third, 0, 7, 3);
    bench.settle();
    assert_eq!(bench.answered(third).len(), 3, "it is read again");
    assert_eq!(state(&bench, second_token), Some(ListenerState::Paused), "who is paused stays so");
    while !bench.reactor.quiet_down(third_token, true) {}
    assert_eq!(state(&bench, third_token), Some(ListenerState::Draining));
    assert!(bench.reactor.resume(second_token));
    bench.burst(second, 0, 7, 3);
    bench.settle();
    assert_eq!(bench.answered(second).len(), 3);
    // The next change takes it all the same.
    bench.reactor.change(Changes {
        wishes: Vec::new(),
        add: Vec::new(),
        remove: vec![third_token],
        retag: Vec::new(),
    });
    until_done(&mut bench);
    assert_eq!(served(&bench), BTreeSet::from([1, 2]));
}

/// What only gets another place stays out of service, if it is, while another one goes.
#[test]
fn who_only_gets_another_tag_is_not_made_again() {
    let mut bench = Bench::new(&Setup::default());
    let off = Bind { on_fault: OnFault::Off, ..bind(Kind::Moody, 1) };
    let ((broken, token), (_, gone)) = (bench.listen(&off), bench.listen(&bind(Kind::Echo, 2)));
    bench.command(broken, 0, 1, PANIC);
    bench.settle();
    let retag = vec![(token, 77)];
    bench.reactor.change(Changes { wishes: Vec::new(), add: Vec::new(), remove: vec![gone], retag });
    until_done(&mut bench);
    let reports: Vec<_> = bench.reactor.reports().map(|report| (report.tag, report.state)).collect();
    assert_eq!(reports, [(77, ListenerState::Failed)]);
}

/// Those that go are known no more from the switch on; their books add up, and what they had still to send is counted.
#[test]
fn who_goes_is_gone_with_books_that_add_up_and_the_others_lose_nothing() {
    let mut bench = Bench::new(&Setup::default());
    let stays = bench.listen(&bind(Kind::Echo, 1)).0;
    let go: Vec<(SocketId, Token)> =
        (2..2 + MANY).map(|port| bench.listen(&bind(Kind::Moody, port))).collect();
    for (socket, _) in &go {
        bench.command(*socket, 0, 1, ANSWER_LATER);
    }
    for n in 0..200 {
        bench.burst(stays, n * MS / 20, 7, 1);
    }
    bench.turn().unwrap();
    bench.turn().unwrap();
    let remove = go.iter().map(|(_, token)| *token).collect();
    bench.reactor.change(Changes { wishes: Vec::new(), add: Vec::new(), remove, retag: Vec::new() });
    let seen = until_done(&mut bench);
    let sizes: BTreeSet<usize> = seen.iter().map(BTreeSet::len).collect();
    assert!(sizes.is_subset(&BTreeSet::from([1, 1 + usize::from(MANY)])), "all or nothing: {sizes:?}");
    assert_eq!(bench.reactor.take_changed().unwrap().unwrap().removed, usize::from(MANY));
    let gone = bench.reactor.take_removed();
    assert_eq!(gone.len(), usize::from(MANY));
    for removed in &gone {
        assert!(removed.counters.conservation(0).holds());
        assert_eq!(removed.counters.dropped(DropReason::ListenerGone) + removed.counters.sent, 1);
    }
    assert_eq!(bench.reactor.held().delayed_datagrams, 0);
    // It fails when nothing comes any more.
    while bench.answered(stays).len() < 200 {
        bench.turn().map(drop).unwrap();
    }
}

/// Who looks at all listeners some at a time finds each of those that go once: for so long nobody is removed.
#[test]
fn who_goes_stays_for_those_who_look() {
    let mut bench = Bench::new(&Setup::default());
    let (stays, _) = bench.listen(&bind(Kind::Echo, 1));
    let go: Vec<_> = (2..2 + MANY).map(|port| bench.listen(&bind(Kind::Echo, port))).collect();
    go.iter().for_each(|(socket, _)| bench.burst(*socket, 0, 7, 1));
    bench.settle();
    let remove = go.iter().map(|(_, token)| *token).collect();
    bench.reactor.change(Changes { wishes: Vec::new(), add: Vec::new(), remove, retag: Vec::new() });
    while bench.reactor.take_changed().is_none() {
        bench.turn().unwrap();
    }
    let of_leaving = |bench: &Bench| {
        let slots = bench.reactor.slots();
        bench.reactor.leaving_in(0..slots).map(|report| report.counters.received).sum::<u64>()
    };
    let mut of_gone = 0;
    let mut looks = 0;
    while bench.reactor.is_changing() {
        bench.reactor.keep_leaving(true);
        let before = of_leaving(&bench);
        bench.burst(stays, 0, 7, 1);
        for _ in 0..3 {
            bench.turn().unwrap();
            assert_eq!((of_leaving(&bench), bench.reactor.take_removed().len()), (before, 0));
        }
        bench.reactor.keep_leaving(false);
        bench.turn().unwrap();
        let removed = bench.reactor.take_removed();
        assert!(removed.len() <= 8);
        of_gone += removed.iter().map(|removed| removed.counters.received).sum::<u64>();
        assert_eq!(of_gone + of_leaving(&bench), u64::from(MANY), "each is in one of the two");
        looks += 1;
    }
    assert!(looks >= usize::from(MANY) / 8);
    assert_eq!((of_gone, served(&bench)), (u64::from(MANY), BTreeSet::from([1])));
}

/// The end, and another change, come while newcomers are being made, and after the switch.
#[test]
fn the_end_and_another_change_find_everything_or_nothing() {
    for turns in [1, 3, 20] {
        for ends in [true, false] {
            let mut bench = Bench::new(&Setup::default());
            let (_, first) = bench.listen(&bind(Kind::Echo, 1));
            let (_, add) = newcomers(&mut bench, 2..2 + MANY);
            bench.reactor.change(Changes { wishes: Vec::new(), add, remove: vec![first], retag: Vec::new() });
            (0..turns).for_each(|_| {
                bench.turn().unwrap();
            });
            let is_made = matches!(bench.reactor.take_changed(), Some(Ok(_)));
            if ends {
                bench.reactor.end_within(std::time::Duration::from_secs(1));
            } else {
                bench.reactor.change(Vec::new());
            }
            let expected = if is_made { (2..2 + MANY).collect() } else { BTreeSet::from([1]) };
            assert_eq!(served(&bench), expected, "{turns} {ends}");
            assert_eq!(bench.reactor.take_removed().len(), usize::from(is_made));
            bench.reactor.stop();
        }
    }
}

/// R44: however many come, go or get other places, a turn does a bounded part of it, and in each turn who is ready has a
/// visit. What is done at once is the switch alone.
#[test]
fn no_turn_does_more_than_its_part_of_a_change() {
    const CROWD: u16 = 1500;
    let limits = Limits { visit_datagrams: 1, ..Setup::default().limits };
    let mut bench = Bench::new(&Setup { limits, ..Setup::default() });
    let (busy, _) = bench.listen(&bind(Kind::Echo, 1));
    let stay: Vec<_> = (2..300).map(|port| bench.listen(&bind(Kind::Echo, port)).1).collect();
    let go: Vec<_> = (300..300 + CROWD).map(|port| bench.listen(&bind(Kind::Echo, port)).1).collect();
    let (_, add) = newcomers(&mut bench, 5000..5000 + CROWD);
    // Who stays is another table of the file from now on, with the same handler.
    let plugin = Kind::Echo.plugin();
    let mut wishes: Vec<_> = stay.iter().map(|token| wish(&bench, *token, &plugin, &[])).collect();
    change(&mut bench, wishes.clone()).unwrap();
    wishes.iter_mut().for_each(|wish| wish.tag = 77);
    bench.burst(busy, 0, 7, 5000);
    bench.turn().unwrap();
    bench.reactor.change(Changes { wishes, add, remove: go, retag: Vec::new() });
    let (mut before, mut gone, mut switches) = (served(&bench), 0, 0);
    while bench.reactor.is_changing() {
        let answered = bench.answered(busy).len();
        bench.turn().unwrap();
        assert_eq!(bench.answered(busy).len(), answered + 1, "each turn has its visit");
        let now = served(&bench);
        let (come, left) = (now.difference(&before).count(), before.difference(&now).count());
        let tagged = bench.reactor.reports().filter(|report| report.tag == 77).count();
        if bench.reactor.take_changed().is_some_and(|changed| changed.is_ok()) {
            assert_eq!(
                (left, tagged),
                (usize::from(CROWD), stay.len()),
                "from the switch on nobody knows them"
            );
            switches += 1;
        } else {
            assert_eq!((left, tagged), (0, if switches == 0 { 0 } else { stay.len() }));
        }
        assert!(come <= 32, "{come} are served from one turn on");
        let removed = bench.reactor.take_removed().len();
        assert!(removed <= 8, "{removed} were destroyed in a turn");
        (before, gone) = (now, gone + removed);
    }
    assert_eq!((switches, gone), (1, usize::from(CROWD)));
    assert_eq!(before.len(), 1 + stay.len() + usize::from(CROWD));
}
