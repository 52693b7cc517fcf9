//! Reflectors of STAMP (RFC 8762, RFC 8972) and of TWAMP Light (RFC 5357, appendix I) as targets: what is sent to them, and what
//! their packets tell.
//!
//! A packet has no id. What it answers is known by three things together: the port of ours at which it came, which tells the session, the
//! number of our packet, and the time at which that left, to the fraction of a nanosecond in which it is written.

pub mod args;
pub mod codec;
pub mod figures;
pub mod numbers;
pub mod receiver;
pub mod seal;
pub mod settings;
pub mod timestamp;
pub mod words;
