//! The command line.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU8;
use std::time::Duration;

use clap::Parser;
use polyport_protocol::{Nanos, SECOND};
use polyport_terminal::counted;
use rand::Rng;

use super::arrivals::Arrival;
use super::capacity::CapacityArgs;
use super::command::Command;
use super::config::{Config, Expect};
use super::drain::Drain;
use super::gso::Gso;
use super::histogram::Percent;
use super::mix::Mix;
use super::output::OutputArgs;
use super::pacing::Pacing;
use super::pin;
use super::plan::{Distribution, LONGEST, Rate};
use super::profile::Profile;
use super::recorded::args::RecordedArgs;
use super::recorded::settings::Settings;
use super::shard::{self, Shard};
use super::stamps::RxTime;
use super::start::StartAt;
use super::template::Template;
use super::threshold::Threshold;
use crate::VERSION;
use crate::clock::{nanos, time_of_day};
use crate::heading;
use crate::key::{KeyArgs, generator};
use crate::outcome::ExitError;
use crate::payload::PayloadArgs;
use crate::source::SourceArgs;
use crate::target::{Family, MAX_ADDRESSES, many};
use crate::text::{duration, positive_duration};

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
    /// Datagrams a time over all targets: 50000/s, 1.5k/s, 30/m
    #[arg(short, long, default_value = "1000/s", value_parser = Rate::parse, help_heading = heading::TIMING)]
    pub rate: Rate,
    /// How long the measured load lasts
    #[arg(short, long, default_value = "10s", value_parser = duration, help_heading = heading::TIMING)]
    pub duration: Duration,
    /// How datagrams arrive that have a rate: constant (evenly), poisson (at random times that the seed repeats), or burst:N (N at
    /// once)
    #[arg(long, default_value = "constant", value_parser = Arrival::parse, help_heading = heading::TIMING)]
    pub arrival: Arrival,
    /// A rate that grows or falls evenly instead of --rate and --duration: 0..50k/60s
    #[arg(long, value_parser = Profile::parse_ramp, value_name = "FROM..TO/TIME", conflicts_with_all = ["rate", "duration", "flow"], help_heading = heading::TIMING)]
    pub ramp: Option<Profile>,
    /// Rates one after the other instead of --rate and --duration: 10k:60s,80k:60s; a ramp may be among them: 0..50k:60s.
    /// Ports of our own are --flows, which is another thing
    #[arg(long, value_parser = Profile::parse, value_name = "RATE:TIME,...", conflicts_with_all = ["rate", "duration"], help_heading = heading::TIMING)]
    pub flow: Option<Profile>,
    /// How long the same load runs before it without being counted on either side
    #[arg(long, default_value = "1s", value_parser = duration, help_heading = heading::TIMING)]
    pub warmup: Duration,
    /// Wait for answers at the end: three times the longest round trip (and until every datagram had its timeout), or
    /// 4 s if nothing came; or a fixed time such as 500ms
    #[arg(long, default_value = "3x,4s", value_parser = Drain::parse, help_heading = heading::TIMING)]
    pub drain: Drain,
    /// Answers that take longer are late
    #[arg(short, long, default_value = "1s", value_parser = duration, help_heading = heading::TIMING)]
    pub timeout: Duration,
    /// How targets take turns
    #[arg(long, default_value = "round-robin", help_heading = heading::TARGET)]
    pub distribution: Distribution,
    /// Ports of our own that take turns, one for each thread if not given; order and direction of loss are judged for each
    /// flow to each target
    #[arg(long, alias = "streams", value_parser = clap::value_parser!(u32).range(1..=1000), value_name = "N", help_heading = heading::TARGET)]
    pub flows: Option<u32>,
    /// Threads among which the flows are divided; each wants a processor for itself
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256), value_name = "N", help_heading = heading::TIMING)]
    pub threads: u32,
    /// Each thread keeps to a processor of its own: those given, such as 2,3 or 4-7, or any that it may use
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "", value_name = "CPUS", help_heading = heading::TIMING)]
    pub pin: Option<String>,
    /// Whether datagrams of one flow to one target leave as trains that the kernel cuts, and come as trains that it joins
    #[arg(long, default_value = "auto", help_heading = heading::NETWORK)]
    pub gso: Gso,
    /// Whose clock says when an answer came
    #[arg(long, default_value = "tester", help_heading = heading::TIMING)]
    pub rx_time: RxTime,
    /// How to wait for the next planned time
    #[arg(long, default_value = "sleep", help_heading = heading::TIMING)]
    pub pacing: Pacing,
    /// Octets of payload in each datagram
    #[arg(long, default_value_t = DEFAULT_PAYLOAD, value_name = "OCTETS", help_heading = heading::CONTENT)]
    pub payload: u16,
    /// Octets of each whole datagram, reached by padding
    #[arg(long, value_name = "OCTETS", help_heading = heading::CONTENT)]
    pub size: Option<u16>,
    /// Octets of whole datagrams, each size with its share: 64:7,576:4,1500:1; or imix, which is packets of 64, 576 and 1500 octets as
    /// 7:4:1, the smallest as small as a frame can be
    #[arg(long, value_parser = Mix::parse, value_name = "SIZE:SHARE,...", conflicts_with_all = ["size", "text", "template"], help_heading = heading::CONTENT)]
    pub sizes: Option<Mix>,
    /// A closed loop instead of a rate: N datagrams wait for answers at once, and the next one leaves when one of them is answered or
    /// times out; with several threads each has its share of N
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MOST_IN_FLIGHT),
        conflicts_with_all = ["rate", "arrival", "flow", "ramp", "find_max", "find_knee"], help_heading = heading::TIMING)]
    pub in_flight: Option<u64>,
    /// The byte of DSCP and congestion bits of what is sent
    #[arg(long, value_name = "OCTET", conflicts_with = "dscp", help_heading = heading::NETWORK)]
    pub tos: Option<u8>,
    /// The DSCP of what is sent: a number or a name such as ef, af41 or cs1
    #[arg(long, value_parser = dscp, value_name = "CLASS", help_heading = heading::NETWORK)]
    pub dscp: Option<u8>,
    /// Hops that what is sent may make: the TTL of IPv4, the hop limit of IPv6
    #[arg(long, value_name = "HOPS", help_heading = heading::NETWORK)]
    pub ttl: Option<NonZeroU8>,
    /// What an answer looks like
    #[arg(long, default_value = "reply", help_heading = heading::TARGET)]
    pub expect: Expect,
    /// Another name of --expect echo: the targets send datagrams back as they are
    #[arg(long, conflicts_with = "expect", help_heading = heading::TARGET)]
    pub raw_echo: bool,
    /// Asks the targets when they received and answered (TIMES of PPT/1), and shows the delay of each way: the offset of their clocks is
    /// estimated, with the error that it may have
    #[arg(long, conflicts_with = "raw_echo", help_heading = heading::PROTOCOL)]
    pub one_way: bool,
    /// With --expect any: what to send, instead of letters
    #[arg(long, conflicts_with_all = ["payload", "size", "raw_echo"], help_heading = heading::CONTENT)]
    pub text: Option<String>,
    /// With --expect any: a text that is another one in each datagram, with the fields {seq}, {time} (when it left, in ns since a moment that is another one in each run: no wall time) and {random:8} (hexadecimal digits)
    #[arg(long, value_parser = Template::parse, conflicts_with_all = ["payload", "size", "raw_echo", "text"], help_heading = heading::CONTENT)]
    pub template: Option<Template>,
    /// With --expect any
    #[command(flatten)]
    pub content: PayloadArgs,
    /// Instead of a schedule
    #[command(flatten)]
    pub recorded: RecordedArgs,
    /// Most datagrams that wait for answers; further ones are not sent, and counted
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=MOST_IN_FLIGHT), value_name = "N", help_heading = heading::TIMING)]
    pub max_in_flight: u64,
    /// Repeats ids and random turns; predictable ids are for tests
    #[arg(long, value_name = "N", help_heading = heading::PROTOCOL)]
    pub seed: Option<u64>,
    /// Which addresses of a name
    #[command(flatten)]
    pub family: Family,
    /// Where from
    #[command(flatten)]
    pub source: SourceArgs,
    /// Secrets
    #[command(flatten)]
    pub key: KeyArgs,
    /// Start without asking the targets for an answer first
    #[arg(long, help_heading = heading::TARGET)]
    pub no_handshake: bool,
    /// The targets outside of loopback and private networks are mine
    #[arg(long, help_heading = heading::TARGET)]
    pub i_own_the_target: bool,
    /// What must hold, else the exit code is 99: p99<5ms, send.p99<1ms, lag<1ms, loss<0.1%, ok>=1000; several may be
    /// given
    #[arg(long = "threshold", value_parser = Threshold::parse, value_name = "CONDITION", help_heading = heading::JUDGEMENT)]
    pub thresholds: Vec<Threshold>,
    /// Percentiles to show instead of the usual ones: 50,75,99.999
    #[arg(long, value_delimiter = ',', value_parser = Percent::parse, value_name = "PERCENT,...", help_heading = heading::OUTPUT)]
    pub percentiles: Vec<Percent>,
    /// A row for every target instead of the worst one
    #[arg(long, help_heading = heading::OUTPUT)]
    pub per_port: bool,
    /// A row for every flow, that is for every port of our own
    #[arg(long, help_heading = heading::OUTPUT)]
    pub per_flow: bool,
    /// Forms of the result for programs
    #[command(flatten)]
    pub output: OutputArgs,
    /// Time between two lines of progress, and length of an interval of the results; a run of more than 1024 of them
    /// has longer ones
    #[arg(long, default_value = "1s", value_parser = positive_duration, help_heading = heading::OUTPUT)]
    pub interval: Duration,
    /// Start load and warm-up at this time, after the handshake: +10s, or 2026-11-30T18:00:00Z as RFC 3339 has it
    #[arg(long, value_parser = StartAt::parse, value_name = "TIME", help_heading = heading::TIMING)]
    pub start_at: Option<StartAt>,
    /// This is one of several generators: it takes one of N targets, and their part of the rate. The first one is 0/N
    #[arg(long, value_parser = Shard::parse, value_name = "INDEX/N", conflicts_with_all = ["ramp", "flow", "in_flight"], help_heading = heading::TARGET)]
    pub shard: Option<Shard>,
    /// No progress
    #[arg(short, long, help_heading = heading::OUTPUT)]
    pub quiet: bool,
    /// A line of progress instead of the live view, which is drawn where standard error is a terminal; not with --json-stream and
    /// --pcap, nor where standard output is a pipe
    #[arg(long, help_heading = heading::OUTPUT)]
    pub no_tui: bool,
    /// Capacity instead of a load
    #[command(flatten)]
    pub capacity: CapacityArgs,
}

