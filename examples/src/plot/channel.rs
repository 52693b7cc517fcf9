//! A channel that all clients share: then a log has one row of numbers a direction, and not one a client.
//!
//! The log does not say which it is. But numbers of one row only rise, whosever datagram comes; those of several rows soon do
//! not: each begins at 0.

use super::passage::Unseen;
use super::span::Offset;

/// So often must it be another client's turn without a number that is not higher: two clients who share nothing and come by
/// turns would have to keep each ahead of the other.
const TURNS: u32 = 8;

/// One direction.
#[derive(Clone, Debug)]
pub struct Channel {
    rises: bool,
    turns: u32,
    client: Option<u32>,
    number: Option<u64>,
    /// The last one of those that are drawn.
    drawn: Option<(u64, Offset)>,
}

impl Default for Channel {
    fn default() -> Self {
        Self { rises: true, turns: 0, client: None, number: None, drawn: None }
    }
}

impl Channel {
    /// Sees the next datagram of the log, whether it is drawn or not.
    pub fn see(&mut self, client: Option<u32>, number: u64) {
        self.rises &= self.number.is_none_or(|last| last < number);
        self.number = Some(number);
        self.turns = self.turns.saturating_add(u32::from(self.client.is_some() && self.client != client));
        self.client = client;
    }

    /// Takes the next one that is drawn: how many there were between, if the channel is shared.
    pub fn take(&mut self, number: u64, at: Offset) -> Unseen {
        match self.drawn.replace((number, at)) {
            Some((last, since)) => {
                Unseen { count: number.saturating_sub(last).saturating_sub(1), since: since.min(at) }
            }
            None => Unseen { count: number, since: at },
        }
    }

    /// Whether the clients share it, by all that was seen.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        self.rises && self.turns >= TURNS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(numbers: &[(u32, u64)]) -> bool {
        let mut channel = Channel::default();
        numbers.iter().for_each(|(client, number)| channel.see(Some(*client), *number));
        channel.is_shared()
    }

    #[test]
    fn one_row_of_numbers_is_told_from_several() {
        let one_row: Vec<_> = (0..40_u32).map(|n| (n % 2, u64::from(n) * 3)).collect();
        let of_each: Vec<_> = (0..40_u32).map(|n| (n % 2, u64::from(n / 2) * 3)).collect();
        assert!(shared(&one_row) && !shared(&of_each));
        assert!(
            !shared(&one_row.iter().map(|(_, n)| (7, *n)).collect::<Vec<_>>()),
            "one client shares with nobody"
        );
        assert!(!shared(&[(1, 0), (1, 9), (2, 12), (2, 30)]), "one after the other may be chance");
    }

    #[test]
    fn numbers_between_those_that_are_drawn_count() {
        let mut channel = Channel::default();
        let taken = [(4, 10), (5, 20), (9, 30), (2, 40)].map(|(number, at)| channel.take(number, at));
        let expected = [(4, 10), (0, 10), (3, 20), (0, 30)];
        assert_eq!(taken, expected.map(|(count, since)| Unseen { count, since }));
    }
}
