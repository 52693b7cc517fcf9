//! Our sockets, and a batch of datagrams that are about to leave by them: each by itself, or those of one flow to one
//! target as trains.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::ops::Range;

use arrayvec::ArrayVec;
use polyport_net::{MAX_SEGMENTS, QueuedError, SendBatch, SendMessage, UdpSocket};
use polyport_protocol::client::Slot;

use super::gso::{self, Gso};
use super::ledger::Lane;

/// Datagrams a batch without trains. More would make the first of them wait for the last; fewer cost calls when behind.
pub const BATCH: usize = 32;

/// Datagrams a batch with trains: one train for each of eight flows or targets that take turns. With more of them the
/// trains are shorter.
pub const TRAIN_BATCH: usize = 8 * MAX_SEGMENTS;

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
    capacity: usize,
    /// Datagrams with the place of each in the memory.
    pending: Vec<(usize, Pending)>,
    blocked: Vec<usize>,
    trains: Trains,
}

/// Which trains there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trains {
    /// Most datagrams of one; 1 if there are none.
    most: usize,
    /// For each target whether a train to it was refused: its datagrams leave one by one from then on.
    apart: Vec<bool>,
    /// Trains that left.
    pub left: u64,
    /// Datagrams in them.
    pub datagrams: u64,
    /// Trains that the kernel or a device refused.
    pub refused: u64,
}

/// Datagrams that leave as one message.
struct Train {
    first: usize,
    datagrams: usize,
    parts: Range<usize>,
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
    /// For datagrams of up to `size` octets to so many targets. The network's complaints are asked for, where the system
    /// has them.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`; `Unsupported` if trains are asked for and the kernel has none.
    pub fn new(sockets: Vec<UdpSocket>, size: usize, targets: usize, gso: Gso) -> io::Result<Self> {
        for socket in &sockets {
            match socket.set_error_queue(true) {
                Err(error) if error.kind() != io::ErrorKind::Unsupported => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        let able = sockets.iter().all(UdpSocket::can_segment);
        if gso == Gso::On && !able {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this kernel has no UDP_SEGMENT: use --gso auto",
            ));
        }
        let most = if able && gso != Gso::Off { gso::most(size) } else { 1 };
        let capacity = if most > 1 { TRAIN_BATCH } else { BATCH };
        Ok(Self {
            sockets,
            batch: SendBatch::new(capacity),
            memory: vec![0; size * capacity],
            stride: size,
            capacity,
            pending: Vec::with_capacity(capacity),
            blocked: Vec::new(),
            trains: Trains { most, apart: vec![false; targets], ..Trains::default() },
        })
    }

    /// The sockets.
    #[must_use]
    pub fn sockets(&self) -> &[UdpSocket] {
        &self.sockets
    }

