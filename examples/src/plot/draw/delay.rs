//! The panel of delays: how long datagrams waited, one by one and in bins.

use polyport_protocol::Nanos;
use svg::node::element::Group;

use super::axes::values;
use super::sheet::{Anchor, DELAY, FAINT, LEFT, RIGHT, frame, look, part, step, stroke, text};
use super::steps;
use super::time::Time;
use crate::picture::scale::{Scale, in_unit, unit};
use crate::plot::decision::Direction;
use crate::plot::run::Run;

/// From so many delays on, nobody sees their middle any more: lines show it.
const MANY: u64 = 200;

/// The quantiles that are drawn as lines.
const QUANTILES: [(&str, f64); 2] = [("median", 0.5), ("p95", 0.95)];

/// Whether the delays of a direction have lines as well.
pub(super) fn has_lines(run: &Run, direction: Direction) -> bool {
    run.side(direction).delayed() > MANY
}

/// The panel, with its heading above `top`.
pub(super) fn panel(run: &Run, time: &Time, top: f64) -> Group {
    let longest = Direction::ALL.into_iter().map(|direction| run.side(direction).longest()).max();
    let longest = longest.unwrap_or(0);
    if longest == 0 {
        let middle = (LEFT.midpoint(RIGHT), top + DELAY / 2.0);
        let scale = Scale::new((0.0, 1.0), (top + DELAY, top));
        return values(&scale, 1.0, top, "Delay (ms)")
            .add(frame(top, DELAY))
            .add(text(middle, 12.0, Anchor::Middle, "nothing had to wait").set("fill", FAINT));
    }
    let (per_unit, name) = unit(longest);
    let scale = Scale::new((0.0, in_unit(longest, per_unit) * 1.06), (top + DELAY, top));
    let at = |wait: Nanos| scale.at(in_unit(wait, per_unit));
    let mut panel = values(&scale, 6.0, top, &format!("Delay ({name})"));
    for direction in run.directions() {
        panel = panel.add(points(run, time, direction, at));
    }
    for direction in run.directions().filter(|direction| has_lines(run, *direction)) {
        panel = panel.add(lines(run, time, direction, at));
    }
    panel.add(frame(top, DELAY))
}

fn points(run: &Run, time: &Time, direction: Direction, at: impl Fn(Nanos) -> f64) -> Group {
    let (side, look) = (run.side(direction), look(direction));
    let mut data = String::new();
    for (moment, wait) in side.points.kept() {
        step(&mut data, 'M', (time.at(*moment), at(*wait)));
        data.push_str(look.point);
    }
    let title = format!("delays, {}: {}", direction.name(), side.delayed());
    let opacity = if has_lines(run, direction) { 0.3 } else { 0.75 };
    let group = part(format_args!("delay {}", direction.name()), title);
    if data.is_empty() {
        group
    } else {
        group.add(stroke(data, "none", 0.0).set("fill", look.colour).set("fill-opacity", opacity))
    }
}

fn lines(run: &Run, time: &Time, direction: Direction, at: impl Fn(Nanos) -> f64) -> Group {
    let look = look(direction);
    let mut group = part(format_args!("quantiles {}", direction.name()), direction.name());
    for (name, quantile) in QUANTILES {
        let bins =
            run.bins().iter().map(|(start, sums)| (start, sums[direction.index()].delay(quantile).map(&at)));
        let line = steps::curve(&steps::runs(time, run.bins().width(), bins));
        let (dashes, width) = if name == "median" { (look.median, 2.0) } else { (look.tail, 1.2) };
        // A white seam keeps it apart from the points.
        group = group
            .add(stroke(line.clone(), "#ffffff", width + 1.5).set("stroke-opacity", 0.7))
            .add(stroke(line, look.colour, width).set("stroke-dasharray", dashes).set("class", name));
    }
    group
}
