//! What is in the way of a plan: addresses that another process holds, and ports that any program may get.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use serde::Serialize;

use super::holders::{Held, Holder, held, holders};
use crate::apply::configured::ranges;
use crate::apply::steps::addresses;
use crate::config::{Bind, Listen, Plan};

/// What is in the way of addresses of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Clash {
    pub(super) kind: Kind,
    pub(super) listener: String,
    /// Addresses and ranges of ports.
    pub(super) bind: Vec<String>,
    pub(super) addresses: usize,
    /// Who holds them; none if this user may not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) holder: Option<Holder>,
    /// The range that they lie in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) range: Option<(u16, u16)>,
}

/// What kind of a clash it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A socket has the address: the start is refused.
    Held,
    /// A socket has it, and whether it lets in others cannot be seen.
    MaybeHeld,
    /// The system gives such ports to any socket that names none.
    LocalPortRange,
}

/// What is in the way of `plan`. Sockets of the process `own` are not, if `serves` says that they are for this address.
pub(super) fn clashes(plan: &Plan, own: Option<u32>, serves: impl Fn(SocketAddr) -> bool) -> Vec<Clash> {
    let mut found: BTreeMap<(u32, Kind, Option<u64>), Vec<SocketAddr>> = BTreeMap::new();
    let sockets = held();
    for address in addresses(plan).filter(|address| address.asked.port() != 0) {
        let Some((listen, _)) = address.place.of(plan) else { continue };
        for socket in sockets.get(&address.asked.port()).into_iter().flatten() {
            if let Some(kind) = kind(address.asked, socket, listen.socket.share) {
                let key = (address.place.entry, kind, Some(socket.inode));
                found.entry(key).or_default().push(address.asked);
            }
        }
    }
    let inodes = found.keys().filter_map(|(_, _, inode)| *inode).collect();
    let holders = holders(&inodes);
    // One process may hold a range by a socket for each port.
    let mut by_holder: BTreeMap<(u32, Kind, Option<Holder>), Vec<SocketAddr>> = BTreeMap::new();
    for ((entry, kind, inode), mut bind) in found {
        let holder = inode.and_then(|inode| holders.get(&inode)).cloned();
        if holder.as_ref().is_some_and(|holder| Some(holder.pid) == own) {
            bind.retain(|address| !serves(*address));
        }
        by_holder.entry((entry, kind, holder)).or_default().append(&mut bind);
    }
    let name =
        |entry: u32| plan.listen.get(entry as usize).map(|listen| listen.name.clone()).unwrap_or_default();
    let held = by_holder.into_iter().filter(|(_, bind)| !bind.is_empty()).map(
        |((entry, kind, holder), mut bind)| {
            bind.sort_unstable();
            bind.dedup();
            Clash {
                kind,
                listener: name(entry),
                addresses: bind.len(),
                bind: ranges(bind),
                holder,
                range: None,
            }
        },
    );
    held.chain(short_lived(plan)).collect()
}

/// Whether a socket that asks for `wanted` clashes with one that there is.
fn kind(wanted: SocketAddr, socket: &Held, share: bool) -> Option<Kind> {
    let is = socket.address.ip();
    let is_met = wanted.ip() == is || wanted.ip().is_unspecified() || is.is_unspecified();
    let same_family = wanted.is_ipv4() == is.is_ipv4();
    match (is_met, same_family) {
        (true, true) if share => Some(Kind::MaybeHeld),
        (true, true) => Some(Kind::Held),
        // `[::]` is for IPv4 as well, unless its owner has said otherwise, as polyport does; that cannot be seen.
        (true, false) if is.is_unspecified() && is.is_ipv6() => Some(Kind::MaybeHeld),
        _ => None,
    }
}

/// Ports in the range from which the system takes one for any socket that names none.
fn short_lived(plan: &Plan) -> Vec<Clash> {
    let read = |name: &str| fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap_or_default();
    let Some(range) = local_range(&read("ip_local_port_range")) else { return Vec::new() };
    let reserved = reserved(&read("ip_local_reserved_ports"));
    let is_in = |address: &SocketAddr| {
        let port = address.port();
        range.contains(&port) && !reserved.iter().any(|ports| ports.contains(&port))
    };
    let clash = |listen: &Listen| {
        let bind: Vec<SocketAddr> = listen.bind.iter().flat_map(Bind::addresses).filter(is_in).collect();
        (!bind.is_empty()).then(|| Clash {
            kind: Kind::LocalPortRange,
            listener: listen.name.clone(),
            addresses: bind.len(),
            bind: ranges(bind),
            holder: None,
            range: Some((*range.start(), *range.end())),
        })
    };
    plan.listen.iter().filter_map(clash).collect()
}

/// `ip_local_port_range` of ip(7): two ports.
fn local_range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut ports = text.split_whitespace().map(str::parse);
    match (ports.next(), ports.next()) {
        (Some(Ok(low)), Some(Ok(high))) => Some(low..=high),
        _ => None,
    }
}

/// `ip_local_reserved_ports` of ip(7): ports and ranges with commas between them.
fn reserved(text: &str) -> Vec<RangeInclusive<u16>> {
    let ranges = text.trim().split(',').filter_map(|part| {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        Some(low.trim().parse().ok()?..=high.trim().parse().ok()?)
    });
    ranges.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_held_by_itself_and_by_the_wildcard_of_its_family() {
        let is = |wanted: &str, held: &str, share| {
            kind(wanted.parse().unwrap(), &Held { address: held.parse().unwrap(), inode: 1 }, share)
        };
        for (wanted, held, expected) in [
            ("127.0.0.1:7", "127.0.0.1:7", Some(Kind::Held)),
            ("127.0.0.1:7", "0.0.0.0:7", Some(Kind::Held)),
            ("0.0.0.0:7", "127.0.0.1:7", Some(Kind::Held)),
            ("127.0.0.1:7", "127.0.0.2:7", None),
            ("127.0.0.1:7", "[::]:7", Some(Kind::MaybeHeld)),
            ("[::]:7", "0.0.0.0:7", None),
            ("[::1]:7", "0.0.0.0:7", None),
            ("[::1]:7", "[::]:7", Some(Kind::Held)),
        ] {
            assert_eq!(is(wanted, held, false), expected, "{wanted} {held}");
        }
        assert_eq!(is("127.0.0.1:7", "127.0.0.1:7", true), Some(Kind::MaybeHeld));
    }

    #[test]
    fn ports_of_the_system_are_read() {
        assert_eq!(local_range("32768\t60999\n"), Some(32_768..=60_999));
        assert_eq!(local_range(""), None);
        assert_eq!(reserved("8080,9148-9150\n"), [8080..=8080, 9148..=9150]);
        assert_eq!(reserved("\n"), []);
    }
}
