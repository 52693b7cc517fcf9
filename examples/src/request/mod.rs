//! One reliable request, as PPT/1 and as plain text.

mod ppt;
mod raw;

use std::net::SocketAddr;

use polyport_net::UdpSocket;
use polyport_protocol::Nanos;
use polyport_terminal::{Exit, say};

use crate::outcome::Failure;
use crate::text::seconds;

pub use ppt::{Ppt, PptConfig};
pub use raw::{Raw, RawConfig};

/// What a request ended with, unless it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Who sent it.
    pub from: SocketAddr,
    /// Its payload.
    pub payload: Vec<u8>,
    /// From the transmission it answers to its arrival; after a retransmission in raw mode nobody knows which one that was,
    /// and it is counted from the last.
    pub rtt: Nanos,
    /// Transmissions so far.
    pub transmissions: u8,
}

/// Tells the user what goes on, while it goes on.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    quiet: bool,
    told_address: bool,
}

impl Progress {
    /// Says nothing if `quiet`.
    #[must_use]
    pub const fn new(quiet: bool) -> Self {
        Self { quiet, told_address: false }
    }

    /// The socket's own address before anything is sent.
    pub fn before(&self, socket: &UdpSocket) {
        self.address(socket, "before");
    }

    /// A transmission has left, and its answer is waited for.
    pub fn sent(&mut self, socket: &UdpSocket, wait: Nanos) {
        if !self.told_address {
            self.told_address = true;
            self.address(socket, "after");
        }
        if !self.quiet {
            say(format_args!("Waiting up to {} for a reply", seconds(wait)));
        }
    }

    fn address(self, socket: &UdpSocket, when: &str) {
        if self.quiet {
            return;
        }
        match socket.local_addr() {
            Ok(address) => say(format_args!("my address: {address} {when}")),
            Err(error) => say(format_args!("my address: unknown {when} ({error})")),
        }
    }
}

fn refused(target: SocketAddr) -> Failure {
    Failure::new(Exit::NoReply, format!("connection refused: nobody listens at {target}"))
}

/// A datagram that did not leave.
fn unsent(target: SocketAddr, error: &std::io::Error) -> Failure {
    let what = format!("send to {target}");
    let kind = error.kind();
    if kind == std::io::ErrorKind::ConnectionRefused {
        return refused(target);
    }
    if kind == std::io::ErrorKind::PermissionDenied {
        let advice = "a broadcast address needs polyport-cast";
        return Failure::new(Exit::Permission, format!("cannot {what}: {error}: {advice}"));
    }
    Failure::io(&what, error)
}
