//! Datagrams that leave later. The host owns their bytes, so they outlive the handler that queued them.
//!
//! All listeners share one store, and none takes it from the others:
//!
//! - A listener that is alone may fill it.
//! - While others are active, a listener that holds a quarter of the datagrams or of the bytes gets no more.
//! - If the store is full, whoever holds most gives way to a listener that holds less than half as much: of its
//!   datagrams, those that are due last are dropped.
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
/// Bits in which the weight of a full store is written; see [`Delayed::class`].
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
    /// The listeners that have something delayed, by the class of their weight.
    weights: BTreeSet<(u32, Token)>,
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
    /// The class under which the listener stands in [`Delayed::weights`]; 0 if it does not.
    class: u32,
}

impl Delayed {
    /// An empty store for so many datagrams and payload bytes of all listeners together.
    pub(crate) fn new(max_datagrams: usize, max_bytes: usize) -> Self {
        Self {
            max_datagrams,
            max_bytes,
            next: BTreeSet::new(),
            queues: HashMap::new(),
            weights: BTreeSet::new(),
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
        if !self.make_room(bytes, self.class(after, after_bytes)) {
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
        self.weights.remove(&(queue.class, listener));
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

    /// Makes room for one datagram of so many bytes of a listener that will be of `class`. False if those who hold
    /// most do not hold more than that.
    fn make_room(&mut self, bytes: usize, class: u32) -> bool {
        if self.max_datagrams == 0 || bytes > self.max_bytes {
            return false;
        }
        for _ in 0..MOST_EVICTED {
            if self.has_room(bytes) {
                return true;
            }
            let Some(&(heaviest, victim)) = self.weights.last() else { return false };
            let last = self.queues.get(&victim).and_then(|queue| queue.datagrams.last_key_value());
            let Some(last) = last.map(|(last, _)| *last).filter(|_| heaviest > class) else { return false };
            if let Some(owned) = self.take(victim, last) {
                self.recycle(owned);
            }
            match self.evicted.last_mut() {
                Some((token, n)) if *token == victim => *n += 1,
                _ => self.evicted.push((victim, 1)),
            }
        }
        self.has_room(bytes)
    }

    /// Whether one more datagram of so many bytes fits.
    fn has_room(&self, bytes: usize) -> bool {
        self.datagrams < self.max_datagrams && self.bytes.saturating_add(bytes) <= self.max_bytes
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

    /// Puts a listener where its weight belongs.
    fn weigh(&mut self, listener: Token) {
        let Some(queue) = self.queues.get(&listener) else { return };
        let class = self.class(queue.datagrams.len(), queue.bytes);
        let Some(queue) = self.queues.get_mut(&listener) else { return };
        let before = std::mem::replace(&mut queue.class, class);
        if before != class {
            self.weights.remove(&(before, listener));
            if class > 0 {
                self.weights.insert((class, listener));
            }
        }
    }

    /// How much of the store a listener takes, in powers of two: so it changes seldom, and a datagram costs no search.
    /// 0 is nothing.
    fn class(&self, datagrams: usize, bytes: usize) -> u32 {
        let part = |held: usize, of: usize| {
            ((held as u64) << WEIGHT_BITS).checked_div(of as u64).map_or(0, |weight| weight + 1)
        };
        if datagrams == 0 {
            return 0;
        }
        u64::BITS - part(datagrams, self.max_datagrams).max(part(bytes, self.max_bytes)).leading_zeros()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const L: Token = Token { index: 0, generation: 0 };
    const M: Token = Token { index: 1, generation: 1 };
    const SECOND: u64 = 1_000_000_000;

    fn output(at_ns: u64, payload: &[u8]) -> Output<'_> {
        let to = "192.0.2.1:9".parse().unwrap();
        Output {
            answers: Default::default(),
            payload,
            to,
            from: None,
            at_ns,
            segment: 0,
            ecn: 0,
            proved: false,
            df: false,
            answers_group: false,
            asked_with: 0,
            hop_limit: 0,
        }
    }

    /// How many of `n` datagrams of `bytes` the store takes at `now_ns`; they are due in a minute.
    fn taken(delayed: &mut Delayed, listener: Token, n: usize, bytes: usize, now_ns: u64) -> usize {
        let payload = vec![7; bytes];
        (0..n).filter(|_| delayed.push(listener, &output(now_ns + 60 * SECOND, &payload), now_ns)).count()
    }

    fn held(delayed: &Delayed, listener: Token) -> usize {
        delayed.queues.get(&listener).map_or(0, |queue| queue.datagrams.len())
    }

    fn evicted(delayed: &mut Delayed) -> Vec<(Token, u64)> {
        std::iter::from_fn(|| delayed.pop_evicted()).collect()
    }

    #[test]
    fn datagrams_leave_in_order_of_their_moment_then_of_arrival() {
        let mut delayed = Delayed::new(9, 9);
        for (at, payload) in [(20, b"c"), (10, b"a"), (10, b"b")] {
            assert!(delayed.push(L, &output(at, payload), 1));
        }
        assert_eq!(delayed.pop_due(9, None).map(|_| ()), None);
        let order: Vec<_> =
            std::iter::from_fn(|| delayed.pop_due(20, Some(L))).map(|(_, o)| o.payload).collect();
        assert_eq!(order, [b"a", b"b", b"c"]);
        assert_eq!((delayed.bytes, delayed.datagrams, delayed.next()), (0, 0, None));
    }

    #[test]
    fn the_datagrams_of_several_listeners_are_one_order() {
        let mut delayed = Delayed::new(99, 99);
        for (listener, at, payload) in
            [(L, 30, b"d"), (M, 10, b"a"), (M, 30, b"e"), (L, 20, b"c"), (M, 20, b"b")]
        {
            assert!(delayed.push(listener, &output(at, payload), 1));
        }
        assert!(delayed.pop_due(10, Some(L)).is_none(), "the next one is of another");
        let order: Vec<_> =
            std::iter::from_fn(|| delayed.pop_due(40, None)).map(|(t, o)| (t, o.payload)).collect();
        let expected: Vec<_> =
            [(M, b"a"), (L, b"c"), (M, b"b"), (L, b"d"), (M, b"e")].map(|(t, p)| (t, p.to_vec())).into();
        assert_eq!(order, expected);
    }

    #[test]
    fn those_of_one_listener_go_and_give_their_bytes_back() {
        let mut delayed = Delayed::new(99, 99);
        for (listener, payload) in [(L, b"one"), (M, b"two"), (L, b"six")] {
            assert!(delayed.push(listener, &output(9, payload), 1));
        }
        assert_eq!((delayed.remove(L), delayed.remove(L), delayed.bytes), (2, 0, 3));
        assert_eq!(
            delayed.pop_due(9, None).map(|(token, owned)| (token, owned.payload)),
            Some((M, b"two".to_vec()))
        );
        assert!(delayed.weights.is_empty());
    }

    #[test]
    fn both_limits_hold() {
        let mut delayed = Delayed::new(2, 8);
        assert!(delayed.push(L, &output(1, b"four"), 1));
        assert!(!delayed.push(L, &output(1, b"five."), 1));
        assert!(delayed.push(L, &output(1, b"four"), 1));
        assert!(!delayed.push(L, &output(1, b""), 1));
        delayed.clear();
        assert!(delayed.push(L, &output(1, b"eight---"), 1));
        assert!(!Delayed::new(0, 8).push(L, &output(1, b""), 1));
        assert!(!Delayed::new(8, 0).push(L, &output(1, b"a"), 1));
    }

    #[test]
    fn a_listener_alone_may_fill_the_store() {
        let mut delayed = Delayed::new(1000, 1 << 20);
        assert_eq!(taken(&mut delayed, L, 2000, 10, 1), 1000);
        assert_eq!(evicted(&mut delayed), []);
    }

    #[test]
    fn while_others_are_active_a_quarter_is_the_most() {
        for (datagrams, bytes) in [(1000, 1 << 30), (1 << 20, 1000 * 10)] {
            let mut delayed = Delayed::new(datagrams, bytes);
            assert_eq!(taken(&mut delayed, M, 1, 10, 1), 1);
            assert_eq!(taken(&mut delayed, L, 2000, 10, 1), 250);
            assert_eq!(taken(&mut delayed, M, 2000, 10, 1), 249);
            assert_eq!((held(&delayed, L), evicted(&mut delayed)), (250, vec![]));
        }
    }

    #[test]
    fn a_listener_is_active_for_a_second_after_its_last_wish() {
        let mut delayed = Delayed::new(1000, 1 << 20);
        assert!(delayed.push(M, &output(2, b"soon"), 1));
        assert!(delayed.pop_due(2, None).is_some());
        assert_eq!(taken(&mut delayed, L, 2000, 10, SECOND), 250);
        assert_eq!(taken(&mut delayed, L, 2000, 10, SECOND + 1), 750);
    }

    #[test]
    fn a_listener_that_is_gone_is_not_active() {
        let mut delayed = Delayed::new(1000, 1 << 20);
        taken(&mut delayed, M, 1, 10, 1);
        delayed.remove(M);
        assert_eq!(taken(&mut delayed, L, 2000, 10, 1), 1000);
    }

    #[test]
    fn who_filled_the_store_gives_way_and_loses_what_is_due_last() {
        for (datagrams, bytes) in [(1000, 1 << 30), (1 << 20, 1000 * 10)] {
            let mut delayed = Delayed::new(datagrams, bytes);
            assert!(delayed.push(L, &output(5, &[0; 10]), 1));
            assert_eq!(taken(&mut delayed, L, 2000, 10, 1), 999);
            assert_eq!(taken(&mut delayed, M, 2000, 10, 1), 250);
            assert_eq!(evicted(&mut delayed), [(L, 250)]);
            assert_eq!((held(&delayed, L), held(&delayed, M)), (750, 250));
            assert_eq!(delayed.next(), Some(5));
            assert!(delayed.datagrams <= datagrams && delayed.bytes <= bytes);
        }
    }

    /// More listeners than there are quarters: each finds room for half of an equal part at least.
    #[test]
    fn twenty_floods_one_after_the_other_leave_room_for_each() {
        let mut delayed = Delayed::new(10_000, 1 << 30);
        let all = (0..20).map(|index| Token { index, generation: 1 });
        for listener in all.clone() {
            taken(&mut delayed, listener, 20_000, 10, 1);
        }
        for listener in all {
            assert!(
                held(&delayed, listener) >= 10_000 / 20 / 2,
                "{listener:?}: {}",
                held(&delayed, listener)
            );
        }
        assert_eq!(delayed.datagrams, 10_000);
    }

    /// A datagram as large as the share of its listener is not refused for ever.
    #[test]
    fn one_datagram_is_within_any_share() {
        let mut delayed = Delayed::new(100, 100);
        taken(&mut delayed, M, 1, 10, 1);
        assert_eq!(taken(&mut delayed, L, 2, 60, 1), 1);
    }

    #[test]
    fn buffers_are_used_again_but_neither_many_nor_large_ones_are_kept() {
        let owned = |capacity| OwnedOutput {
            to: "192.0.2.1:9".parse().unwrap(),
            from: None,
            ecn: 0,
            hop_limit: 0,
            df: false,
            payload: Vec::with_capacity(capacity),
        };
        let mut delayed = Delayed::new(9, 9);
        delayed.recycle(owned(SPARE_BYTES + 1));
        assert!(delayed.spare.is_empty());
        delayed.recycle(owned(SPARE_BYTES));
        assert!(delayed.push(L, &output(1, b"a"), 1));
        let (_, used) = delayed.pop_due(1, None).unwrap();
        assert_eq!((used.payload.capacity(), delayed.spare.len()), (SPARE_BYTES, 0));
        (0..2 * SPARE_BUFFERS).for_each(|_| delayed.recycle(owned(1)));
        assert_eq!(delayed.spare.len(), SPARE_BUFFERS);
    }
}
