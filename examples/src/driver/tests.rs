//! The loop with a client of three lines, over loopback.

use std::net::{SocketAddr, UdpSocket as StdSocket};

use polyport_net::SocketOptions;
use polyport_terminal::Exit;

use super::*;

/// Sends one datagram at `at`, and ends with the first answer, fault or at `until`.
struct Ping {
    to: SocketAddr,
    at: Nanos,
    until: Nanos,
    sent: Option<Nanos>,
    answer: Option<Vec<u8>>,
    fault: Option<String>,
    over: bool,
}

impl Ping {
    const fn new(to: SocketAddr, at: Nanos, until: Nanos) -> Self {
        Self { to, at, until, sent: None, answer: None, fault: None, over: false }
    }
}

impl Client for Ping {
    fn poll_transmit(&mut self, now: Nanos, buffer: &mut [u8]) -> Option<Transmit> {
        if self.sent.is_some() || now < self.at {
            return None;
        }
        self.sent = Some(now);
        buffer[..4].copy_from_slice(b"ping");
        Some(Transmit { destination: self.to, len: 4 })
    }

    fn handle_input(&mut self, _: Nanos, _: &RecvMeta, datagram: &[u8]) -> Result<(), ExitError> {
        if datagram == b"fail" {
            return Err(ExitError::new(Exit::Protocol, "told to"));
        }
        self.answer = Some(datagram.to_vec());
        Ok(())
    }

    fn handle_fault(&mut self, _: Nanos, fault: &Fault<'_>) -> Result<(), ExitError> {
        self.fault = Some(format!("{fault:?}"));
        Ok(())
    }

    fn poll_timeout(&self) -> Option<Nanos> {
        Some(if self.sent.is_some() { self.until } else { self.at })
    }

    fn handle_timeout(&mut self, now: Nanos) {
        self.over = now >= self.until;
    }

    fn is_finished(&self) -> bool {
        self.over || self.answer.is_some() || self.fault.is_some()
    }
}

const SECOND: Nanos = polyport_protocol::SECOND;

fn driver(peer: Option<SocketAddr>) -> Driver {
    let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &SocketOptions::default()).unwrap();
    if let Some(peer) = peer {
        socket.connect(peer).unwrap();
    }
    Driver::new(socket, peer.is_some(), Clock::start(), Interrupt::default())
}

fn server() -> (StdSocket, SocketAddr) {
    let socket = StdSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

#[test]
fn an_answer_ends_the_run_however_the_socket_is_tied() {
    for tied in [false, true] {
        let (server, to) = server();
        let echo = std::thread::spawn(move || {
            let mut buffer = [0; 16];
            let (len, peer) = server.recv_from(&mut buffer).unwrap();
            server.send_to(&buffer[..len], peer).unwrap();
        });
        let mut ping = Ping::new(to, 20 * MILLISECOND, 20 * SECOND);
        assert_eq!(driver(tied.then_some(to)).run(&mut ping).unwrap(), End::Finished);
        assert_eq!(ping.answer.as_deref(), Some(&b"ping"[..]));
        assert!(ping.sent.unwrap() >= 20 * MILLISECOND, "not before it was due");
        echo.join().unwrap();
    }
}

#[test]
fn silence_ends_at_the_deadline() {
    let (_server, to) = server();
    let mut ping = Ping::new(to, 0, 300 * MILLISECOND);
    let mut driver = driver(None);
    assert_eq!(driver.run(&mut ping).unwrap(), End::Finished);
    assert!(ping.over && driver.clock.now() >= 300 * MILLISECOND);
}

#[test]
#[cfg(target_os = "linux")]
fn a_refusal_is_told_with_a_quotation_or_without() {
    for (tied, watch) in [(true, false), (true, true), (false, true)] {
        let (socket, to) = server();
        drop(socket);
        let mut driver = driver(tied.then_some(to));
        if watch {
            driver.watch_errors().unwrap();
        }
        let mut ping = Ping::new(to, 0, 20 * SECOND);
        driver.run(&mut ping).unwrap();
        let fault = ping.fault.unwrap();
        assert_eq!(fault.starts_with("Reported"), watch, "{fault}");
        assert!(!watch || fault.contains(&format!("{:?}", b"ping")), "{fault}");
    }
}

#[test]
fn a_failure_of_the_client_and_a_signal_end_the_run() {
    let (server, to) = server();
    let mut own = driver(Some(to));
    server.send_to(b"fail", own.socket().local_addr().unwrap()).unwrap();
    let failure = own.run(&mut Ping::new(to, 0, 20 * SECOND)).unwrap_err();
    assert_eq!(failure.exit, Exit::Protocol);
    own.interrupt.ask();
    assert_eq!(own.run(&mut Ping::new(to, 0, 20 * SECOND)).unwrap(), End::Interrupted);
}
