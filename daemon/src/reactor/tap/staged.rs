//! What was received and is not settled yet. Its bytes are copied before the handler sees them, which may write over them.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use crate::exchange::{Answers, Arrived, Output};
use crate::tap::Verdict;

/// Datagrams that leave later of which the arrival of what they answer is remembered. One more leaves without a latency.
const LATER: usize = 65_536;

/// A datagram that was received.
#[derive(Debug)]
pub(super) struct Came {
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
    pub(super) session: u64,
    /// It came by the socket of a session.
    pub(super) upstream: bool,
    pub(super) tos: u8,
    pub(super) ttl: u8,
    /// Where its bytes are, among all that are staged.
    pub(super) bytes: (usize, usize),
    pub(super) arrived_ns: u64,
    pub(super) answered_ns: Option<u64>,
    pub(super) verdict: Option<Verdict>,
}

/// The datagrams of one receive call, or of several by sessions, and their bytes.
#[derive(Debug, Default)]
pub(super) struct Staged {
    pub(super) came: Vec<Came>,
    pub(super) bytes: Vec<u8>,
    /// The first that the handler has not been shown yet, or is shown now.
    next: usize,
    /// Some have a verdict although those before them have none.
    has_gaps: bool,
    later: BTreeMap<u64, VecDeque<u64>>,
    kept_later: usize,
}

impl Staged {
    /// Copies a message that arrived at `local`, datagram by datagram; `refused` is why the handler does not see it.
    pub(super) fn add(
        &mut self,
        (arrived, bytes): (&Arrived, &[u8]),
        local: SocketAddr,
        arrived_ns: u64,
        refused: Option<Verdict>,
    ) {
        let ip = arrived.destination.filter(|ip| ip.is_ipv4() == arrived.peer.is_ipv4());
        let local = ip.map_or(local, |ip| SocketAddr::new(ip, local.port()));
        self.has_gaps |= refused.is_some();
        let size = if arrived.segment == 0 { usize::MAX } else { arrived.segment };
        let empty = bytes.is_empty().then_some(bytes);
        for piece in bytes.chunks(size).chain(empty) {
            let begin = self.bytes.len();
            self.bytes.extend_from_slice(piece);
            self.came.push(Came {
                peer: arrived.peer,
                local,
                session: arrived.session,
                upstream: arrived.session != 0,
                tos: arrived.tos,
                ttl: arrived.hop_limit,
                bytes: (begin, self.bytes.len()),
                arrived_ns,
                answered_ns: None,
                verdict: refused,
            });
        }
    }

    /// Forgets everything that was received.
    pub(super) fn clear(&mut self) {
        self.came.clear();
        self.bytes.clear();
        self.next = 0;
        self.has_gaps = false;
    }

    /// The place of a datagram that the handler is shown now: what has a verdict already it does not see.
    fn shown(&mut self, rx: usize) -> Option<&mut Came> {
        if !self.has_gaps {
            return self.came.get_mut(self.next + rx);
        }
        self.came.get_mut(self.next..)?.iter_mut().filter(|came| came.verdict.is_none()).nth(rx)
    }

    /// Says what became of the next `n` datagrams that the handler was shown, one by one.
    pub(super) fn settle(&mut self, n: usize, verdict: impl Fn(usize) -> Verdict) {
        for rx in 0..n {
            while self.came.get(self.next).is_some_and(|came| came.verdict.is_some()) {
                self.next += 1;
            }
            let Some(came) = self.came.get_mut(self.next) else { return };
            came.verdict = Some(verdict(rx));
            self.next += 1;
        }
    }

    /// Says what became of those that are not shown any more, since their sessions have ended.
    pub(super) fn forget_sessions(&mut self, mut is_there: impl FnMut(u64) -> bool, verdict: Verdict) {
        self.has_gaps = true;
        let unseen = self.came.iter_mut().skip(self.next).filter(|came| came.verdict.is_none());
        unseen.filter(|came| !is_there(came.session)).for_each(|came| came.verdict = Some(verdict));
    }

    /// Notes that an output has left, and returns when the datagram came that its piece number `piece` answers.
    pub(super) fn answered(&mut self, output: &Output<'_>, piece: usize, now_ns: u64) -> Option<u64> {
        let Answers { first, count } = output.answers;
        if count == 0 {
            return (output.at_ns != 0).then(|| self.take_later(output.at_ns)).flatten();
        }
        let came = self.shown(first + piece.min(count - 1))?;
        came.answered_ns = Some(now_ns);
        if came.session == 0 {
            came.session = output.session;
        }
        Some(came.arrived_ns)
    }

    /// Notes an output that leaves later, if it answers something.
    pub(super) fn delayed(&mut self, output: &Output<'_>, piece: usize, now_ns: u64) {
        while let Some(entry) =
            self.later.first_entry().filter(|entry| *entry.key() < now_ns && self.kept_later >= LATER)
        {
            self.kept_later -= entry.remove().len();
        }
        let Answers { first, count } = output.answers;
        if count == 0 || self.kept_later >= LATER {
            return;
        }
        if let Some(came_ns) = self.shown(first + piece.min(count - 1)).map(|came| came.arrived_ns) {
            self.later.entry(output.at_ns).or_default().push_back(came_ns);
            self.kept_later += 1;
        }
    }

    fn take_later(&mut self, at_ns: u64) -> Option<u64> {
        let queue = self.later.get_mut(&at_ns)?;
        let came_ns = queue.pop_front();
        self.kept_later -= usize::from(came_ns.is_some());
        if queue.is_empty() {
            self.later.remove(&at_ns);
        }
        came_ns
    }
}

/// The address that a datagram leaves from, as far as it is known.
pub(super) fn source(output: &Output<'_>, local: SocketAddr) -> SocketAddr {
    let ip = output.from.map(|from| from.ip).filter(|ip| !ip.is_unspecified());
    let ip = ip.unwrap_or_else(|| local.ip());
    let fits = ip.is_ipv4() == output.to.is_ipv4();
    let unknown: IpAddr = if output.to.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
    SocketAddr::new(if fits { ip } else { unknown }, local.port())
}
