//! Asking a socket for facts about each datagram: `ip(7)`, `ipv6(7)`, `socket(7)`.

use std::io;

use libc::c_int;
use socket2::Socket;

use crate::{Facts, sockopt};

/// An option that failed, and why.
type Failed = (&'static str, io::Error);

/// Facts in a byte: with a thousand busy sockets each byte of one may be a wait for memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bits(u8);

impl From<Facts> for Bits {
    #[inline]
    fn from(facts: Facts) -> Self {
        let Facts { tos, hop_limit, local, time } = facts;
        Self(u8::from(tos) | u8::from(hop_limit) << 1 | u8::from(local) << 2 | u8::from(time) << 3)
    }
}

impl From<Bits> for Facts {
    #[inline]
    fn from(Bits(bits): Bits) -> Self {
        let is = |n: u8| bits >> n & 1 != 0;
        Self { tos: is(0), hop_limit: is(1), local: is(2), time: is(3) }
    }
}

/// One of the facts: how it is named, whether it is asked for, and how it is set.
struct Fact {
    name: &'static str,
    of: fn(&mut Facts) -> &mut bool,
    set: fn(&Socket, ipv6: bool, on: bool) -> io::Result<()>,
}

const FACTS: [Fact; 4] = [
    Fact {
        name: "IP_PKTINFO",
        of: |facts| &mut facts.local,
        set: |socket, ipv6, on| ip_option(socket, ipv6, libc::IP_PKTINFO, libc::IPV6_RECVPKTINFO, on),
    },
    Fact {
        name: "IP_RECVTOS",
        of: |facts| &mut facts.tos,
        set: |socket, ipv6, on| ip_option(socket, ipv6, libc::IP_RECVTOS, libc::IPV6_RECVTCLASS, on),
    },
    Fact {
        name: "IP_RECVTTL",
        of: |facts| &mut facts.hop_limit,
        set: |socket, ipv6, on| ip_option(socket, ipv6, libc::IP_RECVTTL, libc::IPV6_RECVHOPLIMIT, on),
    },
    Fact { name: "SO_TIMESTAMPNS", of: |facts| &mut facts.time, set: |socket, _, on| time(socket, on) },
];

/// Asks for what is in `to` and not in `from`, and no longer for what is only in `from`.
///
/// # Errors
/// Those of `setsockopt(2)`, with the name of the option.
pub(crate) fn change(socket: &Socket, ipv6: bool, mut from: Facts, mut to: Facts) -> Result<(), Failed> {
    for fact in FACTS {
        let (before, after) = (*(fact.of)(&mut from), *(fact.of)(&mut to));
        if before != after {
            (fact.set)(socket, ipv6, after).map_err(|error| (fact.name, error))?;
        }
    }
    Ok(())
}

/// Asks for these facts and for no others, whatever the socket was asked for before.
///
/// # Errors
/// Those of [`change`].
pub(crate) fn set(socket: &Socket, ipv6: bool, mut facts: Facts) -> Result<(), Failed> {
    for fact in FACTS {
        let on = *(fact.of)(&mut facts);
        match (fact.set)(socket, ipv6, on) {
            // What the system does not know at all is not turned on either.
            Err(error) if on || error.kind() != io::ErrorKind::Unsupported => return Err((fact.name, error)),
            _ => {}
        }
    }
    Ok(())
}

/// As far as the system can, asks for `wanted` besides the facts in `always`, and no longer for what is only in `before`.
/// Returns what is told of `wanted`.
pub(crate) fn try_change(
    socket: &Socket,
    ipv6: bool,
    mut always: Facts,
    mut before: Facts,
    mut wanted: Facts,
) -> Facts {
    for fact in FACTS {
        let (was, is) = (*(fact.of)(&mut before), *(fact.of)(&mut wanted));
        if was != is && !*(fact.of)(&mut always) && (fact.set)(socket, ipv6, is).is_err() {
            *(fact.of)(&mut wanted) = was;
        }
    }
    wanted
}

fn ip_option(socket: &Socket, ipv6: bool, v4_name: c_int, v6_name: c_int, on: bool) -> io::Result<()> {
    if ipv6 {
        sockopt::set_int(socket, libc::IPPROTO_IPV6, v6_name, on.into())
    } else {
        sockopt::set_int(socket, libc::IPPROTO_IP, v4_name, on.into())
    }
}

#[cfg(target_os = "linux")]
fn time(socket: &Socket, on: bool) -> io::Result<()> {
    sockopt::set_int(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, on.into())
}

#[cfg(not(target_os = "linux"))]
fn time(_: &Socket, _: bool) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_holds_any_facts() {
        for n in 0..16_u8 {
            let is = |bit: u8| n & bit != 0;
            let facts = Facts { tos: is(1), hop_limit: is(2), local: is(4), time: is(8) };
            assert_eq!(Facts::from(Bits::from(facts)), facts);
        }
    }
}
