//! Numbers for people: three digits that count.

use polyport_protocol::{MILLISECOND, Nanos, SECOND};

/// A span as `212us`, `1.92ms` or `30.0s`.
#[must_use]
pub fn span(nanos: Nanos) -> String {
    match nanos {
        0..1_000 => format!("{nanos}ns"),
        1_000..MILLISECOND => three(nanos, 1_000, "us"),
        MILLISECOND..SECOND => three(nanos, MILLISECOND, "ms"),
        _ => three(nanos, SECOND, "s"),
    }
}

/// A share as `0.031%`; `-` of nothing.
#[must_use]
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    let millis = u128::from(part) * 100_000 / u128::from(whole);
    let text = match u64::try_from(millis).unwrap_or(u64::MAX) {
        0 => if part == 0 { "0" } else { "<0.001" }.to_owned(),
        small @ 1..1_000 => format!("0.{small:03}"),
        more => three(more, 1_000, ""),
    };
    format!("{text}%")
}

/// A part of one as `0.25%`, with no digit that says nothing.
#[must_use]
pub fn share(part: f64) -> String {
    let text = format!("{:.2}", part * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Seconds with all their nanoseconds, for programs.
#[must_use]
pub fn seconds(nanos: Nanos) -> String {
    format!("{}.{:09}", nanos / SECOND, nanos % SECOND)
}

/// A count or a time of a run as a number to reckon with.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts and times of a run stay below 2^53, and 2^53 ns are 104 days"
)]
#[must_use]
pub const fn exact(number: u64) -> f64 {
    number as f64
}

/// A rate as `49998/s` from a count and the time it took.
#[must_use]
pub fn per_second(count: u64, time: Nanos) -> u64 {
    let rate = u128::from(count) * u128::from(SECOND) / u128::from(time.max(1));
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// Datagrams a second as `49998/s`, or `28.67/s` where there are few.
#[must_use]
pub fn rate(per_second: f64) -> String {
    if per_second < 100.0 { format!("{per_second:.2}/s") } else { format!("{per_second:.0}/s") }
}

/// `value / unit` with three digits.
fn three(value: u64, unit: u64, name: &str) -> String {
    let (whole, rest) = (value / unit, value % unit);
    match whole {
        0..10 => format!("{whole}.{:02}{name}", rest * 100 / unit),
        10..100 => format!("{whole}.{}{name}", rest * 10 / unit),
        _ => format!("{whole}{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_count() {
        let spans = [0, 999, 1_000, 212_345, 9_999_999, 14_200_000, 999_999_999, 30_000_000_000];
        let texts = ["0ns", "999ns", "1.00us", "212us", "9.99ms", "14.2ms", "999ms", "30.0s"];
        assert_eq!(spans.map(span), texts);
    }

    #[test]
    fn shares_never_look_like_nothing_or_all_by_rounding() {
        assert_eq!(percent(0, 10), "0%");
        assert_eq!(percent(1, 10_000_000), "<0.001%");
        assert_eq!(percent(31, 100_000), "0.031%");
        assert_eq!(percent(21, 1000), "2.10%");
        assert_eq!(percent(999_999, 1_000_000), "99.9%");
        assert_eq!(percent(10, 10), "100%");
        assert_eq!(percent(0, 0), "-");
        assert_eq!([0.05, 0.0025, 1.0, 0.0, 0.999].map(share), ["5%", "0.25%", "100%", "0%", "99.9%"]);
        assert_eq!(seconds(1_000_000_020), "1.000000020");
        assert_eq!(per_second(100, 500 * MILLISECOND), 200);
        assert_eq!((rate(28.666), rate(49_998.4)), ("28.67/s".into(), "49998/s".into()));
    }
}
