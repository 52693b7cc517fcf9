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
//!
//! A request and its answer, with the network left to the caller. Time is a number that the caller counts up:
//!
//! ```
//! use polyport_protocol::client::{Input, Request, RequestClient, RequestConfig};
//! use polyport_protocol::{Code, Decoder, Encoder, Kind, MILLISECOND, Role};
//! use rand::SeedableRng;
//!
//! let server = "192.0.2.1:7000".parse()?;
//! // A program takes the system's generator; a seed makes a test repeat.
//! let random = rand::rngs::StdRng::seed_from_u64(1);
//! let mut client: RequestClient<'_, _, 4> = RequestClient::new(RequestConfig::new(server), random);
//! let request = client.request(0, Request { payload: b"ping", ..Request::default() })?;
//!
//! // What is due goes to the socket. With nothing heard, the machine says when it wants to send once more.
//! let mut buffer = [0; 1500];
//! let first = client.poll_transmit(0, &mut buffer).expect("a request is due at once");
//! assert_eq!(first.destination, server);
//! let wake = client.poll_timeout().expect("it waits for an answer");
//! client.handle_timeout(wake);
//! let again = client.poll_transmit(wake, &mut buffer).expect("it is sent once more");
//!
//! // The responder: checks what came, and answers this very copy.
//! let frame = Decoder::new(Role::Responder).decode(&buffer[..again.len])?;
//! assert_eq!((frame.header().attempt, frame.payload()), (1, &b"ping"[..]));
//! let mut reply = [0; 1500];
//! let header = frame.header().reply(Kind::Response, Code::OK);
//! let len = Encoder::new(&mut reply, &header).payload(b"pong").finish()?;
//!
//! // The client knows which copy was answered, so its round trip is no guess.
//! match client.handle_input(wake + 20 * MILLISECOND, server, &reply[..len], false) {
//!     Input::Answer(answer) => {
//!         assert_eq!((answer.handle, answer.frame.payload()), (request, &b"pong"[..]));
//!         assert_eq!((answer.rtt, answer.transmissions), (20 * MILLISECOND, 2));
//!     }
//!     other => panic!("{other:?}"),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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

/// The example of the README runs, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Nanoseconds since an epoch of the caller's choice; also spans of time. 64 bits last 584 years.
pub type Nanos = u64;

/// One millisecond.
pub const MILLISECOND: Nanos = 1_000_000;

/// One second.
pub const SECOND: Nanos = 1_000_000_000;
