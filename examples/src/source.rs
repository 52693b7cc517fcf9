//! `--from`: the address and port that datagrams leave from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use clap::Args;
use polyport_net::resolve;

use crate::heading;
use crate::zone::{interface, with_zone, zone};

/// `--from` of a client that asks somebody.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct SourceArgs {
    /// The address and port to send from; the system chooses what is left out.
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = SourceAddress::parse,
        help = "The address and port to send from: 192.0.2.7, 192.0.2.7:5000, [fe80::1%eth0]:5000 or :5000 \
            [default: as the system chooses]", help_heading = heading::NETWORK)]
    pub from: Option<SourceAddress>,
}

/// An address of this host, a port of it, or both; what is left out is the system's to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceAddress {
    /// Port 0 stands for any; `None` for any address of the peer's family.
    address: Option<SocketAddr>,
    port: u16,
}

impl SourceAddress {
    /// Reads `ADDRESS`, `ADDRESS:PORT` or `:PORT`. An IPv6 address with a port needs brackets; its zone is an interface
    /// by name or index; the port may be a UDP service.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (host, port) = split(text)?;
        let port = port.map_or(Ok(0), service)?;
        if host.is_empty() {
            return if port == 0 {
                Err("an address, a port or both are needed".to_owned())
            } else {
                Ok(Self { address: None, port })
            };
        }
        let address = literal(host)?;
        let ip = address.ip();
        if ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
            return Err(format!("nothing comes from {ip}: a group or broadcast address is no source"));
        }
        Ok(Self { address: Some(address), port })
    }

    /// The address, where one was given.
    #[must_use]
    pub fn ip(self) -> Option<IpAddr> {
        self.address.map(|address| address.ip())
    }

    /// The port, where one was given.
    #[must_use]
    pub const fn port(self) -> Option<u16> {
        match self.port {
            0 => None,
            port => Some(port),
        }
    }

    /// Whether datagrams can go from here to `peer`: both are of one family.
    #[must_use]
    pub fn reaches(self, peer: IpAddr) -> bool {
        self.address.is_none_or(|own| own.is_ipv6() == peer.is_ipv6())
    }

    /// `peer` with the zone of this address, where it needs one and has none.
    #[must_use]
    pub fn lend_zone(self, peer: SocketAddr) -> SocketAddr {
        match self.address.and_then(zone) {
            Some(own) if zone(peer).is_none() => with_zone(peer, own),
            _ => peer,
        }
    }

    /// The address to bind for sending to `peer`, which lends its zone to one that needs it.
    #[must_use]
    pub fn towards(self, peer: SocketAddr) -> SocketAddr {
        let mut own = self.address.unwrap_or_else(|| any_like(peer));
        if let (None, Some(zone)) = (zone(own), zone(peer)) {
            own = with_zone(own, zone);
        }
        own.set_port(self.port);
        own
    }
}

impl SourceArgs {
    /// The address to bind for sending to `peer`.
    #[must_use]
    pub fn towards(self, peer: SocketAddr) -> SocketAddr {
        self.from.map_or_else(|| any_like(peer), |from| from.towards(peer))
    }
}

