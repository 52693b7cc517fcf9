//! The production I/O: mio for readiness, `polyport-net` for datagrams, and the system's clocks.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Poll};
use polyport_net::{
    CAN_SEND_UNFRAGMENTED, Cast, Membership, RecvBatch, RecvMeta, SendBatch, SendMessage, SlotLayout, Source,
};
use polyport_net::{UdpSocket, interface_index};
use polyport_terminal::Signals;
use rand::TryRng;
use rand::rngs::SysRng;

use super::addresses::Addresses;
use super::alarm::Alarm;
use super::clock::Clock;
use super::readiness;
use super::rest::Rest;
use crate::exchange::{ArrivalFlags, Arrived, Exchange, Facts, ReplySource};
use crate::guard::LocalAddress;
use crate::plugin::{GroupRequest, Notify};
use crate::reactor::io::{
    AddressReading, Dial, Event, Group, Interest, Io, Link, MOST_ERRORS, Message, NetError, Now, Outgoing,
    Received, Token, Wait,
};

/// Most events taken from the kernel in one call.
const EVENTS: usize = 1024;
/// Most messages given to the kernel in one call.
const MESSAGES: usize = 64;
/// Token of the signals. A listener with this token would lie in slot 2^32 - 1.
const SIGNALS: mio::Token = mio::Token(usize::MAX);
/// Token of the alarm. A listener with this token would lie in slot 2^32 - 2.
const ALARM: mio::Token = mio::Token(usize::MAX - 1);
/// Token of the socket that tells of addresses. A listener with this token would lie in slot 2^32 - 3.
const ADDRESSES: mio::Token = mio::Token(usize::MAX - 2);
/// Token of the threads that wake handlers. A listener with this token would lie in slot 2^32 - 4.
const WAKES: mio::Token = mio::Token(usize::MAX - 3);

/// The I/O of a daemon: real sockets and real time.
#[derive(Debug)]
pub struct MioIo {
    poll: Poll,
    events: Events,
    receive: RecvBatch,
    send: SendBatch,
    clock: Clock,
    alarm: Alarm,
    rest: Rest,
    addresses: Addresses,
    signals: Signals,
    /// Whether the kernel takes segmented messages, from the first socket that was asked.
    can_segment: Option<bool>,
}

impl MioIo {
    /// I/O whose receive calls take at most `slots` messages. The loop stops when `signals` ask for it.
    ///
    /// # Errors
    /// The errno of `epoll_create(2)`, `kqueue(2)` or `timerfd_create(2)`, or of registering `signals`.
    pub fn new(clock: Clock, slots: usize, signals: Signals) -> io::Result<Self> {
        let poll = Poll::new()?;
        let descriptor = signals.as_fd().as_raw_fd();
        poll.registry().register(&mut SourceFd(&descriptor), SIGNALS, mio::Interest::READABLE)?;
        let alarm = Alarm::new(&poll, ALARM)?;
        Ok(Self {
            events: Events::with_capacity(EVENTS),
            receive: RecvBatch::new(slots),
            send: SendBatch::new(MESSAGES),
            clock,
            alarm,
            rest: Rest::default(),
            addresses: Addresses::watch(&poll, ADDRESSES),
            poll,
            signals,
            can_segment: None,
        })
    }
}

impl Io for MioIo {
    type Socket = UdpSocket;

    fn now(&mut self) -> Now {
        self.clock.now()
    }

    fn read_clocks(&mut self) -> Now {
        self.clock.read_both()
    }

    fn secret(&mut self) -> io::Result<[u8; 32]> {
        let mut secret = [0; 32];
        SysRng.try_fill_bytes(&mut secret).map_err(io::Error::other)?;
        Ok(secret)
    }

    fn notify(&mut self) -> io::Result<Notify> {
        let waker = mio::Waker::new(self.poll.registry(), WAKES)?;
        Ok(Box::new(move || waker.wake().is_ok()))
    }

    fn cpu_ns(&mut self) -> u64 {
        polyport_net::thread_cpu_ns()
    }