const EXAMPLES: &str = "Examples:
  polyport-load -r 10k/s -d 30 127.0.0.1:7000
  polyport-load -r 50k/s --threshold 'p99<5ms' --threshold 'loss<0.1%' 127.0.0.1:7000-7063
  polyport-load --expect echo --json 127.0.0.1:7 | jq .counts
  polyport-load --expect any --payload-file query.bin 127.0.0.1:53
  polyport-load --pcap recorded.pcapng --speed 2x --loop 10 127.0.0.1:53";

const MORE: &str =
    "A time is a number with its unit, such as 500ms or 1m30s; without a unit it is of seconds. Limits
of --threshold want the unit.

Exit codes: 0 measured, 64 usage, 65 a key or a payload is wrong, 68 host not found,
69 no answer at all, 70 the books do not balance (our fault), 71, 75 and 77 the system refuses,
74 reading or writing failed, 76 the target does not speak what was expected,
99 a threshold was missed, 130 interrupted";

/// Streams over all targets: each has books of its own of half a KiB at least, so 128 MiB, and every port of a host may
/// have four.
const MAX_STREAMS: u64 = 1 << 18;

/// Octets of payload, if nobody says how many: a short request.
const DEFAULT_PAYLOAD: u16 = 32;

/// Datagrams that may wait for answers at once: more than any memory holds.
const MOST_IN_FLIGHT: u64 = 1_000_000_000_000;

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
            interval: (!self.quiet).then(|| nanos(self.interval)),
        })
    }

    /// Resolves the targets, and checks what clap cannot check by itself.
    ///
    /// # Errors
    /// The first argument that is wrong, and why.
    pub fn config(&self) -> Result<Config, ExitError> {
        let mut targets = Vec::new();
        let mut seen = HashSet::new();
        let mut alternatives = HashMap::new();
        for target in &self.targets {
            for mut addresses in many(target, self.family, self.source.from)? {
                let others = addresses.split_off(1);
                let fresh = addresses.into_iter().filter(|address| seen.insert(*address));
                for address in fresh {
                    targets.push(address);
                    if !others.is_empty() {
                        alternatives.insert(address, others.clone());
                    }
                }
            }
            if targets.len() > MAX_ADDRESSES {
                return Err(ExitError::usage(format!("the targets are more than {MAX_ADDRESSES} addresses")));
            }
        }
        let mut rate = self.rate;
        if let Some(shard) = self.shard {
            let all = targets.len();
            targets = shard.share(targets);
            if targets.is_empty() {
                return Err(ExitError::usage(format!(
                    "{} for generator {shard}: start as many as there are targets at most",
                    counted(all as u64, "target leaves none", "targets leave none")
                )));
            }
            rate = shard::part(rate, targets.len(), all).map_err(ExitError::usage)?;
        }
        let flows = self.flows.unwrap_or(self.threads);
        if flows < self.threads {
            return Err(ExitError::usage(format!(
                "{flows} flows cannot be divided among {} threads: raise --flows or lower --threads",
                self.threads
            )));
        }
        let streams = targets.len() as u64 * u64::from(flows);
        if streams > MAX_STREAMS {
            return Err(ExitError::usage(format!(
                "{} targets with {flows} flows each are more than {MAX_STREAMS} streams",
                targets.len(),
            )));
        }
        let expect = if self.raw_echo { Expect::Echo } else { self.expect };
        if self.one_way && expect != Expect::Reply {
            return Err(ExitError::usage("--one-way asks a responder of PPT/1: --expect reply"));
        }
        let file = self.content.payload_file.is_some();
        let given = [
            (self.text.is_some(), "--text"),
            (file, "--payload-file"),
            (self.template.is_some(), "--template"),
        ];
        if let Some((_, name)) = given.iter().find(|(given, _)| *given && expect != Expect::Any) {
            return Err(ExitError::usage(format!(
                "{name} is for --expect any: frames have a payload of their own"
            )));
        }
        let mut names = given.into_iter().filter(|(given, _)| *given).map(|(_, name)| name);
        if let (Some(one), Some(other)) = (names.next(), names.next()) {
            return Err(ExitError::usage(format!("{one} and {other} are two payloads")));
        }
        if file && (self.size.is_some() || self.sizes.is_some() || self.payload != DEFAULT_PAYLOAD) {
            return Err(ExitError::usage(
                "--payload-file is as long as it is: without --payload, --size and --sizes",
            ));
        }
        if let Drain::Fixed(wait) | Drain::Adaptive { fallback: wait, .. } = self.drain
            && wait > LONGEST
        {
            return Err(too_long("--drain"));
        }
        let profile = self.flow.clone().or_else(|| self.ramp.clone());
        let (rate, duration) = match &profile {
            Some(profile) if profile.duration() > LONGEST => return Err(too_long("--flow")),
            Some(profile) => (Rate { count: profile.peak(), period: SECOND }, profile.duration()),
            None => (rate, span("--duration", self.duration)?),
        };
        let config = Config {
            targets,
            alternatives,
            from: self.source.from,
            rate,
            profile,
            arrival: self.arrival,
            duration,
            warm_up: span("--warmup", self.warmup)?,
            drain: self.drain,
            timeout: span("--timeout", self.timeout)?,
            distribution: self.distribution,
            flows,
            threads: self.threads,
            pin: pin::processors(self.pin.as_deref(), self.threads)?,
            gso: self.gso,
            rx_time: self.rx_time,
            pacing: self.pacing,
            payload: self.payload.into(),
            size: self.size.map(usize::from),
            expect,
            sizes: self.sizes.clone(),
            text: self.content.load()?.or_else(|| self.text.clone().map(String::into_bytes)),
            template: self.template.clone(),
            in_flight: self.in_flight,
            tos: self.tos.or_else(|| self.dscp.map(|dscp| dscp << 2)),
            ttl: self.ttl,
            one_way: self.one_way,
            percentiles: self.percentiles.clone(),
            handshake: !self.no_handshake,
            max_in_flight: self.max_in_flight,
            interval: nanos(self.interval),
            start_at: self.start_at.map(|start| start.time(time_of_day())),
            shard: self.shard,
            seed: self.seed.unwrap_or_else(|| generator(None).next_u64()),
            key: self.key.load()?,
        };
        config.check(self.i_own_the_target)?;
        Ok(config)
    }
}

