//! Who may talk to a listener: what is not let in is dropped before the handler sees it, and counted by its own reason.

use std::net::SocketAddr;
use std::sync::Arc;

use polyport::access::Access;
use polyport::metrics::DropReason;

use crate::bench::{Bench, Bind, Kind, Setup, without_budget};
use crate::reloads::{change, wish};
use crate::world::SocketId;

fn access(allow: &[&str], deny: &[&str]) -> Option<Arc<Access>> {
    let all = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
    Some(Arc::new(Access::new(all(allow), all(deny))))
}

fn from(bench: &mut Bench, to: SocketId, peer: &str) {
    bench.from(to, peer.parse::<SocketAddr>().unwrap());
}

/// R24: a rule holds for an IPv4 address in either spelling, of the rule and of the peer: a socket that carried both families
/// would name it as the second listener has it.
#[test]
fn a_rule_holds_in_both_spellings() {
    let in_it = [("0.0.0.0:7", "192.0.2.9:5000"), ("[::]:7", "[::ffff:192.0.2.9]:5000")];
    let not_in_it = [("0.0.0.0:7", "192.0.3.9:5000"), ("[::]:7", "[::ffff:192.0.3.9]:5000")];
    for rule in ["192.0.2.0/24", "::ffff:192.0.2.0/120"] {
        for (allow, deny, ins, outs) in [(&[][..], &[rule][..], 1, 0), (&[rule], &[], 0, 1)] {
            for (pairs, expected) in [(in_it, ins), (not_in_it, outs)] {
                for (local, peer) in pairs {
                    let mut bench = Bench::new(&Setup::default());
                    let local = local.parse().unwrap();
                    let bind = Bind { access: access(allow, deny), local, ..Bind::default() };
                    let (echo, _) = bench.listen(&bind);
                    from(&mut bench, echo, peer);
                    bench.settle();
                    let counters = bench.counters(echo);
                    let denied = counters.dropped(DropReason::SourceDenied);
                    assert_eq!(
                        (counters.received, denied),
                        (1, expected),
                        "{rule} {peer} {allow:?} {deny:?}"
                    );
                }
            }
        }
    }
}

/// A batch of many senders: those that are not let in go, and the others keep their order.
#[test]
fn of_a_batch_those_are_served_that_are_let_in() {
    let mut bench = Bench::new(&Setup::default());
    let (echo, _) = bench.listen(&Bind { access: access(&[], &["192.0.2.2"]), ..Bind::default() });
    for n in 0..90 {
        bench.burst(echo, 0, 1 + n % 3, 1);
    }
    bench.settle();
    let counters = bench.counters(echo);
    assert_eq!((counters.received, counters.sent), (90, 60));
    assert_eq!(counters.dropped(DropReason::SourceDenied), 30);
    assert!(counters.conservation(0).holds());
    let answered = bench.answered(echo);
    assert!(answered.is_sorted() && answered.len() == 60, "{answered:?}");
}

/// A change of the list is one of the daemon's own settings: the handler and its socket stay.
#[test]
fn a_change_counts_from_the_switch_on_and_the_handler_stays() {
    let mut bench = Bench::new(&Setup::default());
    let bind = Bind { reply: without_budget(), ..Bind::default() };
    let (echo, token) = bench.listen(&bind);
    bench.burst(echo, 0, 1, 1);
    bench.settle();
    let mut closed = wish(&bench, token, &Kind::Echo.plugin(), &[]);
    closed.access = access(&["192.0.2.2"], &[]);
    let done = change(&mut bench, vec![closed.clone()]).unwrap();
    assert_eq!(
        (done.replaced, done.reconfigured),
        (0, 1),
        "the handler stays, and is given its options again"
    );
    bench.world().journal.ledgers[echo.0].access.clone_from(&closed.access);
    bench.burst(echo, 0, 1, 4);
    bench.burst(echo, 0, 2, 2);
    bench.settle();
    assert_eq!((bench.counters(echo).sent, bench.counters(echo).dropped(DropReason::SourceDenied)), (3, 4));
    let mut open = closed;
    open.access = None;
    let done = change(&mut bench, vec![open]).unwrap();
    assert_eq!((done.replaced, done.reconfigured, done.adjusted), (0, 0, 1));
    bench.world().journal.ledgers[echo.0].access = None;
    bench.burst(echo, 0, 1, 1);
    bench.settle();
    assert_eq!(bench.counters(echo).sent, 4);
}
