//! The addresses of this host by `getifaddrs(3)`, where no kernel tells of changes.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::BorrowedFd;

use if_addrs::IfAddr;

use super::{Link, LocalPrefix, Reading};

/// Reads the addresses of the interfaces.
#[derive(Debug)]
pub struct LocalAddresses {
    watches_links: bool,
    links: Vec<Link>,
}

impl LocalAddresses {
    /// Opens nothing.
    ///
    /// # Errors
    /// None.
    pub fn open() -> io::Result<Self> {
        Ok(Self { watches_links: false, links: Vec::new() })
    }

    /// From now on readings have the interfaces that have an address: see [`Self::links`]. Reads them once.
    ///
    /// # Errors
    /// Those of `getifaddrs(3)`.
    pub fn watch_links(&mut self) -> io::Result<()> {
        self.watches_links = true;
        self.read(&mut Vec::new()).map(drop)
    }

    /// The interfaces as the last reading found them, none before [`Self::watch_links`].
    #[must_use]
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// None: nobody tells of changes, so read again now and then.
    #[must_use]
    #[expect(clippy::unused_self, reason = "elsewhere there is a descriptor")]
    pub fn changes(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// There is nothing to take.
    #[expect(
        clippy::unused_self,
        clippy::needless_pass_by_ref_mut,
        reason = "elsewhere there is a descriptor"
    )]
    pub fn take_changes(&mut self) -> bool {
        false
    }

    /// Begins a reading.
    #[expect(clippy::unused_self, clippy::needless_pass_by_ref_mut, reason = "elsewhere a reading has parts")]
    pub fn begin(&mut self) {}

    /// Reads all addresses, and appends them to `into`.
    ///
    /// # Errors
    /// Those of `getifaddrs(3)`.
    pub fn read(&mut self, into: &mut Vec<LocalPrefix>) -> io::Result<Reading> {
        let mut links: Vec<Link> = Vec::new();
        for interface in if_addrs::get_if_addrs()? {
            if self.watches_links
                && !links.iter().any(|link| link.name == interface.name)
                && let Ok(index) = crate::interface_index(&interface.name)
            {
                let multicast = !interface.is_loopback();
                links.push(Link { index, name: interface.name.clone(), multicast });
            }
            into.push(LocalPrefix::single(interface.ip(), false));
            if let IfAddr::V4(address) = &interface.addr {
                // The last address of the network, where the system does not say it.
                let last = Ipv4Addr::from(u32::from(address.ip) | !u32::from(address.netmask));
                let broadcast = address.broadcast.unwrap_or(last);
                if broadcast != address.ip {
                    into.push(LocalPrefix::single(IpAddr::V4(broadcast), true));
                }
            }
        }
        self.links = links;
        Ok(Reading::Whole)
    }
}