fn span(name: &str, span: Duration) -> Result<Nanos, ExitError> {
    let span = nanos(span);
    if span > LONGEST { Err(too_long(name)) } else { Ok(span) }
}

/// A class of RFC 2474, 2597, 3246, 5865 or 8622, or its number.
fn dscp(text: &str) -> Result<u8, String> {
    let name = text.to_ascii_lowercase();
    let number = |prefix: &str, numbers: std::ops::RangeInclusive<u8>| {
        name.strip_prefix(prefix)
            .and_then(|digits| digits.parse().ok())
            .filter(|number| numbers.contains(number))
    };
    let class = match name.as_str() {
        "be" | "default" => Some(0),
        "le" => Some(1),
        "va" | "voice-admit" => Some(44),
        "ef" => Some(46),
        _ => number("cs", 0..=7).map(|class| class * 8).or_else(|| {
            let both =
                number("af", 11..=43).filter(|both| both / 10 <= 4 && (1..=3).contains(&(both % 10)))?;
            Some(both / 10 * 8 + both % 10 * 2)
        }),
    };
    class.or_else(|| number("", 0..=63)).ok_or_else(|| {
        format!("`{text}` is no DSCP: write 0 to 63, ef, va, le, be, cs0 to cs7 or af11 to af43")
    })
}

