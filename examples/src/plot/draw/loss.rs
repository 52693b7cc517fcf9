//! The panel of losses: which part of the datagrams of a bin does not arrive.

use svg::node::element::{Group, Path};

use super::axes::values;
use super::sheet::{Anchor, FAINT, LEFT, LOSS, RIGHT, frame, look, part, stroke, text};
use super::steps;
use super::time::Time;
use crate::picture::scale::{Scale, round_up};
use crate::plot::decision::Direction;
use crate::plot::run::Run;

/// The panel, with its heading above `top`.
pub(super) fn panel(run: &Run, time: &Time, top: f64) -> Group {
    let worst =
        run.bins().iter().flat_map(|(_, sums)| sums).filter_map(|sum| share(sum.dropped, sum.datagrams));
    let worst = worst.fold(0.0, f64::max);
    let high = if worst > 0.0 { round_up(worst).min(100.0) } else { 1.0 };
    let scale = Scale::new((0.0, high), (top + LOSS, top));
    let mut panel = values(&scale, 5.0, top, "Lost (% of what came)");
    for direction in run.directions() {
        panel = panel.add(lost(run, time, direction, &scale, top + LOSS));
    }
    if worst <= 0.0 {
        let middle = (LEFT.midpoint(RIGHT), top + LOSS / 2.0);
        panel = panel.add(text(middle, 12.0, Anchor::Middle, "nothing was lost").set("fill", FAINT));
    }
    panel.add(frame(top, LOSS))
}

fn lost(run: &Run, time: &Time, direction: Direction, scale: &Scale, bottom: f64) -> Group {
    let (side, look) = (run.side(direction), look(direction));
    let bins = run.bins().iter().map(|(start, sums)| {
        let sum = &sums[direction.index()];
        (start, share(sum.dropped, sum.datagrams).map(|share| scale.at(share)))
    });
    let runs = steps::runs(time, run.bins().width(), bins);
    let title = format!("lost, {}: {} of {}", direction.name(), side.dropped, side.datagrams);
    let group = part(format_args!("loss {}", direction.name()), title);
    if runs.is_empty() || side.dropped == 0 {
        return group;
    }
    let area = Path::new().set("d", steps::area(&runs, bottom));
    group
        .add(area.set("fill", look.colour).set("fill-opacity", 0.2))
        .add(stroke(steps::line(&runs), look.colour, 1.6).set("stroke-dasharray", look.median))
}

/// A part in percent; `None` of nothing.
#[expect(clippy::cast_precision_loss, reason = "a picture has no 53 bits")]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| (part as f64 / whole as f64 * 100.0).min(100.0))
}
