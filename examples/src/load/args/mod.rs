//! The command line, by the headings of its help.

mod content;
mod network;
mod protocol;
mod shown;
mod target;
mod timing;

use clap::Parser;
use rand::Rng;

use super::books::args::BooksArgs;
use super::capacity::CapacityArgs;
use super::command::Command;
use super::config::{Config, Expect};
use super::pin;
use super::recorded::args::RecordedArgs;
use super::recorded::settings::Settings;
use super::stamp::args::StampArgs;
use crate::VERSION;
use crate::clock::{nanos, time_of_day};
use crate::key::generator;
use crate::outcome::ExitError;

pub use self::content::ContentArgs;
pub use self::network::NetworkArgs;
pub use self::protocol::ProtocolArgs;
pub use self::shown::ShownArgs;
pub use self::target::TargetArgs;
pub use self::timing::TimingArgs;

/// Load tester for UDP services that speak PPT/1, and for those that do not.
///
/// Sends at a constant rate whether or not answers come, measures from the time at which a datagram should have left,
/// and puts every datagram sent and every one received into exactly one class. Before the load every target is asked
/// for one answer, at 10 datagrams a second at most; where a name has several addresses, the next one is taken for a
/// target whose first one refuses.
#[derive(Parser, Clone, Debug)]
#[command(
    name = "polyport-load",
    version = VERSION,
    max_term_width = 100,
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{MORE}")
)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true
)]
pub struct Args {
    /// Targets: HOST:PORT, with ranges and lists such as 127.0.0.1:7000-7999,8100
    #[arg(required = true, value_name = "TARGET")]
    pub targets: Vec<String>,
    /// What to do instead of a load
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Who is asked
    #[command(flatten)]
    pub target: TargetArgs,
    /// When
    #[command(flatten)]
    pub timing: TimingArgs,
    /// What is sent
    #[command(flatten)]
    pub content: ContentArgs,
    /// How it leaves
    #[command(flatten)]
    pub network: NetworkArgs,
    /// In which words
    #[command(flatten)]
    pub protocol: ProtocolArgs,
    /// Reflectors as targets
    #[command(flatten)]
    pub stamp: StampArgs,
    /// Daemons as witnesses
    #[command(flatten)]
    pub books: BooksArgs,
    /// What is shown
    #[command(flatten)]
    pub shown: ShownArgs,
    /// Instead of a schedule
    #[command(flatten)]
    pub recorded: RecordedArgs,
    /// Capacity instead of a load
    #[command(flatten)]
    pub capacity: CapacityArgs,
}

const EXAMPLES: &str = "Examples:
  polyport-load -r 10k/s -d 30 127.0.0.1:7000
  polyport-load -r 50k/s --threshold 'p99<5ms' --threshold 'loss<0.1%' 127.0.0.1:7000-7063
  polyport-load --expect echo --json 127.0.0.1:7 | jq .counts
  polyport-load --expect any --payload-file query.bin 127.0.0.1:53
  polyport-load --stamp -r 10/s -d 1m 192.168.1.1:862
  polyport-load --pcap recorded.pcapng --speed 2x --loop 10 127.0.0.1:53";

const MORE: &str =
    "A time is a number with its unit, such as 500ms or 1m30s; without a unit it is of seconds. Limits
of --threshold want the unit.

Exit codes: 0 measured, 64 usage, 65 a key or a payload is wrong, 68 host not found,
69 no answer at all, 70 the books do not balance (our fault), 71, 75 and 77 the system refuses,
74 reading or writing failed, 76 the target does not speak what was expected,
99 a threshold was missed, 130 interrupted";

impl Args {
    /// The recording to be sent instead of a schedule, if there is one.
    #[must_use]
    pub fn recording(&self) -> Option<Settings> {
        let RecordedArgs { pcap, speed, passes, pcap_port } = &self.recorded;
        Some(Settings {
            file: pcap.clone()?,
            speed: *speed,
            passes: *passes,
            port: *pcap_port,
            interval: (!self.shown.quiet).then(|| nanos(self.shown.interval)),
        })
    }

    /// Resolves the targets, and checks what clap cannot check by itself.
    ///
    /// # Errors
    /// The first argument that is wrong, and why.
    pub fn config(&self) -> Result<Config, ExitError> {
        let Self { target, timing, content, network, protocol, shown, .. } = self;
        let from = network.source.from;
        let target::Chosen { targets, alternatives } = target::resolve(&self.targets, network.family, from)?;
        let course = timing.course()?;
        let (targets, rate) = target.share(targets, course.rate)?;
        let stamp = self.stamp.load(&protocol.key)?;
        let expect = if stamp.is_some() { Expect::Stamp } else { target.expected() };
        if protocol.one_way && expect != Expect::Reply {
            return Err(ExitError::usage(
                "--one-way asks a responder of PPT/1: it goes with --expect reply only",
            ));
        }
        let books = self.books.socket(expect)?;
        let config = Config {
            flows: target.flows(timing.threads, targets.len())?,
            targets,
            alternatives,
            from,
            rate,
            profile: course.profile,
            arrival: timing.arrival,
            duration: course.duration,
            // The books of a daemon would have it in them.
            warm_up: if books.is_some() { 0 } else { timing.warm_up()? },
            drain: timing.drain()?,
            timeout: timing.timeout()?,
            distribution: target.distribution,
            threads: timing.threads,
            pin: pin::processors(timing.pin.as_deref(), timing.threads)?,
            gso: self.books.trains(network.gso)?,
            rx_time: timing.rx_time,
            pacing: timing.pacing,
            payload: if stamp.is_some() { 0 } else { content.payload.into() },
            size: content.size.map(usize::from),
            expect,
            sizes: content.sizes.clone(),
            text: content.load(expect)?,
            template: content.template.clone(),
            in_flight: timing.in_flight,
            tos: network.tos(),
            ttl: network.ttl,
            one_way: protocol.one_way || stamp.is_some(),
            percentiles: shown.percentiles.clone(),
            handshake: !target.no_handshake && books.is_none(),
            max_in_flight: timing.max_in_flight,
            interval: nanos(shown.interval),
            start_at: timing.start_at.map(|start| start.time(time_of_day())),
            shard: target.shard,
            seed: protocol.seed.unwrap_or_else(|| generator(None).next_u64()),
            key: if stamp.is_some() { None } else { protocol.key.load()? },
            stamp,
            books,
        };
        config.check(target.i_own_the_target)?;
        Ok(config)
    }
}

#[cfg(test)]
mod refusals;
#[cfg(test)]
mod tests;
