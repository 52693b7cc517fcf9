//! Octets as hex, hex as octets, and spans of time as text.

use std::time::Duration;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use polyport_protocol::Nanos;

/// Lower-case hex.
#[must_use]
pub fn hex(octets: &[u8]) -> String {
    HEXLOWER.encode(octets)
}

/// The octets of a hex string; white space and colons between digits are skipped.
///
/// # Errors
/// Says what is wrong, and where.
pub fn unhex(text: &str) -> Result<Vec<u8>, String> {
    let mut digits = String::with_capacity(text.len());
    for (at, letter) in text.chars().enumerate().filter(|(_, c)| !c.is_whitespace() && *c != ':') {
        if !letter.is_ascii_hexdigit() {
            return Err(format!("`{}` at character {} is no hex digit", letter.escape_default(), at + 1));
        }
        digits.push(letter);
    }
    HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).map_err(|_| "the number of hex digits is odd".to_owned())
}

/// The octets of a secret in hex. Unlike [`unhex`], it shows nothing of what is wrong, which may be a part of the secret.
///
/// # Errors
/// Says where it is wrong.
pub fn unhex_secret(text: &str) -> Result<Vec<u8>, String> {
    unhex(text).map_err(|_| {
        match text.chars().position(|c| !c.is_ascii_hexdigit() && !c.is_whitespace() && c != ':') {
            Some(at) => format!("character {} is no hex digit", at + 1),
            None => "the number of hex digits is odd".to_owned(),
        }
    })
}

/// A time on the command line that something is to happen in, such as `5s`: none at all is a mistake.
///
/// # Errors
/// Says what is wrong.
pub fn positive_duration(text: &str) -> Result<Duration, String> {
    let span = polyport_value::duration(text)?;
    if span.is_zero() { Err("a time above zero is needed".to_owned()) } else { Ok(span) }
}

/// Seconds with as many digits as they need: `0.1 s`, `1.6 s`, `0.052 s`.
#[must_use]
pub fn seconds(span: Nanos) -> String {
    let millis = span.div_ceil(1_000_000);
    let text = format!("{}.{:03}", millis / 1000, millis % 1000);
    let trimmed = text.trim_end_matches('0');
    let digits = trimmed.strip_suffix('.').map_or_else(|| trimmed.to_owned(), |whole| format!("{whole}.0"));
    format!("{digits} s")
}

/// A round-trip time in milliseconds.
#[must_use]
pub fn millis(span: Nanos) -> String {
    let micros = span / 1000;
    format!("{}.{:03} ms", micros / 1000, micros % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_goes_both_ways() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unhex(&hex(&all)).unwrap(), all);
        assert_eq!(unhex(" 0E:50 50\n54 ").unwrap(), [0x0E, 0x50, 0x50, 0x54]);
        assert!(unhex("0e5").unwrap_err().contains("odd"));
        assert!(unhex("0eg0").unwrap_err().contains("character 3"));
        assert!(unhex("\u{e9}0").unwrap_err().contains("character 1"));
    }

    #[test]
    fn nothing_of_a_secret_is_shown() {
        assert_eq!(unhex_secret(" 0E:50\n").unwrap(), [0x0E, 0x50]);
        assert_eq!(unhex_secret("0e 5z").unwrap_err(), "character 5 is no hex digit");
        assert!(unhex_secret("0e5").unwrap_err().contains("odd"));
    }

    #[test]
    fn spans_read_well() {
        let texts = [100_000_000, 1_600_000_000, 2_000_000_000, 52_400_000, 0].map(seconds);
        assert_eq!(texts, ["0.1 s", "1.6 s", "2.0 s", "0.053 s", "0.0 s"]);
        assert_eq!(millis(1_234_567), "1.234 ms");
    }
}
