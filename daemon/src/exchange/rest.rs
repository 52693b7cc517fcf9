//! What a handler that broke has not seen, in the host's own memory until there is another handler.

use super::{Arrived, Exchange};

/// A message that no handler has seen, or the end of a train that one has seen in part.
#[derive(Clone, Debug)]
pub struct Unseen {
    /// How it arrived. Where its bytes lay means nothing any more.
    arrived: Arrived,
    /// Its bytes.
    payload: Vec<u8>,
    /// When the kernel received it, ns since 1970, 0 if it does not tell; none if the socket was not asked to.
    stamp: Option<u64>,
}

impl Unseen {
    /// Its datagrams.
    #[must_use]
    pub fn datagrams(&self) -> usize {
        self.arrived.datagrams()
    }

    /// Its payload, bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.payload.len()
    }
}

impl Exchange {
    /// The messages behind a number of presented datagrams: the rest of those that are presented, and those that were pushed and
    /// have not been presented yet.
    pub fn behind(&self, presented: usize) -> impl Iterator<Item = Unseen> {
        let (first, place) = self.received.place_behind(presented);
        let stamps = &self.received.stamps;
        let messages = self.received.messages.iter().enumerate().skip(first);
        messages.map(move |(number, message)| {
            let begin = if number == first { message.piece(place).0 - message.offset } else { 0 };
            let arrived = Arrived { len: message.len - begin, ..*message };
            // What is left of a train may be a single datagram.
            let segment = if arrived.segment < arrived.len { arrived.segment } else { 0 };
            Unseen {
                payload: self.received.ring.slice(message.offset + begin, arrived.len).to_vec(),
                arrived: Arrived { segment, ..arrived },
                stamp: stamps.get(number).copied(),
            }
        })
    }

    /// Pushes messages that were [`behind`](Self::behind) others, after [`clear`](Self::clear). Returns how many datagrams
    /// they are; those that find no room are left out.
    pub fn push_unseen(&mut self, unseen: &[Unseen]) -> usize {
        let stride = self.limits().stride;
        let mut datagrams = 0;
        for (slot, Unseen { arrived, payload, stamp }) in unseen.iter().take(self.limits().slots).enumerate()
        {
            let offset = slot * stride;
            let Some(free) = self.ring_mut().get_mut(offset..offset + payload.len()) else { break };
            free.copy_from_slice(payload);
            if self.push(Arrived { offset, cap: payload.len(), ..*arrived }) {
                datagrams += arrived.datagrams();
                stamp.iter().for_each(|unix_ns| self.push_stamp(*unix_ns));
            }
        }
        datagrams
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::ExchangeLimits;
    use crate::exchange::tests::arrived;

    const LIMITS: ExchangeLimits = ExchangeLimits {
        slots: 4,
        slot_len: 64,
        stride: 80,
        rx: 8,
        present: 8,
        tx: 8,
        tx_total: 8,
        arena: 64,
        arena_chunks: 1,
        tickets: 8,
    };

    /// A train of "ab", "cd", "e", then "f", then "gh", of which so many datagrams are presented in one call.
    fn filled(present: usize) -> Exchange {
        let mut e = Exchange::new(ExchangeLimits { present, ..LIMITS });
        e.clear(5, "198.51.100.1:7".parse().unwrap());
        for (slot, (bytes, segment)) in [("abcde", 2), ("f", 0), ("gh", 0)].into_iter().enumerate() {
            e.ring_mut()[slot * 80..][..bytes.len()].copy_from_slice(bytes.as_bytes());
            assert!(e.push(Arrived { segment, cap: 64, ..arrived(slot * 80, bytes.len()) }));
        }
        e.present();
        e
    }

    /// The datagrams that another exchange presents of what is behind `presented` others.
    fn again(e: &Exchange, presented: usize) -> Vec<String> {
        let unseen: Vec<_> = e.behind(presented).collect();
        let mut other = Exchange::new(LIMITS);
        other.ring_mut().fill(b'?');
        other.clear(9, "198.51.100.1:7".parse().unwrap());
        let pushed = other.push_unseen(&unseen);
        assert_eq!((pushed, other.present()), (unseen.iter().map(Unseen::datagrams).sum(), pushed));
        assert!(unseen.iter().all(|unseen| unseen.bytes() > 0));
        (0..pushed).map(|rx| String::from_utf8(other.payload(rx).to_vec()).unwrap()).collect()
    }

    #[test]
    fn what_is_behind_a_datagram_comes_again_as_it_came() {
        let all = ["ab", "cd", "e", "f", "gh"];
        // Whether the last two messages are presented in the same call or not.
        for present in [3, 8] {
            let e = filled(present);
            for seen in 0..=e.datagrams() {
                assert_eq!(again(&e, seen), all[seen..], "behind {seen}, {present} presented");
            }
        }
    }

    #[test]
    fn the_time_of_the_kernel_goes_with_its_message() {
        let mut e = filled(8);
        e.received.stamps = vec![11, 22, 33];
        let stamps = |seen| e.behind(seen).map(|unseen| unseen.stamp).collect::<Vec<_>>();
        assert_eq!(stamps(1), [Some(11), Some(22), Some(33)]);
        assert_eq!(stamps(4), [Some(33)]);
    }

    #[test]
    fn who_was_alone_is_known_and_nobody_else_without_a_word() {
        let mut e = filled(8);
        assert_eq!(e.handled_last(), None);
        e.note_handling(2);
        assert_eq!(e.handled_last(), Some(1));
        e.note_handling(6);
        assert_eq!(e.handled_last(), None, "there is no such datagram");
        let mut alone = Exchange::new(LIMITS);
        assert!(alone.push(arrived(0, 1)));
        alone.present();
        alone.note_handling(9);
        assert_eq!(alone.handled_last(), Some(0));
    }
}
