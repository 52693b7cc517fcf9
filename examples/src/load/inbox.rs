//! What arrives: batches of datagrams, cut where the kernel has joined them, each with the time at which it came.

use std::io;
use std::net::SocketAddr;

use polyport_net::{RecvBatch, SlotLayout, UdpSocket};
use polyport_protocol::Nanos;

use super::gso::Gso;
use super::stamps::{RxTime, Stamps};
use crate::clock::Clock;

/// Datagrams received with one call.
const BATCH: usize = 64;

/// Trains received with one call: a thousand datagrams at most, a tenth of a millisecond of work.
const TRAIN_BATCH: usize = 16;

/// Shortest slot for a received datagram: no reply of a responder is longer than its request, but other servers are
/// not ours.
const LEAST_SLOT: usize = 2048;

/// Memory for what arrives.
#[derive(Debug)]
pub struct Inbox {
    batch: RecvBatch,
    memory: Vec<u8>,
    layout: SlotLayout,
    /// Octets of the longest datagram taken for whole, however much room there is.
    room: usize,
    most: usize,
    arrival: Nanos,
    stamps: Option<Stamps>,
}

/// A datagram that has arrived.
#[derive(Clone, Copy, Debug)]
pub struct Arrived<'m> {
    /// Its payload.
    pub octets: &'m [u8],
    /// Who sent it.
    pub peer: SocketAddr,
    /// Whether it was longer than its room.
    pub truncated: bool,
    /// When it came.
    pub arrival: Nanos,
    /// The byte of its DSCP, where it was asked for.
    pub tos: Option<u8>,
}

impl Inbox {
    /// For what comes to `sockets`, of which the longest datagrams expected have `size` octets. Where each datagram shall
    /// have a stamp of its own, the kernel joins none.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn new(sockets: &mut [UdpSocket], size: usize, gso: Gso, rx_time: RxTime) -> io::Result<Self> {
        let stamps = match rx_time {
            RxTime::Tester => None,
            RxTime::Kernel => Some(Stamps::ask(sockets)?),
        };
        let trains = gso != Gso::Off && stamps.is_none() && joined(sockets, gso)?;
        let room = size.max(LEAST_SLOT);
        let (layout, most) =
            if trains { (SlotLayout::WHOLE, TRAIN_BATCH) } else { (SlotLayout::new(room, 0), BATCH) };
        Ok(Self {
            batch: RecvBatch::new(most),
            memory: vec![0; layout.memory(most)],
            layout,
            room,
            most,
            arrival: 0,
            stamps,
        })
    }

    /// Receives what waits at socket number `index`, one batch at most.
    ///
    /// # Errors
    /// Those of [`RecvBatch::recv`].
    pub fn receive(&mut self, socket: &UdpSocket, index: usize, clock: Clock) -> io::Result<()> {
        let Self { batch, memory, layout, most, .. } = self;
        match &mut self.stamps {
            None => {
                batch.recv(socket, memory, *layout, *most)?;
                self.arrival = clock.now();
            }
            Some(stamps) => {
                let before = clock.now();
                let received = batch.recv(socket, memory, *layout, *most);
                // With an error queue only an empty socket says that it is empty.
                let empty = received.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
                stamps.received(index, before, empty, clock);
                received?;
                self.arrival = clock.now();
            }
        }
        Ok(())
    }

    /// Calls `take` with each datagram of the last batch, in the order of their arrival.
    pub fn each(&mut self, mut take: impl FnMut(Arrived<'_>)) {
        for (place, meta) in self.batch.metas().enumerate() {
            let octets = self.layout.datagram(&self.memory, place, meta.len);
            let arrival = match &mut self.stamps {
                None => self.arrival,
                Some(stamps) => stamps.arrival(meta.unix_ns, self.arrival),
            };
            let mut one = |octets: &[u8]| {
                let truncated = meta.truncated || octets.len() > self.room;
                take(Arrived { octets, peer: meta.peer, truncated, arrival, tos: meta.tos });
            };
            match meta.segment.map(usize::from).filter(|segment| (1..octets.len()).contains(segment)) {
                None => one(octets),
                Some(segment) => octets.chunks(segment).for_each(one),
            }
        }
    }

    /// What became of the kernel's stamps, if they were asked for.
    #[must_use]
    pub const fn stamps(&self) -> Option<&Stamps> {
        self.stamps.as_ref()
    }
}

/// Lets the kernel join datagrams, as far as it can.
fn joined(sockets: &[UdpSocket], gso: Gso) -> io::Result<bool> {
    for socket in sockets {
        if let Err(error) = socket.set_gro(true) {
            return if gso == Gso::On { Err(error) } else { Ok(false) };
        }
    }
    Ok(true)
}

/// Whether ICMP can be the cause (`icmp_err_convert` of Linux): another look may have taken its report from the queue.
#[must_use]
pub fn is_of_the_network(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ECONNREFUSED
                | libc::EHOSTUNREACH
                | libc::ENETUNREACH
                | libc::EHOSTDOWN
                | libc::ENOPROTOOPT
                | libc::EMSGSIZE
                | libc::EOPNOTSUPP
                | libc::EPROTO
                | libc::EACCES
        )
    )
}
