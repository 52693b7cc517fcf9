//! The table of targets.

use polyport_protocol::Nanos;
use polyport_terminal::screen::{Look, amount, put, width_of};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::head::loss;
use super::model::Model;
use super::state::State;
use crate::load::feed::Row;
use crate::load::unit::span;

/// Columns of a number.
const NUMBER: usize = 8;
/// Columns that a name gets at least, and at most: an address of IPv6 with its zone.
const NAME: (usize, usize) = (15, 53);

/// What stands in a column.
type Cell = fn(&Row) -> String;

/// What is shown of each, from left to right, and which of them are shown where not all find room: the smaller the number the
/// sooner.
const COLUMNS: [(&str, usize, Cell); 8] = [
    ("SENT", 3, |row| amount(row.sent)),
    ("OK", 5, |row| amount(row.ok)),
    ("LATE", 6, |row| amount(row.late)),
    ("ERROR", 7, |row| amount(row.error)),
    ("LOSS", 0, |row| if row.sent == 0 { "-".to_owned() } else { loss(row.no_answer, row.sent) }),
    ("P50", 2, |row| time(row.p50)),
    ("P99", 1, |row| time(row.p99)),
    ("MAX", 4, |row| time(row.max)),
];

/// Draws it.
pub(super) fn draw(area: Rect, buf: &mut Buffer, model: &Model, state: &mut State, look: Look) {
    let width = usize::from(area.width);
    let room = usize::from(area.height).saturating_sub(1);
    let widest = model.names.iter().map(|name| width_of(name)).max().unwrap_or(0);
    let wanted = widest.clamp(NAME.0, NAME.1);
    let shown = (width.saturating_sub(wanted) / NUMBER).clamp(1, COLUMNS.len());
    state.room = room;
    state.first = state.first.min(model.rows.len().saturating_sub(room));
    let last = (state.first + room).min(model.rows.len());
    let which = if last - state.first < model.rows.len() {
        format!("{}-{last} of {} ", state.first + 1, model.rows.len())
    } else {
        String::new()
    };
    let by = format!("by {}{}", state.sort.name(), if state.reverse { ", reversed" } else { "" });
    let mut heading = format!("TARGETS {which}{by}");
    // What the numbers leave goes to the names, and to what is said above them.
    let left = width.saturating_sub(shown * NUMBER);
    let name = left.min(wanted.max(width_of(&heading)));
    if width_of(&heading) > name {
        heading = which.replace(" of ", "/") + &by;
    }
    let titles: String = of_columns(shown).map(|(title, _)| format!("{title:>NUMBER$}")).collect();
    let heading = format!("{:<name$.name$}{titles}", heading);
    put(buf, area, 0, &Line::styled(format!("{heading:<width$}"), look.heading()));
    let order = state.sort.order(&model.rows, state.reverse);
    for (line, target) in (1..).zip(order.iter().skip(state.first).take(room)) {
        let (Some(row), Some(full)) = (model.rows.get(*target), model.names.get(*target)) else { continue };
        let mut spans = vec![Span::raw(format!("{:<name$}", cut(full, name, look)))];
        for (title, of) in of_columns(shown) {
            let style = match title {
                "LOSS" if row.no_answer > 0 => look.warning(),
                "LATE" if row.late > 0 => look.warning(),
                "ERROR" if row.error > 0 => look.warning(),
                _ => Style::new(),
            };
            spans.push(Span::styled(format!("{:>NUMBER$}", of(row)), style));
        }
        put(buf, area, line, &Line::from(spans));
    }
}

/// So many columns, with what stands in them.
fn of_columns(count: usize) -> impl Iterator<Item = (&'static str, Cell)> {
    COLUMNS.iter().filter(move |(_, rank, _)| *rank < count).map(|(title, _, of)| (*title, *of))
}

/// The end of a name that is too long: the port tells targets apart.
fn cut(name: &str, room: usize, look: Look) -> String {
    if width_of(name) <= room {
        return name.to_owned();
    }
    let sign = if look.unicode { "…" } else { "~" };
    let mut letters: Vec<char> = Vec::new();
    for letter in name.chars().rev() {
        letters.push(letter);
        if width_of(&letters.iter().collect::<String>()) >= room {
            letters.pop();
            break;
        }
    }
    sign.chars().chain(letters.into_iter().rev()).collect()
}

fn time(time: Option<Nanos>) -> String {
    time.map_or_else(|| "-".to_owned(), span)
}
