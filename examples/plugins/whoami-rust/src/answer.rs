//! Responses: header, question, records, and EDNS where the query had it.

use std::net::{IpAddr, SocketAddr};

use crate::query::{OPT, Query};

pub(crate) const A: u16 = 1;
pub(crate) const TXT: u16 = 16;
pub(crate) const AAAA: u16 = 28;
pub(crate) const ANY: u16 = 255;
/// The class of the Internet.
pub(crate) const IN: u16 = 1;

/// What a response says of the query; the number is the RCODE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Verdict {
    NoError = 0,
    NotImplemented = 4,
    Refused = 5,
    BadVersion = 16,
}

/// The most that is sent in one datagram, octets, to whoever takes so much: such datagrams are hardly ever cut on their way
/// (DNS Flag Day 2020).
const LARGEST: u16 = 1232;
/// What everybody takes (RFC 1035, section 4.2.1).
const EVERYBODY: u16 = 512;

/// Response, authoritative, truncated.
const QR_AA: u16 = 0x8400;
const TC: u16 = 0x0200;
/// Bits of the query that are repeated: opcode, recursion desired, checking disabled.
const REPEATED: u16 = 0x7910;
/// Octets of a record of EDNS without options.
const OPT_LEN: usize = 11;

/// The response to `query`. Answers that do not fit what the asker takes are left out, and the response says so; over UDP alone
/// there is no more to be had.
pub(crate) fn respond(query: &Query<'_>, verdict: Verdict, records: &[Vec<u8>]) -> Vec<u8> {
    let most = query.edns.map_or(EVERYBODY, |edns| edns.size.clamp(EVERYBODY, LARGEST)).into();
    let question = query.name.len() + 4;
    let edns = if query.edns.is_some() { OPT_LEN } else { 0 };
    let fits = 12 + question + edns + records.iter().map(Vec::len).sum::<usize>() <= most;
    let records = if fits { records } else { &[] };
    let rcode = verdict as u16;
    let flags = QR_AA | query.flags & REPEATED | if fits { 0 } else { TC } | rcode & 0xF;
    let count = u16::try_from(records.len()).unwrap_or(0);
    let mut response: Vec<u8> = Vec::with_capacity(most);
    for number in [query.id, flags, 1, count, 0, u16::from(query.edns.is_some())] {
        response.extend(number.to_be_bytes());
    }
    response.extend(query.name);
    response.extend([query.kind.to_be_bytes(), query.class.to_be_bytes()].as_flattened());
    response.extend(records.iter().flatten());
    if query.edns.is_some() {
        let [_, extended] = (rcode >> 4).to_be_bytes();
        response.push(0);
        response
            .extend([OPT.to_be_bytes(), LARGEST.to_be_bytes(), [extended, 0], [0; 2], [0; 2]].as_flattened());
    }
    response
}

/// The records that tell who asks, of this kind.
pub(crate) fn whoami(kind: u16, peer: SocketAddr, comment: &[u8]) -> Vec<Vec<u8>> {
    let ip = peer.ip().to_canonical();
    let wanted = |of: u16| kind == of || kind == ANY;
    let mut records = Vec::new();
    match ip {
        IpAddr::V4(ip) if wanted(A) => records.push(record(A, &ip.octets())),
        IpAddr::V6(ip) if wanted(AAAA) => records.push(record(AAAA, &ip.octets())),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    if wanted(TXT) {
        let texts = [ip.to_string(), peer.port().to_string()];
        records.push(record(TXT, &texts.map(|text| strings(text.as_bytes())).concat()));
        if !comment.is_empty() {
            records.push(record(TXT, &strings(comment)));
        }
    }
    records
}

/// A record of the name that was asked for, which nobody may keep.
fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap_or(0);
    // The name is where the question has it, behind the header.
    [&[0xC0, 12], &kind.to_be_bytes()[..], &IN.to_be_bytes(), &[0; 4], &length.to_be_bytes(), data].concat()
}

/// Text as strings of up to 255 octets.
fn strings(text: &[u8]) -> Vec<u8> {
    text.chunks(255).flat_map(|part| [&[u8::try_from(part.len()).unwrap_or(0)], part].concat()).collect()
}
