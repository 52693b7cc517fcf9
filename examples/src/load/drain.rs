//! How long to wait for answers after the last datagram left.

use polyport_protocol::{MILLISECOND, Nanos};

/// The rule of `--drain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// This many times the longest round trip, but until every datagram has had its timeout; while nothing came at
    /// all, the fallback.
    Adaptive {
        /// Multiple of the longest round trip.
        factor: u32,
        /// Wait if nothing came.
        fallback: Nanos,
    },
    /// Exactly this long. What has no answer then is lost, whatever the timeout.
    Fixed(Nanos),
}

/// Shortest adaptive drain: on loopback three round trips are shorter than one pause of a busy machine.
const LEAST: Nanos = 100 * MILLISECOND;

impl Drain {
    /// Parses `3x,4s` or `500ms`.
    ///
    /// # Errors
    /// Says what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no drain: write 3x,4s (three round trips, or 4 s) or 500ms");
        let span = |text: &str| {
            let span = crate::text::duration(text).map_err(|_| wrong())?;
            u64::try_from(span.as_nanos()).map_err(|_| wrong())
        };
        let Some((factor, fallback)) = text.split_once(',') else { return Ok(Self::Fixed(span(text)?)) };
        let factor = factor.strip_suffix('x').and_then(|factor| factor.parse().ok()).ok_or_else(wrong)?;
        Ok(Self::Adaptive { factor, fallback: span(fallback)? })
    }

    /// When to stop, given when the last datagram left, the longest round trip so far, and whether some datagram has
    /// still time to be answered. `None`: not yet, ask again when one of these has changed.
    #[must_use]
    pub fn end(self, last: Nanos, longest: Option<Nanos>, waiting: bool) -> Option<Nanos> {
        match self {
            Self::Fixed(span) => Some(last.saturating_add(span)),
            Self::Adaptive { .. } if waiting => None,
            Self::Adaptive { factor, fallback } => {
                let wait =
                    longest.map_or(fallback, |longest| longest.saturating_mul(factor.into()).max(LEAST));
                Some(last.saturating_add(wait))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use polyport_protocol::SECOND;

    use super::*;

    #[test]
    fn both_notations_are_read() {
        let adaptive = Drain::Adaptive { factor: 3, fallback: 4 * SECOND };
        assert_eq!(Drain::parse("3x,4s"), Ok(adaptive));
        assert_eq!(Drain::parse("500ms"), Ok(Drain::Fixed(SECOND / 2)));
        assert_eq!((Drain::parse("3x,4"), Drain::parse("0.5")), (Ok(adaptive), Ok(Drain::Fixed(SECOND / 2))));
        for wrong in ["", "3x", "x,4s", "3,4s", "3x,", "4x,", "-1s"] {
            assert!(Drain::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_longest_round_trip_decides_once_nothing_can_be_in_time() {
        let drain = Drain::Adaptive { factor: 3, fallback: 4 * SECOND };
        assert_eq!(drain.end(10, Some(SECOND), true), None);
        assert_eq!(drain.end(10, Some(SECOND), false), Some(10 + 3 * SECOND));
        assert_eq!(drain.end(10, Some(1), false), Some(10 + LEAST));
        assert_eq!(drain.end(10, None, false), Some(10 + 4 * SECOND));
        assert_eq!(Drain::Fixed(7).end(10, Some(SECOND), true), Some(17));
    }
}
