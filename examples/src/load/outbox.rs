//! Our sockets, and a batch of datagrams that are about to leave by them.

use std::array;
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr};

use polyport_net::{QueuedError, SendBatch, SendMessage, UdpSocket};
use polyport_protocol::client::Slot;

use super::ledger::Lane;

/// Datagrams a system call. More would make the first of them wait for the last; fewer cost calls when behind.
pub const BATCH: usize = 32;

/// Octets of a quotation that are looked at: the ids lie in the first twenty.
const QUOTE: usize = 64;

/// Errors taken from a queue at a time. More wait there for the next time: a flood of ICMP must not stop the load.
const MOST_REPORTS: usize = 64;

/// How often a datagram is tried again because an earlier one's error came instead of its own success. On loopback the
/// complaint about each datagram fails the next one.
const TRIES: u32 = 8;

/// A datagram in the batch.
#[derive(Clone, Copy, Debug)]
pub struct Pending {
    /// Its stream.
    pub lane: Lane,
    /// Its number in the stream.
    pub seq: u64,
    /// Its place in the schedule.
    pub slot: Slot,
    /// Where it goes.
    pub to: SocketAddr,
    /// Octets.
    pub len: usize,
    /// Which of the sockets it leaves by.
    pub socket: usize,
}

/// What happened while a batch left.
#[derive(Debug)]
pub enum Event<'e> {
    /// The datagram left.
    Left(&'e Pending),
    /// The send buffer is full; the datagram may leave later.
    Blocked(&'e Pending),
    /// The system refused the datagram for good.
    Refused(&'e Pending, &'e io::Error),
    /// The network complained about an earlier datagram that left by this socket.
    Complaint(usize, Report),
}

/// An error from the queue of a socket.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    error: QueuedError,
    quote: [u8; QUOTE],
}

/// The sockets, and the memory of the batch.
#[derive(Debug)]
pub struct Outbox {
    sockets: Vec<UdpSocket>,
    batch: SendBatch,
    memory: Vec<u8>,
    stride: usize,
    /// Datagrams with the place of each in the memory.
    pending: Vec<(usize, Pending)>,
    blocked: Vec<usize>,
}

impl Report {
    /// Who said what.
    #[must_use]
    pub const fn error(&self) -> &QueuedError {
        &self.error
    }

    /// The start of the datagram at fault, as far as it was quoted.
    #[must_use]
    pub fn quote(&self) -> &[u8] {
        self.quote.get(..self.error.quoted).unwrap_or(&self.quote)
    }
}

