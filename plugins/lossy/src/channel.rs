//! The bad network: what happens to a datagram on its way to be answered, and to its answer.
//!
//! ```text
//! datagram -> up -> (here it is answered) -> the whole way -> down -> leaves
//! ```
//!
//! Each way that does nothing is left out. A way decides when the datagram comes to it, so `down` counts from where `up` and
//! the whole way have led; it gets what comes in the order in which it came to the listener.

use std::net::SocketAddr;

use arrayvec::ArrayVec;
use polyport_impair::{Direction, Fate, Pass, Script, What};
use polyport_impair_options::{Arrived, Decisions, Lane, Plan};

use crate::peers::Peers;

/// Ways there are: up, the whole, down.
pub const WAYS: usize = 3;
/// Each of them may double what comes.
pub const MOST_ANSWERS: usize = 1 << WAYS;

/// What decides about all datagrams of a listener.
#[derive(Debug)]
pub struct Channel {
    lanes: [Option<Box<Lane>>; WAYS],
}

/// An answer that leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// When, monotonic ns.
    pub at_ns: u64,
    /// 64 random bits for each bit to flip.
    pub flips: [Option<u64>; WAYS],
    /// Congestion was experienced (RFC 3168).
    pub mark: bool,
    /// All that happened to it.
    pub what: What,
}

/// A datagram that has come.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Who sent it.
    pub from: SocketAddr,
    /// Length of its payload.
    pub bytes: usize,
    /// Length of what is answered.
    pub answer: usize,
    /// Its traffic class, where that is known.
    pub tos: u8,
    /// When it came, monotonic ns.
    pub now_ns: u64,
    /// When that was in ns since 1970.
    pub wall_ns: u64,
}

/// The answers to one datagram; none: it is lost.
pub type Answers = ArrayVec<Answer, MOST_ANSWERS>;

impl Channel {
    /// With a lane for each way to which something may happen, made by `lane`.
    pub fn new(plan: &Plan<WAYS>, scripts: [Script; WAYS], mut lane: impl FnMut(Script) -> Lane) -> Self {
        let mut acts = plan.acts().into_iter();
        let lanes = scripts.map(|script| acts.next().unwrap_or(false).then(|| Box::new(lane(script))));
        Self { lanes }
    }

    /// Takes other scripts. False: a way would need counters that are not there, and all stays as it is.
    pub fn set(&mut self, plan: &Plan<WAYS>, scripts: [Script; WAYS]) -> bool {
        let ways = || plan.acts().into_iter().zip(&scripts).zip(&self.lanes);
        // The counters of the whole way are the handler's own.
        let counted = |script: &Script| script.direction() != Direction::Only;
        if ways().any(|((acts, script), lane)| acts && lane.is_none() && counted(script)) {
            return false;
        }
        for ((acts, script), lane) in plan.acts().into_iter().zip(scripts).zip(&mut self.lanes) {
            match lane {
                Some(lane) => lane.set_script(script),
                None if acts => *lane = Some(Box::new(Lane::new(script, None))),
                None => {}
            }
        }
        true
    }

    /// Nothing ever happens to anybody.
    #[inline]
    #[must_use]
    pub fn is_neutral(&self) -> bool {
        self.lanes.iter().flatten().all(|lane| lane.is_neutral())
    }

    /// Something may happen on the way up, or down.
    #[inline]
    #[must_use]
    pub const fn has_both_ways(&self) -> bool {
        let [up, _, down] = &self.lanes;
        up.is_some() || down.is_some()
    }

    /// Decides about a datagram, whose answers `answers` has then. True: a peer was forgotten.
    #[inline]
    pub fn decide(
        &self,
        peers: &mut Peers,
        seen: &Seen,
        mut log: Option<&mut Decisions>,
        answers: &mut Answers,
    ) -> bool {
        answers.clear();
        let key = peers.key();
        let Some((peer, forgot)) = peers.peer(seen.from, self.has_both_ways()) else { return false };
        let client = peer.name(key, seen.from);
        answers.push(Answer::untouched(seen.now_ns));
        for (way, lane) in self.lanes.iter().enumerate() {
            let (Some(lane), Some(line)) = (lane, peer.line(way)) else { continue };
            let bytes = if way == 0 { seen.bytes } else { seen.answer };
            let (mut at, mut left) = (0, answers.len());
            while let Some(one) = answers.get(at).copied().filter(|_| left > 0) {
                left -= 1;
                let wall_ns = seen.wall_ns.saturating_add(one.at_ns.saturating_sub(seen.now_ns));
                let tos = if one.mark { seen.tos | CONGESTION } else { seen.tos };
                let arrived = Arrived { client, bytes, tos, now_ns: one.at_ns, wall_ns };
                let Fate::Pass(pass) = lane.decide(line, &arrived, log.as_deref_mut()) else {
                    answers.remove(at);
                    continue;
                };
                if let Some(place) = answers.get_mut(at) {
                    *place = one.after(way, &pass);
                }
                if let Some(copy) = pass.copy {
                    let copy = Pass { at_ns: copy.at_ns, corrupt: copy.corrupt, what: copy.what, ..pass };
                    // There is room for all: each way doubles them at most.
                    answers.try_push(one.after(way, &copy)).unwrap_or(());
                }
                at += 1;
            }
        }
        forgot
    }
}

impl Answer {
    /// At once, as it came.
    #[must_use]
    pub const fn untouched(at_ns: u64) -> Self {
        Self { at_ns, flips: [None; WAYS], mark: false, what: What::NOTHING }
    }

    /// What becomes of it behind a way.
    fn after(mut self, way: usize, pass: &Pass) -> Self {
        self.at_ns = pass.at_ns.max(self.at_ns);
        if let Some(flip) = self.flips.get_mut(way) {
            *flip = pass.corrupt;
        }
        Self { mark: self.mark || pass.mark, what: self.what | pass.what, ..self }
    }
}

/// Both bits of ECN: congestion experienced.
pub const CONGESTION: u8 = 0b11;

#[cfg(test)]
mod tests;
