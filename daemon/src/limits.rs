//! The limits of the loop, each with its default and the reason for it. The configuration sets them and the reactor
//! keeps to them; neither uses the other, and this module uses neither.

use std::time::Duration;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// How long the end waits for what is still to be sent, unless `grace` says something else. Default 5 s: longer than most delays, and
/// than an answer takes that another thread or host has to give; far less than the 10 s of `docker stop` and the 90 s of
/// `systemd.service(5)`.
pub const GRACE: Duration = Duration::from_secs(5);

/// Bounds of the reactor's work and memory. What a full bound drops is counted.
///
/// The configuration has a key for most of them, in its section `[limits]`. Those with the remark "No key" keep their
/// default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most datagrams that a listener takes in one visit, 1 to 1024, which is all that `recvmmsg(2)` takes. A train
    /// that the kernel joined counts once. Default 64: the system call costs little for each of so many, and no other
    /// listener waits long.
    pub visit_datagrams: usize,
    /// Most bytes that a listener takes in one visit, 64 KiB (one datagram of the largest size) to 16 MiB.
    /// Default 256 KiB: trains of large datagrams end a visit before 64 of them fill the cache.
    pub visit_bytes: usize,
    /// Most datagrams that all visits of a turn take, before timers fire, `visit_datagrams` to 1,048,576. Default 2048:
    /// timers wait for no more than 32 full visits.
    pub turn_datagrams: usize,
    /// Most delayed datagrams, of all listeners together, up to 16,777,216; 0 allows none. Default 65536: 100 ms at
    /// 650,000 datagrams a second. While others are active, no listener takes more than a quarter of it.
    pub delayed_datagrams: usize,
    /// Most payload bytes of delayed datagrams, up to 64 GiB. Default 64 MiB: 1 KiB for each of the default number.
    /// While others are active, no listener takes more than a quarter of it.
    pub delayed_bytes: usize,
    /// Most datagrams that one listener keeps in its backlog while its socket takes no more, up to 65536; 0 drops them
    /// at once. Default 64: the replies of one visit; more only adds delay.
    pub backlog_datagrams: usize,
    /// Most payload bytes of one listener's backlog, up to 64 MiB. Default 256 KiB: the bytes of one visit.
    pub backlog_bytes: usize,
    /// Most payload bytes of all backlogs together, `backlog_bytes` to 64 GiB. Default 64 MiB: 256 listeners may have a
    /// full backlog at once. With 50,000 listeners the bound of each alone would allow 12 GiB.
    pub backlog_total_bytes: usize,
    /// Most bytes that handlers keep beyond a call, all of them together, as they declare it: tables of peers, replies
    /// kept. 1 MiB to 1 TiB. Default "auto", here `None`: [`HANDLER_BYTES`], or a quarter of what the process may have
    /// if that is less (`RLIMIT_AS`, `RLIMIT_DATA`, `memory.max` of its control group, the machine's memory). Half of it
    /// is divided among the handlers that keep something, so that a flood of one costs the others nothing.
    pub handler_bytes: Option<usize>,
    /// A handler call that takes longer counts as slow, 100 us to 60 s. Default 10 ms: every other listener waits this
    /// long.
    pub slow_batch: Duration,
    /// How long the loop looks again without sleeping after it found something, up to 10 ms; 0 never looks again. With
    /// 50 us a single request in flight is answered without a wake-up, but the loop takes a full CPU while there is
    /// traffic. Default "auto", here `None`: up to 50 us, and only while the loop measures that this takes less
    /// processor time than a sleep and its wake-up.
    pub spin: Option<Duration>,
    /// How long the loop rests before it looks again at a stream of one peer's equal datagrams, up to 1 ms; 0 never
    /// rests. Default 200 us: a stream of more than 125,000 datagrams a second is then served in dozens instead of
    /// handfuls, and replies to it come at most so much later. The loop rests only while it measures that this takes
    /// less processor time and does not slow the stream down. A datagram for another listener ends a rest. If `spin` is
    /// a duration other than 0, there are no rests.
    pub moderation: Duration,
    /// Turns that found something and are measured together, at least 1; by these the loop learns whether it is cheaper
    /// to sleep, to look again, or to rest. No key. Default 128: some milliseconds of a busy loop, in which two clock
    /// reads cost next to nothing.
    pub epoch_turns: u32,
    /// Most timers that fire in a turn, and most delayed datagrams that leave in it. No key. Default 1024: that takes
    /// as long as the visits of half a full turn.
    pub turn_timers: usize,
    /// Source prefixes whose unspent bytes and replies are remembered for the budgets of all listeners, 24 bytes each,
    /// and no memory before the first of them. No key. Default 65536: a second of so many strangers. Whoever finds no
    /// place is answered all the same as far as its own request pays for it.
    pub reply_prefixes: usize,
    /// Most sessions of all handlers together, up to 1,048,576; 0 allows none. Default 16384: some 50 MB of the kernel's memory,
    /// and as many descriptors. `sessions` of a listener allows one listener fewer.
    pub sessions: usize,
    /// Most sessions that a handler opens in one call, 1 to 1024. Default 64, one for each datagram of a batch: each takes 7 us,
    /// in which every other listener waits.
    pub session_opens: usize,
    /// Most timers that one handler has armed. No key. Default 1024: a handler that wants more keeps its own list
    /// behind one timer.
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
            handler_bytes: None,
            slow_batch: Duration::from_millis(10),
            spin: None,
            moderation: Duration::from_micros(200),
            epoch_turns: 128,
            turn_timers: 1024,
            reply_prefixes: 65_536,
            sessions: 16_384,
            session_opens: 64,
            handler_timers: 1024,
        }
    }
}

