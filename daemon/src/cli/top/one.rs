//! The page of one listener.

use std::time::Duration;

use polyport_terminal::Escaped;
use polyport_terminal::screen::{Look, UNKNOWN, amount, put, rate, time};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::list::cut;
use super::model::{Model, One, Row};
use super::rates::{Rates, drops, per_second};
use super::view::View;

/// From this width on, the page has two columns.
const WIDE: u16 = 110;
/// Lines of a picture, from the least to the most.
const PICTURE: (u16, u16) = (2, 8);
/// Columns of the bar of a reason, at most.
const BAR: usize = 20;

/// Draws the page of the listener `name`. Returns how many lines of text find room.
pub(super) fn draw(
    area: Rect,
    buf: &mut Buffer,
    name: &str,
    model: &Model,
    view: &View,
    look: Look,
) -> usize {
    let Some(row) = model.row(name) else {
        put(
            buf,
            area,
            0,
            &Line::styled("this listener is not there any more; Esc goes back", look.warning()),
        );
        return 0;
    };
    put(buf, area, 0, &title(row, look));
    let one = model.one.as_ref().filter(|one| one.name == name);
    let height = (area.height / 6).clamp(PICTURE.0, PICTURE.1);
    let below = |lines: u16| Rect {
        y: area.y.saturating_add(lines),
        height: area.height.saturating_sub(lines),
        ..area
    };
    pictures(below(1), height, buf, row, look);
    let text = below(height + 3);
    let (left, right) = (about(row, look), around(row, one, look));
    let room = usize::from(text.height);
    if area.width >= WIDE {
        let half = area.width / 2;
        let halves =
            [Rect { width: half - 1, ..text }, Rect { x: text.x + half, width: area.width - half, ..text }];
        for (lines, area) in [left, right].into_iter().zip(halves) {
            scrolled(area, buf, &lines, view.scroll);
        }
    } else {
        scrolled(text, buf, &[left, right].concat(), view.scroll);
    }
    room
}

/// Which listener it is.
fn title(row: &Row, look: Look) -> Line<'static> {
    let addresses = if row.addresses == 1 { "address" } else { "addresses" };
    let more = if row.bind.len() < row.addresses && row.bind.len() > 1 { ", and more" } else { "" };
    let text =
        format!("  plugin {}  {} {addresses}: {}{more}", row.plugin, row.addresses, row.bind.join(", "));
    Line::from(vec![Span::styled(row.shown.clone(), look.heading()), Span::raw(text)])
}

/// What came in beside what left, in the last samples.
fn pictures(area: Rect, height: u16, buf: &mut Buffer, row: &Row, look: Look) {
    let width = area.width.saturating_sub(1) / 2;
    let columns = usize::from(width);
    let both = [
        ("in", area.x, row.history.received(columns)),
        ("out", area.x + width + 1, row.history.sent(columns)),
    ];
    for (what, x, values) in both {
        let most = values.iter().max().copied().unwrap_or_default();
        let caption = format!("datagrams {what}, most {}/s", amount(most));
        let place = Rect { x, width, ..area };
        put(buf, place, 0, &Line::styled(cut(caption, columns), look.dim()));
        let place =
            Rect { y: area.y.saturating_add(1), height: height.min(area.height.saturating_sub(1)), ..place };
        look.sparkline(place, buf, &values);
    }
}

fn scrolled(area: Rect, buf: &mut Buffer, lines: &[Line<'_>], scroll: usize) {
    // The last line stays in sight.
    let scroll = scroll.min(lines.len().saturating_sub(usize::from(area.height)));
    for (at, line) in lines.iter().skip(scroll).enumerate() {
        put(buf, area, at, line);
    }
}

/// What the listener has counted.
fn about(row: &Row, look: Look) -> Vec<Line<'static>> {
    let counts = &row.counts;
    let of = |pick: fn(&Rates) -> f64| rate(row.rates.as_ref().map(pick));
    let mut lines = vec![Line::styled(
        format!("{:<10}{:>9}{:>9}{:>10}{:>10}", "TRAFFIC", "/s", "B/s", "TOTAL", "BYTES"),
        look.bold(),
    )];
    let mut traffic = |what: &str, datagrams: String, bytes: String, total: u64, total_bytes: u64| {
        let totals = (amount(total), amount(total_bytes));
        lines.push(Line::raw(format!("{what:<10}{datagrams:>9}{bytes:>9}{:>10}{:>10}", totals.0, totals.1)));
    };
    let (came, left) = (of(|rates| rates.received), of(|rates| rates.sent));
    let bytes = (of(|rates| rates.received_bytes), of(|rates| rates.sent_bytes));
    traffic("in", came, bytes.0, counts.received, counts.received_bytes);
    traffic("out", left, bytes.1, counts.sent, counts.sent_bytes);
    lines.push(Line::raw(format!(
        "replied {}  consumed {}  kept {}  waiting {}",
        amount(counts.replied),
        amount(counts.consumed),
        amount(counts.kept),
        amount(counts.waiting),
    )));
    lines.push(Line::raw(String::new()));
    lines.extend(drop_lines(row, look));
    lines.push(Line::styled("HANDLER", look.bold()));
    lines.push(Line::raw(row.time.map_or_else(
        || format!("time of calls {UNKNOWN}"),
        |took| {
            format!(
                "time of calls: p50 {}  p99 {}  max {}  ({} timed)",
                time(took.p50_ns),
                time(took.p99_ns),
                time(took.max_ns),
                amount(took.samples)
            )
        },
    )));
    let faults = format!(
        "faults {}  restarts {}  errors {}  slow calls {}",
        counts.faults, counts.restarts, counts.handler_errors, counts.slow_calls
    );
    lines.push(if counts.faults > 0 { Line::styled(faults, look.wrong()) } else { Line::raw(faults) });
    lines.push(Line::raw(String::new()));
    if let Some(sessions) = &row.sessions {
        let of = |pick: fn(&Rates) -> f64| rate(row.session_rates.as_ref().map(pick));
        lines.push(Line::styled("SESSIONS", look.bold()));
        lines.push(Line::raw(format!("open {}  opened {}", sessions.open, amount(sessions.opened))));
        lines.push(Line::raw(format!(
            "in {}/s  out {}/s",
            of(|rates| rates.received),
            of(|rates| rates.sent)
        )));
        lines.push(Line::raw(String::new()));
    }
    if !row.metrics.is_empty() {
        lines.push(Line::styled(format!("{:<32}{:>10}{:>9}", "PLUGIN METRICS", "VALUE", "/s"), look.bold()));
        for (name, (value, grows)) in &row.metrics {
            let name = cut(name.clone(), 31);
            // A gauge goes down as well: it has no rate then.
            lines.push(Line::raw(format!("{name:<32}{:>10}{:>9}", amount(*value), rate(*grows))));
        }
        lines.push(Line::raw(String::new()));
    }
    lines
}

