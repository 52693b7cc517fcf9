//! An echo over a bad network: all that netem does, and more, each decision repeatable by seed.
//!
//! ```toml
//! plugin = "lossy"
//! loss = "2.5%"
//! delay = "20ms"
//! jitter = "5ms"
//! down.rate = "5Mbit"
//! seed = 7
//! ```
//!
//! ```text
//! datagram -> peers   the lines of its peer
//!          -> channel up, the whole way, down: lost, or answered how often and when
//!          -> here    does so, and counts it
//!          -> overtaking   which earlier answers of the peer leave after this one?
//! ```
//!
//! What happens is decided by `polyport-impair`, and what the options mean by `polyport-impair-options`. A lost datagram is
//! discarded: the host counts it as a drop on purpose. An empty answer has no bit to flip: it is sent as it is and counted in
//! `uncorruptible_total`, and for the ways in `up_uncorruptible_total` and `down_uncorruptible_total`. Of the log of decisions,
//! `log_written_total` are in the file, `log_errors_total` could not be written (the daemon says why, once), and
//! `log_lost_total` found no room as the disk was slower, or were late at the end: together they are all. Peers are numbered from 0 again when the plugin is reloaded. A change of the options keeps the
//! numbers, unless it needs what the handler was made without: counters, memory for queues, another key, another file.
#![forbid(unsafe_code)]

pub mod channel;
pub mod config;
mod counters;
pub mod overtaking;
pub mod peers;

use polyport_echo_reply::{LENGTH_TEXT, tell_length};
use polyport_impair::{Direction, flip};
use polyport_impair_options::{Counts, Decisions, Keys, Lane};
use polyport_plugin::prelude::*;
use polyport_plugin::{Datagram, Facts, Frozen, Log};

use channel::{Answer, Answers, CONGESTION, Channel, Seen};
use counters::Counters;
use overtaking::Overtaking;
use peers::Peers;

pub use config::{LossyConfig, Reply};

/// The timer by which decisions that were collected are handed over.
const HAND_OVER: u64 = 1;

/// The handler of one listener.
#[derive(Debug)]
pub struct Lossy {
    reply: Reply,
    df: bool,
    /// Seed of the instance, for a configuration that fixes none.
    instance_seed: u64,
    /// When the instance was made, monotonic ns: the times of a timeline count from here.
    begun_ns: u64,
    channel: Channel,
    peers: Peers,
    /// What is reserved for the lines of each peer, bytes.
    client_bytes: usize,
    /// The traffic class of datagrams is known, and answers have it.
    marks: bool,
    /// Answers may overtake each other.
    reorders: bool,
    /// How long every answer takes at least.
    shortest_ns: u64,
    overtaking: Overtaking,
    decisions: Option<Decisions>,
    counters: Counters,
}

impl Handler for Lossy {
    type Config = LossyConfig;

    fn new(config: LossyConfig, setup: &mut Setup<'_>) -> Result<Self> {
        let plan = config.plan()?;
        let counters = Counters::new(setup);
        let (instance_seed, begun_ns) = (setup.seed(), setup.now_ns());
        let scripts = plan.scripts(instance_seed, begun_ns)?;
        let channel = Channel::new(&plan, scripts, |script| {
            // Those of the whole way are the handler's own.
            let counted = Some(script.direction()).filter(|direction| *direction != Direction::Only);
            let counts = counted.map(|direction| Counts::new(setup, direction));
            Lane::new(script, counts)
        });
        plan.log_notes(setup);
        let marks = plan.marks().contains(&true);
        if plan.delays() {
            // A delay counts from the arrival, which is a wake-up before this handler is called.
            setup.want(Facts::LONE_TIME);
        }
        if marks {
            setup.want(Facts::TOS);
        }
        let port = setup.local().map_or(0, |local| local.port());
        let client_bytes = plan.client_bytes();
        let peers = Peers::new(Keys::new(config.common.key(), port), client_bytes, setup.reservation());
        let overtaking = Overtaking::new(setup.reservation());
        let decisions = Decisions::open(&config.common, setup)?;
        if decisions.is_some() {
            setup.timer(HAND_OVER, Decisions::EVERY, Decisions::EVERY);
        }
        Ok(Self {
            reply: config.reply,
            df: config.df,
            instance_seed,
            begun_ns,
            channel,
            peers,
            client_bytes,
            marks,
            reorders: plan.reorders(),
            shortest_ns: plan.shortest(),
            overtaking,
            decisions,
            counters,
        })
    }

