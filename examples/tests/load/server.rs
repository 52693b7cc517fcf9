//! Servers that misbehave on purpose, each in a thread of its own, on loopback.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use polyport_protocol::{
    Code, Decoder, Encoder, Flags, FrameOption, Header, Integrity, Key, Kind, MAGIC, Nanos, Role,
};
use polyport_tools::clock::Clock;

/// A server that lives as long as the value.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// One datagram, and how to answer it.
pub(crate) struct Request<'s> {
    /// How many counted requests came before; warm-up and handshake do not count.
    pub(crate) number: u64,
    pub(crate) datagram: &'s [u8],
    socket: &'s UdpSocket,
    pub(crate) from: SocketAddr,
    later: &'s mut Vec<(Nanos, Vec<u8>, SocketAddr)>,
    now: Nanos,
}

/// How long a server waits for the next datagram before it looks at its delayed answers.
const GLANCE: Duration = Duration::from_millis(1);

impl Server {
    /// Serves each datagram by `answer`. Handshake and warm-up are answered as well as it does the rest.
    pub(crate) fn start(answer: impl FnMut(&mut Request<'_>) + Send + 'static) -> Self {
        Self::on("127.0.0.1:0", answer)
    }

    pub(crate) fn on(bind: &str, answer: impl FnMut(&mut Request<'_>) + Send + 'static) -> Self {
        let socket = UdpSocket::bind(bind).unwrap();
        socket.set_read_timeout(Some(GLANCE)).unwrap();
        let (address, stop) = (socket.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let flag = Arc::clone(&stop);
        let thread = Some(thread::spawn(move || serve(&socket, &flag, answer)));
        Self { address, stop, thread }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}

/// Of each stream the numbers 10 and 11 are lost, and 20 is answered after 21; all answers have stamps.
pub(crate) fn disorderly() -> Server {
    let mut held = HashMap::new();
    Server::start(move |request| match request.seq() {
        10 | 11 => {}
        20 => {
            held.insert(request.from, request.stamped(0));
        }
        number => {
            request.send(&request.stamped(0));
            if let Some(late) = held.remove(&request.from).filter(|_| number == 21) {
                request.send(&late);
            }
        }
    })
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // A panic in the server must fail the test; while one is under way a second would abort it.
        let result = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || !matches!(result, Some(Err(_))), "the server panicked");
    }
}

fn serve(socket: &UdpSocket, stop: &AtomicBool, mut answer: impl FnMut(&mut Request<'_>)) {
    let (clock, mut buffer, mut later, mut number) = (Clock::start(), vec![0; 65_536], Vec::new(), 0);
    while !stop.load(Ordering::Relaxed) {
        match socket.recv_from(&mut buffer) {
            Ok((len, from)) => {
                let datagram = &buffer[..len];
                let now = clock.now();
                answer(&mut Request { number, datagram, socket, from, later: &mut later, now });
                // Plain text has no flags.
                let frame = datagram.starts_with(&MAGIC);
                let practice = frame && Flags::from_octet(datagram[6]).contains(Flags::WARM_UP);
                number += u64::from(!practice);
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(error) => panic!("{error}"),
        }
        let now = clock.now();
        later.retain(|(at, datagram, to)| {
            if now >= *at {
                socket.send_to(datagram, to).unwrap();
            }
            now < *at
        });
    }
}

impl Request<'_> {
    /// Sends these octets back.
    pub(crate) fn send(&self, datagram: &[u8]) {
        self.socket.send_to(datagram, self.from).unwrap();
    }

    /// Sends these octets to somebody else.
    pub(crate) fn send_to(&self, to: SocketAddr, datagram: &[u8]) {
        self.socket.send_to(datagram, to).unwrap();
    }

    /// Sends a datagram to the client from another socket, so from another port.
    pub(crate) fn send_from(&self, other: &UdpSocket, datagram: &[u8]) {
        other.send_to(datagram, self.from).unwrap();
    }

    /// Sends a datagram to the client after `delay`.
    pub(crate) fn send_later(&mut self, delay: Duration, datagram: &[u8]) {
        let at = self.now + u64::try_from(delay.as_nanos()).unwrap();
        self.later.push((at, datagram.to_vec(), self.from));
    }

    /// Its number in its stream.
    pub(crate) fn seq(&self) -> u64 {
        Decoder::new(Role::Responder).decode(self.datagram).unwrap().header().seq
    }

    /// A good answer with the same payload.
    pub(crate) fn response(&self) -> Vec<u8> {
        self.reply(Code::OK, None, |_| ())
    }

    /// An answer: a RESPONSE for code 0, else an ERROR; with RSTAT if given; the header changed at last.
    pub(crate) fn reply(
        &self,
        code: Code,
        rstat: Option<(u64, u64)>,
        change: impl FnOnce(&mut Header),
    ) -> Vec<u8> {
        let request = Decoder::new(Role::Responder).decode(self.datagram).unwrap();
        let kind = if code == Code::OK { Kind::Response } else { Kind::Error };
        let mut header = request.header().reply(kind, code);
        change(&mut header);
        let mut datagram = vec![0; self.datagram.len()];
        let mut encoder = Encoder::new(&mut datagram, &header);
        if let Some((rseq, window)) = rstat {
            encoder = encoder.option(&FrameOption::Rstat { rseq, rcount: 0, window });
        }
        let len = encoder.payload(request.payload()).finish().unwrap();
        datagram.truncate(len);
        datagram
    }

    /// A good answer with stamps of a clock that is ahead of the server's by `ahead`.
    pub(crate) fn stamped(&self, ahead: Nanos) -> Vec<u8> {
        let request = Decoder::new(Role::Responder).decode(self.datagram).unwrap();
        let header = request.header().reply(Kind::Response, Code::OK);
        let mut datagram = vec![0; self.datagram.len()];
        let now = self.now + ahead;
        let times = FrameOption::Times { rx_ns: now, tx_ns: now };
        let len =
            Encoder::new(&mut datagram, &header).option(&times).payload(request.payload()).finish().unwrap();
        datagram.truncate(len);
        datagram
    }

    /// A sealed answer to a sealed request.
    pub(crate) fn sealed(&self, key: &Key) -> Vec<u8> {
        let keys = [key.clone()];
        let decoder = Decoder::new(Role::Responder).with_integrity(Integrity::Keys(&keys));
        let header = decoder.decode(self.datagram).unwrap().header().reply(Kind::Response, Code::OK);
        let mut datagram = vec![0; self.datagram.len()];
        let len = Encoder::new(&mut datagram, &header).auth(key).finish().unwrap();
        datagram.truncate(len);
        datagram
    }
}