fn too_long(name: &str) -> ExitError {
    ExitError::usage(format!("{name} is longer than 100 days"))
}

#[cfg(test)]
mod tests {
    use polyport_terminal::Exit;

    use super::*;

    fn config(line: &str) -> Result<Config, Exit> {
        let args =
            Args::try_parse_from(format!("polyport-load {line}").split(' ')).map_err(|_| Exit::Usage)?;
        args.config().map_err(|failure| failure.exit)
    }

    #[test]
    fn the_defaults_are_a_modest_load() {
        let config = config("127.0.0.1:7000-7002,7001 127.0.0.1:7002 [::1]:7000").unwrap();
        assert_eq!(config.targets.len(), 4, "without repeats");
        assert_eq!(config.rate.to_string(), "1000/s");
        assert!(config.handshake && config.expect == Expect::Reply && config.key.is_none());
        assert_ne!(config.seed, self::config("127.0.0.1:1").unwrap().seed);
    }

    #[test]
    fn what_is_wrong_has_its_code() {
        for line in [
            "",
            "127.0.0.1",
            "127.0.0.1:2-1",
            "127.0.0.1:1 --rate 0",
            "127.0.0.1:1 --size 20",
            "127.0.0.1:1 --timeout 0s",
            "127.0.0.1:1 --max-in-flight 0",
            "127.0.0.1:1 --payload 65500",
            "127.0.0.1:1 --threshold p98<1ms",
            "127.0.0.1:1 --duration 2years",
            "127.0.0.1:1 --duration 101d",
            "127.0.0.1:1 --drain 3x,9999d",
            "127.0.0.1:1 --drain 9999d",
            "127.0.0.1:1 --rate 1001M/s",
            "127.0.0.1:1 --max-in-flight 1000000000001",
            "127.0.0.1:1 --expect all",
            "127.0.0.1:1 --arrival burst:0",
            "127.0.0.1:1 --flow 5:1s --rate 5",
            "127.0.0.1:1 --flow 5:1s --ramp 0..5/1s",
            "127.0.0.1:1 --flow 5:60d,5:60d",
            "127.0.0.1:1 --ramp 0..5/1s --duration 5s",
            "127.0.0.1:1 --expect any --raw-echo",
            "127.0.0.1:1 --text hi",
            "127.0.0.1:1 --one-way --expect echo",
            "127.0.0.1:1 --template hi",
            "127.0.0.1:1 --sizes 20:1",
            "127.0.0.1:1 --in-flight 2 --rate 5",
            "127.0.0.1:1 --tos 3 --dscp ef",
            "127.0.0.1:1 --percentiles 101",
            "127.0.0.1:1 --expect any --text hi --size 5",
            "127.0.0.1:1 --payload-file /dev/null",
            "127.0.0.1:1 --expect any --text hi --payload-file /dev/null",
            "127.0.0.1:1 --expect any --size 5 --payload-file /dev/null",
            "127.0.0.1:1 --interval 0",
            "127.0.0.1:1 --interval 0s",
            "127.0.0.1:1-263 --flows 1000",
            "127.0.0.1:1 --flows 1 --threads 2",
            "127.0.0.1:1 --threads 0",
            "127.0.0.1:1 --min-rate 5/s",
            "127.0.0.1:1 --max-rate 5M/s",
            "127.0.0.1:1 --max-lag 5ms",
            "127.0.0.1:1 --search-time 5m",
            "127.0.0.1:1 --steps 5",
            "127.0.0.1:1 --step-time 5s",
            "127.0.0.1:1 --find-max loss<1% --steps 5",
            "127.0.0.1:1 --find-max loss<1% --step-time 5s",
            "127.0.0.1:1 --pin=x",
            "127.0.0.1:1 --gso maybe",
            "127.0.0.1:1-65535 127.0.0.2:1",
            "192.0.2.1:1",
        ] {
            assert_eq!(config(line).unwrap_err(), Exit::Usage, "{line}");
        }
        assert_eq!(config("127.0.0.1:no-such-service").unwrap_err(), Exit::HostNotFound);
        for line in
            ["/nowhere", "/dev/zero"].map(|file| format!("127.0.0.1:1 --expect any --payload-file {file}"))
        {
            assert_eq!(config(&line).unwrap_err(), Exit::BadInput, "{line}");
        }
        assert_eq!(config("127.0.0.1:1 --key-file /nowhere").unwrap_err(), Exit::BadInput);
        config("192.0.2.1:1 --i-own-the-target").unwrap();
        config("127.0.0.1:1 --find-max loss<1% --min-rate 5/s --max-rate 9/s --max-lag 5ms").unwrap();
        config("127.0.0.1:1 --find-max loss<1% --find-knee --steps 5 --step-time 5s --search-time 5m")
            .unwrap();
    }

