//! Plain text that is another one in each datagram: `seq={seq} at={time} {random:8}`.

use std::fmt;

use super::ledger::Identity;

/// A text with fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    /// Number of the datagram in its stream.
    Seq,
    /// When it left, in nanoseconds of a clock that starts anywhere.
    Time,
    /// So many hexadecimal digits.
    Random(usize),
}

/// Digits of the largest number.
const DIGITS: usize = 20;

/// Digits of a random field.
const MOST_RANDOM: usize = 1024;

impl Template {
    /// Parses a text in which `{seq}`, `{time}` and `{random:8}` are fields; `{{` and `}}` are braces.
    ///
    /// # Errors
    /// Says which field there is not.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            rest = &rest[character.len_utf8()..];
            match character {
                '{' | '}' if rest.starts_with(character) => {
                    literal.push(character);
                    rest = &rest[1..];
                }
                '{' => {
                    let (name, behind) =
                        rest.split_once('}').ok_or_else(|| format!("a field of `{text}` has no end"))?;
                    rest = behind;
                    if !literal.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut literal).into_bytes()));
                    }
                    parts.push(field(name)?);
                }
                '}' => return Err(format!("`}}` without `{{` in `{text}`: write }}}}")),
                other => literal.push(other),
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal.into_bytes()));
        }
        Ok(Self { parts })
    }

    /// Octets of the longest datagram.
    #[must_use]
    pub fn longest(&self) -> usize {
        let len = |part: &Part| match part {
            Part::Text(text) => text.len(),
            Part::Seq | Part::Time => DIGITS,
            Part::Random(digits) => *digits,
        };
        self.parts.iter().map(len).sum()
    }

    /// Writes one datagram to `buffer`, which has room for the longest, and says how long it is.
    pub fn write(&self, buffer: &mut [u8], identity: &Identity) -> usize {
        let mut at = 0;
        // The id is random, and that of this datagram alone: it is what the digits are drawn from.
        let mut random = identity.request_id;
        for part in &self.parts {
            match part {
                Part::Text(text) => put(buffer, &mut at, text),
                Part::Seq => number(buffer, &mut at, identity.seq),
                Part::Time => number(buffer, &mut at, identity.timestamp),
                Part::Random(digits) => {
                    for _ in 0..*digits {
                        random = scramble(random);
                        let digit = b"0123456789abcdef"[usize::from(random.to_be_bytes()[0] >> 4)];
                        put(buffer, &mut at, &[digit]);
                    }
                }
            }
        }
        at
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Text(text) => {
                    let text = String::from_utf8_lossy(text).replace('{', "{{").replace('}', "}}");
                    f.write_str(&text)?;
                }
                Part::Seq => f.write_str("{seq}")?,
                Part::Time => f.write_str("{time}")?,
                Part::Random(digits) => write!(f, "{{random:{digits}}}")?,
            }
        }
        Ok(())
    }
}

fn field(name: &str) -> Result<Part, String> {
    match name {
        "seq" => Ok(Part::Seq),
        "time" => Ok(Part::Time),
        _ => {
            let digits = name.strip_prefix("random:").and_then(|digits| digits.parse().ok());
            digits.filter(|digits| (1..=MOST_RANDOM).contains(digits)).map(Part::Random).ok_or_else(|| {
                format!("there is no field `{{{name}}}`: they are {{seq}}, {{time}} and {{random:8}}")
            })
        }
    }
}

fn put(buffer: &mut [u8], at: &mut usize, octets: &[u8]) {
    if let Some(room) = buffer.get_mut(*at..*at + octets.len()) {
        room.copy_from_slice(octets);
        *at += octets.len();
    }
}

fn number(buffer: &mut [u8], at: &mut usize, mut number: u64) {
    let mut digits = [b'0'; DIGITS];
    let mut first = DIGITS;
    loop {
        first -= 1;
        digits[first] = b"0123456789"[usize::try_from(number % 10).unwrap_or(0)];
        number /= 10;
        if number == 0 || first == 0 {
            break;
        }
    }
    put(buffer, at, &digits[first..]);
}

/// The finaliser of `SplitMix64`, one step further.
const fn scramble(bits: u64) -> u64 {
    let mut bits = bits.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ bits >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, request_id: u64) -> String {
        let template = Template::parse(text).unwrap();
        let mut buffer = vec![0; template.longest()];
        let identity = Identity { stream_id: 1, seq: 42, request_id, timestamp: u64::MAX };
        let len = template.write(&mut buffer, &identity);
        buffer.truncate(len);
        assert_eq!(template.to_string(), text);
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn fields_are_filled_in() {
        assert_eq!(written("n={seq} t={time} {{seq}}", 7), "n=42 t=18446744073709551615 {seq}");
        assert_eq!(written("plain", 7), "plain");
        let (one, other) = (written("{random:16}", 7), written("{random:16}", 8));
        assert!(one.len() == 16 && one != other && one == written("{random:16}", 7), "{one} {other}");
        assert!(one.bytes().all(|digit| digit.is_ascii_hexdigit()));
    }

    #[test]
    fn what_is_no_field_is_named() {
        for (text, named) in [
            ("{id}", "no field `{id}`"),
            ("{random:0}", "no field `{random:0}`"),
            ("{random:2000}", "no field"),
            ("{seq", "has no end"),
            ("seq}", "without `{`"),
        ] {
            assert!(Template::parse(text).unwrap_err().contains(named), "{text}");
        }
    }
}
