//! A host that sends with forged sources, and sees what their owners would get.

use std::io::{ErrorKind, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use polyport_net::{
    RecvBatch, SendBatch, SendMessage, SlotLayout, SocketOptions, Source, UdpSocket, wait_readable,
    wait_writable,
};

use crate::DEADLINE;
use crate::network::{Network, WIRE};

/// The addresses that are forged: a quarter of IPv4, and the network for documentation of IPv6.
const FORGED: [(&str, &str, &str); 2] =
    [("-4", "128.0.0.0/2", "10.77.0.2"), ("-6", "2001:db8::/32", "fd77::2")];

/// A socket on the host `there` of a network that sends from any address of 128.0.0.0/2 or `2001:db8::/32`, and takes
/// what is sent to any.
#[derive(Debug)]
pub struct Forger {
    socket: UdpSocket,
    send: SendBatch,
    receive: RecvBatch,
    memory: Vec<u8>,
}

/// Makes the forged addresses those of the host `there`, for all forgers.
#[track_caller]
pub fn forge_addresses(network: &Network) {
    for (family, addresses, there) in FORGED {
        network.there.ip(&[family, "route", "add", "local", addresses, "dev", "lo"]);
        network.here.ip(&[family, "route", "add", addresses, "via", there, "dev", WIRE]);
    }
    network.there.inside(|| {
        std::fs::write("/proc/sys/net/ipv6/ip_nonlocal_bind", "1").expect("its owner may set it");
    });
}

impl Forger {
    /// A forger of `port`, in the family of `any`, which is `0.0.0.0` or `::`. Must be made inside the host `there`.
    #[must_use]
    #[track_caller]
    pub fn new(any: &str, port: u16) -> Self {
        let options = SocketOptions { recv_buffer: Some(4 << 20), ..SocketOptions::default() };
        let ip = any.parse().expect("an address");
        let socket = UdpSocket::bind(SocketAddr::new(ip, port), &options).expect("the port is free there");
        Self { socket, send: SendBatch::new(1), receive: RecvBatch::new(1), memory: vec![0; 65_536] }
    }

    /// Sends one datagram as if it came from `source`, and this socket's port.
    #[track_caller]
    pub fn send(&mut self, source: IpAddr, to: SocketAddr, payload: &[u8]) {
        let parts = [IoSlice::new(payload)];
        let from = Some(Source { ip: source, ifindex: 0 });
        let message = SendMessage { to, from, parts: &parts, segment: None, tos: 0, hop_limit: None };
        while let Err(error) = self.send.send(&self.socket, &[message]) {
            assert_eq!(error.kind(), ErrorKind::WouldBlock, "from {source}: {error}");
            assert!(
                wait_writable(&self.socket, DEADLINE).expect("a socket can be waited for"),
                "it stays full"
            );
        }
    }

    /// Whom the next datagram was sent to, and its bytes; none if nothing comes within `wait`.
    #[track_caller]
    pub fn receive_within(&mut self, wait: Duration) -> Option<(IpAddr, Vec<u8>)> {
        if !wait_readable(&self.socket, wait).expect("a socket can be waited for") {
            return None;
        }
        match self.receive.recv(&self.socket, &mut self.memory, SlotLayout::WHOLE, 1) {
            Ok(_) => {
                let meta = self.receive.meta(0);
                let victim = meta.local.expect("a wildcard socket tells").destination;
                Some((victim, self.memory.get(..meta.len).unwrap_or_default().to_vec()))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("receiving: {error}"),
        }
    }
}
