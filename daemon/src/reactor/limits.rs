//! How much of everything. The configuration sets these; the reasons stand with its defaults.

use std::time::Duration;

/// Limits of a reactor. Reaching one is counted.
#[derive(Clone, Copy, Debug)]
pub struct ReactorLimits {
    /// Datagrams one listener may take in a visit, before it is the next one's turn; a train counts once.
    pub visit_datagrams: usize,
    /// Bytes one listener may take in a visit; a datagram counts at least 1.
    pub visit_bytes: usize,
    /// Datagrams of all visits in a turn, before timers and control get theirs.
    pub turn_datagrams: usize,
    /// Delayed datagrams that may wait.
    pub delayed_datagrams: usize,
    /// Their bytes.
    pub delayed_bytes: usize,
    /// Datagrams a listener may keep that its socket did not take.
    pub backlog_datagrams: usize,
    /// Their bytes.
    pub backlog_bytes: usize,
    /// Bytes of all backlogs.
    pub backlog_total_bytes: usize,
    /// Runs of equal datagrams to one peer leave as one segmented message; the kernel has to know them.
    pub segments: bool,
    /// A handler call that takes longer is counted and logged.
    pub slow_batch: Duration,
    /// How long the loop looks for more without sleeping after it found something, which may take a whole core while
    /// there is traffic. None lets it look for as long as that takes less of the processor than to sleep.
    pub spin: Option<Duration>,
    /// How long the loop rests between two looks at a stream, where that takes less of the processor; zero never rests.
    pub moderation: Duration,
    /// Turns that found something, of which one measurement is made: what is cheaper, to sleep, to look again, or to rest.
    pub epoch_turns: u32,
    /// Timers that may fire in a turn, and as many delayed datagrams that may leave in it.
    pub turn_timers: usize,
    /// Timers one handler may have armed.
    pub handler_timers: usize,
}

impl Default for ReactorLimits {
    fn default() -> Self {
        Self {
            visit_datagrams: 64,
            visit_bytes: 256 << 10,
            turn_datagrams: 2048,
            delayed_datagrams: 65_536,
            delayed_bytes: 64 << 20,
            backlog_datagrams: 64,
            backlog_bytes: 256 << 10,
            backlog_total_bytes: 64 << 20,
            segments: true,
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
pub(super) const RECEIVE_ERRORS_IN_A_ROW: u32 = 16;

/// A socket whose device refused a segmented message sends plain ones for so many nanoseconds.
pub(super) const SEGMENTS_OFF: u64 = 60_000_000_000;

/// A handler that broke is made again after this long, doubled with each break.
pub(super) const RESTART_FIRST: Duration = Duration::from_millis(100);
/// The longest such wait.
pub(super) const RESTART_LONGEST: Duration = Duration::from_secs(30);
/// Breaks within [`FAULT_WINDOW`] after which a handler is not made again.
pub(super) const FAULTS_TO_FAIL: u32 = 5;
/// See [`FAULTS_TO_FAIL`].
pub(super) const FAULT_WINDOW: Duration = Duration::from_secs(600);
/// A handler that served this long without a break starts again with the shortest wait.
pub(super) const HEALTHY_AFTER: Duration = Duration::from_secs(60);
/// A socket that gives only errors is looked at again after this long.
pub(super) const RESUME_AFTER: Duration = Duration::from_millis(10);
