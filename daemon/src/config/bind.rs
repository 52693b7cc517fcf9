//! A bind address as it is written: an IP address, or a word for several, and a port, a range of ports or a service name.
//!
//! A word stands for each of its addresses by itself, one socket each: a socket of both families would show IPv4 peers in a
//! form that no access list expects.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use polyport_value::{Host, host_and_port, port_number};

use super::asked::Asked;
use super::names::Names;
use super::ports::ports;
use super::problem::{code, quoted};
use super::refusal::Refusal;

/// What [`endpoints`] reads: an IP address and its ports.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) ip: IpAddr,
    pub(super) scope_id: u32,
    /// The name of that interface, if it was written.
    pub(super) zone: Option<String>,
    pub(super) first: u16,
    pub(super) last: u16,
}

/// Reads `127.0.0.1:7000`, `0.0.0.0:7000-7099`, `[::1]:domain`, `[fe80::1%eth0]:9`, which are one address; `:7000` and
/// `*:7000`, `localhost:7000` and `eth0:7000`, which may be several. At least one, those of IPv4 first. With `later` the
/// interface of a link-local address may be missing.
pub(super) fn endpoints(text: &str, names: &Asked<'_>, later: bool) -> Result<Vec<Endpoint>, Refusal> {
    let Some((host, port)) = host_and_port(text) else {
        return Err(no_port(text));
    };
    let (addresses, zone) = match host {
        Host::V4(host) => (unbracketed(host, names)?, Some(host)),
        Host::V6 { address, zone } => (vec![v6(address, zone, names, later)?], zone),
    };
    let zone = zone.filter(|zone| zone.parse::<u32>().is_err());
    let (first, last) = ports(port, names)?;
    let endpoint = |(ip, scope_id)| {
        let zone = zone.filter(|_| needs_zone(ip)).map(str::to_owned);
        Endpoint { ip, scope_id, zone, first, last }
    };
    Ok(addresses.into_iter().map(endpoint).collect())
}

fn no_port(text: &str) -> Refusal {
    let label = "expected ADDRESS:PORT";
    if port_number(text).is_some() && !text.is_empty() {
        let port = text;
        return refusal(
            label,
            format!("write 127.0.0.1:{port} or [::1]:{port}, or :{port} for every interface"),
        );
    }
    refusal(
        label,
        "for example 127.0.0.1:7000, [::1]:7000, 0.0.0.0:7000-7099 or localhost:domain; :7000 is every interface",
    )
}

/// The addresses of a host that is written without brackets, each with its scope.
fn unbracketed(host: &str, names: &Names) -> Result<Vec<(IpAddr, u32)>, Refusal> {
    match host {
        // The quotes are what languages write around nothing, and get lost in a shell only.
        "" | "*" | "''" | "\"\"" => Ok(everywhere(names)),
        _ if host.eq_ignore_ascii_case("localhost") => Ok(localhost(names)),
        _ if host.contains(':') => {
            Err(refusal("an IPv6 address needs brackets", "write [ADDRESS]:PORT, for example [::1]:7000"))
        }
        _ => match host.parse::<Ipv4Addr>() {
            Ok(ip) => Ok(vec![(ip.into(), 0)]),
            Err(_) if host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => Err(refusal(
                format!("{} is not an IPv4 address", quoted(host)),
                "four numbers from 0 to 255 with dots between them, for example 127.0.0.1:7000",
            )),
            Err(_) => interface(host, names),
        },
    }
}

/// Every interface: the wildcards of both families.
fn everywhere(names: &Names) -> Vec<(IpAddr, u32)> {
    let six = (names.ipv6)().then_some((Ipv6Addr::UNSPECIFIED.into(), 0));
    [(Ipv4Addr::UNSPECIFIED.into(), 0)].into_iter().chain(six).collect()
}

/// This host alone. No resolver is asked: the name means loopback whatever a file says (RFC 6761, section 6.3).
fn localhost(names: &Names) -> Vec<(IpAddr, u32)> {
    let six = IpAddr::from(Ipv6Addr::LOCALHOST);
    // A host without IPv6 has no ::1, and can still serve its name.
    let six = (names.interface_of)(six).map(|_| (six, 0));
    [(Ipv4Addr::LOCALHOST.into(), 0)].into_iter().chain(six).collect()
}

/// The addresses of a network interface, as they are now.
fn interface(name: &str, names: &Names) -> Result<Vec<(IpAddr, u32)>, Refusal> {
    let Some(index) = (names.interface)(name) else {
        return Err(refusal(
            format!("{} is neither an address nor an interface of this system", quoted(name)),
            "host names other than localhost are not looked up, since they may change: write the address; \
             `ip addr` (or `ifconfig`) lists the interfaces and their addresses",
        ));
    };
    let mut addresses: Vec<(IpAddr, u32)> = Vec::new();
    for ip in (names.addresses_of)(index) {
        let address = (ip, if needs_zone(ip) { index } else { 0 });
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(Refusal {
            code: code::UNKNOWN_INTERFACE,
            label: format!("the interface {} has no address", quoted(name)),
            help: Some(
                "give it one (`ip addr add`), or bind to the address it will have, with `freebind = true`"
                    .to_owned(),
            ),
        });
    }
    Ok(addresses)
}