    fn check(config: &LossyConfig) -> Result<()> {
        config.plan().map(drop)
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        let neutral = self.channel.is_neutral();
        let mut answers = Answers::new();
        for datagram in batch.datagrams() {
            self.counters.datagrams.add(1);
            let mut room = [0; LENGTH_TEXT];
            let text = match self.reply {
                Reply::Same => None,
                Reply::Length => {
                    let used = tell_length(datagram.payload().len(), &mut room);
                    room.get(..used)
                }
            };
            if neutral {
                self.answer(datagram, text, &[Answer::untouched(0)]);
                continue;
            }
            let bytes = datagram.payload().len();
            let seen = Seen {
                from: datagram.peer(),
                bytes,
                answer: text.map_or(bytes, <[u8]>::len),
                tos: datagram.tos(),
                now_ns: datagram.rx_ns(),
                wall_ns: datagram.rx_wall_ns(),
            };
            let forgot = self.channel.decide(&mut self.peers, &seen, self.decisions.as_mut(), &mut answers);
            self.counters.peers_forgotten.add(forgot.into());
            if answers.is_empty() {
                datagram.discard();
                self.counters.dropped.add(1);
            } else {
                self.answer(datagram, text, &answers);
            }
        }
    }

    fn on_timer(&mut self, _: u64, batch: &mut Batch<'_>) {
        if let Some((level, line)) = self.decisions.as_mut().and_then(Decisions::tick) {
            batch.log(level, line);
        }
    }

    fn reconfigure(&mut self, config: LossyConfig) -> Result<()> {
        let plan = config.plan()?;
        let decisions = self.decisions.as_ref().map(Decisions::file);
        let fits = config.common.key() == self.peers.key()
            && config.common.decisions.as_deref() == decisions
            && plan.client_bytes() <= self.client_bytes
            && (self.marks || !plan.marks().contains(&true));
        let scripts = plan.scripts(self.instance_seed, self.begun_ns)?;
        if !fits || !self.channel.set(&plan, scripts) {
            return Err(Error::unsupported());
        }
        (self.reply, self.df) = (config.reply, config.df);
        (self.reorders, self.shortest_ns) = (plan.reorders(), plan.shortest());
        Ok(())
    }

    fn stop(&mut self, log: &Log<'_>) {
        if let Some((level, line)) = self.decisions.as_mut().and_then(Decisions::finish) {
            log.log(level, line);
        }
    }
}

impl Lossy {
    /// Sends the answers to a datagram: its own bytes, or a text.
    fn answer(&mut self, datagram: Datagram<'_>, text: Option<&[u8]>, answers: &[Answer]) {
        if self.df {
            datagram.dont_fragment();
        }
        let datagram = datagram.freeze();
        let (came, tos) = (datagram.rx_ns(), datagram.tos());
        let (mut copies, mut first_ns) = (0, u64::MAX);
        for answer in answers {
            if self.marks {
                datagram.set_tos(if answer.mark { tos | CONGESTION } else { tos });
            }
            let at_ns = if answer.at_ns > came { answer.at_ns } else { 0 };
            let (queued, corrupted) = send(&datagram, text, answer, at_ns);
            if queued {
                copies += 1;
                first_ns = first_ns.min(answer.at_ns);
                self.counters.answer(answer, corrupted);
            }
        }
        if copies == 0 {
            self.counters.no_room.add(1);
            return;
        }
        self.counters.answered.add(1);
        self.counters.duplicated.add(copies - 1);
        if self.reorders {
            let soonest_ns = came.saturating_add(self.shortest_ns);
            let overtaken = self.overtaking.answer(datagram.peer(), first_ns, soonest_ns);
            self.counters.reordered.add(overtaken);
        }
    }
}

/// Sends one answer. Whether it found room, and whether a bit of it is flipped.
fn send(datagram: &Frozen<'_>, text: Option<&[u8]>, answer: &Answer, at_ns: u64) -> (bool, bool) {
    let flips = answer.flips.iter().flatten();
    let mut corrupted = false;
    let queued = match (text, flips.clone().next()) {
        (None, None) => datagram.echo_at(at_ns),
        (Some(text), None) => datagram.reply_at(at_ns, text),
        // In a copy: another answer may be whole.
        (text, Some(_)) => {
            let len = text.unwrap_or_else(|| datagram.payload()).len();
            datagram.reply_with_at(at_ns, len, |payload, out| {
                out.copy_from_slice(text.unwrap_or(payload));
                flips.for_each(|random| corrupted |= flip(out, *random));
                len
            })
        }
    };
    (queued.is_queued(), corrupted)
}

describe_plugin!(
    Lossy,
    "lossy",
    "An echo over a bad network: loss, delay, duplicates, corruption, reordering, rate"
);

#[cfg(test)]
mod tests;