    #[test]
    fn classes_have_names_and_numbers() {
        for (text, class) in
            [("0", 0), ("63", 63), ("EF", 46), ("cs7", 56), ("af11", 10), ("AF41", 34), ("af43", 38)]
        {
            assert_eq!(dscp(text), Ok(class), "{text}");
        }
        for wrong in ["64", "cs8", "af14", "af51", "af20", "", "fe"] {
            assert!(dscp(wrong).is_err(), "{wrong}");
        }
        assert_eq!(config("127.0.0.1:1 --dscp ef").unwrap().tos, Some(46 << 2));
        assert_eq!(config("127.0.0.1:1 --tos 3 --ttl 5").unwrap().tos, Some(3));
    }

    #[test]
    fn a_bare_number_is_of_seconds() {
        let config = config("127.0.0.1:1 -d 3 --warmup 0 --timeout 0.5 --drain 2").unwrap();
        let second = 1_000_000_000;
        assert_eq!((config.duration, config.warm_up, config.timeout), (3 * second, 0, second / 2));
        assert_eq!(config.drain, Drain::Fixed(2 * second));
    }

    #[test]
    fn each_thread_has_a_flow() {
        let read = |line: &str| {
            let config = config(line).unwrap();
            (config.flows, config.threads)
        };
        assert_eq!(read("127.0.0.1:1"), (1, 1));
        assert_eq!(read("127.0.0.1:1 --threads 3"), (3, 3));
        assert_eq!(read("127.0.0.1:1 --threads 3 --flows 7"), (7, 3));
        assert_eq!(read("127.0.0.1:1 --streams 7"), (7, 1));
    }

