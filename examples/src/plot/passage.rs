//! How many datagrams passed. A log has only those that something happened to; their numbers tell how many were between.

use std::collections::{BTreeSet, HashMap};

use super::decision::Direction;
use super::span::Offset;

/// Lines whose numbers are followed: some 10 MB of memory. A line is one client in one direction, or one session of a client.
pub const MAX_LINES: usize = 131_072;

/// Datagrams that went by unseen before one that the log has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// How many.
    pub count: u64,
    /// Not before this; if nobody knows since when, the moment of the datagram itself.
    pub since: Offset,
}

/// The last datagrams of the lines that go by one name in one direction: their numbers, and when they came.
///
/// A log may call several clients by one name: those behind one address, or one that comes back. Each has numbers of its own,
/// from 0. A number goes on with the line whose last one is the nearest below it, and begins another where there is none. Whoever
/// is taken for whom so, the sum stays: it is that of the last numbers.
#[derive(Debug, Default)]
struct Lines {
    /// With a number of the line itself, since two of them may have come equally far.
    last: BTreeSet<(u64, Offset, usize)>,
    /// When the latest of them began.
    begun: Option<Offset>,
}

/// The numbers of all clients.
#[derive(Debug, Default)]
pub struct Passage {
    clients: HashMap<u32, [Lines; Direction::ALL.len()]>,
    lines: usize,
}

impl Passage {
    /// Takes the next datagram of a client; `None` if there are too many lines to follow this one.
    pub fn take(&mut self, client: u32, direction: Direction, number: u64, at: Offset) -> Option<Unseen> {
        let all = self.clients.entry(client).or_default();
        let lines = &mut all[direction.index()];
        let nearest = lines.last.range(..(number, Offset::MIN, 0)).next_back().copied();
        if let Some((last, since, line)) = nearest {
            lines.last.remove(&(last, since, line));
            lines.last.insert((number, at, line));
            return Some(Unseen { count: number - last - 1, since: since.min(at) });
        }
        if self.lines == MAX_LINES {
            return None;
        }
        lines.last.insert((number, at, self.lines));
        self.lines += 1;
        let before = lines.begun.replace(at);
        // What began in another direction since, says that the client was there.
        let others = Direction::ALL.iter().filter(|other| **other != direction);
        let begun =
            others.filter_map(|other| all[other.index()].begun).filter(|begun| Some(*begun) >= before);
        Some(Unseen { count: number, since: begun.min().unwrap_or(at).min(at) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: Direction = Direction::Up;
    const DOWN: Direction = Direction::Down;

    #[test]
    fn numbers_tell_what_was_between() {
        let mut passage = Passage::default();
        let mut take = |client, direction, number, at| {
            let Unseen { count, since } = passage.take(client, direction, number, at).unwrap();
            (count, since)
        };
        assert_eq!(take(1, UP, 3, 100), (3, 100), "nobody knows since when");
        assert_eq!(take(1, UP, 4, 110), (0, 100), "the next one");
        assert_eq!(take(1, UP, 10, 200), (5, 110));
        assert_eq!(take(1, DOWN, 7, 150), (7, 100), "the client was there since 100");
        assert_eq!(take(2, UP, 0, 150), (0, 150), "another client");
        assert_eq!(take(1, UP, 2, 900), (2, 150), "a new session, which began down at 150 or later");
        assert_eq!(take(1, UP, u64::MAX, 800), (u64::MAX - 11, 200), "later by number, earlier by time");
    }

    /// Clients behind one address are one name, each with numbers of its own.
    #[test]
    fn whoever_is_taken_for_whom_the_sum_is_right() {
        let mut passage = Passage::default();
        let mut came = 0;
        // Three of them, of which the second began later and the third is twice as fast; of each every fifth or seventh is seen.
        for at in 0_i64..3000 {
            let numbers = [Some(at), at.checked_sub(500).filter(|n| *n >= 0), Some(2 * at), Some(2 * at + 1)];
            for number in numbers.into_iter().flatten() {
                let number = u64::try_from(number).unwrap();
                if number.is_multiple_of(5) || number.is_multiple_of(7) || at == 2999 {
                    let unseen = passage.take(1, UP, number, at).unwrap();
                    assert!(unseen.since <= at);
                    came += unseen.count + 1;
                }
            }
        }
        assert_eq!(came, 3000 + 2500 + 6000);
    }

    #[test]
    fn too_many_lines_are_not_followed() {
        let mut passage = Passage::default();
        for client in 0..u32::try_from(MAX_LINES).unwrap() {
            passage.take(client, UP, 5, 0).unwrap();
        }
        assert_eq!(passage.take(u32::MAX, UP, 5, 0), None);
        assert_eq!(passage.take(7, UP, 9, 1), Some(Unseen { count: 3, since: 0 }), "the others are still");
    }
}
