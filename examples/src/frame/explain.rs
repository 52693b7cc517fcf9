//! What each octet of a datagram means: SPEC.md section 1, also where the frame is malformed.

use polyport_protocol::{Code, DecodeError, HEADER_LEN, Kind, MAGIC, VERSION, is_grease};
use polyport_terminal::{counted, escape_payload};

use super::option::{self, describe, number};

/// One field, as it lies in the datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'d> {
    /// Octets before the field.
    pub offset: usize,
    /// The field's octets.
    pub octets: &'d [u8],
    /// Its name in SPEC.md.
    pub field: String,
    /// What its value says.
    pub meaning: String,
}

/// Every octet of `datagram` in one line or another. `verdict` is the decoder's, for what the checksum is worth.
#[must_use]
pub fn explain(datagram: &[u8], verdict: Result<(), DecodeError>) -> Vec<Line<'_>> {
    let mut walk = Walk { rest: datagram, offset: 0, lines: Vec::new() };
    if datagram.get(..MAGIC.len()) != Some(&MAGIC[..]) {
        walk.take(datagram.len(), "datagram", |_| "not a frame: it does not start with 0e505054".to_owned());
        return walk.lines;
    }
    walk.take(4, "magic", |_| "PPT".to_owned());
    let version = datagram.get(4).copied();
    walk.take(1, "version", |octets| version_text(octets[0]));
    if version.is_some_and(|version| version > VERSION) {
        walk.invariants();
        return walk.lines;
    }
    let sealed = has_auth(datagram);
    walk.header(version, sealed, verdict);
    walk.options(usize::from(datagram.get(7).copied().unwrap_or(0)));
    walk.body(datagram);
    walk.lines
}

struct Walk<'d> {
    rest: &'d [u8],
    offset: usize,
    lines: Vec<Line<'d>>,
}

impl<'d> Walk<'d> {
    /// Takes a field of `len` octets, or what is left of it; nothing makes no line.
    fn take(&mut self, len: usize, field: &str, meaning: impl FnOnce(&[u8]) -> String) {
        let (octets, rest) = self.rest.split_at(len.min(self.rest.len()));
        if octets.is_empty() {
            return;
        }
        let meaning = if octets.len() < len {
            format!("cut: {} of {len} octets", octets.len())
        } else {
            meaning(octets)
        };
        self.lines.push(Line { offset: self.offset, octets, field: field.to_owned(), meaning });
        self.offset += octets.len();
        self.rest = rest;
    }

    /// What holds for every version [P-26].
    fn invariants(&mut self) {
        self.take(1, "kind", |_| "of that version".to_owned());
        self.take(1, "flags", |octets| {
            format!(
                "R is {}, the rest is of that version",
                if octets[0] & 0x80 == 0 { "clear" } else { "set" }
            )
        });
        self.take(1, "hlen", |_| "of that version".to_owned());
        self.take(8, "request_id", |_| "the same place in all versions".to_owned());
        self.take(self.rest.len(), "rest", |_| "of that version".to_owned());
    }

    fn header(&mut self, version: Option<u8>, sealed: bool, verdict: Result<(), DecodeError>) {
        self.take(1, "kind", |octets| kind_text(version, octets[0]));
        self.take(1, "flags", |octets| flags_text(octets[0]));
        self.take(1, "hlen", |octets| {
            format!("{} * 4 = {} octets of header", octets[0], usize::from(octets[0]) * 4)
        });
        self.take(8, "request_id", |octets| match number(octets) {
            0 => "none, as in an EVENT".to_owned(),
            _ => "random, the same for all attempts".to_owned(),
        });
        self.take(4, "stream_id", |_| "random, one for each run of a client".to_owned());
        self.take(1, "attempt", |octets| match octets[0] {
            0 => "the first transmission".to_owned(),
            n => format!("retransmission {n}"),
        });
        self.take(1, "code", |octets| Code(octets[0]).to_string());
        self.take(2, "payload_len", |octets| {
            counted(number(octets), "octet of payload", "octets of payload")
        });
        self.take(8, "seq", |octets| format!("number {} of the stream", number(octets)));
        self.take(8, "timestamp", |octets| format!("{} ns on the sender's clock", number(octets)));
        self.take(4, "checksum", |octets| checksum_text(octets, sealed, verdict));
    }

    /// The option area: as long as `hlen` says, or as much of it as there is.
    fn options(&mut self, hlen: usize) {
        let Some(area) = (hlen * 4).checked_sub(HEADER_LEN) else { return };
        let end = self.offset + area.min(self.rest.len());
        while self.offset < end {
            let left = end - self.offset;
            let Some(&[kind, len]) = self.rest.first_chunk::<2>() else {
                return self.take(left, "option", |_| "cut".to_owned());
            };
            let (value, whole) = (usize::from(len), (usize::from(len) + 2).next_multiple_of(4));
            if whole > left {
                let octets = counted(len, "octet", "octets");
                let text = format!("claims {octets} of value and overruns the header");
                return self.take(left, option::name(kind), |_| text);
            }
            self.take(whole, option::name(kind), |octets| describe(kind, &octets[2..2 + value]));
        }
    }

