//! How much of everything: the limits of the loop, each with its default and the reason for it. A leaf: the
//! configuration sets them, the reactor keeps them, and neither knows the other.

use std::time::Duration;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Bounds of the reactor's work and memory. Reaching one is counted.
///
/// A configuration sets those it has a key for; the others are what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Datagrams a listener may take in one visit, 1 to 1024 (recvmmsg(2) takes no more); a train that the
    /// kernel joined counts once. Default 64:
    /// the cost of the system call is spread thin, and no other listener waits long.
    pub visit_datagrams: usize,
    /// Bytes a listener may take in one visit, 64 KiB (one datagram of the largest size) to 16 MiB.
    /// Default 256 KiB: trains of large datagrams end a visit before 64 of them fill the cache.
    pub visit_bytes: usize,
    /// Datagrams of all visits before timers and commands get their turn, `visit_datagrams` to
    /// 1,048,576. Default 2048: timers and commands wait for no more than 32 full visits.
    pub turn_datagrams: usize,
    /// Datagrams that wait for a later send, all listeners together, up to 16,777,216; 0 allows none.
    /// Default 65536: 100 ms at 650,000 a second.
    pub delayed_datagrams: usize,
    /// Bytes of these, up to 64 GiB. Default 64 MiB: 1 KiB for each of the default number.
    pub delayed_bytes: usize,
    /// Replies one listener keeps while its socket takes no more, up to 65536; 0 drops them at once.
    /// Default 64: one visit's replies; more only adds delay.
    pub backlog_datagrams: usize,
    /// Bytes of these, a listener, up to 64 MiB. Default 256 KiB: the bytes of one visit.
    pub backlog_bytes: usize,
    /// Bytes of these, all listeners together, `backlog_bytes` to 64 GiB. Default 64 MiB: 256 listeners
    /// may be stuck at once; with 50,000 the bound a listener alone would allow 12 GiB.
    pub backlog_total_bytes: usize,
    /// A call of a handler that takes longer counts as slow, 100 us to 60 s. Default 10 ms: every other
    /// listener waits this long.
    pub slow_batch: Duration,
    /// How long the loop looks for more without sleeping after it found something, up to 10 ms; 0 never looks. With
    /// 50 us a single request in flight is answered without a wake-up, at the price of a whole core while there is
    /// traffic. Default "auto", here `None`: up to 50 us, and only while that takes less of the processor than to
    /// fall asleep and be woken, which the loop measures.
    pub spin: Option<Duration>,
    /// How long the loop rests before it looks again at a stream of one peer's equal datagrams, up to 1 ms; 0 never
    /// rests. Default 200 us: a stream of more than 125,000 datagrams a second is then served in dozens instead of
    /// handfuls, where the loop has measured that this takes less of the processor and does not slow the stream down,
    /// and replies to it come so much later at the most. What comes to another listener ends the rest; while `spin`
    /// is set to a duration there is none.
    pub moderation: Duration,
    /// Turns that found something, of which one measurement is made: what is cheaper, to sleep, to look again, or to
    /// rest; at least 1. No key. Default 128: some milliseconds of a busy loop, over which two clock reads are nothing.
    pub epoch_turns: u32,
    /// Timers that may fire in a turn, and as many delayed datagrams that may leave in it. No key. Default 1024: as
    /// long as the visits of half a full turn.
    pub turn_timers: usize,
    /// Timers one handler may have armed. No key. Default 1024: a handler that wants more keeps its own list behind one.
    pub handler_timers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            visit_datagrams: 64,
            visit_bytes: 256 * KIB,
            turn_datagrams: 2048,
            delayed_datagrams: 65_536,
            delayed_bytes: 64 * MIB,
            backlog_datagrams: 64,
            backlog_bytes: 256 * KIB,
            backlog_total_bytes: 64 * MIB,
            slow_batch: Duration::from_millis(10),
            spin: None,
            moderation: Duration::from_micros(200),
            epoch_turns: 128,
            turn_timers: 1024,
            handler_timers: 1024,
        }
    }
}

/// Receive errors in a row after which a visit ends: an error that does not go away must not keep the loop.
pub(crate) const RECEIVE_ERRORS_IN_A_ROW: u32 = 16;

/// A socket whose device refused a segmented message sends plain ones for so many nanoseconds.
pub(crate) const SEGMENTS_OFF_NS: u64 = 60_000_000_000;

/// A handler that broke is made again after this long, doubled with each break.
pub(crate) const RESTART_FIRST: Duration = Duration::from_millis(100);
/// The longest such wait.
pub(crate) const RESTART_LONGEST: Duration = Duration::from_secs(30);
/// Breaks within [`FAULT_WINDOW`] after which a handler is not made again.
pub(crate) const FAULTS_TO_FAIL: u32 = 5;
/// See [`FAULTS_TO_FAIL`].
pub(crate) const FAULT_WINDOW: Duration = Duration::from_secs(600);
/// A handler that served this long without a break starts again with the shortest wait.
pub(crate) const HEALTHY_AFTER: Duration = Duration::from_secs(60);
/// A socket that gives only errors is looked at again after this long.
pub(crate) const RESUME_AFTER: Duration = Duration::from_millis(10);
