//! `[limits]`: bounds of the reactor's work and memory.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::problem::{Problem, Span, code};
use super::read::Reader;
use super::tree::{Entry, Value};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

/// Bounds of the reactor's work and memory; plain values, since the reactor does not know this module.
#[derive(Debug, Clone, PartialEq, Eq)]
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
        }
    }
}

const VISIT_DATAGRAMS: RangeInclusive<usize> = 1..=1024;
const VISIT_BYTES: RangeInclusive<usize> = 64 * KIB..=16 * MIB;
const TURN_DATAGRAMS: RangeInclusive<usize> = 1..=1_048_576;
const DELAYED_DATAGRAMS: RangeInclusive<usize> = 0..=16_777_216;
const DELAYED_BYTES: RangeInclusive<usize> = 0..=64 * GIB;
const BACKLOG_DATAGRAMS: RangeInclusive<usize> = 0..=65_536;
const BACKLOG_BYTES: RangeInclusive<usize> = 0..=64 * MIB;
const BACKLOG_TOTAL_BYTES: RangeInclusive<usize> = 0..=64 * GIB;
const SLOW_BATCH: RangeInclusive<Duration> = Duration::from_micros(100)..=Duration::from_secs(60);

const SPIN: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_millis(10);
/// What `spin` may also be.
const AUTO: &str = "auto";

const MODERATION: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_millis(1);

pub(super) const KEYS: [&str; 11] = [
    "visit_datagrams",
    "visit_bytes",
    "turn_datagrams",
    "delayed_datagrams",
    "delayed_bytes",
    "backlog_datagrams",
    "backlog_bytes",
    "backlog_total_bytes",
    "slow_batch",
    "spin",
    "moderation",
];

/// Reads the value of the key `limits`; what is not set keeps its default.
pub(super) fn read(entry: &Entry, reader: &mut Reader<'_>) -> Limits {
    let mut limits = Limits::default();
    let Value::Table(entries) = &entry.value else {
        reader.wrong_type("limits", "a table", &entry.value, &entry.value_span);
        return limits;
    };
    let before = reader.problems.len();
    for entry in entries {
        set(&mut limits, entry, reader);
    }
    if reader.problems.len() == before {
        compare(&limits, entries, reader);
    }
    limits
}

fn set(limits: &mut Limits, entry: &Entry, reader: &mut Reader<'_>) {
    // a bad value is noted by the reader; what stands in the field no longer matters
    let store = |field: &mut usize, value: Option<usize>| *field = value.unwrap_or(*field);
    match entry.key.as_str() {
        "visit_datagrams" => store(&mut limits.visit_datagrams, reader.count(entry, &VISIT_DATAGRAMS)),
        "visit_bytes" => store(&mut limits.visit_bytes, reader.size(entry, &VISIT_BYTES)),
        "turn_datagrams" => store(&mut limits.turn_datagrams, reader.count(entry, &TURN_DATAGRAMS)),
        "delayed_datagrams" => store(&mut limits.delayed_datagrams, reader.count(entry, &DELAYED_DATAGRAMS)),
        "delayed_bytes" => store(&mut limits.delayed_bytes, reader.size(entry, &DELAYED_BYTES)),
        "backlog_datagrams" => store(&mut limits.backlog_datagrams, reader.count(entry, &BACKLOG_DATAGRAMS)),
        "backlog_bytes" => store(&mut limits.backlog_bytes, reader.size(entry, &BACKLOG_BYTES)),
        "backlog_total_bytes" => {
            store(&mut limits.backlog_total_bytes, reader.size(entry, &BACKLOG_TOTAL_BYTES));
        }
        "slow_batch" => {
            limits.slow_batch = reader.duration(entry, &SLOW_BATCH).unwrap_or(limits.slow_batch);
        }
        "moderation" => {
            limits.moderation = reader.duration(entry, &MODERATION).unwrap_or(limits.moderation);
        }
        "spin" if matches!(&entry.value, Value::Text(text) if text == AUTO) => limits.spin = None,
        "spin" => limits.spin = reader.duration(entry, &SPIN).or(limits.spin),
        _ => {
            let help = format!("valid keys: {}", KEYS.join(", "));
            reader.unknown_key(entry, "in [limits]", &KEYS, help);
        }
    }
}

/// Limits that must not exceed one another.
fn compare(limits: &Limits, entries: &[Entry], reader: &mut Reader<'_>) {
    let pairs = [
        (("visit_datagrams", limits.visit_datagrams), ("turn_datagrams", limits.turn_datagrams)),
        (("backlog_bytes", limits.backlog_bytes), ("backlog_total_bytes", limits.backlog_total_bytes)),
    ];
    for ((part, part_value), (whole, whole_value)) in pairs {
        if part_value <= whole_value {
            continue;
        }
        let span = |key: &str| entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value_span);
        let title = format!("`{part}` ({part_value}) exceeds `{whole}` ({whole_value})");
        let mut problem = Problem::new(code::CONTRADICTION, title);
        let marks: [(Option<&Span>, &str); 2] = [(span(part), "the part"), (span(whole), "the whole")];
        for (span, label) in marks.into_iter().filter_map(|(span, label)| Some((span?, label))) {
            problem =
                if problem.span.is_none() { problem.at(span, label) } else { problem.also(span, label) };
        }
        reader.problems.push(problem.help("what is not set in [limits] has its default"));
    }
}