    fn body(&mut self, datagram: &[u8]) {
        let payload = datagram.get(22..24).map_or(0, number);
        let payload = usize::try_from(payload).unwrap_or(usize::MAX);
        let padded = datagram.get(6).is_some_and(|flags| flags & 0x40 != 0);
        self.take(payload, "payload", |octets| format!("\"{}\"", escape_payload(octets)));
        let text = if padded { "ignored, flag P" } else { "octets behind the payload without flag P" };
        self.take(self.rest.len(), if padded { "padding" } else { "trailing" }, |_| text.to_owned());
    }
}

fn version_text(version: u8) -> String {
    match version {
        0 => "0: a VERSION frame".to_owned(),
        1 => "PPT/1".to_owned(),
        n if is_grease(n) => format!("{n}: grease, never assigned"),
        n => format!("{n}: unknown here"),
    }
}

fn kind_text(version: Option<u8>, kind: u8) -> String {
    let name = match (version, Kind::from_octet(kind)) {
        (Some(0), _) if kind == 0 => "VERSION",
        (Some(0), _) => "unknown: version 0 has kind 0 only",
        (_, Some(Kind::Request)) => "REQUEST",
        (_, Some(Kind::Response)) => "RESPONSE",
        (_, Some(Kind::Error)) => "ERROR",
        (_, Some(Kind::Event)) => "EVENT",
        (_, Some(Kind::Probe)) => "PROBE",
        (_, Some(Kind::ProbeAck)) => "PROBE_ACK",
        (_, Some(Kind::Private(_))) => "private, as the plugin defines",
        (_, None) if is_grease(kind) => "grease, never assigned",
        (_, Some(Kind::Version) | None) => "unassigned",
    };
    name.to_owned()
}

/// The letters of [P-14], from the highest bit down.
const FLAGS: [&str; 8] = [
    "R reply",
    "P padded",
    "G group",
    "W warm-up",
    "S wants RSTAT",
    "T wants TIMES",
    "I idempotent",
    "X grease",
];

fn flags_text(flags: u8) -> String {
    let set: Vec<&str> = (0..8).filter(|bit| flags & (0x80 >> bit) != 0).map(|bit| FLAGS[bit]).collect();
    if set.is_empty() { "none".to_owned() } else { set.join(", ") }
}

fn checksum_text(octets: &[u8], sealed: bool, verdict: Result<(), DecodeError>) -> String {
    match verdict {
        _ if sealed && number(octets) == 0 => "0, since the tag of AUTH counts".to_owned(),
        _ if sealed => "not judged, since the tag of AUTH counts".to_owned(),
        Err(DecodeError::BadChecksum) => "CRC-32C, wrong".to_owned(),
        Err(class) if class < DecodeError::BadChecksum || class == DecodeError::NoAuth => {
            format!("CRC-32C, not judged: {class} comes first")
        }
        Ok(()) | Err(_) => "CRC-32C, right".to_owned(),
    }
}

/// Whether the last option is an AUTH.
fn has_auth(datagram: &[u8]) -> bool {
    let end = usize::from(datagram.get(7).copied().unwrap_or(0)) * 4;
    let mut area = datagram.get(HEADER_LEN..end).unwrap_or_default();
    while let Some(&[kind, len]) = area.first_chunk::<2>() {
        area = area.get((usize::from(len) + 2).next_multiple_of(4)..).unwrap_or_default();
        if kind == option::AUTH {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pseudo-random stream is enough to reach every branch of the walk.
    fn noise(seed: u64) -> impl FnMut() -> u8 {
        let mut state = seed;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        }
    }

    #[test]
    fn every_octet_is_in_exactly_one_line_whatever_the_datagram() {
        for seed in 0..2000 {
            let mut next = noise(seed);
            let mut datagram: Vec<u8> = (0..usize::from(next())).map(|_| next()).collect();
            for (octet, wanted) in datagram.iter_mut().zip(MAGIC.into_iter().chain([next() & 1])) {
                *octet = wanted;
            }
            if let Some(hlen) = datagram.get_mut(7) {
                *hlen = 9 + (*hlen & 15);
            }
            let mut at = 0;
            for line in explain(&datagram, Err(DecodeError::BadChecksum)) {
                assert_eq!((line.offset, line.octets), (at, &datagram[at..at + line.octets.len()]));
                assert!(!line.octets.is_empty() && !line.meaning.is_empty());
                at += line.octets.len();
            }
            assert_eq!(at, datagram.len(), "seed {seed}");
        }
    }

    #[test]
    fn the_checksum_is_only_called_right_when_it_was_judged() {
        let text = |verdict| checksum_text(&[1, 2, 3, 4], false, verdict);
        assert_eq!(text(Ok(())), "CRC-32C, right");
        assert_eq!(text(Err(DecodeError::BadChecksum)), "CRC-32C, wrong");
        assert_eq!(text(Err(DecodeError::UnknownKind)), "CRC-32C, right");
        assert!(text(Err(DecodeError::BadOption)).contains("bad_option comes first"));
        assert!(checksum_text(&[0; 4], true, Ok(())).starts_with("0, since the tag"));
    }
}