fn v6(address: &str, zone: Option<&str>, names: &Names, later: bool) -> Result<(IpAddr, u32), Refusal> {
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
            None if later => 0,
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

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: Names = Names {
        service: |name| match name {
            "domain" => Some(53),
            "http-alt" => Some(8080),
            "bootps" => Some(67),
            "bootpc" => Some(68),
            _ => None,
        },
        interface: |name| match name {
            "eth0" => Some(7),
            "eth1" => Some(9),
            _ => None,
        },
        interface_of: |ip| (ip == Ipv6Addr::LOCALHOST).then_some(1),
        addresses_of: |index| {
            let of_eth0 = ["192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::1", "fe80::1"];
            if index == 7 { of_eth0.map(|ip| ip.parse().unwrap()).to_vec() } else { Vec::new() }
        },
        ipv6: || true,
        files: |_, _| Ok(Vec::new()),
        content: |_| Err(std::io::ErrorKind::NotFound.into()),
    };

    const WITHOUT_IPV6: Names = Names { interface_of: |_| None, ipv6: || false, ..NAMES };

    #[track_caller]
    fn read(text: &str) -> (String, u32, u16, u16) {
        let endpoints = endpoints(text, &Asked::new(&NAMES), false).unwrap();
        let [endpoint] = &endpoints[..] else { panic!("{endpoints:?}") };
        (endpoint.ip.to_string(), endpoint.scope_id, endpoint.first, endpoint.last)
    }

    /// The addresses of a text, `IP%SCOPE`, all of which have the port 9.
    #[track_caller]
    fn addresses(text: &str, names: &Names) -> Vec<String> {
        let endpoints = endpoints(text, &Asked::new(names), false).unwrap();
        assert!(endpoints.iter().all(|endpoint| (endpoint.first, endpoint.last) == (9, 9)));
        let scope = |id| if id == 0 { String::new() } else { format!("%{id}") };
        endpoints.iter().map(|endpoint| format!("{}{}", endpoint.ip, scope(endpoint.scope_id))).collect()
    }

    #[test]
    fn a_word_stands_for_each_of_its_addresses() {
        for everywhere in [":9", "*:9", "'':9", "\"\":9"] {
            assert_eq!(addresses(everywhere, &NAMES), ["0.0.0.0", "::"], "{everywhere}");
            assert_eq!(addresses(everywhere, &WITHOUT_IPV6), ["0.0.0.0"], "{everywhere}");
        }
        for localhost in ["localhost:9", "LocalHost:9"] {
            assert_eq!(addresses(localhost, &NAMES), ["127.0.0.1", "::1"]);
            assert_eq!(addresses(localhost, &WITHOUT_IPV6), ["127.0.0.1"]);
        }
        assert_eq!(addresses("eth0:9", &NAMES), ["192.0.2.1", "192.0.2.2", "2001:db8::1", "fe80::1%7"]);
    }

    #[test]
    fn services_are_ports_wherever_ports_are() {
        assert_eq!(read("127.0.0.1:bootps-bootpc"), ("127.0.0.1".into(), 0, 67, 68));
        assert_eq!(read("127.0.0.1:domain-60"), ("127.0.0.1".into(), 0, 53, 60));
        assert_eq!(read("127.0.0.1:60-http-alt"), ("127.0.0.1".into(), 0, 60, 8080));
        assert_eq!(read("127.0.0.1:domain-http-alt"), ("127.0.0.1".into(), 0, 53, 8080));
        let ports = endpoints("*:domain-54", &Asked::new(&NAMES), false).unwrap();
        assert_eq!(ports.iter().map(|it| (it.first, it.last)).collect::<Vec<_>>(), [(53, 54), (53, 54)]);
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
            ("*", "expected ADDRESS:PORT"),
            ("localhost", "expected ADDRESS:PORT"),
            (":", "`` is not a port"),
            ("::1:7000", "an IPv6 address needs brackets"),
            ("127.0.0:7000", "`127.0.0` is not an IPv4 address"),
            (
                "www.example.org:7000",
                "`www.example.org` is neither an address nor an interface of this system",
            ),
            ("eth9:7000", "`eth9` is neither an address nor an interface of this system"),
            ("eth1:7000", "the interface `eth1` has no address"),
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
            ("127.0.0.1:domain-nosuch", "this system knows no UDP service `domain-nosuch`"),
            ("127.0.0.1:http-alt-domain", "the range ends before it begins"),
            ("127.0.0.1:0-domain", "port 0 cannot be part of a range"),
        ];
        for (text, label) in cases {
            assert_eq!(endpoints(text, &Asked::new(&NAMES), false).unwrap_err().label, label, "{text:?}");
        }
    }
}
