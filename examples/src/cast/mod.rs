//! One to many: sending to a group or broadcast address, and listening there.

mod event;
mod listen;
mod scope;
mod send;

use std::net::{IpAddr, SocketAddr};

use polyport_net::{interface_index, interface_name};
use polyport_terminal::Exit;

use crate::outcome::ExitError;

pub use event::Sealer;
pub use listen::{Listener, Membership, join};
pub use scope::stay_here;
pub use send::{Plan, Sender, SenderOptions, open};

/// An interface by name or index, as the user gave it.
///
/// # Errors
/// There is none of that name.
pub fn interface(name: &str) -> Result<u32, ExitError> {
    if let Ok(index) = name.parse::<u32>() {
        return interface_name(index).map(|_| index).map_err(|error| no_interface(name, &error));
    }
    interface_index(name).map_err(|error| no_interface(name, &error))
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

/// Interface-local and link-local groups (RFC 4291 section 2.7), and link-local addresses.
const fn is_link_scoped(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(_) => false,
        IpAddr::V6(v6) => matches!(v6.segments()[0] & 0xFF0F, 0xFF01 | 0xFF02) || v6.is_unicast_link_local(),
    }
}

fn no_interface(name: &str, error: &std::io::Error) -> ExitError {
    ExitError::new(Exit::Usage, format!("no interface `{name}`: {error}: see `ip link`"))
}

#[cfg(test)]
mod tests {
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
    }
}
