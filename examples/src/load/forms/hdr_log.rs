//! The interval log of `HdrHistogram`, which `HistogramLogAnalyzer`, `HistogramLogProcessor` and the libraries of many languages
//! read.

use std::time::{Duration, UNIX_EPOCH};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::load::summary::Summary;

/// Nanoseconds are shown in milliseconds, as the tools of Java expect it in the column for people.
const SHOWN_IN: f64 = 1e6;

/// The log: for each interval a line of `from plan`, which has no tag, and lines of `from_send` and `lag`.
///
/// # Errors
/// A histogram cannot be written down; the library says why.
pub fn log(summary: &Summary, duration: Duration) -> Result<Vec<u8>, String> {
    let mut octets = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let start = UNIX_EPOCH + summary.started;
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment("[Histogram log format version 1.3]")
        .add_comment(
            "[polyport-load: latencies in nanoseconds; without a tag from plan, else from_send and lag]",
        )
        .with_start_time(start)
        .with_base_time(start)
        .with_max_value_divisor(SHOWN_IN)
        .begin_log_with(&mut octets, &mut serializer)
        .map_err(|error| error.to_string())?;
    let Some(intervals) = &summary.intervals else { return Ok(octets) };
    let width = Duration::from_nanos(intervals.width());
    for (since, interval) in intervals.iter() {
        let since = Duration::from_nanos(since);
        let length = width.min(duration.saturating_sub(since));
        for (tag, latency) in [
            (None, &interval.from_plan),
            (Tag::new("from_send"), &interval.from_send),
            (Tag::new("lag"), &interval.lag),
        ] {
            log.write_histogram(latency.histogram(), since, length, tag)
                .map_err(|error| error.to_string())?;
        }
    }
    Ok(octets)
}
