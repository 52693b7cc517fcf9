//! Latency over time: how many datagrams of each column took how long, with median and 99th percentile.

use std::fmt::Write;

use polyport_protocol::Nanos;
use svg::node::element::Path;

use super::axes::{FOOT, Logarithmic, PLAN, Picture, SEND, TOP, frame, heading, legend, nothing};
use super::columns::Columns;
use crate::load::histogram::Percentiles;
use crate::picture::scale::in_unit;
use crate::picture::sheet::{place, step, stroke};

const HEIGHT: f64 = 230.0;

/// Rows of cells.
const ROWS: u32 = 40;

/// Shades of a cell: each has ten times as many datagrams as the one before it, from the least to the most.
const SHADES: u32 = 6;

pub(super) fn picture(columns: &Columns) -> Picture {
    let name = "Latency over time, from plan";
    let height = TOP + HEIGHT + FOOT;
    let reads: Vec<_> = columns.iter().filter_map(|(.., one)| one.from_plan.percentiles()).collect();
    let low = reads.iter().map(|read| read.min).min().unwrap_or(1);
    let high = reads.iter().map(|read| read.max).max().unwrap_or(0);
    if reads.is_empty() {
        let group = heading(name).add(nothing(TOP, HEIGHT, "no answer came"));
        return Picture { name: name.to_owned(), group, height };
    }
    let y = Logarithmic::new(low, high, TOP, HEIGHT);
    let point = |of: fn(&Percentiles) -> Nanos| {
        columns.steps(|_, interval| interval.from_plan.percentiles().map(|read| y.at(of(&read))))
    };
    let mut group = heading(name)
        .add(legend(&[("median", PLAN, "none"), ("99th percentile", SEND, "7 3")]))
        .add(y.values())
        .add(columns.time.axis(TOP, TOP + HEIGHT));
    for (shade, cells) in (1_u32..).zip(cells(columns, y)).filter(|(_, cells)| !cells.is_empty()) {
        let opacity = 0.12 + 0.78 * f64::from(shade) / f64::from(SHADES);
        group = group.add(
            Path::new().set("d", cells).set("fill", "#8a63d2").set("fill-opacity", format!("{opacity:.2}")),
        );
    }
    let group = group
        .add(stroke(point(|read| read.p50), PLAN, 1.8))
        .add(stroke(point(|read| read.p99), SEND, 1.4).set("stroke-dasharray", "7 3"))
        .add(frame(TOP, HEIGHT));
    Picture { name: name.to_owned(), group, height }
}

/// The cells of each shade, as a path.
fn cells(columns: &Columns, y: Logarithmic) -> Vec<String> {
    let mut paths = vec![String::new(); usize::try_from(SHADES).unwrap_or(0)];
    let most = columns.iter().map(|(.., one)| one.from_plan.histogram().len()).max().unwrap_or(1).max(2);
    let high = HEIGHT / f64::from(ROWS);
    for (start, length, interval) in columns.iter() {
        let (left, right) = columns.ends(start, length);
        for row in 0..ROWS {
            let [low, top] = [row, row + 1].map(|row| y.time(f64::from(row) / f64::from(ROWS)));
            let count = interval.from_plan.histogram().count_between(low, top.saturating_sub(1).max(low));
            if count == 0 {
                continue;
            }
            let bottom = TOP + HEIGHT - high * f64::from(row);
            let Some(path) = paths.get_mut(shade(count, most)) else { continue };
            step(path, 'M', (left, bottom - high));
            // Writing to a text cannot fail.
            let (wide, high) = (place((right - left).max(0.4)), place(high));
            write!(path, "h{wide}v{high}h-{wide}z").unwrap_or(());
        }
    }
    paths
}

/// The shade of a count, by its logarithm: a single one is to be seen beside a million.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of a shade")]
fn shade(count: u64, most: u64) -> usize {
    let part = in_unit(count, 1.0).ln() / in_unit(most, 1.0).ln();
    ((part * f64::from(SHADES)) as usize).min(SHADES as usize - 1)
}
