//! A run over time: a line for each figure, its value of the last second before it, the largest that is seen behind it.

use polyport_protocol::{Nanos, SECOND};
use polyport_terminal::screen::{Look, put, short, time};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::head::{loss, per_second};
use super::history::{Point, WIDTHS};
use super::model::Model;
use super::state::State;
use crate::load::unit::span;

/// Columns before the picture: name and value.
const BEFORE: u16 = 20;
/// Columns behind it.
const BEHIND: u16 = 8;
/// Figures that are shown.
pub(super) const FIGURES: u16 = 5;

/// One figure.
struct Figure {
    name: &'static str,
    of: fn(&Point) -> u64,
    value: fn(&Point) -> String,
    most: fn(u64) -> String,
}

const ALL: [Figure; FIGURES as usize] = [
    Figure {
        name: "rate/s",
        of: |point| whole(point.sent, SECOND, point.took),
        value: |point| per_second(point.sent, point.took),
        most: |most| narrow(most),
    },
    Figure {
        name: "loss",
        // Millionths: what is not nothing is seen.
        of: |point| whole(point.no_answer, 1_000_000, point.sent).min(1_000_000),
        value: |point| loss(point.no_answer, point.sent),
        most: |most| loss(most, 1_000_000),
    },
    Figure { name: "p50", of: |point| point.p50.unwrap_or(0), value: |point| latency(point.p50), most: time },
    Figure { name: "p99", of: |point| point.p99.unwrap_or(0), value: |point| latency(point.p99), most: time },
    Figure {
        name: "lag p99",
        of: |point| point.lag.unwrap_or(0),
        value: |point| latency(point.lag),
        most: time,
    },
];

/// Draws them, each `height` lines high.
pub(super) fn draw(area: Rect, buf: &mut Buffer, model: &Model, state: &mut State, height: u16, look: Look) {
    let room = area.width.saturating_sub(BEFORE + BEHIND);
    let load = model.run().map_or(0, |run| run.config.duration);
    let width = state.width_for(usize::from(room), load);
    state.drawn_width = width;
    let heading = format!("{:>18}  one column: {}", "LAST SECOND", span(WIDTHS[width]));
    let before = usize::from(area.width.saturating_sub(BEHIND));
    let heading = format!("{heading:<before$}{:>8}", "MOST");
    put(buf, area, 0, &Line::styled(heading, look.heading()));
    let now = model.history.now();
    let seen = model.history.columns(width).len().min(usize::from(room));
    for (figure, row) in ALL.iter().zip((1..).step_by(usize::from(height))) {
        let values: Vec<u64> = model.history.columns(width).rev().take(seen).map(figure.of).collect();
        let values: Vec<u64> = values.into_iter().rev().collect();
        let most = values.iter().copied().max().unwrap_or(0);
        let value = now.as_ref().map_or_else(|| "-".to_owned(), figure.value);
        let line = Line::from(vec![
            Span::styled(format!("{:<9}", figure.name), look.dim()),
            Span::styled(format!("{value:>9}"), look.bold()),
        ]);
        // What is read stands on the ground line of its picture.
        let ground = row + usize::from(height) - 1;
        put(buf, area, ground, &line);
        let Ok(top) = u16::try_from(row) else { continue };
        let picture = Rect {
            x: area.x.saturating_add(BEFORE),
            y: area.y.saturating_add(top),
            width: room,
            height: height.min(area.height.saturating_sub(top)),
        };
        // It grows from the left, as what it shows does.
        let picture = Rect { width: u16::try_from(values.len()).unwrap_or(room).min(room), ..picture };
        look.sparkline(picture, buf, &values);
        if most > 0 {
            let text = Line::styled(format!("{:>8}", (figure.most)(most)), look.dim());
            let right = Rect {
                x: area.right().saturating_sub(BEHIND),
                y: area.y.saturating_add(top),
                width: BEHIND.min(area.width),
                height: 1,
            };
            put(buf, right, 0, &text);
        }
    }
}

fn latency(time: Option<Nanos>) -> String {
    time.map_or_else(|| "-".to_owned(), span)
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn narrow(number: u64) -> String {
    short(number as f64)
}

/// `count` of `of` times `times`.
fn whole(count: u64, times: u64, of: u64) -> u64 {
    let share = u128::from(count) * u128::from(times) / u128::from(of.max(1));
    u64::try_from(share).unwrap_or(u64::MAX)
}
