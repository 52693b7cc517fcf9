//! An echo over a bad network: loss, duplicates, corruption, reordering, delay and jitter, each one
//! repeatable by seed.
//!
//! ```toml
//! plugin = "lossy"
//! drop = "2.5%"
//! delay = "20ms"
//! jitter = "5ms"
//! seed = 7
//! ```
//!
//! ```text
//! datagram -> peers   which one of its peer is it? 0, 1, 2, ...
//!          -> channel decide(options, seed, local port, peer, number): dropped, or answered how and when
//!          -> here    does so, and counts it
//!          -> overtaking   which earlier answers of the peer leave after this one?
//! ```
//!
//! A dropped datagram is discarded: the host counts it as a drop on purpose. The answer is corrupted
//! before it is duplicated, so both copies are equal. An empty answer has no bit to flip: it is sent as it
//! is and counted in `uncorruptible_total`. Peers are numbered from 0 again when the plugin is reloaded; a
//! change of the options alone keeps the numbers.
#![forbid(unsafe_code)]

pub mod channel;
pub mod config;
pub mod overtaking;
pub mod peers;

use polyport_echo_reply::{LENGTH_TEXT, tell_length};
use polyport_plugin::prelude::*;
use polyport_plugin::{Datagram, Facts, Ratio, later};

use channel::{Answer, Fate, decide, flip};
use overtaking::Overtaking;
use peers::Peers;

pub use config::{LossyConfig, Reply};

/// The handler of one listener.
#[derive(Debug)]
pub struct Lossy {
    config: LossyConfig,
    /// Seed of the instance, for a configuration that fixes none.
    instance_seed: u64,
    /// The port of the listener.
    port: u16,
    peers: Peers,
    overtaking: Overtaking,
    counters: Counters,
}

/// One counter a verdict.
#[derive(Debug)]
struct Counters {
    datagrams: Counter,
    answered: Counter,
    dropped: Counter,
    duplicated: Counter,
    corrupted: Counter,
    uncorruptible: Counter,
    held: Counter,
    reordered: Counter,
    delayed: Counter,
    no_room: Counter,
    peers_forgotten: Counter,
}

impl Counters {
    fn new(setup: &mut Setup<'_>) -> Self {
        Self {
            datagrams: setup.counter(c"datagrams_total", c"Datagrams that reached the channel"),
            answered: setup.counter(c"answered_total", c"Datagrams answered, copies not counted"),
            dropped: setup.counter(c"dropped_total", c"Datagrams dropped on purpose"),
            duplicated: setup.counter(c"duplicated_total", c"Answers sent twice"),
            corrupted: setup.counter(c"corrupted_total", c"Answers with one bit flipped"),
            uncorruptible: setup.counter(
                c"uncorruptible_total",
                c"Empty answers picked for corruption and sent as they were",
            ),
            held: setup.counter(c"held_total", c"Answers held back by `reorder`, whether overtaken or not"),
            reordered: setup
                .counter(c"reordered_total", c"Answers that leave after one to a later datagram of the peer"),
            delayed: setup.counter(c"delayed_total", c"Answers that wait for delay and jitter"),
            no_room: setup
                .counter(c"no_room_total", c"Datagrams whose answer found no room to be queued or to wait"),
            peers_forgotten: setup.counter(
                c"peers_forgotten_total",
                c"Peers whose datagrams are numbered from 0 again because the table was full",
            ),
        }
    }

    fn answer(&self, answer: &Answer, corrupted: bool, copies: u32) {
        self.answered.add(1);
        self.duplicated.add((copies > 1).into());
        self.corrupted.add(corrupted.into());
        self.uncorruptible.add((answer.corrupt.is_some() && !corrupted).into());
        self.held.add(answer.held.is_some().into());
        self.delayed.add((!answer.wait.is_zero()).into());
    }
}

impl Handler for Lossy {
    type Config = LossyConfig;

    fn new(config: LossyConfig, setup: &mut Setup<'_>) -> Result<Self> {
        let counters = Counters::new(setup);
        let peers = Peers::new(setup.reservation());
        let overtaking = Overtaking::new(setup.reservation());
        if config.delays() {
            // A delay counts from the arrival, which is a wake-up before this handler is called.
            setup.want(Facts::LONE_TIME);
        }
        let port = setup.local().map_or(0, |local| local.port());
        Ok(Self { config, instance_seed: setup.seed(), port, peers, overtaking, counters })
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        let seed = self.seed();
        for datagram in batch.datagrams() {
            let seen = self.peers.count(datagram.peer());
            self.counters.datagrams.add(1);
            self.counters.peers_forgotten.add(seen.forgot.into());
            match decide(&self.config, seed, self.port, datagram.peer(), seen.number) {
                Fate::Drop => {
                    datagram.discard();
                    self.counters.dropped.add(1);
                }
                Fate::Answer(answer) => self.answer(datagram, &answer),
            }
        }
    }

    fn reconfigure(&mut self, config: LossyConfig) -> Result<()> {
        self.config = config;
        Ok(())
    }
}

impl Lossy {
    fn seed(&self) -> u64 {
        self.config.seed.map_or(self.instance_seed, i64::cast_unsigned)
    }

    fn answer(&mut self, mut datagram: Datagram<'_>, answer: &Answer) {
        let (after, peer, came) = (answer.after(), datagram.peer(), datagram.rx_ns());
        let at_ns = if after.is_zero() { 0 } else { later(came, after) };
        let times = if answer.duplicate { 2 } else { 1 };
        if self.config.df {
            datagram.dont_fragment();
        }
        let corrupt = |payload: &mut [u8]| answer.corrupt.is_some_and(|random| flip(payload, random));
        let (corrupted, copies) = match self.config.reply {
            Reply::Same => {
                let corrupted = corrupt(datagram.payload_mut());
                let datagram = datagram.freeze();
                (corrupted, send(times, || datagram.echo_at(at_ns).is_queued()))
            }
            Reply::Length => {
                let mut room = [0; LENGTH_TEXT];
                let used = tell_length(datagram.payload().len(), &mut room);
                let text = &mut room[..used];
                let corrupted = corrupt(text);
                (corrupted, send(times, || datagram.reply_at(at_ns, text).is_queued()))
            }
        };
        if copies == 0 {
            self.counters.no_room.add(1);
            return;
        }
        self.counters.answer(answer, corrupted, copies);
        if !self.config.jitter.is_zero() || self.config.reorder != Ratio::ZERO {
            let soonest = later(came, self.config.delay);
            self.counters.reordered.add(self.overtaking.answer(peer, later(came, after), soonest));
        }
    }
}

/// Sends `times` times; how many of the copies found room.
fn send(times: u32, mut one: impl FnMut() -> bool) -> u32 {
    (0..times).map(|_| u32::from(one())).sum()
}

describe_plugin!(
    Lossy,
    "lossy",
    "An echo over a bad network: loss, delay, duplicates, corruption, reordering"
);

#[cfg(test)]
mod tests;
