//! The table of listeners.

use polyport_terminal::screen::{Look, put};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::columns::{Column, fitting};
use super::model::{Model, Row};
use super::view::View;

/// Columns of the terminal that the picture of a rate takes at least, and at most.
const PICTURE: (usize, usize) = (8, 40);
/// Columns that a name gets at most.
const WIDEST_NAME: usize = 32;

/// Draws the table. Returns how many rows find room.
pub(super) fn draw(area: Rect, buf: &mut Buffer, model: &Model, view: &View, look: Look) -> usize {
    let room = usize::from(area.height).saturating_sub(1);
    let columns = Layout::of(usize::from(area.width), view.sort, model);
    put(buf, area, 0, &columns.heading(view, look));
    let rows = view.rows(model);
    if rows.is_empty() {
        let why =
            if model.rows.is_empty() { "no listeners" } else { "no listener has such a name; Esc shows all" };
        put(buf, area, 1, &Line::styled(why, look.dim()));
        return room;
    }
    let chosen = view.chosen(model, &rows);
    // The one that is chosen is always seen, as far down as it must be.
    let first = (chosen + 1).saturating_sub(room);
    for (line, (place, number)) in (1..).zip(rows.iter().enumerate().skip(first).take(room)) {
        let Some(row) = model.rows.get(*number) else { continue };
        put(buf, area, line, &columns.line(row, place == chosen, look));
        if let Ok(line) = u16::try_from(line) {
            let x = area.x.saturating_add(u16::try_from(columns.picture_at).unwrap_or(u16::MAX));
            let width = area.right().saturating_sub(x);
            let place = Rect { x, y: area.y.saturating_add(line), width, height: 1 };
            look.sparkline(place, buf, &row.history.received(usize::from(width)));
        }
    }
    room
}

/// Which columns there are, and how wide.
struct Layout {
    columns: Vec<Column>,
    name: usize,
    /// Where the picture begins.
    picture_at: usize,
    picture: usize,
}

impl Layout {
    fn of(width: usize, sort: Column, model: &Model) -> Self {
        let columns = fitting(width.saturating_sub(PICTURE.0), sort);
        let taken: usize = columns.iter().map(|column| column.width() + 1).sum();
        let left = width.saturating_sub(taken);
        // What is left goes to the names first, as far as one needs it, and then to the pictures.
        let longest =
            model.rows.iter().map(|row| Span::raw(row.shown.as_str()).width()).max().unwrap_or_default();
        let more = longest.min(WIDEST_NAME).saturating_sub(Column::Name.width());
        let more = more.min(left.saturating_sub(PICTURE.0));
        let picture = (left - more).min(PICTURE.1);
        Self { columns, name: Column::Name.width() + more, picture_at: taken + more, picture }
    }

    fn heading(&self, view: &View, look: Look) -> Line<'static> {
        let mut spans = Vec::new();
        for column in &self.columns {
            let sorted = *column == view.sort;
            let style = if sorted { look.heading() } else { look.bold() };
            self.cell(*column, column.title().to_owned(), style, &mut spans);
        }
        if self.picture > 0 {
            spans.push(Span::styled(format!("{:>1$}", "HISTORY", self.picture), look.bold()));
        }
        Line::from(spans)
    }

    fn line(&self, row: &Row, chosen: bool, look: Look) -> Line<'static> {
        let mut spans = Vec::new();
        let drops = row.rates.as_ref().is_some_and(|rates| rates.dropped > 0.0);
        for column in &self.columns {
            let is_warning = drops && matches!(column, Column::Drops | Column::Reason);
            let is_wrong = *column == Column::Faults && row.counts.faults > 0;
            // The row that is chosen has its own look.
            let style = match (chosen, is_warning, is_wrong) {
                (false, true, _) => look.warning(),
                (false, false, true) => look.wrong(),
                (false, false, false) | (true, ..) => Style::new(),
            };
            self.cell(*column, column.cell(row), style, &mut spans);
        }
        let line = Line::from(spans);
        if chosen { line.style(look.chosen()) } else { line }
    }

    /// A cell with the blank behind it, cut where it finds no room.
    fn cell(&self, column: Column, text: String, style: Style, spans: &mut Vec<Span<'static>>) {
        let width = if column == Column::Name { self.name } else { column.width() };
        let text = cut(text, width);
        let blank = " ".repeat(width - Span::raw(text.as_str()).width().min(width));
        let text = Span::styled(text, style);
        if column.is_text() {
            spans.extend([text, Span::raw(blank + " ")]);
        } else {
            spans.extend([Span::raw(blank), text, Span::raw(" ")]);
        }
    }
}

/// A text with so many columns at most; one that is longer ends with `~`.
pub(super) fn cut(text: String, width: usize) -> String {
    if Span::raw(text.as_str()).width() <= width {
        return text;
    }
    let mut short = String::new();
    for c in text.chars() {
        short.push(c);
        if Span::raw(short.as_str()).width() >= width {
            short.pop();
            break;
        }
    }
    if width > 0 {
        short.push('~');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_by_columns() {
        for (text, width, shown) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab~"),
            ("中文字", 6, "中文字"),
            ("中文字", 5, "中文~"),
            ("中文字", 4, "中~"),
            ("中", 1, "~"),
            ("ab", 0, ""),
        ] {
            let cut = cut(text.to_owned(), width);
            assert!(Span::raw(cut.as_str()).width() <= width, "{cut}");
            assert_eq!(cut, shown);
        }
    }
}
