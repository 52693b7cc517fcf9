//! The whole screen: the head, one of the pages, and what keys there are.

use std::time::Duration;

use polyport_terminal::screen::{Look, UNKNOWN, lasted, put, short};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::link::Link;
use super::model::{Head, Model};
use super::rates::Rates;
use super::view::View;
use super::{help, list, one};

/// Lines above a page.
const HEAD: u16 = 3;

/// Draws everything as it is `now`. Returns how many rows of a page find room.
pub(super) fn draw(
    buf: &mut Buffer,
    model: &Model,
    view: &View,
    link: &Link,
    look: Look,
    now: Duration,
) -> usize {
    let area = buf.area;
    if let Some(head) = &model.head {
        put(buf, area, 0, &about(head, look));
        put(buf, area, 1, &rates(head, look));
    } else {
        put(buf, area, 0, &Line::styled("polyport top: nothing is known yet", look.bold()));
    }
    put(buf, area, 2, &notice(view, link, look, now));
    let page = Rect { y: area.y.saturating_add(HEAD), height: area.height.saturating_sub(HEAD + 1), ..area };
    let room = if view.help {
        help::draw(page, buf, look);
        0
    } else if let Some(name) = &view.one {
        one::draw(page, buf, name, model, view, look)
    } else if model.head.is_some() {
        list::draw(page, buf, model, view, look)
    } else {
        0
    };
    if area.height > HEAD + 1 {
        put(buf, area, usize::from(area.height) - 1, &keys(view, look));
    }
    room
}

/// Which daemon it is.
fn about(head: &Head, look: Look) -> Line<'static> {
    let (listeners, addresses) = (head.listeners, head.addresses);
    let rest = format!(
        "  pid {}  up {}  {listeners} {}, {addresses} {}  {}",
        head.pid,
        lasted(head.uptime_s),
        if listeners == 1 { "listener" } else { "listeners" },
        if addresses == 1 { "address" } else { "addresses" },
        head.source,
    );
    Line::from(vec![Span::styled(format!("polyport {}", head.version), look.bold()), Span::raw(rest)])
}

/// What all listeners do together.
fn rates(head: &Head, look: Look) -> Line<'static> {
    let mut spans = vec![Span::raw(totals(head.rates.as_ref()))];
    if let Some(interval) = head.interval {
        spans.push(Span::styled(format!("  over {:.1} s", interval.as_secs_f64()), look.dim()));
    }
    Line::from(spans)
}

fn totals(rates: Option<&Rates>) -> String {
    let Some(rates) = rates else {
        return format!("in {UNKNOWN}  out {UNKNOWN}  drops {UNKNOWN}");
    };
    let reason = rates.reason().map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!(
        "in {}/s {}B/s  out {}/s {}B/s  drops {}/s{reason}",
        short(rates.received),
        short(rates.received_bytes),
        short(rates.sent),
        short(rates.sent_bytes),
        short(rates.dropped),
    )
}

/// What is wrong, or which rows are shown.
fn notice(view: &View, link: &Link, look: Look, now: Duration) -> Line<'static> {
    if let Some(trouble) = link.trouble(now) {
        return Line::styled(trouble, look.wrong());
    }
    if view.paused {
        let paused = Span::styled("PAUSED", look.chosen());
        return Line::from(vec![paused, Span::raw("  Space goes on")]);
    }
    if view.typing || (!view.filter.is_empty() && view.one.is_none()) {
        let end = if view.typing { "_   Enter keeps it, Esc takes it back" } else { "   Esc shows all" };
        return Line::styled(format!("filter: {}{end}", view.filter), look.warning());
    }
    Line::default()
}

/// The keys of what is shown.
fn keys(view: &View, look: Look) -> Line<'static> {
    let keys: &[(&str, &str)] = if view.help {
        &[("any key", "back"), ("q", "quit")]
    } else if view.one.is_some() {
        &[
            ("Esc", "back"),
            ("Up Down", "scroll"),
            ("[ ]", "addresses"),
            ("Space", "pause"),
            ("?", "help"),
            ("q", "quit"),
        ]
    } else {
        &[
            ("< >", "sort by"),
            ("r", "reverse"),
            ("Enter", "listener"),
            ("/", "filter"),
            ("Space", "pause"),
            ("?", "help"),
            ("q", "quit"),
        ]
    };
    let mut spans = Vec::new();
    for (key, what) in keys {
        spans.extend([Span::styled(*key, look.bold()), Span::styled(format!(" {what}  "), look.dim())]);
    }
    Line::from(spans)
}
