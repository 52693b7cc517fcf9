//! What an instance leaves to the next one: whom sessions belong to, who has answered, and what names were found to mean. Bytes that
//! another version of the plugin may have written, so whatever does not fit is no state.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

use crate::names::Name;

/// Of the form below.
pub(crate) const VERSION: u32 = 1;

/// What is worth keeping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// Addresses of upstreams that have answered.
    pub(crate) answering: Vec<SocketAddr>,
    pub(crate) names: Vec<(Name, Vec<SocketAddr>)>,
    pub(crate) sessions: Vec<Kept>,
}

/// What is worth keeping of a session; the rest the host knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The number that the host knows.
    pub(crate) number: u32,
    /// The address that the client asked.
    pub(crate) asked: [u8; 16],
    pub(crate) is_answered: bool,
    pub(crate) requests: u32,
    pub(crate) answers: u32,
    pub(crate) errors: u32,
}

impl State {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        write_all(out, &self.answering, |out, address| write_address(out, *address));
        write_all(out, &self.names, |out, (name, found)| {
            write_all(out, name.host.as_bytes(), |out, byte| out.push(*byte));
            out.extend(name.port.to_le_bytes());
            write_all(out, found, |out, address| write_address(out, *address));
        });
        write_all(out, &self.sessions, |out, kept| {
            out.extend(kept.asked);
            out.push(kept.is_answered.into());
            for number in [kept.number, kept.requests, kept.answers, kept.errors] {
                out.extend(number.to_le_bytes());
            }
        });
    }

    /// None if these are no bytes of [`write`](Self::write).
    pub(crate) fn read(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let state = Self {
            answering: read_all(bytes, read_address)?,
            names: read_all(bytes, |bytes| {
                let host = String::from_utf8(read_all(bytes, |bytes| Some(take::<1>(bytes)?[0]))?).ok()?;
                let port = u16::from_le_bytes(take(bytes)?);
                Some((Name { host, port }, read_all(bytes, read_address)?))
            })?,
            sessions: read_all(bytes, |bytes| {
                let (asked, [is_answered]) = (take(bytes)?, take(bytes)?);
                let mut number = || Some(u32::from_le_bytes(take(bytes)?));
                let (at, requests, answers, errors) = (number()?, number()?, number()?, number()?);
                Some(Kept { number: at, asked, is_answered: is_answered != 0, requests, answers, errors })
            })?,
        };
        bytes.is_empty().then_some(state)
    }
}

fn write_all<T>(out: &mut Vec<u8>, items: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    out.extend(u32::try_from(items.len()).unwrap_or(u32::MAX).to_le_bytes());
    items.iter().for_each(|item| write(out, item));
}

/// The count says nothing about memory: every item takes bytes, and those are there.
fn read_all<T>(bytes: &mut &[u8], mut read: impl FnMut(&mut &[u8]) -> Option<T>) -> Option<Vec<T>> {
    let count = u32::from_le_bytes(take(bytes)?);
    (0..count).map(|_| read(bytes)).collect()
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

fn write_address(out: &mut Vec<u8>, address: SocketAddr) {
    let (ip, scope) = match address {
        SocketAddr::V4(address) => (address.ip().to_ipv6_mapped(), 0),
        SocketAddr::V6(address) => (*address.ip(), address.scope_id()),
    };
    out.push(address.is_ipv6().into());
    out.extend(ip.octets());
    out.extend(scope.to_le_bytes());
    out.extend(address.port().to_le_bytes());
}

fn read_address(bytes: &mut &[u8]) -> Option<SocketAddr> {
    let [is_ipv6] = take(bytes)?;
    let ip = Ipv6Addr::from(take::<16>(bytes)?);
    let (scope, port) = (u32::from_le_bytes(take(bytes)?), u16::from_le_bytes(take(bytes)?));
    Some(match ip.to_ipv4_mapped().filter(|_| is_ipv6 == 0) {
        Some(ip) => SocketAddr::new(IpAddr::V4(ip), port),
        None => SocketAddrV6::new(ip, port, 0, scope).into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        let kept = Kept { number: 9, asked: [7; 16], is_answered: true, requests: 1, answers: 2, errors: 3 };
        let addresses: Vec<SocketAddr> = ["192.0.2.1:53", "[fe80::1%4]:9", "[::ffff:192.0.2.1]:53"]
            .map(|text| text.parse().unwrap())
            .to_vec();
        let state = State {
            answering: addresses.clone(),
            names: vec![(Name { host: "a.example".to_owned(), port: 53 }, addresses)],
            sessions: vec![kept, Kept { number: 1, is_answered: false, ..kept }],
        };
        for state in [state, State::default()] {
            let mut bytes = Vec::new();
            state.write(&mut bytes);
            assert_eq!(State::read(&bytes), Some(state));
            for end in 0..bytes.len() {
                assert_eq!(State::read(&bytes[..end]), None);
            }
            bytes.push(0);
            assert_eq!(State::read(&bytes), None);
        }
        assert_eq!(State::read(&[0xff; 12]), None);
    }
}
