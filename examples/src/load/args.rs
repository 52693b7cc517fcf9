//! The command line.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU8;
use std::time::Duration;

use clap::Parser;
use polyport_protocol::{Nanos, SECOND};
use rand::Rng;

use super::capacity::CapacityArgs;
use super::config::{Config, Expect};
use super::drain::Drain;
use super::histogram::Percent;
use super::mix::Mix;
use super::pacing::Pacing;
use super::plan::{Distribution, LONGEST, Rate};
use super::profile::Profile;
use super::schedule::Arrival;
use super::template::Template;
use super::threshold::Threshold;
use crate::VERSION;
use crate::clock::nanos;
use crate::key::{KeyArgs, generator};
use crate::outcome::ExitError;
use crate::source::SourceArgs;
use crate::target::{Family, MAX_ADDRESSES, many};
use crate::text::positive_duration;

/// Load tester for UDP services that speak PPT/1, and for those that do not.
///
/// Sends at a constant rate whether or not answers come, measures from the time at which a datagram should have left,
/// and puts every datagram sent and every one received into exactly one class. Before the load every target is asked
/// for one answer, at 10 datagrams a second at most; where a name has several addresses, the next one is taken for a
/// target whose first one refuses.
#[derive(Parser, Clone, Debug)]
#[command(name = "polyport-load", version = VERSION, max_term_width = 100)]
pub struct Args {
    /// Targets: HOST:PORT, with ranges and lists such as 127.0.0.1:7000-7999,8100
    #[arg(required = true, value_name = "TARGET")]
    pub targets: Vec<String>,
    /// Datagrams a time over all targets: 50000/s, 1.5k/s, 30/m
    #[arg(short, long, default_value = "1000/s", value_parser = Rate::parse)]
    pub rate: Rate,
    /// How long the measured load lasts
    #[arg(short, long, default_value = "10s", value_parser = polyport_value::duration)]
    pub duration: Duration,
    /// How datagrams arrive that have a rate: constant (evenly), poisson (at random times that the seed repeats), or burst:N (N at
    /// once)
    #[arg(long, default_value = "constant", value_parser = Arrival::parse)]
    pub arrival: Arrival,
    /// A rate that grows or falls evenly instead of --rate and --duration: 0..50k/60s
    #[arg(long, value_parser = Profile::parse_ramp, value_name = "FROM..TO/TIME", conflicts_with_all = ["rate", "duration", "flow"])]
    pub ramp: Option<Profile>,
    /// Rates one after the other instead of --rate and --duration: 10k:60s,80k:60s; a ramp may be among them: 0..50k:60s
    #[arg(long, value_parser = Profile::parse, value_name = "RATE:TIME,...", conflicts_with_all = ["rate", "duration"])]
    pub flow: Option<Profile>,
    /// How long the same load runs before it without being counted on either side
    #[arg(long, default_value = "1s", value_parser = polyport_value::duration)]
    pub warmup: Duration,
    /// Wait for answers at the end: three times the longest round trip (and until every datagram had its timeout), or
    /// 4 s if nothing came; or a fixed time such as 500ms
    #[arg(long, default_value = "3x,4s", value_parser = Drain::parse)]
    pub drain: Drain,
    /// Answers that take longer are late
    #[arg(short, long, default_value = "1s", value_parser = polyport_value::duration)]
    pub timeout: Duration,
    /// How targets take turns
    #[arg(long, default_value = "round-robin")]
    pub distribution: Distribution,
    /// Streams for each target, each from a port of our own; order and direction of loss are judged within a stream
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000), value_name = "N")]
    pub streams: u32,
    /// How to wait for the next planned time
    #[arg(long, default_value = "sleep")]
    pub pacing: Pacing,
    /// Octets of payload in each datagram
    #[arg(long, default_value_t = 32, value_name = "OCTETS")]
    pub payload: u16,
    /// Octets of each whole datagram, reached by padding
    #[arg(long, value_name = "OCTETS")]
    pub size: Option<u16>,
    /// Octets of whole datagrams, each size with its share: 64:7,576:4,1500:1; or imix, which is packets of 64, 576 and 1500 octets as
    /// 7:4:1, the smallest as small as a frame can be
    #[arg(long, value_parser = Mix::parse, value_name = "SIZE:SHARE,...", conflicts_with_all = ["size", "text", "template"])]
    pub sizes: Option<Mix>,
    /// A closed loop instead of a rate: N datagrams wait for answers at once, and the next one leaves when one of them is answered or
    /// times out
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MOST_IN_FLIGHT),
        conflicts_with_all = ["rate", "arrival", "flow", "ramp", "find_max", "find_knee"])]
    pub in_flight: Option<u64>,
    /// The byte of DSCP and congestion bits of what is sent
    #[arg(long, value_name = "OCTET", conflicts_with = "dscp")]
    pub tos: Option<u8>,
    /// The DSCP of what is sent: a number or a name such as ef, af41 or cs1
    #[arg(long, value_parser = dscp, value_name = "CLASS")]
    pub dscp: Option<u8>,
    /// Hops that what is sent may make: the TTL of IPv4, the hop limit of IPv6
    #[arg(long, value_name = "HOPS")]
    pub ttl: Option<NonZeroU8>,
    /// What an answer looks like
    #[arg(long, default_value = "reply")]
    pub expect: Expect,
    /// Another name of --expect echo: the targets send datagrams back as they are
    #[arg(long, conflicts_with = "expect")]
    pub raw_echo: bool,
    /// Asks the targets when they received and answered (TIMES of PPT/1), and shows the delay of each way: the offset of their clocks is
    /// estimated, with the error that it may have
    #[arg(long, conflicts_with = "raw_echo")]
    pub one_way: bool,
    /// With --expect any: what to send, instead of letters
    #[arg(long, conflicts_with_all = ["payload", "size", "raw_echo"])]
    pub text: Option<String>,
    /// With --expect any: a text that is another one in each datagram, with the fields {seq}, {time} (in ns) and {random:8} (digits)
    #[arg(long, value_parser = Template::parse, conflicts_with_all = ["payload", "size", "raw_echo", "text"])]
    pub template: Option<Template>,
    /// Most datagrams that wait for answers; further ones are not sent, and counted
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=MOST_IN_FLIGHT), value_name = "N")]
    pub max_in_flight: u64,
    /// Repeats ids and random turns; predictable ids are for tests
    #[arg(long, value_name = "N")]
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
    #[arg(long)]
    pub no_handshake: bool,
    /// The targets outside of loopback and private networks are mine
    #[arg(long)]
    pub i_own_the_target: bool,
    /// What must hold, else the exit code is 99: p99<5ms, send.p99<1ms, lag<1ms, loss<0.1%, ok>=1000; several may be
    /// given
    #[arg(long = "threshold", value_parser = Threshold::parse, value_name = "CONDITION")]
    pub thresholds: Vec<Threshold>,
    /// Percentiles to show instead of the usual ones: 50,75,99.999
    #[arg(long, value_delimiter = ',', value_parser = Percent::parse, value_name = "PERCENT,...")]
    pub percentiles: Vec<Percent>,
    /// A row for every target instead of the worst one
    #[arg(long)]
    pub per_port: bool,
    /// One JSON object instead of the summary screen
    #[arg(long)]
    pub json: bool,
    /// Time between two lines of progress
    #[arg(long, default_value = "1s", value_parser = positive_duration)]
    pub interval: Duration,
    /// No progress
    #[arg(short, long)]
    pub quiet: bool,
    /// Capacity instead of a load
    #[command(flatten)]
    pub capacity: CapacityArgs,
}

