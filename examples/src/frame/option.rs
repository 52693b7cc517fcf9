//! Options by name, in both directions: SPEC.md section 3.

use std::str::FromStr;

use polyport_protocol::{Cookie, FrameOption, is_grease};
use polyport_terminal::counted;

use crate::text::{hex, unhex};

const ROOM: u8 = 1;
const COOKIE: u8 = 2;
const TIMES: u8 = 3;
const RSTAT: u8 = 4;
const RETRY_AFTER: u8 = 5;
const PROBE_INFO: u8 = 6;
const VERSIONS: u8 = 7;
pub(super) const AUTH: u8 = 0x81;

/// The name of an option.
pub(super) const fn name(kind: u8) -> &'static str {
    match kind {
        ROOM => "ROOM",
        COOKIE => "COOKIE",
        TIMES => "TIMES",
        RSTAT => "RSTAT",
        RETRY_AFTER => "RETRY_AFTER",
        PROBE_INFO => "PROBE_INFO",
        VERSIONS => "VERSIONS",
        AUTH => "AUTH",
        _ if is_grease(kind) => "grease option",
        0x40..=0x7F | 0xC0..=0xFF => "private option",
        _ => "option",
    }
}

/// What the value of an option says; a wrong length is said, too.
#[must_use]
pub fn describe(kind: u8, value: &[u8]) -> String {
    let wrong = |wanted: &str| format!("type {kind:#04x} with {} octets instead of {wanted}", value.len());
    match (kind, value.len()) {
        (ROOM, octets) => format!("filler of {}", counted(octets, "octet", "octets")),
        (COOKIE, 16) => format!(
            "version {}, made at Unix second {}, hash {}",
            value[0],
            number(&value[4..8]),
            hex(&value[8..])
        ),
        (TIMES, 16) => {
            format!("received at {} ns, answered at {} ns", number(&value[..8]), number(&value[8..]))
        }
        (RSTAT, 20) => format!(
            "reply {} of the stream, {} requests seen, window {:#x}",
            number(&value[..8]),
            number(&value[8..12]),
            number(&value[12..])
        ),
        (RETRY_AFTER, 4) => format!("not before {} ms have passed", number(value)),
        (PROBE_INFO, 4) => {
            format!("{} octets came, {} would fit", number(&value[..2]), number(&value[2..]))
        }
        (VERSIONS, _) => {
            let list: Vec<String> = value.iter().map(u8::to_string).collect();
            format!("speaks {}", list.join(", "))
        }
        (AUTH, 12 | 20) => format!("key {}, tag {}", number(&value[..4]), hex(&value[4..])),
        (COOKIE | TIMES, _) => wrong("16"),
        (RSTAT, _) => wrong("20"),
        (RETRY_AFTER | PROBE_INFO, _) => wrong("4"),
        (AUTH, _) => wrong("12 or 20"),
        (_, octets) => {
            let need = if kind & 0x80 == 0 { "ignored if unknown" } else { "critical" };
            format!("type {kind:#04x}, {octets} octets, {need}")
        }
    }
}

/// Up to eight octets in network byte order.
pub(super) fn number(octets: &[u8]) -> u64 {
    octets.iter().fold(0, |sum, octet| (sum << 8) | u64::from(*octet))
}

/// An option from the command line, such as `room=42` or `0x5a=deadbe`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionArg {
    /// Zeros of this many octets.
    Room(u8),
    /// One that owns nothing.
    Plain(FrameOption<'static>),
    /// Versions, one octet each.
    Versions(Vec<u8>),
    /// By number.
    Other(u8, Vec<u8>),
}

/// Content of ROOM.
const ZEROS: [u8; 255] = [0; 255];

impl OptionArg {
    /// The option to encode.
    #[must_use]
    pub fn as_option(&self) -> FrameOption<'_> {
        match self {
            Self::Room(octets) => FrameOption::Room(&ZEROS[..usize::from(*octets)]),
            Self::Plain(option) => *option,
            Self::Versions(list) => FrameOption::Versions(list),
            Self::Other(number, value) => FrameOption::Other { number: *number, value },
        }
    }
}

impl FromStr for OptionArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("use NAME=VALUE, such as room=42")?;
        let plain = |option| Ok(Self::Plain(option));
        match name {
            "room" => Ok(Self::Room(decimal(value)?)),
            "cookie" => {
                let octets = unhex(value)?.try_into().map_err(|_| "a cookie has 16 octets".to_owned())?;
                plain(FrameOption::Cookie(Cookie(octets)))
            }
            "times" => {
                let [rx, tx] = fields(value, "times=RX_NS,TX_NS")?;
                plain(FrameOption::Times { rx_ns: decimal(rx)?, tx_ns: decimal(tx)? })
            }
            "rstat" => {
                let [rseq, rcount, window] = fields(value, "rstat=RSEQ,RCOUNT,WINDOW")?;
                let window = decimal(window)?;
                plain(FrameOption::Rstat { rseq: decimal(rseq)?, rcount: decimal(rcount)?, window })
            }
            "retry-after" => plain(FrameOption::RetryAfter { ms: decimal(value)? }),
            "probe-info" => {
                let [len, limit] = fields(value, "probe-info=LEN,LIMIT")?;
                plain(FrameOption::ProbeInfo { len: decimal(len)?, limit: decimal(limit)? })
            }
            "versions" => value.split(',').map(decimal).collect::<Result<_, _>>().map(Self::Versions),
            "auth" => Err("AUTH is written by the encoder: give a key".to_owned()),
            number => {
                let digits = number.strip_prefix("0x").ok_or_else(|| format!("no option `{number}`"))?;
                let number =
                    u8::from_str_radix(digits, 16).map_err(|error| format!("`{number}`: {error}"))?;
                Ok(Self::Other(number, unhex(value)?))
            }
        }
    }
}

fn decimal<T: FromStr<Err = std::num::ParseIntError>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("`{text}`: {error}"))
}

fn fields<'t, const N: usize>(text: &'t str, form: &str) -> Result<[&'t str; N], String> {
    let parts: Vec<&str> = text.split(',').collect();
    parts.try_into().map_err(|_| format!("use {form}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_written_by_name_or_number() {
        let parse = |text: &str| text.parse::<OptionArg>();
        assert_eq!(parse("room=42").unwrap().as_option(), FrameOption::Room(&[0; 42]));
        assert_eq!(parse("versions=1,10").unwrap().as_option(), FrameOption::Versions(&[1, 10]));
        let other = parse("0x5a=deadbe").unwrap();
        assert_eq!(other.as_option(), FrameOption::Other { number: 0x5A, value: &[0xDE, 0xAD, 0xBE] });
        for wrong in ["room", "room=256", "times=1", "rstat=1,2", "cookie=00", "0xzz=00", "foo=1", "auth=00"]
        {
            assert!(!parse(wrong).unwrap_err().is_empty(), "{wrong}");
        }
    }

    #[test]
    fn a_wrong_length_is_named() {
        assert_eq!(describe(COOKIE, &[0; 15]), "type 0x02 with 15 octets instead of 16");
        assert_eq!(describe(PROBE_INFO, &[4, 0xB0, 0xFF, 0xE3]), "1200 octets came, 65507 would fit");
        assert!(describe(0xC7, &[]).ends_with("critical"));
    }
}
