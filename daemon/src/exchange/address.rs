//! Socket addresses in the layout of the plugin ABI.

use std::net::{SocketAddr, SocketAddrV6};

use polyport_abi::pp_addr;

/// Converts a socket address to the layout of the plugin ABI.
pub(crate) fn to_pp_addr(addr: SocketAddr) -> pp_addr {
    let mut out = pp_addr { port: addr.port(), ..pp_addr::default() };
    match addr {
        SocketAddr::V4(v4) => {
            out.family = 4;
            let [a, b, c, d] = v4.ip().octets();
            out.ip = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        }
        SocketAddr::V6(v6) => {
            out.family = 6;
            out.ip = v6.ip().octets();
            out.scope = v6.scope_id();
        }
    }
    out
}

/// Converts a socket address from the layout of the plugin ABI; none if the family is neither 4 nor 6.
pub(super) fn from_pp_addr(addr: &pp_addr) -> Option<SocketAddr> {
    let [a, b, c, d, ..] = addr.ip;
    match addr.family {
        4 => Some(SocketAddr::from(([a, b, c, d], addr.port))),
        6 => Some(SocketAddr::V6(SocketAddrV6::new(addr.ip.into(), addr.port, 0, addr.scope))),
        _ => None,
    }
}
