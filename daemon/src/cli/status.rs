//! A status for people.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use polyport_terminal::{Escaped, counted};
use serde_json::json;

use crate::control::wire::{self, Counts, Status};

/// The notes of a listener, with what it waits for before them.
fn with_waits(notes: String, entry: &wire::Entry) -> String {
    if entry.waits_for.is_empty() {
        return notes;
    }
    let between = if notes.is_empty() { "" } else { ", " };
    format!("waits for {}{between}{notes}", Escaped(entry.waits_for.join(" and ").as_bytes()))
}

/// A status for people.
pub(super) fn told(status: &Status) -> String {
    let escaped = |text: &str| Escaped(text.as_bytes()).to_string();
    let mut out = format!(
        "polyport {}, process {}, serves since {}: {} on {}\nconfiguration: {}\n",
        escaped(&status.version),
        status.pid,
        humantime::format_duration(Duration::from_secs(status.uptime_s)),
        counted(status.listeners, "listener", "listeners"),
        counted(status.addresses, "address", "addresses"),
        escaped(&status.source),
    );
    if let Some(sandbox) = &status.sandbox {
        writeln!(out, "sandbox: {}", escaped(sandbox)).unwrap_or(());
    }
    writeln!(out, "log level: {}\n", name_of(status.log_level)).unwrap_or(());
    let head =
        ["LISTENER", "ADDRESS", "PLUGIN", "RECEIVED", "REPLIED", "CONSUMED", "SENT", "DROPPED", "SESSIONS"];
    let mut lines = vec![(head.map(str::to_owned), String::new())];
    for entry in &status.entries {
        let mut bind = entry.bind.first().cloned().unwrap_or_default();
        if entry.addresses > 1 && entry.bind.len() > 1 {
            write!(bind, " and more: {} addresses", entry.addresses).unwrap_or(());
        }
        let sessions = entry.sessions.as_ref().map(|sessions| sessions.open.to_string()).unwrap_or_default();
        let name = escaped(&entry.name);
        let states = entry.states.iter().filter(|(state, _)| *state != "serving");
        let states = states.map(|(state, n)| format!("{} {n}", Escaped(state.as_bytes())));
        let states: Vec<_> =
            states.chain([notes(&entry.counts)].into_iter().filter(|it| !it.is_empty())).collect();
        lines.push((
            row(name, escaped(&bind), escaped(&entry.plugin), &entry.counts, sessions),
            with_waits(states.join(", "), entry),
        ));
    }
    // Also when one listener was asked for, the sum is that of the daemon.
    let names: BTreeSet<&str> = status.entries.iter().map(|entry| entry.name.as_str()).collect();
    let sum = if names.len() < status.listeners { "total of all" } else { "total" };
    lines.push((
        row(sum.into(), String::new(), String::new(), &status.total, String::new()),
        notes(&status.total),
    ));
    let mut widths = [0; 9];
    for (line, _) in &lines {
        for (width, text) in widths.iter_mut().zip(line) {
            *width = text.chars().count().max(*width);
        }
    }
    for (line, notes) in &lines {
        let mut shown = String::new();
        for (column, (text, width)) in line.iter().zip(widths).enumerate() {
            // Numbers stand right, below each other.
            if column < 3 {
                write!(shown, "  {text:width$}").unwrap_or(());
            } else {
                write!(shown, "  {text:>width$}").unwrap_or(());
            }
        }
        writeln!(out, "{}", shown.trim_end()).unwrap_or(());
        if !notes.is_empty() {
            writeln!(out, "  {:1$}  {notes}", "", widths[0]).unwrap_or(());
        }
    }
    if let Some(next) = status.next {
        writeln!(out, "\nthere is more: --offset {next}").unwrap_or(());
    }
    out
}

fn row(name: String, bind: String, plugin: String, counts: &Counts, sessions: String) -> [String; 9] {
    let dropped: u64 = counts.dropped_in.values().chain(counts.dropped_out.values()).sum();
    let numbers = [counts.received, counts.replied, counts.consumed, counts.sent, dropped];
    let [received, replied, consumed, sent, dropped] = numbers.map(|n| n.to_string());
    [name, bind, plugin, received, replied, consumed, sent, dropped, sessions]
}

/// What stands below a line: drops by reason, and what went wrong.
fn notes(counts: &Counts) -> String {
    let drops = counts.dropped_in.iter().chain(&counts.dropped_out);
    let drops = drops.map(|(reason, n)| (Escaped(reason.as_bytes()).to_string(), *n));
    let others = [
        ("waiting", counts.waiting),
        ("kernel drops", counts.kernel_drops),
        ("handler faults", counts.faults),
        ("handler errors", counts.handler_errors),
        ("slow calls", counts.slow_calls),
    ];
    let others = others.into_iter().map(|(what, n)| (what.to_owned(), n));
    let all = drops.chain(others).filter(|(_, n)| *n > 0).map(|(what, n)| format!("{what} {n}"));
    all.collect::<Vec<_>>().join(", ")
}

/// The name of a level of the log.
pub(super) fn name_of(level: wire::Level) -> String {
    json!(level).as_str().unwrap_or_default().to_owned()
}
