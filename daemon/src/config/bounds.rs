//! The least and the most of every setting that is a number, a size or a time: for those who read them, and for the table of keys.

use std::ops::RangeInclusive;
use std::time::Duration;

use polyport_terminal::counted;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

pub(super) const SEED: RangeInclusive<usize> = 0..=usize::MAX;
/// How long the end may take: up to an hour, after which nobody waits for an answer.
pub(super) const GRACE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3600);
/// Of a peer.
pub(super) const PORT: RangeInclusive<usize> = 1..=65_535;
/// Of a user or a group.
pub(super) const ID: RangeInclusive<usize> = 0..=u32::MAX as usize;

/// Bytes of a socket buffer. Below a page there is hardly room for one datagram with the kernel's
/// bookkeeping; Linux doubles the value into a signed 32-bit number (socket(7)), and 512 MiB is well within.
pub(super) const SOCKET_BUFFER: RangeInclusive<usize> = 4 * KIB..=512 * MIB;

pub(super) const VISIT_DATAGRAMS: RangeInclusive<usize> = 1..=1024;
pub(super) const VISIT_BYTES: RangeInclusive<usize> = 64 * KIB..=16 * MIB;
pub(super) const TURN_DATAGRAMS: RangeInclusive<usize> = 1..=1_048_576;
pub(super) const DELAYED_DATAGRAMS: RangeInclusive<usize> = 0..=16_777_216;
pub(super) const DELAYED_BYTES: RangeInclusive<usize> = 0..=64 * GIB;
pub(super) const BACKLOG_DATAGRAMS: RangeInclusive<usize> = 0..=65_536;
pub(super) const BACKLOG_BYTES: RangeInclusive<usize> = 0..=64 * MIB;
pub(super) const BACKLOG_TOTAL_BYTES: RangeInclusive<usize> = 0..=64 * GIB;
pub(super) const HANDLER_BYTES: RangeInclusive<usize> = MIB..=1024 * GIB;
pub(super) const SESSIONS: RangeInclusive<usize> = 0..=1_048_576;
pub(super) const SESSION_OPENS: RangeInclusive<usize> = 1..=1024;
pub(super) const SLOW_BATCH: RangeInclusive<Duration> = Duration::from_micros(100)..=Duration::from_secs(60);
pub(super) const SPIN: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_millis(10);
pub(super) const MODERATION: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_millis(1);

/// The byte of TOS, or of the traffic class.
pub(super) const TOS: RangeInclusive<usize> = 0..=255;
/// Hops; 0 would leave this host for nowhere.
pub(super) const TTL: RangeInclusive<usize> = 1..=255;

/// Below 1 a reply could not even be as long as its request; above 1000 the budget bounds nothing.
pub(super) const AMPLIFICATION: (f64, f64) = (1.0, 1000.0);
pub(super) const RATE: RangeInclusive<usize> = 1..=1_000_000_000;
pub(super) const SLIP: RangeInclusive<usize> = 0..=1000;

/// Bytes in the largest binary unit that leaves no rest.
pub(super) fn show_size(bytes: usize) -> String {
    let units = [(GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")];
    match units.into_iter().find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", bytes / unit),
        None => counted(bytes, "byte", "bytes"),
    }
}
