//! Answers PPT/1 requests, as `protocol/SPEC.md` says: at most once, never longer than asked, with statistics.
//!
//! ```toml
//! plugin = "responder"
//! service = "upper"
//! auth = "siphash"
//! key = "000102030405060708090a0b0c0d0e0f"
//! ```
//!
//! ```text
//! datagram -> here     which class, which kind, from whom; one reply at most
//!          -> streams  statistics and replay windows, in tables of bounded size
//!          -> cache    was this request executed before? then its reply once more
//!          -> service  echo, time, upper, sum
//!          -> egress   may it leave: length, cookies, groups, errors a second
//!          -> reply    which options fit; written into the host's memory
//! ```
//!
//! # What the specification leaves open
//!
//! - A request is executed before its reply is measured, since only then its length is known. A reply that is too
//!   long for an unvalidated peer stays in the cache, and the request that comes back with a COOKIE gets it:
//!   still executed once. (With flag I, or `idempotent`, nothing is kept and it is executed again.)
//! - A COOKIE that is not valid counts as none if the reply fits without one. If not, the answer is ERROR 19 with a
//!   fresh COOKIE, in the room of the old one.
//! - `rcount` counts REQUEST and PROBE frames; `window` shows every number seen, those of events and of
//!   warm-up frames as well. A warm-up frame moves neither `rcount` nor `rseq`.
//! - The text of an ERROR is left out as a whole if it does not fit.
//! - Work on a request ends within the call, so a duplicate never finds it in progress here, some entry can always
//!   be evicted, and ERROR 16 is not sent.
//! - All attempts of a request have one seq, so each attempt number of an authenticated stream has a replay window
//!   of its own: see [`streams::Windows`].
//! - With a key, a request to a group is answered only if it may be executed twice: an ERROR that asks for a COOKIE
//!   never goes to a group.
//! - A peer, for `cache_per_peer`, is one address and port.
//! - The handler does not know the daemon's other addresses ([P-46]). A frame from another responder of the same
//!   daemon has flag R and is dropped for that.
//! - The secret of cookies comes from the operating system, whatever the seed, unless `cookie_secret` gives it. It
//!   survives a reload; the reply cache and the statistics survive a change of options but
//!   not a new library.
#![forbid(unsafe_code)]

mod arena;
pub mod bucket;
pub mod cache;
pub mod config;
pub mod counters;
pub mod egress;
pub mod loops;
pub mod reply;
pub mod service;
pub mod streams;

use std::fmt;
use std::hash::Hasher;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use polyport_plugin::Rng;
use polyport_plugin::prelude::*;
use polyport_protocol::{Code, CookieSecrets, DecodeError, Decoder, Flags, Frame, Kind, Role};
use siphasher::sip::SipHasher24;

use bucket::ErrorBuckets;
use cache::{Lookup, Peer, ReplyCache, RequestKey};
use config::Group;
use counters::Counters;
use egress::{BatchContext, Egress, Received};
use streams::{Streams, Windows};

pub use config::{ResponderConfig, Settings};

/// The handler of one listener.
#[derive(Debug)]
pub struct Responder {
    egress: Egress,
    cache: ReplyCache,
    windows: Windows,
    listener: SocketAddr,
    /// When cookies count from, nanoseconds of the monotonic clock: the start of the first of the instances that handed
    /// this secret on.
    since_ns: u64,
    /// Key of the digests in the cache.
    digest_key: Secret,
    /// Current secret of the cookies, for the successor.
    cookie_secret: Secret,
    /// The payload of the reply being made; kept so that it need not be allocated each time.
    scratch: Vec<u8>,
}

/// What the secret bytes of the instance are drawn for.
const COOKIES: u64 = 1;
const DIGESTS: u64 = 2;
const ERRORS: u64 = 4;
/// What the seed is drawn for.
const CHOICES: u64 = 3;

/// A listener whose address is not known.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Version of what [`Handler::save`] writes: the 16 octets of the secret of the cookies, and in 8 octets, big-endian, the
/// time from which they count.
const STATE_VERSION: u32 = 2;

impl Handler for Responder {
    type Config = ResponderConfig;

    fn check(config: &ResponderConfig) -> Result<()> {
        Settings::new(config).map(drop)
    }

