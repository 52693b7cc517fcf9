//! The one loop that moves a sans-I/O client over a socket.
//!
//! The machine decides what to send and when to be woken; the loop has the socket, the clock and the waiting.

use std::io::{self, IoSlice};
use std::time::Duration;

use polyport_net::{
    MAX_DATAGRAM, QueuedError, RecvBatch, RecvMeta, SendBatch, SendMessage, SlotLayout, Source, UdpSocket,
    wait_readable, wait_writable,
};
use polyport_protocol::client::Transmit;
use polyport_protocol::{MILLISECOND, Nanos};
use polyport_terminal::Interrupt;

use crate::clock::Clock;
use crate::outcome::ExitError;

/// A client, driven the way the machines of `polyport_protocol::client` are.
pub trait Client {
    /// Writes the next datagram that is due at `now` into `buffer`, which takes any datagram.
    fn poll_transmit(&mut self, now: Nanos, buffer: &mut [u8]) -> Option<Transmit>;

    /// The datagram of the last [`Self::poll_transmit`] has left the socket.
    ///
    /// # Errors
    /// A failure ends the run.
    fn handle_sent(&mut self, _now: Nanos, _socket: &UdpSocket) -> Result<(), ExitError> {
        Ok(())
    }

    /// Takes a datagram.
    ///
    /// # Errors
    /// A failure ends the run.
    fn handle_input(&mut self, now: Nanos, meta: &RecvMeta, datagram: &[u8]) -> Result<(), ExitError>;

    /// Takes what the system or the network says against a datagram.
    ///
    /// # Errors
    /// A failure ends the run.
    fn handle_fault(&mut self, now: Nanos, fault: &Fault<'_>) -> Result<(), ExitError>;

    /// When the client wants to be woken.
    fn poll_timeout(&self) -> Option<Nanos>;

    /// Judges the timers that have run out at `now`.
    fn handle_timeout(&mut self, now: Nanos);

    /// Whether there is nothing left to do.
    fn is_finished(&self) -> bool;
}

/// What was said against a datagram.
#[derive(Debug)]
pub enum Fault<'a> {
    /// The datagram just polled did not leave.
    Unsent(io::Error),
    /// An error without details was pending on the connected socket, mostly ECONNREFUSED from an ICMP message.
    Pending(io::Error),
    /// The error queue told (see [`Driver::watch_errors`]).
    Reported {
        /// Who said what.
        error: QueuedError,
        /// The start of the payload at fault.
        quote: &'a [u8],
    },
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client was finished.
    Finished,
    /// The user wanted the end.
    Interrupted,
}

/// Socket, clock and buffers.
#[derive(Debug)]
pub struct Driver {
    socket: UdpSocket,
    connected: bool,
    source: Option<Source>,
    watches_errors: bool,
    clock: Clock,
    interrupt: Interrupt,
    recv: RecvBatch,
    send: SendBatch,
    memory: Vec<u8>,
    buffer: Vec<u8>,
}

/// Datagrams taken in one call; a client of one server seldom has more.
const BATCH: usize = 16;

/// Longest sleep: a signal that comes between the look at the flag and the sleep is noticed this much later.
const MAX_SLEEP: Nanos = 200 * MILLISECOND;

/// How long a full send buffer may stay full before the datagram counts as unsent.
const SEND_PATIENCE: Duration = Duration::from_secs(1);

/// Most errors taken from the queue at a time: a flood of ICMP must not stop the client.
const MAX_REPORTS: usize = 64;

/// Octets of a quotation that are looked at; ICMP messages quote 576 octets or less (RFC 1812 section 4.3.2.3), and
/// ids lie in the first sixteen.
const QUOTE: usize = 64;

impl Driver {
    /// A driver for `socket`; `connected` says whether it is tied to its peer.
    #[must_use]
    pub fn new(socket: UdpSocket, connected: bool, clock: Clock, interrupt: Interrupt) -> Self {
        Self {
            socket,
            connected,
            source: None,
            watches_errors: false,
            clock,
            interrupt,
            recv: RecvBatch::new(BATCH),
            send: SendBatch::new(1),
            memory: vec![0; SlotLayout::WHOLE.memory(BATCH)],
            buffer: vec![0; MAX_DATAGRAM],
        }
    }

