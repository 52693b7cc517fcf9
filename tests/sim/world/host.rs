//! The addresses of the simulated host, which may change while they are read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use polyport::guard::LocalAddress;
use polyport::reactor::AddressReading;

use crate::bench::ASKED;

/// The host.
#[derive(Debug)]
pub(crate) struct Host {
    addresses: Vec<LocalAddress>,
    /// The reactor has still to be told that they changed.
    pub(super) has_news: bool,
    /// What the reading under way has still to tell.
    left: Vec<LocalAddress>,
    /// They changed since that reading began.
    torn: bool,
    /// So many of the readings to come find half of the addresses, and are torn.
    pub(crate) tears: u32,
}

impl Default for Host {
    /// The addresses that scenarios use, and one network.
    fn default() -> Self {
        let addresses = [
            own(ASKED),
            own(Ipv4Addr::new(198, 51, 100, 2)),
            own(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 1, 1)),
            own(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 1, 2)),
            own(LINK_LOCAL),
            LocalAddress { ip: IpAddr::V4(BROADCAST), bits: 32, broadcast: true },
        ];
        Self { addresses: addresses.to_vec(), has_news: false, left: Vec::new(), torn: false, tears: 0 }
    }
}

/// The broadcast address of the host's network.
pub(crate) const BROADCAST: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 255);
/// A link-local address of the host.
pub(crate) const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// An address of the host.
pub(crate) fn own(ip: impl Into<IpAddr>) -> LocalAddress {
    let ip = ip.into();
    LocalAddress { ip, bits: if ip.is_ipv4() { 32 } else { 128 }, broadcast: false }
}

impl Host {
    pub(crate) fn addresses(&self) -> Vec<LocalAddress> {
        self.addresses.clone()
    }

    /// Whether a reading has begun and is not over.
    pub(crate) fn is_read(&self) -> bool {
        !self.left.is_empty()
    }

    /// A reading under way goes on with what it has found, or is torn: what it has not told yet is missing.
    pub(super) fn set(&mut self, addresses: Vec<LocalAddress>, tears: bool) {
        self.addresses = addresses;
        self.has_news = true;
        if tears {
            self.torn = true;
            self.left.clear();
        }
    }

    /// Whether what is sent to `ip` goes to all of a network.
    pub(super) fn broadcasts(&self, ip: IpAddr) -> bool {
        self.addresses.iter().any(|address| address.broadcast && address.ip == ip)
    }

    /// Tells at most `most` addresses.
    pub(super) fn read(&mut self, again: bool, most: usize, into: &mut Vec<LocalAddress>) -> AddressReading {
        if again {
            (self.left, self.torn) = (self.addresses.clone(), false);
            if self.tears > 0 {
                self.tears -= 1;
                self.left.truncate(self.addresses.len() / 2);
                self.torn = true;
            }
        }
        into.extend(self.left.drain(..most.min(self.left.len())));
        match (self.left.is_empty(), self.torn) {
            (false, _) => AddressReading::Part,
            (true, false) => AddressReading::Whole,
            (true, true) => AddressReading::Torn,
        }
    }
}
