//! The books of one stream: each datagram sent ends in exactly one of ok, late, error, lost, pending.
//!
//! Pure: times and numbers are arguments. A datagram that was not answered is lost in a direction, if the
//! responder's RSTAT windows ([P-70]) told one: seen by the responder and yet not answered is lost on the way
//! down, never seen is lost on the way up.

use polyport_protocol::{Code, Nanos};

use super::class::Class;
use super::density::Density;
use super::ipdv::{Ipdv, Trip};
use super::loss_runs::LossRuns;
use super::reorder::Reorder;
use super::ring::{Entry, Reach, Ring, State};
use super::stamp::numbers::{Directions, Numbers, nearest};

/// One stream of datagrams to one target.
#[derive(Clone, Debug)]
pub struct Stream {
    ring: Ring,
    timeout: Nanos,
    next_seq: u64,
    /// Everything below has left state `Open`.
    oldest_open: u64,
    /// Everything below is answered or forgotten; kept for [`Stream::receive_any`] only.
    oldest_owed: u64,
    reorder: Reorder,
    density: Density,
    runs: LossRuns,
    /// What a peer's own numbers say of losses, where it tells nothing else.
    numbers: Numbers,
    /// Number and times of the latest first answer.
    latest: Option<(u64, Trip)>,
    tally: Tally,
}

/// What an answer said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The number of the datagram whose id it has.
    pub owner: u64,
    /// Echo of the number.
    pub seq: u64,
    /// Echo of the attempt.
    pub attempt: u8,
    /// Echo of the time of sending.
    pub sent: Nanos,
    /// Whether its kind answers a request.
    pub answers: bool,
    /// The code of an ERROR frame.
    pub error: Option<Code>,
    /// What the responder has seen, if it told.
    pub rstat: Option<Rstat>,
    /// When its request came to the peer and when it left, on the peer's clock, if it told.
    pub times: Option<(Nanos, Nanos)>,
    /// What of its round trip is not counted.
    pub inside: Nanos,
}

/// The part of RSTAT that the books need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rstat {
    /// Number of this answer.
    pub rseq: u64,
    /// Bit i: request seq - i was seen. `None` if the peer counts its answers and tells no more.
    pub window: Option<u64>,
}

/// How the books took an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classified {
    /// The class of the datagram.
    pub class: Class,
    /// Plan and departure of the datagram it answers, for first answers only.
    pub first: Option<(Nanos, Nanos)>,
    /// By how much its times differ from those of its neighbour, where both answers came directly one after the other
    /// (the selection function of RFC 3393 section 2.3).
    pub ipdv: Option<Ipdv>,
}

/// Every slot that the next number could take holds a datagram that is not answered and not timed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Counters of a stream, or the sum over several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Left.
    pub sent: u64,
    /// Answered within the timeout, without error.
    pub ok: u64,
    /// Answered after the timeout.
    pub late: u64,
    /// Answered by an ERROR within the timeout.
    pub error: u64,
    /// Not answered, and the responder had not seen it.
    pub lost_up: u64,
    /// Not answered, and the responder had seen it.
    pub lost_down: u64,
    /// Not answered, and no answer to a neighbour told more.
    pub lost_unknown: u64,
    /// Not answered and not timed out when the run was broken off.
    pub pending: u64,
    /// Now without answer, timed out; 0 at the end.
    pub expired: u64,
    /// Now without answer, not timed out; 0 at the end.
    pub open: u64,
    /// Further answers to a request that arrived twice.
    pub dup_up: u64,
    /// Further copies of an answer.
    pub dup_down: u64,
    /// First answers that a later one overtook.
    pub reordered: u64,
    /// First answers that three later ones overtook.
    pub three_reordered: u64,
}

impl Reply {
    /// An answer that says nothing but what it answers.
    #[must_use]
    pub const fn plain(seq: u64, sent: Nanos) -> Self {
        let (error, rstat, times) = (None, None, None);
        Self { owner: seq, seq, attempt: 0, sent, answers: true, error, rstat, times, inside: 0 }
    }
}