    fn poll(&mut self, wait: Wait, events: &mut Vec<Event>) -> io::Result<bool> {
        let timeout = self.alarm.prepare(&self.clock, wait);
        match self.poll.poll(&mut self.events, timeout) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(false),
            other => other?,
        }
        let mut told = 0;
        for event in &self.events {
            told += 1;
            // One look at the event of a socket, which nearly all are.
            if event.token() < WAKES {
                events.push(Event::Ready {
                    token: from_mio(event.token()),
                    readable: event.is_readable() || event.is_error() || event.is_read_closed(),
                    writable: event.is_writable(),
                });
                continue;
            }
            if event.token() == SIGNALS {
                let asked = self.signals.take();
                if let Some(name) = asked.meaningless {
                    log::warn!("{name} means nothing yet and is ignored");
                }
                if asked.end {
                    events.push(Event::Stop);
                }
                if asked.attend {
                    events.push(Event::Attend);
                }
                continue;
            }
            if event.token() == ALARM {
                self.alarm.expired();
                continue;
            }
            if event.token() == ADDRESSES {
                if self.addresses.take_changes() {
                    events.push(Event::Addresses);
                }
                continue;
            }
            events.push(Event::Wake);
        }
        Ok(told == EVENTS)
    }

    fn can_rest(&self) -> bool {
        Rest::IS_EXACT
    }

    fn rest(&mut self, span: Duration) {
        self.rest.rest(&self.poll, span);
    }

    fn register(&mut self, socket: &mut UdpSocket, token: Token) -> io::Result<()> {
        readiness::register(&self.poll, socket, to_mio(token))
    }

    fn watch(&mut self, socket: &mut UdpSocket, token: Token, interest: Interest) -> io::Result<()> {
        readiness::change(&self.poll, socket, to_mio(token), interest)
    }

    fn unregister(&mut self, socket: &mut UdpSocket) -> io::Result<()> {
        readiness::unregister(&self.poll, socket)
    }

    fn can_segment(&mut self, socket: &UdpSocket) -> bool {
        *self.can_segment.get_or_insert_with(|| socket.can_segment())
    }

    fn set_trains(&mut self, socket: &mut UdpSocket, on: bool) -> bool {
        socket.set_gro(on).is_ok()
    }

    fn want(&mut self, socket: &mut UdpSocket, facts: Facts) -> Facts {
        let Facts { tos, hop_limit, local, time, lone_time } = facts;
        // A former handler of this socket may have had trains.
        socket.keep_apart(time);
        let told = socket.want(polyport_net::Facts { tos, hop_limit, local, time: time || lone_time });
        let polyport_net::Facts { tos, hop_limit, local, time } = told;
        Facts { tos, hop_limit, local, time, lone_time: time }
    }

    fn kernel_drops(&mut self, socket: &UdpSocket) -> Option<u32> {
        socket.drops().ok().flatten()
    }

    fn read_addresses(&mut self, again: bool, into: &mut Vec<LocalAddress>) -> io::Result<AddressReading> {
        self.addresses.read(again, into)
    }

    fn tells_of_addresses(&self) -> bool {
        self.addresses.tells()
    }

    fn interface_index(&mut self, name: &str) -> Option<u32> {
        interface_index(name).ok()
    }

    fn watch_links(&mut self) -> io::Result<()> {
        self.addresses.watch_links()
    }

    fn links(&self) -> Vec<Link> {
        self.addresses.links()
    }

    fn tie(&mut self, socket: &mut UdpSocket, device: &str) -> io::Result<()> {
        socket.set_device(Some(device))
    }

    fn move_group(&mut self, socket: &mut UdpSocket, group: &Group, ifindex: u32) -> io::Result<()> {
        let membership = |ifindex| Membership { group: group.group, source: group.source, ifindex };
        // Without an interface the system would leave it anywhere.
        if group.ifindex > 0
            && let Err(error) = socket.leave_group(&membership(group.ifindex))
        {
            log::debug!("{} on interface {} was left already: {error}", group.group, group.ifindex);
        }
        socket.join_group(&membership(ifindex))
    }

    fn change_group(&mut self, socket: &mut UdpSocket, request: &GroupRequest) -> io::Result<()> {
        let GroupRequest { joins, group, source, ifindex } = *request;
        let membership = Membership { group, source, ifindex };
        if joins { socket.join_group(&membership) } else { socket.leave_group(&membership) }
    }

    fn receive(
        &mut self,
        socket: &mut UdpSocket,
        exchange: &mut Exchange,
        max: usize,
    ) -> io::Result<Received> {
        let slot = exchange.limits().slot_len;
        let stride = exchange.limits().stride;
        let layout = SlotLayout::new(slot, stride - slot);
        let base = exchange.next_slot() * stride;
        let ring = exchange.ring_mut().get_mut(base..).unwrap_or_default();
        if max == 1 && !socket.has_control() {
            let room = ring.len().min(slot);
            let meta = socket.recv_single(ring.get_mut(..room).unwrap_or_default())?;
            push(exchange, &meta, base);
            return Ok(Received { messages: 1, drained: readiness::LEVEL_TRIGGERED });
        }
        let messages = self.receive.recv(socket, ring, layout, max)?;
        if socket.facts().time {
            for (index, meta) in self.receive.metas().enumerate() {
                if push(exchange, &meta, base + index * stride) {
                    // A train has the time of its first datagram, which says nothing of the others.
                    let alone = meta.segment.is_none();
                    exchange.push_stamp(meta.unix_ns.filter(|_| alone).unwrap_or(0));
                }
            }
        } else {
            for (index, meta) in self.receive.metas().enumerate() {
                push(exchange, &meta, base + index * stride);
            }
        }
        // The sockets are unconnected and do not use IP_RECVERR, so a short batch means that the queue was empty. A
        // single receive does not tell; but if sockets are level-triggered, datagrams that wait raise the next event.
        let drained = messages < max || (max == 1 && readiness::LEVEL_TRIGGERED);
        Ok(Received { messages, drained })
    }

    fn send(&mut self, socket: &mut UdpSocket, messages: &[Message<'_>]) -> io::Result<usize> {
        // Mostly one look at one message: what must not be cut is rare, and leaves by calls of its own.
        let uncut = |message: &Message<'_>| CAN_SEND_UNFRAGMENTED && message.df;
        let first = messages.first().is_some_and(uncut);
        let alike = messages.iter().position(|message| uncut(message) != first).unwrap_or(messages.len());
        let alike = messages.get(..alike).unwrap_or(messages).iter().map(transmit);
        if first { self.send.send_unfragmented(socket, alike) } else { self.send.send_iter(socket, alike) }
    }

    fn send_connected(&mut self, socket: &mut UdpSocket, messages: &[Message<'_>]) -> io::Result<usize> {
        let uncut = |message: &Message<'_>| CAN_SEND_UNFRAGMENTED && message.df;
        let first = messages.first().is_some_and(uncut);
        let alike = messages.iter().position(|message| uncut(message) != first).unwrap_or(messages.len());
        let alike = messages.get(..alike).unwrap_or(messages).iter().map(transmit);
        if first {
            self.send.send_connected_unfragmented(socket, alike)
        } else {
            self.send.send_connected(socket, alike)
        }
    }

    fn open(&mut self, dial: &Dial) -> io::Result<UdpSocket> {
        let Dial { to, from, ipv6, df, recv_buffer, send_buffer, ref outgoing } = *dial;
        let Outgoing { device, tos, ttl } = &**outgoing;
        let (device, tos, ttl) = (device.as_deref(), *tos, *ttl);
        UdpSocket::dial(&polyport_net::Dial {
            to,
            from,
            ipv6,
            df,
            recv_buffer,
            send_buffer,
            device,
            tos,
            ttl,
        })
    }

    fn local(&self, socket: &UdpSocket) -> Option<std::net::SocketAddr> {
        socket.local_addr().ok()
    }

    fn close(&mut self, socket: UdpSocket) {
        // A descriptor that is closed is not watched any more, unless there is another one of its socket; there is none.
        if !readiness::LEVEL_TRIGGERED {
            readiness::unregister(&self.poll, &socket).ok();
        }
        drop(socket);
    }

    fn errors(&mut self, socket: &mut UdpSocket, into: &mut Vec<NetError>) -> bool {
        for _ in 0..MOST_ERRORS {
            match socket.next_error(&mut []) {
                Ok(Some(error)) => into.push(NetError {
                    errno: error.errno,
                    mtu: error.mtu.unwrap_or(0),
                    reporter: error.offender,
                }),
                Ok(None) => return true,
                Err(error) => return error.kind() != io::ErrorKind::Unsupported,
            }
        }
        true
    }
}

/// The message as `polyport-net` takes it.
#[inline]
fn transmit<'a>(message: &Message<'a>) -> SendMessage<'a> {
    SendMessage {
        to: *message.to,
        from: message.from.map(|source| Source { ip: source.ip, ifindex: source.ifindex }),
        parts: message.parts,
        segment: message.segment,
        tos: message.tos,
        hop_limit: message.hop_limit,
    }
}

