//! Results for programs: one JSON object on a line, as the schemas in `examples/schemas` describe it.

use polyport_terminal::Exit;
use serde::Serialize;

use crate::outcome::ExitError;

/// `result` on one line, the keys of each object in alphabetical order.
///
/// # Errors
/// None for the results of the clients; the library cannot know.
pub fn line(result: &impl Serialize) -> Result<String, ExitError> {
    // By way of a value, whose maps are sorted, so that the order of fields in our types is nobody's business.
    serde_json::to_value(result)
        .map(|value| value.to_string())
        .map_err(|error| ExitError::new(Exit::Software, format!("cannot write JSON: {error}")))
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