    /// Turns the error queue on, so that [`Fault::Reported`] comes with quotations. Where the system has none (off
    /// Linux) nothing is reported.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn watch_errors(&mut self) -> Result<(), ExitError> {
        match self.socket.set_error_queue(true) {
            Ok(()) => self.watches_errors = true,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(error) => return Err(ExitError::io("turn the error queue on", &error)),
        }
        Ok(())
    }

    /// Asks the kernel whether datagrams came in fragments, for [`RecvMeta::fragment`]; says whether it tells.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn watch_fragments(&self) -> Result<bool, ExitError> {
        match self.socket.set_recv_fragment_size(true) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(false),
            Err(error) => Err(ExitError::io("ask for the size of fragments", &error)),
        }
    }

    /// Lets datagrams leave from this address, or by this interface.
    pub const fn send_from(&mut self, source: Source) {
        self.source = Some(source);
    }

    /// The socket.
    #[must_use]
    pub const fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Runs until the client is finished, fails, or the user interrupts.
    ///
    /// # Errors
    /// The client's failure, or one of the system's.
    pub fn run(&mut self, client: &mut impl Client) -> Result<End, ExitError> {
        loop {
            if self.interrupt.is_set() {
                return Ok(End::Interrupted);
            }
            client.handle_timeout(self.clock.now());
            self.transmit(client)?;
            if client.is_finished() {
                return Ok(End::Finished);
            }
            if self.sleep(client.poll_timeout())? {
                self.receive(client)?;
            }
        }
    }

    fn transmit(&mut self, client: &mut impl Client) -> Result<(), ExitError> {
        while let Some(transmit) = client.poll_transmit(self.clock.now(), &mut self.buffer) {
            let mut result = self.send(transmit);
            if let Err(error) = result {
                // It may have been an earlier datagram's error that was pending: the second try tells.
                let told = self.reports(client)?;
                if !told && error.kind() == io::ErrorKind::ConnectionRefused {
                    client.handle_fault(self.clock.now(), &Fault::Pending(error))?;
                }
                result = self.send(transmit);
            }
            match result {
                Ok(()) => client.handle_sent(self.clock.now(), &self.socket)?,
                Err(error) => client.handle_fault(self.clock.now(), &Fault::Unsent(error))?,
            }
        }
        Ok(())
    }

    fn send(&mut self, transmit: Transmit) -> io::Result<()> {
        match self.send_now(transmit) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                wait_writable(&self.socket, SEND_PATIENCE)?;
                self.send_now(transmit)
            }
            result => result,
        }
    }

    fn send_now(&mut self, transmit: Transmit) -> io::Result<()> {
        let payload = self.buffer.get(..transmit.len).unwrap_or(&self.buffer);
        if self.connected {
            return self.socket.send(payload).map(|_| ());
        }
        let parts = [IoSlice::new(payload)];
        let to = transmit.destination;
        let message =
            SendMessage { to, from: self.source, parts: &parts, segment: None, tos: 0, hop_limit: None };
        self.send.send(&self.socket, &[message]).map(|_| ())
    }

    /// Sleeps until there is something to read or `until`; says whether there is.
    fn sleep(&self, until: Option<Nanos>) -> Result<bool, ExitError> {
        let left = until.map_or(MAX_SLEEP, |until| until.saturating_sub(self.clock.now()));
        match wait_readable(&self.socket, Duration::from_nanos(left.min(MAX_SLEEP))) {
            Ok(ready) => Ok(ready),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            Err(error) => Err(ExitError::io("wait for a datagram", &error)),
        }
    }

    fn receive(&mut self, client: &mut impl Client) -> Result<(), ExitError> {
        let told = self.reports(client)?;
        let layout = SlotLayout::WHOLE;
        match self.recv.recv(&self.socket, &mut self.memory, layout, BATCH) {
            Ok(count) => {
                let now = self.clock.now();
                for index in 0..count {
                    let meta = self.recv.meta(index);
                    client.handle_input(now, &meta, layout.datagram(&self.memory, index, meta.len))?;
                }
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            // The queue tells this error with its details: it did already, or the message has just come.
            Err(_) if told || self.reports(client)? => Ok(()),
            Err(error) => client.handle_fault(self.clock.now(), &Fault::Pending(error)),
        }
    }

    /// Hands the queued errors on; says whether there were any.
    fn reports(&self, client: &mut impl Client) -> Result<bool, ExitError> {
        if !self.watches_errors {
            return Ok(false);
        }
        let mut quote = [0; QUOTE];
        for taken in 0..MAX_REPORTS {
            let next = self.socket.next_error(&mut quote);
            let Some(error) = next.map_err(|error| ExitError::io("read the error queue", &error))? else {
                return Ok(taken > 0);
            };
            let quote = quote.get(..error.quoted).unwrap_or(&quote);
            client.handle_fault(self.clock.now(), &Fault::Reported { error, quote })?;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