impl Tally {
    /// Lost in any direction, as far as decided: without those that are timed out and may still come.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost_up + self.lost_down + self.lost_unknown
    }

    /// The right side of the identity `sent = ok + late + error + lost + pending`, during a run as well.
    #[must_use]
    pub const fn accounted(&self) -> u64 {
        self.ok + self.late + self.error + self.lost() + self.pending + self.expired + self.open
    }

    /// [`Self::accounted`] of counters that may be anything; `None` if they have no sum.
    #[must_use]
    pub fn checked_accounted(&self) -> Option<u64> {
        let parts = [self.late, self.error, self.lost_up, self.lost_down, self.lost_unknown, self.pending];
        let rest = [self.expired, self.open];
        parts.into_iter().chain(rest).try_fold(self.ok, u64::checked_add)
    }

    /// Adds the counters of another stream. A sum stops at the most that a counter holds.
    pub const fn add(&mut self, other: &Self) {
        self.sent = self.sent.saturating_add(other.sent);
        self.ok = self.ok.saturating_add(other.ok);
        self.late = self.late.saturating_add(other.late);
        self.error = self.error.saturating_add(other.error);
        self.lost_up = self.lost_up.saturating_add(other.lost_up);
        self.lost_down = self.lost_down.saturating_add(other.lost_down);
        self.lost_unknown = self.lost_unknown.saturating_add(other.lost_unknown);
        self.pending = self.pending.saturating_add(other.pending);
        self.expired = self.expired.saturating_add(other.expired);
        self.open = self.open.saturating_add(other.open);
        self.dup_up = self.dup_up.saturating_add(other.dup_up);
        self.dup_down = self.dup_down.saturating_add(other.dup_down);
        self.reordered = self.reordered.saturating_add(other.reordered);
        self.three_reordered = self.three_reordered.saturating_add(other.three_reordered);
    }
}

impl Stream {
    /// A stream that remembers its last `capacity` datagrams (rounded up to a power of two).
    #[must_use]
    pub fn new(capacity: usize, timeout: Nanos) -> Self {
        Self {
            ring: Ring::new(capacity),
            timeout,
            next_seq: 0,
            oldest_open: 0,
            oldest_owed: 0,
            reorder: Reorder::default(),
            density: Density::default(),
            runs: LossRuns::default(),
            numbers: Numbers::default(),
            latest: None,
            tally: Tally::default(),
        }
    }

    /// The counters.
    #[must_use]
    pub const fn tally(&self) -> Tally {
        let mut tally = self.tally;
        tally.reordered = self.reorder.reordered();
        tally.three_reordered = self.reorder.three_reordered();
        tally
    }

    /// Displacements of first answers (RFC 5236).
    #[must_use]
    pub const fn density(&self) -> &Density {
        &self.density
    }

    /// How many losses came in a row, and how often (RFC 3357); whole once the books are closed.
    #[must_use]
    pub const fn loss_runs(&self) -> &LossRuns {
        &self.runs
    }

    /// Datagrams without answer and not timed out.
    #[must_use]
    pub const fn open(&self) -> u64 {
        self.tally.open
    }

    /// Enters a datagram that leaves at `now`, and says its number and its id, which `id` gives to the number.
    ///
    /// # Errors
    /// [`Full`] if it would displace one that may still be answered in time.
    pub fn send(
        &mut self,
        planned: Nanos,
        now: Nanos,
        id: impl FnOnce(u64) -> u64,
    ) -> Result<(u64, u64), Full> {
        let seq = self.next_seq;
        if self.ring.slot(seq).state == State::Open {
            self.expire(now);
            if self.ring.slot(seq).state == State::Open {
                return Err(Full);
            }
        }
        let id = id(seq);
        let displaced = self.ring.put(Entry { id, ..Entry::open(seq, planned, now) });
        self.retire(&displaced);
        self.next_seq += 1;
        self.tally.sent += 1;
        self.tally.open += 1;
        Ok((seq, id))
    }

    /// Datagram `seq` left, and nobody will answer it: that it left is all that is known here. Whether it was open.
    pub fn hand_over(&mut self, seq: u64) -> bool {
        let Some(entry) = self.ring.get_mut(seq).filter(|entry| entry.state == State::Open) else {
            return false;
        };
        entry.state = State::Answered;
        self.tally.open -= 1;
        self.tally.ok += 1;
        true
    }

    /// Strikes out a datagram that was entered and did not leave after all. Once all later ones are struck out, too,
    /// its number is given to the next one: gaps would use up the ring while the send buffer is full.
    pub fn cancel(&mut self, seq: u64) {
        let Some(entry) = self.ring.get_mut(seq).filter(|entry| entry.state == State::Open) else { return };
        entry.state = State::Free;
        self.tally.sent -= 1;
        self.tally.open -= 1;
        while let Some(last) = self.next_seq.checked_sub(1)
            && matches!(self.ring.slot(last), entry if entry.seq == last && entry.state == State::Free)
        {
            self.next_seq = last;
        }
        self.oldest_open = self.oldest_open.min(self.next_seq);
        self.oldest_owed = self.oldest_owed.min(self.next_seq);
    }

