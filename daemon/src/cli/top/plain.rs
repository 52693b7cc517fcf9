//! What `top` knows, as text for a pipe: a table, or a line of JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use polyport_terminal::screen::lasted;
use ratatui::text::Span;
use serde::Serialize;

use super::columns::Column;
use super::model::{Head, Model, Row};
use super::rates::Rates;
use super::view::View;
use crate::control::wire::{Counts, HandlerTime};

/// Every column of the table, as wide as it has to be, below a line about the daemon.
pub(super) fn table(model: &Model, view: &View) -> String {
    let Some(head) = &model.head else { return String::new() };
    let mut out = format!(
        "polyport {}  pid {}  up {}  listeners {}  addresses {}  {}\n\n",
        head.version,
        head.pid,
        lasted(head.uptime_s),
        head.listeners,
        head.addresses,
        head.source,
    );
    let mut lines = vec![Column::ALL.map(|column| column.title().to_owned())];
    let rows = view.rows(model);
    lines.extend(
        rows.iter().filter_map(|number| model.rows.get(*number)).map(|row| Column::ALL.map(|c| c.cell(row))),
    );
    if view.filter.is_empty() {
        lines.push(Column::ALL.map(|column| column.cell(&total(head))));
    }
    let width = |text: &str| Span::raw(text).width();
    let mut widths = [0; Column::ALL.len()];
    for line in &lines {
        for (most, text) in widths.iter_mut().zip(line) {
            *most = width(text).max(*most);
        }
    }
    for line in &lines {
        let mut shown = String::new();
        for ((column, text), most) in Column::ALL.iter().zip(line).zip(widths) {
            let blank = " ".repeat(most - width(text).min(most));
            let (before, behind) = if column.is_text() { ("", blank.as_str()) } else { (blank.as_str(), "") };
            write!(shown, "{before}{text}{behind}  ").unwrap_or(());
        }
        writeln!(out, "{}", shown.trim_end()).unwrap_or(());
    }
    out
}

/// All listeners as one row.
fn total(head: &Head) -> Row {
    Row {
        shown: "total".to_owned(),
        addresses: head.addresses,
        counts: head.total.clone(),
        rates: head.rates.clone(),
        ..Row::default()
    }
}

/// One line of JSON, without its end. `at` is the time as RFC 3339 has it.
pub(super) fn json(model: &Model, view: &View, at: &str) -> String {
    let Some(head) = &model.head else { return String::new() };
    let rows = view.rows(model);
    let listeners = rows.iter().filter_map(|number| model.rows.get(*number)).map(listener).collect();
    let line = Whole {
        at,
        version: &head.version,
        pid: head.pid,
        uptime_s: head.uptime_s,
        source: &head.source,
        interval_s: head.interval.map(|interval| interval.as_secs_f64()),
        listeners: head.listeners,
        addresses: head.addresses,
        total: Numbers { rates: head.rates.as_ref().map(Speed::of), counts: &head.total },
        entries: listeners,
    };
    // Texts, numbers and maps with texts as keys: nothing of it can fail.
    serde_json::to_string(&line).unwrap_or_default()
}

fn listener(row: &Row) -> Listener<'_> {
    Listener {
        name: &row.name,
        plugin: &row.plugin,
        addresses: row.addresses,
        sessions: row.sessions.as_ref().map(|sessions| sessions.open),
        time: row.time,
        numbers: Numbers { rates: row.rates.as_ref().map(Speed::of), counts: &row.counts },
        metrics: row.metrics.iter().map(|(name, (value, _))| (name.as_str(), *value)).collect(),
    }
}

#[derive(Serialize)]
struct Whole<'a> {
    at: &'a str,
    version: &'a str,
    pid: u32,
    uptime_s: u64,
    source: &'a str,
    interval_s: Option<f64>,
    listeners: usize,
    addresses: usize,
    total: Numbers<'a>,
    entries: Vec<Listener<'a>>,
}

#[derive(Serialize)]
struct Listener<'a> {
    name: &'a str,
    plugin: &'a str,
    addresses: usize,
    sessions: Option<u64>,
    time: Option<HandlerTime>,
    #[serde(flatten)]
    numbers: Numbers<'a>,
    metrics: BTreeMap<&'a str, u64>,
}

#[derive(Serialize)]
struct Numbers<'a> {
    rates: Option<Speed<'a>>,
    counts: &'a Counts,
}

/// [`Rates`] by the names of the counters, a second.
#[derive(Serialize)]
struct Speed<'a> {
    received: f64,
    received_bytes: f64,
    sent: f64,
    sent_bytes: f64,
    dropped: f64,
    reasons: BTreeMap<&'a str, f64>,
}

impl<'a> Speed<'a> {
    fn of(rates: &'a Rates) -> Self {
        let round = |rate: f64| (rate * 1000.0).round() / 1000.0;
        Self {
            received: round(rates.received),
            received_bytes: round(rates.received_bytes),
            sent: round(rates.sent),
            sent_bytes: round(rates.sent_bytes),
            dropped: round(rates.dropped),
            reasons: rates.reasons.iter().map(|(reason, rate)| (reason.as_str(), round(*rate))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::cli::top::example::{busy, model};

    #[test]
    fn the_table_has_every_column_and_the_sum() {
        let table = table(&model(), &View::default());
        assert_eq!(table, include_str!("goldens/once.txt"), "{table}");
        let filtered = View { filter: "echo".to_owned(), ..View::default() };
        let table = super::table(&model(), &filtered);
        assert!(table.contains("\necho ") && !table.contains("total") && !table.contains("relay"), "{table}");
    }

    #[test]
    fn a_line_of_json_has_rates_and_counts() {
        let line = json(&model(), &View::default(), "2026-01-01T00:00:00.000Z");
        assert!(!line.contains('\n'));
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&value["pid"], &value["interval_s"]), (&4711.into(), &1.0.into()));
        let games = &value["entries"][0];
        assert_eq!(
            (&games["name"], &games["rates"]["received"]),
            (&"game-servers".into(), &120_000.0.into())
        );
        assert_eq!(games["rates"]["reasons"], serde_json::json!({"on_purpose": 2000.0, "kernel": 300.0}));
        assert_eq!((&games["counts"]["received"], &games["time"]["p99_ns"]), (&240_000.into(), &3100.into()));
        assert_eq!(value["total"]["rates"]["dropped"], 2341.0);
        let mut first = Model::default();
        first.take(busy(1));
        let line = json(&first, &View::default(), "");
        let value: Value = serde_json::from_str(&line).unwrap();
        assert!(value["interval_s"].is_null() && value["total"]["rates"].is_null(), "{line}");
    }
}
