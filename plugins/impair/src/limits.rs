//! How much of everything, each with the reason.

/// How long `late` holds a datagram unless told otherwise, ns: the datagrams of a busy client overtake it, and it comes far
/// below the time after which clients repeat a request.
pub const DEFAULT_LATE_BY_NS: u64 = 10_000_000;
/// Datagrams that wait for a link at most, unless told otherwise: as in tc-netem(8).
pub const DEFAULT_LIMIT: u32 = 1000;
/// With `limit_bytes` and no `limit`, so that empty datagrams on a link without overhead are bounded too.
pub const DEFAULT_LIMIT_OF_BYTES: u32 = 65_536;
/// The largest `limit`: what waits is remembered with 16 bytes a datagram.
pub const MOST_LIMIT: u32 = 1 << 20;
/// The longest `delay`, `jitter`, `late_by` and slot, ns: a day. Sums of them and products with a table fit 63 bits.
pub const LONGEST_NS: u64 = 86_400_000_000_000;
/// The longest run of `loss_burst`, and the largest `gap`.
pub const LONGEST_RUN: u16 = u16::MAX;
/// The largest `packet_overhead`, `cell_overhead` (either sign) and `cell_size`, bytes: longer than any UDP datagram.
pub const MOST_OVERHEAD: u32 = 1 << 16;
/// The fastest `rate`, bits a second: above 8 x 10^9 a byte takes no whole nanosecond, so this is as good as none.
pub const FASTEST_RATE: u64 = 1_000_000_000_000_000;
/// Most steps of a timeline: a line keeps the number of the step in 16 bits, and a file of so many lines is a program's.
pub const MOST_STEPS: usize = 4096;
/// Most lines of a trace: an hour of a link of 3.5 Mbit/s; 4 MiB, or 8 MiB of delays.
pub const MOST_ENTRIES: usize = 1 << 20;
/// Most bytes of a file that a caller should read: the longest trace, with some comments.
pub const MOST_TEXT: usize = 16 << 20;
