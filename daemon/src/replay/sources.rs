//! A socket for each source of the recording, so that a server tells them apart as it did then.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Longest datagram.
const LONGEST: usize = 65_535;
/// Answers that are taken of one socket before the others have their turn.
const ANSWERS_A_LOOK: usize = 64;

/// What came back, or was recorded as an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Answers {
    pub(super) datagrams: u64,
    pub(super) bytes: u64,
}

/// A source of the recording. Its socket may be that of others as well.
#[derive(Debug)]
struct Source {
    socket: usize,
    recorded: Answers,
}

/// The sources and their sockets.
#[derive(Debug)]
pub(super) struct Sources {
    most: usize,
    sources: BTreeMap<SocketAddr, Source>,
    sockets: Vec<(UdpSocket, Answers)>,
    /// Sources that have the socket of another one.
    pub(super) shared: u64,
    buffer: Vec<u8>,
}

impl Sources {
    /// No sources yet, and `most` sockets.
    pub(super) fn new(most: usize) -> Self {
        Self { most, sources: BTreeMap::new(), sockets: Vec::new(), shared: 0, buffer: vec![0; LONGEST] }
    }

    /// How many sources there are.
    pub(super) fn len(&self) -> usize {
        self.sources.len()
    }

    /// Sends a datagram of a source.
    pub(super) fn send(&mut self, from: SocketAddr, to: SocketAddr, payload: &[u8]) -> io::Result<()> {
        let at = match self.sources.get(&from) {
            Some(source) => source.socket,
            None => self.add(from, to)?,
        };
        let Some((socket, _)) = self.sockets.get(at) else { return Err(io::ErrorKind::NotFound.into()) };
        match socket.send_to(payload, to) {
            // Its buffer is full: the device is slower than the recording.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let timeout = Timespec::try_from(Duration::from_secs(1)).ok();
                poll(&mut [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::OUT)], timeout.as_ref())?;
                socket.send_to(payload, to).map(drop)
            }
            sent => sent.map(drop),
        }
    }

    fn add(&mut self, from: SocketAddr, to: SocketAddr) -> io::Result<usize> {
        let at = if self.sockets.len() < self.most {
            let any = if to.is_ipv4() {
                SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))
            } else {
                SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
            };
            let socket = UdpSocket::bind(any)?;
            socket.set_nonblocking(true)?;
            self.sockets.push((socket, Answers::default()));
            self.sockets.len() - 1
        } else {
            self.shared += 1;
            self.sources.len() % self.most
        };
        self.sources.insert(from, Source { socket: at, recorded: Answers::default() });
        Ok(at)
    }

    /// Notes an answer of the recording to a source that has sent something.
    pub(super) fn recorded(&mut self, to: SocketAddr, bytes: usize) {
        if let Some(source) = self.sources.get_mut(&to) {
            source.recorded.datagrams += 1;
            source.recorded.bytes += bytes as u64;
        }
    }

    /// Takes what has come back, and waits for it so long at most.
    pub(super) fn listen(&mut self, longest: Duration) -> io::Result<()> {
        let timeout = Timespec::try_from(longest).ok();
        let mut fds: Vec<PollFd<'_>> =
            self.sockets.iter().map(|(socket, _)| PollFd::new(socket, PollFlags::IN)).collect();
        match poll(&mut fds, timeout.as_ref()) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(()),
            Ok(_) => {}
            Err(errno) => return Err(errno.into()),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        for ((socket, answers), _) in self.sockets.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
            for _ in 0..ANSWERS_A_LOOK {
                // An error tells of an earlier datagram that nobody took: there is no answer then.
                let Ok(bytes) = socket.recv(&mut self.buffer) else { break };
                answers.datagrams += 1;
                answers.bytes += bytes as u64;
            }
        }
        Ok(())
    }

    /// All that came back, all that was recorded, and how many sockets had another number of answers than their sources had then.
    pub(super) fn answers(&self) -> (Answers, Answers, usize) {
        let mut recorded = vec![Answers::default(); self.sockets.len()];
        for source in self.sources.values() {
            if let Some(sum) = recorded.get_mut(source.socket) {
                sum.datagrams += source.recorded.datagrams;
                sum.bytes += source.recorded.bytes;
            }
        }
        let differ = self.sockets.iter().zip(&recorded).filter(|((_, came), then)| came != *then).count();
        let sum = |all: &mut dyn Iterator<Item = Answers>| {
            all.fold(Answers::default(), |sum, one| Answers {
                datagrams: sum.datagrams + one.datagrams,
                bytes: sum.bytes + one.bytes,
            })
        };
        let came = sum(&mut self.sockets.iter().map(|(_, came)| *came));
        (came, sum(&mut recorded.iter().copied()), differ)
    }
}
