//! Hears broadcast and multicast: counts by sender, logs or records what comes, and answers only if told to.
//!
//! ```toml
//! [[listen]]
//! bind = "0.0.0.0:5353"
//! plugin = "listener"
//! join = ["239.1.2.3", "232.1.1.1 from 192.0.2.7 on eth0"]    # the daemon joins, not the plugin
//! share = true                                                # several receivers on one host
//! options = { record = "pcapng", file = "heard.pcapng", rotate = "64MiB", keep = 5, report = "10s" }
//! ```
//!
//! ```text
//! datagram -> senders                       how much from whom
//!          -> line                          record = "log"
//!          -> recorder                      record = "pcapng"
//!
//! recorder:   queued -> thread: writer: packet -> capture
//!          -> answer                        ack = true
//!               '-> outgoing -> recorder    when it leaves
//! ```
//!
//! A file name is taken from the daemon's working directory. What is recorded is collected and written every second by a
//! thread of its own: a disk that stalls costs datagrams of the recording, which are counted, and delays nobody. When writing
//! fails, what comes meanwhile is counted, and each second is another attempt. The file is rotated by renaming: what is at
//! the name is always the newest. Where a file may lie is decided in
//! `polyport-recording`.
#![forbid(unsafe_code)]

mod capture;
mod cast;
pub mod config;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod interfaces;
mod line;
mod outgoing;
mod packet;
mod queued;
pub mod senders;
mod writer;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use polyport_plugin::prelude::*;
use polyport_plugin::{Facts, Log, Rng, Why, later};
use polyport_recording::{Recorder, Tally, Trouble};

use cast::Cast;
use interfaces::Interfaces;
use line::Line;
use outgoing::Outgoing;
use packet::{About, Heard, Way};
use queued::Batch as Waiting;

pub use config::{ListenerConfig, Record};
pub use senders::Senders;

/// How long a recorded datagram may wait for the next one before it is handed to the system.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
const FLUSH: u64 = 1;
const REPORT: u64 = 2;
/// Answers leave that are to be recorded.
const ANSWERS: u64 = 3;
/// Least time between two looks at answers that leave.
const ANSWERS_PAUSE: Duration = Duration::from_millis(10);
/// An answer that has left is recorded so much later at most, ns: what came before it may still wait in the socket.
const ANSWERS_WAIT_NS: u64 = 1_000_000_000;

/// The handler of one listener.
#[derive(Debug)]
pub struct Listener {
    config: ListenerConfig,
    senders: Senders,
    interfaces: Interfaces,
    recorder: Option<Recorder<Waiting>>,
    outgoing: Outgoing,
    /// The timer for answers is set.
    awaits_answers: bool,
    /// What the host tells of each datagram.
    told: Facts,
    /// The time of the last call, monotonic ns, or when the last answer left if that was later; and what the wall clock was
    /// ahead of it.
    now: (u64, i64),
    trouble: Trouble,
    rng: Rng,
    counters: Counters,
}

#[derive(Debug)]
struct Counters {
    datagrams: Counter,
    bytes: Counter,
    broadcast: Counter,
    multicast: Counter,
    unicast: Counter,
    senders: Gauge,
    senders_forgotten: Counter,
    acks: Counter,
    recorded: Counter,
    record_errors: Counter,
    record_dropped: Counter,
}

impl Counters {
    fn new(setup: &mut Setup<'_>) -> Self {
        Self {
            datagrams: setup.counter(c"datagrams_total", c"Datagrams heard"),
            bytes: setup.counter(c"bytes_total", c"Bytes of payload heard"),
            broadcast: setup.counter(c"broadcast_total", c"Datagrams sent to a broadcast address"),
            multicast: setup.counter(c"multicast_total", c"Datagrams sent to a group"),
            unicast: setup.counter(c"unicast_total", c"Datagrams sent to this host alone"),
            senders: setup.gauge(c"senders", c"Senders remembered"),
            senders_forgotten: setup
                .counter(c"senders_forgotten_total", c"Senders forgotten because the table was full"),
            acks: setup.counter(c"acks_total", c"Answers sent"),
            recorded: setup
                .counter(c"recorded_total", c"Datagrams written to the log or, with answers, to a file"),
            record_errors: setup
                .counter(c"record_errors_total", c"Datagrams that could not be written to the file"),
            record_dropped: setup.counter(
                c"record_dropped_total",
                c"Datagrams left out of the file because the disk was slower",
            ),
        }
    }

