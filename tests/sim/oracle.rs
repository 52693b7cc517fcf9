//! The invariants: after every turn, and when nothing moves any more.

use polyport::metrics::{Counters, DropReason};
use polyport::reactor::Reactor;

use crate::bench::Kind;
use crate::journal::{Journal, Ledger};
use crate::world::World;

/// Turns without any progress after which the loop is said to spin: more than fit the 50 us that it may look for more,
/// at a microsecond a turn.
const IDLE_TURNS: u32 = 128;

/// Watches a reactor from turn to turn.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    progress: u64,
    idle_turns: u32,
}

impl Oracle {
    /// I1, the books of both sides, and no spinning. An error is a sentence.
    pub(crate) fn after_turn(&mut self, reactor: &mut Reactor<World>) -> Result<(), String> {
        let reports: Vec<_> = reactor.reports().map(|r| (socket(r.name), *r.counters, r.waiting)).collect();
        for report in reactor.reports() {
            if let Some(sessions) = report.sessions.filter(|s| !s.book.holds(s.waiting)) {
                let equation = sessions.book.counters.conservation(sessions.waiting);
                return Err(format!("I1: the sessions of {}: {equation}; {}", report.name, sessions.book));
            }
        }
        let journal = &mut reactor.io_mut().journal;
        for &(at, ref counters, waiting) in &reports {
            let conservation = counters.conservation(waiting);
            if !conservation.holds() {
                return Err(format!("I1: listener {at}: {conservation}"));
            }
            agree(&journal.ledgers[at], counters).map_err(|e| format!("listener {at}: {e}"))?;
        }
        if let Some(violation) = &journal.violation {
            return Err(violation.clone());
        }
        let moved = journal.progress != self.progress;
        self.progress = journal.progress;
        self.idle_turns = if moved { 0 } else { self.idle_turns + 1 };
        if self.idle_turns > IDLE_TURNS {
            return Err(format!("R16: the loop turned {IDLE_TURNS} times and did nothing"));
        }
        Ok(())
    }

    /// Every datagram is accounted for and nobody is stuck.
    pub(crate) fn at_the_end(reactor: &mut Reactor<World>, kinds: &[Kind]) -> Result<(), String> {
        let reports: Vec<_> = reactor.reports().map(|r| (socket(r.name), *r.counters, r.waiting)).collect();
        for (at, counters, waiting) in reports {
            let queued = reactor.io_mut().queued(at);
            if queued > 0 {
                return Err(format!("listener {at} is stuck: {queued} datagrams lie in its socket"));
            }
            if waiting > 0 {
                return Err(format!("listener {at} is stuck: {waiting} datagrams wait to be sent"));
            }
            let journal = &reactor.io_mut().journal;
            let (seen, all) = (counters.kernel_drops, journal.ledgers[at].kernel_drops);
            // A socket that is none tells nothing.
            if seen > all || (seen < all && !journal.ledgers[at].closed) {
                return Err(format!("kernel drops: the reactor saw {seen} of {all} while it served"));
            }
            let silent = |request: &&crate::journal::Request| {
                request.socket == at && !request.refused && request.answers == 0
            };
            let silent = u64::try_from(journal.requests.values().filter(silent).count()).unwrap();
            let kind = kinds[at];
            if kind == Kind::Echo && counters.dropped(DropReason::HandlerDown) == 0 {
                policies_add_up(at, &counters, journal)?;
            }
            kind_adds_up(kind, &counters, silent).map_err(|e| format!("listener {at} {kind:?}: {e}"))?;
        }
        Ok(())
    }
}

/// The socket of a listener, which the bench names after it.
pub(crate) fn socket(listener: &str) -> usize {
    listener.strip_prefix("listener-").and_then(|number| number.parse().ok()).expect("named by the bench")
}

