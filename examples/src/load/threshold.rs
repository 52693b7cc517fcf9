//! Thresholds: what a run must meet, such as `p99<5ms` or `loss<0.1%`, and whether it did.

use std::fmt;

use polyport_protocol::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::summary::Summary;
use super::unit::{self, exact};
use crate::clock::nanos;

/// One condition on the result of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    text: String,
    metric: Metric,
    comparison: Comparison,
    limit: f64,
    /// Whether the limit is a share of all rather than a count.
    share: bool,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Metric {
    Latency(Source, Point),
    Count(Count),
}

/// Which histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Plan,
    Send,
    Lag,
    Ipdv,
    IpdvUp,
    IpdvDown,
    Up,
    Down,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Point {
    P50,
    P90,
    P95,
    P99,
    P999,
    P9999,
    Max,
    Mean,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Count {
    Ok,
    Late,
    Error,
    Loss,
    Duplicate,
    Reordered,
    NotSent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Below,
    AtMost,
    Above,
    AtLeast,
}

/// A threshold and what was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Judgement {
    /// The threshold as the user wrote it.
    #[serde(rename = "threshold")]
    pub text: String,
    /// Whether it was met. One that could not be measured was not.
    pub met: bool,
    /// The measured value for people; "nothing measured" if there was none.
    pub measured: String,
}

impl Threshold {
    /// Parses `METRIC OP VALUE`.
    ///
    /// # Errors
    /// Says what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let at = text.find(['<', '>']).ok_or_else(|| wrong(text, "it has no `<` or `>`"))?;
        let (name, rest) = text.split_at(at);
        let (comparison, value) = split_comparison(rest);
        let metric = metric(name.trim())
            .ok_or_else(|| wrong(text, &format!("there is no metric `{}`", name.trim())))?;
        let (limit, share) = limit(metric, value.trim()).map_err(|reason| wrong(text, &reason))?;
        Ok(Self { text: text.split_whitespace().collect(), metric, comparison, limit, share })
    }

    /// The share of all datagrams that may stay without a good answer, where this is a condition on that: loss below something,
    /// or good answers above something. A number of datagrams tolerates no share.
    #[must_use]
    pub fn tolerated_loss(&self) -> Option<f64> {
        use Comparison::{Above, AtLeast, AtMost, Below};
        match (self.metric, self.comparison) {
            (Metric::Count(Count::Loss), Below | AtMost) => {
                Some(if self.share { self.limit / 100.0 } else { 0.0 })
            }
            (Metric::Count(Count::Ok), Above | AtLeast) if self.share => {
                Some((1.0 - self.limit / 100.0).max(0.0))
            }
            _ => None,
        }
    }

    /// Whether what it is about is told while a run goes on, in which answers come or not: what each way takes is reckoned at
    /// the end, and where nothing comes, only what the tester itself did is known before.
    #[must_use]
    pub const fn is_told_early(&self, nothing_comes: bool) -> bool {
        match self.metric {
            Metric::Latency(Source::Up | Source::Down | Source::IpdvUp | Source::IpdvDown, _) => false,
            Metric::Latency(Source::Lag, _) | Metric::Count(Count::NotSent) => true,
            Metric::Latency(Source::Plan | Source::Send | Source::Ipdv, _) | Metric::Count(_) => {
                !nothing_comes
            }
        }
    }

    /// Whether the run met it.
    #[must_use]
    pub fn judge(&self, summary: &Summary) -> Judgement {
        let (value, measured) = match self.metric {
            Metric::Latency(source, point) => {
                let nanos = latency(summary, source, point);
                (nanos.map(exact), nanos.map(unit::span))
            }
            Metric::Count(count) => {
                let (part, whole) = counted(summary, count);
                let share = (whole > 0).then(|| exact(part) * 100.0 / exact(whole));
                if self.share {
                    (share, share.map(|_| unit::percent(part, whole)))
                } else {
                    (Some(exact(part)), Some(part.to_string()))
                }
            }
        };
        let met = value.is_some_and(|value| self.comparison.holds(value, self.limit));
        let measured = measured.unwrap_or_else(|| "nothing measured".to_owned());
        Judgement { text: self.text.clone(), met, measured }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Comparison {
    fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Below => value < limit,
            Self::AtMost => value <= limit,
            Self::Above => value > limit,
            Self::AtLeast => value >= limit,
        }
    }
}

fn split_comparison(text: &str) -> (Comparison, &str) {
    [
        ("<=", Comparison::AtMost),
        (">=", Comparison::AtLeast),
        ("<", Comparison::Below),
        (">", Comparison::Above),
    ]
    .into_iter()
    .find_map(|(sign, comparison)| Some((comparison, text.strip_prefix(sign)?)))
    .unwrap_or((Comparison::Below, text))
}