    fn datagram(&self, cast: Cast, len: usize) {
        self.datagrams.add(1);
        self.bytes.add(len as u64);
        match cast {
            Cast::Broadcast => &self.broadcast,
            Cast::Multicast => &self.multicast,
            Cast::Unicast => &self.unicast,
        }
        .add(1);
    }
}

impl Handler for Listener {
    type Config = ListenerConfig;

    fn new(config: ListenerConfig, setup: &mut Setup<'_>) -> Result<Self> {
        let counters = Counters::new(setup);
        let recorder =
            match config.path().filter(|_| config.record == Record::Pcapng) {
                None => None,
                Some(path) => {
                    // In a reload the predecessor still holds the file.
                    let successor = setup.why() == Why::Reload;
                    let recorder = writer::record(path, config.rotate.0, config.keep, successor);
                    setup.timer(FLUSH, FLUSH_EVERY, FLUSH_EVERY);
                    Some(recorder.map_err(|error| {
                        Error::option("file", format_args!("{}: {error}", path.display()))
                    })?)
                }
            };
        let mut rng = Rng::new(setup.seed());
        if let Some(every) = config.report {
            // Listeners that start together do not report together: the first report comes up to half a period earlier.
            setup.timer(REPORT, every - rng.up_to(every / 2), every);
        }
        let senders = Senders::new(setup.reservation());
        let told = setup.want(match config.record {
            Record::Off => Facts::default(),
            Record::Log => Facts::LOCAL,
            Record::Pcapng => Facts::LOCAL | Facts::TIME | Facts::TOS | Facts::HOPS,
        });
        let (interfaces, trouble) = (Interfaces::default(), Trouble::new(["datagram", "datagrams"]));
        let (outgoing, now) = (Outgoing::default(), (setup.now_ns(), 0));
        let awaits_answers = false;
        Ok(Self {
            config,
            senders,
            interfaces,
            recorder,
            outgoing,
            awaits_answers,
            told,
            now,
            trouble,
            rng,
            counters,
        })
    }

    fn check(config: &ListenerConfig) -> Result<()> {
        config.check()
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        self.note_time(batch);
        for datagram in batch.datagrams() {
            let len = datagram.payload().len();
            self.counters.datagram(Cast::of(&datagram), len);
            let forgot = self.senders.count(datagram.peer(), len);
            self.counters.senders_forgotten.add(forgot.into());
            self.record(&datagram, batch);
            if self.config.ack {
                self.answer(&datagram, batch);
            }
        }
        self.counters.senders.set(self.senders.len() as u64);
    }

    fn on_timer(&mut self, token: u64, batch: &mut Batch<'_>) {
        self.note_time(batch);
        self.record_answers(batch.now_ns().saturating_sub(ANSWERS_WAIT_NS));
        match (token, self.recorder.as_mut()) {
            (FLUSH, Some(recorder)) => {
                let tally = recorder.tick();
                if let Some((level, line)) = self.account(tally, 0) {
                    batch.log(level, line);
                }
            }
            (ANSWERS, _) => {
                self.awaits_answers = false;
                self.wait_for_answers(batch);
            }
            (REPORT, _) => {
                if let Some(summary) = self.senders.report() {
                    batch.log(Level::Info, summary);
                }
            }
            _ => {}
        }
    }

    fn stop(&mut self, log: &Log<'_>) {
        log.log(Level::Debug, self.senders.summary());
        self.record_answers(self.now.0);
        if let Some((tally, late)) = self.recorder.as_mut().map(Recorder::finish)
            && let Some((level, line)) = self.account(tally, late)
        {
            log.log(level, line);
        }
    }
}

impl Listener {
    fn record(&mut self, datagram: &Datagram<'_>, batch: &Batch<'_>) {
        match self.config.record {
            Record::Log if batch.log_enabled(Level::Info) => {
                let interface = self.interfaces.name(datagram.ifindex());
                let limit = self.config.log_bytes as usize;
                batch.log(Level::Info, Line { datagram, interface, limit });
                self.counters.recorded.add(1);
            }
            Record::Pcapng => {
                // What left before goes before.
                self.record_answers(datagram.rx_ns());
                let heard = Heard { about: self.about(datagram), payload: datagram.payload() };
                let fits = self.recorder.as_mut().is_none_or(|recorder| record(recorder, &heard));
                self.note_dropped(!fits);
            }
            Record::Off | Record::Log => {}
        }
    }

