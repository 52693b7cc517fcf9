//! The page that says what keys and columns there are.

use polyport_terminal::screen::{Look, put};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

/// From this width on, keys and columns stand side by side.
const WIDE: u16 = 100;

/// Every key, with what it does.
pub(super) const KEYS: [(&str, &str); 12] = [
    ("q, Ctrl-C", "quit"),
    ("?, h", "this page"),
    ("Up Down PgUp PgDn Home End", "choose a listener, scroll its page"),
    ("Enter", "the page of the listener; Esc goes back"),
    ("< >, Left Right", "sort by the column before, or after"),
    ("n i o b B d s t f", "name, in, out, bytes in, bytes out, drops, sessions, time (p99), faults"),
    ("r", "turn the order around"),
    ("/", "show listeners whose name has this; Esc shows all"),
    ("Space", "pause: what is shown stays"),
    ("[ ]", "on the page of a listener: the addresses before, or after"),
    ("Ctrl-L", "draw again"),
    ("Ctrl-Z", "stop; fg goes on"),
];

/// What the columns mean.
pub(super) const COLUMNS: [(&str, &str); 7] = [
    ("IN/s OUT/s", "datagrams a second"),
    ("IN B/s OUT B/s", "payload bytes a second"),
    ("DROP/s REASON", "datagrams dropped a second, and most often why"),
    ("SESS", "open sessions"),
    ("P50 P99 MAX", "how long calls of the handler take"),
    ("FAULTS", "how often a handler broke"),
    ("k M G", "a thousand, a million, ... ; - is not known"),
];

pub(super) fn draw(area: Rect, buf: &mut Buffer, look: Look) {
    let section = |title: &'static str, rows: &[(&'static str, &'static str)]| {
        let width = rows.iter().map(|(what, _)| what.len()).max().unwrap_or_default();
        let mut lines = vec![Line::styled(title, look.bold())];
        for (what, meaning) in rows {
            lines.push(Line::from(vec![
                Span::styled(format!("{what:width$}  "), look.bold()),
                Span::raw(*meaning),
            ]));
        }
        lines
    };
    let (keys, columns) = (section("KEYS", &KEYS), section("COLUMNS", &COLUMNS));
    if area.width >= WIDE {
        let half = area.width * 3 / 5;
        for (at, line) in keys.iter().enumerate() {
            put(buf, Rect { width: half, ..area }, at, line);
        }
        for (at, line) in columns.iter().enumerate() {
            put(buf, Rect { x: area.x + half, width: area.width - half, ..area }, at, line);
        }
        return;
    }
    // On a low screen the columns begin where the keys end.
    for (at, line) in keys.iter().chain(&columns).enumerate() {
        put(buf, area, at, line);
    }
}