/// Describes the message in a slot to `exchange`: one datagram, or a train of datagrams back to back.
#[inline(always)]
fn push(exchange: &mut Exchange, meta: &RecvMeta, offset: usize) -> bool {
    let flags = ArrivalFlags {
        multicast: meta.local.is_some_and(|l| l.kind() == Cast::Multicast),
        broadcast: meta.local.is_some_and(|l| l.kind() == Cast::Broadcast),
        truncated: meta.truncated,
        has_tos: meta.tos.is_some(),
    };
    exchange.push(Arrived {
        offset,
        len: meta.len,
        // What lies behind it in the slot came from another peer: no answer in place may be longer.
        cap: meta.len,
        segment: meta.segment.map_or(0, usize::from),
        peer: meta.peer,
        destination: meta.local.map(|l| l.destination),
        reply_from: meta
            .local
            .and_then(|l| l.reply_source())
            .map(|source| ReplySource { ip: source.ip, ifindex: source.ifindex }),
        ifindex: meta.local.map_or(0, |l| l.ifindex),
        tos: meta.tos.unwrap_or(0),
        hop_limit: meta.hop_limit.unwrap_or(0),
        session: 0,
        flags,
    })
}

fn to_mio(token: Token) -> mio::Token {
    mio::Token((token.generation as usize) << 32 | token.index as usize)
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves of a 64-bit token")]
fn from_mio(token: mio::Token) -> Token {
    Token { index: token.0 as u32, generation: (token.0 >> 32) as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_way_through_mio() {
        for token in [Token { index: 0, generation: 0 }, Token { index: 49_999, generation: u32::MAX }] {
            assert_eq!(from_mio(to_mio(token)), token);
        }
    }
}
