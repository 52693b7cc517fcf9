//! The options of the plugin, and what they mean together.

use std::fmt;
use std::time::Duration;

use polyport_plugin::{Error, choices, config};

use crate::packet::{Layout, OPEN, Request, SEALED};
use crate::seal::Seal;
use crate::timestamp::Format;

choices! {
    /// Which number a packet gets that goes back.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Mode {
        /// That of the packet that came.
        Stateless = "stateless",
        /// How many have gone back before in its session.
        Stateful = "stateful",
    }
}

choices! {
    /// How test packets are sealed.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Auth {
        /// Not at all: the unauthenticated mode.
        Off = "off",
        /// With HMAC-SHA-256 and a key of 16 octets or more: the authenticated mode.
        Hmac = "hmac",
    }
}

choices! {
    /// The format of timestamps.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Timestamps {
        /// That of the sender.
        Same = "same",
        /// NTP.
        Ntp = "ntp",
        /// The truncated format of PTP version 2.
        Ptp = "ptp",
    }
}

config! {
    /// Options of the plugin.
    #[derive(Clone)]
    pub struct StampConfig {
        mode: Mode = "stateless", "Which number an answer gets: that of its request, or the count of its session, which tells on which way packets are lost";
        auth: Auth = "off", "How packets are sealed; with a key, packets without its seal are dropped";
        key: Option<String> = none, "Shared key of 16 octets or more, in hexadecimal digits", secret;
        timestamps: Timestamps = "same", "The format of timestamps: that of the sender, NTP, or PTP version 2 cut to 64 bits";
        tai_offset: Duration = "37s", "What TAI is ahead of UTC, for PTP timestamps", max = LONGEST_OFFSET_NS;
        error: Duration = "10ms", "How far the clock may be off, as answers say", min = 1, max = LARGEST_ERROR_NS;
        synchronized: bool = "false", "Whether answers say that something keeps the clock at UTC";
        ssid: bool = "false", "Whether the session's identifier of RFC 8972 goes back, and tells sessions apart";
        reflect_tos: bool = "false", "Whether an answer leaves in the class (DSCP) of its request, so that both ways are measured in one class; ECN is not reflected, and class 0 is the listener's own";
        sessions: u32 = "65536", "Sessions counted at most, in the stateful mode", min = 1, max = MOST_SESSIONS;
        session_ttl: Duration = "15m", "A session that was silent for so long has ended", min = 1, max = LONGEST_TTL_NS;
    }
}

/// One minute: TAI was 37 s ahead from 2017 on, and changes by a second at a time.
const LONGEST_OFFSET_NS: u64 = 60_000_000_000;
/// One day: who is further off does not know the time.
const LARGEST_ERROR_NS: u64 = 86_400_000_000_000;
/// About 450 MB; who measures more paths at once has more than one host for it.
const MOST_SESSIONS: u32 = 2_000_000;
/// One day.
const LONGEST_TTL_NS: u64 = 86_400_000_000_000;

/// The configuration, checked.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Where things stand.
    pub(crate) layout: Layout,
    /// The key of both directions.
    pub(crate) seal: Option<Seal>,
    pub(crate) ssid: bool,
    /// Answers leave in the class of their requests.
    pub(crate) reflect_tos: bool,
    pub(crate) kept: Kept,
    timestamps: Timestamps,
    tai_offset: Duration,
    error: Duration,
    synchronized: bool,
}

/// What the table of sessions depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) mode: Mode,
    pub(crate) sessions: u32,
    pub(crate) session_ttl: Duration,
}

impl Settings {
    /// Checks the options against each other.
    ///
    /// # Errors
    /// Names the option at fault.
    pub(crate) fn new(config: &StampConfig) -> Result<Self, Error> {
        let seal = seal(config)?;
        Ok(Self {
            layout: if seal.is_some() { SEALED } else { OPEN },
            seal,
            ssid: config.ssid,
            reflect_tos: config.reflect_tos,
            kept: Kept { mode: config.mode, sessions: config.sessions, session_ttl: config.session_ttl },
            timestamps: config.timestamps,
            tai_offset: config.tai_offset,
            error: config.error,
            synchronized: config.synchronized,
        })
    }

    /// How the answer to `request` writes timestamps.
    pub(crate) const fn format(&self, request: &Request) -> Format {
        let ptp = match self.timestamps {
            Timestamps::Same => request.speaks_ptp(),
            Timestamps::Ntp => false,
            Timestamps::Ptp => true,
        };
        if ptp { Format::Ptp { tai_offset: self.tai_offset } } else { Format::Ntp }
    }

    /// What answers with timestamps of this format say of their error.
    pub(crate) fn error_estimate(&self, format: Format) -> [u8; 2] {
        format.error_estimate(self.error, self.synchronized)
    }
}

fn seal(config: &StampConfig) -> Result<Option<Seal>, Error> {
    match (config.auth, &config.key) {
        (Auth::Off, None) => Ok(None),
        (Auth::Off, Some(_)) => {
            Err(Error::option("key", "is of no use with auth = \"off\": set auth to hmac"))
        }
        (Auth::Hmac, None) => Err(Error::option("auth", "needs a key: give one in hexadecimal digits")),
        (Auth::Hmac, Some(text)) => {
            let seal = Seal::from_hex(text);
            seal.map(Some).map_err(|error| Error::option("key", error.message()))
        }
    }
}

impl fmt::Debug for StampConfig {
    /// Leaves the secret out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("StampConfig");
        shown.field("mode", &self.mode).field("auth", &self.auth).finish_non_exhaustive()
    }
}
