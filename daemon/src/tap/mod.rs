//! What a tap sees, and the bounded way from the loop to whoever reads it.
//!
//! ```text
//! entry   a datagram that entered or left, and what became of it
//! filter  which of them a tap wants
//! feed    the loop's end and the reader's end of a tap, with its books
//! ```
//!
//! The loop never waits for a reader: what finds no room is left out and counted. Everything owns its data, so it could be
//! written to another process as well.

mod entry;
mod feed;
mod filter;

pub use entry::{Chunk, Direction, Entry, Verdict};
pub use feed::{CHUNK_COST, Ended, Feed, Lost, Reader, TAP_BYTES, TAPS, feed};
pub use filter::{Filter, Prefix};
