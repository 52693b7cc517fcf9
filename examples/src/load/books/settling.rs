//! When the books of a daemon are complete. Pure.

use polyport_protocol::{Nanos, SECOND};

use super::control::Asked;

/// How long counts have to stand still: the daemon looks once a second at what its kernel dropped.
const STILL: Nanos = SECOND + SECOND / 5;

/// How long is waited for that at most: where somebody else sends without an end, it never comes.
const LONGEST: Nanos = 5 * SECOND;

/// Until the next question.
pub const PAUSE: Nanos = SECOND / 5;

/// Looks at answers, one after the other, until what came to some addresses does not change any more.
#[derive(Debug)]
pub struct Settling<'b> {
    binds: &'b [&'b str],
    began: Nanos,
    still: Option<Still>,
}

#[derive(Debug)]
struct Still {
    counts: Vec<(u64, u64)>,
    since: Nanos,
}

/// What an answer says of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Counts have changed, or not been still for long enough.
    NotYet,
    /// Nothing comes any more.
    Still,
    /// It still does, and it was waited for long enough.
    Never,
}

impl<'b> Settling<'b> {
    /// For the addresses `binds`, as the daemon writes them, sorted; the wait begins at `began`.
    #[must_use]
    pub const fn new(binds: &'b [&'b str], began: Nanos) -> Self {
        Self { binds, began, still: None }
    }

    /// Takes the next answer.
    pub fn look(&mut self, asked: &Asked) -> Settled {
        let ours = asked.books.rows.iter().filter(|row| self.binds.binary_search(&row.bind.as_str()).is_ok());
        let counts: Vec<(u64, u64)> =
            ours.map(|row| (row.counts.received, row.counts.kernel_drops)).collect();
        match &self.still {
            // They were counted somewhere between question and answer.
            Some(still) if still.counts == counts => {
                if asked.begun >= still.since.saturating_add(STILL) {
                    return Settled::Still;
                }
            }
            Some(_) | None => self.still = Some(Still { counts, since: asked.ended }),
        }
        let over = asked.begun >= self.began.saturating_add(LONGEST);
        if over { Settled::Never } else { Settled::NotYet }
    }
}

#[cfg(test)]
mod tests {
    use super::super::control::{Books, Counts, Row};
    use super::*;

    /// An answer of the time `at`, in tenths of a second, which took one of them.
    fn asked(at: u64, counts: &[(&str, u64, u64)]) -> Asked {
        let row = |(bind, received, kernel_drops): &(&str, u64, u64)| Row {
            bind: (*bind).to_owned(),
            counts: Counts { received: *received, kernel_drops: *kernel_drops, ..Counts::default() },
            ..Row::default()
        };
        let books = Books { rows: counts.iter().map(row).collect(), ..Books::default() };
        Asked { begun: at * SECOND / 10, ended: (at + 1) * SECOND / 10, books }
    }

    #[test]
    fn counts_are_complete_when_they_stand_still_for_longer_than_a_look_at_the_kernel_takes() {
        let mut settling = Settling::new(&["a", "b"], 0);
        for (at, received, drops) in [(0, 5, 0), (2, 9, 0), (4, 9, 0), (11, 9, 7), (23, 9, 7)] {
            // What comes to another address does not matter.
            let answer = asked(at, &[("a", received, drops), ("b", 1, 0), ("c", at, at)]);
            assert_eq!(settling.look(&answer), Settled::NotYet, "{at}");
        }
        assert_eq!(settling.look(&asked(24, &[("a", 9, 7), ("b", 1, 0)])), Settled::Still);
    }

    #[test]
    fn somebody_who_sends_on_is_not_waited_for() {
        let mut settling = Settling::new(&["a"], SECOND);
        for at in (10..60).step_by(2) {
            assert_eq!(settling.look(&asked(at, &[("a", at, 0)])), Settled::NotYet, "{at}");
        }
        assert_eq!(settling.look(&asked(60, &[("a", 60, 0)])), Settled::Never);
    }
}
