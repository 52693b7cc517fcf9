//! What went in and what came out, checked while it happens. The first thing that is wrong is kept.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU8;

use polyport::exchange::ReplySource;
use polyport::metrics::DropReason;
use polyport::reactor::Message;

use crate::faults::{SEGMENT_ERRORS, SEND_ERRORS};
use crate::peers::{NUMBER, is_unsolicited, number};
use crate::rare::Rare;
use crate::world::Datagram;

/// A datagram that reached the reactor.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) socket: usize,
    peer: SocketAddr,
    asked: Option<ReplySource>,
    payload: Vec<u8>,
    /// The handler never sees it.
    pub(crate) refused: bool,
    /// It pretends to come from one of our own listeners.
    forged: bool,
    /// The TTL it came with, if its answers leave with one less.
    asked_with: Option<u8>,
    /// Answers that left, and answers that an errno killed.
    pub(crate) answers: usize,
}

/// The world's own books of one socket.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) delivered: u64,
    pub(crate) delivered_bytes: u64,
    pub(crate) port_zero: u64,
    pub(crate) truncated: u64,
    pub(crate) kernel_drops: u64,
    pub(crate) receive_errors: u64,
    /// Send calls.
    pub(crate) send_calls: u64,
    /// Receive calls.
    pub(crate) calls: u64,
    /// Messages that left: a train is one.
    pub(crate) messages: u64,
    pub(crate) sent: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) segments_refused: u64,
    /// Its descriptor is none.
    pub(crate) closed: bool,
    /// Answers leave with the TTL of their request, less one.
    pub(crate) decays: bool,
    /// Datagrams that the handler saw and whose TTL allows no answer.
    pub(crate) expired: u64,
    /// How often it began to be watched for room.
    backlogs: u64,
    /// Of a refused segmented message: datagrams that have still to come, and those that are done with.
    pieces: (usize, usize),
    pub(crate) killed: BTreeMap<DropReason, u64>,
    /// Answers a datagram may get.
    pub(crate) most_answers: usize,
    /// Whether answers to one peer keep the order of its datagrams.
    pub(crate) ordered: bool,
    last_answer: BTreeMap<SocketAddr, u64>,
    /// The message a partial send stopped at.
    resume_at: Option<(SocketAddr, Vec<u8>)>,
    /// On the reactor's ready list since it was told so: datagrams that others took meanwhile.
    waiting: Option<BTreeMap<usize, usize>>,
}

impl Ledger {
    /// Whether some of the datagrams of a refused message are done with, and not all.
    pub(crate) fn in_pieces(&self) -> bool {
        self.pieces.0 > 0 && self.pieces.1 > 0
    }

    /// One of the datagrams of a refused message is done with, if there is one.
    fn piece(&mut self) {
        let (left, done) = self.pieces;
        self.pieces = if left > 1 { (left - 1, done + 1) } else { (0, 0) };
    }
}

/// Entries of the trace that are kept for a report.
const TRACE: usize = 60;
/// `what`, socket, and two numbers.
type Entry = (&'static str, usize, u64, u64);

/// What went in and out, and what must hold of it.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    pub(crate) ledgers: Vec<Ledger>,
    /// Where the listeners are bound.
    pub(crate) own: Vec<SocketAddr>,
    pub(crate) requests: BTreeMap<u64, Request>,
    /// Most datagrams of a visit, the bound of I3.
    pub(crate) visit: usize,
    /// Grows with everything that is not idle spinning.
    pub(crate) progress: u64,
    /// How often the run came to places that are rare.
    pub(crate) reached: BTreeMap<Rare, u64>,
    pub(crate) violation: Option<String>,
    /// Payloads in the order they left, for scenarios.
    pub(crate) left: Vec<(usize, SocketAddr, Vec<u8>)>,
    /// The TTL of each of them; 0 is the system's.
    pub(crate) left_with: Vec<u8>,
    tiny: BTreeMap<(usize, SocketAddr), u64>,
    trace: VecDeque<Entry>,
    hash: u64,
    wire: DefaultHasher,
}

impl Journal {
    pub(crate) fn bind(&mut self) {
        self.ledgers.push(Ledger { most_answers: usize::MAX, ..Ledger::default() });
    }

    /// The whole run in one number (I2).
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// Every byte that left, and where to, in one number.
    pub(crate) fn wire(&self) -> u64 {
        self.wire.finish()
    }

    /// The end of the trace, one line an entry.
    pub(crate) fn tail(&self) -> String {
        self.trace.iter().map(|(what, at, a, b)| format!("  {what} socket {at}: {a} {b}\n")).collect()
    }

