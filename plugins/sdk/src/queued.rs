//! What becomes of a datagram that a handler wants to send, as far as it is known at once.

use core::fmt;

use polyport_abi as abi;

/// Whether a datagram was queued that leaves when the call returns, as far as it is known at once. It may be ignored: the host
/// counts what does not leave, each with its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Queued {
    /// Nothing is known against it.
    Yes,
    /// It will not leave.
    No(Refusal),
}

impl Queued {
    /// Whether nothing is known against it.
    #[must_use]
    pub const fn is_queued(self) -> bool {
        matches!(self, Self::Yes)
    }

    /// Why it will not leave.
    #[must_use]
    pub const fn refusal(self) -> Option<Refusal> {
        match self {
            Self::Yes => None,
            Self::No(refusal) => Some(refusal),
        }
    }

    /// Whether nothing is known against it, as a result that `?` takes.
    ///
    /// # Errors
    /// Why it will not leave.
    pub const fn ok(self) -> Result<(), Refusal> {
        match self {
            Self::Yes => Ok(()),
            Self::No(refusal) => Err(refusal),
        }
    }
}

/// Why a datagram will not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no room for more in this call.
    NoRoom,
    /// Too many wait to leave later.
    NoRoomLater,
    /// Longer than a datagram can be: 65,507 bytes.
    TooLong,
    /// The ticket is too old, was used in an earlier call, or is none of this instance.
    TooLate,
    /// A listener of this daemon would get it.
    OwnListener,
    /// A group or a broadcast address, which the listener does not allow (`[listen.reply]` `groups`).
    Group,
    /// The port of a service that answers anything, which the listener does not allow (`[listen.reply]` `ports`).
    LoopPort,
    /// The port of the listener itself, which it does not allow (`[listen.reply]` `same_port`).
    SamePort,
    /// No address that the socket can send to: of the other family, or without a port.
    Destination,
    /// The port to send from is not the listener's; a socket has no other.
    Source,
}

impl Refusal {
    /// What the host has answered.
    pub(crate) const fn of(code: i32) -> Option<Self> {
        Some(match code {
            abi::REFUSED_OWN_LISTENER => Self::OwnListener,
            abi::REFUSED_GROUP => Self::Group,
            abi::REFUSED_LOOP_PORT => Self::LoopPort,
            abi::REFUSED_SAME_PORT => Self::SamePort,
            abi::REFUSED_DESTINATION => Self::Destination,
            abi::REFUSED_SOURCE => Self::Source,
            _ => return None,
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRoom => "no room for more in this call",
            Self::NoRoomLater => "too many datagrams wait to leave later",
            Self::TooLong => "longer than a datagram can be",
            Self::TooLate => "too late: the ticket is no longer good",
            Self::OwnListener => "a listener of this daemon would get it",
            Self::Group => "a group or a broadcast address, which the listener does not allow",
            Self::LoopPort => {
                "the port of a service that answers anything, which the listener does not allow"
            }
            Self::SamePort => "the listener's own port, which it does not allow",
            Self::Destination => "no address that the socket can send to",
            Self::Source => "a socket sends from its own port",
        })
    }
}

impl core::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::{Queued, Refusal};
    use crate::testing::{Harness, LOCAL};
    use crate::{Batch, Error, Handler, Level, Setup};

    /// Sends as the first byte of a datagram says, and writes down what it was told.
    struct Asks;

    const AWAY: SocketAddr = SocketAddr::new(LOCAL.ip(), 9);

    impl Handler for Asks {
        type Config = ();

        fn new((): (), _: &mut Setup<'_>) -> Result<Self, Error> {
            Ok(Self)
        }

        fn on_batch(&mut self, batch: &mut Batch<'_>) {
            for datagram in batch.datagrams() {
                let queued = match datagram.payload().first() {
                    Some(b'o') => datagram.forward(LOCAL),
                    Some(b'l') => datagram.reply(&vec![0; 65_508]),
                    Some(b's') => batch.send_to_from(AWAY, AWAY, b"x"),
                    Some(b'd') => batch.send_to(SocketAddr::new(LOCAL.ip(), 0), b"x"),
                    _ => datagram.echo(),
                };
                assert_eq!(
                    (queued.is_queued(), queued.ok().err()),
                    (queued == Queued::Yes, queued.refusal())
                );
                batch.log(
                    Level::Info,
                    queued.refusal().map_or_else(|| "queued".to_owned(), |why| why.to_string()),
                );
            }
        }
    }

    #[test]
    fn why_a_datagram_will_not_leave_is_known_at_once() {
        let mut h = Harness::<Asks>::new(&[]);
        let asks = ["own", "long", "source", "destination", "echo"];
        h.send_batch(&asks.map(|ask| ("192.0.2.1:5", ask.as_bytes())));
        let told = [Refusal::OwnListener, Refusal::TooLong, Refusal::Source, Refusal::Destination]
            .map(|refusal| refusal.to_string());
        assert_eq!(h.lines(), told.into_iter().chain(["queued".to_owned()]).collect::<Vec<_>>());
        assert_eq!(h.sent().len(), 1, "what was refused has not left");
    }
}
