//! What a run is to do, checked.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU8;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use polyport_net::MAX_DATAGRAM;
use polyport_protocol::{Key, Nanos, SECOND};
use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::arrivals::{Arrival, Arrivals};
use super::drain::Drain;
use super::frame::Shape;
use super::gso::Gso;
use super::histogram::Percent;
use super::ids::Ids;
use super::ledger::LedgerConfig;
use super::mix::Mix;
use super::pacing::Pacing;
use super::part::Part;
use super::plan::{Distribution, Rate, Turns};
use super::profile::{Piece, Profile};
use super::shard::Shard;
use super::stamp::codec::Codec;
use super::stamp::settings::Stamp;
use super::stamps::RxTime;
use super::template::Template;
use crate::outcome::ExitError;
use crate::source::{SourceAddress, SourceArgs};

/// A run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where datagrams go, without repeats.
    pub targets: Vec<SocketAddr>,
    /// The other addresses of a target's name, for when the one among the targets refuses.
    pub alternatives: HashMap<SocketAddr, Vec<SocketAddr>>,
    /// Where datagrams leave from; `None` leaves it to the system.
    pub from: Option<SourceAddress>,
    /// Datagrams a time, over all targets; the highest rate of a profile.
    pub rate: Rate,
    /// How the rate goes over the load, if it is not one.
    pub profile: Option<Profile>,
    /// How datagrams arrive that have a rate.
    pub arrival: Arrival,
    /// Length of the measured part.
    pub duration: Nanos,
    /// Length of the part before it that is not counted.
    pub warm_up: Nanos,
    /// How long to wait for answers at the end.
    pub drain: Drain,
    /// After this time an answer is late.
    pub timeout: Nanos,
    /// How targets take turns.
    pub distribution: Distribution,
    /// Our own ports that take turns. Each of them has a stream to each target, with books of its own.
    pub flows: u32,
    /// Threads among which the flows are divided.
    pub threads: u32,
    /// The processors that the threads keep to, one for each; empty leaves it to the system.
    pub pin: Vec<u32>,
    /// Whether datagrams leave and come as trains.
    pub gso: Gso,
    /// Whose clock says when an answer came.
    pub rx_time: RxTime,
    /// How to wait for a planned time.
    pub pacing: Pacing,
    /// Octets of payload.
    pub payload: usize,
    /// Octets of the whole datagram, if more than the payload needs.
    pub size: Option<usize>,
    /// What an answer looks like.
    pub expect: Expect,
    /// Sizes of whole datagrams, each with its share, instead of one.
    pub sizes: Option<Mix>,
    /// The datagrams themselves, for targets that want no frames.
    pub text: Option<Vec<u8>>,
    /// What makes the datagrams themselves, where each has another text.
    pub template: Option<Template>,
    /// In a closed loop, datagrams that wait for answers at once: the next one leaves when one of them is answered or times out.
    pub in_flight: Option<u64>,
    /// DSCP and congestion bits of what is sent.
    pub tos: Option<u8>,
    /// Hops that what is sent may make.
    pub ttl: Option<NonZeroU8>,
    /// Ask the targets when they received and answered.
    pub one_way: bool,
    /// The targets are reflectors of STAMP.
    pub stamp: Option<Stamp>,
    /// The control socket of the daemon that serves the targets, where they answer nothing.
    pub books: Option<PathBuf>,
    /// Percentiles to be read besides the usual ones.
    pub percentiles: Vec<Percent>,
    /// Ask every target for an answer before the load.
    pub handshake: bool,
    /// Most datagrams without answer and not timed out.
    pub max_in_flight: u64,
    /// Length of an interval of the results.
    pub interval: Nanos,
    /// When the load with its warm-up begins, as a span since 1970-01-01 UTC; `None` is at once.
    pub start_at: Option<Duration>,
    /// Which part of the targets is ours; `targets` and `rate` are that part's already.
    pub shard: Option<Shard>,
    /// Seed of ids and of random turns.
    pub seed: u64,
    /// Seals frames, both ways.
    pub key: Option<Key>,
}

/// What an answer looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Expect {
    /// A reply of PPT/1
    #[default]
    Reply,
    /// Our own frame, sent back as it is
    Echo,
    /// Whatever comes from the target: it gets plain text, and each answer counts for the oldest datagram of its port
    Any,
    /// Nothing comes: what arrived is asked of the daemon that serves the targets (--books)
    Nothing,
    /// A packet of a reflector of STAMP or TWAMP Light
    #[value(skip)]
    Stamp,
}

/// How long after its timeout a datagram is remembered, so that a late answer is known for what it is.
const LATE_MEMORY: Nanos = 4 * SECOND;

/// Datagrams remembered over all streams: 64 octets each, so 256 MB at most.
const MOST_REMEMBERED: u64 = 1 << 22;

