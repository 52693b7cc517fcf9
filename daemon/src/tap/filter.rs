//! Which datagrams a tap wants.

use std::net::IpAddr;

use super::entry::{Direction, Entry, Verdict};

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    ip: IpAddr,
    bits: u8,
}

impl Prefix {
    /// Reads `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/32`. Bits behind the prefix do not count.
    ///
    /// # Errors
    /// What was expected, in words.
    pub fn read(text: &str) -> Result<Self, String> {
        let expected =
            || format!("`{text}`: expected an address such as 192.0.2.1, or a prefix such as 192.0.2.0/24");
        let (ip, bits) = match text.split_once('/') {
            Some((ip, bits)) => (ip, Some(bits)),
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().map_err(|_| expected())?;
        let most = if ip.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(most), |bits| bits.parse().ok().filter(|bits| *bits <= most));
        Ok(Self { ip, bits: bits.ok_or_else(expected)? })
    }

    /// Whether an address begins with these bits.
    #[must_use]
    pub fn holds(&self, ip: IpAddr) -> bool {
        match (self.ip, ip) {
            (IpAddr::V4(own), IpAddr::V4(ip)) => {
                (own.to_bits() ^ ip.to_bits()).checked_shr(32 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(ip)) => {
                (own.to_bits() ^ ip.to_bits()).checked_shr(128 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// Which datagrams a tap wants. Everything that is said has to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Peers.
    pub peer: Option<Prefix>,
    /// Port of the peer or of the daemon's own address.
    pub port: Option<u16>,
    /// Which way they go.
    pub direction: Option<Direction>,
    /// Only those that were dropped.
    pub drops: bool,
}

impl Filter {
    /// Whether a tap with this filter wants an entry.
    #[must_use]
    pub fn wants(&self, entry: &Entry) -> bool {
        self.direction.is_none_or(|direction| direction == entry.direction)
            && (!self.drops || matches!(entry.verdict, Verdict::Dropped(_)))
            && self.port.is_none_or(|port| port == entry.peer.port() || port == entry.local.port())
            && self.peer.is_none_or(|peer| peer.holds(entry.peer.ip()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_holds_what_begins_like_it() {
        for (prefix, inside, outside) in [
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("192.0.2.77/24", "192.0.2.0", "192.0.3.0"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::1", "::1", "::2"),
            ("0.0.0.0/0", "255.1.2.3", "::1"),
            ("::/0", "ff02::1", "127.0.0.1"),
        ] {
            let prefix = Prefix::read(prefix).unwrap();
            assert!(prefix.holds(inside.parse().unwrap()), "{prefix:?} {inside}");
            assert!(!prefix.holds(outside.parse().unwrap()), "{prefix:?} {outside}");
        }
        for wrong in ["", "host", "192.0.2.0/33", "192.0.2.0/", "::/129", "192.0.2.0/-1", "192.0.2.1:53"] {
            assert!(Prefix::read(wrong).is_err(), "{wrong}");
        }
    }
}