/// The address to bind for sending to `peer`: any of its family, and a port of the system's choice.
#[must_use]
pub fn any_like(peer: SocketAddr) -> SocketAddr {
    match peer {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// The address and the port of `text`, without brackets.
fn split(text: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or("the bracket is not closed")?;
        return match (port, port.strip_prefix(':')) {
            ("", _) => Ok((host, None)),
            (_, Some(port)) => Ok((host, Some(port))),
            _ => Err("expected :PORT behind the bracket".to_owned()),
        };
    }
    match text.split_once(':') {
        // A second colon: an IPv6 address without brackets, and so without a port.
        Some((_, rest)) if rest.contains(':') => Ok((text, None)),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((text, None)),
    }
}

fn literal(host: &str) -> Result<SocketAddr, String> {
    let (host, zone) = match host.split_once('%') {
        Some((host, zone)) => (host, interface(zone).map_err(|error| error.to_string())?),
        None => (host, 0),
    };
    let ip: IpAddr =
        host.parse().map_err(|_| format!("`{host}` is no address of this host: a number is needed"))?;
    if ip.to_canonical() != ip {
        return Err(format!("write {ip} as {}", ip.to_canonical()));
    }
    let address = SocketAddr::new(ip, 0);
    let zoned = with_zone(address, zone);
    if zone != 0 && zoned == address { Err(format!("{ip} takes no zone")) } else { Ok(zoned) }
}

/// The number of a UDP port: a number, or a service by name.
fn service(port: &str) -> Result<u16, String> {
    let found = resolve(&format!("127.0.0.1:{port}")).map_err(|error| match port {
        "" => "the port is missing".to_owned(),
        _ => error.to_string(),
    })?;
    Ok(found.first().map_or(0, SocketAddr::port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn towards(text: &str, peer: &str) -> String {
        SourceAddress::parse(text).unwrap().towards(peer.parse().unwrap()).to_string()
    }

    #[test]
    fn address_and_port_are_given_together_or_alone() {
        let v4 = "192.0.2.1:7";
        assert_eq!(towards("127.0.0.1", v4), "127.0.0.1:0");
        assert_eq!(towards("127.0.0.1:5000", v4), "127.0.0.1:5000");
        assert_eq!(towards("127.0.0.1:domain", v4), "127.0.0.1:53");
        assert_eq!(towards(":5000", v4), "0.0.0.0:5000");
        assert_eq!(towards(":5000", "[::1]:7"), "[::]:5000");
        for (text, bound) in [("::1", "[::1]:0"), ("[::1]", "[::1]:0"), ("[::1]:5000", "[::1]:5000")] {
            assert_eq!(towards(text, "[::1]:7"), bound);
        }
        assert_eq!(SourceArgs::default().towards(v4.parse().unwrap()), "0.0.0.0:0".parse().unwrap());
    }

    #[test]
    fn a_zone_goes_by_name_and_is_shared_with_the_peer() {
        let lo = if cfg!(target_os = "linux") { "lo" } else { "lo0" };
        let index = interface(lo).unwrap();
        let own = SourceAddress::parse(&format!("[fe80::1%{lo}]:5000")).unwrap();
        assert_eq!(
            own.lend_zone("[fe80::2]:7".parse().unwrap()),
            format!("[fe80::2%{index}]:7").parse().unwrap()
        );
        assert_eq!(own.lend_zone("[fe80::2%9]:7".parse().unwrap()), "[fe80::2%9]:7".parse().unwrap());
        assert_eq!(own.lend_zone("[::1]:7".parse().unwrap()), "[::1]:7".parse().unwrap());
        assert_eq!(towards("fe80::1", "[fe80::2%9]:7"), "[fe80::1%9]:0");
    }

    #[test]
    fn a_source_reaches_its_own_family_only() {
        let reaches =
            |own: &str, peer: &str| SourceAddress::parse(own).unwrap().reaches(peer.parse().unwrap());
        assert!(reaches("127.0.0.1", "192.0.2.1") && reaches("::1", "::2"));
        assert!(!reaches("127.0.0.1", "::1") && !reaches("::1", "127.0.0.1"));
        assert!(reaches(":5000", "127.0.0.1") && reaches(":5000", "::1"));
    }

    #[test]
    fn what_is_no_source_is_refused_in_words() {
        for (text, word) in [
            ("", "needed"),
            (":", "port is missing"),
            (":0", "needed"),
            ("127.0.0.1:", "port is missing"),
            ("127.0.0.1:70000", "65535"),
            ("127.0.0.1:no-such-service", "no-such-service"),
            ("localhost", "no address"),
            ("[::1", "not closed"),
            ("[::1]5000", ":PORT"),
            ("239.1.2.3", "no source"),
            ("255.255.255.255", "no source"),
            ("ff02::1%1", "no source"),
            ("fe80::1%no-such-if", "no interface"),
            ("::1%1", "no zone"),
            ("::ffff:127.0.0.1", "127.0.0.1"),
        ] {
            let error = SourceAddress::parse(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