impl Config {
    /// Refuses what cannot work, and, unless `owned`, what could hurt others.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, owned: bool) -> Result<(), ExitError> {
        let size = self.shape().size();
        if size > MAX_DATAGRAM - IP_AND_UDP {
            return Err(ExitError::usage(format!(
                "a datagram of {size} octets does not fit into an IP packet: at most {}",
                MAX_DATAGRAM - IP_AND_UDP
            )));
        }
        if let Some(wanted) = self.size.filter(|wanted| *wanted < self.shape().least()) {
            return Err(ExitError::usage(format!(
                "--size {wanted} is too small: header, options and payload have {} octets",
                self.shape().least()
            )));
        }
        if let Some(Err(small)) = self.sizes.clone().map(|sizes| sizes.at_least(self.shape().shortest())) {
            return Err(ExitError::usage(format!(
                "--sizes has {small}, and a datagram has {} octets at least: a shorter --payload makes them shorter",
                self.shape().shortest()
            )));
        }
        if let Some(most) = self.in_flight.filter(|most| *most < u64::from(self.threads)) {
            return Err(ExitError::usage(format!(
                "--in-flight {most} cannot be divided among {} threads, each of which has a closed loop of its own: raise it or lower \
                 --threads",
                self.threads
            )));
        }
        if let Some(most) = self.in_flight.filter(|most| *most > self.max_in_flight) {
            return Err(ExitError::usage(format!(
                "--in-flight {most} is above --max-in-flight {}, beyond which nothing is sent: raise --max-in-flight",
                self.max_in_flight
            )));
        }
        if matches!(self.expect, Expect::Any | Expect::Nothing) && self.key.is_some() {
            return Err(ExitError::usage(
                "--expect any and nothing send plain text, and a key seals frames only: leave one of them out",
            ));
        }
        if self.expect == Expect::Nothing && self.in_flight.is_some() {
            return Err(ExitError::usage("--in-flight waits for answers, and --expect nothing has none"));
        }
        if self.timeout == 0 {
            return Err(ExitError::usage(
                "with --timeout 0 every answer would be late, and every datagram behind: give a timeout above zero",
            ));
        }
        for target in self.targets.iter().chain(self.alternatives.values().flatten()) {
            let ip = target.ip();
            let multicast = ip.is_multicast() || ip == IpAddr::V4(std::net::Ipv4Addr::BROADCAST);
            if multicast || ip.is_unspecified() {
                return Err(ExitError::usage(format!(
                    "`{target}` is no address of one host: for groups there is polyport-cast"
                )));
            }
            if !owned && !is_private(ip) {
                return Err(ExitError::usage(format!(
                    "`{target}` is neither loopback nor a private network: load on other people's servers is an \
                     attack; if it is yours, say so with --i-own-the-target"
                )));
            }
        }
        Ok(())
    }

    /// The address to bind for sending to `target`.
    #[must_use]
    pub fn own(&self, target: SocketAddr) -> SocketAddr {
        SourceArgs { from: self.from }.towards(target)
    }

    /// The address to bind for the `n`th of our ports towards `target`. A port that the user chose is the first one, and the
    /// next ones follow.
    ///
    /// # Errors
    /// There is no such port.
    pub fn own_of_port(&self, target: SocketAddr, n: usize) -> Result<SocketAddr, ExitError> {
        let mut own = self.own(target);
        if own.port() != 0 {
            let port = u16::try_from(n).ok().and_then(|n| own.port().checked_add(n)).ok_or_else(|| {
                let ports: usize = self.parts().map(|part| self.ports(part)).sum();
                ExitError::usage(format!(
                    "{ports} ports from {} on are more than there are: lower --flows",
                    own.port()
                ))
            })?;
            own.set_port(port);
        }
        Ok(own)
    }

    /// The datagrams of the run.
    #[must_use]
    pub fn shape(&self) -> Shape {
        let shape = match (&self.template, &self.text, self.expect) {
            (Some(template), ..) => Shape::template(template.clone()),
            (None, Some(text), _) => Shape::text(text.clone()),
            (None, None, Expect::Any | Expect::Nothing) => {
                let len = self.size.unwrap_or(self.payload);
                let len = self.sizes.as_ref().map_or(len, Mix::largest);
                Shape::text((b'a'..=b'z').cycle().take(len).collect())
            }
            (None, None, Expect::Stamp) => {
                Shape::stamp(Codec::new(&self.stamp.clone().unwrap_or_default()), self.size)
            }
            (None, None, Expect::Reply | Expect::Echo) => {
                Shape::new(self.payload, self.size, self.expect == Expect::Reply, self.key.clone())
            }
        };
        let shape = if self.one_way && self.expect == Expect::Reply { shape.timed() } else { shape };
        match self.sizes.clone().map(|sizes| sizes.at_least(shape.shortest())) {
            Some(Ok(sizes)) => shape.mixed(sizes),
            // What is too small is refused before a run starts.
            Some(Err(_)) | None => shape,
        }
    }

    /// What each thread has.
    pub fn parts(&self) -> impl Iterator<Item = Part> + use<> {
        let (threads, flows) = (self.threads.max(1), self.flows.max(1));
        (0..threads).map(move |index| Part::new(index, threads, flows))
    }

    /// Our own ports of a part for each family of addresses: one for each flow. Where a port is all that tells the streams to
    /// a target apart, handshake and warm-up need one as well.
    #[must_use]
    pub fn ports(&self, part: Part) -> usize {
        part.flows() as usize + self.practice_ports()
    }

    /// Our own ports of the parts before this one.
    #[must_use]
    pub fn ports_before(&self, part: Part) -> usize {
        part.before() as usize + part.index() as usize * self.practice_ports()
    }

    fn practice_ports(&self) -> usize {
        usize::from(matches!(self.expect, Expect::Any | Expect::Stamp))
    }

    /// When datagrams leave from `start` on: those of the load, or those of a warm-up, which has the rate that the load begins with.
    #[must_use]
    pub fn arrivals(&self, start: Nanos, duration: Nanos, practice: bool) -> Arrivals {
        let even = |rate: Rate| {
            let per_second = rate.per_second();
            Profile::new(vec![Piece { from: per_second, to: per_second, duration }])
        };
        let rate = match (&self.profile, practice) {
            (Some(profile), false) => return Arrivals::new(start, profile.clone(), self.arrival, self.seed),
            (Some(profile), true) => Rate { count: profile.first(), period: SECOND },
            (None, _) => self.rate,
        };
        if self.arrival == Arrival::Constant || duration == 0 {
            return Arrivals::even(start, rate, duration);
        }
        // Other draws than those of the load.
        Arrivals::new(start, even(rate), self.arrival, if practice { !self.seed } else { self.seed })
    }

    /// Who gets which datagram.
    #[must_use]
    pub fn turns(&self) -> Turns {
        Turns {
            distribution: self.distribution,
            targets: self.targets.len() as u64,
            streams: self.flows,
            seed: self.seed,
        }
    }

    /// The books of a part of the run. All parts draw the same from `rng`: ids follow from the seed and the stream alone.
    #[must_use]
    pub fn books(&self, rng: &mut impl Rng, part: Part) -> LedgerConfig {
        let targets = (self.targets.len() as u64).max(1);
        let all = u64::from(part.all());
        let first = targets * (u64::from(part.index()) + u64::from(part.before()));
        LedgerConfig {
            targets: self.targets.clone(),
            streams: part.flows(),
            ring: self.ring(self.duration, targets * all),
            practice_ring: self.ring(self.warm_up, targets * u64::from(part.of())),
            timeout: self.timeout,
            max_in_flight: part.share(self.max_in_flight),
            first: u32::try_from(first).unwrap_or(u32::MAX),
            first_stream_id: rng.next_u32(),
            epoch: rng.next_u64(),
            ids: Ids::new(rng),
            by_port: self.practice_ports() > 0,
            numbering: self.stamp.as_ref().map(|stamp| stamp.settings.reflector),
            nameless: matches!(self.expect, Expect::Any | Expect::Stamp | Expect::Nothing)
                && self.sizes.is_none()
                && self.template.is_none(),
        }
    }

    /// Datagrams of a burst, if there are bursts.
    const fn at_once(&self) -> u64 {
        match self.arrival {
            Arrival::Burst(count) => count,
            Arrival::Constant | Arrival::Poisson => 0,
        }
    }

    /// Datagrams that each of `streams` streams has to remember. Random turns are uneven, hence the double.
    fn ring(&self, duration: Nanos, streams: u64) -> usize {
        let remembered = self.timeout.saturating_add(LATE_MEMORY).min(duration);
        let expected = match self.in_flight {
            // A burst comes at once, however few there are in the mean, and a time has one more of them than fit into it.
            None => self.rate.total(remembered).saturating_add(self.at_once()).min(self.rate.total(duration)),
            // How fast a closed loop is, nobody knows before.
            Some(most) => most.saturating_mul(4).max(CLOSED_LOOP),
        };
        let share = (expected / streams.max(1) * 2).saturating_add(UNEVENNESS);
        usize::try_from(share.min(MOST_REMEMBERED / streams.max(1)).max(1)).unwrap_or(1)
    }
}