/// Most bytes that handlers keep beyond a call if nothing else is said, 256 MiB: five responders that remember all they
/// may, and a small part of the memory of any machine that is exposed to floods.
pub const HANDLER_BYTES: usize = 256 * MIB;

/// Most prefixes that one listener lets in or not (`allow` and `deny`), all of them together. 4,096 are as many as a
/// provider or a large company has networks; a longer list, of all networks of a country for example, is work for a
/// firewall, which drops before the daemon has received anything. A configuration with more is refused.
pub const ACCESS_PREFIXES: usize = 4096;

/// Receive buffer of a listener that names none, as `SO_RCVBUF` of socket(7) is set; the kernel counts twice as much, and
/// cuts it to `net.core.rmem_max`. 1 MiB holds some 2,700 small datagrams, which come in a quarter of a second at 10,000 a
/// second: a machine that does other things keeps the loop waiting for tens of milliseconds, now and then for a hundred
/// (`performance.md`). It is taken only as datagrams wait.
pub const RECV_BUFFER: usize = MIB;

/// Most bytes that the buffers of all listeners without a size of their own have together, 256 MiB: with more than 256 of
/// them each gets less than [`RECV_BUFFER`], and with some thousands what the system gives, so that a flood on all ports
/// leaves other programs their part of the memory that the system has for UDP (`udp_mem` of udp(7)).
pub const RECV_BUFFERS: usize = 256 * MIB;

/// Receive errors in a row after which a visit ends, because an error that does not go away must not keep the loop
/// busy.
pub(crate) const RECEIVE_ERRORS_IN_A_ROW: u32 = 16;

/// How long a socket sends plain messages after its device refused a segmented one, ns.
pub(crate) const SEGMENTS_OFF_NS: u64 = 60_000_000_000;

/// Datagrams of one session that wait for room in its socket: a quarter of a listener's, since there are many of them.
pub(crate) const SESSION_BACKLOG: usize = 16;
/// How long no session is opened after the ports or the descriptors turned out to be used up, unless one ends before, ns. With
/// a range of 17,000 ports a vain attempt costs 2.8 ms.
pub(crate) const OPEN_PAUSE_NS: u64 = 1_000_000_000;
/// Shortest time between two warnings about that, ns.
pub(crate) const OPEN_WARNING_NS: u64 = 60_000_000_000;
/// Most sessions that end in a turn because they are idle: each takes 4 us and a call of its handler.
pub(crate) const IDLE_ENDS: usize = 64;
/// Most sessions that are looked at in a turn because they may be idle.
pub(crate) const IDLE_LOOKS: usize = 1024;

/// Most bytes that one call about an address may have leave by other addresses of its handler: they are copied. 4 MiB is what a
/// visit receives, and a datagram of the largest size for each of 64 addresses. What exceeds it is dropped (`no_room`).
pub(crate) const ELSEWHERE_BYTES: usize = 4 * MIB;

/// The wait before a broken handler is made again the first time; each break doubles it.
pub(crate) const RESTART_FIRST: Duration = Duration::from_millis(100);
/// The longest wait before a broken handler is made again. There is no last time: what has broken it, a peer mostly, ends some
/// day, and nobody may be there then to start the daemon again.
pub(crate) const RESTART_LONGEST: Duration = Duration::from_secs(30);
/// Most bytes that listeners whose handlers broke keep for the next ones, all of them together: datagrams that nobody has seen
/// yet, and states. 64 MiB is the receive rings of a dozen listeners, and the table of any handler that is used here. What
/// finds no room is dropped and counted (`handler_fault`), or is a state that is lost, with a line in the log.
pub(crate) const KEPT_BYTES: usize = 64 * MIB;
/// Bytes of a datagram that are shown when it has broken a handler: as many as a line of the log is read for.
pub(crate) const POISON_SHOWN: usize = 256;
/// Handlers that are made ahead of a reload, and destroyed after it, in one turn: each takes some microseconds in which every
/// other listener waits, and one that opens files some hundred.
pub(crate) const CHANGE_INSTANCES: usize = 8;
/// Listeners that are looked at in one turn for what a reload changes about them.
pub(crate) const CHANGE_LOOKS: usize = 512;
/// New listeners of a reload that are watched for datagrams from one turn on: one or two system calls each.
pub(crate) const CHANGE_OPENS: usize = 32;
/// A turn does no more of a reload once it has worked at it for so long; whatever the counts above allow. Any listener may wait so
/// much longer for its visit, and one more handler that takes its time: a fourth of the millisecond that nobody may be
/// delayed by.
pub(crate) const CHANGE_SPAN: Duration = Duration::from_micros(250);
/// How long a new handler is on trial after a reload: if it breaks in this time, the one before serves again. A library that
/// cannot serve mostly shows it at its first datagrams.
pub(crate) const PROBATION: Duration = Duration::from_secs(1);

/// A handler that has served this long without a break starts again with [`RESTART_FIRST`].
pub(crate) const HEALTHY_AFTER: Duration = Duration::from_secs(60);
/// How long a socket that gives only errors is not watched.
pub(crate) const RESUME_AFTER: Duration = Duration::from_millis(10);
