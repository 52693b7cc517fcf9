//! A bind address as it is written: one IP address, and a port, a range of ports or a service name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use polyport_value::{Host, host_and_port, port_number};

use super::problem::{code, quoted};

/// The questions that only the system can answer, as arguments so that tests do not depend on the
/// machine.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// The UDP port of a service name (services(5)).
    pub service: fn(&str) -> Option<u16>,
    /// The index of a network interface, from 1, by its name (netdevice(7)).
    pub interface: fn(&str) -> Option<u32>,
    /// The index of the network interface that has an address.
    pub interface_of: fn(IpAddr) -> Option<u32>,
}

impl Names {
    /// Asks the running system: its services database and its network interfaces.
    #[must_use]
    pub fn system() -> Self {
        Self { service: system_service, interface: system_interface, interface_of: system_interface_of }
    }
}

/// What [`endpoint`] reads: an IP address and its ports.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) ip: IpAddr,
    pub(super) scope_id: u32,
    pub(super) first: u16,
    pub(super) last: u16,
}

/// Why a text is no bind address; becomes a problem at its place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) label: String,
    pub(super) help: Option<String>,
}

/// Reads `127.0.0.1:7000`, `0.0.0.0:7000-7099`, `[::1]:domain`, `[fe80::1%eth0]:9`.
pub(super) fn endpoint(text: &str, names: &Names) -> Result<Endpoint, Refusal> {
    let Some((host, port)) = host_and_port(text) else {
        return Err(no_port(text));
    };
    let (ip, scope_id) = match host {
        Host::V4(host) => (v4(host, port)?.into(), 0),
        Host::V6 { address, zone } => v6(address, zone, names)?,
    };
    let (first, last) = ports(port, names)?;
    Ok(Endpoint { ip, scope_id, first, last })
}

fn no_port(text: &str) -> Refusal {
    let label = "expected ADDRESS:PORT";
    if port_number(text).is_some() && !text.is_empty() {
        let port = text;
        return refusal(
            label,
            format!("write 127.0.0.1:{port} or [::1]:{port}, or 0.0.0.0:{port} for every interface"),
        );
    }
    refusal(label, "for example 127.0.0.1:7000, [::1]:7000, 0.0.0.0:7000-7099 or 127.0.0.1:domain")
}

fn v4(host: &str, port: &str) -> Result<Ipv4Addr, Refusal> {
    if let Ok(ip) = host.parse() {
        return Ok(ip);
    }
    let everywhere = format!("for every interface write 0.0.0.0:{port} (IPv4) or [::]:{port} (IPv6)");
    Err(match host {
        "" => refusal("the address is missing", everywhere),
        "*" => refusal("`*` is not an address", everywhere),
        _ if host.contains(':') => {
            refusal("an IPv6 address needs brackets", "write [ADDRESS]:PORT, for example [::1]:7000")
        }
        _ if host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => refusal(
            format!("{} is not an IPv4 address", quoted(host)),
            "four numbers from 0 to 255 with dots between them, for example 127.0.0.1:7000",
        ),
        _ => refusal(
            format!("{} is a host name, and a bind address must be a number", quoted(host)),
            "a name may stand for several addresses or change: write the address, for example 127.0.0.1:7000",
        ),
    })
}

fn v6(address: &str, zone: Option<&str>, names: &Names) -> Result<(IpAddr, u32), Refusal> {
    let Ok(ip) = address.parse::<Ipv6Addr>() else {
        return Err(refusal(
            format!("{} is not an IPv6 address", quoted(address)),
            "for example [::1]:7000; an IPv4 address stands without brackets",
        ));
    };
    if let Some(v4) = ip.to_ipv4_mapped() {
        return Err(refusal("an IPv4 address in the form of IPv6", format!("write {v4} without brackets")));
    }
    let scope_id = match zone {
        None if needs_zone(ip.into()) => {
            return Err(refusal(
                "a link-local address needs its interface",
                format!("write [{ip}%INTERFACE]:PORT, for example [{ip}%eth0]:7000"),
            ));
        }
        None => 0,
        Some(_) if !needs_zone(ip.into()) => {
            return Err(refusal("only a link-local address has an interface", format!("write [{ip}]:PORT")));
        }
        Some(zone) => match zone.parse::<u32>().ok().or_else(|| (names.interface)(zone)) {
            Some(index) if index > 0 => index,
            _ => {
                return Err(Refusal {
                    code: code::UNKNOWN_INTERFACE,
                    label: format!("this system has no interface {}", quoted(zone)),
                    help: Some("`ip link` (or `ifconfig`) lists the interfaces".to_owned()),
                });
            }
        },
    };
    Ok((ip.into(), scope_id))
}

