//! What the responder does for a request: the services, as functions of payload and time.

use std::io::Write;

use polyport_plugin::choices;
use polyport_protocol::Code;

/// `sum`: a word of the payload is not a decimal integer.
pub const NOT_A_NUMBER: Code = Code(128);
/// `sum`: a number or the sum is outside -2^127 to 2^127 - 1.
pub const OUT_OF_RANGE: Code = Code(129);

choices! {
    /// What a request is answered with.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Service {
        /// Its payload.
        Echo = "echo",
        /// Unix time, whatever the payload: `unix 1700000000.000000000`, always nine decimals.
        Time = "time",
        /// Its payload with the ASCII letters in upper case.
        Upper = "upper",
        /// The sum of the decimal integers in the payload, which white space separates.
        Sum = "sum",
    }
}

impl Service {
    /// Executes a request at `wall_ns` (Unix time in nanoseconds). The payload of the reply is written to `out`,
    /// which is empty; the code is [`Code::OK`], or says that the payload is the text of an error.
    pub fn execute(self, payload: &[u8], wall_ns: u64, out: &mut Vec<u8>) -> Code {
        match self {
            Self::Echo => out.extend_from_slice(payload),
            Self::Time => {
                let (seconds, nanos) = (wall_ns / 1_000_000_000, wall_ns % 1_000_000_000);
                print(out, format_args!("unix {seconds}.{nanos:09}"));
            }
            Self::Upper => out.extend(payload.iter().map(u8::to_ascii_uppercase)),
            Self::Sum => {
                return match sum(payload) {
                    Ok(sum) => {
                        print(out, format_args!("{sum}"));
                        Code::OK
                    }
                    Err((code, text)) => {
                        print(out, format_args!("{text}"));
                        code
                    }
                };
            }
        }
        Code::OK
    }
}

fn sum(payload: &[u8]) -> Result<i128, (Code, &'static str)> {
    let not_a_number = (NOT_A_NUMBER, "not a decimal integer");
    let out_of_range = (OUT_OF_RANGE, "out of range");
    let words = payload.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    words.into_iter().try_fold(0_i128, |sum, word| {
        let digits = word.strip_prefix(b"-").or_else(|| word.strip_prefix(b"+")).unwrap_or(word);
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(not_a_number);
        }
        // ASCII digits with a sign: what is left to go wrong is the range.
        let number = std::str::from_utf8(word).ok().and_then(|word| word.parse::<i128>().ok());
        number.and_then(|number| sum.checked_add(number)).ok_or(out_of_range)
    })
}

fn print(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a vector cannot fail.
    out.write_fmt(text).unwrap_or(());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(service: Service, payload: &[u8]) -> (Code, String) {
        let mut out = Vec::new();
        let code = service.execute(payload, 1_700_000_000_000_000_042, &mut out);
        (code, String::from_utf8(out).unwrap())
    }

    #[test]
    fn services() {
        assert_eq!(run(Service::Echo, b"ping"), (Code::OK, "ping".into()));
        assert_eq!(run(Service::Upper, "ping é 9".as_bytes()), (Code::OK, "PING é 9".into()));
        assert_eq!(run(Service::Time, b"ping"), (Code::OK, "unix 1700000000.000000042".into()));
        assert_eq!(run(Service::Sum, b" 1 -2\t+40\r\n3 "), (Code::OK, "42".into()));
        assert_eq!(run(Service::Sum, b""), (Code::OK, "0".into()));
    }

    #[test]
    fn what_is_no_number_has_a_code_and_a_text() {
        for payload in ["x", "1 2x", "1.5", "-", "--1", "+", "1 \u{662}", "0x10"] {
            let answer = run(Service::Sum, payload.as_bytes());
            assert_eq!(answer, (NOT_A_NUMBER, "not a decimal integer".into()), "{payload}");
        }
        let most = i128::MAX.to_string();
        assert_eq!(run(Service::Sum, most.as_bytes()), (Code::OK, most.clone()));
        for payload in [format!("{most} 1"), format!("{most}0"), format!("{} -1", i128::MIN)] {
            assert_eq!(run(Service::Sum, payload.as_bytes()), (OUT_OF_RANGE, "out of range".into()));
        }
    }
}
