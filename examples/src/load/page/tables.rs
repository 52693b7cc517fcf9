//! What the page says in figures and words.

use std::path::Path;

use polyport_terminal::{counted, shell_word};

use crate::load::histogram::Percentiles;
use crate::load::json::{LoadReport, PortReport};
use crate::load::merge::rate_words;
use crate::load::unit;
use crate::picture::markup::{Markup, element};

/// Targets that are named in the title.
const NAMED: usize = 2;
/// Generators that have a row.
const GENERATORS: usize = 64;
/// Letters of a command line that are shown.
const LETTERS: usize = 2000;

/// A heading with a table that may be wider than the page.
pub(super) fn section(heading: &str, table: Markup) -> Markup {
    let table = element("div").with("class", "wide").holding(table);
    element("section").holding(element("h2").saying(heading)).holding(table)
}

/// The targets in a few words.
pub(super) fn where_to(report: &LoadReport) -> String {
    let name = |port: &PortReport| port.target.to_string();
    let ports = &report.ports;
    if ports.len() <= NAMED {
        return ports.iter().map(name).collect::<Vec<_>>().join(", ");
    }
    let ends = [ports.first(), ports.last()].into_iter().flatten().map(name).collect::<Vec<_>>();
    format!("{} targets, {}", ports.len(), ends.join(" to "))
}

/// What rate was asked for.
pub(super) fn rate(report: &LoadReport) -> String {
    rate_words(report)
}

/// The thresholds, if there are some.
pub(super) fn thresholds(report: &LoadReport) -> Option<Markup> {
    if report.thresholds.is_empty() {
        return None;
    }
    let rows = report.thresholds.iter().map(|judged| {
        let (class, words) = if judged.met { ("met", "\u{2713} met") } else { ("missed", "\u{2717} missed") };
        element("tr")
            .holding(element("th").with("scope", "row").saying(&judged.text))
            .holding(element("td").with("class", class).saying(words))
            .holding(element("td").saying(&judged.measured))
    });
    Some(section("Thresholds", element("table").holding_all(rows)))
}

/// The percentiles, as the screen shows them.
pub(super) fn percentiles(report: &LoadReport) -> Markup {
    let latency = &report.latency;
    let ways = latency.one_way.map(|ways| (ways.up, ways.down));
    // These only where they were measured.
    let more = [
        ("ipdv", latency.ipdv),
        ("way up", ways.map(|ways| ways.0)),
        ("way down", ways.map(|ways| ways.1)),
        ("ipdv up", latency.ipdv_ways.map(|ways| ways.up)),
        ("ipdv down", latency.ipdv_ways.map(|ways| ways.down)),
        ("in reflector", report.stamp.as_ref().and_then(|stamp| stamp.inside)),
    ];
    let rows = [
        ("from plan", latency.rtt_from_plan),
        ("from send", latency.rtt_from_send),
        ("generator lag", latency.lag),
    ]
    .into_iter()
    .chain(more.into_iter().filter(|(_, read)| read.is_some()));
    let heads =
        ["measured", "count", "min", "p50", "p90", "p95", "p99", "p99.9", "p99.99", "max", "mean", "stddev"];
    let head = element("tr").holding_all(heads.map(|name| element("th").with("scope", "col").saying(name)));
    let mut table = element("table").holding(head);
    for (name, read) in rows {
        let cells = read.as_ref().map_or_else(|| vec!["-".to_owned(); heads.len() - 1], cells);
        table = table.holding(
            element("tr")
                .holding(element("th").with("scope", "row").saying(name))
                .holding_all(cells.into_iter().map(|cell| element("td").saying(cell))),
        );
    }
    section("Latency", table)
}

fn cells(read: &Percentiles) -> Vec<String> {
    let times = [read.min].into_iter().chain(read.columns().map(|(_, nanos)| nanos));
    [read.count.to_string()].into_iter().chain(times.map(unit::span)).collect()
}

