//! The sockets of a part of a run.

use polyport_net::{Facts, Pktinfo, SocketOptions, UdpSocket};

use super::config::{Config, Expect};
use super::part::Part;
use crate::outcome::ExitError;

/// Receive buffer to ask for: a tenth of a second at 40 000 datagrams a second, each charged about 1 KiB.
pub const RECEIVE_BUFFER: usize = 4 << 20;

/// Our own ports for each family among the targets, IPv4 first. They are not connected, so that answers from elsewhere
/// are seen and counted ([P-75]).
///
/// # Errors
/// One cannot be bound, or does not do what is asked of it.
pub fn open(config: &Config, part: Part) -> Result<Vec<UdpSocket>, ExitError> {
    let options = SocketOptions {
        recv_buffer: Some(RECEIVE_BUFFER),
        pktinfo: Pktinfo::Never,
        tos: config.tos,
        ttl: config.ttl,
        ..SocketOptions::default()
    };
    let (first, count) = (config.ports_before(part), config.ports(part));
    let v4 = config.targets.iter().find(|target| target.is_ipv4());
    let v6 = config.targets.iter().find(|target| target.is_ipv6());
    v4.into_iter()
        .chain(v6)
        .flat_map(|target| (first..first + count).map(|n| config.own_of_port(*target, n)))
        .map(|own| {
            let mut socket = UdpSocket::bind(own?, &options)?;
            if config.expect == Expect::Stamp {
                // How answers are marked; where the system does not tell, nothing is said of it.
                socket.want(Facts { tos: true, ..Facts::NONE });
            }
            Ok(socket)
        })
        .collect()
}
