//! The addresses of this host by `getifaddrs(3)`, where no kernel tells of changes.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::BorrowedFd;

use if_addrs::IfAddr;

use super::{LocalPrefix, Reading};

/// Reads the addresses of the interfaces.
#[derive(Debug)]
pub struct LocalAddresses;

impl LocalAddresses {
    /// Opens nothing.
    ///
    /// # Errors
    /// None.
    pub fn open() -> io::Result<Self> {
        Ok(Self)
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
    #[expect(clippy::unused_self, clippy::needless_pass_by_ref_mut, reason = "elsewhere a reading has parts")]
    pub fn read(&mut self, into: &mut Vec<LocalPrefix>) -> io::Result<Reading> {
        for interface in if_addrs::get_if_addrs()? {
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
        Ok(Reading::Whole)
    }
}