/// Drops by reason, with bars for their shares.
fn drop_lines(row: &Row, look: Look) -> Vec<Line<'static>> {
    let mut lines = vec![Line::styled(format!("{:<16}{:>9}{:>10}", "DROPS", "/s", "TOTAL"), look.bold())];
    let totals = drops(&row.counts);
    let mut reasons: Vec<(&str, u64, Option<f64>)> = Vec::new();
    for (reason, total) in totals {
        let of_reason =
            |rates: &Rates| rates.reasons.iter().find(|(other, _)| other == reason).map(|(_, rate)| *rate);
        reasons.push((reason, total, row.rates.as_ref().map(|rates| of_reason(rates).unwrap_or_default())));
    }
    reasons.sort_by(|(_, one, a), (_, other, b)| {
        let now = |rate: &Option<f64>| rate.unwrap_or_default();
        now(b).total_cmp(&now(a)).then(other.cmp(one))
    });
    let all: f64 = reasons.iter().filter_map(|(_, _, rate)| *rate).sum();
    for (reason, total, now) in &reasons {
        let share = now.filter(|_| all > 0.0).map_or(0.0, |now| now / all);
        let text = format!("{:<16}{:>9}{:>10} ", cut((*reason).to_owned(), 16), rate(*now), amount(*total));
        lines.push(Line::from(vec![Span::raw(text), Span::styled(look.bar(share, BAR), look.warning())]));
    }
    if reasons.is_empty() {
        lines.push(Line::styled("none", look.dim()));
    }
    lines.push(Line::raw(String::new()));
    lines
}

/// Who sends to the listener, and its addresses.
fn around(row: &Row, one: Option<&One>, look: Look) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if let Some(peers) = one.and_then(|one| one.peers.as_ref()) {
        let heading = format!("{:<42}{:>6}{:>9}", "TOP PEERS", "SHARE", "/s");
        lines.push(Line::styled(heading, look.bold()));
        let seconds = Duration::from_millis(peers.window_ms).as_secs_f64();
        for peer in &peers.peers {
            let port = peer.port.map_or_else(|| "*".to_owned(), |port| port.to_string());
            let address = Escaped(peer.address.as_bytes()).to_string();
            let who = if address.contains(':') {
                format!("[{address}]:{port}")
            } else {
                format!("{address}:{port}")
            };
            let share = per_second(0, peer.datagrams, 1.0).zip(per_second(0, peers.datagrams, 1.0));
            let share = share.filter(|(_, all)| *all > 0.0).map_or(0.0, |(its, all)| 100.0 * its / all);
            let per_second = rate(per_second(0, peer.datagrams, seconds));
            lines.push(Line::raw(format!("{:<42}{share:>5.1}%{per_second:>9}", cut(who, 41))));
        }
        if peers.peers.is_empty() {
            lines.push(Line::styled("nobody yet", look.dim()));
        }
        lines.push(Line::raw(String::new()));
    }
    let heading = format!("{:<32}{:>8}{:>8}{:>8}", "ADDRESSES", "IN/s", "OUT/s", "DROP/s");
    lines.push(Line::styled(heading, look.bold()));
    let addresses = one.map(|one| one.addresses.as_slice()).unwrap_or_default();
    for address in addresses {
        let of = |pick: fn(&Rates) -> f64| rate(address.rates.as_ref().map(pick));
        let (came, left, dropped) =
            (of(|rates| rates.received), of(|rates| rates.sent), of(|rates| rates.dropped));
        let bind = cut(address.bind.join(" "), 31);
        lines.push(Line::raw(format!("{bind:<32}{came:>8}{left:>8}{dropped:>8}")));
    }
    if let Some(one) = one.filter(|one| one.addresses.len() < row.addresses) {
        let last = one.offset + one.addresses.len();
        let text = format!("{} to {last} of {}; [ and ] for others", one.offset + 1, row.addresses);
        lines.push(Line::styled(text, look.dim()));
    }
    lines
}
