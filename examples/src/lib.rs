//! The tools of polyport: six clients for UDP services, a picture of a run, and what they share.
//!
//! ```text
//!   command line --> target (addresses), source (own address), key (secrets), seed (randomness)
//!                        |
//!                     attempt, one address after the other
//!                        |
//!   sans-I/O machine <-- driver --> socket of polyport-net
//!                        |
//!                     clock                         outcome --> polyport-terminal
//! ```
//!
//! Each client is one machine of `polyport-protocol` and one `run` function; [`plot`] has no network. The only place that
//! reads the time is [`clock`]; exit codes, colours and Ctrl-C come from `polyport-terminal`, [`outcome`] says which failure
//! ends with which code.

#![forbid(unsafe_code)]

pub mod attempt;
pub mod cast;
pub mod clock;
pub mod documents;
pub mod driver;
pub mod frame;
pub mod heading;
pub mod input;
pub mod json;
pub mod key;
pub mod load;
pub mod mtu;
pub mod outcome;
pub mod own_frames;
pub mod payload;
mod picture;
pub mod plot;
pub mod request;
pub mod source;
pub mod spoof;
pub mod strangers;
pub mod target;
pub mod text;
pub mod unsent;
pub mod zone;

/// What `--version` says behind the name of a tool: the package, and its version. [`outcome::main`] adds the build.
pub const VERSION: &str = concat!("(", env!("CARGO_PKG_NAME"), ") ", env!("CARGO_PKG_VERSION"));
