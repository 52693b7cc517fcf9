//! `[limits]`: what a configuration may set of [`Limits`], and in which bounds.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::problem::{Problem, Span, code};
use super::read::Reader;
use super::tree::{Entry, Value};
use crate::limits::Limits;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

const VISIT_DATAGRAMS: RangeInclusive<usize> = 1..=1024;
const VISIT_BYTES: RangeInclusive<usize> = 64 * KIB..=16 * MIB;
const TURN_DATAGRAMS: RangeInclusive<usize> = 1..=1_048_576;
const DELAYED_DATAGRAMS: RangeInclusive<usize> = 0..=16_777_216;
const DELAYED_BYTES: RangeInclusive<usize> = 0..=64 * GIB;
const BACKLOG_DATAGRAMS: RangeInclusive<usize> = 0..=65_536;
const BACKLOG_BYTES: RangeInclusive<usize> = 0..=64 * MIB;
const BACKLOG_TOTAL_BYTES: RangeInclusive<usize> = 0..=64 * GIB;
const HANDLER_BYTES: RangeInclusive<usize> = MIB..=1024 * GIB;
pub(super) const SESSIONS: RangeInclusive<usize> = 0..=1_048_576;
const SESSION_OPENS: RangeInclusive<usize> = 1..=1024;
const SLOW_BATCH: RangeInclusive<Duration> = Duration::from_micros(100)..=Duration::from_secs(60);

const SPIN: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_millis(10);
/// What `spin` and `handler_bytes` may also be.
const AUTO: &str = "auto";

const MODERATION: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_millis(1);

pub(super) const KEYS: [&str; 14] = [
    "visit_datagrams",
    "visit_bytes",
    "turn_datagrams",
    "delayed_datagrams",
    "delayed_bytes",
    "backlog_datagrams",
    "backlog_bytes",
    "backlog_total_bytes",
    "handler_bytes",
    "sessions",
    "session_opens",
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
    // A bad value is noted by the reader; what stands in the field no longer matters.
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
        "handler_bytes" if matches!(&entry.value, Value::Text(text) if text == AUTO) => {
            limits.handler_bytes = None;
        }
        "handler_bytes" => {
            limits.handler_bytes = reader.size(entry, &HANDLER_BYTES).or(limits.handler_bytes);
        }
        "sessions" => store(&mut limits.sessions, reader.count(entry, &SESSIONS)),
        "session_opens" => store(&mut limits.session_opens, reader.count(entry, &SESSION_OPENS)),
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
