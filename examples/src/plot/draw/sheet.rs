//! The sheet: where the panels lie, and how a direction is drawn.
//!
//! The colours are those of Okabe and Ito, which people with any of the usual colour blindnesses tell apart. Nothing is told by
//! colour alone: each direction has its shape, its dashes and its side of a lane.

use svg::node::element::Rectangle;

use super::super::decision::Direction;

pub(super) use crate::picture::sheet::{
    Anchor, FAINT, INK, cut, part, place, rule, shown, step, stroke, text, wide, words, wrapped,
};

/// Width of the picture; a README shows it whole.
pub(super) const WIDTH: f64 = 900.0;
/// Left end of the time axis.
pub(super) const LEFT: f64 = 86.0;
/// Right end of the time axis.
pub(super) const RIGHT: f64 = WIDTH - 58.0;

/// Height of the panel of delays.
pub(super) const DELAY: f64 = 190.0;
/// Height of the panel of losses.
pub(super) const LOSS: f64 = 100.0;

/// How a direction is drawn.
pub(super) struct Look {
    pub(super) colour: &'static str,
    /// Dashes of its median.
    pub(super) median: &'static str,
    /// Dashes of its 95th percentile.
    pub(super) tail: &'static str,
    /// A point around a place, as relative steps of a path.
    pub(super) point: &'static str,
    /// What it means.
    pub(super) meaning: &'static str,
}

/// The look of a direction.
pub(super) const fn look(direction: Direction) -> Look {
    match direction {
        Direction::Up => Look {
            colour: "#0072b2",
            median: "none",
            tail: "2 3",
            point: "m-1.5-1.5h3v3h-3z",
            meaning: "up, client to server",
        },
        Direction::Down => Look {
            colour: "#d55e00",
            median: "14 2",
            tail: "6 3 1.5 3",
            point: "m0-2l2 3.5h-4z",
            meaning: "down, server to client",
        },
        Direction::Only => Look {
            colour: "#007a5a",
            median: "none",
            tail: "2 3",
            point: "m0-2l2 2l-2 2l-2-2z",
            meaning: "there and back",
        },
    }
}

/// A frame around a panel.
pub(super) fn frame(top: f64, height: f64) -> Rectangle {
    Rectangle::new()
        .set("x", LEFT)
        .set("y", place(top))
        .set("width", RIGHT - LEFT)
        .set("height", place(height))
        .set("fill", "none")
        .set("stroke", FAINT)
}
