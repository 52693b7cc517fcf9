//! Why a datagram did not leave, in words: what the system refuses, and what to do about it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use polyport_net::{SocketOptions, UdpSocket};
use polyport_terminal::Exit;

use crate::outcome::ExitError;
use crate::zone::{lacks_zone, zone};

/// Refusals in a row, each of another transmission, that it takes to believe that nobody listens: one ICMP message may be
/// forged, or meant for who had the port before.
pub const REFUSALS: u8 = 3;

/// Nobody listens at `peer`: another address of the host may do.
#[must_use]
pub fn refused(peer: SocketAddr) -> ExitError {
    let text = format!("connection refused: nobody listens at {peer}");
    ExitError::new(Exit::NoReply, text).of_one_address()
}

/// What the system said when something was to go from `own` to `peer`; `doing` is "send to", "connect to" or the like. A
/// broadcast address is no peer here, and leads to the client that is for it.
#[must_use]
pub fn unsent(doing: &str, peer: SocketAddr, own: SocketAddr, error: &io::Error) -> ExitError {
    // Without a route to anywhere it is ENETUNREACH.
    let denied = matches!(error.raw_os_error(), Some(libc::EACCES | libc::ENETUNREACH));
    if denied && is_broadcast(peer, own) {
        let text = format!("cannot {doing} {peer}: {error}: a broadcast address needs polyport-cast");
        return ExitError::new(Exit::Permission, text);
    }
    unsent_to_any(doing, peer, own, error)
}

/// What [`unsent`] says, of groups and broadcast addresses as well.
#[must_use]
pub fn unsent_to_any(doing: &str, peer: SocketAddr, own: SocketAddr, error: &io::Error) -> ExitError {
    let errno = error.raw_os_error();
    if errno == Some(libc::ECONNREFUSED) {
        return refused(peer);
    }
    let what = format!("{doing} {peer}");
    let Some((exit, advice)) = cause(errno, peer, own) else { return ExitError::io(&what, error) };
    let failure = ExitError::new(exit, format!("cannot {what}: {error}: {advice}"));
    // A wrong command line stays wrong at every address.
    if exit == Exit::Usage { failure } else { failure.of_one_address() }
}

/// The errnos that `ip(7)`, `ipv6(7)` and `udp(7)` give more than one meaning, or one that needs a hint.
fn cause(errno: Option<i32>, peer: SocketAddr, own: SocketAddr) -> Option<(Exit, String)> {
    let route = format!("see `ip route get {}`", peer.ip());
    Some(match errno? {
        libc::EPERM => (
            Exit::Permission,
            "a firewall of this host drops it: see `nft list ruleset` or `iptables -S OUTPUT`".to_owned(),
        ),
        libc::EACCES => (Exit::Permission, format!("a prohibit route or a firewall forbids it: {route}")),
        libc::EINVAL | libc::ENETUNREACH if lacks_zone(peer) => (
            Exit::Usage,
            format!("a link-local address needs its interface: [{}%eth0]:{}", peer.ip(), peer.port()),
        ),
        libc::EINVAL if own.ip().is_loopback() && !peer.ip().is_loopback() => {
            (Exit::Usage, format!("nothing leaves this host from {}", own.ip()))
        }
        libc::EINVAL if zone(own).is_some() && zone(peer) != zone(own) => {
            (Exit::Usage, format!("{} is of another interface", own.ip()))
        }
        libc::EINVAL => (Exit::NoReply, format!("a blackhole route swallows it: {route}")),
        libc::ENETUNREACH | libc::EHOSTUNREACH => (Exit::NoReply, format!("there is no route; {route}")),
        libc::EADDRNOTAVAIL => (
            Exit::NoReply,
            format!("this host has no {} address to send from", if peer.is_ipv6() { "IPv6" } else { "IPv4" }),
        ),
        _ => return None,
    })
}