/// The books: what was planned, what became of it, and what came.
pub(super) fn books(report: &LoadReport) -> Markup {
    let (counts, tally) = (&report.counts, &report.counts.tally);
    let nonzero = |parts: Vec<(String, u64)>| {
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
    };
    let named = |parts: &[(&str, u64)]| {
        nonzero(parts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect())
    };
    let not_sent = named(&[
        ("in flight", counts.not_sent_in_flight),
        ("behind", counts.not_sent_behind),
        ("refused", counts.not_sent_refused),
        ("aborted", counts.not_sent_aborted),
    ]);
    let lost = named(&[("up", tally.lost_up), ("down", tally.lost_down), ("unknown", tally.lost_unknown)]);
    let pending = if tally.pending_at_abort > 0 {
        format!(" + pending {}", tally.pending_at_abort)
    } else {
        String::new()
    };
    let classes = nonzero(report.classes.iter().map(|(name, count)| (name.clone(), *count)).collect());
    let icmp = report.icmp.iter().filter(|(_, count)| **count > 0);
    let icmp: Vec<String> = icmp.map(|(name, count)| format!("{name} {count}")).collect();
    let drops = report.local.socket_drops.map_or_else(|| "unknown".to_owned(), |drops| drops.to_string());
    let rows = [
        (
            "planned",
            format!("{} = sent {} + not sent {}{not_sent}", counts.planned, tally.sent, counts.not_sent),
        ),
        (
            "sent",
            format!(
                "{} = ok {} + late {} + error {} + lost {}{lost}{pending}",
                tally.sent, tally.ok, tally.late, tally.error, tally.lost
            ),
        ),
        (
            "extra",
            format!(
                "duplicates up {}, down {}; reordered {}, by three or more {}",
                tally.dup_up, tally.dup_down, tally.reordered, tally.three_reordered
            ),
        ),
        ("received", format!("{}{classes}", counts.received)),
        ("ICMP", if icmp.is_empty() { "none".to_owned() } else { icmp.join(", ") }),
        (
            "this side",
            format!(
                "socket drops {drops}, send EAGAIN {}, late sends {}",
                report.local.eagain,
                unit::percent(report.late_sends, tally.sent)
            ),
        ),
    ];
    let served = report.books.iter().flat_map(|books| &books.addresses);
    let served = served.map(|address| row("daemon", address.line().trim().to_owned()));
    section(
        "The books",
        element("table").holding_all(rows.map(|(name, words)| row(name, words))).holding_all(served),
    )
}

/// Where and how the load was made.
pub(super) fn machines(report: &LoadReport) -> Markup {
    let more = report.runs.len().saturating_sub(GENERATORS);
    let more = (more > 0).then(|| row("and", format!("{more} more generators")));
    let rows = report.runs.iter().take(GENERATORS).map(|run| {
        let shard = run.shard.map(|shard| format!(", generator {shard}")).unwrap_or_default();
        let command = command(&run.command);
        element("tr")
            .holding(element("th").with("scope", "row").saying(format!("{}{shard}", run.started)))
            .holding(
                element("td")
                    .with("class", "words")
                    .holding(element("div").saying(run.host.words()))
                    .holding(element("div").saying(format!("{}, seed {}", run.program, run.seed)))
                    .holding(command),
            )
    });
    section("Machine and command", element("table").holding_all(rows).holding_all(more))
}

/// A command line, as a shell takes it. Each word is an element: a browser would break a line between the hyphens of an option.
fn command(words: &[String]) -> Markup {
    let mut code = element("code").holding(element("span").saying("polyport-load"));
    // It may have as many letters as a system takes.
    let mut left = LETTERS;
    for word in words {
        let word = shell_word(Path::new(word));
        let shown: String = word.chars().take(left).collect();
        left = left.saturating_sub(shown.chars().count() + 1);
        let is_whole = shown.len() == word.len();
        let shown = if is_whole { shown } else { format!("{shown}\u{2026}") };
        code = code.saying(" ").holding(element("span").saying(shown));
        if !is_whole {
            break;
        }
    }
    code
}

/// What the run was to do.
pub(super) fn config(report: &LoadReport) -> Markup {
    let config = &report.config;
    let word = |value: serde_json::Result<serde_json::Value>| {
        value.ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    };
    let rows = [
        ("rate", rate_words(report)),
        ("warm-up", unit::span(config.warmup_ns)),
        ("timeout", unit::span(config.timeout_ns)),
        ("datagram", format!("{} octets, {} of them payload", config.size, config.payload)),
        ("expect", word(serde_json::to_value(config.expect))),
        (
            "distribution",
            format!(
                "{}, {} for each target",
                word(serde_json::to_value(config.distribution)),
                counted(config.streams, "stream", "streams")
            ),
        ),
        ("pacing", word(serde_json::to_value(config.pacing))),
        ("interval", unit::span(config.interval_ns)),
    ];
    section("Configuration", element("table").holding_all(rows.map(|(name, words)| row(name, words))))
}

fn row(name: &str, words: String) -> Markup {
    let words = if words.is_empty() { "-".to_owned() } else { words };
    element("tr")
        .holding(element("th").with("scope", "row").saying(name))
        .holding(element("td").with("class", "words").saying(words))
}
