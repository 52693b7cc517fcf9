//! Datagrams that leave later. The host owns their bytes, so they outlive the handler that queued them.
//!
//! All listeners share one store, and none takes it from the others. What leaves by the sessions of a listener waits apart from
//! what leaves by its own socket, and counts as its:
//!
//! - A listener that is alone may fill it.
//! - While others are active, a listener that holds a quarter of the datagrams or of the bytes gets no more.
//! - If the store is full, whoever holds most of what there is none left of, places or bytes, gives way to a listener that
//!   holds less than half as much of it: of its datagrams, those that are due last are dropped. Nobody loses anything
//!   for a datagram that finds no room all the same.
//!
//! A listener is active while it has something delayed, and for [`ACTIVE_NS`] after it wanted to delay something.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use super::queue::{Moment, Queue, Spare};
use crate::exchange::Output;
use crate::reactor::io::Token;

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
/// Bits in which the weight of a full store is written; see [`Scale::classes`].
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
    /// What each listener has delayed. Nothing iterates over the map, so its order cannot change a run, and no stranger
    /// chooses a token.
    queues: FxHashMap<Token, Share>,
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
    /// Memory of datagrams that have left.
    spare: Spare,
}

/// What one listener has delayed.
#[derive(Debug, Default)]
struct Share {
    queue: Queue,
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
            queues: FxHashMap::default(),
            weights: [const { BTreeSet::new() }; 2],
            latest: [None; 2],
            datagrams: 0,
            bytes: 0,
            sequence: 0,
            evicted: Vec::new(),
            spare: Spare::default(),
        }
    }

    /// Queues a copy of `output`. Returns false if the store is full or the listener has its share.
    pub(crate) fn push(&mut self, listener: Token, output: &Output<'_>, now_ns: u64) -> bool {
        let (own, held) = self.held(listener);
        let others = self.others_are_active(listener, held, now_ns);
        self.note(listener, now_ns);
        let bytes = output.payload.len();
        let after = |held: [usize; 2]| [held[PLACES] + 1, held[BYTES].saturating_add(bytes)];
        let [places, all_bytes] = after(held);
        let share =
            places <= self.max_datagrams.div_ceil(SHARES) && all_bytes <= self.max_bytes.div_ceil(SHARES);
        // One datagram is within any share, however large it is.
        if others && places > 1 && !share {
            return false;
        }
        if !self.make_room(bytes, self.scale().classes(after(own))) {
            return false;
        }
        let scale = self.scale();
        self.sequence += 1;
        let moment = (output.at_ns, self.sequence);
        let share = self.queues.entry(listener).or_default();
        let first = share.queue.first();
        if first.is_none_or(|first| moment < first) {
            first.map(|first| self.next.remove(&(first, listener)));
            self.next.insert((moment, listener));
        }
        share.queue.push(moment, output, &mut self.spare);
        self.datagrams += 1;
        self.bytes += bytes;
        share.weigh(scale, listener, &mut self.weights);
        true
    }

    /// How many datagrams there are, and their payload bytes.
    pub(crate) const fn held_by_all(&self) -> (usize, usize) {
        (self.datagrams, self.bytes)
    }

    /// The moment the next datagram is due, monotonic ns.
    pub(crate) fn next(&self) -> Option<u64> {
        self.next.first().map(|((at, _), _)| *at)
    }

    /// Whose datagram is due first, if it is due.
    pub(crate) fn due(&self, now_ns: u64) -> Option<Token> {
        let &(moment, token) = self.next.first()?;
        (moment.0 <= now_ns).then_some(token)
    }

    /// The datagrams of a listener that are due, whoever else has one that is due sooner.
    pub(crate) fn due_of(&self, listener: Token, now_ns: u64) -> impl Iterator<Item = Output<'_>> {
        let all = self.queues.get(&listener).into_iter().flat_map(|share| share.queue.iter());
        all.take_while(move |((at_ns, _), _)| *at_ns <= now_ns)
            .map(|((at_ns, _), output)| Output { at_ns, ..output })
    }

    /// Forgets the first `n` datagrams of a listener, which have left.
    pub(crate) fn forget(&mut self, listener: Token, n: usize) {
        self.shrink(listener, |queue, spare| queue.forget_first(n, spare));
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
        let Some(Share { queue, classes }) = self.queues.remove(&listener) else { return 0 };
        for (weights, class) in self.weights.iter_mut().zip(classes) {
            weights.remove(&(class, listener));
        }
        if let Some(first) = queue.first() {
            self.next.remove(&(first, listener));
        }
        self.datagrams -= queue.len();
        self.bytes -= queue.bytes();
        queue.len() as u64
    }

    /// Forgets every datagram, at the end of the service.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.max_datagrams, self.max_bytes);
    }

    /// Notes that a listener wants to delay something.
    fn note(&mut self, listener: Token, now_ns: u64) {
        let [last, before] = &mut self.latest;
        if last.is_some_and(|(token, _)| token.owner() != listener.owner()) {
            *before = *last;
        }
        *last = Some((listener, now_ns));
    }

    /// What a token has delayed, and what its listener has with all its sessions.
    fn held(&self, listener: Token) -> ([usize; 2], [usize; 2]) {
        let amounts = |token| self.queues.get(&token).map_or([0; 2], Share::amounts);
        let own = amounts(listener);
        let other = if listener.is_beside() { listener.owner() } else { listener.beside() };
        // Mostly there is none: all that is delayed is its own.
        let other = if self.datagrams == own[PLACES] { [0; 2] } else { amounts(other) };
        (own, [own[PLACES] + other[PLACES], own[BYTES] + other[BYTES]])
    }

    /// Whether others than a listener that holds so much have something delayed, or wanted to a moment ago.
    fn others_are_active(&self, listener: Token, held: [usize; 2], now_ns: u64) -> bool {
        let wanted = |&(token, at_ns): &(Token, u64)| {
            token.owner() != listener.owner() && now_ns.saturating_sub(at_ns) < ACTIVE_NS
        };
        self.datagrams > held[PLACES] || self.latest.iter().flatten().any(wanted)
    }

    /// What a listener may delay at `now_ns` beyond what it has delayed, with what others would give way to it: near
    /// enough to tell it beforehand, never much more than there is.
    pub(crate) fn room(&self, listener: Token, now_ns: u64) -> DelayRoom {
        let (_, held) = self.held(listener);
        let parts = if self.others_are_active(listener, held, now_ns) { SHARES } else { 1 };
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
        let Some(Share { queue, .. }) = self.queues.get(&victim).filter(|_| heaviest > classes[short]) else {
            return false;
        };
        let (mut n, mut freed) = (0, 0);
        for (_, output) in queue.iter_back().take(MOST_EVICTED) {
            n += 1;
            freed += output.payload.len();
            if freed >= short_bytes {
                break;
            }
        }
        if n == 0 || freed < short_bytes {
            return false;
        }
        self.evict(victim, n);
        true
    }

    /// Drops the `n` datagrams of a listener that are due last.
    fn evict(&mut self, victim: Token, n: usize) {
        self.shrink(victim, |queue, spare| queue.forget_last(n, spare));
        match self.evicted.last_mut() {
            Some((token, before)) if *token == victim => *before += n as u64,
            _ => self.evicted.push((victim, n as u64)),
        }
    }

    /// Lets a listener have fewer datagrams than it has.
    fn shrink(&mut self, listener: Token, fewer: impl FnOnce(&mut Queue, &mut Spare)) {
        let scale = self.scale();
        let Some(share) = self.queues.get_mut(&listener) else { return };
        let (first, [datagrams, bytes]) = (share.queue.first(), share.amounts());
        fewer(&mut share.queue, &mut self.spare);
        let (now_first, left) = (share.queue.first(), share.amounts());
        self.datagrams -= datagrams - left[PLACES];
        self.bytes -= bytes - left[BYTES];
        if now_first != first {
            first.map(|first| self.next.remove(&(first, listener)));
            self.next.extend(now_first.map(|first| (first, listener)));
        }
        share.weigh(scale, listener, &mut self.weights);
    }

    const fn scale(&self) -> Scale {
        Scale([self.max_datagrams, self.max_bytes])
    }
}

