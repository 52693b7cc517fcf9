//! Datagrams that leave later. The host owns their bytes, so they outlive the handler that queued them.
//!
//! All listeners share one store, and none takes it from the others:
//!
//! - A listener that is alone may fill it.
//! - While others are active, a listener that holds a quarter of the datagrams or of the bytes gets no more.
//! - If the store is full, whoever holds most of what there is none left of, places or bytes, gives way to a listener that
//!   holds less than half as much of it: of its datagrams, those that are due last are dropped. Nobody loses anything
//!   for a datagram that finds no room all the same.
//!
//! A listener is active while it has something delayed, and for [`ACTIVE_NS`] after it wanted to delay something.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::exchange::{Output, OwnedOutput};
use crate::reactor::io::Token;

/// Most buffers of sent datagrams that are kept for the next ones; more would hold memory after a burst.
const SPARE_BUFFERS: usize = 1024;
/// Largest buffer that is kept, bytes.
const SPARE_BYTES: usize = 2048;
/// How long a listener that has nothing delayed still counts as active, ns.
const ACTIVE_NS: u64 = 1_000_000_000;
/// The part of the store that a listener may hold while others are active: one of so many.
const SHARES: usize = 4;
/// Most datagrams that give way to one, however small they are and however large it is: the loop does nothing else then.
const MOST_EVICTED: usize = 64;
/// Index of what is counted in datagrams, in a pair of weights.
const PLACES: usize = 0;
/// Index of what is counted in payload bytes.
const BYTES: usize = 1;
/// Bits in which the weight of a full store is written; see [`Delayed::classes`].
const WEIGHT_BITS: u32 = 20;

/// Delayed datagrams by the moment they are due. Datagrams of the same moment leave in the order they were queued.
#[derive(Debug)]
pub(crate) struct Delayed {
    /// Most datagrams of all listeners.
    max_datagrams: usize,
    /// Most payload bytes of all listeners.
    max_bytes: usize,
    /// The next datagram of every listener that has one, and whose it is.
    next: BTreeSet<(Moment, Token)>,
    /// What each listener has delayed. Nothing iterates over the map, so its order cannot change a run.
    queues: HashMap<Token, Queue>,
    /// The listeners that have something delayed, by the class of what they hold of each of [`PLACES`] and [`BYTES`].
    weights: [BTreeSet<(u32, Token)>; 2],
    /// The two listeners that wanted to delay something last, the latest first, and when: monotonic ns.
    latest: [Option<(Token, u64)>; 2],
    /// Datagrams of all queues.
    datagrams: usize,
    /// Payload bytes of all queues.
    bytes: usize,
    sequence: u64,
    /// Listeners whose datagrams gave way to those of others, and how many of each. The reactor counts them.
    evicted: Vec<(Token, u64)>,
    /// Buffers to use again.
    spare: Vec<Vec<u8>>,
}

/// When a datagram is due, monotonic ns, and its sequence number.
type Moment = (u64, u64);

/// What one listener has delayed.
#[derive(Debug, Default)]
struct Queue {
    datagrams: BTreeMap<Moment, OwnedOutput>,
    bytes: usize,
    /// The classes under which the listener stands in [`Delayed::weights`]; 0 where it does not.
    classes: [u32; 2],
}

/// What a listener may have delayed beyond what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DelayRoom {
    /// Datagrams.
    pub(crate) datagrams: usize,
    /// Payload bytes of all of them.
    pub(crate) bytes: usize,
}

