//! Who sent how much: a table of bounded size.

use std::cmp::Reverse;
use std::fmt;
use std::net::SocketAddr;

use polyport_plugin::{Recent, Reservation};

/// Most senders remembered, if the host grants as many. One takes less than [`SENDER_BYTES`], so a flood from forged
/// addresses costs 11 MB at most.
pub const MAX_SENDERS: usize = 65_536;

/// What a sender costs at worst, bytes: its entry, and its part of an index that is just being doubled.
pub const SENDER_BYTES: usize = 168;

/// Senders named in a report: what a person takes in at a glance, and fits a line of the log.
const BUSIEST: usize = 10;

/// Counts by sender, which is an address and port. When it is full, the sender that has been silent for longest
/// is forgotten.
///
/// A report looks at no more than the busiest, which are known at any time: with 65,536 senders, looking at all of them
/// would hold up every other listener for milliseconds.
#[derive(Debug)]
pub struct Senders {
    table: Recent<SocketAddr, Sum>,
    /// The busiest, in no order. The place of one that was forgotten goes to the sender that took its memory, until one is
    /// heard that has more.
    busiest: Vec<SocketAddr>,
    /// Datagrams of the least of the busiest when it was looked for last; 0 while there is room among them.
    floor: u64,
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
        Self::new(Reservation::default())
    }
}

impl Senders {
    /// Room for [`MAX_SENDERS`], as far as the reservation grows. Allocates as they come.
    #[must_use]
    pub fn new(reservation: Reservation) -> Self {
        Self::with_limit(MAX_SENDERS, reservation)
    }

    /// Room for `limit` senders, at least 1, as far as the reservation grows.
    #[must_use]
    pub fn with_limit(limit: usize, reservation: Reservation) -> Self {
        let table = Recent::with_limit(limit, SENDER_BYTES, reservation);
        Self { table, busiest: Vec::new(), floor: 0, total: Sum::default(), news: false }
    }

    /// Counts a datagram of `len` bytes. True: another sender was forgotten to make room.
    pub fn count(&mut self, sender: SocketAddr, len: usize) -> bool {
        self.news = true;
        self.total.add(len);
        let mut forgot = false;
        let datagrams = if let Some(sum) = self.table.get_mut(&sender) {
            sum.add(len);
            sum.datagrams
        } else {
            let mut sum = Sum::default();
            sum.add(len);
            if let Some((silent, _)) = self.table.push(sender, sum) {
                self.forget(silent);
                forgot = true;
            }
            sum.datagrams
        };
        if datagrams > self.floor {
            self.rank(sender, datagrams);
        }
        forgot
    }

    /// A sender was forgotten: if it was one of the busiest, it has nothing now, and gives its place to the next.
    fn forget(&mut self, silent: SocketAddr) {
        if self.busiest.contains(&silent) {
            self.floor = 0;
        }
    }

    /// Puts a sender that has more datagrams than the floor among the busiest, if it belongs there.
    fn rank(&mut self, sender: SocketAddr, datagrams: u64) {
        if self.busiest.contains(&sender) {
            return;
        }
        if self.busiest.len() < BUSIEST {
            self.busiest.push(sender);
            return;
        }
        let counted = self.busiest.iter().map(|sender| self.get(*sender).unwrap_or_default().datagrams);
        let Some((at, least)) = counted.enumerate().min_by_key(|(_, datagrams)| *datagrams) else { return };
        self.floor = least;
        if datagrams > least
            && let Some(place) = self.busiest.get_mut(at)
        {
            *place = sender;
        }
    }

    /// Senders remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Nobody was heard yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
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

    /// The busiest first; of equals, the lower address.
    fn busiest(&self) -> Vec<(SocketAddr, Sum)> {
        let mut best: Vec<(SocketAddr, Sum)> =
            self.busiest.iter().map(|sender| (*sender, self.get(*sender).unwrap_or_default())).collect();
        best.sort_unstable_by_key(|(sender, sum)| (Reverse(sum.datagrams), *sender));
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
    use polyport_counting_alloc::{CountingAlloc, live_bytes};

    use super::*;

    #[global_allocator]
    static ALLOCATOR: CountingAlloc = CountingAlloc;

    fn sender(number: u16) -> SocketAddr {
        SocketAddr::new([192, 0, 2, 1].into(), number)
    }

    #[test]
    fn the_silent_one_is_forgotten() {
        let mut senders = Senders::with_limit(2, Reservation::default());
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

    /// Whatever order they come in, the ten are those that counting all of them would give.
    #[test]
    fn the_busiest_are_those_of_a_whole_count() {
        let mut random = polyport_plugin::Rng::new(3);
        for senders in [5, 11, 300_u64] {
            let mut table = Senders::default();
            for _ in 0..20_000 {
                // The product of two makes some much busier than others.
                let number = random.next_u64() % senders * (random.next_u64() % senders) / senders;
                table.count(sender(u16::try_from(number).unwrap()), 1);
            }
            let mut all: Vec<u64> = table.table.iter().map(|(_, sum)| sum.datagrams).collect();
            all.sort_unstable_by_key(|datagrams| Reverse(*datagrams));
            all.truncate(BUSIEST);
            let busiest: Vec<u64> = table.busiest().iter().map(|(_, sum)| sum.datagrams).collect();
            assert_eq!(busiest, all, "{senders} senders");
        }
    }

    /// A report of a full table looks at ten senders: they are all that it names, and all that it holds.
    #[test]
    fn a_report_does_not_look_at_all_senders() {
        let mut senders = Senders::default();
        for number in 0..3 * MAX_SENDERS as u64 {
            let [_, _, _, _, _, a, b, c] = number.to_be_bytes();
            senders.count(SocketAddr::new([10, a, b, c].into(), 7), 1);
        }
        assert_eq!(senders.len(), MAX_SENDERS);
        assert!(senders.busiest.len() <= BUSIEST && senders.busiest.capacity() <= 2 * BUSIEST);
        assert!(
            senders.busiest.iter().all(|sender| senders.get(*sender).is_some()),
            "the forgotten are not named"
        );
    }

    #[test]
    fn a_sender_costs_no_more_than_the_host_was_told() {
        let (before, mut senders) = (live_bytes(), Senders::default());
        let mut dearest = 0;
        for number in 0..70_000_u32 {
            let [_, a, b, c] = number.to_be_bytes();
            senders.count(SocketAddr::new([10, a, b, c].into(), 7), 1);
            let each = usize::try_from(live_bytes() - before).unwrap() / senders.len();
            // The first few are free, and so is the list of the busiest.
            dearest = dearest.max(if number < 100 { 0 } else { each });
        }
        // Between half of it, and all of it with what `malloc` adds.
        assert!((SENDER_BYTES / 2..=SENDER_BYTES - 16).contains(&dearest), "{dearest} bytes");
    }

    #[test]
    fn a_place_among_the_busiest_is_filled_again() {
        let mut senders = Senders::with_limit(BUSIEST, Reservation::default());
        for number in 1..=u16::try_from(BUSIEST).unwrap() {
            (0..5).for_each(|_| assert!(!senders.count(sender(number), 1)));
        }
        assert!(senders.count(sender(99), 1), "one had to go");
        assert_eq!(senders.busiest().len(), BUSIEST);
        assert_eq!(senders.busiest().last().map(|(one, _)| *one), Some(sender(99)));
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
