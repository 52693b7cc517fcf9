//! Socket addresses: `192.0.2.1:7000`, `[2001:db8::1]:7000`.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// One UDP address with a port number: `192.0.2.1:7000`, `[2001:db8::1]:7000`, `[fe80::1%2]:7000`.
///
/// Host names are refused: resolving one takes time and may change its answer.
///
/// # Errors
/// A name in the place of the address, an IPv6 address without brackets, no port.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    let Some((host, port)) = host_and_port(text) else {
        return Err("expected ADDRESS:PORT such as 192.0.2.1:7000 or [2001:db8::1]:7000".to_owned());
    };
    let port = port_number(port).ok_or_else(|| "expected a port number from 0 to 65535".to_owned())?;
    match host {
        Host::V4(text) => match text.parse::<Ipv4Addr>() {
            Ok(ip) => Ok(SocketAddrV4::new(ip, port).into()),
            Err(_) if text.parse::<Ipv6Addr>().is_ok() => {
                Err(format!("an IPv6 address needs brackets: [{text}]:{port}"))
            }
            Err(_) => Err("expected an IP address, not a host name, such as 192.0.2.1:7000".to_owned()),
        },
        Host::V6 { address, zone } => {
            let ip = address.parse().map_err(|_| "expected an IPv6 address in the brackets".to_owned())?;
            let scope = match zone.map(str::parse::<u32>) {
                None => 0,
                Some(Ok(scope)) => scope,
                Some(Err(_)) => return Err("expected the number of an interface after %".to_owned()),
            };
            Ok(SocketAddrV6::new(ip, port, 0, scope).into())
        }
    }
}

/// What stands before the port, not yet read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host<'a> {
    /// No brackets: an IPv4 address, if it is right.
    V4(&'a str),
    /// In brackets, cut at `%` (RFC 4007, section 11).
    V6 {
        /// Before the `%`.
        address: &'a str,
        /// Behind the `%`: the name or the number of an interface.
        zone: Option<&'a str>,
    },
}

/// Cuts `HOST:PORT` at the right colon; `None` when there is no port.
#[must_use]
pub fn host_and_port(text: &str) -> Option<(Host<'_>, &str)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, port) = rest.split_once("]:")?;
        let (address, zone) = match inside.split_once('%') {
            Some((address, zone)) => (address, Some(zone)),
            None => (inside, None),
        };
        return Some((Host::V6 { address, zone }, port));
    }
    let (host, port) = text.rsplit_once(':')?;
    Some((Host::V4(host), port))
}

/// A decimal port number and nothing else (`str::parse` would take `+53`).
#[must_use]
pub fn port_number(text: &str) -> Option<u16> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}
