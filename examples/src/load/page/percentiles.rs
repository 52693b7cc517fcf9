//! Latency by percentile, over an axis of the logarithm of 1/(1-q): the habit of `HdrHistogram`, which shows the tail.

use svg::node::element::Group;

use super::axes::{
    FOOT, LAG, LEFT, Logarithmic, Named, PLAN, Picture, RIGHT, SEND, TOP, frame, heading, legend, line,
    nothing,
};
use crate::load::summary::Summary;
use crate::picture::scale::{Scale, in_unit};
use crate::picture::sheet::{Anchor, FAINT, rule, stroke, text, wide};

const HEIGHT: f64 = 230.0;

/// Points of a line.
const POINTS: u32 = 160;

/// Most nines of the axis: a run of 10 thousand million datagrams tells no more apart.
const NINES: u32 = 10;

pub(super) fn picture(summary: &Summary) -> Picture {
    let name = "Latency by percentile";
    let height = TOP + HEIGHT + FOOT;
    let of = &summary.histograms;
    let lines: Vec<_> = [
        (("from plan", PLAN, "none"), &of.from_plan),
        (("from send", SEND, "7 3"), &of.from_send),
        (("generator lag", LAG, "2 3"), &of.lag),
    ]
    .into_iter()
    .filter_map(|(name, latency)| {
        let latency = latency.as_ref()?;
        Some((name, latency, latency.percentiles()?))
    })
    .collect();
    if lines.is_empty() {
        let group = heading(name).add(nothing(TOP, HEIGHT, "nothing was measured"));
        return Picture { name: name.to_owned(), group, height };
    }
    // One of twenty may lie below the panel: the shortest lag of all is some nanoseconds.
    let lows = lines.iter().map(|(_, latency, _)| latency.histogram().value_at_quantile(0.05));
    let low = lows.min().unwrap_or(1);
    let ends = lines.iter().map(|(.., read)| (read.max, read.count));
    let (high, count) = ends.fold((0, 0), |(high, most), (max, count)| (max.max(high), count.max(most)));
    let nines = count.max(10).ilog10().min(NINES);
    let x = Scale::new((0.0, f64::from(nines)), (LEFT, RIGHT));
    let y = Logarithmic::new(low, high, TOP, HEIGHT);
    let names: Vec<Named> = lines.iter().map(|(name, ..)| *name).collect();
    let mut group = heading(name).add(legend(&names)).add(y.values()).add(axis(&x, nines));
    for ((_, colour, dashes), latency, read) in lines {
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
    // The last one must not stand out of the picture, and is named first: the others where they find room before it.
    let mut free = RIGHT + 12.0;
    let group = (0..=nines).rev().fold(Group::new(), |group, power| {
        let at = x.at(f64::from(power));
        let group = group.add(rule((at, TOP), (at, bottom)));
        let words = match power {
            0 => "0%".to_owned(),
            1 => "90%".to_owned(),
            2 => "99%".to_owned(),
            more => format!("99.{}%", "9".repeat(usize::try_from(more).unwrap_or(0).saturating_sub(2))),
        };
        let width = wide(&words, 11.0) + 8.0;
        let right = (at + width / 2.0).min(RIGHT + 12.0);
        if right > free {
            return group;
        }
        free = right - width;
        group.add(text((right, bottom + 15.0), 11.0, Anchor::End, words).set("fill", FAINT))
    });
    let name = "part of the datagrams that is not slower";
    group.add(text((LEFT.midpoint(RIGHT), bottom + 31.0), 11.0, Anchor::Middle, name).set("fill", FAINT))
}
