//! Who sent how much: a table of bounded size.

use std::fmt;
use std::hash::RandomState;
use std::net::SocketAddr;

use lru::LruCache;

/// Most senders remembered. One takes less than 200 bytes, so a flood from forged addresses costs 13 MB at most.
pub const MAX_SENDERS: usize = 65_536;

/// Senders named in a report: what a person takes in at a glance, and fits a line of the log.
const BUSIEST: usize = 10;

/// Counts by sender, which is an address and port. When it is full, the sender that has been silent for longest
/// is forgotten.
#[derive(Debug)]
pub struct Senders {
    /// The hasher is keyed at random, so nobody can choose addresses that collide.
    table: LruCache<SocketAddr, Sum, RandomState>,
    limit: usize,
    total: Sum,
    /// Since the last report.
    news: bool,
}

/// Datagrams and the bytes in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Datagrams.
    pub datagrams: u64,
    /// Bytes of payload.
    pub bytes: u64,
}

impl Sum {
    fn add(&mut self, len: usize) {
        self.datagrams = self.datagrams.saturating_add(1);
        self.bytes = self.bytes.saturating_add(len as u64);
    }
}

impl Default for Senders {
    fn default() -> Self {
        Self::with_limit(MAX_SENDERS)
    }
}

impl Senders {
    /// Room for `limit` senders, at least 1. Allocates as they come.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        let table = LruCache::unbounded_with_hasher(RandomState::new());
        Self { table, limit: limit.max(1), total: Sum::default(), news: false }
    }

    /// Counts a datagram of `len` bytes. True: another sender was forgotten to make room.
    pub fn count(&mut self, sender: SocketAddr, len: usize) -> bool {
        self.news = true;
        self.total.add(len);
        self.table.get_or_insert_mut(sender, Sum::default).add(len);
        self.table.len() > self.limit && self.table.pop_lru().is_some()
    }

    /// Senders remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Nobody was heard yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// What is known of a sender.
    #[must_use]
    pub fn get(&self, sender: SocketAddr) -> Option<Sum> {
        self.table.peek(&sender).copied()
    }

    /// A summary, if something came since the last one.
    pub fn report(&mut self) -> Option<Summary<'_>> {
        std::mem::take(&mut self.news).then_some(Summary(self))
    }

    /// A summary of all that came.
    #[must_use]
    pub fn summary(&self) -> Summary<'_> {
        Summary(self)
    }

    /// The busiest first; of equals, the one heard last.
    fn busiest(&self) -> Vec<(SocketAddr, Sum)> {
        let mut best: Vec<(SocketAddr, Sum)> = Vec::with_capacity(BUSIEST + 1);
        for (sender, sum) in &self.table {
            let at = best.partition_point(|(_, other)| other.datagrams >= sum.datagrams);
            if at < BUSIEST {
                best.insert(at, (*sender, *sum));
                best.truncate(BUSIEST);
            }
        }
        best
    }
}

/// One line: totals and the busiest senders.
#[derive(Debug)]
pub struct Summary<'a>(&'a Senders);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sum { datagrams, bytes } = self.0.total;
        let count =
            |number: u64, noun: &str| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
        let senders = u64::try_from(self.0.len()).unwrap_or(u64::MAX);
        let heard = [count(datagrams, "datagram"), count(bytes, "byte"), count(senders, "sender")];
        let [datagrams, bytes, senders] = heard;
        write!(f, "heard {datagrams} with {bytes} from {senders}")?;
        for (index, (sender, sum)) in self.0.busiest().into_iter().enumerate() {
            let before = if index == 0 { ": " } else { ", " };
            let (datagrams, bytes) = (count(sum.datagrams, "datagram"), count(sum.bytes, "byte"));
            write!(f, "{before}{sender} {datagrams} {bytes}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(number: u16) -> SocketAddr {
        SocketAddr::new([192, 0, 2, 1].into(), number)
    }

    #[test]
    fn the_silent_one_is_forgotten() {
        let mut senders = Senders::with_limit(2);
        assert!(
            !senders.count(sender(1), 10) && !senders.count(sender(2), 0) && !senders.count(sender(1), 5)
        );
        assert!(senders.count(sender(3), 1), "the table is full");
        assert_eq!((senders.len(), senders.get(sender(2))), (2, None));
        assert_eq!(senders.get(sender(1)), Some(Sum { datagrams: 2, bytes: 15 }));
    }

    #[test]
    fn the_busiest_come_first_and_not_more_than_ten() {
        let mut senders = Senders::default();
        for number in 1..=20_u16 {
            for _ in 0..number {
                senders.count(sender(number), 2);
            }
        }
        let text = senders.summary().to_string();
        let start = "heard 210 datagrams with 420 bytes from 20 senders: 192.0.2.1:20 20 datagrams 40 bytes, \
                     192.0.2.1:19 19 datagrams 38 bytes, ";
        assert!(text.starts_with(start) && text.ends_with(", 192.0.2.1:11 11 datagrams 22 bytes"), "{text}");
    }

    #[test]
    fn a_report_says_only_what_is_new() {
        let mut senders = Senders::default();
        assert!(senders.report().is_none());
        senders.count(sender(1), 3);
        let text = senders.report().map(|summary| summary.to_string());
        assert_eq!(
            text.unwrap(),
            "heard 1 datagram with 3 bytes from 1 sender: 192.0.2.1:1 1 datagram 3 bytes"
        );
        assert!(senders.report().is_none());
    }
}
