//! `[limits]`: what a configuration may set of [`Limits`], and in which bounds.

use super::bounds::{
    BACKLOG_BYTES, BACKLOG_DATAGRAMS, BACKLOG_TOTAL_BYTES, DELAYED_BYTES, DELAYED_DATAGRAMS, HANDLER_BYTES,
    MODERATION, SESSION_OPENS, SESSIONS, SLOW_BATCH, SPIN, TURN_DATAGRAMS, VISIT_BYTES, VISIT_DATAGRAMS,
};
use super::keys::{LIMITS, named};
use super::problem::{Problem, Span, code};
use super::read::Reader;
use super::tree::{Entry, Value};
use crate::limits::Limits;

/// What `spin` and `handler_bytes` may also be.
const AUTO: &str = "auto";

pub(super) const KEYS: [&str; LIMITS.len()] = named(&LIMITS);

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
        key if !KEYS.contains(&key) => {
            let help = format!("valid keys: {}", KEYS.join(", "));
            reader.unknown_key(entry, "in [limits]", &KEYS, help);
        }
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
        // A test holds that each key of the table is read.
        _ => {}
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