impl Delayed {
    /// An empty store for so many datagrams and payload bytes of all listeners together.
    pub(crate) fn new(max_datagrams: usize, max_bytes: usize) -> Self {
        Self {
            max_datagrams,
            max_bytes,
            next: BTreeSet::new(),
            queues: HashMap::new(),
            weights: [const { BTreeSet::new() }; 2],
            latest: [None; 2],
            datagrams: 0,
            bytes: 0,
            sequence: 0,
            evicted: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// Queues a copy of `output`. Returns false if the store is full or the listener has its share.
    pub(crate) fn push(&mut self, listener: Token, output: &Output<'_>, now_ns: u64) -> bool {
        let others = self.others_are_active(listener, now_ns);
        self.note(listener, now_ns);
        let bytes = output.payload.len();
        let (held, held_bytes) =
            self.queues.get(&listener).map_or((0, 0), |queue| (queue.datagrams.len(), queue.bytes));
        let (after, after_bytes) = (held + 1, held_bytes.saturating_add(bytes));
        let share =
            after <= self.max_datagrams.div_ceil(SHARES) && after_bytes <= self.max_bytes.div_ceil(SHARES);
        // One datagram is within any share, however large it is.
        if others && held > 0 && !share {
            return false;
        }
        if !self.make_room(bytes, self.classes(after, after_bytes)) {
            return false;
        }
        self.sequence += 1;
        let moment = (output.at_ns, self.sequence);
        let owned = OwnedOutput::copy(output, self.spare.pop().unwrap_or_default());
        let queue = self.queues.entry(listener).or_default();
        let first = queue.datagrams.first_key_value().map(|(first, _)| *first);
        if first.is_none_or(|first| moment < first) {
            first.map(|first| self.next.remove(&(first, listener)));
            self.next.insert((moment, listener));
        }
        queue.datagrams.insert(moment, owned);
        queue.bytes += bytes;
        self.datagrams += 1;
        self.bytes += bytes;
        self.weigh(listener);
        true
    }

    /// The moment the next datagram is due, monotonic ns.
    pub(crate) fn next(&self) -> Option<u64> {
        self.next.first().map(|((at, _), _)| *at)
    }

    /// Takes the next datagram if it is due. If `listener` is given, the datagram must also belong to it.
    pub(crate) fn pop_due(&mut self, now_ns: u64, listener: Option<Token>) -> Option<(Token, OwnedOutput)> {
        let &(moment, token) = self.next.first()?;
        if moment.0 > now_ns || listener.is_some_and(|listener| listener != token) {
            return None;
        }
        Some((token, self.take(token, moment)?))
    }

    /// Takes the next datagram of a listener if it is due, whoever else has one that is due sooner.
    pub(crate) fn pop_due_of(&mut self, listener: Token, now_ns: u64) -> Option<OwnedOutput> {
        let (&moment, _) = self.queues.get(&listener)?.datagrams.first_key_value()?;
        if moment.0 > now_ns { None } else { self.take(listener, moment) }
    }

    /// A listener whose datagrams gave way to those of others since this was asked last, and how many of them.
    pub(crate) fn pop_evicted(&mut self) -> Option<(Token, u64)> {
        self.evicted.pop()
    }

    /// Forgets the datagrams of one listener, and returns how many there were.
    pub(crate) fn remove(&mut self, listener: Token) -> u64 {
        for latest in &mut self.latest {
            *latest = latest.filter(|(token, _)| *token != listener);
        }
        let Some(queue) = self.queues.remove(&listener) else { return 0 };
        for (weights, class) in self.weights.iter_mut().zip(queue.classes) {
            weights.remove(&(class, listener));
        }
        if let Some((first, _)) = queue.datagrams.first_key_value() {
            self.next.remove(&(*first, listener));
        }
        self.datagrams -= queue.datagrams.len();
        self.bytes -= queue.bytes;
        queue.datagrams.len() as u64
    }

    /// Forgets every datagram, at the end of the service.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.max_datagrams, self.max_bytes);
    }

    /// Keeps the buffer of a datagram that was sent, to use it again.
    pub(crate) fn recycle(&mut self, owned: OwnedOutput) {
        if self.spare.len() < SPARE_BUFFERS && owned.payload.capacity() <= SPARE_BYTES {
            self.spare.push(owned.payload);
        }
    }

    /// Notes that a listener wants to delay something.
    fn note(&mut self, listener: Token, now_ns: u64) {
        let [last, before] = &mut self.latest;
        if last.is_some_and(|(token, _)| token != listener) {
            *before = *last;
        }
        *last = Some((listener, now_ns));
    }

    fn others_are_active(&self, listener: Token, now_ns: u64) -> bool {
        let held = self.queues.get(&listener).map_or(0, |queue| queue.datagrams.len());
        let wanted =
            |&(token, at_ns): &(Token, u64)| token != listener && now_ns.saturating_sub(at_ns) < ACTIVE_NS;
        self.datagrams > held || self.latest.iter().flatten().any(wanted)
    }

    /// What a listener may delay at `now_ns` beyond what it has delayed, with what others would give way to it: near
    /// enough to tell it beforehand, never much more than there is.
    pub(crate) fn room(&self, listener: Token, now_ns: u64) -> DelayRoom {
        let held = self.queues.get(&listener).map_or([0; 2], Queue::amounts);
        let parts = if self.others_are_active(listener, now_ns) { SHARES } else { 1 };
        let room = |resource: usize, most: usize, all: usize| {
            let share = most.div_ceil(parts).saturating_sub(held[resource]);
            let heaviest = self.weights[resource].last().and_then(|(_, victim)| self.queues.get(victim));
            let heaviest = heaviest.map_or(0, |victim| victim.amounts()[resource]);
            // After these the heaviest still holds twice as much.
            let yields = heaviest.saturating_sub(2 * held[resource] + 1) / 3;
            share.min((most - all).saturating_add(yields))
        };
        let datagrams = room(PLACES, self.max_datagrams, self.datagrams);
        let bytes = room(BYTES, self.max_bytes, self.bytes);
        // One datagram is within any share, however large it is.
        if held[PLACES] == 0 && parts > 1 && datagrams > 0 && self.bytes < self.max_bytes {
            return DelayRoom { datagrams, bytes: bytes.max(self.max_bytes - self.bytes) };
        }
        DelayRoom { datagrams, bytes }
    }

    /// What a listener may delay that has delayed nothing yet, with less work, and without what others would give way.
    #[inline]
    pub(crate) fn first_room(&self) -> DelayRoom {
        DelayRoom { datagrams: self.max_datagrams - self.datagrams, bytes: self.max_bytes - self.bytes }
    }

    /// Makes room for one datagram of so many bytes of a listener that will be of `classes`. False, and nothing has changed,
    /// if who holds most of what is short does not hold more than that, or would have to give up too many datagrams.
    fn make_room(&mut self, bytes: usize, classes: [u32; 2]) -> bool {
        if self.max_datagrams == 0 || bytes > self.max_bytes {
            return false;
        }
        let short_bytes = self.bytes.saturating_add(bytes).saturating_sub(self.max_bytes);
        if short_bytes == 0 && self.datagrams < self.max_datagrams {
            return true;
        }
        let short = if short_bytes > 0 { BYTES } else { PLACES };
        let Some(&(heaviest, victim)) = self.weights[short].last() else { return false };
        let Some(queue) = self.queues.get(&victim).filter(|_| heaviest > classes[short]) else {
            return false;
        };
        let mut freed = 0;
        let mut last = None;
        for (moment, owned) in queue.datagrams.iter().rev().take(MOST_EVICTED) {
            freed += owned.payload.len();
            if freed >= short_bytes {
                last = Some(*moment);
                break;
            }
        }
        let Some(last) = last else { return false };
        self.evict(victim, last);
        true
    }

    /// Drops the datagrams of a listener that are due at `last` or later.
    fn evict(&mut self, victim: Token, last: Moment) {
        let mut n = 0;
        while let Some(moment) =
            self.queues.get(&victim).and_then(Queue::last).filter(|moment| *moment >= last)
        {
            if let Some(owned) = self.take(victim, moment) {
                self.recycle(owned);
            }
            n += 1;
        }
        match self.evicted.last_mut() {
            Some((token, before)) if *token == victim => *before += n,
            _ => self.evicted.push((victim, n)),
        }
    }

    /// Takes one datagram out.
    fn take(&mut self, listener: Token, moment: Moment) -> Option<OwnedOutput> {
        let queue = self.queues.get_mut(&listener)?;
        let owned = queue.datagrams.remove(&moment)?;
        queue.bytes -= owned.payload.len();
        self.datagrams -= 1;
        self.bytes -= owned.payload.len();
        if self.next.remove(&(moment, listener))
            && let Some((first, _)) = queue.datagrams.first_key_value()
        {
            self.next.insert((*first, listener));
        }
        self.weigh(listener);
        Some(owned)
    }

    /// Puts a listener where its weights belong.
    fn weigh(&mut self, listener: Token) {
        let Some(queue) = self.queues.get(&listener) else { return };
        let classes = self.classes(queue.datagrams.len(), queue.bytes);
        let Some(queue) = self.queues.get_mut(&listener) else { return };
        let before = std::mem::replace(&mut queue.classes, classes);
        for (weights, (before, class)) in self.weights.iter_mut().zip(before.into_iter().zip(classes)) {
            if before != class {
                weights.remove(&(before, listener));
                if class > 0 {
                    weights.insert((class, listener));
                }
            }
        }
    }

    /// How much of the places and of the bytes of the store a listener takes, in powers of two: so it changes seldom, and
    /// a datagram costs no search. 0 is nothing.
    fn classes(&self, datagrams: usize, bytes: usize) -> [u32; 2] {
        let class = |held: usize, of: usize| {
            let weight = ((held as u64) << WEIGHT_BITS).checked_div(of as u64).map_or(0, |weight| weight + 1);
            u64::BITS - weight.leading_zeros()
        };
        if datagrams == 0 {
            return [0; 2];
        }
        [class(datagrams, self.max_datagrams), class(bytes, self.max_bytes)]
    }
}

impl Queue {
    /// What it holds: places and bytes.
    fn amounts(&self) -> [usize; 2] {
        [self.datagrams.len(), self.bytes]
    }

    /// The moment of the datagram that is due last.
    fn last(&self) -> Option<Moment> {
        self.datagrams.last_key_value().map(|(last, _)| *last)
    }
}

#[cfg(test)]
#[path = "delayed_tests.rs"]
mod tests;
