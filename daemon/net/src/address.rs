//! Socket addresses as the kernel writes them.
#![expect(unsafe_code, reason = "a C socket address is a union that its first field tells apart")]

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use libc::{sockaddr_in, sockaddr_in6, socklen_t};

use crate::sys;

/// Room for the address of any UDP peer: 28 bytes instead of the 128 of `sockaddr_storage`, so that a batch of
/// 32 stays within a few cache lines.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) union RawAddress {
    v4: sockaddr_in,
    v6: sockaddr_in6,
}

impl RawAddress {
    /// Size offered to the kernel before a receive.
    pub(crate) const CAPACITY: socklen_t = {
        assert!(size_of::<Self>() < 256, "the conversion below must not cut");
        size_of::<Self>().to_le_bytes()[0] as socklen_t
    };

    pub(crate) const fn new() -> Self {
        // SAFETY: both members are C structs of integers, for which zero is a value.
        unsafe { std::mem::zeroed::<Self>() }
    }

    #[inline]
    /// Stores `address`; the result is the length to pass to the kernel.
    pub(crate) fn set(&mut self, address: &SocketAddr) -> socklen_t {
        match address {
            SocketAddr::V4(v4) => {
                self.v4 = sockaddr_in {
                    #[cfg(target_vendor = "apple")]
                    sin_len: size_of::<sockaddr_in>().to_le_bytes()[0],
                    sin_family: V4_FAMILY,
                    sin_port: v4.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                    sin_zero: [0; 8],
                };
                socklen(size_of::<sockaddr_in>())
            }
            SocketAddr::V6(v6) => {
                self.v6 = sockaddr_in6 {
                    #[cfg(target_vendor = "apple")]
                    sin6_len: size_of::<sockaddr_in6>().to_le_bytes()[0],
                    sin6_family: V6_FAMILY,
                    sin6_port: v6.port().to_be(),
                    sin6_flowinfo: v6.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                    sin6_scope_id: v6.scope_id(),
                };
                socklen(size_of::<sockaddr_in6>())
            }
        }
    }

    #[inline]
    /// Reads what the kernel stored; `None` if `len` is too short for the family, or the family is not IP.
    pub(crate) fn get(&self, len: socklen_t) -> Option<SocketAddr> {
        let len = sys::length(len);
        if len < size_of::<sockaddr_in>() {
            return None;
        }
        // SAFETY: every bit pattern is a sockaddr_in; the family lies at the same place in both members.
        let v4 = unsafe { self.v4 };
        if v4.sin_family == V4_FAMILY {
            let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
            return Some(SocketAddr::V4(SocketAddrV4::new(ip, u16::from_be(v4.sin_port))));
        }
        if v4.sin_family != V6_FAMILY || len < size_of::<sockaddr_in6>() {
            return None;
        }
        // SAFETY: every bit pattern is a sockaddr_in6.
        let v6 = unsafe { self.v6 };
        let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
        let port = u16::from_be(v6.sin6_port);
        Some(SocketAddr::V6(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id)))
    }

    /// Reads an address that lies in the data of a control message.
    #[cfg(target_os = "linux")]
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<SocketAddr> {
        let mut raw = Self::new();
        let len = bytes.len().min(size_of::<Self>());
        // SAFETY: the source has `len` bytes, the target at least as many, and they are different objects.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), (&raw mut raw).cast::<u8>(), len) };
        raw.get(socklen(len))
    }
}

/// A length of at most 28 as the kernel's type for lengths of addresses.
fn socklen(len: usize) -> socklen_t {
    socklen_t::try_from(len).unwrap_or(RawAddress::CAPACITY)
}

#[expect(clippy::cast_possible_truncation, reason = "families are small numbers")]
const V4_FAMILY: libc::sa_family_t = libc::AF_INET as libc::sa_family_t;
#[expect(clippy::cast_possible_truncation, reason = "families are small numbers")]
const V6_FAMILY: libc::sa_family_t = libc::AF_INET6 as libc::sa_family_t;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read_back() {
        for text in ["127.0.0.1:9", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:7", "[fe80::1%3]:5353"] {
            let address: SocketAddr = text.parse().unwrap();
            let mut raw = RawAddress::new();
            let len = raw.set(&address);
            assert_eq!(raw.get(len), Some(address));
        }
    }

    #[test]
    fn short_or_foreign_addresses_are_refused() {
        let mut raw = RawAddress::new();
        assert_eq!(raw.get(RawAddress::CAPACITY), None, "family 0");
        raw.set(&"[::1]:7".parse().unwrap());
        assert_eq!(raw.get(16), None, "an IPv6 address cut to the size of an IPv4 one");
        raw.set(&"127.0.0.1:7".parse().unwrap());
        assert_eq!(raw.get(0), None);
        #[cfg(target_os = "linux")]
        assert_eq!(RawAddress::from_bytes(&[]), None);
    }
}
