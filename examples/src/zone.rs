//! Interfaces by name or index, and the zones of IPv6 addresses that mean nothing without one (RFC 4007).

use std::net::{IpAddr, SocketAddr};

use polyport_net::{interface_index, interface_name};

use crate::outcome::ExitError;

/// An interface by name or index, as the user gave it.
///
/// # Errors
/// There is none of that name.
pub fn interface(name: &str) -> Result<u32, ExitError> {
    let found = match name.parse::<u32>() {
        Ok(index) => interface_name(index).map(|_| index),
        Err(_) => interface_index(name),
    };
    found.map_err(|error| ExitError::usage(format!("no interface `{name}`: {error}: see `ip link`")))
}

/// The interface that an IPv6 address names by its zone, if it does.
#[must_use]
pub const fn zone(address: SocketAddr) -> Option<u32> {
    match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => Some(v6.scope_id()),
        SocketAddr::V4(_) | SocketAddr::V6(_) => None,
    }
}

/// `address` with its zone set where it means nothing without one.
#[must_use]
pub fn with_zone(address: SocketAddr, ifindex: u32) -> SocketAddr {
    match address {
        SocketAddr::V6(mut v6) if is_link_scoped(address.ip()) => {
            v6.set_scope_id(ifindex);
            v6.into()
        }
        SocketAddr::V4(_) | SocketAddr::V6(_) => address,
    }
}

/// Whether `address` means nothing without an interface, and names none.
#[must_use]
pub const fn lacks_zone(address: SocketAddr) -> bool {
    is_link_scoped(address.ip()) && zone(address).is_none()
}

/// Interface-local and link-local groups (RFC 4291 section 2.7), and link-local addresses.
const fn is_link_scoped(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(_) => false,
        IpAddr::V6(v6) => matches!(v6.segments()[0] & 0xFF0F, 0xFF01 | 0xFF02) || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use polyport_terminal::Exit;

    use super::*;

    #[test]
    fn interfaces_go_by_name_and_index() {
        let name = if cfg!(target_os = "linux") { "lo" } else { "lo0" };
        let index = interface(name).unwrap();
        assert_eq!(interface(&index.to_string()).unwrap(), index);
        for wrong in ["no-such-if", "4294967295", "", "a\0b"] {
            assert_eq!(interface(wrong).unwrap_err().exit, Exit::Usage, "{wrong}");
        }
    }

    #[test]
    fn only_link_scoped_addresses_get_a_zone() {
        let zoned = |text: &str| zone(with_zone(text.parse().unwrap(), 3));
        assert_eq!(["[ff02::1]:1", "[fe80::1]:1", "[ff12::5]:1"].map(zoned), [Some(3); 3]);
        assert_eq!(["[ff05::1]:1", "[2001:db8::1]:1", "239.1.2.3:1"].map(zoned), [None; 3]);
        let lacks = |text: &str| lacks_zone(text.parse().unwrap());
        assert_eq!(
            ["[fe80::1]:1", "[fe80::1%3]:1", "[::1]:1", "127.0.0.1:1"].map(lacks),
            [true, false, false, false]
        );
    }
}
