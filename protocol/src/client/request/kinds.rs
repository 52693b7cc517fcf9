//! What goes into the machine and what comes out.

use core::fmt;
use core::net::SocketAddr;

use crate::Nanos;
use crate::auth::Key;
use crate::client::{Preset, Reject};
use crate::frame::{EncodeError, Flags, Frame};
use crate::grease::Grease;

/// Largest datagram sent unless told otherwise: fits the smallest IPv6 path ([P-84]).
const DEFAULT_MAX_DATAGRAM: usize = 1232;

/// What the machine has to know before it starts.
#[derive(Clone, Copy, Debug)]
pub struct RequestConfig<'k> {
    /// The responder.
    pub destination: SocketAddr,
    /// First and lowest timeout.
    pub preset: Preset,
    /// Key of both directions; without one, frames carry a CRC.
    pub key: Option<&'k Key>,
    /// How often frames are greased.
    pub grease: Grease,
    /// Octets of the largest datagram sent.
    pub max_datagram: usize,
}

impl RequestConfig<'_> {
    /// Internet timers, CRC, greasing now and then, datagrams up to 1232 octets.
    #[must_use]
    pub const fn new(destination: SocketAddr) -> Self {
        Self {
            destination,
            preset: Preset::INTERNET,
            key: None,
            grease: Grease::Sometimes,
            max_datagram: DEFAULT_MAX_DATAGRAM,
        }
    }
}

/// One request. The payload has to outlive it, since it may be sent again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'p> {
    /// The payload.
    pub payload: &'p [u8],
    /// Flags such as [`Flags::IDEMPOTENT`]; R, P and X are the machine's own.
    pub flags: Flags,
    /// The datagram is padded to this length, so that a reply may be as long ([P-56]).
    pub pad_to: usize,
    /// Whether to make room for a COOKIE in the first answer, for a reply longer than the request.
    pub want_cookie: bool,
}

/// Names a request of this machine; it is the request's seq.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle(
    /// Counts the requests of the stream from 0.
    pub u64,
);

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<'d> {
    /// The answer; the request is closed.
    Answer(Answer<'d>),
    /// A genuine ERROR after which the machine tries again by itself: busy, or a cookie is needed.
    Retry(Handle),
    /// The responder does not speak version 1; the request is closed. The frame lists its versions.
    UnknownVersion(Handle, Frame<'d>),
    /// Not accepted; the reason is counted.
    Rejected(Reject),
}

/// An accepted answer. It may be an ERROR: look at the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'d> {
    /// Which request.
    pub handle: Handle,
    /// The reply.
    pub frame: Frame<'d>,
    /// From the transmission that was answered to now.
    pub rtt: Nanos,
    /// Transmissions of the request so far.
    pub transmissions: u8,
}

/// A request that ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Every transmission allowed was sent, and the last timer has run out.
    TimedOut(Handle),
    /// A timer ran out and the retry budget forbids another attempt.
    BudgetExhausted(Handle),
    /// The frame could not be written.
    Encode(Handle, EncodeError),
}

/// Why a request was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// Every place of the machine is taken by an outstanding request.
    Full,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many requests are outstanding: wait for an answer or a failure")
    }
}

impl core::error::Error for RequestError {}
