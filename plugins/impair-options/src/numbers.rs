//! Texts that hold numbers: a rate in bits, and several numbers in a row.
//!
//! An error says which number is wrong and what it would have to be.

use polyport_value as value;

/// Units of a rate, in bit/s. `tc` writes the same ones.
const UNITS: [(&str, u64); 5] =
    [("bit", 1), ("kbit", 1_000), ("mbit", 1_000_000), ("gbit", 1_000_000_000), ("tbit", 1_000_000_000_000)];
/// A line of 10 Tbit/s is faster than any; the product of its bits and nanoseconds fits 128 bits with room to spare.
const FASTEST: u64 = 10_000_000_000_000;
/// A datagram of 65,507 bytes takes 18 hours then.
const SLOWEST: u64 = 8;

/// `5Mbit`, `1.5Mbit/s`, `768kbit`, `9600bit`: bits in a second, powers of 1000, upper or lower case.
///
/// # Errors
/// What was expected.
pub fn bit_rate(text: &str) -> Result<u64, String> {
    const EXPECTED: &str = "expected a rate in bits, such as 5Mbit, 768kbit or 1.5Gbit/s";
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start();
    let unit = unit.strip_suffix("/s").unwrap_or(unit);
    let known = UNITS.iter().find(|(name, _)| unit.eq_ignore_ascii_case(name));
    let Some((_, scale)) = known else {
        let lower = unit.to_ascii_lowercase();
        return Err(if lower.is_empty() && !number.is_empty() {
            format!("a rate needs its unit, such as {number}kbit or {number}Mbit")
        } else if lower.ends_with("bps") || lower.ends_with('b') {
            // `tc` reads bps as bytes, most others as bits.
            format!("`{unit}` may mean bits or bytes; {EXPECTED}")
        } else {
            EXPECTED.to_owned()
        });
    };
    let rate = decimal(number, *scale).ok_or(EXPECTED)?;
    if (SLOWEST..=FASTEST).contains(&rate) {
        return Ok(rate);
    }
    Err(format!("a rate is from {SLOWEST}bit to 10Tbit a second"))
}

/// A decimal number times `scale`; what is finer than one is cut off.
fn decimal(number: &str, scale: u64) -> Option<u64> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || part.contains('.') || part.len() > 12 {
        return None;
    }
    let part_scale = 10_u128.pow(u32::try_from(part.len()).ok()?);
    let part: u64 = if part.is_empty() { 0 } else { part.parse().ok()? };
    let all = u128::from(whole.parse::<u64>().ok()?) * part_scale + u128::from(part);
    u64::try_from(all * u128::from(scale) / part_scale).ok()
}

/// The words of a text, which spaces or commas part.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', '\t', ',']).filter(|word| !word.is_empty())
}

/// Shares in a row, each by its name: the first `required` of them must be there. What is left out is none.
///
/// # Errors
/// Names the one that is missing, wrong, or too many.
pub(crate) fn shares<const N: usize>(
    text: &str,
    names: [&str; N],
    required: usize,
) -> Result<[Option<f64>; N], String> {
    let mut all = [None; N];
    let mut given = words(text);
    for (number, (name, place)) in (1..).zip(names.iter().zip(&mut all)) {
        match given.next() {
            Some(word) => {
                let share = value::ratio(word);
                *place =
                    Some(share.map_err(|wrong| format!("number {number}, `{name}`, is `{word}`: {wrong}"))?);
            }
            None if number <= required => {
                return Err(format!(
                    "number {number}, `{name}`, is missing: \"{}\" is expected",
                    names.join(" ")
                ));
            }
            None => {}
        }
    }
    match given.next() {
        Some(word) => Err(format!("`{word}` is one too many: \"{}\" is expected", names.join(" "))),
        None => Ok(all),
    }
}

/// Loss in runs: the share, and the length of a run.
///
/// # Errors
/// Names the number that is wrong.
pub(crate) fn burst(text: &str) -> Result<(f64, u16), String> {
    let mut given = words(text);
    let (Some(share), Some(length), None) = (given.next(), given.next(), given.next()) else {
        return Err("expected the share that is lost and the length of each run, such as \"2% 4\"".to_owned());
    };
    let share = value::ratio(share).map_err(|wrong| format!("number 1, the share, is `{share}`: {wrong}"))?;
    match length.parse() {
        Ok(run @ 1..=LONGEST_RUN) => Ok((share, run)),
        Ok(_) | Err(_) => {
            Err(format!("number 2, the length of a run, is `{length}`: expected 1 to {LONGEST_RUN}"))
        }
    }
}

/// More in a row is a `blackout`.
const LONGEST_RUN: u16 = u16::MAX;

/// Slots: datagrams wait and leave together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotText {
    /// Shortest time between two slots, ns.
    pub(crate) min_ns: u64,
    /// Longest, ns.
    pub(crate) max_ns: u64,
    /// Most datagrams in one; 0 is any number.
    pub(crate) packets: u32,
    /// Most bytes in one; 0 is any number.
    pub(crate) bytes: u64,
}

