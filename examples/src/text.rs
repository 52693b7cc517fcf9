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

/// A time on the command line: `500ms`, `1.5s`, `1m30s`, or a bare number of seconds, as `ping -i 0.5` has it. Only here: in a
/// configuration the unit stands beside the number for whoever reads it in a year.
///
/// # Errors
/// Says what is wrong.
pub fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let is_bare = text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if is_bare {
        // `.5` is a number to people, and none to the grammar.
        return polyport_value::duration(&format!("0{}s", text.trim_end_matches('.')));
    }
    polyport_value::duration(text)
}

/// What [`duration`] reads, of a time that something is to happen in: none at all is a mistake.
///
/// # Errors
/// Says what is wrong.
pub fn positive_duration(text: &str) -> Result<Duration, String> {
    let span = duration(text)?;
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
    fn a_bare_number_is_of_seconds() {
        let millis = |text: &str| duration(text).unwrap().as_millis();
        let read = ["3", "0.5", ".5", "10.", "007", "0", " 2 ", "3s", "500ms", "1m30s"].map(millis);
        assert_eq!(read, [3000, 500, 500, 10_000, 7000, 0, 2000, 3000, 500, 90_000]);
        for wrong in ["", ".", "1.2.3", "-1", "1e3", "3 4", "soon", "99999999999999999999"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert!(positive_duration("0").is_err() && positive_duration("0.0").is_err());
    }

    #[test]
    fn spans_read_well() {
        let texts = [100_000_000, 1_600_000_000, 2_000_000_000, 52_400_000, 0].map(seconds);
        assert_eq!(texts, ["0.1 s", "1.6 s", "2.0 s", "0.053 s", "0.0 s"]);
        assert_eq!(millis(1_234_567), "1.234 ms");
    }
}