fn metric(name: &str) -> Option<Metric> {
    let count = match name {
        "ok" => Count::Ok,
        "late" => Count::Late,
        "error" => Count::Error,
        "loss" | "lost" => Count::Loss,
        "duplicate" | "dup" => Count::Duplicate,
        "reordered" => Count::Reordered,
        "not_sent" => Count::NotSent,
        // A lag without a point is that of nearly all datagrams.
        "lag" => return Some(Metric::Latency(Source::Lag, Point::P99)),
        _ => {
            let (source, point) = name.rsplit_once('.').map_or((None, name), |(s, p)| (Some(s), p));
            // The point itself may have a dot.
            let dotted =
                ["p99.99", "p99.9"].into_iter().find_map(|point| Some((name.strip_suffix(point)?, point)));
            let (source, point) = match dotted {
                Some(("", point)) => (None, point),
                Some((source, point)) => (Some(source.strip_suffix('.')?), point),
                None => (source, point),
            };
            return Some(Metric::Latency(self::source(source)?, self::point(point)?));
        }
    };
    Some(Metric::Count(count))
}

fn source(name: Option<&str>) -> Option<Source> {
    match name {
        None | Some("rtt" | "plan") => Some(Source::Plan),
        Some("send") => Some(Source::Send),
        Some("lag") => Some(Source::Lag),
        Some("ipdv") => Some(Source::Ipdv),
        Some("ipdv.up") => Some(Source::IpdvUp),
        Some("ipdv.down") => Some(Source::IpdvDown),
        Some("up") => Some(Source::Up),
        Some("down") => Some(Source::Down),
        Some(_) => None,
    }
}

fn point(name: &str) -> Option<Point> {
    match name {
        "p50" => Some(Point::P50),
        "p90" => Some(Point::P90),
        "p95" => Some(Point::P95),
        "p99.99" => Some(Point::P9999),
        "mean" => Some(Point::Mean),
        "p99" => Some(Point::P99),
        "p99.9" => Some(Point::P999),
        "max" => Some(Point::Max),
        _ => None,
    }
}

fn limit(metric: Metric, value: &str) -> Result<(f64, bool), String> {
    let number = |text: &str| {
        let value = text.trim().parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0);
        value.ok_or_else(|| format!("`{text}` is no number"))
    };
    match metric {
        Metric::Latency(..) => {
            let span = polyport_value::duration(value)
                .map_err(|_| format!("`{value}` is no time: write 5ms, 250us or 1.5s"))?;
            Ok((exact(nanos(span)), false))
        }
        // Not a ratio of options: of duplicates there may be more than 100%.
        Metric::Count(_) => match value.strip_suffix('%') {
            Some(share) => Ok((number(share)?, true)),
            None => Ok((number(value)?, false)),
        },
    }
}

fn latency(summary: &Summary, source: Source, point: Point) -> Option<Nanos> {
    let read = match source {
        // In a closed loop there is no plan, and sending is all there is to count from.
        Source::Plan => summary.from_plan.or(summary.from_send),
        Source::Send => summary.from_send,
        Source::Lag => summary.lag,
        Source::Ipdv => summary.ipdv,
        Source::IpdvUp => summary.ipdv_ways.map(|ways| ways.up),
        Source::IpdvDown => summary.ipdv_ways.map(|ways| ways.down),
        Source::Up => summary.one_way.map(|ways| ways.up),
        Source::Down => summary.one_way.map(|ways| ways.down),
    }?;
    Some(match point {
        Point::P50 => read.p50,
        Point::P90 => read.p90,
        Point::P95 => read.p95,
        Point::P9999 => read.p99_99,
        Point::Mean => read.mean,
        Point::P99 => read.p99,
        Point::P999 => read.p99_9,
        Point::Max => read.max,
    })
}

/// The count, and what it is a share of.
const fn counted(summary: &Summary, count: Count) -> (u64, u64) {
    let total = &summary.total;
    let part = match count {
        Count::Ok => total.ok,
        Count::Late => total.late,
        Count::Error => total.error,
        Count::Loss => total.lost(),
        Count::Duplicate => total.dup_up + total.dup_down,
        Count::Reordered => total.reordered,
        Count::NotSent => return (summary.not_sent(), summary.planned),
    };
    (part, total.sent)
}