/// `"20ms 40ms 10 64KiB"`: the shortest and the longest time between slots, most datagrams and bytes in one. All but the
/// first may be left out.
///
/// # Errors
/// Names the number that is wrong.
pub(crate) fn slot(text: &str) -> Result<SlotText, String> {
    let mut given = words(text);
    let Some(min) = given.next() else {
        return Err("expected the time between two slots, such as 20ms, or \"20ms 40ms 10 64KiB\"".to_owned());
    };
    let time = |number: u32, name: &str, word: &str| {
        let wrong = |why: String| format!("number {number}, {name}, is `{word}`: {why}");
        let time = value::duration(word).map_err(wrong)?;
        u64::try_from(time.as_nanos())
            .ok()
            .filter(|ns| *ns <= crate::direction::LONGEST_WAIT_NS)
            .ok_or_else(|| wrong("at most a minute".to_owned()))
    };
    let min_ns = time(1, "the shortest time between slots", min)?;
    let max_ns = match given.next() {
        Some(word) => time(2, "the longest time between slots", word)?,
        None => min_ns,
    };
    if max_ns < min_ns {
        return Err("number 2, the longest time between slots, is shorter than number 1".to_owned());
    }
    if max_ns == 0 {
        return Err(
            "number 1, the shortest time between slots, is 0: slots need time between them".to_owned()
        );
    }
    let packets = match given.next() {
        Some(word) => word.parse().map_err(|_| {
            format!("number 3, the datagrams of a slot, is `{word}`: expected a whole number, 0 for any")
        })?,
        None => 0,
    };
    let bytes = match given.next() {
        Some(word) => {
            value::size(word).map_err(|why| format!("number 4, the bytes of a slot, is `{word}`: {why}"))?
        }
        None => 0,
    };
    match given.next() {
        Some(word) => Err(format!("`{word}` is one too many: \"min max packets bytes\" is expected")),
        None => Ok(SlotText { min_ns, max_ns, packets, bytes }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        for (text, rate) in [
            ("5Mbit", 5_000_000),
            ("5mbit/s", 5_000_000),
            ("1.5 Gbit", 1_500_000_000),
            ("768kbit", 768_000),
            (" 9600bit ", 9600),
            ("0.0000096Gbit", 9600),
            ("10Tbit", FASTEST),
        ] {
            assert_eq!(bit_rate(text), Ok(rate), "{text}");
        }
        for (text, why) in [
            ("5", "a rate needs its unit, such as 5kbit or 5Mbit"),
            ("5Mbps", "`Mbps` may mean bits or bytes"),
            ("5MB/s", "`MB` may mean bits or bytes"),
            ("fast", "expected a rate in bits"),
            ("", "expected a rate in bits"),
            ("1.2.3Mbit", "expected a rate in bits"),
            (".5Mbit", "expected a rate in bits"),
            ("-1Mbit", "expected a rate in bits"),
            ("99999999999999999999Mbit", "expected a rate in bits"),
            ("0Mbit", "a rate is from 8bit to 10Tbit"),
            ("11Tbit", "a rate is from 8bit to 10Tbit"),
        ] {
            let wrong = bit_rate(text).unwrap_err();
            assert!(wrong.starts_with(why), "{text}: {wrong}");
        }
    }

    #[test]
    fn shares_name_the_one_that_is_wrong() {
        let names = ["p", "r", "1-h", "1-k"];
        assert_eq!(shares("1% 25%", names, 1), Ok([Some(0.01), Some(0.25), None, None]));
        assert_eq!(
            shares("1%,0.25, 70% 0.1%", names, 1),
            Ok([Some(0.01), Some(0.25), Some(0.7), Some(0.001)])
        );
        for (text, why) in [
            ("1% 250%", "number 2, `r`, is `250%`: expected a ratio from 0% to 100%"),
            ("1% 25% x", "number 3, `1-h`, is `x`: expected a ratio"),
            ("", "number 1, `p`, is missing: \"p r 1-h 1-k\" is expected"),
            ("1% 2% 3% 4% 5%", "`5%` is one too many"),
        ] {
            let wrong = shares(text, names, 1).unwrap_err();
            assert!(wrong.starts_with(why), "{text}: {wrong}");
        }
    }

    #[test]
    fn bursts_and_slots() {
        assert_eq!(burst("2% 4"), Ok((0.02, 4)));
        for (text, why) in [
            ("2%", "expected the share"),
            ("2% 4 5", "expected the share"),
            ("2 4", "number 1, the share, is `2`"),
            ("2% 0", "number 2, the length of a run, is `0`"),
        ] {
            let wrong = burst(text).unwrap_err();
            assert!(wrong.starts_with(why), "{text}: {wrong}");
        }
        let all = SlotText { min_ns: 20_000_000, max_ns: 40_000_000, packets: 10, bytes: 65_536 };
        assert_eq!(slot("20ms 40ms 10 64KiB"), Ok(all));
        assert_eq!(slot("20ms"), Ok(SlotText { max_ns: 20_000_000, packets: 0, bytes: 0, ..all }));
        for (text, why) in [
            ("", "expected the time between two slots"),
            ("20", "number 1, the shortest time between slots, is `20`: a duration needs its unit"),
            ("20ms 10ms", "number 2, the longest time between slots, is shorter than number 1"),
            ("0ms", "number 1, the shortest time between slots, is 0"),
            ("20ms 2min", "number 2, the longest time between slots, is `2min`: at most a minute"),
            ("20ms 40ms x", "number 3, the datagrams of a slot, is `x`"),
            ("20ms 40ms 1 x", "number 4, the bytes of a slot, is `x`"),
            ("20ms 40ms 1 2 3", "`3` is one too many"),
        ] {
            let wrong = slot(text).unwrap_err();
            assert!(wrong.starts_with(why), "{text}: {wrong}");
        }
    }
}
