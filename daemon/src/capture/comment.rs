//! What the comment of a packet says: words `key=value` with a space between them.

use std::fmt;

use crate::tap::{Direction, Ended, Entry, Lost, Verdict};

/// What a tap says of a datagram beside its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// `replied`, `consumed`, `kept`, `sent` or `dropped`.
    pub verdict: String,
    /// Why it was dropped.
    pub reason: Option<String>,
    /// Nanoseconds from the arrival of a datagram until its answer was handed to the kernel.
    pub latency_ns: Option<u64>,
    /// The session it has to do with; 0 is none.
    pub session: u64,
    /// It came or left by the session's own socket.
    pub upstream: bool,
}

impl Said {
    /// What is said of an entry.
    #[must_use]
    pub fn of(entry: &Entry) -> Self {
        let (verdict, reason) = match entry.verdict {
            Verdict::Replied => ("replied", None),
            Verdict::Consumed => ("consumed", None),
            Verdict::Kept => ("kept", None),
            Verdict::Sent => ("sent", None),
            Verdict::Dropped(reason) => ("dropped", Some(reason.to_owned())),
        };
        Self {
            verdict: verdict.to_owned(),
            reason,
            latency_ns: entry.latency_ns,
            session: entry.session,
            upstream: entry.upstream,
        }
    }

    /// Reads a comment. None: it is not of a tap.
    #[must_use]
    pub fn read(comment: &str) -> Option<Self> {
        let mut said = Self::default();
        for (key, value) in comment.split(' ').filter_map(|word| word.split_once('=')) {
            match key {
                "verdict" => said.verdict = value.to_owned(),
                "reason" => said.reason = Some(value.to_owned()),
                "latency_ns" => said.latency_ns = value.parse().ok(),
                "side" => said.upstream = value == "upstream",
                "session" => said.session = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        (!said.verdict.is_empty()).then_some(said)
    }

    /// Whether the datagram went nowhere.
    #[must_use]
    pub fn is_drop(&self) -> bool {
        self.verdict == "dropped"
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "verdict={}", self.verdict)?;
        if let Some(reason) = &self.reason {
            write!(f, " reason={reason}")?;
        }
        if let Some(latency_ns) = self.latency_ns {
            write!(f, " latency_ns={latency_ns}")?;
        }
        if self.session != 0 {
            write!(f, " session={}", self.session)?;
        }
        if self.upstream {
            f.write_str(" side=upstream")?;
        }
        Ok(())
    }
}

/// The last words of a tap, in the comment of its interface statistics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Why it ended: `count`, `reader`, `duration` or `daemon`.
    pub ended: String,
    /// Datagrams that were shown.
    pub shown: u64,
    /// Datagrams for which the reader had no room.
    pub left_out: u64,
    /// Datagrams that were dropped on their way out and of which there was nothing to show.
    pub unseen: u64,
}

impl Summary {
    /// The last words of a tap. `is_over` is that its time was over.
    #[must_use]
    pub fn new(ended: Ended, is_over: bool, shown: u64, lost: Lost) -> Self {
        let ended = match ended {
            Ended::Count => "count",
            Ended::Reader if is_over => "duration",
            Ended::Reader => "reader",
            Ended::Daemon => "daemon",
        };
        Self { ended: ended.to_owned(), shown, left_out: lost.left_out, unseen: lost.unseen }
    }

    /// Reads a comment. None: it is not of a tap.
    #[must_use]
    pub fn read(comment: &str) -> Option<Self> {
        let mut summary = Self::default();
        for (key, value) in comment.split(' ').filter_map(|word| word.split_once('=')) {
            match key {
                "ended" => summary.ended = value.to_owned(),
                "shown" => summary.shown = value.parse().ok()?,
                "left_out" => summary.left_out = value.parse().ok()?,
                "unseen" => summary.unseen = value.parse().ok()?,
                _ => {}
            }
        }
        (!summary.ended.is_empty()).then_some(summary)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ended, shown, left_out, unseen } = self;
        write!(f, "ended={ended} shown={shown} left_out={left_out} unseen={unseen}")
    }
}

/// The flags word of a packet that says which way it went: `epb_flags`, bits 0 and 1.
pub(super) const fn flags(direction: Direction) -> u32 {
    match direction {
        Direction::In => 1,
        Direction::Out => 2,
    }
}

/// Which way a packet went, by its flags word.
pub(super) const fn direction(flags: u32) -> Option<Direction> {
    match flags & 3 {
        1 => Some(Direction::In),
        2 => Some(Direction::Out),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_read_again() {
        for text in [
            "verdict=replied latency_ns=13200",
            "verdict=dropped reason=on_purpose",
            "verdict=sent latency_ns=1 session=7",
            "verdict=consumed",
            "verdict=replied session=7 side=upstream",
        ] {
            assert_eq!(Said::read(text).unwrap().to_string(), text);
        }
        let text = "ended=daemon shown=12 left_out=3 unseen=1";
        assert_eq!(Summary::read(text).unwrap().to_string(), text);
        for foreign in ["", "a packet", "latency_ns=1", "x=verdict"] {
            assert_eq!(Said::read(foreign), None, "{foreign}");
            assert_eq!(Summary::read(foreign), None, "{foreign}");
        }
    }
}
