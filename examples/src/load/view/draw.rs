//! The whole screen.

use polyport_terminal::screen::{Look, put};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::model::Model;
use super::state::State;
use super::{graphs, head, help, shape, targets};

/// A screen that is smaller has a few lines only.
const SMALLEST: (u16, u16) = (60, 15);
/// Columns of the shape of a distribution, where a table stands beside it: of 80 columns and of wide screens.
const SHAPE: (u16, u16) = (31, 90);
/// Columns between the two.
const GAP: u16 = 2;

/// Draws everything.
pub(super) fn draw(buf: &mut Buffer, model: &Model, state: &mut State, look: Look) {
    let area = buf.area;
    if area.height == 0 {
        return;
    }
    let page = Rect { height: area.height - 1, ..area };
    if state.help {
        help::draw(page, buf, look);
    } else if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let lines = head::brief(model, state, look);
        lines.iter().enumerate().for_each(|(row, line)| put(buf, page, row, line));
    } else {
        let above = above(model, state, usize::from(area.width), look);
        above.iter().enumerate().for_each(|(row, line)| put(buf, page, row, line));
        let above = u16::try_from(above.len()).unwrap_or(page.height).min(page.height);
        below(Rect { y: page.y + above, height: page.height - above, ..page }, buf, model, state, look);
    }
    put(buf, area, usize::from(area.height) - 1, &keys(model, state, look));
}

fn above(model: &Model, state: &State, width: usize, look: Look) -> Vec<Line<'static>> {
    let title = model.run().map(|run| head::title(&run.config, &model.names, look));
    let mut lines = vec![
        title.unwrap_or_else(|| Line::styled("polyport-load", look.bold())),
        head::progress(model, width, look),
    ];
    lines.extend(head::search(model, look));
    lines.push(head::notice(model, state, look));
    lines.push(head::books(model, width, look));
    lines.push(head::round_trips(model, width, look));
    lines.push(head::tester(model, look));
    lines.extend(head::thresholds(model, look));
    lines.push(Line::default());
    lines
}

/// Pictures over time, and below them the shape of the latencies and the targets, or the trials of a search.
fn below(area: Rect, buf: &mut Buffer, model: &Model, state: &mut State, look: Look) {
    // Two fifths of the room are for what goes on over time.
    let height = (area.height * 2 / 5 / graphs::FIGURES).clamp(1, 4);
    let graphs = Rect { height: (graphs::FIGURES * height + 1).min(area.height), ..area };
    graphs::draw(graphs, buf, model, state, height, look);
    let rest = area.height.saturating_sub(graphs.height + 1);
    let rest = Rect { y: area.bottom() - rest, height: rest, ..area };
    if rest.height < 2 {
        return;
    }
    if let Some(search) = &model.search {
        let title = format!("{:<1$}", "TRIALS", usize::from(rest.width));
        put(buf, rest, 0, &Line::styled(title, look.heading()));
        let room = usize::from(rest.height) - 1;
        let first = search.trials.len().saturating_sub(room);
        for (row, line) in (1..).zip(search.trials.iter().skip(first)) {
            put(buf, rest, row, &Line::raw(line.as_str()));
        }
        return;
    }
    if model.names.len() == 1 {
        // All of it is said above already.
        shape::draw(Rect { width: rest.width.min(SHAPE.1), ..rest }, buf, model, look);
        return;
    }
    let width = (rest.width * 3 / 8).clamp(SHAPE.0, SHAPE.1);
    shape::draw(Rect { width, ..rest }, buf, model, look);
    let table = Rect { x: rest.x + width + GAP, width: rest.width.saturating_sub(width + GAP), ..rest };
    targets::draw(table, buf, model, state, look);
}

/// The keys that do something here.
fn keys(model: &Model, state: &State, look: Look) -> Line<'static> {
    let mut keys = vec![("q", "end")];
    if state.help {
        keys.push(("Esc", "back"));
    } else {
        keys.push(("?", "help"));
        keys.push(("p", if state.paused { "go on" } else { "pause" }));
        keys.push(("+ - a", "columns"));
        if model.search.is_none() && model.names.len() > 1 {
            keys.extend([("s", "sort"), ("r", "reverse"), ("Up Down", "scroll")]);
        }
    }
    let spans = keys.into_iter().flat_map(|(key, what)| {
        [Span::styled(key, look.bold()), Span::styled(format!(" {what}  "), look.dim())]
    });
    Line::from(spans.collect::<Vec<_>>())
}
