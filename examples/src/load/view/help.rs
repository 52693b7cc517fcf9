//! The page of keys and figures.

use polyport_terminal::screen::{Look, put};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

const KEYS: [(&str, &str); 9] = [
    ("q", "end the run now, and print its summary"),
    ("Ctrl-C", "the same; a second one ends at once"),
    ("p Space", "let the picture stand still; the load goes on"),
    ("s r", "order targets by loss, p99, max, sent, as given; turn the order around"),
    ("Up Down", "scroll the targets; PageUp PageDown, Home End"),
    ("+ -", "longer and shorter columns of time"),
    ("a", "columns so long that the run finds room"),
    ("Ctrl-Z", "stop, until `fg`: what is due meanwhile is sent late, or not at all"),
    ("? Esc", "this page, and away with it"),
];

const FIGURES: [&str; 7] = [
    "no answer is what had its --timeout without one; an answer that comes later makes it late.",
    "loss of a column is what had its timeout then: it shows a --timeout after the loss.",
    "from plan counts from when a datagram should have left, so what the tester is late is in it.",
    "lag is how late the tester itself sent. Where it is not small against the round trips, judge",
    "by `from send` of the summary, and see whether this machine is too busy.",
    "With several threads P50, P99 and MAX of a target are the largest of its threads'; the true",
    "P50 and P99 are not larger. The summary has them exactly.",
];

/// Draws it.
pub(super) fn draw(area: Rect, buf: &mut Buffer, look: Look) {
    let mut lines = vec![Line::styled("KEYS", look.heading())];
    for (key, what) in KEYS {
        lines.push(Line::from(vec![Span::styled(format!("{key:<9}"), look.bold()), Span::raw(what)]));
    }
    lines.extend([Line::default(), Line::styled("FIGURES", look.heading())]);
    lines.extend(FIGURES.map(Line::raw));
    for (row, line) in lines.iter().enumerate() {
        put(buf, area, row, line);
    }
}
