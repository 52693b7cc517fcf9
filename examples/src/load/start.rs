//! When a load starts: a time of day that several generators agree on.

use std::time::{Duration, UNIX_EPOCH};

use polyport_protocol::Nanos;

use crate::outcome::ExitError;

/// What `--start-at` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// So long after the program was started.
    After(Duration),
    /// At this time, as a span since 1970-01-01 UTC.
    At(Duration),
}

/// Longest wait for a start: what is further away has a wrong date.
const LONGEST: Duration = Duration::from_hours(7 * 24);

impl StartAt {
    /// Parses `+10s`, or a time as RFC 3339 has it: `2026-11-30T18:00:00Z`, `2026-11-30T19:00:00.5+01:00`.
    ///
    /// # Errors
    /// Says what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(span) = text.strip_prefix('+') {
            return Ok(Self::After(polyport_value::duration(span)?));
        }
        let wrong = || format!("`{text}` is no time: write +10s, or 2026-11-30T18:00:00Z as RFC 3339 has it");
        let (time, east, minutes) = split_zone(text).ok_or_else(wrong)?;
        let time = humantime::parse_rfc3339(&format!("{time}Z")).map_err(|_| wrong())?;
        let time = time.duration_since(UNIX_EPOCH).map_err(|_| wrong())?;
        let offset = Duration::from_secs(60 * minutes);
        let utc = if east { time.checked_sub(offset) } else { time.checked_add(offset) };
        utc.map(Self::At).ok_or_else(wrong)
    }

    /// The time, as a span since 1970-01-01 UTC, if it is `now`.
    #[must_use]
    pub fn time(self, now: Duration) -> Duration {
        match self {
            Self::After(span) => now.saturating_add(span),
            Self::At(time) => time,
        }
    }
}

/// A time without its zone, whether that lies east of Greenwich, and how many minutes from it.
fn split_zone(text: &str) -> Option<(&str, bool, u64)> {
    if let Some(time) = text.strip_suffix(['Z', 'z']) {
        return Some((time, true, 0));
    }
    let (time, zone) = text.split_at_checked(text.len().checked_sub("+00:00".len())?)?;
    let east = zone.starts_with('+');
    let (hours, minutes) = zone.strip_prefix(['+', '-'])?.split_once(':')?;
    let number = |text: &str, most: u64| text.parse::<u64>().ok().filter(|number| *number <= most);
    Some((time, east, number(hours, 23)? * 60 + number(minutes, 59)?))
}

/// The moment of a clock that shows `clock` while the time of day is `now`, at which it is `at`.
///
/// # Errors
/// It has passed, or is too far away.
pub fn moment(at: Duration, now: Duration, clock: Nanos) -> Result<Nanos, ExitError> {
    let Some(wait) = at.checked_sub(now) else {
        let late = humantime::format_duration(Duration::from_millis(
            u64::try_from((now - at).as_millis()).unwrap_or(u64::MAX),
        ));
        return Err(ExitError::usage(format!(
            "the time of --start-at was {late} ago when the handshake was over: choose a later one, and see whether the \
             clocks of the generators agree"
        )));
    };
    if wait > LONGEST {
        return Err(ExitError::usage("the time of --start-at is more than a week away"));
    }
    Ok(clock.saturating_add(crate::clock::nanos(wait)))
}

/// A time of day as RFC 3339 has it, to the millisecond.
#[must_use]
pub fn rfc3339(time: Duration) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_span_or_has_a_zone() {
        let now = Duration::from_secs(1000);
        let at = |text: &str| StartAt::parse(text).map(|start| start.time(now));
        let noon = Duration::from_secs(1_796_040_000);
        assert_eq!(rfc3339(noon), "2026-11-30T12:00:00.000Z");
        for text in [
            "2026-11-30T12:00:00Z",
            "2026-11-30T12:00:00.000z",
            "2026-11-30T13:30:00+01:30",
            "2026-11-30T04:00:00-08:00",
            "2026-11-30T12:00:00+00:00",
        ] {
            assert_eq!(at(text), Ok(noon), "{text}");
        }
        assert_eq!(at("+10s"), Ok(Duration::from_secs(1010)));
        for wrong in
            ["", "+", "10s", "2026-11-30", "2026-11-30T12:00:00", "2026-11-30T12:00:00+1:00", "\u{e9}+00:00"]
        {
            assert!(at(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_has_passed_is_refused() {
        let second = Duration::from_secs(1);
        assert_eq!(moment(5 * second, 3 * second, 7).unwrap(), 2_000_000_007);
        let late = moment(3 * second, 5 * second, 7).unwrap_err().to_string();
        assert!(late.contains("was 2s ago"), "{late}");
        moment(LONGEST + 2 * second, second, 7).unwrap_err();
    }
}
