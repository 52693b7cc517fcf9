//! The sending side: a socket for it, and the machine that paces the datagrams.

use std::net::SocketAddr;

use polyport_net::{RecvMeta, SocketOptions, UdpSocket};
use polyport_protocol::Nanos;
use polyport_protocol::client::{Pacer, Transmit};
use polyport_terminal::{Exit, escape_payload};

use super::event::Sealer;
use super::json::CastLine;
use crate::driver::{Client, Fault};
use crate::outcome::{ExitError, deliver};
use crate::unsent::unsent_to_any;

/// How the socket sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderOptions {
    /// TTL or hop limit; 0 means the system's default for all but groups (see [`super::stay_here`]).
    pub ttl: u8,
    /// Whether listeners on this host hear it, too.
    pub looped: bool,
    /// The interface to leave by; 0 leaves it to the routing table.
    pub ifindex: u32,
    /// The address to bind; a group is reached by the interface that has it, unless another is named.
    pub own: SocketAddr,
}

/// What is sent, how often.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// The group or broadcast address.
    pub to: SocketAddr,
    /// The address that the socket was bound to.
    pub own: SocketAddr,
    /// The payload.
    pub text: &'a [u8],
    /// Datagrams in all.
    pub count: u64,
    /// From one to the next.
    pub interval: Nanos,
    /// How long answers are heard after the last.
    pub answers: Nanos,
    /// Tell what happens as JSON.
    pub json: bool,
}

/// A socket that may send to groups and broadcast addresses.
///
/// # Errors
/// The system's, with the option at fault.
pub fn open(to: SocketAddr, options: &SenderOptions) -> Result<UdpSocket, ExitError> {
    let permission = SocketOptions { broadcast: true, ..SocketOptions::default() };
    let socket = UdpSocket::bind(options.own, &permission)?;
    let set = |what: &'static str| move |error| ExitError::io(what, &error);
    if to.ip().is_multicast() {
        socket.set_multicast_hops(options.ttl).map_err(set("set the TTL"))?;
        socket.set_multicast_loop(options.looped).map_err(set("set the loop option"))?;
        if options.ifindex != 0 {
            socket.set_multicast_interface(options.ifindex).map_err(set("choose the interface"))?;
        }
    } else if options.ttl != 0 {
        socket.set_ttl(options.ttl).map_err(set("set the TTL"))?;
    }
    Ok(socket)
}

/// Sends the datagrams of a plan, one at each of its times.
#[derive(Debug)]
pub struct Sender<'a> {
    plan: Plan<'a>,
    pacer: Pacer,
    sealer: Option<Sealer>,
    sent: u64,
    answered: u64,
    /// Until when answers are heard, once all has been sent.
    until: Option<Nanos>,
    over: bool,
    failure: Option<ExitError>,
}

impl<'a> Sender<'a> {
    /// Starts at once. With a sealer the text travels in EVENT frames.
    #[must_use]
    pub const fn new(plan: Plan<'a>, sealer: Option<Sealer>, now: Nanos) -> Self {
        let pacer = Pacer::new(now, 1, plan.interval).with_total(plan.count);
        Self { plan, pacer, sealer, sent: 0, answered: 0, until: None, over: false, failure: None }
    }

    /// How many have left.
    ///
    /// # Errors
    /// A datagram could not be written.
    pub fn outcome(self) -> Result<u64, ExitError> {
        self.failure.map_or(Ok(self.sent), Err)
    }

    /// How many answers have come.
    #[must_use]
    pub const fn answered(&self) -> u64 {
        self.answered
    }

    fn write(&mut self, buffer: &mut [u8], seq: u64, now: Nanos) -> Result<usize, ExitError> {
        let too_long = |why: String| ExitError::new(Exit::BadInput, format!("the text is too long: {why}"));
        match &mut self.sealer {
            Some(sealer) => {
                sealer.event(buffer, seq, now, self.plan.text).map_err(|error| too_long(error.to_string()))
            }
            None => match buffer.get_mut(..self.plan.text.len()) {
                Some(room) => {
                    room.copy_from_slice(self.plan.text);
                    Ok(room.len())
                }
                None => Err(too_long("no datagram takes it".to_owned())),
            },
        }
    }
}

impl Client for Sender<'_> {
    fn poll_transmit(&mut self, now: Nanos, buffer: &mut [u8]) -> Option<Transmit> {
        let slot = if self.is_finished() { None } else { self.pacer.take(now) }?;
        if self.pacer.peek().is_none() {
            self.until = Some(now.saturating_add(self.plan.answers));
            self.over = self.plan.answers == 0;
        }
        match self.write(buffer, slot.index, now) {
            Ok(len) => Some(Transmit { destination: self.plan.to, len }),
            Err(failure) => {
                self.failure = Some(failure);
                None
            }
        }
    }

    fn handle_sent(&mut self, now: Nanos, _: &UdpSocket) -> Result<(), ExitError> {
        self.sent += 1;
        if self.plan.json {
            let (number, to) = (self.sent, self.plan.to);
            return CastLine::Sent { at_ns: now, number, to, content: self.plan.text.into() }.deliver();
        }
        let text = escape_payload(self.plan.text);
        deliver(format_args!("sent {} to {}: \"{text}\"", self.sent, self.plan.to))
    }

    fn handle_input(&mut self, now: Nanos, meta: &RecvMeta, datagram: &[u8]) -> Result<(), ExitError> {
        self.answered += 1;
        if self.plan.json {
            return CastLine::Answer { at_ns: now, from: meta.peer, content: datagram.into() }.deliver();
        }
        deliver(format_args!("answer from {}: \"{}\"", meta.peer, escape_payload(datagram)))
    }

    fn handle_fault(&mut self, _: Nanos, fault: &Fault<'_>) -> Result<(), ExitError> {
        match fault {
            Fault::Unsent(error) => Err(unsent_to_any("send to", self.plan.to, self.plan.own, error)),
            // One listener's ICMP error says nothing about the others.
            Fault::Pending(_) | Fault::Reported { .. } => Ok(()),
        }
    }

    fn poll_timeout(&self) -> Option<Nanos> {
        self.pacer.peek().map(|slot| slot.planned).or(self.until)
    }

    fn handle_timeout(&mut self, now: Nanos) {
        if self.until.is_some_and(|until| until <= now) {
            self.over = true;
        }
    }

    fn is_finished(&self) -> bool {
        self.failure.is_some() || self.over
    }
}