/// Streams over all targets: each has books of its own of half a KiB at least, so 128 MiB, and every port of a host may
/// have four.
const MAX_STREAMS: u64 = 1 << 18;

/// Datagrams that may wait for answers at once: more than any memory holds.
const MOST_IN_FLIGHT: u64 = 1_000_000_000_000;

impl Args {
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
        let streams = targets.len() as u64 * u64::from(self.streams);
        if streams > MAX_STREAMS {
            return Err(ExitError::usage(format!(
                "{} targets with {} streams each are more than {MAX_STREAMS} streams",
                targets.len(),
                self.streams
            )));
        }
        let expect = if self.raw_echo { Expect::Echo } else { self.expect };
        if self.one_way && expect != Expect::Reply {
            return Err(ExitError::usage("--one-way asks a responder of PPT/1: --expect reply"));
        }
        for (name, is_given) in [("--text", self.text.is_some()), ("--template", self.template.is_some())] {
            if is_given && expect != Expect::Any {
                return Err(ExitError::usage(format!(
                    "{name} is for --expect any: frames have a payload of their own"
                )));
            }
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
            None => (self.rate, span("--duration", self.duration)?),
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
            streams: self.streams,
            pacing: self.pacing,
            payload: self.payload.into(),
            size: self.size.map(usize::from),
            expect,
            sizes: self.sizes.clone(),
            text: self.text.clone().map(String::into_bytes),
            template: self.template.clone(),
            in_flight: self.in_flight,
            tos: self.tos.or_else(|| self.dscp.map(|dscp| dscp << 2)),
            ttl: self.ttl,
            one_way: self.one_way,
            percentiles: self.percentiles.clone(),
            handshake: !self.no_handshake,
            max_in_flight: self.max_in_flight,
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
            "127.0.0.1:1 --interval 0s",
            "127.0.0.1:1-263 --streams 1000",
            "127.0.0.1:1-65535 127.0.0.2:1",
            "192.0.2.1:1",
        ] {
            assert_eq!(config(line).unwrap_err(), Exit::Usage, "{line}");
        }
        assert_eq!(config("127.0.0.1:no-such-service").unwrap_err(), Exit::HostNotFound);
        assert_eq!(config("127.0.0.1:1 --key-file /nowhere").unwrap_err(), Exit::BadInput);
        config("192.0.2.1:1 --i-own-the-target").unwrap();
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
    fn the_old_name_of_an_echo_is_still_understood() {
        assert_eq!(config("127.0.0.1:1 --raw-echo").unwrap().expect, Expect::Echo);
        assert_eq!(config("127.0.0.1:1 --expect echo").unwrap().expect, Expect::Echo);
        let any = config("127.0.0.1:1 --expect any --text hi").unwrap();
        assert_eq!((any.expect, any.shape().size()), (Expect::Any, 2));
    }
}
