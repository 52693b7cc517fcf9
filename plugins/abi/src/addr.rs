//! A socket address as it crosses the boundary.

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// An IPv4 or IPv6 socket address, or none. 24 bytes, frozen within ABI 1.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct pp_addr {
    /// The address in network order; IPv4 in `ip[0..4]`, the rest zero.
    pub ip: [u8; 16],
    /// The port in host byte order: 53 is 53.
    pub port: u16,
    /// 4, 6, or 0 for "no address".
    pub family: u8,
    /// Zero when written, ignored when read.
    pub reserved: u8,
    /// IPv6 zone (interface index), else 0.
    pub scope: u32,
}

const _: () = assert!(size_of::<pp_addr>() == 24);

impl From<SocketAddr> for pp_addr {
    #[inline]
    fn from(addr: SocketAddr) -> Self {
        let mut out = Self { port: addr.port(), ..Self::default() };
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
}

impl pp_addr {
    /// The address in Rust's own type; none for "no address" and for a family that this crate does not know.
    #[inline]
    #[must_use]
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        let [a, b, c, d, ..] = self.ip;
        match self.family {
            4 => Some(SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), self.port).into()),
            6 => Some(SocketAddrV6::new(Ipv6Addr::from(self.ip), self.port, 0, self.scope).into()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_same_on_both_sides() {
        for text in ["192.0.2.1:65535", "[2001:db8::1]:7", "[fe80::1%3]:7", "0.0.0.0:0"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(pp_addr::from(address).socket_addr(), Some(address), "{text}");
        }
        assert_eq!(pp_addr::from(SocketAddr::from(([192, 0, 2, 1], 53))).ip[..5], [192, 0, 2, 1, 0]);
        assert_eq!(pp_addr::default().socket_addr(), None);
    }
}