    /// Enters an answer that arrived at `arrival`: it is held to the last tests of [P-72], in their order.
    pub fn receive(&mut self, reply: &Reply, arrival: Nanos) -> Classified {
        let refused = |class| Classified { class, first: None, ipdv: None };
        let deadline = reply.sent.saturating_add(self.timeout);
        let Some(entry) = self.ring.get_mut(reply.owner) else { return refused(Class::UnknownId) };
        if let Some(class) = misfit(entry, reply) {
            return refused(class);
        }
        let (planned, before) = (entry.planned, entry.state);
        let class = match before {
            State::Answered => duplicate(entry, reply.rstat),
            State::Free | State::Open | State::Expired => first(entry, reply, arrival > deadline),
        };
        match before {
            State::Open => self.tally.open -= 1,
            State::Expired => self.tally.expired -= 1,
            State::Free | State::Answered => {}
        }
        let mut ipdv = None;
        if before != State::Answered {
            self.reorder.arrive(reply.seq);
            self.density.arrive(reply.seq);
            let trip = Trip::new(reply.sent, reply.times, arrival, reply.inside);
            ipdv = self
                .latest
                .replace((reply.seq, trip))
                .filter(|(seq, _)| seq.abs_diff(reply.seq) == 1)
                .map(|(_, before)| trip.apart(before));
        }
        self.count(class);
        match reply.rstat {
            Some(Rstat { window: Some(window), .. }) => self.look_through(reply.seq, window),
            // Copies that the network made say nothing new.
            Some(Rstat { rseq, window: None }) if class != Class::DupDown => {
                self.numbers.heard(reply.seq, rseq);
            }
            Some(_) | None => {}
        }
        Classified { class, first: (before != State::Answered).then_some((planned, reply.sent)), ipdv }
    }

    /// Enters a datagram that says nothing of what it answers: it is taken for the answer to the oldest datagram that is
    /// not timed out, else to the oldest that is.
    pub fn receive_any(&mut self, arrival: Nanos) -> Classified {
        self.expire(arrival);
        let owed = if self.tally.open > 0 { Some(self.oldest_open) } else { self.oldest_owed() };
        let entry = owed.and_then(|seq| self.ring.get(seq));
        let Some(&Entry { seq, sent, .. }) = entry else {
            return Classified { class: Class::Unasked, first: None, ipdv: None };
        };
        self.receive(&Reply::plain(seq, sent), arrival)
    }

    /// The oldest datagram that is remembered and not answered. Looks at each datagram once in all.
    fn oldest_owed(&mut self) -> Option<u64> {
        let forgotten = self.next_seq.saturating_sub(self.ring.capacity());
        self.oldest_owed = self.oldest_owed.max(forgotten);
        while self.oldest_owed < self.next_seq {
            let entry = self.ring.get(self.oldest_owed);
            if entry.is_some_and(|entry| entry.state != State::Answered) {
                return Some(self.oldest_owed);
            }
            self.oldest_owed += 1;
        }
        None
    }

    /// Whether datagram `seq` was sent and is not forgotten yet.
    #[must_use]
    pub fn remembers(&self, seq: u64) -> bool {
        self.ring.get(seq).is_some()
    }

    /// The id of datagram `seq`, if it was sent and is not forgotten yet.
    #[must_use]
    pub fn id(&self, seq: u64) -> Option<u64> {
        self.ring.get(seq).map(|entry| entry.id)
    }

    /// Marks what is timed out at `now`. Times of sending never fall, so it stops at the first that is not.
    pub fn expire(&mut self, now: Nanos) {
        while self.oldest_open < self.next_seq {
            if let Some(entry) = self.ring.get_mut(self.oldest_open)
                && entry.state == State::Open
            {
                if now <= entry.sent.saturating_add(self.timeout) {
                    return;
                }
                entry.state = State::Expired;
                self.tally.open -= 1;
                self.tally.expired += 1;
            }
            self.oldest_open += 1;
        }
    }

