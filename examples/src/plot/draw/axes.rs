//! Axes: their lines, their values, and what they are of.

use svg::node::element::Group;

use super::sheet::{Anchor, INK, LEFT, RIGHT, part, rule, text};
use super::time::Time;
use crate::picture::scale::Scale;

/// Grey lines from the top of each panel to its bottom.
pub(super) fn grid(time: &Time, panels: &[(f64, f64)]) -> Group {
    let mut grid = Group::new();
    for x in time.scale.ticks(10.0).into_iter().map(|(value, _)| time.scale.at(value)) {
        for (top, height) in panels {
            grid = grid.add(rule((x, *top), (x, top + height)));
        }
    }
    grid
}

/// The axis of time, below the panels.
pub(super) fn axis(time: &Time, bottom: f64) -> Group {
    let mut axis = part("axis", "Time since the first decision of the log");
    for (value, words) in time.scale.ticks(10.0) {
        axis = axis.add(text((time.scale.at(value), bottom + 16.0), 11.0, Anchor::Middle, words));
    }
    let words = format!("time since the first decision of the log ({})", time.unit);
    axis.add(text((LEFT.midpoint(RIGHT), bottom + 33.0), 12.0, Anchor::Middle, words))
}

/// The heading of a panel, and the values of its axis.
pub(super) fn values(scale: &Scale, count: f64, top: f64, heading: &str) -> Group {
    let heading =
        text((LEFT, top - 7.0), 12.0, Anchor::Start, heading).set("font-weight", "bold").set("fill", INK);
    scale.ticks(count).into_iter().fold(Group::new().add(heading), |group, (value, words)| {
        let y = scale.at(value);
        group.add(rule((LEFT, y), (RIGHT, y))).add(text((LEFT - 7.0, y + 4.0), 11.0, Anchor::End, words))
    })
}
