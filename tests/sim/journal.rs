//! What went in and what came out, checked while it happens. The first thing that is wrong is kept.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU8;

use polyport::exchange::ReplySource;
use polyport::guard::LocalAddress;
use polyport::metrics::DropReason;
use polyport::reactor::Message;
use polyport::reply::{PeerPorts, ReplyPolicy};

use crate::faults::{SEGMENT_ERRORS, SEND_ERRORS};
use crate::peers::{LOOP_PORTS, NUMBER, is_later, is_proved, is_unsolicited, number};
use crate::rare::Rare;
use crate::spent::Spent;
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
    /// The TTL it came with, if its answers leave with one less.
    asked_with: Option<u8>,
    /// Why it gets no answer: the rules of the guard a second time, with the addresses the reactor knew then.
    pub(crate) forbidden: Option<DropReason>,
    /// How many lists of addresses the reactor had read by then.
    known: usize,
    /// It was sent to more than this host.
    to_group: bool,
    /// Answers that left, and answers that an errno killed.
    pub(crate) answers: usize,
}

/// The world's own books of one socket.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) delivered: u64,
    pub(crate) delivered_bytes: u64,
    pub(crate) port_zero: u64,
    pub(crate) denied: u64,
    pub(crate) access: Option<std::sync::Arc<polyport::access::Access>>,
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
    /// Where each socket is bound, and what it may answer.
    pub(crate) policies: BTreeMap<usize, (SocketAddr, ReplyPolicy)>,
    /// The addresses of the host as the reactor has read them, the last list at the end.
    known: Vec<Vec<LocalAddress>>,
    pub(crate) requests: BTreeMap<u64, Request>,
    /// Most datagrams of a visit, the bound of I3.
    pub(crate) visit: usize,
    /// Grows with everything that is not idle spinning.
    pub(crate) progress: u64,
    /// How often the run came to places that are rare.
    pub(crate) reached: BTreeMap<Rare, u64>,
    pub(crate) violation: Option<String>,
    /// What the budgets of the listeners are worth.
    pub(crate) spent: Spent,
    /// The time of the world, ns.
    pub(crate) now_ns: u64,
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
    pub(crate) fn delivered(
        &mut self,
        at: usize,
        d: &Datagram,
        asked: Option<ReplySource>,
        to_group: bool,
        bytes: usize,
    ) {
        let truncated = bytes < d.payload.len();
        self.note("delivered", at, d.id, u64::try_from(d.payload.len()).unwrap());
        self.progress += 1;
        let ledger = &mut self.ledgers[at];
        ledger.delivered += 1;
        ledger.delivered_bytes += u64::try_from(bytes).unwrap();
        ledger.truncated += u64::from(truncated);
        ledger.port_zero += u64::from(!truncated && d.peer.port() == 0);
        let denied = ledger.access.as_ref().is_some_and(|access| !access.allows(d.peer.ip()));
        ledger.denied += u64::from(!truncated && d.peer.port() != 0 && denied);
        let refused = truncated || d.peer.port() == 0 || denied;
        if d.payload.len() < NUMBER {
            self.tiny.insert((at, d.peer), d.id);
        }
        let (peer, payload) = (d.peer, d.payload.clone());
        let known = self.known.len();
        let forbidden = self.forbidden(at, d.peer, asked, to_group, known);
        if forbidden == Some(DropReason::OwnListener) && !refused {
            self.reach(Rare::Forged);
        }
        if !refused {
            self.spent.came(at, peer.ip(), payload.len(), self.now_ns);
        }
        let asked_with = self.ledgers[at].decays.then_some(d.hop_limit);
        let expired = asked_with.filter(|ttl| *ttl < 2).map(|_| DropReason::TtlExpired);
        let forbidden = forbidden.or(expired);
        let request = Request {
            socket: at,
            peer,
            asked,
            payload,
            refused,
            forbidden,
            known,
            to_group,
            asked_with,
            answers: 0,
        };
        if self.requests.insert(d.id, request).is_some() {
            self.fail(format!("datagram {} was delivered twice", d.id));
        }
    }

    /// The reactor has read the addresses of the host; of a torn reading it adds them to those it knew.
    pub(crate) fn knows(&mut self, mut list: Vec<LocalAddress>, torn: bool) {
        if torn {
            list.extend(self.known.last().into_iter().flatten());
        }
        self.known.push(list);
    }

    /// How often the reactor has read the addresses of the host to their end.
    pub(crate) fn readings(&self) -> usize {
        self.known.len()
    }

    /// The rules of the guard a second time: why nothing goes from socket `at` to a peer, if the reactor knows the first
    /// `known` lists of addresses.
    fn forbidden(
        &self,
        at: usize,
        to: SocketAddr,
        from: Option<ReplySource>,
        answers_group: bool,
        known: usize,
    ) -> Option<DropReason> {
        let (local, policy) = self.policies.get(&at)?;
        let known = self.known[..known].last();
        let is_listed = |broadcast| {
            known.is_some_and(|list| list.iter().any(|a| a.broadcast == broadcast && a.ip == to.ip()))
        };
        let is_here =
            from.is_some_and(|from| from.ip == to.ip()) || to.ip().is_loopback() || is_listed(false);
        let comes_back = |bound: &SocketAddr| {
            let any = bound.ip().is_unspecified() && bound.is_ipv4() == to.is_ipv4();
            bound.port() == to.port() && (bound.ip() == to.ip() || any && is_here)
        };
        let is_group = answers_group || to.ip().is_multicast() || is_listed(true);
        let is_allowed = match &policy.ports {
            PeerPorts::Any => true,
            PeerPorts::Only(ports) => ports.contains(&to.port()),
        };
        let rules = [
            (self.own.iter().any(comes_back), DropReason::OwnListener),
            (is_group && !policy.groups, DropReason::Group),
            (to.port() == local.port() && !policy.same_port, DropReason::SamePort),
            (LOOP_PORTS.contains(&to.port()) && !is_allowed, DropReason::LoopPort),
        ];
        rules.into_iter().find(|(applies, _)| *applies).map(|(_, reason)| reason)
    }

    /// Whether datagram `id` must not be answered by `message`. An answer by a timer answers none in the books of the
    /// host, and is decided when the timer fires; it is wrong if it is so by every list of addresses since.
    fn is_forbidden(&self, at: usize, id: u64, message: &Message<'_>) -> bool {
        let Some(request) = self.requests.get(&id) else { return false };
        if !is_later(&request.payload) {
            return request.forbidden.is_some();
        }
        // Who answers by a ticket answers what was sent to a group, too.
        let to_group = request.to_group && !is_unsolicited(&request.payload);
        (request.known..=self.known.len())
            .all(|known| self.forbidden(at, *message.to, message.from.copied(), to_group, known).is_some())
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

    /// A receive call took `n` from a session: all sessions of a listener together have the share of one visit (I3).
    pub(crate) fn received_by_session(&mut self, n: usize) {
        self.progress += 1;
        let mut late = None;
        for (other, ledger) in self.ledgers.iter_mut().enumerate() {
            if let Some(waiting) = &mut ledger.waiting {
                let taken = waiting.entry(usize::MAX).or_default();
                *taken += n;
                if *taken > self.visit {
                    late = Some((other, *taken));
                }
            }
        }
        if let Some((other, taken)) = late {
            self.fail(format!(
                "I3: listener {other} is ready and waits while sessions take {taken} datagrams"
            ));
        }
    }

    pub(crate) fn sent(&mut self, at: usize, message: &Message<'_>) {
        self.check_resume(at, message);
        self.ledgers[at].piece();
        self.ledgers[at].messages += 1;
        // A train and its datagrams one by one are the same on the wire.
        for payload in datagrams(message) {
            let from = message.from.map(|source| (source.ip, source.ifindex));
            (at, message.to, from, message.tos, message.hop_limit, &payload).hash(&mut self.wire);
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
        let forbidden = id.is_some_and(|id| self.is_forbidden(at, id, message));
        let Some((id, request)) = id.and_then(|id| Some((id, self.requests.get_mut(&id)?))) else {
            self.fail(format!("listener {at} answers what was never asked, to {}", message.to));
            return;
        };
        request.answers += 1;
        let is_group = |ip: IpAddr| {
            let is_listed = |list: &Vec<LocalAddress>| list.iter().any(|a| a.broadcast && a.ip == ip);
            ip.is_multicast() || self.known.iter().any(is_listed)
        };
        let announced = is_unsolicited(payload) && is_group(message.to.ip());
        let paid = if is_proved(payload) || announced {
            Ok(())
        } else {
            self.spent.left(at, message.to.ip(), payload.len(), self.now_ns)
        };
        let ledger = &mut self.ledgers[at];
        let last = ledger.last_answer.insert(*message.to, id);
        let unsolicited = is_unsolicited(&request.payload);
        let asked_with = request.asked_with.filter(|_| !unsolicited);
        let hop_limit = message.hop_limit.map(NonZeroU8::get);
        let wrong = [
            (request.socket != at, "by another listener"),
            (request.refused, "though it was refused"),
            (forbidden, "though no policy allows it (I6)"),
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
        if let Err(unpaid) = paid {
            self.fail(unpaid);
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
pub(crate) fn datagrams(message: &Message<'_>) -> Vec<Vec<u8>> {
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
