//! The intervals of a run, as many as a picture has columns.

use polyport_protocol::Nanos;

use super::axes::Time;
use crate::load::intervals::{Interval, Intervals};
use crate::load::json::LoadReport;
use crate::load::summary::Summary;

/// Most columns of a picture: each is some pixels wide then.
const MOST: u64 = 120;

/// The load over time, in columns.
pub(super) struct Columns {
    intervals: Option<Intervals>,
    length: Nanos,
    /// The axis of time.
    pub(super) time: Time,
}

impl Columns {
    pub(super) fn new(report: &LoadReport, summary: &Summary) -> Self {
        let mut intervals = summary.intervals.clone();
        if let Some(intervals) = &mut intervals {
            let times = (intervals.iter().len() as u64).div_ceil(MOST);
            intervals.join(times);
        }
        // A run that was broken off has no more time than it took.
        let length = if report.aborted { report.took_ns } else { report.config.duration_ns };
        Self { intervals, length, time: Time::new(length) }
    }

    /// Start, length and content of each column.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Nanos, Nanos, &Interval)> + '_ {
        let all = self.length;
        self.intervals.iter().flat_map(move |intervals| {
            let width = intervals.width();
            intervals
                .iter()
                .map(move |(start, interval)| (start, width.min(all.saturating_sub(start)).max(1), interval))
        })
    }

    /// Left and right end of a column.
    pub(super) fn ends(&self, start: Nanos, length: Nanos) -> (f64, f64) {
        (self.time.at(start), self.time.at(start.saturating_add(length)))
    }

    /// A line that is level within each column.
    pub(super) fn steps(&self, y: impl Fn(Nanos, &Interval) -> Option<f64>) -> String {
        super::axes::line(self.iter().flat_map(|(start, length, interval)| {
            let (left, right) = self.ends(start, length);
            let y = y(length, interval);
            [y.map(|y| (left, y)), y.map(|y| (right, y))]
        }))
    }
}
