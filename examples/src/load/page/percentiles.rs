//! Latency by percentile, over an axis of the logarithm of 1/(1-q): the habit of `HdrHistogram`, which shows the tail.

use svg::node::element::Group;

use super::axes::{
    FOOT, LAG, LEFT, Logarithmic, PLAN, Picture, RIGHT, SEND, TOP, frame, heading, legend, line, nothing,
};
use crate::load::histogram::TotalLatency;
use crate::load::summary::Summary;
use crate::picture::scale::{Scale, in_unit};
use crate::picture::sheet::{Anchor, FAINT, rule, stroke, text};

const HEIGHT: f64 = 230.0;

/// Points of a line.
const POINTS: u32 = 160;

/// Most nines of the axis: a run of 10 thousand million datagrams tells no more apart.
const NINES: u32 = 10;

pub(super) fn picture(summary: &Summary) -> Picture {
    let name = "Latency by percentile";
    let height = TOP + HEIGHT + FOOT;
    let lines = [
        ("from plan", PLAN, "none", &summary.histograms.from_plan),
        ("from send", SEND, "7 3", &summary.histograms.from_send),
        ("generator lag", LAG, "2 3", &summary.histograms.lag),
    ];
    let group = heading(name).add(legend(&lines.map(|(words, colour, dashes, _)| (words, colour, dashes))));
    let known = || lines.iter().filter_map(|(.., latency)| latency.as_ref());
    let reads: Vec<_> = known().filter_map(TotalLatency::percentiles).collect();
    // One of twenty may lie below the panel: the shortest lag of all is some nanoseconds.
    let low = known().map(|latency| latency.histogram().value_at_quantile(0.05)).min().unwrap_or(1);
    let (high, count) =
        reads.iter().fold((0, 0), |(high, count), read| (read.max.max(high), read.count.max(count)));
    if reads.is_empty() {
        return Picture {
            name: name.to_owned(),
            group: group.add(nothing(TOP, HEIGHT, "nothing was measured")),
            height,
        };
    }
    let nines = count.max(10).ilog10().min(NINES);
    let x = Scale::new((0.0, f64::from(nines)), (LEFT, RIGHT));
    let y = Logarithmic::new(low, high, TOP, HEIGHT);
    let mut group = group.add(y.values()).add(axis(&x, nines));
    for (_, colour, dashes, latency) in lines {
        let Some(latency) = latency else { continue };
        let Some(read) = latency.percentiles() else { continue };
        let most = in_unit(read.count, 1.0).log10().min(f64::from(nines));
        let places = (0..=POINTS).map(|point| {
            let power = most * f64::from(point) / f64::from(POINTS);
            let quantile = 1.0 - 10_f64.powf(-power);
            // As the figures are read: a bucket at its upper end, but nothing above the longest.
            let value = latency.histogram().value_at_quantile(quantile).min(read.max);
            Some((x.at(power), y.at(value)))
        });
        group = group.add(stroke(line(places), colour, 1.8).set("stroke-dasharray", dashes));
    }
    Picture { name: name.to_owned(), group: group.add(frame(TOP, HEIGHT)), height }
}

fn axis(x: &Scale, nines: u32) -> Group {
    let bottom = TOP + HEIGHT;
    let group = (0..=nines).fold(Group::new(), |group, power| {
        let at = x.at(f64::from(power));
        let words = match power {
            0 => "0%".to_owned(),
            1 => "90%".to_owned(),
            2 => "99%".to_owned(),
            more => format!("99.{}%", "9".repeat(usize::try_from(more).unwrap_or(0).saturating_sub(2))),
        };
        // The last one must not stand out of the picture.
        let anchor = if power == nines { Anchor::End } else { Anchor::Middle };
        let at_words = if power == nines { at + 12.0 } else { at };
        let words = text((at_words, bottom + 15.0), 11.0, anchor, words).set("fill", FAINT);
        group.add(rule((at, TOP), (at, bottom))).add(words)
    });
    let name = "part of the datagrams that is not slower";
    group.add(text((LEFT.midpoint(RIGHT), bottom + 31.0), 11.0, Anchor::Middle, name).set("fill", FAINT))
}
