//! Relays each client to a server by a session of its own: a UDP socket that is connected to one of the upstreams. What the server
//! answers goes back to that client alone, from the address that the client had asked.
//!
//! ```toml
//! bind = "127.0.0.1:5300"
//! plugin = "relay"
//! options = { to = "192.0.2.1:53", replies = 1 }
//! ```
//!
//! ```text
//! lib         what the host calls
//! flow        the way of a datagram, up and down
//! network     what may happen to a datagram on its way; passage: it leaves as was decided
//! begin       a client gets a session, or goes on by another
//! news        what becomes of sessions, and what the network says
//! relay       what all of these share; other options; what the next instance gets
//! clients     who has which session
//! upstreams   which one a session gets, and which of them are down
//! names       when names are looked up; lookups: the thread that does it
//! hash        numbers that upstreams are chosen by
//! opens       how many sessions begin in a second
//! silence     who is asked and does not answer
//! line        what is written about a session
//! state       what an instance leaves to the next one
//! counters    what is counted
//! config      the options; endpoint: one element of `to`
//! ```
#![forbid(unsafe_code)]

mod begin;
mod clients;
mod config;
mod counters;
mod endpoint;
mod flow;
mod hash;
mod line;
mod lookups;
mod names;
mod network;
mod news;
mod opens;
mod passage;
mod relay;
mod silence;
mod state;
mod upstreams;

use std::time::Duration;

use polyport_impair_options::Decisions;
use polyport_plugin::prelude::*;
use polyport_plugin::{Event, Facts, Log};

use config::Settings;
use flow::Tally;
use names::Change;

pub use config::{Affinity, Channel, Family, Full, Lines, Refused, RelayConfig, Select, Tos};
pub use relay::Relay;

/// The timer of lookups.
const LOOK_UP: u64 = 0;
/// The timer of the log of decisions.
const HAND_OVER: u64 = 1;

impl Handler for Relay {
    type Config = RelayConfig;

    const SESSIONS: bool = true;
    const WAKES: bool = true;

    fn new(config: RelayConfig, setup: &mut Setup<'_>) -> Result<Self> {
        let settings = Settings::new(config)?;
        if settings.copies_tos() {
            setup.want(Facts::TOS);
        }
        if settings.plan.delays() {
            // A delay counts from the arrival, which is a wake-up before this handler is called.
            setup.want(Facts::LONE_TIME);
        }
        if settings.options.common.decisions.is_some() {
            setup.timer(HAND_OVER, Decisions::EVERY, Decisions::EVERY);
        }
        Self::with(settings, setup)
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        // Whatever asked for its state, this one goes on.
        self.handed_over.set(false);
        let (mut up, mut down, mut last) = (Tally::default(), Tally::default(), None);
        let mut datagrams = batch.datagrams();
        while let Some(datagram) = datagrams.next() {
            match datagram.session() {
                Some(id) => {
                    if self.down(datagram, id, &mut datagrams, batch, &mut down) {
                        last = None;
                    }
                }
                None => self.up(datagram, &mut datagrams, &mut last, batch, &mut up),
            }
        }
        up.count(&self.counters.up);
        down.count(&self.counters.down);
    }

    fn on_session(&mut self, event: &Event, batch: &mut Batch<'_>) {
        match event {
            Event::Closed(closed) => self.closed(closed, batch),
            Event::Error(error) => self.told(error, batch),
            _ => {}
        }
    }

    fn on_timer(&mut self, token: u64, batch: &mut Batch<'_>) {
        if token == LOOK_UP {
            return self.look_up(batch);
        }
        let said = self.network.decisions().and_then(Decisions::tick);
        if let Some((level, line)) = said {
            batch.log(level, line);
        }
    }

    /// Names were looked up, or there are new options.
    fn on_wake(&mut self, batch: &mut Batch<'_>) {
        let mut is_new = false;
        for answer in self.lookups.answers().collect::<Vec<_>>() {
            let found = answer.found.as_deref().unwrap_or_default();
            match self.names.answer(&answer.name, found, batch.now_ns()) {
                Change::Same => {}
                Change::Other => is_new = true,
                Change::Failed => {
                    let why = answer.found.err().unwrap_or_else(|| "it has no address".to_owned());
                    batch.log(Level::Warn, format_args!("{}: {why}", answer.name.host));
                }
            }
        }
        if is_new {
            self.list();
        }
        self.look_up(batch);
    }

    fn check(config: &RelayConfig) -> Result<()> {
        Settings::new(config.clone()).map(drop)
    }

    /// All but what is asked for when an instance is made, which needs a new one.
    fn reconfigure(&mut self, config: RelayConfig) -> Result<()> {
        let settings = Settings::new(config)?;
        if !self.settings.can_become(&settings, self.session_bytes) {
            return Err(Error::unsupported());
        }
        self.change(settings)?;
        // There is a batch then, and so a timer.
        self.lookups.wake();
        Ok(())
    }

    fn save(&self, out: &mut Vec<u8>) -> u32 {
        self.state().write(out);
        self.handed_over.set(true);
        state::VERSION
    }

    fn stop(&mut self, log: &Log<'_>) {
        if let Some((level, line)) = self.network.decisions().and_then(Decisions::finish) {
            log.log(level, line);
        }
        self.say_open(log);
    }
}

impl Relay {
    /// Starts the lookups that are due, and sets the timer for the next.
    fn look_up(&mut self, batch: &mut Batch<'_>) {
        let now_ns = batch.now_ns();
        self.lookups.start(self.names.take_due(now_ns));
        match self.names.next_ns() {
            Some(due_ns) => {
                batch.timer(LOOK_UP, Duration::from_nanos(due_ns.saturating_sub(now_ns)), Duration::ZERO);
            }
            None => _ = batch.cancel_timer(LOOK_UP),
        }
        self.show();
    }
}

describe_plugin!(Relay, "relay", "Relays each client to a server by a session of its own");

#[cfg(test)]
mod tests;