/// First and last port. A text of digits and hyphens is a number or a range; anything else is a
/// service name, which may hold hyphens as well but needs a letter (RFC 6335, section 5.1).
fn ports(text: &str, names: &Names) -> Result<(u16, u16), Refusal> {
    if !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
        return service(text, names).map(|port| (port, port));
    }
    let example = "a port is a number from 0 to 65535, a range such as 7000-7099, or a service name";
    let Some((first, last)) = text.split_once('-') else {
        let port = number(text).ok_or_else(|| refusal(format!("{} is not a port", quoted(text)), example))?;
        return Ok((port, port));
    };
    let (Some(first), Some(last)) = (number(first), number(last)) else {
        return Err(refusal(format!("{} is not a range of ports", quoted(text)), example));
    };
    if first > last {
        return Err(refusal("the range ends before it begins", format!("write {last}-{first}")));
    }
    if first == 0 {
        return Err(refusal(
            "port 0 cannot be part of a range",
            "port 0 alone lets the system choose; a range begins at 1 or later",
        ));
    }
    Ok((first, last))
}

fn number(text: &str) -> Option<u16> {
    if text.is_empty() { None } else { port_number(text) }
}

fn service(name: &str, names: &Names) -> Result<u16, Refusal> {
    // Without a letter getaddrinfo would read a number its own way: `+53` is 53.
    let letter = name.bytes().any(|byte| byte.is_ascii_alphabetic());
    let legal = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte));
    if !legal || !letter {
        return Err(refusal(
            format!("{} is not a port", quoted(name)),
            "a port is a number from 0 to 65535, a range such as 7000-7099, or a service name",
        ));
    }
    (names.service)(name).ok_or_else(|| Refusal {
        code: code::UNKNOWN_SERVICE,
        label: format!("this system knows no UDP service {}", quoted(name)),
        help: Some(
            "write the port number, or install the services database (/etc/services; Debian: netbase)"
                .to_owned(),
        ),
    })
}

/// Whether `ip` has a meaning only together with an interface: link-local unicast (RFC 4291,
/// section 2.5.6) and link-local or interface-local multicast (section 2.7).
pub(super) fn needs_zone(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(_) => false,
        IpAddr::V6(ip) => {
            let scope = ip.segments()[0];
            ip.is_unicast_link_local() || scope & 0xff0f == 0xff01 || scope & 0xff0f == 0xff02
        }
    }
}

fn refusal(label: impl Into<String>, help: impl Into<String>) -> Refusal {
    Refusal { code: code::BAD_BIND, label: label.into(), help: Some(help.into()) }
}

/// Asks getaddrinfo(3) without a host, which reads the services database and asks no name server.
fn system_service(name: &str) -> Option<u16> {
    let hints = dns_lookup::AddrInfoHints {
        socktype: dns_lookup::SockType::DGram.into(),
        ..dns_lookup::AddrInfoHints::default()
    };
    let mut answers = dns_lookup::getaddrinfo(None, Some(name), Some(hints)).ok()?;
    answers.find_map(Result::ok).map(|answer| answer.sockaddr.port())
}

/// Asks getaddrinfo(3) which interface index the zone of a link-local address is. It needs no name server, since
/// the host is a number.
fn system_interface(name: &str) -> Option<u32> {
    let hints = dns_lookup::AddrInfoHints {
        socktype: dns_lookup::SockType::DGram.into(),
        flags: libc::AI_NUMERICHOST,
        ..dns_lookup::AddrInfoHints::default()
    };
    let mut answers = dns_lookup::getaddrinfo(Some(&format!("fe80::1%{name}")), None, Some(hints)).ok()?;
    answers.find_map(Result::ok).and_then(|answer| match answer.sockaddr {
        std::net::SocketAddr::V6(address) => Some(address.scope_id()),
        std::net::SocketAddr::V4(_) => None,
    })
}

