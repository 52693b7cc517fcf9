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
//!          -> packet -> capture -> files    record = "pcapng"; the three together are the recorder
//!          -> answer                        ack = true
//! ```
//!
//! A file name is taken from the daemon's working directory. What is recorded is collected and handed to the system every
//! second, which takes it into its page cache; so a file belongs on a local disk, not on a network that may stall. When
//! writing fails, the daemon goes on and the recording ends. The file is rotated by renaming: what is at the name is
//! always the newest.
#![forbid(unsafe_code)]

mod capture;
pub mod config;
mod files;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod interfaces;
mod line;
mod packet;
mod recorder;
pub mod senders;

use std::time::Duration;

use polyport_plugin::prelude::*;
use polyport_plugin::{Log, Rng, Why, later};

use interfaces::Interfaces;
use line::{Cast, Line};
use packet::Heard;
use recorder::{Outcome, Recorder};

pub use config::{ListenerConfig, Record};
pub use senders::Senders;

/// How long a recorded datagram may wait for the next one before it is handed to the system.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
const FLUSH: u64 = 1;
const REPORT: u64 = 2;

/// The handler of one listener.
#[derive(Debug)]
pub struct Listener {
    config: ListenerConfig,
    senders: Senders,
    interfaces: Interfaces,
    recorder: Option<Recorder>,
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
            recorded: setup.counter(c"recorded_total", c"Datagrams written to the log or to a file"),
            record_errors: setup.counter(
                c"record_errors_total",
                c"Datagrams that could not be recorded, and failures to write those before",
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
                    let recorder = Recorder::open(path, config.rotate.0, config.keep, successor);
                    setup.timer(FLUSH, FLUSH_EVERY, FLUSH_EVERY);
                    Some(recorder.map_err(|error| {
                        Error::option("file", format_args!("{}: {error}", path.display()))
                    })?)
                }
            };
        if let Some(every) = config.report {
            setup.timer(REPORT, every, every);
        }
        let (rng, senders) = (Rng::new(setup.seed()), Senders::default());
        Ok(Self { config, senders, interfaces: Interfaces::default(), recorder, rng, counters })
    }

    fn check(config: &ListenerConfig) -> Result<()> {
        config.check()
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        for datagram in batch.datagrams() {
            let len = datagram.payload().len();
            self.counters.datagram(Cast::of(&datagram), len);
            let forgot = self.senders.count(datagram.peer(), len);
            self.counters.senders_forgotten.add(forgot.into());
            self.record(&datagram, batch);
            if self.config.ack {
                self.answer(&datagram, batch.now_ns());
            }
        }
        self.counters.senders.set(self.senders.len() as u64);
    }

    fn on_timer(&mut self, token: u64, batch: &mut Batch<'_>) {
        match (token, self.recorder.as_mut()) {
            (FLUSH, Some(recorder)) => {
                if let Err(error) = recorder.flush() {
                    self.counters.record_errors.add(1);
                    batch.log(Level::Error, self.over(&error));
                }
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
        if let Some(Err(error)) = self.recorder.as_mut().map(Recorder::flush) {
            self.counters.record_errors.add(1);
            log.log(Level::Error, self.over(&error));
        }
    }
}

impl Listener {
    fn record(&mut self, datagram: &Datagram<'_>, batch: &Batch<'_>) {
        match (self.config.record, self.recorder.as_mut()) {
            (Record::Log, _) if batch.log_enabled(Level::Info) => {
                let interface = self.interfaces.name(datagram.ifindex());
                let limit = self.config.log_bytes as usize;
                batch.log(Level::Info, Line { datagram, interface, limit });
                self.counters.recorded.add(1);
            }
            (Record::Pcapng, Some(recorder)) => {
                let heard = Heard {
                    peer: datagram.peer(),
                    local: datagram.local(),
                    ecn: datagram.ecn(),
                    hop_limit: datagram.hop_limit(),
                    payload: datagram.payload(),
                };
                let (index, name) =
                    (datagram.ifindex().unwrap_or(0), self.interfaces.name(datagram.ifindex()));
                match recorder.record(&heard, batch.wall_ns(), index, name) {
                    Outcome::Recorded => self.counters.recorded.add(1),
                    Outcome::Over => self.counters.record_errors.add(1),
                    Outcome::Failed(error) => {
                        self.counters.record_errors.add(1);
                        batch.log(Level::Error, self.over(&error));
                    }
                }
            }
            _ => {}
        }
    }

    /// Said once: with the first error the recorder is over.
    fn over(&self, error: &std::io::Error) -> String {
        let file = self.config.file.as_deref().unwrap_or_default();
        format!("{file} cannot be written, and nothing more is recorded until a reload: {error}")
    }

    fn answer(&mut self, datagram: &Datagram<'_>, now_ns: u64) {
        let text = self.config.ack_text.as_bytes();
        // Two that answer each other would never end.
        if datagram.payload() == text {
            return;
        }
        let wait = self.rng.up_to(self.config.leisure);
        let at_ns = if wait.is_zero() { 0 } else { later(now_ns, wait) };
        // What found no room is counted by the host.
        self.counters.acks.add(datagram.reply_at(at_ns, text).into());
    }
}

export_plugin!(
    Listener,
    "Hears broadcast and multicast: counts by sender, logs or records; answers only if told"
);

#[cfg(test)]
mod tests;
