//! Plain text with the textbook schedule, for servers that do not speak PPT/1.

use std::net::SocketAddr;

use polyport_net::{RecvMeta, UdpSocket};
use polyport_protocol::Nanos;
use polyport_protocol::client::{Textbook, Transmit};
use polyport_terminal::Exit;

use super::answered::Answered;
use super::bounds::Bounds;
use super::reporter::Reporter;
use super::unsent::unsent;
use crate::driver::{Client, Fault};
use crate::outcome::ExitError;

/// How to ask.
#[derive(Clone, Copy, Debug)]
pub struct RawConfig<'a> {
    /// The server.
    pub target: SocketAddr,
    /// The whole datagram.
    pub text: &'a [u8],
    /// Where it ends.
    pub bounds: Bounds,
}

/// One request: send, wait 0.1 s, send again, wait twice as long, and so on up to 2 s.
#[derive(Debug)]
pub struct Raw<'a> {
    config: RawConfig<'a>,
    schedule: Textbook,
    reporter: Reporter,
    sent: u8,
    sent_at: Nanos,
    wait: Nanos,
    until: Option<Nanos>,
    /// Datagrams from elsewhere.
    foreign: u64,
    answer: Option<Answered>,
    over: bool,
}

impl<'a> Raw<'a> {
    /// Asks at once.
    #[must_use]
    pub const fn new(config: RawConfig<'a>, reporter: Reporter) -> Self {
        Self {
            config,
            schedule: Textbook::new(),
            reporter,
            sent: 0,
            sent_at: 0,
            wait: 0,
            until: None,
            foreign: 0,
            answer: None,
            over: false,
        }
    }

    /// What the run ended with.
    ///
    /// # Errors
    /// Nobody answered.
    pub fn outcome(self) -> Result<Answered, ExitError> {
        self.answer.ok_or_else(|| ExitError::new(Exit::NoReply, "no reply: the server may be down"))
    }

    /// Datagrams from other addresses than the target.
    #[must_use]
    pub const fn foreign(&self) -> u64 {
        self.foreign
    }
}

impl Client for Raw<'_> {
    fn poll_transmit(&mut self, now: Nanos, buffer: &mut [u8]) -> Option<Transmit> {
        if self.is_finished() || self.until.is_some() {
            return None;
        }
        let next = if self.sent < self.config.bounds.transmissions { self.schedule.next() } else { None };
        let Some(wait) = next else {
            self.over = true;
            return None;
        };
        let room = buffer.get_mut(..self.config.text.len());
        let Some(room) = room else {
            self.over = true;
            return None;
        };
        room.copy_from_slice(self.config.text);
        self.sent += 1;
        (self.sent_at, self.wait, self.until) = (now, wait, Some(now.saturating_add(wait)));
        Some(Transmit { destination: self.config.target, len: self.config.text.len() })
    }

    fn handle_sent(&mut self, _: Nanos, socket: &UdpSocket) -> Result<(), ExitError> {
        self.reporter.sent(socket, self.wait)
    }

    fn handle_input(&mut self, now: Nanos, meta: &RecvMeta, datagram: &[u8]) -> Result<(), ExitError> {
        if meta.peer != self.config.target && !self.config.bounds.promiscuous {
            self.foreign += 1;
        } else if !self.is_finished() {
            self.answer = Some(Answered {
                from: meta.peer,
                payload: datagram.to_vec(),
                rtt: now.saturating_sub(self.sent_at),
                transmissions: self.sent,
            });
        }
        Ok(())
    }

    fn handle_fault(&mut self, _: Nanos, fault: &Fault<'_>) -> Result<(), ExitError> {
        match fault {
            Fault::Unsent(error) | Fault::Pending(error) => {
                Err(unsent(self.config.target, error, self.config.bounds.dont_route))
            }
            // The error queue is off: plain text carries no id to check a quotation against.
            Fault::Reported { .. } => Ok(()),
        }
    }

    fn poll_timeout(&self) -> Option<Nanos> {
        self.until.into_iter().chain(self.config.bounds.deadline).min()
    }

    fn handle_timeout(&mut self, now: Nanos) {
        self.until = self.until.filter(|until| *until > now);
        self.over |= self.config.bounds.deadline.is_some_and(|deadline| deadline <= now);
    }

    fn is_finished(&self) -> bool {
        self.over || self.answer.is_some()
    }
}