    fn about(&self, datagram: &Datagram<'_>) -> About {
        let hop_limit = datagram.hop_limit();
        // Where one is missing that was to be told, the kernel had no room for what it tells, and the other is no more than 0.
        let is_told =
            self.told.contains(Facts::TOS) && (hop_limit.is_some() || !self.told.contains(Facts::HOPS));
        About {
            way: Way::In(Cast::of(datagram)),
            peer: datagram.peer(),
            local: datagram.local(),
            ifindex: datagram.ifindex(),
            tos: is_told.then(|| datagram.tos()),
            hop_limit,
            unix_ns: datagram.rx_wall_ns(),
            kernel_time: datagram.has_kernel_time(),
        }
    }

    /// Records the answers that have left by `now_ns`.
    fn record_answers(&mut self, now_ns: u64) {
        while let Some((at_ns, about)) = self.outgoing.pop(now_ns) {
            let about = About { unix_ns: at_ns.saturating_add_signed(self.now.1), ..about };
            let heard = Heard { about, payload: self.config.ack_text.as_bytes() };
            let fits = self.recorder.as_mut().is_none_or(|recorder| record(recorder, &heard));
            self.note_dropped(!fits);
        }
    }

    fn note_dropped(&mut self, dropped: bool) {
        if dropped {
            self.counters.record_dropped.add(1);
            self.trouble.note_dropped();
        }
    }

    /// Comes back when the next answer leaves: the end has no time of its own to tell which have left.
    fn wait_for_answers(&mut self, batch: &mut Batch<'_>) {
        if self.awaits_answers {
            return;
        }
        if let Some(at_ns) = self.outgoing.next(self.now.0) {
            let wait = Duration::from_nanos(at_ns.saturating_sub(batch.now_ns()));
            self.awaits_answers = batch.timer(ANSWERS, wait.max(ANSWERS_PAUSE), Duration::ZERO);
        }
    }

    fn note_time(&mut self, batch: &Batch<'_>) {
        let (now, wall) = (batch.now_ns(), batch.wall_ns());
        self.now = (now, wall.cast_signed().wrapping_sub(now.cast_signed()));
    }

    /// Counts what became of recorded datagrams; `late` ones were not written in time. Returns what is worth a line.
    fn account(&mut self, tally: Tally, late: u64) -> Option<(Level, String)> {
        self.counters.recorded.add(tally.recorded);
        self.counters.record_errors.add(tally.failed);
        self.counters.record_dropped.add(late);
        let line = self.trouble.line(tally, late)?;
        Some((line.0, format!("{} {}", self.config.file.as_deref().unwrap_or_default(), line.1)))
    }

    fn answer(&mut self, datagram: &Datagram<'_>, batch: &mut Batch<'_>) {
        let text = self.config.ack_text.as_bytes();
        // Two that answer each other would never end.
        if datagram.payload() == text {
            return;
        }
        let wait = self.rng.up_to(self.config.leisure);
        let at_ns = if wait.is_zero() { 0 } else { later(batch.now_ns(), wait) };
        // What found no room is counted by the host.
        let queued = datagram.reply_at(at_ns, text).is_queued();
        self.counters.acks.add(queued.into());
        if queued && self.recorder.is_some() {
            self.expect_to_leave(datagram, at_ns, batch);
        }
    }

    /// Notes an answer that is to be recorded when it leaves. Whether it does is up to the host.
    fn expect_to_leave(&mut self, datagram: &Datagram<'_>, at_ns: u64, batch: &mut Batch<'_>) {
        let mut local = datagram.local();
        if datagram.is_multicast() || datagram.is_broadcast() {
            // The host chooses an address of its own.
            let nobody =
                if local.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            local.set_ip(nobody);
        }
        let about = About {
            way: Way::Out,
            local,
            tos: None,
            hop_limit: None,
            kernel_time: false,
            ..self.about(datagram)
        };
        // Nothing leaves before what it answers has come, which may be later than the turn began.
        let leaves_ns = at_ns.max(batch.now_ns()).max(datagram.rx_ns());
        if at_ns == 0 {
            self.now.0 = self.now.0.max(leaves_ns);
        }
        let fits = self.outgoing.push(leaves_ns, about);
        self.note_dropped(!fits);
        self.wait_for_answers(batch);
    }
}

/// Records what was heard. False: there is no room.
fn record(recorder: &mut Recorder<Waiting>, heard: &Heard<'_>) -> bool {
    recorder.record(Waiting::bytes_of(heard), |waiting| waiting.push(heard))
}

describe_plugin!(
    Listener,
    "listener",
    "Hears broadcast and multicast: counts by sender, logs or records; answers only if told"
);

#[cfg(test)]
mod tests;
