//! Single events: a lane for each kind, up above its middle and down below.

use svg::node::element::{Group, Path};

use super::sheet::{Anchor, FAINT, INK, LEFT, RIGHT, frame, look, part, place, rule, step, stroke, text};
use super::time::Time;
use crate::plot::decision::{Direction, Kind};
use crate::plot::run::Run;

/// Height of a lane.
const LANE: f64 = 24.0;
/// Height of a tick, or of the highest bar of a lane.
const TICK: f64 = 9.0;

/// Whether a kind has a lane.
fn has_lane(run: &Run, kind: Kind) -> bool {
    Direction::ALL.iter().any(|direction| run.side(*direction).count(kind) > 0)
}

/// Whether anything has a lane.
pub(super) fn are_there(run: &Run) -> bool {
    Kind::ALL.into_iter().any(|kind| has_lane(run, kind))
}

/// Whether there were too many events in some lane to draw each.
pub(super) fn is_crowded(run: &Run) -> bool {
    let kinds = || Kind::ALL.into_iter().filter(|kind| has_lane(run, *kind));
    run.directions().any(|direction| kinds().any(|kind| run.side(direction).ticks(kind).is_none()))
}

/// The lanes with a heading above `top`, and their height: 0 if nothing has a lane.
pub(super) fn panel(run: &Run, time: &Time, top: f64) -> (Group, f64) {
    let heading =
        text((LEFT, top - 7.0), 12.0, Anchor::Start, "Events").set("font-weight", "bold").set("fill", INK);
    let count = text((RIGHT + 50.0, top - 7.0), 11.0, Anchor::End, "count").set("fill", FAINT);
    let mut panel = Group::new().add(heading).add(count);
    let mut y = top;
    for kind in Kind::ALL.into_iter().filter(|kind| has_lane(run, *kind)) {
        let middle = y + LANE / 2.0;
        let total: u64 = Direction::ALL.iter().map(|direction| run.side(*direction).count(kind)).sum();
        panel = panel
            .add(rule((LEFT, middle), (RIGHT, middle)))
            .add(text((LEFT - 7.0, middle + 4.0), 11.0, Anchor::End, label(kind)))
            .add(text((RIGHT + 50.0, middle + 4.0), 11.0, Anchor::End, total.to_string()));
        for direction in run.directions() {
            panel = panel.add(events(run, time, kind, direction, middle));
        }
        y += LANE;
        panel = panel.add(rule((LEFT, y), (RIGHT, y)));
    }
    let height = y - top;
    if height > 0.0 {
        panel = panel.add(frame(top, height));
    }
    (panel, height)
}

/// The name of a lane.
fn label(kind: Kind) -> String {
    kind.name().replace('_', " ")
}

fn events(run: &Run, time: &Time, kind: Kind, direction: Direction, middle: f64) -> Group {
    let (side, look) = (run.side(direction), look(direction));
    let count = side.count(kind);
    let name = format!("{} {}", kind.name(), direction.name());
    let group = part(name, format!("{}, {}: {count}", label(kind), direction.name()));
    if count == 0 {
        return group;
    }
    match side.ticks(kind) {
        Some(ticks) => {
            let (from, height) = extent(direction, TICK);
            let mut data = String::new();
            for moment in ticks {
                step(&mut data, 'M', (time.at(*moment), middle + from));
                data.push_str(&format!("v{}", place(height)));
            }
            group.add(stroke(data, look.colour, 1.2))
        }
        None => group.add(bars(run, time, kind, direction, middle)),
    }
}

/// Where the marks of a direction begin in a lane, from its middle, and how high they are.
fn extent(direction: Direction, height: f64) -> (f64, f64) {
    match direction {
        Direction::Up => (-1.0, -height),
        Direction::Down => (1.0, height),
        Direction::Only => (-height / 2.0, height),
    }
}

/// How many there were in each bin, the most of them being a whole tick.
#[expect(clippy::cast_precision_loss, reason = "a picture has no 53 bits")]
fn bars(run: &Run, time: &Time, kind: Kind, direction: Direction, middle: f64) -> Path {
    let counts = || run.bins().iter().map(|(start, sums)| (start, sums[direction.index()].count(kind)));
    let most = counts().map(|(_, count)| count).max().unwrap_or(1).max(1);
    let mut data = String::new();
    for (start, count) in counts().filter(|(_, count)| *count > 0) {
        let (left, right) = (time.at(start), time.at(start.saturating_add(run.bins().width())));
        // One alone is to be seen as well.
        let (from, height) = extent(direction, (TICK * count as f64 / most as f64).max(0.7));
        step(&mut data, 'M', (left, middle + from));
        data.push_str(&format!("h{w}v{h}h-{w}z", w = place((right - left).max(0.3)), h = place(height)));
    }
    Path::new().set("d", data).set("fill", look(direction).colour).set("class", "bars")
}