    #[test]
    fn a_host_may_be_named_like_the_command() {
        let args = |line: &str| Args::try_parse_from(line.split(' '));
        let load = args("polyport-load report:7000").unwrap();
        assert!(load.command.is_none() && load.targets == ["report:7000"]);
        let show = args("polyport-load report show one.json").unwrap();
        assert!(show.command.is_some() && show.targets.is_empty());
        assert_eq!(
            config("127.0.0.1:1 report show one.json").unwrap_err(),
            Exit::Usage,
            "no target has such names"
        );
        args("polyport-load report").unwrap_err();
    }

    #[test]
    fn a_shard_has_its_targets_and_their_part_of_the_rate() {
        let shard = config("127.0.0.1:7000-7009 --rate 1000/s --shard 2/3").unwrap();
        let ports: Vec<u16> = shard.targets.iter().map(std::net::SocketAddr::port).collect();
        assert_eq!((ports, shard.rate.to_string().as_str()), (vec![7002, 7005, 7008], "300/s"));
        for line in ["127.0.0.1:1 --shard 1/2", "127.0.0.1:1 --shard 2/2", "127.0.0.1:1 --start-at noon"] {
            assert_eq!(config(line).unwrap_err(), Exit::Usage, "{line}");
        }
    }

    #[test]
    fn the_old_name_of_an_echo_is_still_understood() {
        assert_eq!(config("127.0.0.1:1 --raw-echo").unwrap().expect, Expect::Echo);
        assert_eq!(config("127.0.0.1:1 --expect echo").unwrap().expect, Expect::Echo);
        let any = config("127.0.0.1:1 --expect any --text hi").unwrap();
        assert_eq!((any.expect, any.shape().size()), (Expect::Any, 2));
    }
}
