//! The questions that only the system can answer.

use std::fs::{self, File};
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern, glob_with};

/// Bytes of a configuration file, those that it includes among them: room for
/// [`MAX_LISTENERS`](super::MAX_LISTENERS) tables of 256 bytes, and an end for a path that never ends, such as `/dev/zero`.
pub const MAX_SOURCE_BYTES: usize = 16 << 20;

/// The questions that only the system can answer, as arguments so that tests do not depend on the
/// machine.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// The UDP port of a service name (services(5)).
    pub service: fn(&str) -> Option<u16>,
    /// The index of a network interface, from 1, by its name (netdevice(7)).
    pub interface: fn(&str) -> Option<u32>,
    /// The index of the network interface that has an address.
    pub interface_of: fn(IpAddr) -> Option<u32>,
    /// The unicast addresses of the network interface with an index, those of IPv4 first, in ascending order.
    pub addresses_of: fn(u32) -> Vec<IpAddr>,
    /// Whether there is IPv6 at all: a kernel can be without.
    pub ipv6: fn() -> bool,
    /// The files that a pattern names, or the one file that is named without one; relative ones begin at the directory. In
    /// ascending order of their names. Why there are none, in words, if it is not that nothing matches.
    pub files: fn(&Path, &str) -> Result<Vec<PathBuf>, String>,
    /// What is in a file.
    pub content: fn(&Path) -> io::Result<Content>,
}

/// What is in a file.
#[derive(Debug, Clone)]
pub struct Content {
    /// At most [`MAX_SOURCE_BYTES`].
    pub bytes: Vec<u8>,
    /// `st_mode` of `inode(7)`.
    pub mode: u32,
    /// Its device and inode: no other file has the same, whatever it is called.
    pub id: (u64, u64),
}

impl Content {
    /// Reads a file that is open.
    ///
    /// # Errors
    /// It cannot be read, or is longer than [`MAX_SOURCE_BYTES`].
    pub fn of(file: File) -> io::Result<Self> {
        let mut bytes = Vec::new();
        let metadata = file.metadata()?;
        // One byte more than allowed shows that there is more.
        file.take(MAX_SOURCE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > MAX_SOURCE_BYTES {
            return Err(io::Error::other(format!("longer than {MAX_SOURCE_BYTES} bytes")));
        }
        Ok(Self { bytes, mode: metadata.mode(), id: (metadata.dev(), metadata.ino()) })
    }
}

impl Names {
    /// Asks the running system: its services database and its network interfaces.
    #[must_use]
    pub fn system() -> Self {
        Self {
            service: system_service,
            interface: system_interface,
            interface_of: system_interface_of,
            addresses_of: system_addresses_of,
            ipv6: system_ipv6,
            files: system_files,
            content: system_content,
        }
    }
}

/// Asks getaddrinfo(3) without a host, which reads the services database and asks no name server.
fn system_service(name: &str) -> Option<u16> {
    let hints = dns_lookup::AddrInfoHints {
        socktype: dns_lookup::SockType::DGram.into(),
        ..dns_lookup::AddrInfoHints::default()
    };
    let mut answers = dns_lookup::getaddrinfo(None, Some(name), Some(hints)).ok()?;
    answers.find_map(Result::ok).map(|answer| answer.sockaddr.port())
}

/// Asks getaddrinfo(3) which interface index the zone of a link-local address is. It needs no name server, since
/// the host is a number.
fn system_interface(name: &str) -> Option<u32> {
    let hints = dns_lookup::AddrInfoHints {
        socktype: dns_lookup::SockType::DGram.into(),
        flags: libc::AI_NUMERICHOST,
        ..dns_lookup::AddrInfoHints::default()
    };
    let mut answers = dns_lookup::getaddrinfo(Some(&format!("fe80::1%{name}")), None, Some(hints)).ok()?;
    answers.find_map(Result::ok).and_then(|answer| match answer.sockaddr {
        std::net::SocketAddr::V6(address) => Some(address.scope_id()),
        std::net::SocketAddr::V4(_) => None,
    })
}

/// Looks an address up in the list of getifaddrs(3). When it fails, no interface has the address; the system says more where it is used.
fn system_interface_of(ip: IpAddr) -> Option<u32> {
    let interfaces = if_addrs::get_if_addrs().ok()?;
    interfaces.into_iter().find(|interface| interface.ip() == ip)?.index
}

/// Looks through the list of getifaddrs(3). Linux lists an address with a label of its own, such as `eth0:1`, under the
/// label; its index is that of the interface.
fn system_addresses_of(index: u32) -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let own = interfaces.into_iter().filter(|interface| interface.index == Some(index));
    let mut addresses: Vec<IpAddr> = own.map(|interface| interface.ip()).collect();
    // The system's order is that of time, or its reverse.
    addresses.sort_unstable();
    addresses
}

