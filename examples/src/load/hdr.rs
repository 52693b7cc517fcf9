//! Histograms as text: `HdrHistogram` V2, deflated, in base64, as every library of `HdrHistogram` reads and writes them.

use data_encoding::BASE64;
use hdrhistogram::Counter;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};

use super::histogram::{Latency, Percentiles};

/// Longest text of one histogram: all 27,648 buckets of three digits with nine octets each, in base64, and a head.
const LONGEST: usize = 27_648 * 9 / 3 * 4 + 256;

/// The text; `None` if nothing was recorded.
#[must_use]
pub fn encode<C: Counter>(latency: &Latency<C>) -> Option<String> {
    if latency.histogram().is_empty() {
        return None;
    }
    let mut octets = Vec::new();
    // Writing to memory cannot fail, and all counts fit.
    V2DeflateSerializer::new().serialize(latency.histogram(), &mut octets).ok()?;
    Some(BASE64.encode(&octets))
}

/// What a text says, with what was read from it when it was written.
///
/// # Errors
/// Says what is wrong with it.
pub fn decode<C: Counter>(text: &str, digits: u8, read: &Percentiles) -> Result<Latency<C>, String> {
    if text.len() > LONGEST {
        return Err(format!(
            "a histogram of {} letters: no histogram of ours has more than {LONGEST}",
            text.len()
        ));
    }
    let octets = BASE64.decode(text.as_bytes()).map_err(|error| format!("no base64: {error}"))?;
    let histogram = Deserializer::new()
        .deserialize(&mut octets.as_slice())
        .map_err(|error| format!("no HdrHistogram: {error}"))?;
    Latency::restore(histogram, digits, read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::histogram::{DIGITS_TARGET, DIGITS_TOTAL, TargetLatency, TotalLatency};

    #[test]
    fn what_is_written_is_read_and_adds_up_exactly() {
        let (mut one, mut other) = (TotalLatency::total().unwrap(), TotalLatency::total().unwrap());
        let mut both = one.clone();
        for i in 0..5000_u64 {
            let value = i * i * 977 % 90_000_000_000;
            if i % 3 == 0 {
                one.record(value);
            } else {
                other.record(value);
            }
            both.record(value);
        }
        let again = |latency: &TotalLatency| -> TotalLatency {
            decode(&encode(latency).unwrap(), DIGITS_TOTAL, &latency.percentiles().unwrap()).unwrap()
        };
        let mut merged = again(&one);
        merged.add(&again(&other));
        assert_eq!(merged.percentiles(), both.percentiles());
        assert_eq!(merged.histogram(), both.histogram());
        assert_eq!(encode(&TotalLatency::total().unwrap()), None);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let mut latency = TargetLatency::target().unwrap();
        latency.record(5);
        let (text, read) = (encode(&latency).unwrap(), latency.percentiles().unwrap());
        let error = |text: &str, digits, read: &Percentiles| decode::<u32>(text, digits, read).unwrap_err();
        assert!(error("%", DIGITS_TARGET, &read).contains("base64"));
        assert!(error("AAAA", DIGITS_TARGET, &read).contains("HdrHistogram"));
        assert!(error(&text, DIGITS_TOTAL, &read).contains("bounds"));
        assert!(error(&text, DIGITS_TARGET, &Percentiles { count: 2, ..read }).contains("`count`"));
        assert!(error(&"A".repeat(LONGEST + 1), DIGITS_TARGET, &read).contains("letters"));
    }
}
