//! What the tester itself was late over time: where this is high, the latencies from the plan are the tester's.

use polyport_protocol::Nanos;

use super::axes::{FOOT, LAG, Logarithmic, PLAN, Picture, SEND, TOP, frame, heading, legend, nothing};
use super::columns::Columns;
use crate::load::histogram::Percentiles;
use crate::picture::sheet::stroke;

const HEIGHT: f64 = 230.0;

/// Name, colour and dashes of a line, and what it is of.
type Line = (&'static str, &'static str, &'static str, fn(&Percentiles) -> Nanos);

pub(super) fn picture(columns: &Columns) -> Picture {
    let name = "Generator lag over time";
    let height = TOP + HEIGHT + FOOT;
    let lines: [Line; 3] = [
        ("median", LAG, "none", |read| read.p50),
        ("99th percentile", SEND, "7 3", |read| read.p99),
        ("longest", PLAN, "2 3", |read| read.max),
    ];
    let reads: Vec<_> = columns.iter().filter_map(|(.., one)| one.lag.percentiles()).collect();
    let low = reads.iter().map(|read| read.p50).min().unwrap_or(1);
    let high = reads.iter().map(|read| read.max).max().unwrap_or(0);
    if reads.is_empty() {
        let group = heading(name).add(nothing(TOP, HEIGHT, "nothing was sent"));
        return Picture { name: name.to_owned(), group, height };
    }
    let y = Logarithmic::new(low, high, TOP, HEIGHT);
    let mut group = heading(name)
        .add(legend(&lines.map(|(words, colour, dashes, _)| (words, colour, dashes))))
        .add(y.values())
        .add(columns.time.axis(TOP, TOP + HEIGHT));
    for (_, colour, dashes, of) in lines {
        let line = columns.steps(|_, interval| interval.lag.percentiles().map(|read| y.at(of(&read))));
        group = group.add(stroke(line, colour, 1.6).set("stroke-dasharray", dashes));
    }
    Picture { name: name.to_owned(), group: group.add(frame(TOP, HEIGHT)), height }
}
