//! Log lines that a peer can provoke: one a second for each reason, and how many there would have been.

use crate::metrics::DropReason;

/// Shortest time between two lines of one reason, ns.
const PAUSE_NS: u64 = 1_000_000_000;

/// What was said about the drops of one listener, and when.
#[derive(Clone, Debug, Default)]
pub(crate) struct Repeats(Vec<Said>);

#[derive(Clone, Copy, Debug)]
struct Said {
    reason: DropReason,
    /// Monotonic ns.
    at_ns: u64,
    /// Lines left out since.
    silent: u64,
}

impl Repeats {
    /// Notes that there is something to say about a drop. Some: say it, and that it happened so many times more since the
    /// last line.
    pub(crate) fn note(&mut self, reason: DropReason, now_ns: u64) -> Option<u64> {
        let Some(said) = self.0.iter_mut().find(|said| said.reason == reason) else {
            self.0.push(Said { reason, at_ns: now_ns, silent: 0 });
            return Some(0);
        };
        if now_ns.saturating_sub(said.at_ns) < PAUSE_NS {
            said.silent += 1;
            return None;
        }
        said.at_ns = now_ns;
        Some(std::mem::take(&mut said.silent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_told_once_a_second_with_its_count() {
        let mut repeats = Repeats::default();
        let (one, other) = (DropReason::ALL[0], DropReason::ALL[1]);
        assert_eq!(repeats.note(one, 7), Some(0));
        for _ in 0..1000 {
            assert_eq!(repeats.note(one, PAUSE_NS + 6), None);
        }
        assert_eq!(repeats.note(other, PAUSE_NS + 6), Some(0), "another reason");
        assert_eq!(repeats.note(one, PAUSE_NS + 7), Some(1000));
        assert_eq!(repeats.note(one, 3 * PAUSE_NS), Some(0));
    }
}