/// Headers of IPv4 and UDP, octets.
const IP_AND_UDP: usize = 28;

/// Datagrams that a closed loop remembers at least, over all streams: those of a second at a rate that is high for one.
const CLOSED_LOOP: u64 = 1 << 17;

/// Datagrams a stream remembers on top of its share: small shares deviate most, and the handshake needs some.
const UNEVENNESS: u64 = 64;

/// Loopback, the private networks of RFC 1918 and RFC 4193, and link-local addresses.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => is_private(IpAddr::V4(ip)),
            None => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        },
    }
}

#[cfg(test)]
pub(crate) fn example(targets: Vec<SocketAddr>) -> Config {
    Config {
        targets,
        alternatives: HashMap::new(),
        from: None,
        rate: Rate { count: 1000, period: SECOND },
        profile: None,
        arrival: Arrival::Constant,
        duration: SECOND,
        warm_up: 0,
        drain: Drain::Fixed(0),
        timeout: SECOND,
        distribution: Distribution::RoundRobin,
        flows: 1,
        threads: 1,
        pin: Vec::new(),
        gso: Gso::Auto,
        rx_time: RxTime::Tester,
        pacing: Pacing::Sleep,
        payload: 32,
        size: None,
        expect: Expect::Reply,
        sizes: None,
        text: None,
        template: None,
        in_flight: None,
        tos: None,
        ttl: None,
        one_way: false,
        stamp: None,
        books: None,
        percentiles: Vec::new(),
        handshake: true,
        max_in_flight: 1000,
        interval: SECOND,
        start_at: None,
        shard: None,
        seed: 1,
        key: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::generator;

    #[test]
    fn only_own_ground_is_loaded_unasked() {
        let check = |target: &str, owned| example(vec![target.parse().unwrap()]).check(owned);
        for target in ["127.0.0.1:1", "10.1.2.3:1", "172.31.0.1:1", "192.168.1.1:1", "[::1]:1", "[fd00::1]:1"]
        {
            check(target, false).unwrap();
        }
        for target in ["192.0.2.1:1", "172.32.0.1:1", "[2001:db8::1]:1", "[::ffff:192.0.2.1]:1"] {
            assert!(check(target, false).unwrap_err().to_string().contains("--i-own-the-target"), "{target}");
            check(target, true).unwrap();
        }
        for target in ["239.1.2.3:1", "255.255.255.255:1", "0.0.0.0:1", "[ff02::1]:1", "[::]:1"] {
            assert!(check(target, true).is_err(), "{target}");
        }
    }

    #[test]
    fn sizes_are_those_of_datagrams() {
        let config = example(vec!["127.0.0.1:1".parse().unwrap()]);
        let check = |payload, size| Config { payload, size, ..config.clone() }.check(false).is_ok();
        assert!(check(32, Some(100)) && !check(32, Some(99)));
        assert!(check(65_507 - 44 - 24, None) && !check(65_507 - 44 - 23, None));
    }

    #[test]
    fn a_stream_remembers_what_may_still_be_answered() {
        let config = example(vec!["127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap()]);
        let long = Config { duration: 100 * SECOND, ..config };
        let books = |config: &Config| config.books(&mut generator(Some(1)), Part::whole(1));
        let ring = |config: &Config| books(config).ring;
        assert_eq!(ring(&long), 5064, "half of 5 s at 1000/s, doubled, and 64");
        let short = Config { duration: SECOND / 10, ..long.clone() };
        assert_eq!((ring(&short), books(&short).practice_ring), (164, 64));
        let bursts = Config { arrival: Arrival::Burst(10_000), ..long.clone() };
        assert_eq!(ring(&bursts), 15_064, "half of 5 s at 1000/s and of a burst, doubled, and 64");
        let one_burst = Config { arrival: Arrival::Burst(10_000), ..short };
        assert_eq!(ring(&one_burst), 164, "no more than all");
        let absurd = Config { rate: Rate::parse("1000M/s").unwrap(), ..long };
        assert_eq!(ring(&absurd) as u64, MOST_REMEMBERED / 2);
    }

    #[test]
    fn plain_text_is_as_long_as_asked_and_is_not_sealed() {
        let config = Config { expect: Expect::Any, ..example(vec!["127.0.0.1:1".parse().unwrap()]) };
        let shape = |payload, size| Config { payload, size, ..config.clone() }.shape();
        assert_eq!(
            (shape(32, None).size(), shape(32, Some(5)).size(), config.ports(Part::whole(1))),
            (32, 5, 2)
        );
        let given = Config { text: Some(b"how long is this?".to_vec()), flows: 3, ..config.clone() };
        assert_eq!((given.shape().size(), given.ports(Part::whole(3))), (17, 4));
        given.check(false).unwrap();
        let long = Config { text: Some(vec![b'x'; 65_508]), ..config.clone() };
        assert!(long.check(false).unwrap_err().to_string().contains("65508 octets does not fit"));
        let sealed = Config { key: Some(Key::siphash(1, [0; 16])), ..config };
        assert!(sealed.check(false).unwrap_err().to_string().contains("--expect any"));
    }
}
