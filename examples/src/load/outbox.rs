//! A socket with a batch of datagrams that are about to leave.

use std::array;
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr};

use polyport_net::{SendBatch, SendMessage, UdpSocket};
use polyport_protocol::client::Slot;

use super::ledger::Lane;

/// Datagrams a system call. More would make the first of them wait for the last; fewer cost calls when behind.
pub const BATCH: usize = 32;

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
}

/// What became of a datagram of the batch.
#[derive(Debug)]
pub enum Departure<'e> {
    /// It left.
    Left,
    /// The send buffer is full; it may leave later.
    Blocked,
    /// The system refused it for good.
    Refused(&'e io::Error),
}

/// The socket, and the memory of the batch.
#[derive(Debug)]
pub struct Outbox {
    socket: UdpSocket,
    batch: SendBatch,
    memory: Vec<u8>,
    stride: usize,
    pending: Vec<Pending>,
}

impl Outbox {
    /// For datagrams of up to `size` octets.
    #[must_use]
    pub fn new(socket: UdpSocket, size: usize) -> Self {
        Self {
            socket,
            batch: SendBatch::new(BATCH),
            memory: vec![0; size * BATCH],
            stride: size,
            pending: Vec::with_capacity(BATCH),
        }
    }

    /// The socket.
    #[must_use]
    pub const fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Where to write the next datagram, to be followed by [`Self::push`]. Empty if the batch is full.
    pub fn room(&mut self) -> &mut [u8] {
        let start = self.pending.len() * self.stride;
        self.memory.get_mut(start..start + self.stride).unwrap_or_default()
    }

    /// Adds the datagram just written.
    pub fn push(&mut self, pending: Pending) {
        self.pending.push(pending);
    }

    /// Sends the batch and empties it. `tell` hears of each datagram, in order; after the first that is blocked, all
    /// others are.
    pub fn flush(&mut self, mut tell: impl FnMut(&Pending, &Departure<'_>)) {
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let (pending, memory, stride) = (&self.pending, &self.memory, self.stride);
        let parts: [[IoSlice<'_>; 1]; BATCH] = array::from_fn(|index| {
            let len = pending.get(index).map_or(0, |datagram| datagram.len);
            [IoSlice::new(memory.get(index * stride..index * stride + len).unwrap_or_default())]
        });
        let messages: [SendMessage<'_>; BATCH] = array::from_fn(|index| SendMessage {
            to: pending.get(index).map_or(nowhere, |datagram| datagram.to),
            from: None,
            parts: &parts[index],
            segment: None,
            ecn: 0,
            hop_limit: None,
        });
        let mut done = 0;
        while done < pending.len() {
            match self.batch.send(&self.socket, &messages[done..pending.len()]) {
                Ok(count) => {
                    pending[done..done + count].iter().for_each(|datagram| tell(datagram, &Departure::Left));
                    done += count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    pending[done..].iter().for_each(|datagram| tell(datagram, &Departure::Blocked));
                    done = pending.len();
                }
                Err(error) => {
                    tell(&pending[done], &Departure::Refused(&error));
                    done += 1;
                }
            }
        }
        self.pending.clear();
    }
}

#[cfg(test)]
mod tests {
    use polyport_net::SocketOptions;

    use super::*;
    use crate::load::ledger::{Ledger, LedgerConfig};

    #[test]
    fn one_refused_datagram_stops_no_other_and_each_is_told_once() {
        let bind = || UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &SocketOptions::default()).unwrap();
        let (socket, peer) = (bind(), bind());
        let good = peer.local_addr().unwrap();
        let nowhere = "127.0.0.1:0".parse().unwrap();
        let ledger = Ledger::new(LedgerConfig {
            targets: vec![good],
            streams: 1,
            ring: 1,
            practice_ring: 1,
            timeout: 1,
            max_in_flight: 1,
            first_stream_id: 0,
            epoch: 0,
        });
        let mut outbox = Outbox::new(socket, 4);
        for (seq, to) in [(0, good), (1, nowhere), (2, good)] {
            let len = outbox.room().len();
            outbox.room().fill(b'x');
            outbox.push(Pending {
                lane: ledger.practice(0),
                seq,
                slot: Slot { index: seq, planned: 0 },
                to,
                len,
            });
        }
        let mut told = Vec::new();
        outbox.flush(|datagram, departure| {
            told.push((datagram.seq, matches!(departure, Departure::Left)));
            assert!(!matches!(departure, Departure::Blocked));
        });
        assert_eq!(told, [(0, true), (1, false), (2, true)]);
        outbox.flush(|datagram, _| panic!("{datagram:?} is still in the batch"));
        for _ in 0..BATCH {
            assert_eq!(outbox.room().len(), 4);
            outbox.push(Pending {
                lane: ledger.practice(0),
                seq: 0,
                slot: Slot { index: 0, planned: 0 },
                to: good,
                len: 4,
            });
        }
        assert!(outbox.room().is_empty(), "the batch is full");
    }
}
