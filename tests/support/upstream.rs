//! A server that relays are put in front of.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::wait;

/// A server that sends every datagram back, until it is dropped.
#[derive(Debug)]
pub struct Upstream {
    /// Where it is.
    pub address: SocketAddr,
    dropped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// How often an idle server looks whether it is to end.
const LOOK: Duration = Duration::from_millis(20);

impl Upstream {
    /// At an address, which may still be in use for a moment.
    #[must_use]
    #[track_caller]
    pub fn at(address: &str) -> Self {
        let mut bound = None;
        wait::until("an address that is free", || {
            bound = UdpSocket::bind(address).ok();
            bound.is_some()
        });
        Self::of(bound.expect("waited for"))
    }

    /// With a socket, which may be of another network namespace.
    #[must_use]
    #[track_caller]
    pub fn of(socket: UdpSocket) -> Self {
        let address = socket.local_addr().expect("a bound socket has an address");
        socket.set_read_timeout(Some(LOOK)).expect("the time is not zero");
        let dropped = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&dropped);
        let thread = thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            while !end.load(Ordering::Relaxed) {
                // What earlier answers met is nothing to end for.
                let Ok((len, peer)) = socket.recv_from(&mut buffer) else { continue };
                socket.send_to(buffer.get(..len).unwrap_or_default(), peer).ok();
            }
        });
        Self { address, dropped, thread: Some(thread) }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
