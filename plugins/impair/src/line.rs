//! A line: one client in one direction. Every datagram of it gets its fate here.
//!
//! ```text
//! timeline -> mtu, blackout, loss -> limit -> reorder, or: delay -> link -> late -> slot     the copy: from limit on
//! ```

use alloc::boxed::Box;
use core::cmp::Ordering;

use crate::chance::Stream;
use crate::channel::{Channel, Delay, Link};
use crate::fate::{Cause, Duplicate, Fate, Pass, What};
use crate::frame::{Family, busy_ns};
use crate::memory::Memory;
use crate::script::{Clock, Script, Start};
use crate::state::{Draws, Luck, State};

/// What is kept of one client in one direction: 40 bytes, and a box where options need more (a queue, slots, traces, a
/// timeline, correlated jitter).
#[derive(Clone, Debug)]
pub struct Line {
    client: u64,
    /// Datagrams so far.
    n: u64,
    /// When the link is free again; without one, when the last of all leaves: what comes on a link then is behind it. ns.
    last: u64,
    memory: Option<Box<Memory>>,
    state: State,
}

/// A datagram that comes.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    n: u64,
    now: u64,
    len: usize,
    tos: u8,
}

impl Line {
    /// How large the box is, bytes, without what waits in its queue and the slots of its chain.
    pub const BOX_BYTES: usize = size_of::<Memory>();

    /// Of the client with this number, see [`client`](crate::client), whose datagrams have the headers of `family`.
    #[must_use]
    pub const fn new(client: u64, family: Family) -> Self {
        Self { client, n: 0, last: 0, memory: None, state: State::new(family) }
    }

