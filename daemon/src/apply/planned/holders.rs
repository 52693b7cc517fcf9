//! Which sockets there are, and whose: `/proc/net/udp`, and the descriptors of every process that may be looked at (proc(5)).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;

use serde::Serialize;

/// A UDP socket of this network namespace.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) address: SocketAddr,
    pub(super) inode: u64,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Holder {
    pub(super) pid: u32,
    /// The name of its program, as the system cuts it.
    pub(super) name: String,
}

/// All UDP sockets, by their ports. None where the system does not tell.
#[cfg(target_os = "linux")]
pub(super) fn held() -> HashMap<u16, Vec<Held>> {
    let mut sockets: HashMap<u16, Vec<Held>> = HashMap::new();
    for (name, read) in [("/proc/net/udp", procfs::net::udp()), ("/proc/net/udp6", procfs::net::udp6())] {
        match read {
            Ok(entries) => entries.into_iter().for_each(|entry| {
                let held = Held { address: entry.local_address, inode: entry.inode };
                sockets.entry(entry.local_address.port()).or_default().push(held);
            }),
            // A kernel without IPv6 has none.
            Err(procfs::ProcError::NotFound(_)) => {}
            Err(error) => {
                log::warn!("{name} cannot be read, so nobody is known who holds an address: {error}");
            }
        }
    }
    sockets
}

/// Whose these sockets are. Processes of other users only root may look at.
#[cfg(target_os = "linux")]
pub(super) fn holders(inodes: &BTreeSet<u64>) -> BTreeMap<u64, Holder> {
    use procfs::process::{FDTarget, all_processes};

    let mut holders = BTreeMap::new();
    if inodes.is_empty() {
        return holders;
    }
    for process in all_processes().into_iter().flatten().flatten() {
        let sockets = process.fd().into_iter().flatten().flatten().filter_map(|fd| {
            let FDTarget::Socket(inode) = fd.target else { return None };
            inodes.contains(&inode).then_some(inode)
        });
        for inode in sockets {
            let holder = || Holder {
                pid: u32::try_from(process.pid).unwrap_or(0),
                name: process.stat().map(|stat| stat.comm).unwrap_or_default(),
            };
            holders.entry(inode).or_insert_with(holder);
        }
    }
    holders
}

/// No other system tells it by files.
#[cfg(not(target_os = "linux"))]
pub(super) fn held() -> HashMap<u16, Vec<Held>> {
    HashMap::new()
}

/// No other system tells it by files.
#[cfg(not(target_os = "linux"))]
pub(super) fn holders(_: &BTreeSet<u64>) -> BTreeMap<u64, Holder> {
    BTreeMap::new()
}