    /// When each datagram was planned that is without answer and was not timed out at the last [`Self::expire`].
    pub fn open_plans(&self) -> impl Iterator<Item = Nanos> + '_ {
        self.ring.iter().filter(|entry| entry.state == State::Open).map(|entry| entry.planned)
    }

    /// Closes the books at `now`: what is without answer is lost, or, after an abort, pending as long as its
    /// timeout has not passed. Later answers are unknown.
    pub fn finish(&mut self, now: Nanos, aborted: bool) {
        self.expire(now);
        let mut rest: Vec<Entry> = self.ring.drain().collect();
        rest.sort_unstable_by_key(|entry| entry.seq);
        for entry in &mut rest {
            if entry.state == State::Open {
                self.tally.open -= 1;
                if aborted {
                    self.tally.pending += 1;
                } else {
                    entry.state = State::Expired;
                    self.tally.expired += 1;
                }
            }
            self.retire(entry);
        }
    }

    /// The peer's own numbers.
    #[must_use]
    pub const fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    /// Gives losses the directions that the peer's own numbers tell, once the books are closed.
    pub fn direct(&mut self) {
        let Directions { up, down } = self.numbers.directions();
        self.tally.lost_unknown = self.tally.lost_unknown.saturating_sub(up + down);
        self.tally.lost_up += up;
        self.tally.lost_down += down;
    }

    /// The number nearest to the latest one that was given, of those that end in these 32 bits.
    #[must_use]
    pub fn nearest(&self, low: u32) -> u64 {
        nearest(self.next_seq, low)
    }

    const fn count(&mut self, class: Class) {
        match class {
            Class::Ok => self.tally.ok += 1,
            Class::Late => self.tally.late += 1,
            Class::Error(_) => self.tally.error += 1,
            Class::DupUp => self.tally.dup_up += 1,
            Class::DupDown => self.tally.dup_down += 1,
            Class::WarmUp
            | Class::UnknownId
            | Class::WrongSeq
            | Class::WrongAttempt
            | Class::WrongTimestamp
            | Class::Unasked
            | Class::StaleStream
            | Class::WrongSource
            | Class::WrongKind
            | Class::Malformed(_) => {}
        }
    }

    /// Decides about a datagram that is about to be forgotten.
    fn retire(&mut self, entry: &Entry) {
        match entry.state {
            State::Expired => {
                self.runs.lost();
                self.numbers.lost(entry.seq);
            }
            State::Answered => return self.runs.answered(),
            State::Free | State::Open => return,
        }
        self.tally.expired -= 1;
        match entry.reach {
            Reach::Seen => self.tally.lost_down += 1,
            Reach::NotSeen => self.tally.lost_up += 1,
            Reach::Unknown => self.tally.lost_unknown += 1,
        }
    }

    /// Notes for the datagrams before `seq` whether the responder has seen them.
    fn look_through(&mut self, seq: u64, window: u64) {
        for back in 1..u64::from(u64::BITS) {
            let Some(earlier) = seq.checked_sub(back) else { return };
            let Some(entry) = self.ring.get_mut(earlier) else { continue };
            if entry.state == State::Answered || entry.reach == Reach::Seen {
                continue;
            }
            entry.reach = if window >> back & 1 == 1 { Reach::Seen } else { Reach::NotSeen };
        }
    }
}

/// What a reply with the id of `entry` says wrong about it.
const fn misfit(entry: &Entry, reply: &Reply) -> Option<Class> {
    if entry.seq != reply.seq {
        Some(Class::WrongSeq)
    } else if reply.attempt != 0 {
        Some(Class::WrongAttempt)
    } else if entry.sent != reply.sent {
        Some(Class::WrongTimestamp)
    } else if !reply.answers {
        Some(Class::WrongKind)
    } else {
        None
    }
}

fn first(entry: &mut Entry, reply: &Reply, late: bool) -> Class {
    entry.state = State::Answered;
    entry.answers = reply.rstat.map(|rstat| (rstat.rseq, rstat.rseq));
    match reply.error {
        _ if late => Class::Late,
        Some(code) => Class::Error(code),
        None => Class::Ok,
    }
}

/// The responder counts its answers: an unheard number means that it answered once more ([P-71]).
fn duplicate(entry: &mut Entry, rstat: Option<Rstat>) -> Class {
    match (&mut entry.answers, rstat) {
        (Some((first, latest)), Some(rstat)) if rstat.rseq != *first && rstat.rseq != *latest => {
            *latest = rstat.rseq;
            Class::DupUp
        }
        _ => Class::DupDown,
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
