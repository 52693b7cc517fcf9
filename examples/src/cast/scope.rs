//! How far a datagram may go.

use std::net::SocketAddr;

use polyport_net::interface_name;

use crate::outcome::ExitError;

/// Refuses a TTL of 0 where it would not keep a datagram on this host: the system has it for groups only, and sends
/// everything else with 1 at least (`ip(7)`). What goes by the loopback interface stays here anyway.
///
/// # Errors
/// Says what does stay here.
pub fn stay_here(to: SocketAddr, looped: bool, ifindex: u32) -> Result<(), ExitError> {
    let ip = to.ip();
    if ip.is_multicast() {
        return if looped {
            Ok(())
        } else {
            Err(ExitError::usage("with --ttl 0 and --no-loop nobody would hear it"))
        };
    }
    if ip.to_canonical().is_loopback() || is_loopback(ifindex) {
        return Ok(());
    }
    Err(ExitError::usage(format!(
        "--ttl 0 keeps groups on this host, and {ip} is none: to be heard here only, send to 127.255.255.255 or to a \
         group, or use --interface {LOOPBACK}"
    )))
}

/// The loopback interface.
const LOOPBACK: &str = if cfg!(target_os = "linux") { "lo" } else { "lo0" };

fn is_loopback(ifindex: u32) -> bool {
    ifindex != 0 && interface_name(ifindex).is_ok_and(|name| name == LOOPBACK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_leave_is_refused() {
        let lo = polyport_net::interface_index(LOOPBACK).unwrap();
        let stays = |to: &str, looped, ifindex| stay_here(to.parse().unwrap(), looped, ifindex).is_ok();
        for to in ["239.1.2.3:7", "[ff02::1]:7", "127.255.255.255:7", "127.0.0.1:7", "[::1]:7"] {
            assert!(stays(to, true, 0), "{to}");
        }
        assert!(stays("255.255.255.255:7", true, lo));
        for to in ["255.255.255.255:7", "192.0.2.255:7", "192.0.2.1:7", "[2001:db8::1]:7"] {
            assert!(!stays(to, true, 0) && !stays(to, true, u32::MAX), "{to}");
        }
        assert!(!stays("239.1.2.3:7", false, 0) && !stays("[ff02::1]:7", false, 0));
    }
}
