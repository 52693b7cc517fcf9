//! A row for each interval, for spreadsheets and plotting programs (RFC 4180).

use std::fmt::Write;

use polyport_protocol::Nanos;

use crate::load::histogram::Percentiles;
use crate::load::json::{IntervalReport, LoadReport};

/// Names of the columns: counts as in the JSON, times in nanoseconds.
const COLUMNS: &str = "start_ns,length_ns,planned,not_sent,sent,ok,late,error,lost,pending_at_abort,late_sends,\
                       from_plan_p50_ns,from_plan_p90_ns,from_plan_p99_ns,from_plan_p99.9_ns,from_plan_max_ns,\
                       from_send_p50_ns,from_send_p90_ns,from_send_p99_ns,from_send_p99.9_ns,from_send_max_ns,\
                       lag_p50_ns,lag_p90_ns,lag_p99_ns,lag_p99.9_ns,lag_max_ns";

/// The table with its head. Cells of what was not measured are empty.
#[must_use]
pub fn table(report: &LoadReport) -> String {
    let mut table = format!("{COLUMNS}\r\n");
    for interval in &report.intervals {
        // Writing to a text cannot fail.
        write!(table, "{}\r\n", row(interval, length(report, interval))).unwrap_or(());
    }
    table
}

/// The last interval of a load ends with the load, or with its abort.
fn length(report: &LoadReport, interval: &IntervalReport) -> Nanos {
    let width = report.config.interval_ns;
    width.min(report.length().saturating_sub(interval.start_ns)).max(1)
}

fn row(interval: &IntervalReport, length: Nanos) -> String {
    let counts = [
        interval.start_ns,
        length,
        interval.planned,
        interval.not_sent,
        interval.sent,
        interval.ok,
        interval.late,
        interval.error,
        interval.lost,
        interval.pending_at_abort,
        interval.late_sends,
    ];
    let latency = &interval.latency;
    let reads = [latency.rtt_from_plan, latency.rtt_from_send, latency.lag];
    let cells = counts.iter().map(u64::to_string).chain(reads.iter().flat_map(points));
    cells.collect::<Vec<_>>().join(",")
}

fn points(read: &Option<Percentiles>) -> [String; 5] {
    match read {
        Some(read) => [read.p50, read.p90, read.p99, read.p99_9, read.max].map(|nanos| nanos.to_string()),
        None => [const { String::new() }; 5],
    }
}
