//! How a listener receives: one datagram a call, or a batch. A batch call for one datagram costs more than a single
//! receive, and a single receive for each of many datagrams costs more than a batch.

use crate::exchange::Arrived;

/// Most messages a visit asks for in one batch.
const BATCH: usize = 64;
/// Batches in a row that bring at most one message, after which a listener receives singly.
const SPARSE_BATCHES: u8 = 2;
/// Single receives before the next batch, doubled with each batch that was not worth it. The extra cost of a batch is
/// spread over so many datagrams, and a burst waits for so many turns at most.
const FIRST_SINGLE_RECEIVES: u8 = 8;
/// Most single receives before the next batch.
const MOST_SINGLE_RECEIVES: u8 = 64;
/// Second looks in a row that find nothing, after which second looks become rare. A look costs a third of the wait that
/// it saves.
const FRUITLESS_LOOKS: u8 = 2;
/// Batches between two such rare looks.
const LOOK_EVERY: u8 = 32;
/// Equal datagrams of one peer in one batch for which trains are worth it.
const BULK: usize = 16;

/// What a listener has learnt from its last receives.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// Batches in a row that brought at most one message.
    sparse_batches: u8,
    /// Single receives until the next batch.
    single_receives: u8,
    /// Single receives between the last two batches.
    last_single_receives: u8,
    /// Bytes of the largest message of the last batch.
    message_bytes: u32,
    /// The kernel has been asked to join datagrams into trains.
    trains: bool,
    /// Second looks in a row that found nothing.
    fruitless: u8,
    /// Batches since the last second look.
    unlooked: u8,
}

/// What follows from a receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Nothing new.
    GoOn,
    /// One peer sends in bulk: let the kernel join its datagrams. Given once.
    JoinTrains,
}

impl Pace {
    /// How many messages to ask for when the visit may take so many more `bytes`. All messages of a call are taken, and
    /// a train is long, so the largest message of the last batch bounds the number.
    #[inline]
    pub(crate) fn next(self, bytes: usize) -> usize {
        if self.single_receives > 0 {
            1
        } else {
            bytes.div_ceil((self.message_bytes as usize).max(1)).clamp(1, BATCH)
        }
    }

    /// Learns from a receive call that asked for `asked` messages.
    #[inline]
    pub(crate) fn learn(&mut self, asked: usize, messages: &[Arrived]) -> Advice {
        if asked == 1 {
            self.single_receives = self.single_receives.saturating_sub(1);
            return Advice::GoOn;
        }
        if messages.len() <= 1 && messages.iter().all(|m| m.segment == 0) {
            self.sparse_batches = (self.sparse_batches + 1).min(SPARSE_BATCHES);
            if self.sparse_batches == SPARSE_BATCHES {
                let doubled = self.last_single_receives.saturating_mul(2);
                self.last_single_receives = doubled.clamp(FIRST_SINGLE_RECEIVES, MOST_SINGLE_RECEIVES);
                self.single_receives = self.last_single_receives;
            }
            return Advice::GoOn;
        }
        self.sparse_batches = 0;
        self.last_single_receives = 0;
        let longest = messages.iter().map(|m| m.len).max().unwrap_or(0);
        self.message_bytes = u32::try_from(longest).unwrap_or(u32::MAX);
        if !self.trains && is_bulk(messages) {
            self.trains = true;
            return Advice::JoinTrains;
        }
        Advice::GoOn
    }
}

impl Pace {
    /// Whether the visit receives once more after `messages` that emptied the queue. If more have arrived by then, that
    /// saves a wait. After a single message none is expected to follow so soon.
    #[inline]
    pub(crate) fn looks_again(&mut self, messages: usize) -> bool {
        if messages < 2 {
            return false;
        }
        self.unlooked = self.unlooked.saturating_add(1);
        let looks = self.fruitless < FRUITLESS_LOOKS || self.unlooked >= LOOK_EVERY;
        if looks {
            self.unlooked = 0;
        }
        looks
    }

    /// Notes whether the second look found something.
    #[inline]
    pub(crate) fn looked(&mut self, found: bool) {
        self.fruitless = if found { 0 } else { (self.fruitless + 1).min(FRUITLESS_LOOKS) };
    }
}

/// Whether the messages are equal datagrams of one peer in a row. Only the first two and the last two are compared.
#[inline]
pub(crate) fn is_stream(messages: &[Arrived]) -> bool {
    let alike = |a: &Arrived, b: &Arrived| (a.segment, a.len, a.peer) == (0, b.len, b.peer);
    match messages {
        [a, b] => alike(a, b),
        [a, b, .., y, z] => alike(a, b) && alike(y, z),
        [a, b, c] => alike(a, b) && alike(b, c),
        _ => false,
    }
}

