//! What the example clients share.
//!
//! ```text
//!   command line --> target (addresses), key (secrets), seed (randomness)
//!                        |
//!   sans-I/O machine <-- driver --> socket of polyport-net
//!                        |
//!                     clock, interrupt              outcome --> style, exit
//! ```
//!
//! Each binary is one machine of `polyport-protocol` and one `run` function. The only place that reads the time is
//! [`clock`], the only one that looks at the environment for colours is [`style`], and the only list of exit codes
//! is [`exit`].

#![forbid(unsafe_code)]

pub mod cast;
pub mod clock;
pub mod driver;
pub mod exit;
pub mod frame;
pub mod interrupt;
pub mod key;
pub mod load;
pub mod mtu;
pub mod request;
pub mod spoof;
pub mod style;
pub mod target;
pub mod text;
