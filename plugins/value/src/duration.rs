//! Lengths of time: `15ms`, `1m 30s`.

use std::time::Duration;

use humantime::DurationError;

/// A length of time with its unit: `50us`, `15ms`, `1.5s`, `2m`, `1h`, `1m 30s`. Resolution 1 ns.
///
/// # Errors
/// No unit, an unknown unit, or a value that is no whole number of nanoseconds or does not fit.
pub fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(format!("a duration needs its unit, such as {text}ms or {text}s"));
    }
    humantime::parse_duration(text).map_err(|error| match error {
        DurationError::NumberOverflow => "the duration is too long, or finer than 1ns".to_owned(),
        DurationError::InvalidCharacter(_)
        | DurationError::NumberExpected(_)
        | DurationError::UnknownUnit { .. }
        | DurationError::Empty => "expected a duration such as 50us, 15ms, 1.5s, 2m or 1h".to_owned(),
    })
}
