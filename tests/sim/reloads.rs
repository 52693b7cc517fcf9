//! Handlers are replaced while they serve: all of them between two batches, or none.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use polyport::exchange::SessionEnd;
use polyport::metrics::DropReason;
use polyport::plugin::{Given, GivenValue, Loader, Plugin, SearchPath, Values};
use polyport::reactor::{ChangeDone, ChangeRefused, Flow, OnFault, Token, Wish};
use polyport_tests::plugins::{compile_c, fixture};

use crate::bench::{Bench, Bind, Kind, Setup, without_budget};
use crate::world::{SocketId, Upstream};

/// Nanoseconds of a millisecond.
const MS: u64 = 1_000_000;
const PANIC: u8 = 1;
const ANSWER_BY_TIMER: u8 = 6;
const PANIC_IN_A_SECOND: u8 = 10;
const ANSWER_LATER: u8 = 5;

/// What the listener shall be: served by this plugin with these options.
pub(crate) fn wish(bench: &Bench, token: Token, plugin: &Arc<Plugin>, options: &[(&str, &str)]) -> Wish {
    let given: Vec<_> =
        options.iter().map(|(name, text)| Given { name, value: GivenValue::Text(text) }).collect();
    let report = bench.reactor.reports().find(|report| report.token == token).unwrap();
    Wish {
        token,
        name: Arc::clone(report.name),
        plugin: Arc::clone(plugin),
        values: Rc::new(Values::check(plugin.options(), &given).unwrap()),
        on_fault: OnFault::Restart,
        access: None,
        reply: Rc::new(without_budget().unwrap()),
        outgoing: Rc::default(),
        sessions: None,
        chain: false,
        is_tuned: false,
        tag: report.tag,
    }
}

/// Turns until the change is made or refused.
pub(crate) fn change(bench: &mut Bench, wishes: Vec<Wish>) -> Result<ChangeDone, Vec<ChangeRefused>> {
    bench.reactor.change(wishes);
    loop {
        let flow = bench.turn().unwrap();
        if let Some(changed) = bench.reactor.take_changed() {
            assert_eq!(flow, Flow::Attend);
            return changed;
        }
    }
}

/// The plugin `heir`, built with these flags.
pub(crate) fn heir(dir: &Path, loader: &mut Loader, name: &str, flag: &str) -> Option<Arc<Plugin>> {
    let library = compile_c(&fixture("heir"), &[&format!("-DNAME=\"{name}\""), flag], dir, name)?;
    Some(loader.load(library.to_str().unwrap()).unwrap())
}

pub(crate) fn loader() -> Loader {
    Loader::new(SearchPath::default(), |name| std::env::var_os(name))
}

fn bind(kind: Kind, port: u16) -> Bind<'static> {
    let local = (crate::bench::ASKED, port).into();
    Bind { kind, local, reply: without_budget(), ..Bind::default() }
}

/// More handlers than are made in a turn, and traffic all the time: nobody loses anything.
#[test]
fn all_handlers_are_replaced_and_no_datagram_is_lost() {
    let mut bench = Bench::new(&Setup::default());
    let all: Vec<_> = (1..=50).map(|port| bench.listen(&bind(Kind::Moody, port))).collect();
    for (moody, _) in &all {
        (0..100).for_each(|n| bench.command(*moody, n * MS / 10, 1, 0));
    }
    let plugin = Kind::Moody.plugin();
    let wishes: Vec<_> =
        all.iter().map(|(_, token)| wish(&bench, *token, &plugin, &[("tick", "5ms")])).collect();
    let again = wishes.clone();
    let done = change(&mut bench, wishes).unwrap();
    assert_eq!((done.replaced, done.reconfigured, done.adjusted), (50, 0, 0));
    let done = change(&mut bench, again).unwrap();
    assert_eq!((done.replaced, done.reconfigured, done.adjusted), (0, 0, 0), "the same once more");
    bench.settle();
    for (moody, _) in &all {
        assert_eq!((bench.answered(*moody).len(), bench.counters(*moody).sent), (100, 100));
    }
}

/// The last of three refuses: all three go on, with what they had under way.
#[test]
fn one_that_refuses_leaves_all_as_they_were() {
    let (dir, mut loader) = (tempfile::tempdir().unwrap(), loader());
    let Some(refuses) = heir(dir.path(), &mut loader, "refuses", "-DREFUSES") else { return };
    let mut bench = Bench::new(&Setup::default());
    let all: Vec<_> = (1..=3).map(|port| bench.listen(&bind(Kind::Moody, port))).collect();
    for (moody, _) in &all {
        bench.command(*moody, 0, 1, ANSWER_BY_TIMER);
    }
    bench.turn().unwrap();
    let moody = Kind::Moody.plugin();
    let mut wishes: Vec<_> =
        all.iter().map(|(_, token)| wish(&bench, *token, &moody, &[("tick", "5ms")])).collect();
    wishes[2] = wish(&bench, all[2].1, &refuses, &[]);
    let refused = change(&mut bench, wishes).unwrap_err();
    assert_eq!(refused.len(), 1);
    assert_eq!((&*refused[0].error.message, &**refused[0].plugin.name()), ("not with me", "heir"));
    bench.settle();
    for (moody, _) in &all {
        assert_eq!(bench.answered(*moody).len(), 1, "the timer of the one that serves has fired");
    }
}

