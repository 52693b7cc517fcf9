//! Why a socket could not be made, and what to do about it.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// A socket could not be made: where, at which step, why. Its text says what to do about the common causes.
#[derive(Debug)]
pub struct BindError {
    /// The address asked for.
    pub addr: SocketAddr,
    /// What was being done.
    pub step: BindStep,
    /// What the system said.
    pub source: io::Error,
}

/// The steps of making a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindStep {
    /// `socket(2)`.
    Create,
    /// `setsockopt(2)` of the option named.
    Option(&'static str),
    /// `bind(2)`.
    Bind,
    /// Taking over a socket that another process has bound.
    TakeOver,
}

impl BindError {
    fn advice(&self) -> Option<String> {
        let port = self.addr.port();
        let text = match (self.source.raw_os_error()?, self.step) {
            (libc::EADDRINUSE, _) => format!(
                "another process, or another line of the configuration, holds UDP port {port} at this address; \
                 `ss -ulnp sport = {port}` names it"
            ),
            (libc::EACCES, BindStep::Bind) if port < 1024 => format!(
                "port {port} is below 1024 and needs CAP_NET_BIND_SERVICE (or a lower \
                 net.ipv4.ip_unprivileged_port_start); or choose a higher port"
            ),
            (libc::EADDRNOTAVAIL, _) => {
                format!("no interface of this host has the address {}; see `ip addr`", self.addr.ip())
            }
            (libc::ENODEV, BindStep::Option("SO_BINDTODEVICE")) => {
                "this host has no such interface; see `ip link`".to_owned()
            }
            (libc::EPERM, BindStep::Option("SO_BINDTODEVICE")) => {
                "before Linux 5.7 this needs CAP_NET_RAW".to_owned()
            }
            (libc::EMFILE, _) => "this process has too many files open; raise its limit (`ulimit -n`, \
                                  LimitNOFILE= of its systemd unit)"
                .to_owned(),
            (libc::ENFILE, _) => "the host has too many files open; raise fs.file-max".to_owned(),
            (libc::EAFNOSUPPORT, _) => "this host has no IPv6, or not this address family".to_owned(),
            (libc::EINVAL, BindStep::Bind) if self.addr.is_ipv6() => {
                "a link-local address needs its interface: [fe80::1%2]:port with the index from `ip link`"
                    .to_owned()
            }
            _ => return None,
        };
        Some(text)
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot open UDP {}: {}: {}", self.addr, self.step, self.source)?;
        match self.advice() {
            Some(advice) => write!(f, ": {advice}"),
            None => Ok(()),
        }
    }
}

impl Error for BindError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

impl fmt::Display for BindStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create => f.write_str("socket"),
            Self::Option(name) => write!(f, "option {name}"),
            Self::Bind => f.write_str("bind"),
            Self::TakeOver => f.write_str("take over"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_common_cause_has_advice() {
        let text = |addr: &str, step, errno| {
            BindError { addr: addr.parse().unwrap(), step, source: io::Error::from_raw_os_error(errno) }
                .to_string()
        };
        assert!(text("127.0.0.1:53", BindStep::Bind, libc::EACCES).contains("CAP_NET_BIND_SERVICE"));
        assert!(text("127.0.0.1:1023", BindStep::Bind, libc::EACCES).contains("CAP_NET_BIND_SERVICE"));
        assert!(!text("127.0.0.1:1024", BindStep::Bind, libc::EACCES).contains("CAP_NET_BIND_SERVICE"));
        assert!(!text("127.0.0.1:53", BindStep::Create, libc::EACCES).contains("CAP_NET_BIND_SERVICE"));
        assert!(text("127.0.0.1:53", BindStep::Bind, libc::EADDRINUSE).contains("ss -ulnp sport = 53"));
        assert!(text("192.0.2.1:53", BindStep::Bind, libc::EADDRNOTAVAIL).contains("192.0.2.1"));
        assert!(text("127.0.0.1:53", BindStep::Create, libc::EMFILE).contains("LimitNOFILE"));
        assert!(text("127.0.0.1:53", BindStep::Create, libc::ENFILE).contains("fs.file-max"));
        assert!(text("[::1]:53", BindStep::Create, libc::EAFNOSUPPORT).contains("no IPv6"));
        assert!(text("[fe80::1]:53", BindStep::Bind, libc::EINVAL).contains("interface"));
        assert!(!text("127.0.0.1:53", BindStep::Bind, libc::EINVAL).contains("interface"));
        let device = BindStep::Option("SO_BINDTODEVICE");
        assert!(text("127.0.0.1:53", device, libc::ENODEV).contains("ip link"));
        assert!(text("127.0.0.1:53", device, libc::EPERM).contains("CAP_NET_RAW"));
        let unknown = text("127.0.0.1:9", BindStep::Option("SO_BROADCAST"), libc::EIO);
        assert!(unknown.starts_with("cannot open UDP 127.0.0.1:9: option SO_BROADCAST: "), "{unknown}");
        assert!(text("127.0.0.1:9", BindStep::Create, libc::EIO).contains(": socket: "));
        assert!(text("127.0.0.1:9", BindStep::Bind, libc::EIO).contains(": bind: "));
    }
}