    /// How many datagrams were decided: the number of the next one.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.n
    }

    /// Decides about the next datagram: a payload of `len` bytes that comes at `now` (ns of a clock that does not go
    /// back; where it does, nothing leaves before it came) with this traffic class.
    // Where it is inlined, what it returns is put together and then copied, which costs more than the call.
    #[inline(never)]
    pub fn decide(&mut self, script: &Script, now: u64, len: usize, tos: u8) -> Fate {
        let steps = if script.changes.is_empty() { 0 } else { self.steps(script, now) };
        let channel = script.channel(steps);
        let n = self.n;
        self.n = n.wrapping_add(1);
        if channel.is_neutral() {
            self.state.uncorrelated();
            return Fate::untouched(now);
        }
        if let (Some(loss), Some(delay)) = (channel.plain_loss, channel.plain_delay) {
            self.state.uncorrelated();
            return if !loss.is_never() && loss.hit(self.draws(script, n).own(Stream::Loss)) {
                Fate::Lost(Cause::Loss)
            } else {
                self.pass_plain(channel.keep, now, delay, false)
            };
        }
        self.decide_any(script, channel, Arrival { n, now, len, tos })
    }

    /// As [`decide`](Self::decide), with any options: apart, so that simple ones need few registers.
    #[inline(never)]
    fn decide_any(&mut self, script: &Script, channel: &Channel, arrival: Arrival) -> Fate {
        if channel.remembers {
            // Also for one that is lost: a line's own time begins with its first datagram.
            remembered(&mut self.memory, arrival.now);
        }
        if channel.correlated {
            return self.decide_correlated(script, channel, arrival);
        }
        self.state.uncorrelated();
        let draws = self.draws(script, arrival.n);
        let lost = self.state.loses(&channel.loss, None, &draws);
        self.meet(script, channel, arrival, lost, || Luck::new(channel, |stream| draws.own(stream)))
    }

    /// With decisions that look at those before.
    #[inline(never)]
    fn decide_correlated(&mut self, script: &Script, channel: &Channel, arrival: Arrival) -> Fate {
        let draws = self.draws(script, arrival.n);
        let memory = remembered(&mut self.memory, arrival.now);
        let (loss, luck) = self.state.correlated(channel, &draws, memory);
        let lost = self.state.loses(&channel.loss, Some(loss), &draws);
        self.meet(script, channel, arrival, lost, || luck)
    }

    /// What becomes of a datagram that the loss model, which steps with every one, has `lost` or not.
    #[inline]
    fn meet(
        &mut self,
        script: &Script,
        channel: &Channel,
        arrival: Arrival,
        lost: bool,
        luck: impl FnOnce() -> Luck,
    ) -> Fate {
        let Arrival { now, len, tos, .. } = arrival;
        if channel.mtu.is_some_and(|mtu| len as u64 > u64::from(mtu)) {
            return Fate::Lost(Cause::Mtu);
        }
        if channel.blackout {
            return Fate::Lost(Cause::Blackout);
        }
        // RFC 3168: 01 and 10 say that the sender listens to marks, 11 is one.
        let mark = lost && channel.ecn && tos & 3 != 0;
        if lost && !mark {
            return Fate::Lost(Cause::Loss);
        }
        match channel.plain_delay {
            Some(delay) => self.pass_plain(channel.keep, now, delay, mark),
            None => self.pass(script, channel, arrival, mark, luck()),
        }
    }

    /// As [`pass`](Self::pass) where nothing but a delay is left to happen.
    #[inline]
    fn pass_plain(&mut self, keep: bool, now: u64, delay: u64, mark: bool) -> Fate {
        self.state.not_reordered();
        let mut at_ns = behind(&mut self.last, keep, now.saturating_add(delay));
        if let Some(memory) = &mut self.memory {
            at_ns = behind(&mut memory.left, keep, at_ns);
        }
        let what = What::NOTHING.with_if(What::DELAYED, at_ns > now).with_if(What::MARKED, mark);
        Fate::Pass(Pass { at_ns, corrupt: None, mark, copy: None, what })
    }

    /// A datagram that was not lost on the way leaves, if the queue has room.
    #[inline(always)]
    fn pass(&mut self, script: &Script, channel: &Channel, arrival: Arrival, mark: bool, luck: Luck) -> Fate {
        let Some((at_ns, what)) = self.leave(script, channel, arrival, luck) else {
            return Fate::Lost(Cause::QueueFull);
        };
        let corrupt = luck.corrupt.then(|| self.draws(script, arrival.n).own(Stream::Bit));
        let what = what.with_if(What::MARKED, mark).with_if(What::CORRUPTED, luck.corrupt);
        let passes = |copy, what| Fate::Pass(Pass { at_ns, corrupt, mark, copy, what });
        if luck.duplicate {
            let copy = self.copy(script, channel, arrival);
            return passes(copy, what | if copy.is_some() { What::DUPLICATED } else { What::COPY_LOST });
        }
        passes(None, what)
    }

    /// The second one of a datagram: with luck of its own, and behind it in every queue.
    #[cold]
    fn copy(&mut self, script: &Script, channel: &Channel, arrival: Arrival) -> Option<Duplicate> {
        let draws = self.draws(script, arrival.n);
        let luck = Luck::new(channel, |stream| draws.copy(stream));
        let (at_ns, what) = self.leave(script, channel, arrival, luck)?;
        let corrupt = luck.corrupt.then(|| draws.copy(Stream::Bit));
        Some(Duplicate { at_ns, corrupt, what: what.with_if(What::CORRUPTED, luck.corrupt) })
    }

    #[inline]
    const fn draws<'a>(&self, script: &'a Script, n: u64) -> Draws<'a> {
        Draws { streams: &script.streams, client: self.client, n }
    }

    /// When a datagram leaves; `None` if the queue is full.
    #[inline]
    fn leave(
        &mut self,
        script: &Script,
        channel: &Channel,
        arrival: Arrival,
        luck: Luck,
    ) -> Option<(u64, What)> {
        let Arrival { n, now, len, .. } = arrival;
        let packet = channel.frame.packet(len, self.state.family());
        let mut memory = if channel.remembers {
            Some(remembered(&mut self.memory, now))
        } else {
            self.memory.as_deref_mut()
        };
        if let (Some(limits), Some(memory)) = (channel.limits, memory.as_mut())
            && !memory.queue.finds_room(limits, packet, now)
        {
            return None;
        }
        if luck.reorder && self.state.since_reordered >= channel.gap.saturating_sub(1) {
            self.state.since_reordered = 0;
            return Some((now, What::REORDERED));
        }
        self.state.not_reordered();
        let origin = origin(script.start, memory.as_deref());
        let base = match &channel.delay {
            Delay::Same(delay) => *delay,
            Delay::Trace(trace, None) => trace.at(n),
            Delay::Trace(trace, Some(step)) => trace.at(now.saturating_sub(origin) / (*step).max(1)),
        };
        let delay = if channel.jitter.ns == 0 { base } else { channel.jitter.added(base, luck.jitter) };
        let mut at = now.saturating_add(delay);
        let late_by = if luck.late { channel.late_by } else { 0 };
        match &channel.link {
            Link::None => at = behind(&mut self.last, channel.keep, at.saturating_add(late_by)),
            Link::Rate(rate) => {
                at = at.max(self.last).saturating_add(busy_ns(channel.frame.carried(packet), *rate));
                self.last = at;
                at = at.saturating_add(late_by);
            }
            Link::Trace(trace) => {
                at = at.max(self.last);
                if let Some(memory) = memory.as_mut() {
                    at = trace.carry(&mut memory.carried, origin, at, channel.frame.carried(packet)).max(at);
                }
                self.last = at;
                at = at.saturating_add(late_by);
            }
        }
        if let (Some(slot), Some(memory)) = (&channel.slot, memory.as_mut()) {
            let draw = |made| script.streams.draw(Stream::Slot, self.client, made);
            at = memory.slots.place(slot, now, at, packet, draw);
        }
        if let Some(memory) = memory.as_mut() {
            at = behind(&mut memory.left, channel.keep, at);
        }
        if let (Some(_), Some(memory), Ordering::Greater) = (channel.limits, memory, at.cmp(&now)) {
            memory.queue.push(at, packet, now);
        }
        let what = What::NOTHING.with_if(What::DELAYED, at > now).with_if(What::LATE, luck.late);
        Some((at, what))
    }

    /// How many steps of the timeline hold.
    #[inline]
    fn steps(&mut self, script: &Script, now: u64) -> u16 {
        let memory = remembered(&mut self.memory, now);
        let position = match script.clock {
            Clock::Time => now.saturating_sub(origin(script.start, Some(memory))),
            Clock::Datagrams => self.n,
        };
        let place = &mut memory.place;
        if position >= place.next || place.mark != script.mark {
            (self.state.steps, place.next) = script.steps_at(position);
            place.mark = script.mark;
        }
        self.state.steps
    }
}

/// The box of a line, made now if it was not there.
#[inline]
fn remembered(memory: &mut Option<Box<Memory>>, now: u64) -> &mut Memory {
    memory.get_or_insert_with(|| Memory::begun(now))
}

/// When a datagram leaves that is ready at `at`: with `keep` not before the last of those before it.
#[inline]
fn behind(last: &mut u64, keep: bool, at: u64) -> u64 {
    let at = if keep { at.max(*last) } else { at };
    *last = at.max(*last);
    at
}

/// Where times of the options begin, ns.
fn origin(start: Start, memory: Option<&Memory>) -> u64 {
    match start {
        Start::At(ns) => ns,
        Start::Line => memory.map_or(0, |memory| memory.begun),
    }
}

#[cfg(test)]
mod tests;