impl Outbox {
    /// For datagrams of up to `size` octets. The network's complaints are asked for, where the system has them.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn new(sockets: Vec<UdpSocket>, size: usize) -> io::Result<Self> {
        for socket in &sockets {
            match socket.set_error_queue(true) {
                Err(error) if error.kind() != io::ErrorKind::Unsupported => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(Self {
            sockets,
            batch: SendBatch::new(BATCH),
            memory: vec![0; size * BATCH],
            stride: size,
            pending: Vec::with_capacity(BATCH),
            blocked: Vec::new(),
        })
    }

    /// The sockets.
    #[must_use]
    pub fn sockets(&self) -> &[UdpSocket] {
        &self.sockets
    }

    /// The sockets whose send buffers were full at the last [`Self::flush`].
    #[must_use]
    pub fn blocked(&self) -> &[usize] {
        &self.blocked
    }

    /// Where to write the next datagram, to be followed by [`Self::push`]. Empty if the batch is full.
    pub fn room(&mut self) -> &mut [u8] {
        let start = self.pending.len() * self.stride;
        self.memory.get_mut(start..start + self.stride).unwrap_or_default()
    }

    /// Adds the datagram just written.
    pub fn push(&mut self, pending: Pending) {
        self.pending.push((self.pending.len(), pending));
    }

    /// Sends the batch and empties it. `tell` hears of each datagram, for each socket in order; after the first that is
    /// blocked, all others of its socket are.
    pub fn flush(&mut self, mut tell: impl FnMut(Event<'_>)) {
        self.blocked.clear();
        // Stable: the datagrams of one socket stay in order. With one socket there is nothing to sort.
        self.pending.sort_by_key(|(_, datagram)| datagram.socket);
        let Self { sockets, batch, memory, stride, pending, blocked } = self;
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let parts: [[IoSlice<'_>; 1]; BATCH] = array::from_fn(|index| {
            let (place, len) = pending.get(index).map_or((0, 0), |(place, datagram)| (*place, datagram.len));
            [IoSlice::new(memory.get(place * *stride..place * *stride + len).unwrap_or_default())]
        });
        let messages: [SendMessage<'_>; BATCH] = array::from_fn(|index| SendMessage {
            to: pending.get(index).map_or(nowhere, |(_, datagram)| datagram.to),
            from: None,
            parts: &parts[index],
            segment: None,
            tos: 0,
            hop_limit: None,
        });
        let mut done = 0;
        for run in pending.chunk_by(|(_, one), (_, other)| one.socket == other.socket) {
            let index = run[0].1.socket;
            let end = done + run.len();
            let mut tries = 0;
            while done < end {
                let at = run.len() - (end - done);
                match batch.send(&sockets[index], &messages[done..end]) {
                    Ok(count) => {
                        run[at..at + count].iter().for_each(|(_, datagram)| tell(Event::Left(datagram)));
                        done += count;
                        tries = 0;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        blocked.push(index);
                        run[at..].iter().for_each(|(_, datagram)| tell(Event::Blocked(datagram)));
                        done = end;
                    }
                    Err(error) => {
                        tries += 1;
                        let complaints = complaints(&sockets[index], |report| {
                            tell(Event::Complaint(index, report));
                        });
                        if complaints == 0 || tries > TRIES {
                            tell(Event::Refused(&run[at].1, &error));
                            done += 1;
                            tries = 0;
                        }
                    }
                }
            }
        }
        self.pending.clear();
    }
}

/// Takes what waits in the error queue of a socket, up to `MOST_REPORTS`, and says how many complaints of the network
/// there were among it. While there are more, the kernel keeps failing calls on the socket.
pub fn complaints(socket: &UdpSocket, mut tell: impl FnMut(Report)) -> usize {
    let mut count = 0;
    for _ in 0..MOST_REPORTS {
        let mut quote = [0; QUOTE];
        // Off Linux there is no queue.
        let Ok(Some(error)) = socket.next_error(&mut quote) else { break };
        if super::icmp::Complaint::new(error.origin).is_some() {
            count += 1;
            tell(Report { error, quote });
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use polyport_net::SocketOptions;

    use super::*;
    use crate::key::generator;
    use crate::load::config::example;
    use crate::load::ledger::Ledger;

    fn bind() -> UdpSocket {
        UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &SocketOptions::default()).unwrap()
    }

    fn pending(seq: u64, to: SocketAddr, socket: usize) -> Pending {
        let ledger = Ledger::new(example(vec![to]).books(&mut generator(Some(1))));
        let slot = Slot { index: seq, planned: 0 };
        Pending { lane: ledger.practice(0), seq, slot, to, len: 4, socket }
    }

    fn push(outbox: &mut Outbox, pending: Pending) {
        outbox.room().fill(pending.seq.to_le_bytes()[0]);
        outbox.push(pending);
    }

    #[test]
    fn one_refused_datagram_stops_no_other_and_each_is_told_once() {
        let peer = bind();
        let good = peer.local_addr().unwrap();
        let nowhere = "127.0.0.1:0".parse().unwrap();
        let mut outbox = Outbox::new(vec![bind()], 4).unwrap();
        for (seq, to) in [(0, good), (1, nowhere), (2, good)] {
            push(&mut outbox, pending(seq, to, 0));
        }
        let mut told = Vec::new();
        outbox.flush(|event| match event {
            Event::Left(datagram) => told.push((datagram.seq, true)),
            Event::Refused(datagram, _) => told.push((datagram.seq, false)),
            Event::Blocked(_) | Event::Complaint(..) => panic!("{event:?}"),
        });
        assert_eq!(told, [(0, true), (1, false), (2, true)]);
        outbox.flush(|event| panic!("{event:?}: the batch is not empty"));
        for _ in 0..BATCH {
            assert_eq!(outbox.room().len(), 4);
            outbox.push(pending(0, good, 0));
        }
        assert!(outbox.room().is_empty(), "the batch is full");
    }

    #[test]
    fn each_datagram_leaves_whole_by_its_own_socket() {
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
        let to = peer.local_addr().unwrap();
        let mut outbox = Outbox::new(vec![bind(), bind(), bind()], 4).unwrap();
        let ports: Vec<u16> =
            outbox.sockets().iter().map(|socket| socket.local_addr().unwrap().port()).collect();
        for seq in 0..9 {
            push(&mut outbox, pending(seq, to, usize::try_from(seq % 3).unwrap()));
        }
        let mut left = 0;
        outbox.flush(|event| left += u64::from(matches!(event, Event::Left(_))));
        assert_eq!(left, 9);
        for _ in 0..9 {
            let mut octets = [0; 8];
            let (len, from) = peer.recv_from(&mut octets).unwrap();
            assert_eq!((len, octets[0]), (4, octets[3]));
            assert_eq!(from.port(), ports[usize::from(octets[0] % 3)], "datagram {}", octets[0]);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_complaint_about_one_datagram_costs_no_other() {
        let closed = bind().local_addr().unwrap();
        let mut outbox = Outbox::new(vec![bind()], 4).unwrap();
        let (mut left, mut complaints) = (0, 0);
        for seq in 0..10 {
            push(&mut outbox, pending(seq, closed, 0));
        }
        outbox.flush(|event| match event {
            Event::Left(_) => left += 1,
            Event::Complaint(0, report) => {
                assert_eq!(report.error().destination, Some(closed));
                assert_eq!(report.quote().len(), 4);
                complaints += 1;
            }
            Event::Complaint(..) | Event::Blocked(_) | Event::Refused(..) => panic!("{event:?}"),
        });
        assert_eq!(left, 10);
        complaints += self::complaints(&outbox.sockets()[0], |_| ());
        assert_eq!(complaints, 10);
    }
}
