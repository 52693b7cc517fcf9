//! A socket that asks, and waits no longer than a deadline.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use crate::{DEADLINE, wait};

/// A connected UDP socket: it takes answers from the address it asks and from no other.
#[derive(Debug)]
pub struct Client {
    socket: UdpSocket,
}

/// A datagram of any size fits.
const LARGEST: usize = 65_536;

impl Client {
    /// A client of `server`, on a port the system chooses.
    #[must_use]
    #[track_caller]
    pub fn of(server: SocketAddr) -> Self {
        let ip = match server.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        Self::from(SocketAddr::new(ip, 0), server)
    }

    /// A client of `server` that sends from `local`.
    #[must_use]
    #[track_caller]
    pub fn from(local: SocketAddr, server: SocketAddr) -> Self {
        let mut bound = None;
        // A socket of this address that was closed lives on in a child that another test has forked, until its exec.
        wait::until("an address that is free", || {
            let in_use = |error: &std::io::Error| error.kind() == ErrorKind::AddrInUse;
            let tried = UdpSocket::bind(local);
            let again = local.port() != 0 && tried.as_ref().is_err_and(in_use);
            bound = Some(tried);
            !again
        });
        let Some(Ok(socket)) = bound else { panic!("{local}: {bound:?}") };
        socket.connect(server).unwrap_or_else(|error| panic!("{server}: {error}"));
        socket.set_read_timeout(Some(DEADLINE)).expect("a timeout can be set");
        Self { socket }
    }

    /// Its own address.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.socket.local_addr().expect("a bound socket has an address")
    }

    /// Sends one datagram.
    #[track_caller]
    pub fn send(&self, payload: &[u8]) {
        // A connected socket reports that an earlier datagram met a closed port.
        let sent = self.socket.send(payload).or_else(|_| self.socket.send(payload));
        assert_eq!(sent.unwrap_or_else(|error| panic!("{} bytes: {error}", payload.len())), payload.len());
    }

    /// Waits for one datagram.
    #[must_use]
    #[track_caller]
    pub fn receive(&self) -> Vec<u8> {
        self.receive_within(DEADLINE).unwrap_or_else(|| panic!("no answer within {DEADLINE:?}"))
    }

    /// Waits for one datagram so long; for silence, or between two attempts.
    #[must_use]
    #[track_caller]
    pub fn receive_within(&self, wait: Duration) -> Option<Vec<u8>> {
        self.socket.set_read_timeout(Some(wait)).expect("a timeout can be set");
        let mut buffer = vec![0; LARGEST];
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(n) => {
                    buffer.truncate(n);
                    return Some(buffer);
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return None;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("receiving from {:?}: {error}", self.socket.peer_addr()),
            }
        }
    }

    /// Sends one datagram and waits for the answer.
    #[must_use]
    #[track_caller]
    pub fn ask(&self, payload: &[u8]) -> Vec<u8> {
        self.send(payload);
        self.receive()
    }

    /// Fails unless the datagram comes back as it is.
    #[track_caller]
    pub fn expect_echo(&self, payload: &[u8]) {
        let answer = self.ask(payload);
        assert!(answer == payload, "{} bytes came back as {} others", payload.len(), answer.len());
    }

    /// Asks again and again until there is an answer, about `seconds` long at most.
    #[track_caller]
    pub fn ask_until_answered(&self, payload: &[u8], seconds: usize) -> Vec<u8> {
        const STEP: Duration = Duration::from_millis(50);
        for _ in 0..seconds * 20 {
            self.send(payload);
            if let Some(answer) = self.receive_within(STEP) {
                return answer;
            }
        }
        panic!("no answer within {seconds} s");
    }

    /// Sends `n` datagrams that differ.
    #[track_caller]
    pub fn send_numbered(&self, n: usize) {
        for number in 0..n {
            self.send(format!("number {number}").as_bytes());
        }
    }

    /// Waits for the echoes of [`Client::send_numbered`], in any order, each once.
    #[track_caller]
    pub fn expect_numbered(&self, n: usize) {
        let mut missing: BTreeSet<Vec<u8>> = (0..n).map(|i| format!("number {i}").into_bytes()).collect();
        while !missing.is_empty() {
            let answer = self.receive_within(DEADLINE);
            let Some(answer) = answer else { panic!("{} of {n} have no answer", missing.len()) };
            assert!(missing.remove(&answer), "{:?} came twice", String::from_utf8_lossy(&answer));
        }
    }
}
