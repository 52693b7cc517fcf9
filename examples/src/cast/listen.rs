//! The listening side: a socket in the group, and the machine that shows what comes.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};

use polyport_net::{Pktinfo, RecvMeta, SocketOptions, UdpSocket, interface_name};
use polyport_protocol::client::Transmit;
use polyport_protocol::{DecodeError, Decoder, Frame, Integrity, Key, Kind, Nanos, Role};
use polyport_terminal::escape_payload;

use super::json::{CastLine, Event};
use crate::driver::{Client, Fault};
use crate::outcome::{ExitError, deliver_on};
use crate::text::hex;

pub use polyport_net::Membership;

/// A socket that hears what is sent to `at`, and shares the port with other listeners.
///
/// # Errors
/// The system's, with the step at fault.
pub fn join(at: SocketAddr, source: Option<IpAddr>, ifindex: u32) -> Result<UdpSocket, ExitError> {
    let options = SocketOptions {
        reuse_addr: true,
        broadcast: true,
        pktinfo: Pktinfo::Always,
        ..SocketOptions::default()
    };
    // Bound to the group or broadcast address it takes no unicast from others at this port; systems that cannot bind
    // those get the wildcard, and the destination is compared anyway.
    let mut wildcard = crate::source::any_like(at);
    wildcard.set_port(at.port());
    let socket = match UdpSocket::bind(at, &options) {
        Err(error) if error.source.kind() == io::ErrorKind::AddrNotAvailable => {
            UdpSocket::bind(wildcard, &options)?
        }
        result => result?,
    };
    if at.ip().is_multicast() {
        let membership = Membership { group: at.ip(), source, ifindex };
        socket
            .join_group(&membership)
            .map_err(|error| ExitError::io(&format!("join {}", at.ip()), &error))?;
    }
    Ok(socket)
}

/// Shows every datagram that comes.
#[derive(Debug)]
pub struct Listener {
    at: SocketAddr,
    count: Option<u64>,
    until: Option<Nanos>,
    key: Vec<Key>,
    heard: u64,
    senders: BTreeSet<SocketAddr>,
    over: bool,
    json: bool,
    unread: bool,
}

/// Senders remembered for the count at the end.
const MAX_SENDERS: usize = 65_536;

impl Listener {
    /// Ends after `count` datagrams or at `until`, whichever comes first; without both, never.
    #[must_use]
    pub fn new(at: SocketAddr, count: Option<u64>, until: Option<Nanos>, key: Option<Key>) -> Self {
        let key = key.into_iter().collect();
        Self {
            at,
            count,
            until,
            key,
            heard: 0,
            senders: BTreeSet::new(),
            over: false,
            json: false,
            unread: false,
        }
    }

    /// Tells what is heard as JSON.
    #[must_use]
    pub fn with_json(self, json: bool) -> Self {
        Self { json, ..self }
    }

    /// Whether it has ended because nobody reads any more what it shows.
    #[must_use]
    pub const fn is_unread(&self) -> bool {
        self.unread
    }

    /// Datagrams heard, and from how many senders.
    #[must_use]
    pub fn heard(&self) -> (u64, usize) {
        (self.heard, self.senders.len())
    }

    fn show(&self, now: Nanos, meta: &RecvMeta, datagram: &[u8]) -> Result<bool, ExitError> {
        let destination = meta.local.map_or_else(|| self.at.ip(), |local| local.destination);
        let interface = meta
            .local
            .map(|local| interface_name(local.ifindex).unwrap_or_else(|_| local.ifindex.to_string()));
        let (from, to) = (meta.peer, SocketAddr::new(destination, self.at.port()));
        let integrity = if self.key.is_empty() { Integrity::Checksum } else { Integrity::Keys(&self.key) };
        let verdict = Decoder::new(Role::Any).with_integrity(integrity).decode(datagram);
        if self.json {
            return heard(now, from, to, interface, verdict, datagram).deliver_on();
        }
        let interface = interface.as_deref().unwrap_or("?");
        deliver_on(format_args!("{from} -> {to} on {interface}: {}", Self::describe(verdict, datagram)))
    }

    fn describe(verdict: Result<Frame<'_>, DecodeError>, datagram: &[u8]) -> String {
        match verdict {
            Ok(frame) => {
                let header = frame.header();
                let kind = if header.kind == Kind::Event { "event" } else { "frame" };
                let (seq, stream) = (header.seq, hex(&header.stream_id.to_be_bytes()));
                format!("{kind} {seq} of stream {stream}: \"{}\"", escape_payload(frame.payload()))
            }
            // Plain text is as welcome as frames.
            Err(DecodeError::Short | DecodeError::NotOurs) => format!("\"{}\"", escape_payload(datagram)),
            Err(class) => format!("{class}: \"{}\"", escape_payload(datagram)),
        }
    }
}

/// What is told of a datagram.
fn heard(
    at_ns: Nanos,
    from: SocketAddr,
    to: SocketAddr,
    interface: Option<String>,
    verdict: Result<Frame<'_>, DecodeError>,
    datagram: &[u8],
) -> CastLine {
    let class = match verdict {
        Ok(_) => "ok",
        Err(DecodeError::Short | DecodeError::NotOurs) => "plain",
        Err(class) => class.name(),
    };
    let class = class.to_owned();
    let content = verdict.as_ref().map_or(datagram, |frame| frame.payload()).into();
    let frame = verdict.ok().map(|frame| Event {
        kind: format!("{:?}", frame.header().kind).to_lowercase(),
        stream_id: hex(&frame.header().stream_id.to_be_bytes()),
        seq: frame.header().seq,
    });
    CastLine::Heard { at_ns, from, to, interface, class, frame, content }
}

impl Client for Listener {
    fn poll_transmit(&mut self, _: Nanos, _: &mut [u8]) -> Option<Transmit> {
        None
    }

    fn handle_input(&mut self, now: Nanos, meta: &RecvMeta, datagram: &[u8]) -> Result<(), ExitError> {
        let foreign = meta.local.is_some_and(|local| local.destination != self.at.ip());
        if self.is_finished() || (foreign && !self.at.ip().is_unspecified()) {
            return Ok(());
        }
        self.heard += 1;
        if self.senders.len() < MAX_SENDERS {
            self.senders.insert(meta.peer);
        }
        self.unread = !self.show(now, meta, datagram)?;
        Ok(())
    }

    fn handle_fault(&mut self, _: Nanos, fault: &Fault<'_>) -> Result<(), ExitError> {
        match fault {
            Fault::Pending(error) => Err(ExitError::io("receive", error)),
            Fault::Unsent(_) | Fault::Reported { .. } => Ok(()),
        }
    }

    fn poll_timeout(&self) -> Option<Nanos> {
        self.until
    }

    fn handle_timeout(&mut self, now: Nanos) {
        self.over = self.until.is_some_and(|until| until <= now);
    }

    fn is_finished(&self) -> bool {
        self.over || self.unread || self.count.is_some_and(|count| self.heard >= count)
    }
}
