//! How often something happens: `50000/s`, `30/m`.

use std::time::Duration;

/// So many times in a period, evenly spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many times in the period, 1 to 10^12.
    pub count: u64,
    /// The period: a second, a minute or an hour, times a power of ten for a fraction of once.
    pub period: Duration,
}

/// A rate above zero: `50000/s`, `1.5k/s`, `2M/s`, `30/m`, `6/h`. A number alone is per second, `k` is
/// 1,000 and `M` 1,000,000. `min` may stand for `m`. At most 12 digits, at most 6 of them behind the point.
///
/// # Errors
/// No number, an unknown unit, zero, or more than 10^12 in a period.
pub fn rate(text: &str) -> Result<Rate, String> {
    read(text).ok_or_else(|| "expected a rate such as 50000/s, 1.5k/s, 2M/s or 30/m, above zero".to_owned())
}

/// More than any machine sends; it keeps the arithmetic of schedules within 64 bits.
const MOST_PER_PERIOD: u64 = 1_000_000_000_000;

fn read(text: &str) -> Option<Rate> {
    let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
    let mut seconds: u64 = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        _ => return None,
    };
    let (number, scale) = match number.strip_suffix('k') {
        Some(number) => (number, 1_000),
        None => number.strip_suffix('M').map_or((number, 1), |number| (number, 1_000_000)),
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || !(whole.len() + part.len() <= 12 && part.len() <= 6) {
        return None;
    }
    if !whole.bytes().chain(part.bytes()).all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    let mut count = format!("{whole}{part}").parse::<u64>().ok()?.checked_mul(scale)?;
    for _ in 0..part.len() {
        // 1.5k/s is 1500 in a second, 0.5/s is 5 in ten seconds.
        if count.is_multiple_of(10) { count /= 10 } else { seconds = seconds.checked_mul(10)? }
    }
    (count > 0 && count <= MOST_PER_PERIOD).then_some(Rate { count, period: Duration::from_secs(seconds) })
}
