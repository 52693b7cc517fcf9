//! What the daemon and the broker say to each other: a packet of JSON for each question and each answer, with the
//! descriptors beside the answer.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU8;

use serde::{Deserialize, Serialize};

use crate::reactor::{BindError, BindStep, PathMtuDiscovery, Pktinfo, SocketOptions};

/// Bytes of a packet: [`Maker::MOST`](super::Maker::MOST) orders have half of it.
pub(super) const PACKET: usize = 64 * 1024;

/// Options of sockets by their names; the broker can name no other.
const OPTIONS: [&str; 19] = [
    "O_NONBLOCK",
    "IPV6_V6ONLY",
    "SO_RCVBUF",
    "SO_SNDBUF",
    "SO_REUSEADDR",
    "SO_BROADCAST",
    "IP_FREEBIND",
    "IP_MTU_DISCOVER",
    "IP_MULTICAST_ALL",
    "SO_BINDTODEVICE",
    "SO_BINDTOIFINDEX",
    "IP_TOS",
    "IPV6_TCLASS",
    "IP_TTL",
    "IPV6_UNICAST_HOPS",
    "IP_MULTICAST_TTL",
    "IPV6_MULTICAST_HOPS",
    "IP_RECVTTL",
    "IP_PKTINFO",
];

/// A socket that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    pub(super) address: SocketAddr,
    recv_buffer: Option<usize>,
    recv_buffer_at_least: usize,
    send_buffer: Option<usize>,
    share: bool,
    broadcast: bool,
    freebind: bool,
    device: Option<String>,
    device_later: bool,
    tos: Option<u8>,
    ttl: Option<NonZeroU8>,
    always_pktinfo: bool,
    hop_limit: bool,
    omit_mtu: bool,
}

/// A socket that could not be made: its number in the question, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failed {
    pub(super) number: usize,
    step: String,
    errno: i32,
}

impl Wanted {
    /// A socket with these options.
    pub(crate) fn new(address: SocketAddr, options: &SocketOptions) -> Self {
        Self {
            address,
            recv_buffer: options.recv_buffer,
            recv_buffer_at_least: options.recv_buffer_at_least,
            send_buffer: options.send_buffer,
            share: options.reuse_addr,
            broadcast: options.broadcast,
            freebind: options.freebind,
            device: options.device.clone(),
            device_later: options.device_later,
            tos: options.tos,
            ttl: options.ttl,
            always_pktinfo: options.pktinfo == Pktinfo::Always,
            hop_limit: options.recv_hop_limit,
            omit_mtu: options.path_mtu_discovery == Some(PathMtuDiscovery::Omit),
        }
    }

    /// Its options.
    pub(crate) fn options(&self) -> SocketOptions {
        SocketOptions {
            recv_buffer: self.recv_buffer,
            recv_buffer_at_least: self.recv_buffer_at_least,
            send_buffer: self.send_buffer,
            reuse_addr: self.share,
            broadcast: self.broadcast,
            freebind: self.freebind,
            device: self.device.clone(),
            device_later: self.device_later,
            tos: self.tos,
            ttl: self.ttl,
            pktinfo: if self.always_pktinfo { Pktinfo::Always } else { Pktinfo::default() },
            recv_hop_limit: self.hop_limit,
            path_mtu_discovery: self.omit_mtu.then_some(PathMtuDiscovery::Omit),
            ..SocketOptions::default()
        }
    }
}

impl Failed {
    pub(super) fn new(number: usize, error: &BindError) -> Self {
        let step = match error.step {
            BindStep::Create => "create",
            BindStep::Bind => "bind",
            BindStep::TakeOver => "take over",
            BindStep::Option(name) => name,
        };
        Self { number, step: step.to_owned(), errno: error.source.raw_os_error().unwrap_or(libc::EINVAL) }
    }

    pub(super) fn error(&self, addr: SocketAddr) -> BindError {
        let step = match self.step.as_str() {
            "create" => BindStep::Create,
            "bind" => BindStep::Bind,
            "take over" => BindStep::TakeOver,
            name => BindStep::Option(OPTIONS.into_iter().find(|option| *option == name).unwrap_or("")),
        };
        BindError { addr, step, source: io::Error::from_raw_os_error(self.errno) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_comes_over_whole_and_the_longest_question_is_one_packet() {
        let options = SocketOptions {
            recv_buffer: Some(usize::MAX),
            recv_buffer_at_least: usize::MAX,
            send_buffer: Some(usize::MAX),
            reuse_addr: true,
            broadcast: true,
            freebind: true,
            device: Some("x".repeat(15)),
            device_later: true,
            tos: Some(0xb8),
            ttl: NonZeroU8::new(255),
            pktinfo: Pktinfo::Always,
            recv_hop_limit: true,
            path_mtu_discovery: Some(PathMtuDiscovery::Omit),
            ..SocketOptions::default()
        };
        let address = "[fe80:1111:2222:3333:4444:5555:6666:7777%4294967295]:65535".parse().unwrap();
        let all = vec![Wanted::new(address, &options); crate::broker::Maker::MOST];
        let packet = serde_json::to_vec(&all).unwrap();
        assert!(packet.len() <= PACKET, "{}", packet.len());
        let read: Vec<Wanted> = serde_json::from_slice(&packet).unwrap();
        assert_eq!((read[0].address, read[0].options()), (address, options));
        let plain = SocketOptions::default();
        assert_eq!(Wanted::new(address, &plain).options(), plain);
    }

    #[test]
    fn failures_are_those_of_the_system() {
        let addr: SocketAddr = "127.0.0.1:53".parse().unwrap();
        for step in [BindStep::Create, BindStep::Bind, BindStep::TakeOver, BindStep::Option("SO_RCVBUF")] {
            let error = BindError { addr, step, source: io::Error::from_raw_os_error(libc::EADDRINUSE) };
            assert_eq!(Failed::new(7, &error).error(addr).to_string(), error.to_string());
        }
    }
}