fn wrong(text: &str, reason: &str) -> String {
    format!(
        "`{text}` is no threshold: {reason}; write p99<5ms, send.p99.9<=1ms, lag<1ms, ipdv.p95<1ms, up.p99<9ms, ipdv.down.p99<1ms or loss<0.1% \
         (points p50 p90 p95 p99 p99.9 p99.99 max mean; counts ok late error loss duplicate reordered not_sent)"
    )
}

#[cfg(test)]
mod tests {
    use polyport_protocol::MILLISECOND;

    use super::*;
    use crate::load::histogram::TotalLatency;
    use crate::load::stream::Tally;

    fn summary() -> Summary {
        let mut latency = TotalLatency::total().unwrap();
        (1..=100).for_each(|i| latency.record(i * MILLISECOND));
        Summary {
            planned: 1000,
            from_plan: latency.percentiles(),
            total: Tally { sent: 1000, ok: 990, lost_down: 5, lost_up: 3, late: 2, ..Tally::default() },
            ..Summary::default()
        }
    }

    #[test]
    fn what_was_measured_is_compared_and_shown() {
        let judge = |text: &str| {
            let judged = Threshold::parse(text).unwrap().judge(&summary());
            (judged.met, judged.measured)
        };
        assert_eq!(judge("p50<51ms"), (true, "50.0ms".into()));
        assert_eq!(judge("p50 < 49ms"), (false, "50.0ms".into()));
        assert_eq!(judge("rtt.max>=0.1s"), (true, "100ms".into()));
        assert_eq!(judge("loss<0.8%"), (false, "0.800%".into()));
        assert_eq!(judge("loss<=0.8%"), (true, "0.800%".into()));
        assert_eq!(judge("late<=2"), (true, "2".into()));
        assert_eq!(judge("ok>99%"), (false, "99.0%".into()));
        assert_eq!(judge("not_sent<1"), (true, "0".into()));
    }

    #[test]
    fn what_is_reckoned_at_the_end_is_not_told_before() {
        let told =
            |text: &str| [false, true].map(|nothing| Threshold::parse(text).unwrap().is_told_early(nothing));
        for text in ["up.p99<9ms", "down.max<9ms", "ipdv.up.p95<1ms", "ipdv.down.p50<1ms"] {
            assert_eq!(told(text), [false, false], "{text}");
        }
        for text in
            ["loss<1%", "ok>99%", "late<=2", "error<1", "dup<1", "reordered<1", "p99<5ms", "ipdv.p95<1ms"]
        {
            assert_eq!(told(text), [true, false], "{text}");
        }
        for text in ["lag<1ms", "not_sent<1"] {
            assert_eq!(told(text), [true, true], "{text}");
        }
    }

    #[test]
    fn what_could_not_be_measured_is_not_met() {
        let judged = Threshold::parse("lag<1s").unwrap().judge(&summary());
        assert_eq!((judged.met, judged.measured.as_str()), (false, "nothing measured"));
        let empty = Threshold::parse("loss<1%").unwrap().judge(&Summary::default());
        assert!(!empty.met, "a share of nothing");
    }

    #[test]
    fn names_with_and_without_dots_are_told_apart() {
        let metric = |text: &str| Threshold::parse(text).map(|threshold| threshold.metric);
        assert_eq!(metric("p99.9<1ms"), Ok(Metric::Latency(Source::Plan, Point::P999)));
        assert_eq!(metric("send.p99.9<1ms"), Ok(Metric::Latency(Source::Send, Point::P999)));
        assert_eq!(metric("p99.99<1ms"), Ok(Metric::Latency(Source::Plan, Point::P9999)));
        assert_eq!(metric("ipdv.p95<1ms"), Ok(Metric::Latency(Source::Ipdv, Point::P95)));
        assert_eq!(metric("ipdv.up.p99.9<1ms"), Ok(Metric::Latency(Source::IpdvUp, Point::P999)));
        assert_eq!(metric("down.max<1ms"), Ok(Metric::Latency(Source::Down, Point::Max)));
        assert_eq!(metric("send.mean<1ms"), Ok(Metric::Latency(Source::Send, Point::Mean)));
        assert_eq!(metric("lag.max<1ms"), Ok(Metric::Latency(Source::Lag, Point::Max)));
        assert_eq!(metric("lag<1ms"), Ok(Metric::Latency(Source::Lag, Point::P99)));
        for text in [
            "",
            "p99",
            "p98<1ms",
            "p99<1",
            "p99<1%",
            "loss<1ms",
            "loss<-1",
            "xp99.9<1ms",
            "ok<nan",
            "p99=1ms",
        ] {
            assert!(metric(text).unwrap_err().contains("is no threshold"), "{text}");
        }
    }
}
