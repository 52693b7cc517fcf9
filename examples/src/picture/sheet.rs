//! What pictures are drawn with: pieces of SVG, and where text ends.
//!
//! Colours of text and of lines are attributes, so that a picture needs no style sheet; one may recolour them.

use std::fmt::{Display, Write};

use polyport_terminal::Escaped;
use svg::node::Text as Words;
use svg::node::element::{Group, Path, Text, Title};

/// Text, and axes.
pub(crate) const INK: &str = "#1f2328";
/// Text that explains.
pub(crate) const FAINT: &str = "#57606a";
/// Lines that lead the eye.
pub(crate) const GRID: &str = "#d8dee4";

/// Octets of an average letter, as a part of the size of the font: to know beforehand where a line ends.
const LETTER: f64 = 0.54;

/// Where a text has its place.
#[derive(Clone, Copy)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// A line of text with its base line at a place.
pub(crate) fn text((x, y): (f64, f64), size: f64, anchor: Anchor, words: impl Into<String>) -> Text {
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
pub(crate) fn wide(words: &str, size: f64) -> f64 {
    let letters = u32::try_from(words.chars().count()).unwrap_or(u32::MAX);
    f64::from(letters) * size * LETTER
}

/// Lines of at most this width.
pub(crate) fn wrapped(words: &str, size: f64, width: f64) -> Vec<String> {
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
pub(crate) fn cut(words: &str, size: f64, width: f64) -> String {
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
pub(crate) fn stroke(data: String, colour: &str, width: f64) -> Path {
    Path::new().set("d", data).set("fill", "none").set("stroke", colour).set("stroke-width", width)
}

/// A straight grey line.
pub(crate) fn rule(from: (f64, f64), to: (f64, f64)) -> Path {
    let [x, y, u, v] = [from.0, from.1, to.0, to.1].map(place);
    stroke(format!("M{x} {y}L{u} {v}"), GRID, 1.0)
}

/// A part of the picture with a name, and with a text that a pointer over it shows.
pub(crate) fn part(name: impl Display, title: impl Into<String>) -> Group {
    Group::new().set("class", name.to_string()).add(Title::new(title))
}

/// The description of a part, for those who have it read out.
pub(crate) fn words(text: impl Into<String>) -> Words {
    Words::new(text)
}

/// A coordinate: a tenth of a pixel is all that anybody sees.
pub(crate) fn place(value: f64) -> String {
    let mut text = format!("{value:.1}");
    if text.ends_with(".0") {
        text.truncate(text.len() - 2);
    }
    if text == "-0" { "0".to_owned() } else { text }
}

/// Adds a step of a path: a command and a place.
pub(crate) fn step(data: &mut String, command: char, (x, y): (f64, f64)) {
    // Writing to a text cannot fail.
    write!(data, "{command}{} {}", place(x), place(y)).unwrap_or(());
}

/// Words of strangers, as one line of what can be seen.
pub(crate) fn shown(words: &str) -> String {
    Escaped(words.as_bytes()).to_string()
}
