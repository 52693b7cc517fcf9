//! Plain text with the textbook schedule, for servers that do not speak PPT/1.

use std::net::SocketAddr;

use polyport_net::{QueuedError, RecvMeta, UdpSocket};
use polyport_protocol::Nanos;
use polyport_protocol::client::{Textbook, Transmit};
use polyport_terminal::Exit;

use super::answered::Answered;
use super::bounds::Bounds;
use super::reporter::Reporter;
use super::unsent::unsent;
use crate::driver::{Client, Fault};
use crate::outcome::ExitError;
use crate::strangers::Strangers;
use crate::unsent::{REFUSALS, refused};

/// How to ask.
#[derive(Clone, Copy, Debug)]
pub struct RawConfig<'a> {
    /// The server.
    pub target: SocketAddr,
    /// The address that the socket was bound to.
    pub own: SocketAddr,
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
    first_sent: Nanos,
    wait: Nanos,
    until: Option<Nanos>,
    strangers: Strangers,
    /// Transmissions in a row that somebody refused.
    refusals: u8,
    /// Whether the last transmission was refused.
    refused: bool,
    answer: Option<Answered>,
    over: bool,
}

impl<'a> Raw<'a> {
    /// Asks at once.
    #[must_use]
    pub fn new(config: RawConfig<'a>, reporter: Reporter) -> Self {
        Self {
            config,
            schedule: Textbook::new(),
            reporter,
            sent: 0,
            first_sent: 0,
            wait: 0,
            until: None,
            strangers: Strangers::default(),
            refusals: 0,
            refused: false,
            answer: None,
            over: false,
        }
    }

    /// What the run ended with.
    ///
    /// # Errors
    /// Nobody answered.
    pub fn outcome(self) -> Result<Answered, ExitError> {
        let hint = self.strangers.hint().map_or_else(String::new, |hint| format!(" ({hint})"));
        self.answer.ok_or_else(|| {
            if self.refused {
                return refused(self.config.target);
            }
            ExitError::new(Exit::NoReply, format!("no reply: the server may be down{hint}"))
        })
    }

    /// Who else sent something.
    #[must_use]
    pub const fn strangers(&self) -> &Strangers {
        &self.strangers
    }
}

impl Raw<'_> {
    /// The last transmission is refused by an ICMP message that may be forged: nothing in it is secret but the port. It
    /// ends nothing alone.
    fn refuse(&mut self) -> Result<(), ExitError> {
        self.refusals += u8::from(!std::mem::replace(&mut self.refused, true));
        if self.refusals >= REFUSALS { Err(refused(self.config.target)) } else { Ok(()) }
    }

    fn is_refused(&self, error: &QueuedError, quote: &[u8]) -> bool {
        let refusal = error.errno == libc::ECONNREFUSED && error.destination == Some(self.config.target);
        refusal && self.config.text.starts_with(quote)
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
        if self.sent == 0 {
            self.first_sent = now;
        }
        self.sent += 1;
        if !std::mem::take(&mut self.refused) {
            self.refusals = 0;
        }
        // The last wait ends with the whole.
        let left = self.config.bounds.deadline.map_or(wait, |deadline| deadline.saturating_sub(now));
        (self.wait, self.until) = (wait.min(left), Some(now.saturating_add(wait)));
        Some(Transmit { destination: self.config.target, len: self.config.text.len() })
    }

    fn handle_sent(&mut self, _: Nanos, socket: &UdpSocket) -> Result<(), ExitError> {
        self.reporter.sent(socket, self.wait)
    }

    fn handle_input(&mut self, now: Nanos, meta: &RecvMeta, datagram: &[u8]) -> Result<(), ExitError> {
        if meta.peer != self.config.target && !self.config.bounds.promiscuous {
            self.strangers.heard(meta.peer);
        } else if !self.is_finished() {
            let took = now.saturating_sub(self.first_sent);
            self.answer = Some(Answered {
                from: meta.peer,
                payload: datagram.to_vec(),
                took,
                rtt: (self.sent == 1).then_some(took),
                transmissions: self.sent,
            });
        }
        Ok(())
    }

    fn handle_fault(&mut self, _: Nanos, fault: &Fault<'_>) -> Result<(), ExitError> {
        match fault {
            Fault::Unsent(error) | Fault::Pending(error)
                if error.kind() == std::io::ErrorKind::ConnectionRefused =>
            {
                self.refuse()
            }
            Fault::Unsent(error) | Fault::Pending(error) => {
                let RawConfig { target, own, bounds, .. } = self.config;
                Err(unsent("send to", target, own, error, bounds.dont_route))
            }
            // Plain text carries no id: what is quoted is compared as far as it goes.
            Fault::Reported { error, quote } if self.is_refused(error, quote) => self.refuse(),
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

#[cfg(test)]
mod tests {
    use std::io;

    use polyport_protocol::SECOND;

    use super::*;
    use crate::source::any_like;

    fn bounds(transmissions: u8) -> Bounds {
        Bounds { transmissions, deadline: None, promiscuous: false, dont_route: false }
    }

    fn refuse(raw: &mut Raw<'_>) -> Result<(), ExitError> {
        raw.handle_fault(0, &Fault::Pending(io::ErrorKind::ConnectionRefused.into()))
    }

    /// Transmits once, with what comes before it.
    fn transmit(raw: &mut Raw<'_>, now: &mut Nanos) -> bool {
        *now += 10 * SECOND;
        raw.handle_timeout(*now);
        raw.poll_transmit(*now, &mut [0; 16]).is_some()
    }

    #[test]
    fn a_refusal_is_believed_when_three_transmissions_in_a_row_have_met_it() {
        let target = "192.0.2.1:7".parse().unwrap();
        let config = RawConfig { target, own: any_like(target), text: b"hi", bounds: bounds(9) };
        let (mut raw, mut now) = (Raw::new(config, Reporter::new(true)), 0);
        for refused in [true, false, true, true] {
            assert!(transmit(&mut raw, &mut now));
            // A flood of messages about one transmission is one refusal.
            (0..if refused { 50 } else { 0 }).for_each(|_| refuse(&mut raw).unwrap());
            assert!(!raw.is_finished());
        }
        assert!(transmit(&mut raw, &mut now));
        assert!(refuse(&mut raw).unwrap_err().to_string().contains("nobody listens at 192.0.2.1:7"));
    }

    #[test]
    fn a_refusal_of_the_last_transmission_is_what_is_said_in_the_end() {
        for (refused, said) in [(true, "nobody listens"), (false, "no reply")] {
            let target = "192.0.2.1:7".parse().unwrap();
            let config = RawConfig { target, own: any_like(target), text: b"hi", bounds: bounds(1) };
            let (mut raw, mut now) = (Raw::new(config, Reporter::new(true)), 0);
            assert!(transmit(&mut raw, &mut now));
            if refused {
                refuse(&mut raw).unwrap();
            }
            assert!(!transmit(&mut raw, &mut now) && raw.is_finished());
            assert!(raw.outcome().unwrap_err().to_string().contains(said));
        }
    }
}
