//! The options of the plugin, and what they mean together.

use std::fmt;
use std::time::Duration;

use data_encoding::HEXLOWER_PERMISSIVE;
use polyport_plugin::{Error, Size, choices, config};
use polyport_protocol::{Integrity, Key};

use crate::cache::Limits;
use crate::service::Service;

choices! {
    /// How frames are sealed.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Auth {
        /// With a CRC.
        Off = "off",
        /// With SipHash-2-4 and a key of 16 octets.
        Siphash = "siphash",
        /// With HMAC-SHA-256 and a key of 16 octets or more.
        Hmac = "hmac",
    }
}

choices! {
    /// What happens to a request that was sent to a multicast or broadcast address.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Group {
        /// Nothing.
        Ignore = "ignore",
        /// It is answered at a random moment, never with an error.
        Answer = "answer",
    }
}

choices! {
    /// How long a `PROBE_ACK` is.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum ProbeAck {
        /// 52 octets, so that a search measures the way to the responder only.
        Short = "short",
        /// As long as the PROBE, so that a search measures both ways.
        Padded = "padded",
    }
}

config! {
    /// Options of the plugin.
    #[derive(Clone)]
    pub struct ResponderConfig {
        service: Service = "echo", "What a request is answered with: its payload, Unix time, the payload in upper case, or the sum of the integers in it";
        idempotent: bool = false, "Executing a request twice does no harm: keep no replies";
        auth: Auth = "off", "How frames are sealed; with a key, frames without a tag are dropped";
        key: Option<String> = none, "Shared key in hexadecimal digits", secret;
        key_id: u32 = 1, "Number of the key in frames";
        cookie_secret: Option<String> = none, "Secret of 16 octets for cookies, in hexadecimal digits; without it the operating system gives one", secret;
        unlimited_when_validated: bool = false, "With a valid cookie a reply may have any length, instead of three times that of the request";
        group: Group = "ignore", "Whether requests to a multicast or broadcast address are answered";
        group_leisure: Duration = "500ms", "Answers to a group are spread over this time", max = LONGEST_LEISURE_NS;
        probe_ack: ProbeAck = "short", "Whether answers to probes are padded to the length of the probe";
        cache_entries: u32 = 65536, "Replies kept at most", min = 1, max = MOST_ENTRIES;
        cache_bytes: Size = "16MiB", "Payload of all replies kept at most", min = LEAST_BYTES, max = MOST_BYTES;
        cache_per_peer: u32 = 1024, "Replies kept for one address and port at most", min = 1, max = MOST_ENTRIES;
        cache_ttl: Duration = "120s", "Time a reply is kept", max = LONGEST_TTL_NS;
        errors_per_second: u32 = 100, "ERROR and VERSION frames a second at most, of each kind and to each prefix (/24, /56)", max = 1_000_000;
    }
}

/// One minute: a client has given up by then.
const LONGEST_LEISURE_NS: u64 = 60_000_000_000;
/// About 400 MB of entries; beyond that the tables of this plugin are the wrong place.
const MOST_ENTRIES: u32 = 2_000_000;
/// Every payload of a datagram fits, so no reply is too long to be kept.
const LEAST_BYTES: u64 = 65_536;
/// 4 GiB: a larger number is a mistake in the unit.
const MOST_BYTES: u64 = 4 << 30;
/// One day.
const LONGEST_TTL_NS: u64 = 86_400_000_000_000;

/// The configuration, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What a request is answered with.
    pub service: Service,
    /// Whether requests may be executed twice.
    pub idempotent: bool,
    /// The key of both directions.
    pub key: Option<Key>,
    /// Whether a valid cookie lifts the limit.
    pub unlimited_when_validated: bool,
    /// What happens to requests to a group.
    pub group: Group,
    /// Over which time answers to a group are spread.
    pub group_leisure: Duration,
    /// How long answers to probes are.
    pub probe_ack: ProbeAck,
    /// What the reply cache may hold.
    pub cache: Limits,
    /// How many ERROR and VERSION frames of each kind leave in a second to each prefix.
    pub errors_per_second: u32,
}

impl Settings {
    /// Checks the options against each other.
    ///
    /// # Errors
    /// Names the option at fault.
    pub fn new(config: &ResponderConfig) -> Result<Self, Error> {
        cookie_secret(config)?;
        let bytes = usize::try_from(config.cache_bytes.0).unwrap_or(usize::MAX);
        Ok(Self {
            service: config.service,
            idempotent: config.idempotent,
            key: key(config)?,
            unlimited_when_validated: config.unlimited_when_validated,
            group: config.group,
            group_leisure: config.group_leisure,
            probe_ack: config.probe_ack,
            cache: Limits {
                entries: usize::try_from(config.cache_entries).unwrap_or(usize::MAX),
                bytes,
                per_peer: usize::try_from(config.cache_per_peer).unwrap_or(usize::MAX),
                ttl_ns: u64::try_from(config.cache_ttl.as_nanos()).unwrap_or(u64::MAX),
            },
            errors_per_second: config.errors_per_second,
        })
    }

    /// How frames are checked.
    #[must_use]
    pub fn integrity(&self) -> Integrity<'_> {
        self.key.as_ref().map_or(Integrity::Checksum, |key| Integrity::Keys(std::slice::from_ref(key)))
    }

    /// Octets of an AUTH option in a reply: the tag, 2 + 4 octets before it and 2 behind.
    #[must_use]
    pub fn auth_len(&self) -> usize {
        self.key.as_ref().map_or(0, |key| key.tag_len() + 8)
    }
}

/// The configured secret for cookies.
///
/// # Errors
/// It has not 32 hexadecimal digits.
pub fn cookie_secret(config: &ResponderConfig) -> Result<Option<[u8; 16]>, Error> {
    let Some(text) = &config.cookie_secret else { return Ok(None) };
    sixteen("cookie_secret", text).map(Some)
}

fn key(config: &ResponderConfig) -> Result<Option<Key>, Error> {
    match (config.auth, &config.key) {
        (Auth::Off, None) => Ok(None),
        (Auth::Off, Some(_)) => {
            Err(Error::option("key", "is of no use with auth = \"off\": set auth to siphash or hmac"))
        }
        (Auth::Siphash | Auth::Hmac, None) => {
            Err(Error::option("auth", "needs a key: give one in hexadecimal digits"))
        }
        (Auth::Siphash, Some(text)) => Ok(Some(Key::siphash(config.key_id, sixteen("key", text)?))),
        (Auth::Hmac, Some(text)) => {
            let key = Key::hmac_sha256(config.key_id, &octets("key", text)?);
            key.map(Some).map_err(|error| Error::option("key", error))
        }
    }
}

fn sixteen(option: &str, text: &str) -> Result<[u8; 16], Error> {
    let octets = octets(option, text)?;
    let wrong =
        |octets: Vec<u8>| Error::option(option, format_args!("must have 16 octets, not {}", octets.len()));
    octets.try_into().map_err(wrong)
}

/// Never quotes the text: it is a secret.
fn octets(option: &str, text: &str) -> Result<Vec<u8>, Error> {
    let octets = HEXLOWER_PERMISSIVE.decode(text.as_bytes());
    octets.map_err(|_| Error::option(option, "must be pairs of hexadecimal digits"))
}

impl fmt::Debug for ResponderConfig {
    /// Leaves the secrets out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponderConfig")
            .field("service", &self.service)
            .field("auth", &self.auth)
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}
