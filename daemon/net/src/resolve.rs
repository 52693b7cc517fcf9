//! Names to addresses: `getaddrinfo(3)`, with service names, for clients. It blocks for as long as the system's
//! resolver likes, so a server's thread must not call it.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;

use dns_lookup::{AddrInfoHints, LookupErrorKind, SockType};

/// The addresses that `target` stands for, in the resolver's order of preference, without repeats; at least one.
///
/// `target` is `host:port`; the host is a name or an address (IPv6 in brackets, `[fe80::1%eth0]:53`), the port is a
/// number or a service name of `/etc/services` for UDP, such as `ntp`.
///
/// # Errors
/// [`ResolveError`] says whether the form, the host, or the service is at fault.
pub fn resolve(target: &str) -> Result<Vec<SocketAddr>, ResolveError> {
    if let Ok(address) = target.parse() {
        return Ok(vec![address]);
    }
    let (host, service) = split(target)?;
    let is_number = service.bytes().all(|byte| byte.is_ascii_digit());
    if is_number && service.parse::<u16>().is_err() {
        return Err(ResolveError::Syntax {
            target: target.to_owned(),
            reason: "a port is a number up to 65535",
        });
    }
    let hints = AddrInfoHints { socktype: SockType::DGram.into(), ..AddrInfoHints::default() };
    let found = dns_lookup::getaddrinfo(Some(host), Some(service), Some(hints)).map_err(|error| {
        let (kind, source) = (error.kind(), io::Error::from(error));
        if matches!(kind, LookupErrorKind::Service) {
            ResolveError::ServiceUnknown { service: service.to_owned(), source }
        } else {
            ResolveError::HostUnknown { host: host.to_owned(), source }
        }
    })?;
    let mut addresses = Vec::new();
    // Entries of families other than IP are errors of the iterator, and no concern of ours.
    for entry in found.flatten() {
        if !addresses.contains(&entry.sockaddr) {
            addresses.push(entry.sockaddr);
        }
    }
    if addresses.is_empty() {
        let source = io::Error::new(io::ErrorKind::NotFound, "it has no IP address");
        return Err(ResolveError::HostUnknown { host: host.to_owned(), source });
    }
    Ok(addresses)
}

/// Why a name stands for no address.
#[derive(Debug)]
pub enum ResolveError {
    /// The target is not of the form `host:port`.
    Syntax {
        /// The target as given.
        target: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The resolver does not know the host, or could not be asked; `source` says which.
    HostUnknown {
        /// The host's name.
        host: String,
        /// The resolver's answer.
        source: io::Error,
    },
    /// No UDP service has this name.
    ServiceUnknown {
        /// The service's name.
        service: String,
        /// The resolver's answer.
        source: io::Error,
    },
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { target, reason } => {
                write!(f, "`{target}` is no host:port: {reason}")
            }
            Self::HostUnknown { host, source } => write!(f, "host `{host}` unknown: {source}"),
            Self::ServiceUnknown { service, source } => {
                write!(f, "UDP service `{service}` unknown: {source}: give the port as a number")
            }
        }
    }
}

impl Error for ResolveError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Syntax { .. } => None,
            Self::HostUnknown { source, .. } | Self::ServiceUnknown { source, .. } => Some(source),
        }
    }
}

fn split(target: &str) -> Result<(&str, &str), ResolveError> {
    let wrong = |reason| ResolveError::Syntax { target: target.to_owned(), reason };
    let (host, service) = if let Some(rest) = target.strip_prefix('[') {
        rest.split_once("]:").ok_or_else(|| wrong("expected ]:port after the IPv6 address"))?
    } else {
        let (host, service) = target.rsplit_once(':').ok_or_else(|| wrong("the port is missing"))?;
        if host.contains(':') {
            return Err(wrong("an IPv6 address needs brackets: [::1]:53"));
        }
        (host, service)
    };
    match (host, service) {
        ("", _) => Err(wrong("the host is missing")),
        (_, "") => Err(wrong("the port is missing")),
        // A NUL cannot be passed on, and no name has one.
        _ if target.contains('\0') => Err(wrong("it contains a NUL")),
        parts => Ok(parts),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn addresses_need_no_resolver() {
        for text in ["127.0.0.1:53", "[::1]:53", "[fe80::1%1]:53"] {
            assert_eq!(resolve(text).unwrap(), [text.parse().unwrap()]);
        }
    }

    #[test]
    fn names_and_services_are_looked_up() {
        let loopback = resolve("localhost:9").unwrap();
        assert!(!loopback.is_empty() && loopback.iter().all(|a| a.ip().is_loopback() && a.port() == 9));
        let mut unique = loopback.clone();
        unique.dedup();
        assert_eq!(unique, loopback, "no repeats");
        let domain = resolve("127.0.0.1:domain").unwrap();
        assert_eq!(domain, ["127.0.0.1:53".parse().unwrap()]);
    }

    /// Which services have no UDP port differs from system to system, so its own list is asked.
    #[test]
    fn a_service_of_tcp_alone_is_unknown() {
        let services = std::fs::read_to_string("/etc/services").unwrap_or_default();
        let names = |protocol: &str| -> BTreeSet<&str> {
            let lines = services.lines().filter_map(|line| line.split('#').next());
            let words = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
            let own = words.filter(|words| words.get(1).is_some_and(|port| port.ends_with(protocol)));
            own.flatten().filter(|word| !word.contains('/')).collect()
        };
        if let Some(name) = names("/tcp").difference(&names("/udp")).next() {
            let error = resolve(&format!("127.0.0.1:{name}")).unwrap_err();
            assert!(matches!(error, ResolveError::ServiceUnknown { .. }), "{error}");
        }
    }

    #[test]
    fn each_fault_is_named() {
        let text = |target: &str| resolve(target).unwrap_err().to_string();
        assert!(text("localhost").contains("port is missing"));
        assert!(text("localhost:").contains("port is missing"));
        assert!(text(":53").contains("host is missing"));
        assert!(text("::1:53x").contains("brackets"));
        assert!(text("[::1]").contains("]:port"));
        assert!(text("localhost:65536").contains("65535"));
        assert!(text("local\0host:53").contains("NUL"));
        let service = text("127.0.0.1:no-such-service");
        assert!(service.contains("service `no-such-service` unknown"), "{service}");
        // A space is in no host name, so no resolver is asked over the network.
        let host = text("no such host:53");
        assert!(host.contains("host `no such host` unknown"), "{host}");
        assert!(resolve("no such host:53").unwrap_err().source().is_some());
        assert!(resolve("localhost").unwrap_err().source().is_none());
    }
}
