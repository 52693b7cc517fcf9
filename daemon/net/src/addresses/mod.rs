//! Which addresses are this host's own: what the system delivers to itself, and what it takes for a broadcast.
//!
//! ```text
//! Linux        rtnetlink(7): read from the kernel's tables, which tell of every change
//! elsewhere    getifaddrs(3): the addresses of the interfaces, to be read again now and then
//! ```

use std::net::IpAddr;
#[cfg(not(target_os = "linux"))]
mod interfaces;
#[cfg(target_os = "linux")]
mod link;
#[cfg(target_os = "linux")]
mod rtnetlink;

#[cfg(not(target_os = "linux"))]
pub use interfaces::LocalAddresses;
#[cfg(target_os = "linux")]
pub use rtnetlink::LocalAddresses;

/// An address, or a range of them, that the system treats as local.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalPrefix {
    /// The address, or the first of the range.
    pub ip: IpAddr,
    /// Leading bits that all addresses of the range have in common: 32 or 128 is a single address.
    pub bits: u8,
    /// Whether what is sent there goes to all hosts of a network; if not, it comes to this host.
    pub broadcast: bool,
}

impl LocalPrefix {
    fn single(ip: IpAddr, broadcast: bool) -> Self {
        Self { ip, bits: if ip.is_ipv4() { 32 } else { 128 }, broadcast }
    }
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its index. One that goes and comes again under its name has another.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether groups can be joined on it (`IFF_MULTICAST` of `netdevice(7)`): loopback for example takes none.
    pub multicast: bool,
}

/// How far a reading of the addresses is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// There is more to read.
    Part,
    /// That was all.
    Whole,
    /// The addresses changed meanwhile, so that some may be missing: read again.
    Torn,
}
