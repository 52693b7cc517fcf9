//! Results for programs: one JSON object on a line, as the schemas in `examples/schemas` describe it.

use std::borrow::Cow;
use std::fmt::Write;

use polyport_terminal::{Escaped, Exit};
use serde::Serialize;

use crate::outcome::ExitError;

/// `result` on one line, the keys of each object in alphabetical order.
///
/// # Errors
/// None for the results of the clients; the library cannot know.
pub fn line(result: &impl Serialize) -> Result<String, ExitError> {
    // By way of a value, whose maps are sorted, so that the order of fields in our types is nobody's business.
    serde_json::to_value(result)
        .map(|value| harmless(&value.to_string()).into_owned())
        .map_err(|error| ExitError::new(Exit::Software, format!("cannot write JSON: {error}")))
}

/// JSON in which whatever a terminal would obey, and what nobody sees, is written as JSON escapes it (RFC 8259 section 7): the library
/// does so below U+0020 only. Such characters stand in strings alone, so that what the text says stays the same.
fn harmless(json: &str) -> Cow<'_, str> {
    let is_plain = |octet: u8| matches!(octet, b' '..=b'~');
    if json.bytes().all(is_plain) {
        return Cow::Borrowed(json);
    }
    let mut text = String::with_capacity(json.len());
    for letter in json.chars() {
        let (mut octets, mut units) = ([0; 4], [0; 2]);
        let seen = letter.encode_utf8(&mut octets);
        if Escaped(seen.as_bytes()).to_string() == *seen {
            text.push(letter);
            continue;
        }
        for unit in letter.encode_utf16(&mut units) {
            // Writing to a text cannot fail.
            write!(text, "\\u{unit:04x}").unwrap_or(());
        }
    }
    Cow::Owned(text)
}

/// A `u64` as a string of decimal digits, for `#[serde(with)]`: many readers, `jq` and JavaScript among them, keep 53 bits of a
/// JSON number and change the rest without a word (RFC 8259 section 6).
pub mod decimal {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes the digits.
    ///
    /// # Errors
    /// Those of the serializer.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
    pub fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    /// Reads the digits.
    ///
    /// # Errors
    /// It is no string, or not of digits, or too much.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
    struct Whole(#[serde(with = "super::decimal")] u64);

    #[test]
    fn what_commands_a_terminal_is_escaped_and_says_the_same() {
        let words =
            "\u{1b}[2J \u{7f} \u{9b}31m \u{202e}abc \u{feff} \u{e0001} \u{fffe} é 漢 \u{1f600} \u{301} \"\\";
        let text = super::line(&[words]).unwrap();
        assert_eq!(serde_json::from_str::<[String; 1]>(&text).unwrap(), [words]);
        assert!(text.contains("\\u009b31m \\u202eabc") && text.contains("\\udb40\\udc01"), "{text}");
        assert!(!text.contains(|c: char| c.is_control() || ('\u{202a}'..'\u{202f}').contains(&c)), "{text}");
        assert!(text.contains("é 漢 \u{1f600}"), "letters stay: {text}");
    }

    #[test]
    fn all_bits_of_a_number_survive() {
        for number in [0, (1 << 53) + 1, u64::MAX] {
            let text = super::line(&Whole(number)).unwrap();
            assert_eq!(text, format!("\"{number}\""));
            assert_eq!(serde_json::from_str::<Whole>(&text).unwrap(), Whole(number));
        }
        for wrong in ["7", "\"-1\"", "\"18446744073709551616\"", "\"\""] {
            serde_json::from_str::<Whole>(wrong).unwrap_err();
        }
    }
}