/// The reactor's counters against the world's books.
pub(crate) fn agree(ledger: &Ledger, counters: &Counters) -> Result<(), String> {
    let pairs = [
        ("received", counters.received, ledger.delivered),
        ("received bytes", counters.received_bytes, ledger.delivered_bytes),
        ("sent", counters.sent, ledger.sent),
        ("sent bytes", counters.sent_bytes, ledger.sent_bytes),
        ("segmented messages refused", counters.segments_refused, ledger.segments_refused),
        ("receive errors", counters.receive_errors, ledger.receive_errors),
        ("source port 0", counters.dropped(DropReason::SourcePortZero), ledger.port_zero),
        ("source denied", counters.dropped(DropReason::SourceDenied), ledger.denied),
        ("truncated", counters.dropped(DropReason::Truncated), ledger.truncated),
    ];
    let errno = [
        DropReason::NoBuffers,
        DropReason::Unreachable,
        DropReason::Forbidden,
        DropReason::TooBig,
        DropReason::Invalid,
        DropReason::AddressGone,
        DropReason::NoDestination,
        DropReason::Unsupported,
    ];
    let killed = errno.map(|r| (r.name(), counters.dropped(r), ledger.killed.get(&r).copied().unwrap_or(0)));
    match pairs.iter().chain(&killed).find(|(_, reactor, world)| reactor != world) {
        Some((what, reactor, world)) => {
            Err(format!("{what}: the reactor counts {reactor}, the world {world}"))
        }
        None => Ok(()),
    }
}

/// An echo queues one answer to each datagram, so every reason of the policy has its number.
fn policies_add_up(at: usize, counters: &Counters, journal: &Journal) -> Result<(), String> {
    let of_policy = [
        DropReason::OwnListener,
        DropReason::Group,
        DropReason::SamePort,
        DropReason::LoopPort,
        DropReason::TtlExpired,
    ];
    for reason in of_policy {
        let forbidden = journal
            .requests
            .values()
            .filter(|request| request.socket == at && !request.refused && request.forbidden == Some(reason));
        let (expected, counted) = (u64::try_from(forbidden.count()).unwrap(), counters.dropped(reason));
        if counted != expected {
            return Err(format!("listener {at}: {}: {counted} is not {expected}", reason.name()));
        }
    }
    Ok(())
}

/// What a plugin promises, in numbers. `silent` is how many admitted datagrams got no answer at all.
fn kind_adds_up(kind: Kind, c: &Counters, silent: u64) -> Result<(), String> {
    let kept_out = [DropReason::SourcePortZero, DropReason::SourceDenied, DropReason::Truncated];
    let admitted = c.received - kept_out.map(|reason| c.dropped(reason)).iter().sum::<u64>();
    let lost = [
        DropReason::BacklogFull,
        DropReason::NoRoom,
        DropReason::DelayFull,
        DropReason::OwnListener,
        DropReason::TtlExpired,
        DropReason::Amplification,
        DropReason::RateLimited,
        DropReason::Group,
        DropReason::SamePort,
        DropReason::LoopPort,
        DropReason::SocketBroken,
    ];
    let lost = lost.map(|reason| c.dropped(reason)).iter().sum::<u64>();
    // What came in a batch with the one whose answer met a broken socket.
    let down = c.dropped(DropReason::HandlerDown);
    let equations = match kind {
        Kind::Echo => [
            ("every admitted datagram is queued once", admitted, c.queued + down),
            ("who got no answer was lost with a reason", silent, lost + down),
        ],
        // Copies may be lost while the other one leaves.
        Kind::Lossy => [
            (
                "answered or dropped on purpose",
                admitted,
                c.replied + c.consumed + c.dropped(DropReason::OnPurpose) + down,
            ),
            (
                "nobody is silent without a reason",
                silent.saturating_sub(lost + down + c.dropped(DropReason::OnPurpose)),
                0,
            ),
        ],
        Kind::Moody => [
            ("no restart without a break", c.restarts.saturating_sub(c.faults), 0),
            (
                "each break by a datagram has one that did it",
                c.dropped(DropReason::Poison).saturating_sub(c.faults),
                0,
            ),
        ],
        Kind::Relay => [
            (
                "it takes everything",
                admitted,
                c.replied + c.consumed + c.dropped(DropReason::OnPurpose) + down,
            ),
            ("it never breaks", c.faults, 0),
        ],
        // It may have broken at another address.
        Kind::Census => [
            (
                "everything has an outcome",
                admitted,
                c.replied
                    + c.consumed
                    + c.dropped(DropReason::Poison)
                    + c.dropped(DropReason::HandlerFault)
                    + down,
            ),
            ("it drops nothing on purpose", c.dropped(DropReason::OnPurpose), 0),
        ],
    };
    match equations.iter().find(|(_, left, right)| left != right) {
        Some((what, left, right)) => Err(format!("{what}: {left} is not {right}: {c:?}")),
        None => Ok(()),
    }
}
