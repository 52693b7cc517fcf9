//! The sheet: where the panels lie, and what they are drawn with.
//!
//! The colours are those of Okabe and Ito, which people with any of the usual colour blindnesses tell apart. Nothing is told by
//! colour alone: each direction has its shape, its dashes and its side of a lane.

use std::fmt::{Display, Write};

use polyport_terminal::Escaped;
use svg::node::Text as Words;
use svg::node::element::{Group, Path, Rectangle, Text, Title};

use super::super::decision::Direction;

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

/// Text, and axes.
pub(super) const INK: &str = "#1f2328";
/// Text that explains.
pub(super) const FAINT: &str = "#57606a";
/// Lines that lead the eye.
const GRID: &str = "#d8dee4";

/// Octets of an average letter, as a part of the size of the font: to know beforehand where a line ends.
const LETTER: f64 = 0.54;

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

/// Where a text has its place.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A line of text with its base line at a place.
pub(super) fn text((x, y): (f64, f64), size: f64, anchor: Anchor, words: impl Into<String>) -> Text {
    let anchor = match anchor {
        Anchor::Start => "start",
        Anchor::Middle => "middle",
        Anchor::End => "end",
    };
    Text::new(words)
        .set("x", place(x))
        .set("y", place(y))
        .set("font-size", size)
        .set("text-anchor", anchor)
        .set("fill", INK)
}

/// About how wide a text is.
pub(super) fn wide(words: &str, size: f64) -> f64 {
    let letters = u32::try_from(words.chars().count()).unwrap_or(u32::MAX);
    f64::from(letters) * size * LETTER
}

/// Lines of at most this width.
pub(super) fn wrapped(words: &str, size: f64, width: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words.split(' ') {
        match lines.last_mut() {
            Some(line) if wide(line, size) + wide(word, size) + size * LETTER <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A text that is not wider, cut where it must be.
pub(super) fn cut(words: &str, size: f64, width: f64) -> String {
    if wide(words, size) <= width {
        return words.to_owned();
    }
    let mut text = String::new();
    for letter in words.chars() {
        if wide(&text, size) + 2.0 * size * LETTER > width {
            break;
        }
        text.push(letter);
    }
    text.push('\u{2026}');
    text
}

/// A path without a filling.
pub(super) fn stroke(data: String, colour: &str, width: f64) -> Path {
    Path::new().set("d", data).set("fill", "none").set("stroke", colour).set("stroke-width", width)
}

/// A straight grey line.
pub(super) fn rule(from: (f64, f64), to: (f64, f64)) -> Path {
    let [x, y, u, v] = [from.0, from.1, to.0, to.1].map(place);
    stroke(format!("M{x} {y}L{u} {v}"), GRID, 1.0)
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

/// A part of the picture with a name, and with a text that a pointer over it shows.
pub(super) fn part(name: impl Display, title: impl Into<String>) -> Group {
    Group::new().set("class", name.to_string()).add(Title::new(title))
}

/// The description of a part, for those who have it read out.
pub(super) fn words(text: impl Into<String>) -> Words {
    Words::new(text)
}

/// A coordinate: a tenth of a pixel is all that anybody sees.
pub(super) fn place(value: f64) -> String {
    let mut text = format!("{value:.1}");
    if text.ends_with(".0") {
        text.truncate(text.len() - 2);
    }
    if text == "-0" { "0".to_owned() } else { text }
}

/// Adds a step of a path: a command and a place.
pub(super) fn step(data: &mut String, command: char, (x, y): (f64, f64)) {
    // Writing to a text cannot fail.
    write!(data, "{command}{} {}", place(x), place(y)).unwrap_or(());
}

/// Words of strangers, as one line of what can be seen.
pub(super) fn shown(words: &str) -> String {
    Escaped(words.as_bytes()).to_string()
}
