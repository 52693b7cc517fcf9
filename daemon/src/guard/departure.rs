//! Whether a datagram of a handler leaves.

use std::net::{IpAddr, SocketAddr};

use super::OwnAddresses;
use crate::metrics::DropReason;

/// A datagram on its way out.
#[derive(Clone, Copy, Debug)]
pub struct Departure {
    /// The address its listener is bound to.
    pub local: SocketAddr,
    /// Destination.
    pub to: SocketAddr,
    /// The address it leaves from; none if the kernel chooses.
    pub from: Option<IpAddr>,
    /// Whether it answers a received datagram. A handler may send other datagrams to our own listeners, because these
    /// do not make a loop of replies.
    pub is_answer: bool,
}

/// Decides whether a datagram leaves.
///
/// # Errors
/// The reason to drop it: a reply would come back to one of our own listeners, or the kernel would refuse the
/// destination anyway, so the call is saved.
#[inline]
pub fn depart(own: &OwnAddresses, departure: &Departure) -> Result<(), DropReason> {
    if departure.is_answer && own.contains(departure.to, departure.from) {
        return Err(DropReason::OwnListener);
    }
    if departure.local.is_ipv4() != departure.to.is_ipv4() {
        return Err(DropReason::NoDestination);
    }
    if departure.to.port() == 0 { Err(DropReason::Invalid) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_to_ourselves_and_what_cannot_be_sent_stay() {
        let mut own = OwnAddresses::default();
        own.add("127.0.0.1:7".parse().unwrap());
        let to = |to: &str, is_answer| {
            let local = "127.0.0.1:9".parse().unwrap();
            depart(&own, &Departure { local, to: to.parse().unwrap(), from: None, is_answer })
        };
        assert_eq!(to("127.0.0.1:7", true), Err(DropReason::OwnListener));
        assert_eq!(to("127.0.0.1:7", false), Ok(()));
        assert_eq!(to("127.0.0.1:8", true), Ok(()));
        assert_eq!(to("[::1]:8", true), Err(DropReason::NoDestination));
        assert_eq!(to("127.0.0.1:0", true), Err(DropReason::Invalid));
    }
}
