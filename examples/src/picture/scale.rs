//! From values to places on the sheet, and the values that an axis names.

use std::fmt::Write;

use polyport_protocol::{MILLISECOND, Nanos, SECOND};

/// A straight line from values to pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// `low` is drawn at `from`, and `high` at `to`.
    pub(crate) fn new((low, high): (f64, f64), (from, to): (f64, f64)) -> Self {
        // Nothing has a length of nothing on the sheet.
        let high = if high > low { high } else { low + 1.0 };
        Self { low, high, from, to }
    }

    /// Where a value is drawn.
    pub(crate) fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// The values that are named: some `count` round ones, and how each is written.
    pub(crate) fn ticks(&self, count: f64) -> Vec<(f64, String)> {
        let step = round_up((self.high - self.low) / count);
        let digits = decimals(step);
        let first = (self.low / step - 1e-9).ceil();
        let value = |number: f64| (first + number) * step;
        // Numbers of steps, not sums of them: those would gather their roundings.
        let numbers = (0..MOST_TICKS).map(f64::from);
        let within = numbers.map(value).take_while(|value| *value <= self.high + step * 1e-9);
        within.map(|value| (value, format!("{:.digits$}", value + 0.0))).collect()
    }
}

/// More than any axis has.
const MOST_TICKS: u32 = 40;

/// The next of 1, 2, 5, 10, 20 ... that is not smaller.
pub(crate) fn round_up(value: f64) -> f64 {
    if !(value.is_finite() && value > 0.0) {
        return 1.0;
    }
    let magnitude = 10_f64.powf(value.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * magnitude >= value * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * magnitude
}

/// Digits behind the point that a multiple of a round number needs.
fn decimals(step: f64) -> usize {
    (0..9)
        .zip(std::iter::successors(Some(step), |step| Some(step * 10.0)))
        .find(|(_, scaled)| *scaled >= 1.0 - 1e-9)
        .map_or(9, |(digits, _)| digits)
}

/// A unit of time: how many nanoseconds it has, and its name.
pub(crate) type Unit = (f64, &'static str);

/// The unit in which a span of time has few digits.
pub(crate) fn unit(span: Nanos) -> Unit {
    const HOUR: Nanos = 3600 * SECOND;
    match span {
        0..10_000 => (1.0, "ns"),
        10_000..MILLISECOND => (1e3, "\u{b5}s"),
        MILLISECOND..SECOND => (1e6, "ms"),
        SECOND..HOUR => (1e9, "s"),
        _ => (3600e9, "h"),
    }
}

/// A span of time with its unit, as short as it is exact to three digits.
pub(crate) fn span(nanos: Nanos) -> String {
    let (per_unit, name) = unit(nanos);
    let value = in_unit(nanos, per_unit);
    let digits = [100.0, 10.0].iter().filter(|bound| value < **bound).count();
    let mut text = format!("{value:.digits$}");
    if text.contains('.') {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    // Writing to a text cannot fail.
    write!(text, " {name}").unwrap_or(());
    text
}

/// A span of time in a unit.
#[expect(clippy::cast_precision_loss, reason = "a picture has no 53 bits")]
pub(crate) fn in_unit(nanos: Nanos, per_unit: f64) -> f64 {
    nanos as f64 / per_unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_name_round_values() {
        let texts = |low, high, count| {
            let ticks = Scale::new((low, high), (0.0, 100.0)).ticks(count);
            ticks.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(texts(0.0, 60.2, 8.0), "0 10 20 30 40 50 60");
        assert_eq!(texts(0.0, 100.0, 5.0), "0 20 40 60 80 100");
        assert_eq!(texts(0.0, 0.035, 4.0), "0.00 0.01 0.02 0.03");
        assert_eq!(texts(29.5, 34.0, 8.0), "30 31 32 33 34");
        assert_eq!(texts(-2.5, 2.5, 5.0), "-2 -1 0 1 2");
        assert_eq!(texts(5.0, 5.0, 4.0), "5.0 5.5 6.0");
        assert_eq!(texts(0.0, f64::INFINITY, 4.0).split(' ').count(), 40, "it ends");
    }

    #[test]
    fn values_lie_in_proportion() {
        let scale = Scale::new((10.0, 20.0), (100.0, 0.0));
        assert_eq!([10.0, 15.0, 20.0].map(|value| scale.at(value)), [100.0, 50.0, 0.0]);
    }

    #[test]
    fn round_numbers_are_not_smaller() {
        for (value, round) in [(0.3, 0.5), (1.0, 1.0), (1.01, 2.0), (20.0, 20.0), (51.0, 100.0), (0.0, 1.0)] {
            assert!((round_up(value) - round).abs() < round * 1e-9, "{value}: {}", round_up(value));
        }
        assert!((round_up(f64::NAN) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn spans_are_told_in_three_digits_at_most() {
        let spans = [0, 700, 35_000_000, 35_040_000, 1_500_000_000, 500_000_000, 60_000_000_000];
        let texts = ["0 ns", "700 ns", "35 ms", "35 ms", "1.5 s", "500 ms", "60 s"];
        assert_eq!(spans.map(span), texts);
        assert_eq!([12_340, 7_200_000_000_000].map(span), ["12.3 \u{b5}s", "2 h"]);
    }
}
