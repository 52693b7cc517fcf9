//! One element of `to`: `host:port`, `[IPv6]:port`, each with a weight behind `*`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Largest weight.
const HEAVIEST: u16 = 1000;
/// Longest name, bytes (RFC 1035, section 3.1).
const LONGEST: usize = 253;

/// Where sessions go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) host: Host,
    /// Sessions it gets for each one that an upstream of weight 1 gets.
    pub(crate) weight: u16,
}

/// An address, or a name that may have several.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Host {
    Address(SocketAddr),
    Name(String, u16),
}

impl Endpoint {
    /// Reads an element. Resolves no name.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (place, weight) = match text.trim().split_once('*') {
            Some((place, weight)) => (place.trim_end(), weight_of(weight.trim())?),
            None => (text.trim(), 1),
        };
        Ok(Self { host: Host::parse(place)?, weight })
    }

    /// The address, if it is not a name.
    pub(crate) const fn address(&self) -> Option<SocketAddr> {
        match self.host {
            Host::Address(address) => Some(address),
            Host::Name(..) => None,
        }
    }
}

impl Host {
    fn parse(text: &str) -> Result<Self, String> {
        const FORM: &str =
            "expected HOST:PORT such as 192.0.2.1:7000, [2001:db8::1]:7000 or name.example:7000";
        let (host, port) = text.rsplit_once(':').ok_or(FORM)?;
        let port: u16 = Some(port)
            .filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|port| port.parse().ok())
            .filter(|port| *port > 0)
            .ok_or("expected a port number from 1 to 65535")?;
        if let Ok(address) = text.parse::<SocketAddr>() {
            return if is_unicast(address.ip()) {
                Ok(Self::Address(address))
            } else {
                Err("is no address of a single host".to_owned())
            };
        }
        // An interface by its name: only the system knows its number.
        let host = match host.strip_prefix('[') {
            Some(inside) => {
                let inside = inside.strip_suffix(']').ok_or(FORM)?;
                let (ip, zone) = inside.split_once('%').ok_or("expected an IPv6 address in the brackets")?;
                let is_right = ip.parse::<std::net::Ipv6Addr>().is_ok() && !zone.is_empty();
                return if is_right { Ok(Self::Name(inside.to_owned(), port)) } else { Err(FORM.to_owned()) };
            }
            None => host,
        };
        if host.parse::<std::net::Ipv6Addr>().is_ok() || host.contains(':') {
            return Err(format!("an IPv6 address needs brackets: [{host}]:{port}"));
        }
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let is_name = !host.is_empty() && host.len() <= LONGEST && host.bytes().all(is_letter);
        // What ends in a number is a mistyped address, not a name (RFC 1123, section 2.1).
        let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or("");
        if !is_name || last.is_empty() || last.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(FORM.to_owned());
        }
        Ok(Self::Name(host.to_owned(), port))
    }
}

/// Whether it can be the address of a single host.
pub(crate) fn is_unicast(ip: IpAddr) -> bool {
    !ip.is_unspecified() && !ip.is_multicast() && ip != IpAddr::V4(Ipv4Addr::BROADCAST)
}

fn weight_of(text: &str) -> Result<u16, String> {
    let weight = text.parse().ok().filter(|weight| (1..=HEAVIEST).contains(weight));
    weight.ok_or_else(|| format!("expected a weight from 1 to {HEAVIEST} behind the *"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_names_and_weights_are_read() {
        let read = |text| Endpoint::parse(text).unwrap();
        let address = |text: &str| Host::Address(text.parse().unwrap());
        assert_eq!(read("192.0.2.1:53"), Endpoint { host: address("192.0.2.1:53"), weight: 1 });
        assert_eq!(read(" [2001:db8::1]:53 * 3 "), Endpoint { host: address("[2001:db8::1]:53"), weight: 3 });
        assert_eq!(read("[fe80::1%2]:53").host, address("[fe80::1%2]:53"));
        assert_eq!(read("[fe80::1%eth0]:53").host, Host::Name("fe80::1%eth0".to_owned(), 53));
        let name = Host::Name("dns.example.".to_owned(), 53);
        assert_eq!(read("dns.example.:53*1000"), Endpoint { host: name, weight: 1000 });
        assert_eq!(read("localhost:1").address(), None);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, why) in [
            ("192.0.2.1", "expected HOST:PORT"),
            ("192.0.2.1:0", "expected a port number"),
            ("192.0.2.1:+5", "expected a port number"),
            ("192.0.2.1:65536", "expected a port number"),
            ("192.0.2:53", "expected HOST:PORT"),
            ("2001:db8::1:53", "needs brackets"),
            ("[2001:db8::1:53", "expected HOST:PORT"),
            ("[nobody]:53", "expected an IPv6 address"),
            ("224.0.0.1:53", "no address of a single host"),
            ("255.255.255.255:53", "no address of a single host"),
            ("[ff02::1]:53", "no address of a single host"),
            ("0.0.0.0:53", "no address of a single host"),
            ("192.0.2.1:53*0", "a weight from 1 to 1000"),
            ("192.0.2.1:53*", "a weight from 1 to 1000"),
            ("a b:53", "expected HOST:PORT"),
            (":53", "expected HOST:PORT"),
            ("", "expected HOST:PORT"),
        ] {
            let said = Endpoint::parse(text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }
}
