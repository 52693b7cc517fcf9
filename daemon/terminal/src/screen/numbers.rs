//! Numbers as narrow as they can be: three digits and a prefix of the SI, 1,000 each.

use std::time::Duration;

/// What stands where nothing is known.
pub const UNKNOWN: &str = "-";

/// A rate or an amount in six columns at most: `0`, `0.4`, `12`, `999`, `1.23k`, `45.6M`.
#[must_use]
pub fn short(number: f64) -> String {
    const PREFIXES: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    if !number.is_finite() {
        return UNKNOWN.to_owned();
    }
    let (mut rest, mut prefixes) = (number.max(0.0), PREFIXES.iter());
    let mut prefix = prefixes.next().copied().unwrap_or_default();
    // What would be rounded to 1000 has the next prefix.
    while rest >= 999.5 {
        let Some(next) = prefixes.next() else { break };
        (rest, prefix) = (rest / 1000.0, next);
    }
    if prefix.is_empty() {
        return if rest < 0.05 {
            // Something is not nothing.
            if rest > 0.0 { "<0.1".to_owned() } else { "0".to_owned() }
        } else if rest < 9.95 {
            let text = format!("{rest:.1}");
            text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
        } else {
            format!("{rest:.0}")
        };
    }
    let digits = if rest < 9.995 {
        2
    } else if rest < 99.95 {
        1
    } else {
        0
    };
    format!("{rest:.digits$}{prefix}")
}

/// A rate that may be unknown.
#[must_use]
pub fn rate(number: Option<f64>) -> String {
    number.map_or_else(|| UNKNOWN.to_owned(), short)
}

/// A count, as narrow as a rate.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
#[must_use]
pub fn amount(count: u64) -> String {
    short(count as f64)
}

/// A time in nanoseconds, in six columns at most: `850ns`, `1.2us`, `34ms`, `5.6s`.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
#[must_use]
pub fn time(ns: u64) -> String {
    let ns = ns as f64;
    let (number, unit) = match ns {
        _ if ns < 999.5 => (ns, "ns"),
        _ if ns < 999_500.0 => (ns / 1e3, "us"),
        _ if ns < 999_500_000.0 => (ns / 1e6, "ms"),
        _ => (ns / 1e9, "s"),
    };
    if number < 9.95 && unit != "ns" { format!("{number:.1}{unit}") } else { format!("{number:.0}{unit}") }
}

/// How long something has lasted, in its two largest units.
#[must_use]
pub fn lasted(seconds: u64) -> String {
    let text = humantime::format_duration(Duration::from_secs(seconds)).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_six_columns() {
        for (number, shown) in [
            (0.0, "0"),
            (0.01, "<0.1"),
            (0.26, "0.3"),
            (1.0, "1"),
            (9.94, "9.9"),
            (9.96, "10"),
            (999.4, "999"),
            (999.6, "1.00k"),
            (1234.0, "1.23k"),
            (9_996.0, "10.0k"),
            (99_960.0, "100k"),
            (999_600.0, "1.00M"),
            (12_345_678.0, "12.3M"),
            (1.8e19, "18.0E"),
            (-1.0, "0"),
            (f64::NAN, "-"),
            (f64::INFINITY, "-"),
        ] {
            assert_eq!(short(number), shown, "{number}");
        }
        assert_eq!((rate(None).as_str(), rate(Some(2.5)).as_str()), ("-", "2.5"));
        assert_eq!(amount(u64::MAX), "18.4E");
    }

    #[test]
    fn times_have_the_unit_that_fits() {
        for (ns, shown) in [
            (0, "0ns"),
            (999, "999ns"),
            (1_000, "1.0us"),
            (9_960, "10us"),
            (999_499, "999us"),
            (999_500, "1.0ms"),
            (2_500_000_000, "2.5s"),
            (u64::MAX, "18446744074s"),
        ] {
            assert_eq!(time(ns), shown, "{ns}");
        }
        assert_eq!([lasted(0), lasted(86), lasted(90_061)], ["0s", "1m 26s", "1day 1h"]);
    }
}
