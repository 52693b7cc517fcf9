//! A tap begins: the listeners learn of it a part at a time between two batches, and then it is turned on.

use std::sync::Arc;

use super::running::Running;
use crate::control::Reply;
use crate::control::wire::{self, Answer, Error, TapParams, code};
use crate::tap::{Feed, TAP_BYTES, TAPS};

/// Slots that are told between two batches: a look costs a cache line.
const SLOTS_A_PART: usize = 512;

/// A tap that begins.
#[derive(Debug)]
pub(super) struct Tapping {
    number: usize,
    reply: Reply,
    names: Vec<String>,
    snaplen: usize,
    next_slot: usize,
    addresses: usize,
}

impl Tapping {
    /// Begins. What cannot be had is answered at once.
    pub(super) fn begin(params: &TapParams, feed: Feed, reply: Reply, running: &mut Running) -> Option<Self> {
        let plan = &running.prepared.plan;
        let unknown =
            params.listeners.iter().find(|name| !plan.listen.iter().any(|listen| listen.name == **name));
        if let Some(name) = unknown {
            reply.send(Err(Error::new(code::NO_LISTENER, format!("there is no listener `{name}`"))));
            return None;
        }
        let names: Vec<Arc<str>> = params.listeners.iter().map(|name| Arc::from(&**name)).collect();
        let snaplen = feed.snaplen();
        running.reactor.sweep_taps();
        let Some(number) = running.reactor.add_tap((!names.is_empty()).then_some(names), feed) else {
            let words = format!("{TAPS} taps run already; one has to end first");
            reply.send(Err(Error::new(code::BUSY, words)));
            return None;
        };
        let names = params.listeners.clone();
        Some(Self { number, reply, names, snaplen, next_slot: 0, addresses: 0 })
    }

    /// Tells the next listeners. Returns whether all know.
    pub(super) fn go_on(&mut self, running: &mut Running) -> bool {
        let slots = self.next_slot..self.next_slot + SLOTS_A_PART;
        self.next_slot = slots.end;
        running.reactor.tell_taps_in(slots.clone());
        let is_seen = |name: &str| self.names.is_empty() || self.names.iter().any(|own| own == name);
        self.addresses += running.reactor.reports_in(slots).filter(|report| is_seen(report.name)).count();
        self.next_slot >= running.reactor.slots()
    }

    /// Turns it on, and answers.
    pub(super) fn finish(self, running: &mut Running) {
        running.reactor.turn_tap_on(self.number);
        self.reply.send(Ok(Answer::Tapping(wire::Tapping {
            tap: "pcapng".to_owned(),
            addresses: self.addresses,
            snaplen: self.snaplen,
            buffer: TAP_BYTES,
        })));
    }
}