    pub(crate) fn fail(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    pub(crate) fn waited(&mut self, ns: u64) {
        self.progress += u64::from(ns > 0);
        self.note("wait", 0, ns, 0);
    }

    pub(crate) fn event(&mut self, owner: Option<usize>, readable: bool, writable: bool) {
        self.progress += 1;
        self.note("event", owner.unwrap_or(usize::MAX), readable.into(), writable.into());
        if let Some(at) = owner.filter(|at| readable && !self.ledgers[*at].closed) {
            self.ledgers[at].waiting.get_or_insert_default();
        }
    }

    pub(crate) fn reach(&mut self, what: Rare) {
        *self.reached.entry(what).or_default() += 1;
    }

    /// A socket begins to be watched for room: its backlog is not empty any more.
    pub(crate) fn backlog(&mut self, at: usize) {
        self.ledgers[at].backlogs += 1;
        if self.ledgers[at].backlogs > 1 {
            self.reach(Rare::BacklogAgain);
        }
    }

    /// A descriptor is none from now on, seen by a receive call, or by a send call for `message`.
    pub(crate) fn broke(&mut self, at: usize, message: Option<&Message<'_>>, has_backlog: bool) {
        self.note("broke", at, message.is_some().into(), 0);
        let ledger = &mut self.ledgers[at];
        (ledger.closed, ledger.waiting) = (true, None);
        let what = match message {
            None if has_backlog => Rare::BrokenReceiveWithBacklog,
            None => Rare::BrokenReceive,
            Some(_) if ledger.in_pieces() => Rare::BrokenPiece,
            Some(_) if has_backlog => Rare::BrokenBacklog,
            Some(message) if message.segment.is_some() => Rare::BrokenTrain,
            Some(_) => Rare::BrokenSend,
        };
        self.reach(what);
    }

    pub(crate) fn kernel_drop(&mut self, at: usize, id: u64) {
        self.note("kernel drop", at, id, 0);
        self.ledgers[at].kernel_drops += 1;
    }

    /// The reactor calls receive: the listener does not wait any more.
    pub(crate) fn visited(&mut self, at: usize) {
        self.ledgers[at].calls += 1;
        self.ledgers[at].waiting = None;
    }

    /// Nobody is served at this socket any more, so nobody waits there.
    pub(crate) fn released(&mut self, at: usize) {
        self.ledgers[at].waiting = None;
    }

    pub(crate) fn receive_error(&mut self, at: usize, errno: i32) {
        self.note("receive error", at, errno.unsigned_abs().into(), 0);
        self.ledgers[at].receive_errors += 1;
    }

    /// A datagram reached the reactor, so many of its bytes.
    pub(crate) fn delivered(&mut self, at: usize, d: &Datagram, asked: Option<ReplySource>, bytes: usize) {
        let truncated = bytes < d.payload.len();
        self.note("delivered", at, d.id, u64::try_from(d.payload.len()).unwrap());
        self.progress += 1;
        let ledger = &mut self.ledgers[at];
        ledger.delivered += 1;
        ledger.delivered_bytes += u64::try_from(bytes).unwrap();
        ledger.truncated += u64::from(truncated);
        ledger.port_zero += u64::from(!truncated && d.peer.port() == 0);
        let refused = truncated || d.peer.port() == 0;
        if d.payload.len() < NUMBER {
            self.tiny.insert((at, d.peer), d.id);
        }
        let (peer, payload) = (d.peer, d.payload.clone());
        let forged = self.is_own(d.peer, asked);
        if forged && !refused {
            self.reach(Rare::Forged);
        }
        let ledger = &mut self.ledgers[at];
        let asked_with = ledger.decays.then_some(d.hop_limit);
        ledger.expired += u64::from(!refused && !forged && asked_with.is_some_and(|ttl| ttl < 2));
        let request = Request { socket: at, peer, asked, payload, refused, forged, asked_with, answers: 0 };
        if self.requests.insert(d.id, request).is_some() {
            self.fail(format!("datagram {} was delivered twice", d.id));
        }
    }

    /// Whether an answer to a peer would come back: the rule of the guard a second time.
    fn is_own(&self, peer: SocketAddr, asked: Option<ReplySource>) -> bool {
        let any: IpAddr =
            if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let here = asked.is_some_and(|asked| asked.ip == peer.ip()) || peer.ip().is_loopback();
        self.own.contains(&peer) || here && self.own.contains(&SocketAddr::new(any, peer.port()))
    }

    /// A receive call took `n`. Whoever waits must not wait for more than one visit of this one (I3).
    pub(crate) fn received(&mut self, at: usize, n: usize, drained: bool) {
        self.note("received", at, u64::try_from(n).unwrap(), drained.into());
        let mut late = None;
        for (other, ledger) in self.ledgers.iter_mut().enumerate() {
            if let Some(waiting) = &mut ledger.waiting {
                let taken = waiting.entry(at).or_default();
                *taken += n;
                if *taken > self.visit {
                    late = Some((other, *taken));
                }
            }
        }
        if let Some((other, taken)) = late {
            self.fail(format!("I3: listener {other} is ready and waits while {at} takes {taken} datagrams"));
        }
        self.ledgers[at].waiting = (!drained).then(BTreeMap::new);
    }

    pub(crate) fn sent(&mut self, at: usize, message: &Message<'_>) {
        self.check_resume(at, message);
        self.ledgers[at].piece();
        self.ledgers[at].messages += 1;
        // A train and its datagrams one by one are the same on the wire.
        for payload in datagrams(message) {
            let from = message.from.map(|source| (source.ip, source.ifindex));
            (at, message.to, from, message.ecn, message.hop_limit, &payload).hash(&mut self.wire);
            self.leaves(at, message, &payload);
            self.ledgers[at].sent += 1;
            self.ledgers[at].sent_bytes += u64::try_from(payload.len()).unwrap();
            self.left.push((at, *message.to, payload));
            self.left_with.push(message.hop_limit.map_or(0, NonZeroU8::get));
        }
    }

    pub(crate) fn send_error(&mut self, at: usize, message: &Message<'_>, errno: i32, has_backlog: bool) {
        self.note("send error", at, errno.unsigned_abs().into(), 0);
        if errno == libc::EAGAIN {
            self.check_resume(at, message);
            let in_pieces = self.ledgers[at].in_pieces();
            self.ledgers[at].pieces = (0, 0);
            if in_pieces {
                self.reach(if has_backlog { Rare::BacklogRefusedAndFull } else { Rare::RefusedAndFull });
            }
        } else if message.segment.is_some() && SEGMENT_ERRORS.contains(&errno) {
            // The kernel does not want it in one piece: its datagrams come again one by one.
            self.check_resume(at, message);
            self.ledgers[at].segments_refused += 1;
            self.ledgers[at].pieces = (datagrams(message).len(), 0);
            self.ledgers[at].resume_at = Some(head(message));
        } else if let Some((_, reason)) = SEND_ERRORS.iter().find(|(e, _)| *e == errno) {
            self.check_resume(at, message);
            self.ledgers[at].piece();
            for payload in datagrams(message) {
                self.leaves(at, message, &payload);
                *self.ledgers[at].killed.entry(*reason).or_default() += 1;
            }
        }
    }

    /// A send ended before this message: the next one has to begin with it.
    pub(crate) fn stopped_at(&mut self, at: usize, message: &Message<'_>) {
        self.ledgers[at].resume_at = Some(head(message));
    }

    /// A datagram of a message leaves, or dies of its errno; either way it is done with.
    fn leaves(&mut self, at: usize, message: &Message<'_>, payload: &[u8]) {
        let id = number(payload).or_else(|| self.tiny.get(&(at, *message.to)).copied());
        self.note("leaves", at, id.unwrap_or(u64::MAX), u64::try_from(payload.len()).unwrap());
        self.progress += 1;
        let Some((id, request)) = id.and_then(|id| Some((id, self.requests.get_mut(&id)?))) else {
            self.fail(format!("listener {at} answers what was never asked, to {}", message.to));
            return;
        };
        request.answers += 1;
        let ledger = &mut self.ledgers[at];
        let last = ledger.last_answer.insert(*message.to, id);
        let unsolicited = is_unsolicited(&request.payload);
        let asked_with = request.asked_with.filter(|_| !unsolicited);
        let hop_limit = message.hop_limit.map(NonZeroU8::get);
        let wrong = [
            (request.socket != at, "by another listener"),
            (request.refused, "though it was refused"),
            (request.forged && !unsolicited, "though it would come back to a listener (I6)"),
            (asked_with.is_some_and(|ttl| ttl < 2), "though its TTL has run out"),
            (
                hop_limit != asked_with.map(|ttl| ttl.saturating_sub(1).min(64)),
                "with a TTL that is not one less",
            ),
            (request.peer != *message.to, "to another peer"),
            (request.asked != message.from.copied(), "from an address that was not asked (I7)"),
            (request.payload != payload, "with other bytes"),
            (request.answers > ledger.most_answers, "too often"),
            (ledger.ordered && last.is_some_and(|last| last > id), "after a later one of the same peer"),
        ];
        if let Some((_, how)) = wrong.iter().find(|(wrong, _)| *wrong) {
            self.fail(format!("datagram {id} of listener {at} is answered {how}"));
        }
    }

    fn check_resume(&mut self, at: usize, message: &Message<'_>) {
        let expected = self.ledgers[at].resume_at.take();
        if expected.is_some_and(|expected| expected != head(message)) {
            self.fail(format!(
                "R14: listener {at} goes on with another message than the one that stopped it"
            ));
        }
    }

    /// Into the trace, and into the number that stands for the run.
    pub(crate) fn note(&mut self, what: &'static str, at: usize, a: u64, b: u64) {
        if self.trace.len() == TRACE {
            self.trace.pop_front();
        }
        self.trace.push_back((what, at, a, b));
        let at = u64::try_from(at).unwrap();
        for n in [u64::from(what.as_bytes()[0]), at, a, b] {
            self.hash = (self.hash ^ n).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        }
    }
}

/// What a message is on the wire.
fn datagrams(message: &Message<'_>) -> Vec<Vec<u8>> {
    let mut whole = Vec::new();
    message.parts.iter().for_each(|part| whole.extend_from_slice(part));
    match message.segment {
        Some(size) => whole.chunks(size.get().into()).map(<[u8]>::to_vec).collect(),
        None => vec![whole],
    }
}

/// The first datagram of a message, and where it goes.
fn head(message: &Message<'_>) -> (SocketAddr, Vec<u8>) {
    (*message.to, datagrams(message).swap_remove(0))
}