/// What a full store holds: places and bytes.
#[derive(Clone, Copy, Debug)]
struct Scale([usize; 2]);

impl Scale {
    /// How much of the places and of the bytes of the store somebody takes, in powers of two: so it changes seldom, and a
    /// datagram costs no search. 0 is nothing.
    fn classes(self, held: [usize; 2]) -> [u32; 2] {
        if held[PLACES] == 0 {
            return [0; 2];
        }
        [PLACES, BYTES].map(|resource| {
            let (held, of) = (held[resource] as u64, self.0[resource] as u64);
            let weight = (held << WEIGHT_BITS).checked_div(of).map_or(0, |weight| weight + 1);
            u64::BITS - weight.leading_zeros()
        })
    }
}

impl Share {
    /// What it holds: places and bytes.
    fn amounts(&self) -> [usize; 2] {
        [self.queue.len(), self.queue.bytes()]
    }

    /// Puts the one whose share it is where its weights belong.
    fn weigh(&mut self, scale: Scale, listener: Token, weights: &mut [BTreeSet<(u32, Token)>; 2]) {
        let classes = scale.classes(self.amounts());
        let before = std::mem::replace(&mut self.classes, classes);
        for (weights, (before, class)) in weights.iter_mut().zip(before.into_iter().zip(classes)) {
            if before != class {
                weights.remove(&(before, listener));
                if class > 0 {
                    weights.insert((class, listener));
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "delayed_tests.rs"]
mod tests;