/// Linux has this file exactly if it has IPv6 (`ipv6.disable=1` at boot leaves it out); elsewhere every kernel has it.
fn system_ipv6() -> bool {
    let proc = Path::new("/proc/net");
    cfg!(not(target_os = "linux")) || !proc.exists() || proc.join("if_inet6").exists()
}

/// What a pattern of files has and a name has not.
pub(super) const WILDCARDS: [char; 3] = ['*', '?', '['];

/// As a shell has it: names that begin with a dot are not meant, and no directory is.
fn system_files(base: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    const AS_SHELLS: MatchOptions = MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    if !pattern.contains(WILDCARDS) {
        return Ok(vec![base.join(pattern)]);
    }
    // The directory is a name, whatever letters it has.
    let Some(dir) = base.to_str() else { return Err("the directory of the file is not UTF-8".to_owned()) };
    let whole = if pattern.starts_with('/') || dir.is_empty() {
        pattern.to_owned()
    } else {
        format!("{}/{pattern}", Pattern::escape(dir).trim_end_matches('/'))
    };
    let found = glob_with(&whole, AS_SHELLS).map_err(|error| format!("not a pattern: {}", error.msg))?;
    let mut files = Vec::new();
    for path in found {
        let path = path.map_err(|error| format!("{}: {}", error.path().display(), error.error()))?;
        if !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// What is no regular file, a pipe for example, might never end, and is not there a second time.
fn system_content(path: &Path) -> io::Result<Content> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    Content::of(File::open(path)?)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn asks_the_system_for_services() {
        let system = Names::system();
        assert_eq!((system.service)("no-such-service-here"), None);
        assert_eq!((system.service)("nul\0byte"), None);
        match (system.service)("domain") {
            Some(port) => assert_eq!(port, 53),
            None => eprintln!("skipped: this machine has no services database, `domain` is unknown"),
        }
    }

    #[test]
    fn asks_the_system_for_interfaces() {
        let system = Names::system();
        let loopback = if cfg!(target_os = "macos") { "lo0" } else { "lo" };
        assert!((system.interface)(loopback).is_some_and(|index| index > 0));
        assert_eq!((system.interface)("no-such-if"), None);
        assert_eq!((system.interface_of)(Ipv4Addr::LOCALHOST.into()), (system.interface)(loopback));
        assert_eq!((system.interface_of)(Ipv4Addr::new(192, 0, 2, 1).into()), None);
    }

    #[test]
    fn asks_the_system_for_the_addresses_of_an_interface() {
        let system = Names::system();
        let loopback = (system.interface_of)(Ipv4Addr::LOCALHOST.into()).unwrap();
        let addresses = (system.addresses_of)(loopback);
        assert!(addresses.contains(&Ipv4Addr::LOCALHOST.into()), "{addresses:?}");
        assert!(addresses.is_sorted(), "{addresses:?}");
        let six = (system.interface_of)(Ipv6Addr::LOCALHOST.into());
        assert_eq!(addresses.contains(&Ipv6Addr::LOCALHOST.into()), six == Some(loopback));
        assert!(six.is_none() || (system.ipv6)());
        assert_eq!((system.addresses_of)(u32::MAX), [] as [IpAddr; 0]);
    }
}
