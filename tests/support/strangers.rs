//! Many senders on this host: every datagram from another address of the loopback network.

use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use polyport_net::{SendBatch, SendMessage, SocketOptions, Source, UdpSocket};

/// A socket that sends from the addresses of 127.16.0.0/12, one after the other.
#[derive(Debug)]
pub struct Strangers {
    socket: UdpSocket,
    batch: SendBatch,
    sent: u32,
    addresses: u32,
}

impl Strangers {
    /// Senders with so many addresses, 2^20 at most; 256 of them make a prefix /24.
    #[must_use]
    pub fn new(addresses: u32) -> Self {
        let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        let socket = UdpSocket::bind(any, &SocketOptions::default()).expect("a free port");
        Self { socket, batch: SendBatch::new(1), sent: 0, addresses: addresses.min(1 << 20) }
    }

    /// Sends one datagram from the next address.
    #[track_caller]
    pub fn send(&mut self, to: SocketAddr, payload: &[u8]) {
        let ip = IpAddr::V4(Ipv4Addr::from_bits(0x7F10_0000 | (self.sent % self.addresses)));
        self.sent += 1;
        let (parts, from) = ([IoSlice::new(payload)], Some(Source { ip, ifindex: 0 }));
        let message = SendMessage { to, from, parts: &parts, segment: None, tos: 0, hop_limit: None };
        let sent = self.batch.send(&self.socket, &[message]);
        assert_eq!(sent.unwrap_or_else(|error| panic!("from {ip}: {error}")), 1);
    }
}
