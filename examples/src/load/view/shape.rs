//! The shape of a distribution: how many answers took how long, in steps that people count in.

use polyport_protocol::Nanos;
use polyport_terminal::screen::{Look, put};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::model::Model;
use crate::load::histogram::TotalLatency;
use crate::load::unit::{percent, span};

/// Steps of a power of ten, in tenths: those of IEC 60063, and coarser ones.
const STEPS: [&[u64]; 7] = [
    &[10, 11, 12, 13, 15, 16, 18, 20, 22, 24, 27, 30, 33, 36, 39, 43, 47, 51, 56, 62, 68, 75, 82, 91],
    &[10, 12, 15, 18, 22, 27, 33, 39, 47, 56, 68, 82],
    &[10, 15, 22, 33, 47, 68],
    &[10, 20, 50],
    &[10, 30],
    &[10],
    &[],
];

/// A step: answers that took no longer than `up_to`, and longer than the step before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    up_to: Nanos,
    count: u64,
}

/// Columns of a label and of a share.
const LABEL: usize = 9;
const SHARE: usize = 7;
/// Percentiles that are named beside their step.
const NAMED: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// Draws it.
pub(super) fn draw(area: Rect, buf: &mut Buffer, model: &Model, look: Look) {
    let from = if model.is_closed_loop() { "RTT FROM SENDING" } else { "RTT FROM PLAN" };
    let title = format!("{:<1$}", format!("{from}, WHOLE RUN"), usize::from(area.width));
    put(buf, area, 0, &Line::styled(title, look.heading()));
    let latency = model.latency();
    let steps = steps(latency, usize::from(area.height).saturating_sub(1));
    if steps.is_empty() {
        put(buf, area, 1, &Line::styled("no answer yet", look.dim()));
        return;
    }
    let all: u64 = steps.iter().map(|step| step.count).sum();
    let most = steps.iter().map(|step| step.count).max().unwrap_or(1);
    // All four may be in one step.
    let names = if area.width >= 60 { 18 } else { 0 };
    let room = usize::from(area.width).saturating_sub(LABEL + SHARE + 1 + names);
    let points = NAMED.map(|(name, quantile)| (name, latency.at_quantile(quantile).unwrap_or(0)));
    let mut before = 0;
    for (row, step) in (1..).zip(&steps) {
        let bar = look.bar(share(step.count, most), room);
        let inside = |at: Nanos| at <= step.up_to && (before < at || row == 1);
        let marks: Vec<_> = points.iter().filter(|(_, at)| inside(*at)).map(|(name, _)| *name).collect();
        let mut spans = vec![
            Span::styled(format!("{:>LABEL$} ", span(step.up_to)), look.dim()),
            Span::styled(format!("{bar:<room$}"), look.picture()),
            Span::raw(format!("{:>SHARE$}", percent(step.count, all))),
        ];
        if names > 0 {
            spans.push(Span::styled(format!(" {}", marks.join(" ")), look.dim()));
        }
        put(buf, area, row, &Line::from(spans));
        before = step.up_to;
    }
}

/// The finest steps of which no more than `rows` are needed; the last row has all that is beyond, if even the coarsest are more.
fn steps(latency: &TotalLatency, rows: usize) -> Vec<Step> {
    let (Some(least), Some(most)) = (latency.at_quantile(0.0), latency.at_quantile(1.0)) else {
        return Vec::new();
    };
    let fits = |series: &&&[u64]| edges(series, least, most).len() <= rows;
    let series = STEPS.iter().find(fits).copied().unwrap_or_default();
    let mut steps: Vec<Step> =
        edges(series, least, most).into_iter().map(|up_to| Step { up_to, count: 0 }).collect();
    if rows == 0 {
        return Vec::new();
    }
    let last = steps.len().saturating_sub(1);
    for recorded in latency.histogram().iter_recorded() {
        let value = recorded.value_iterated_to().min(most);
        let place = steps.partition_point(|step| step.up_to < value).min(last);
        if let Some(step) = steps.get_mut(place) {
            step.count += recorded.count_at_value();
        }
    }
    steps
}

/// The ends of the steps from the shortest answer to the longest.
fn edges(series: &[u64], least: Nanos, most: Nanos) -> Vec<Nanos> {
    let mut edges = Vec::new();
    let mut power: Nanos = 1;
    while let Some(next) = power.checked_mul(10) {
        for tenths in series {
            let edge = power.saturating_mul(*tenths) / 10;
            // Below ten nanoseconds steps fall together.
            if edge < least || edges.last() == Some(&edge) {
                continue;
            }
            edges.push(edge);
            if edge >= most {
                return edges;
            }
        }
        power = next;
    }
    vec![most]
}

#[expect(clippy::cast_precision_loss, reason = "a share of some columns")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latency(values: &[Nanos]) -> TotalLatency {
        let mut latency = TotalLatency::total().unwrap();
        values.iter().for_each(|value| latency.record(*value));
        latency
    }

    #[test]
    fn steps_are_as_fine_as_there_is_room() {
        let spread = latency(&[11_000, 25_000, 26_000, 1_900_000]);
        let read = |rows| -> Vec<(Nanos, u64)> {
            steps(&spread, rows).iter().map(|step| (step.up_to, step.count)).collect()
        };
        assert_eq!(
            read(8),
            [
                (20_000, 1),
                (50_000, 2),
                (100_000, 0),
                (200_000, 0),
                (500_000, 0),
                (1_000_000, 0),
                (2_000_000, 1)
            ]
        );
        assert_eq!(read(3).len(), 3, "decades");
        assert!(read(60).len() > 20 && read(60).len() <= 60);
        for rows in 1..60 {
            let steps = read(rows);
            assert!(steps.len() <= rows.max(1), "{rows}: {steps:?}");
            assert_eq!(steps.iter().map(|step| step.1).sum::<u64>(), 4, "{rows}: nothing is left out");
        }
        assert_eq!(steps(&spread, 0), []);
        assert_eq!(steps(&latency(&[]), 9), []);
        assert_eq!(steps(&latency(&[7]), 9), [Step { up_to: 7, count: 1 }]);
        assert_eq!(steps(&latency(&[u64::MAX, 1]), 3).iter().map(|step| step.count).sum::<u64>(), 2);
    }
}