/// Whether the batch begins with [`BULK`] equal datagrams of one peer.
fn is_bulk(messages: &[Arrived]) -> bool {
    let Some((first, rest)) = messages.split_first() else { return false };
    rest.len() + 1 >= BULK && rest.iter().take(BULK - 1).all(|m| m.peer == first.peer && m.len == first.len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::ArrivalFlags;

    fn message(port: u16) -> Arrived {
        Arrived {
            offset: 0,
            len: 9,
            cap: 9,
            segment: 0,
            peer: ([192, 0, 2, 1], port).into(),
            destination: None,
            reply_from: None,
            ifindex: 0,
            tos: 0,
            hop_limit: 0,
            session: 0,
            flags: ArrivalFlags::default(),
        }
    }

    #[test]
    fn a_sparse_listener_receives_singly_and_tries_a_batch_now_and_then() {
        let mut pace = Pace::default();
        let mut asked = Vec::new();
        for _ in 0..200 {
            asked.push(pace.next(9999));
            pace.learn(pace.next(9999), &[message(1)]);
        }
        // There are two batches in the beginning, and one after 8, 16, 32, 64 and 64 single receives.
        assert_eq!(asked.iter().filter(|n| **n == BATCH).count(), 2 + 5);
        assert_eq!(asked[..3], [BATCH, BATCH, 1]);
    }

    #[test]
    fn a_batch_that_is_worth_it_ends_single_receives() {
        let mut pace = Pace { sparse_batches: SPARSE_BATCHES, ..Pace::default() };
        pace.learn(BATCH, &[message(1), message(2)]);
        assert_eq!((pace.next(9999), pace.sparse_batches), (BATCH, 0));
    }

    #[test]
    fn long_messages_are_asked_for_as_far_as_the_bytes_of_the_visit_go() {
        let mut pace = Pace::default();
        pace.learn(BATCH, &[Arrived { len: 4000, ..message(1) }, message(1)]);
        assert_eq!([1, 4000, 4001, 1 << 20].map(|bytes| pace.next(bytes)), [1, 1, 2, BATCH]);
    }

    #[test]
    fn a_second_look_is_rare_where_it_finds_nothing_and_usual_where_it_does() {
        let looks = |pace: &mut Pace, found: bool| {
            let looked = (0..320).filter(|_| {
                let looks = pace.looks_again(BATCH);
                if looks {
                    pace.looked(found);
                }
                looks
            });
            looked.count()
        };
        let mut pace = Pace::default();
        assert_eq!(looks(&mut pace, false), 2 + (320 - 2) / usize::from(LOOK_EVERY));
        assert!(looks(&mut pace, true) >= 320 - usize::from(LOOK_EVERY));
        assert!((0..99).all(|_| !pace.looks_again(1)), "nothing follows a message alone");
    }

    #[test]
    fn a_stream_is_equal_datagrams_of_one_peer_in_a_row() {
        let of = |ports: &[u16]| ports.iter().map(|port| message(*port)).collect::<Vec<_>>();
        for ports in [&[1, 1][..], &[1, 1, 1], &[1, 1, 2, 2], &[1, 1, 2, 3, 3]] {
            assert!(is_stream(&of(ports)), "{ports:?}");
        }
        for ports in [&[][..], &[1], &[1, 2], &[1, 1, 2], &[1, 2, 1, 2], &[1, 1, 2, 3]] {
            assert!(!is_stream(&of(ports)), "{ports:?}");
        }
        assert!(!is_stream(&[message(1), Arrived { len: 8, ..message(1) }]));
        assert!(!is_stream(&[Arrived { segment: 3, ..message(1) }; 2]), "trains are joined already");
    }

    #[test]
    fn trains_are_asked_for_once_and_only_for_bulk_of_one_peer() {
        let mut pace = Pace::default();
        let mixed: Vec<_> = (0..64).map(|i| message(1 + i % 2)).collect();
        assert_eq!(pace.learn(BATCH, &mixed), Advice::GoOn);
        assert_eq!(pace.learn(BATCH, &[message(1); BULK - 1]), Advice::GoOn);
        assert_eq!(pace.learn(BATCH, &[message(1); BULK]), Advice::JoinTrains);
        assert_eq!(pace.learn(BATCH, &[message(1); BULK]), Advice::GoOn);
    }
}
