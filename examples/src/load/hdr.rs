//! Histograms as text: `HdrHistogram` V2, deflated, in base64, as every library of `HdrHistogram` reads and writes them.

use std::io::Read;

use data_encoding::BASE64;
use flate2::read::ZlibDecoder;
use hdrhistogram::Counter;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};

use super::histogram::{self, Latency, Percentiles};

/// Octets of the counts of one histogram at most: all 27,648 buckets of three digits, with nine octets each.
const COUNTS: usize = 27_648 * 9;

/// Longest text of one histogram: that in base64, and a head.
const LONGEST: usize = COUNTS / 3 * 4 + 256;

/// What a deflated histogram begins with. The library reads others, too, and believes what they say of their lengths.
const DEFLATED: [u8; 4] = [0x1c, 0x84, 0x93, 0x14];

/// What it is inside.
const PLAIN: [u8; 4] = [0x1c, 0x84, 0x93, 0x13];

/// Octets before the counts: what it is, their length, an offset, digits, two bounds, and a ratio.
const HEAD: usize = 40;

/// Octets of a count at most. Those of nine are beyond all that is counted, and one of them overflows in the library.
const LONGEST_COUNT: usize = 8;

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
    let plain = inflate(&octets, digits).map_err(|error| format!("no HdrHistogram of ours: {error}"))?;
    let histogram = Deserializer::new()
        .deserialize(&mut plain.as_slice())
        .map_err(|error| format!("no HdrHistogram: {error}"))?;
    Latency::restore(histogram, digits, read)
}

/// The histogram without its compression, once nothing in it can make the library allocate or count too much.
fn inflate(octets: &[u8], digits: u8) -> Result<Vec<u8>, String> {
    let deflated = octets
        .strip_prefix(&DEFLATED)
        .and_then(|rest| rest.split_first_chunk::<4>())
        .filter(|(length, rest)| u32::from_be_bytes(**length) as usize == rest.len());
    let Some((_, deflated)) = deflated else { return Err("it is not deflated, or not whole".to_owned()) };
    let mut plain = Vec::new();
    let most = (HEAD + COUNTS) as u64;
    ZlibDecoder::new(deflated).take(most + 1).read_to_end(&mut plain).map_err(|error| error.to_string())?;
    if plain.len() as u64 > most {
        return Err(format!("it has more than {most} octets"));
    }
    let Some((head, counts)) = plain.split_first_chunk::<HEAD>() else {
        return Err("it has no head".to_owned());
    };
    let number = |at: usize, octets: usize| {
        head.iter().skip(at).take(octets).fold(0_u64, |number, octet| number << 8 | u64::from(*octet))
    };
    if !head.starts_with(&PLAIN) || number(4, 4) != counts.len() as u64 {
        return Err("its counts are not as long as it says".to_owned());
    }
    let shape = (number(16, 8), number(24, 8), number(12, 4));
    let ours = (1, histogram::LONGEST, u64::from(digits));
    if shape != ours {
        return Err(format!("its bounds and digits are {shape:?}, and ours {ours:?}"));
    }
    if counts.split_inclusive(|octet| octet & 0x80 == 0).any(|count| count.len() > LONGEST_COUNT) {
        return Err("one of its counts is too great".to_owned());
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

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

    /// A histogram with this head and these counts, deflated as the library does it.
    fn deflated(length: u32, (low, high, digits): (u64, u64, u32), counts: &[u8]) -> String {
        let mut plain = PLAIN.to_vec();
        plain.extend(length.to_be_bytes());
        plain.extend([0; 4]);
        plain.extend(digits.to_be_bytes());
        plain.extend(low.to_be_bytes());
        plain.extend(high.to_be_bytes());
        plain.extend(1_f64.to_be_bytes());
        plain.extend(counts);
        let mut deflated = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        deflated.write_all(&plain).unwrap();
        let deflated = deflated.finish().unwrap();
        let length = u32::try_from(deflated.len()).unwrap().to_be_bytes();
        BASE64.encode(&[&DEFLATED, length.as_slice(), &deflated].concat())
    }

    #[test]
    fn what_asks_for_memory_or_overflows_never_reaches_the_library() {
        let ours = (1, histogram::LONGEST, u32::from(DIGITS_TARGET));
        let mut latency = TargetLatency::target().unwrap();
        latency.record(0);
        let read = latency.percentiles().unwrap();
        let decoded = |text: &str| decode::<u32>(text, DIGITS_TARGET, &read).map(|_| ());
        // One answer in the first bucket: what is refused below is not refused for its form.
        assert_eq!(decoded(&deflated(1, ours, &[2])), Ok(()));
        let plain = [PLAIN.as_slice(), &[0xff; 4], &[0; 8], &[0; 24]].concat();
        let mut beyond = vec![0xff_u8; 9];
        beyond.push(0);
        let bombs = [
            (BASE64.encode(&plain), "not deflated"),
            (deflated(u32::MAX, ours, &[2]), "not as long as it says"),
            (deflated(0, ours, &[2]), "not as long as it says"),
            (deflated(1 << 20, ours, &vec![0; 1 << 20]), "more than"),
            (deflated(9, ours, &[0xff; 9]), "too great"),
            (deflated(10, ours, &beyond), "too great"),
            (deflated(1, (1, u64::MAX, 5), &[2]), "bounds"),
            (deflated(1, (1, histogram::LONGEST, 0x102), &[2]), "bounds"),
            (deflated(2, ours, &[0x81, 0x80]), "HdrHistogram"),
        ];
        for (text, why) in bombs {
            let error = decoded(&text).unwrap_err();
            assert!(error.contains(why), "{error}, not {why}");
        }
        let cut = encode(&latency).unwrap();
        let octets = BASE64.decode(cut.as_bytes()).unwrap();
        for length in 0..octets.len() {
            decoded(&BASE64.encode(&octets[..length])).unwrap_err();
        }
    }
}