    /// Datagrams that one batch takes.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// What became of trains.
    #[must_use]
    pub const fn trains(&self) -> &Trains {
        &self.trains
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

    /// Sends the batch and empties it. `tell` hears of each datagram, for each socket in order, or with trains for each
    /// target of it in order; after the first that is blocked, all others of its socket are.
    pub fn flush(&mut self, mut tell: impl FnMut(Event<'_>)) {
        self.blocked.clear();
        let Self { sockets, batch, memory, stride, pending, blocked, trains, .. } = self;
        // By the place as well: what leaves by one socket to one target stays in order. The sort of the library that keeps
        // the order by itself allocates.
        if trains.most > 1 {
            sort(pending, |(place, datagram)| (datagram.socket, datagram.lane.target, *place));
        } else {
            sort(pending, |(place, datagram)| (datagram.socket, 0, *place));
        }
        for run in pending.chunk_by(|(_, one), (_, other)| one.socket == other.socket) {
            let index = run[0].1.socket;
            let (mut rest, mut tries) = (run, 0);
            while !rest.is_empty() {
                let mut parts = ArrayVec::new();
                let mut messages = ArrayVec::new();
                plan(rest, memory, *stride, trains, &mut parts, &mut messages);
                match send(batch, &sockets[index], rest, &parts, &messages) {
                    Ok(count) => {
                        for train in messages.iter().take(count) {
                            let (left, behind) = rest.split_at(train.datagrams);
                            trains.count(train.datagrams);
                            left.iter().for_each(|(_, datagram)| tell(Event::Left(datagram)));
                            rest = behind;
                        }
                        tries = 0;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        blocked.push(index);
                        rest.iter().for_each(|(_, datagram)| tell(Event::Blocked(datagram)));
                        rest = &[];
                    }
                    Err(error) => {
                        tries += 1;
                        let complaints = complaints(&sockets[index], |report| {
                            tell(Event::Complaint(index, report));
                        });
                        if complaints > 0 && tries <= TRIES {
                            continue;
                        }
                        tries = 0;
                        let first = messages.first().map_or(1, |train| train.datagrams);
                        if first > 1 && is_of_trains(&error) {
                            trains.refuse(rest[0].1.lane.target);
                            continue;
                        }
                        let (refused, behind) = rest.split_at(first);
                        refused.iter().for_each(|(_, datagram)| tell(Event::Refused(datagram, &error)));
                        rest = behind;
                    }
                }
            }
        }
        self.pending.clear();
    }
}

impl Trains {
    /// Whether there are any.
    #[must_use]
    pub const fn are_used(&self) -> bool {
        self.most > 1
    }

    const fn count(&mut self, datagrams: usize) {
        if datagrams > 1 {
            self.left += 1;
            self.datagrams += datagrams as u64;
        }
    }

    fn refuse(&mut self, target: usize) {
        self.refused += 1;
        if let Some(apart) = self.apart.get_mut(target) {
            *apart = true;
        }
    }

    fn most_to(&self, target: usize) -> usize {
        if self.apart.get(target).copied().unwrap_or(true) { 1 } else { self.most }
    }
}

fn sort(pending: &mut [(usize, Pending)], key: impl Fn(&(usize, Pending)) -> (usize, usize, usize)) {
    // With one flow to one target there is nothing to do.
    if !pending.is_sorted_by_key(&key) {
        pending.sort_unstable_by_key(key);
    }
}

/// Divides datagrams of one socket into messages. Those that lie behind each other in the memory are one part.
fn plan<'m>(
    rest: &[(usize, Pending)],
    memory: &'m [u8],
    stride: usize,
    trains: &Trains,
    parts: &mut ArrayVec<IoSlice<'m>, TRAIN_BATCH>,
    messages: &mut ArrayVec<Train, TRAIN_BATCH>,
) {
    let mut at = 0;
    while let Some((_, first)) = rest.get(at) {
        let most = trains.most_to(first.lane.target);
        let begin = parts.len();
        // From where to where in the memory the last part reaches.
        let (mut from, mut to) = (0, 0);
        let mut count = 0;
        for (place, datagram) in rest[at..].iter().take(most) {
            if datagram.to != first.to || datagram.len > first.len {
                break;
            }
            let start = place * stride;
            if count > 0 && start == to {
                parts.pop();
            } else {
                from = start;
            }
            to = start + datagram.len;
            parts.push(IoSlice::new(memory.get(from..to).unwrap_or_default()));
            count += 1;
            // Only the last one may be shorter.
            if datagram.len < first.len {
                break;
            }
        }
        messages.push(Train { first: at, datagrams: count, parts: begin..parts.len() });
        at += count;
    }
}

fn send(
    batch: &mut SendBatch,
    socket: &UdpSocket,
    rest: &[(usize, Pending)],
    parts: &[IoSlice<'_>],
    messages: &[Train],
) -> io::Result<usize> {
    let described = messages.iter().map(|train| {
        let first = &rest[train.first].1;
        SendMessage {
            to: first.to,
            from: None,
            parts: &parts[train.parts.clone()],
            segment: u16::try_from(first.len).ok().and_then(NonZeroU16::new),
            tos: 0,
            hop_limit: None,
        }
    });
    batch.send_iter(socket, described)
}

/// Whether a train may have failed because it is one: the device has no checksum offload (EIO), or a datagram is longer than
/// the path's MTU, which alone would leave in fragments (EMSGSIZE, EINVAL of older kernels).
fn is_of_trains(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EIO | libc::EMSGSIZE | libc::EINVAL | libc::EOPNOTSUPP | libc::ENOPROTOOPT)
    )
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

/// A copy of an error of the system, which has no `Clone`.
#[must_use]
pub fn again(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