    fn new(config: ResponderConfig, setup: &mut Setup<'_>) -> Result<Self> {
        let settings = Settings::new(&config)?;
        let entropy = setup.secret();
        let saved = setup.state().filter(|(version, _)| *version == STATE_VERSION);
        let (saved, since_ns) = saved.and_then(|(_, state)| read_state(state)).unzip();
        let secret = config::cookie_secret(&config)?.or(saved).unwrap_or_else(|| draw(&entropy, COOKIES));
        let mut cookies = CookieSecrets::new(saved.unwrap_or(secret));
        if saved.is_some_and(|saved| saved != secret) {
            cookies.rotate(secret);
        }
        Ok(Self {
            cache: ReplyCache::new(settings.cache, [setup.reservation(), setup.reservation()]),
            windows: Windows::new(setup.reservation()),
            since_ns: since_ns.filter(|since| *since <= setup.now_ns()).unwrap_or_else(|| setup.now_ns()),
            listener: setup.local().unwrap_or(NOWHERE),
            digest_key: Secret(draw(&entropy, DIGESTS)),
            cookie_secret: Secret(secret),
            scratch: Vec::new(),
            egress: Egress {
                errors: ErrorBuckets::new(
                    settings.errors_per_second,
                    halves(draw(&entropy, ERRORS)),
                    setup.reservation(),
                ),
                settings,
                counters: Counters::new(setup),
                streams: Streams::new(setup.reservation()),
                cookies,
                rng: Rng::new(choices_seed(setup.seed())),
            },
        })
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        let context = BatchContext {
            now_ns: batch.now_ns(),
            wall_ns: batch.wall_ns(),
            max_payload: batch.max_payload(),
            listener: self.listener,
        };
        self.egress.cookies.set_not_before(context.cookie_time_after(self.since_ns));
        for datagram in batch.datagrams() {
            if !self.serve(&datagram, &context) {
                datagram.discard();
            }
        }
        let (tally, streams) = (self.cache.take_tally(), self.egress.streams.remembered());
        self.egress.counters.tables(tally, self.cache.entries(), self.cache.bytes(), streams);
    }

    fn reconfigure(&mut self, config: ResponderConfig) -> Result<()> {
        let settings = Settings::new(&config)?;
        if let Some(secret) = config::cookie_secret(&config)?
            && secret != self.cookie_secret.0
        {
            self.egress.cookies.rotate(secret);
            self.cookie_secret = Secret(secret);
        }
        self.cache.set_limits(settings.cache);
        self.egress.errors.set_rate(settings.errors_per_second);
        self.egress.settings = settings;
        Ok(())
    }

    fn save(&self, out: &mut Vec<u8>) -> u32 {
        out.extend_from_slice(&self.cookie_secret.0);
        out.extend_from_slice(&self.since_ns.to_be_bytes());
        STATE_VERSION
    }
}

impl Responder {
    /// Serves one datagram. False if it is dropped.
    fn serve(&mut self, datagram: &Datagram<'_>, context: &BatchContext) -> bool {
        let decoder = Decoder::new(Role::Responder).with_integrity(self.egress.settings.integrity());
        match decoder.decode_received(datagram.payload(), datagram.is_truncated()) {
            Ok(frame) => self.accept(&frame, datagram, context),
            Err(class) => {
                self.egress.counters.malformed(class);
                // Every other class is dropped in silence.
                (class == DecodeError::UnknownVersion && self.egress.unknown_version(datagram, context))
                    || (class == DecodeError::UnknownCritical
                        && self.egress.unknown_critical(datagram, context))
            }
        }
    }

    /// Takes a frame that is whole. False if it is dropped.
    fn accept(&mut self, frame: &Frame<'_>, datagram: &Datagram<'_>, context: &BatchContext) -> bool {
        let header = *frame.header();
        if let Some(key_id) = frame.options().key_id() {
            match self.windows.accept(key_id, header.stream_id, header.attempt, header.seq) {
                Ok(forgot) => self.egress.counters.windows_forgotten.add(forgot.into()),
                Err(error) => {
                    self.egress.counters.malformed(error.into());
                    return false;
                }
            }
        }
        let mut received = Received { datagram, context, header, cookie: None, seen: None };
        let counters = &self.egress.counters;
        match (received.counts(), header.kind) {
            (false, _) => counters.warm_up.add(1),
            (true, Kind::Request) => counters.requests.add(1),
            (true, Kind::Probe) => counters.probes.add(1),
            (true, _) => counters.events.add(1),
        }
        let event = header.kind == Kind::Event;
        if !event && !self.egress.answerable(datagram, context) {
            return false;
        }
        if !event && received.group() && self.egress.settings.group == Group::Ignore {
            counters.group_ignored.add(1);
            return false;
        }
        let seen = self.egress.streams.see(received.stream(), header.seq, received.counts() && !event);
        self.egress.counters.streams_forgotten.add(seen.forgot.into());
        received.seen = Some(seen);
        match header.kind {
            Kind::Request => self.request(frame, &mut received),
            Kind::Probe => self.egress.acknowledge(&received),
            // The decoder lets no reply pass here, and no private kind.
            Kind::Event
            | Kind::Version
            | Kind::Response
            | Kind::Error
            | Kind::ProbeAck
            | Kind::Private(_) => event,
        }
    }