/// Whether `peer` is a broadcast address, by the routes of this host: then the permission to broadcast is all that a
/// connect needs, and a route that prohibits it is none. Nothing is sent.
fn is_broadcast(peer: SocketAddr, own: SocketAddr) -> bool {
    match peer.ip() {
        IpAddr::V4(Ipv4Addr::BROADCAST) => return true,
        IpAddr::V4(_) => {}
        IpAddr::V6(_) => return false,
    }
    let connects = |broadcast| {
        let options = SocketOptions { broadcast, ..SocketOptions::default() };
        // The port of --from may be taken, by ourselves.
        let any_port = SocketAddr::new(own.ip(), 0);
        UdpSocket::bind(any_port, &options).is_ok_and(|socket| socket.connect(peer).is_ok())
    };
    connects(true) && !connects(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(errno: i32, peer: &str, own: &str) -> ExitError {
        let error = io::Error::from_raw_os_error(errno);
        unsent("send to", peer.parse().unwrap(), own.parse().unwrap(), &error)
    }

    #[test]
    fn each_cause_has_its_sentence_its_code_and_its_cure() {
        let (any, any6) = ("0.0.0.0:0", "[::]:0");
        for (errno, peer, own, exit, word, elsewhere) in [
            (libc::ECONNREFUSED, "192.0.2.1:7", any, Exit::NoReply, "nobody listens at 192.0.2.1:7", true),
            (libc::EPERM, "192.0.2.1:7", any, Exit::Permission, "firewall of this host", true),
            (libc::EACCES, "192.0.2.1:7", any, Exit::Permission, "a prohibit route", true),
            (libc::EACCES, "[2001:db8::1]:7", any6, Exit::Permission, "a prohibit route", true),
            (libc::EACCES, "127.255.255.255:7", any, Exit::Permission, "needs polyport-cast", false),
            (libc::EACCES, "255.255.255.255:7", any, Exit::Permission, "needs polyport-cast", false),
            (libc::ENETUNREACH, "255.255.255.255:7", any, Exit::Permission, "needs polyport-cast", false),
            (libc::EINVAL, "192.0.2.1:7", any, Exit::NoReply, "a blackhole route", true),
            (libc::EINVAL, "192.0.2.1:7", "127.0.0.1:0", Exit::Usage, "from 127.0.0.1", false),
            (libc::EINVAL, "[fe80::1]:7", any6, Exit::Usage, "[fe80::1%eth0]:7", false),
            (libc::EINVAL, "[fe80::1%2]:7", "[fe80::2%3]:0", Exit::Usage, "another interface", false),
            (libc::ENETUNREACH, "192.0.2.1:7", any, Exit::NoReply, "there is no route", true),
            (libc::EHOSTUNREACH, "[2001:db8::1]:7", any6, Exit::NoReply, "`ip route get 2001:db8::1`", true),
            (libc::EADDRNOTAVAIL, "[::1]:7", any6, Exit::NoReply, "no IPv6 address", true),
            (libc::ENETUNREACH, "[fe80::1]:7", any6, Exit::Usage, "[fe80::1%eth0]:7", false),
        ] {
            let failure = of(errno, peer, own);
            assert_eq!((failure.exit, failure.is_of_one_address()), (exit, elsewhere), "{failure}");
            assert!(failure.to_string().contains(word), "{failure}");
        }
        let error = io::Error::from_raw_os_error(libc::ENETUNREACH);
        let (all, own) = ("255.255.255.255:7".parse().unwrap(), any.parse().unwrap());
        let failure = unsent_to_any("send to", all, own, &error);
        assert!(
            failure.exit == Exit::NoReply && failure.to_string().contains("there is no route"),
            "{failure}"
        );
        let other = of(libc::ENOMEM, "192.0.2.1:7", any);
        assert!(other.exit == Exit::Os && other.to_string().starts_with("cannot send to 192.0.2.1:7: "));
    }
}
