//! An instance, with what the host knows of it: its time, its timers, its sessions.

use std::collections::{BTreeMap, BTreeSet};

use super::end::{End, broken};
use super::rules;
use crate::exchange::SessionSpec;
use crate::plugin::{Instance, TimerRequest};

/// An instance on the stage.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) instance: Instance,
    /// Which instance of the case it is.
    pub(super) number: u64,
    /// The time, ns.
    pub(super) now_ns: u64,
    /// Timers: when they fire, and their periods, ns.
    timers: BTreeMap<u64, (u64, u64)>,
    /// Sessions that live.
    pub(super) sessions: BTreeMap<u64, SessionSpec>,
    /// Sessions of whose end it was told.
    pub(super) ended: BTreeSet<u64>,
    last_id: u64,
}

impl Subject {
    /// The time at which instances are made, ns: 0 is no time.
    pub(super) const START_NS: u64 = 1_000_000_000;

    pub(super) fn new(instance: Instance, number: u64) -> Self {
        let mut subject = Self {
            instance,
            number,
            now_ns: Self::START_NS,
            timers: BTreeMap::new(),
            sessions: BTreeMap::new(),
            ended: BTreeSet::new(),
            last_id: 0,
        };
        subject.note_timers();
        subject
    }

    /// An id that no session had.
    pub(super) fn fresh_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Carries out what it has asked for about timers.
    pub(super) fn note_timers(&mut self) {
        let mut asked = Vec::new();
        self.instance.take_timers(&mut asked);
        for TimerRequest { token, at_ns, every_ns } in asked {
            if at_ns == 0 {
                self.timers.remove(&token);
            } else {
                self.timers.insert(token, (at_ns, every_ns));
            }
        }
    }

    /// The next timer that fires until then: its token and its time.
    pub(super) fn next_timer(&self, until_ns: u64) -> Option<(u64, u64)> {
        let next = self.timers.iter().min_by_key(|(_, (at_ns, _))| *at_ns)?;
        Some((*next.0, next.1.0)).filter(|(_, at_ns)| *at_ns <= until_ns)
    }

    /// A timer fires: it is gone, or set again by its period. Missed periods are not made up for.
    pub(super) fn fire(&mut self, token: u64) {
        let Some((at_ns, every_ns)) = self.timers.remove(&token) else { return };
        self.now_ns = self.now_ns.max(at_ns);
        if every_ns > 0 {
            self.timers.insert(token, (at_ns.saturating_add(every_ns).max(self.now_ns + 1), every_ns));
        }
    }

    /// Whether an entry may name a session.
    pub(super) fn judge_session(&self, name: &str, session: u64) -> Result<(), End> {
        if self.ended.contains(&session) {
            return broken(
                rules::SESSION,
                format!("{name} sends by session {session}, of whose end the plugin was told before"),
            );
        }
        if session > self.last_id {
            return broken(
                rules::SESSION,
                format!("{name} sends by session {session}, which nobody was given"),
            );
        }
        Ok(())
    }
}