    /// Answers a REQUEST.
    fn request(&mut self, frame: &Frame<'_>, received: &mut Received<'_, '_>) -> bool {
        received.cookie = frame.options().cookie().map(|cookie| {
            self.egress.cookies.check(&cookie, &received.scope(), received.context.cookie_time())
        });
        if let Some(state) = received.cookie {
            self.egress.counters.cookies_valid.add(state.is_valid().into());
            self.egress.counters.cookies_invalid.add((!state.is_valid()).into());
            if state.is_valid() {
                received.datagram.prove_peer();
            }
        }
        if self.egress.settings.idempotent || received.header.flags.contains(Flags::IDEMPOTENT) {
            let code = self.execute(frame, received);
            return self.egress.respond(received, code, &self.scratch);
        }
        let proves_address = received.cookie.is_some_and(polyport_protocol::CookieState::is_valid);
        let has_key = self.egress.settings.key.is_some();
        if has_key && !proves_address {
            return self.egress.challenge(received);
        }
        let of = if proves_address { Peer::Proved } else { Peer::Unproved };
        let streams::StreamKey { peer, local_port, stream_id } = received.stream();
        let key = RequestKey { peer, local_port, stream_id, request_id: received.header.request_id };
        let digest = digest(&self.digest_key, frame);
        match self.cache.begin(key, digest, of, received.context.now_ns) {
            Lookup::New(ticket) => {
                let code = self.execute(frame, received);
                self.cache.finish(ticket, code, &self.scratch, received.context.now_ns);
                self.egress.respond(received, code, &self.scratch)
            }
            Lookup::Done(stored) => {
                self.egress.counters.duplicates_answered.add(received.counts().into());
                self.egress.respond(received, stored.code, &stored.payload)
            }
            Lookup::InProgress => {
                self.egress.counters.duplicates_dropped.add(1);
                false
            }
            Lookup::Conflict => self.egress.conflict(received),
            Lookup::Full => self.egress.busy(received),
        }
    }

    /// Executes the request; the payload of the reply is in `scratch` then.
    fn execute(&mut self, frame: &Frame<'_>, received: &Received<'_, '_>) -> Code {
        self.egress.counters.executed.add(received.counts().into());
        self.scratch.clear();
        self.egress.settings.service.execute(frame.payload(), received.context.wall_ns, &mut self.scratch)
    }
}

/// 16 octets that are not to be printed.
struct Secret([u8; 16]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// `SipHash` of the kind and exactly the payload ([P-68]).
fn digest(key: &Secret, frame: &Frame<'_>) -> u64 {
    let mut hasher = SipHasher24::new_with_key(&key.0);
    hasher.write(&[frame.header().kind.to_octet()]);
    hasher.write(frame.payload());
    hasher.finish()
}

/// What [`Handler::save`] wrote.
fn read_state(state: &[u8]) -> Option<([u8; 16], u64)> {
    let (secret, since) = state.split_first_chunk::<16>()?;
    Some((*secret, u64::from_be_bytes(since.try_into().ok()?)))
}

/// 16 octets derived from others, different for each purpose. Nobody can compute the others from them: the delays of
/// answers to a group show random numbers to everybody.
fn draw(from: &[u8], purpose: u64) -> [u8; 16] {
    let (low, high) = from.split_at_checked(from.len().min(16)).unwrap_or_default();
    let mut key = [0; 16];
    key.iter_mut().zip(low).for_each(|(to, octet)| *to = *octet);
    let half = |number: u8| {
        let mut hasher = SipHasher24::new_with_key(&key);
        hasher.write(high);
        hasher.write(&purpose.to_be_bytes());
        hasher.write(&[number]);
        hasher.finish().to_be_bytes()
    };
    let mut octets = [0; 16];
    let (low, high) = octets.split_at_mut(8);
    low.copy_from_slice(&half(0));
    high.copy_from_slice(&half(1));
    octets
}

/// The seed of the random numbers that peers can see. Only they come from the seed of the configuration, which others
/// may know: secrets never do.
fn choices_seed(seed: u64) -> u64 {
    halves(draw(&seed.to_be_bytes(), CHOICES)).0
}

fn halves(octets: [u8; 16]) -> (u64, u64) {
    let whole = u128::from_be_bytes(octets);
    #[expect(clippy::cast_possible_truncation, reason = "one half each")]
    ((whole >> 64) as u64, whole as u64)
}

describe_plugin!(
    Responder,
    "responder",
    "Answers PPT/1 requests: at most once, never longer than asked, with statistics"
);

#[cfg(test)]
mod tests;
