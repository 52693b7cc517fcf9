//! PPT/1: the test protocol of polyport, as values and machines.
//!
//! ```text
//! datagram --Decoder--> Frame --Header::reply--> Encoder --> datagram
//!                         |
//!                         +--> ReplayWindow, CookieSecrets         (responder)
//!                         +--> client::{RequestClient, MtuSearch}  (client)
//! ```
//!
//! `SPEC.md` beside this crate is the specification; comments cite its rules as [P-1], [P-2], and so on.
//!
//! Promises:
//! - No I/O, no clock, no randomness of its own: time is an argument in nanoseconds ([`Nanos`]), random numbers
//!   come from a generator the caller passes.
//! - No allocation: the crate is `no_std` without `alloc`, so it has nothing to allocate with. A frame borrows its
//!   datagram, the encoder writes into the caller's slice. (Of its dependencies `crc32c` uses `std`, to ask the
//!   CPU for its CRC instruction.)
//! - No panic on any input, and no `unsafe`.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

mod auth;
mod checksum;
pub mod client;
mod cookie;
mod frame;
mod grease;
mod option;
mod seq;
mod window;

pub use auth::{Integrity, Key, KeyError, MIN_HMAC_KEY};
pub use cookie::{
    COOKIE_MAX_AGE, COOKIE_MAX_AHEAD, COOKIE_RENEW_AGE, Cookie, CookieScope, CookieSecrets, CookieState,
};
pub use frame::{
    Code, DecodeError, Decoder, EncodeError, Encoder, Flags, Frame, HEADER_LEN, Header, InPlaceReply, Kind,
    MAGIC, MAX_HEADER_LEN, Place, Reissue, Role, VERSION, is_grease, version_reply,
};
pub use grease::Grease;
pub use option::{FrameOption, Options, OptionsIter};
pub use seq::Serial;
pub use window::{ReplayWindow, WINDOW_SPAN, WindowError};

/// Nanoseconds since an epoch of the caller's choice; also spans of time. 64 bits last 584 years.
pub type Nanos = u64;

/// One millisecond.
pub const MILLISECOND: Nanos = 1_000_000;

/// One second.
pub const SECOND: Nanos = 1_000_000_000;