#[test]
fn timers_go_with_their_handler_and_what_it_has_delayed_leaves() {
    let mut bench = Bench::new(&Setup::default());
    let (moody, token) = bench.listen(&bind(Kind::Moody, 1));
    bench.command(moody, 0, 1, PANIC_IN_A_SECOND);
    bench.command(moody, 0, 1, ANSWER_LATER);
    bench.turn().unwrap();
    assert_eq!(bench.waiting(moody), 1);
    let plugin = Kind::Moody.plugin();
    let wishes = vec![wish(&bench, token, &plugin, &[("tick", "1h")])];
    assert_eq!(change(&mut bench, wishes).unwrap().replaced, 1);
    bench.burst(moody, 2000 * MS, 1, 1);
    while bench.counters(moody).received < 3 {
        bench.turn().unwrap();
    }
    let counters = bench.counters(moody);
    assert_eq!((counters.faults, counters.sent), (0, 2), "one delayed by the old handler, one by the new");
}

const SERVER: &str = "203.0.113.9:27015";

fn closed(bench: &Bench, relay: SocketId, end: SessionEnd) -> u64 {
    bench.reactor.reports().nth(relay.0).unwrap().sessions.unwrap().book.closed[end as usize]
}

/// The new handler keeps the sessions it wants, and their answers find the clients.
#[test]
fn sessions_go_on() {
    let mut bench = Bench::new(&Setup::default());
    let slow = Upstream::Echo { times: 1, after_ns: 50 * MS };
    bench.world().upstreams.servers.insert(SERVER.parse().unwrap(), slow);
    let options = [("to", SERVER.to_owned()), ("idle", "1h".to_owned())];
    let (relay, token) = bench.listen(&Bind { options: &options, ..bind(Kind::Relay, 7) });
    (0..20).for_each(|client| bench.burst(relay, 0, client, 1));
    while bench.counters(relay).received < 20 {
        bench.turn().unwrap();
    }
    let plugin = Kind::Relay.plugin();
    let wishes = vec![wish(&bench, token, &plugin, &[("to", SERVER), ("idle", "2h")])];
    assert_eq!(change(&mut bench, wishes).unwrap().replaced, 1);
    assert_eq!(bench.answered(relay).len(), 0, "the server has not answered yet");
    (0..20).for_each(|client| bench.burst(relay, 0, client, 1));
    bench.settle();
    assert_eq!(bench.answered(relay).len(), 40);
    let book = *bench.reactor.reports().nth(relay.0).unwrap().sessions.unwrap().book;
    assert_eq!((book.opened, book.open, closed(&bench, relay, SessionEnd::Restart)), (20, 20, 0));
    // A plugin without sessions has no use for them.
    let wishes = vec![wish(&bench, token, &Kind::Moody.plugin(), &[])];
    assert_eq!(change(&mut bench, wishes).unwrap().replaced, 1);
    assert_eq!(closed(&bench, relay, SessionEnd::Restart), 20);
    bench.burst(relay, 0, 1, 1);
    bench.settle();
    assert_eq!(bench.answered(relay).len(), 41);
}

/// A library that breaks at its first datagram costs that one: what served before does so again.
#[test]
fn who_breaks_on_trial_gives_its_place_back() {
    let (dir, mut loader) = (tempfile::tempdir().unwrap(), loader());
    let (Some(good), Some(dies)) =
        (heir(dir.path(), &mut loader, "good", "-DGOOD"), heir(dir.path(), &mut loader, "dies", "-DDIES"))
    else {
        return;
    };
    for (after_ms, restarts) in [(500, 1), (1500, 2)] {
        let mut bench = Bench::new(&Setup::default());
        let (socket, token) = bench.listen_with(Arc::clone(&good), &bind(Kind::Moody, 1));
        bench.burst(socket, 0, 1, 3);
        bench.settle();
        let wishes = vec![wish(&bench, token, &dies, &[])];
        assert_eq!(change(&mut bench, wishes).unwrap().replaced, 1);
        bench.burst(socket, after_ms * MS, 1, 1);
        bench.burst(socket, (after_ms + 400) * MS, 1, 5);
        bench.settle();
        let counters = bench.counters(socket);
        let lost = counters.dropped(DropReason::HandlerFault) + counters.dropped(DropReason::Poison);
        assert_eq!(counters.faults, restarts, "{after_ms} ms");
        if restarts == 1 {
            assert_eq!((counters.restarts, counters.sent, lost), (1, 8, 1));
        } else {
            assert_eq!((counters.sent, counters.received), (3, 9), "no way back after a second");
        }
        // Whoever asks once more has it tried once more.
        let wishes = vec![wish(&bench, token, &good, &[])];
        assert_eq!(change(&mut bench, wishes).unwrap().replaced, 1);
        bench.burst(socket, 0, 1, 1);
        bench.settle();
        assert_eq!(bench.counters(socket).sent, counters.sent + 1);
    }
}

/// What is not to be made again is made again by whoever asks for a change.
#[test]
fn a_handler_that_stays_off_comes_back() {
    let mut bench = Bench::new(&Setup::default());
    let (moody, token) = bench.listen(&Bind { on_fault: OnFault::Off, ..bind(Kind::Moody, 1) });
    bench.command(moody, 0, 1, PANIC);
    bench.settle();
    let wishes = vec![wish(&bench, token, &Kind::Moody.plugin(), &[])];
    assert_eq!(change(&mut bench, wishes).unwrap().replaced, 1);
    bench.burst(moody, 0, 1, 2);
    bench.settle();
    assert_eq!((bench.counters(moody).faults, bench.counters(moody).sent), (1, 2));
}