/// Looks an address up in the list of getifaddrs(3). When it fails, no interface has the address; the system says more where it is used.
fn system_interface_of(ip: IpAddr) -> Option<u32> {
    let interfaces = if_addrs::get_if_addrs().ok()?;
    interfaces.into_iter().find(|interface| interface.ip() == ip)?.index
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: Names = Names {
        service: |name| match name {
            "domain" => Some(53),
            "http-alt" => Some(8080),
            _ => None,
        },
        interface: |name| (name == "eth0").then_some(7),
        interface_of: |_| None,
    };

    #[track_caller]
    fn read(text: &str) -> (String, u32, u16, u16) {
        let endpoint = endpoint(text, &NAMES).unwrap();
        (endpoint.ip.to_string(), endpoint.scope_id, endpoint.first, endpoint.last)
    }

    #[test]
    fn reads_every_form() {
        assert_eq!(read("127.0.0.1:7000"), ("127.0.0.1".into(), 0, 7000, 7000));
        assert_eq!(read("[::1]:7000"), ("::1".into(), 0, 7000, 7000));
        assert_eq!(read("0.0.0.0:7000-7099"), ("0.0.0.0".into(), 0, 7000, 7099));
        assert_eq!(read("[::]:1-65535"), ("::".into(), 0, 1, 65535));
        assert_eq!(read("127.0.0.1:0"), ("127.0.0.1".into(), 0, 0, 0));
        assert_eq!(read("127.0.0.1:domain"), ("127.0.0.1".into(), 0, 53, 53));
        assert_eq!(read("[::1]:http-alt"), ("::1".into(), 0, 8080, 8080));
        assert_eq!(read("[fe80::1%eth0]:9"), ("fe80::1".into(), 7, 9, 9));
        assert_eq!(read("[fe80::1%3]:9"), ("fe80::1".into(), 3, 9, 9));
        assert_eq!(read("[ff02::1%3]:9"), ("ff02::1".into(), 3, 9, 9));
        assert_eq!(read("239.1.2.3:9"), ("239.1.2.3".into(), 0, 9, 9));
    }

    #[test]
    fn says_why_it_refuses() {
        let cases = [
            ("", "expected ADDRESS:PORT"),
            ("7000", "expected ADDRESS:PORT"),
            ("[::1]", "expected ADDRESS:PORT"),
            (":7000", "the address is missing"),
            ("*:7000", "`*` is not an address"),
            ("::1:7000", "an IPv6 address needs brackets"),
            ("127.0.0:7000", "`127.0.0` is not an IPv4 address"),
            ("localhost:7000", "`localhost` is a host name, and a bind address must be a number"),
            ("[127.0.0.1]:7000", "`127.0.0.1` is not an IPv6 address"),
            ("[::ffff:127.0.0.1]:7000", "an IPv4 address in the form of IPv6"),
            ("[fe80::1]:9", "a link-local address needs its interface"),
            ("[::1%eth0]:9", "only a link-local address has an interface"),
            ("[fe80::1%eth9]:9", "this system has no interface `eth9`"),
            ("[fe80::1%0]:9", "this system has no interface `0`"),
            ("127.0.0.1:", "`` is not a port"),
            ("127.0.0.1:65536", "`65536` is not a port"),
            ("127.0.0.1:7000-", "`7000-` is not a range of ports"),
            ("127.0.0.1:-", "`-` is not a range of ports"),
            ("127.0.0.1:1-2-3", "`1-2-3` is not a range of ports"),
            ("127.0.0.1:7099-7000", "the range ends before it begins"),
            ("127.0.0.1:0-10", "port 0 cannot be part of a range"),
            ("127.0.0.1:7 000", "`7 000` is not a port"),
            ("127.0.0.1:+53", "`+53` is not a port"),
            ("127.0.0.1:nosuch", "this system knows no UDP service `nosuch`"),
        ];
        for (text, label) in cases {
            assert_eq!(endpoint(text, &NAMES).unwrap_err().label, label, "{text:?}");
        }
    }

    #[test]
    fn asks_the_system_for_services() {
        let system = Names::system();
        assert_eq!((system.service)("no-such-service-here"), None);
        assert_eq!((system.service)("nul\0byte"), None);
        match (system.service)("domain") {
            Some(port) => assert_eq!(port, 53),
            None => eprintln!("skipped: this machine has no services database, `domain` is unknown"),
        }
    }

    #[test]
    fn asks_the_system_for_interfaces() {
        let system = Names::system();
        let loopback = if cfg!(target_os = "macos") { "lo0" } else { "lo" };
        assert!((system.interface)(loopback).is_some_and(|index| index > 0));
        assert_eq!((system.interface)("no-such-if"), None);
        assert_eq!((system.interface_of)(Ipv4Addr::LOCALHOST.into()), (system.interface)(loopback));
        assert_eq!((system.interface_of)(Ipv4Addr::new(192, 0, 2, 1).into()), None);
    }
}
