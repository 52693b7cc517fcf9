//! The picture: an SVG of three panels over one axis of time, and what it says of itself.
//!
//! ```text
//!   sheet    places, looks, and pieces of SVG
//!   time     moments to places
//!   axes     lines and values of the panels
//!   steps    values of bins to paths
//!   delay    how long datagrams waited
//!   loss     how many of them do not arrive
//!   lanes    single events, a lane for each kind
//!   notes    what the reader has to know, and moments that the user named
//! ```

mod axes;
mod delay;
mod lanes;
mod loss;
mod notes;
mod sheet;
mod steps;
mod time;

use polyport_protocol::Nanos;
use polyport_terminal::counted;
use svg::Document;
use svg::node::element::{Group, Rectangle};

use self::axes::{axis, grid};
use self::sheet::{Anchor, DELAY, FAINT, LOSS, WIDTH, look, part, place, shown, text};
use self::time::Time;
use super::run::Run;
use crate::picture::scale;

/// What is written about a run that its log does not say.
#[derive(Clone, Debug, Default)]
pub struct Caption {
    /// The first line.
    pub title: String,
    /// Moments with a name each, counted from the first decision of the log.
    pub moments: Vec<(Nanos, String)>,
}

/// Between a panel and the next, with the heading of that.
const GAP: f64 = 34.0;

/// Draws a run. Without a decision there is nothing to draw, and only the title stands there.
#[must_use]
pub fn picture(run: &Run, caption: &Caption, description: &str) -> String {
    let time = Time::of(run);
    let mut all = Group::new()
        .set("font-family", "system-ui, 'Segoe UI', 'DejaVu Sans', Arial, sans-serif")
        .add(
            text((20.0, 32.0), 17.0, Anchor::Start, sheet::cut(&shown(&caption.title), 17.0, WIDTH - 40.0))
                .set("font-weight", "bold"),
        )
        .add(
            text((20.0, 52.0), 12.0, Anchor::Start, sheet::cut(&subtitle(run), 12.0, WIDTH - 40.0))
                .set("fill", FAINT),
        )
        .add(legend(run));
    let (moments, rows) = notes::moments(&caption.moments, &time, 90.0);
    let top = 90.0 + rows + 16.0;
    let loss_top = top + DELAY + GAP;
    let lanes_top = loss_top + LOSS + GAP;
    let (lanes, lanes_height) = lanes::panel(run, &time, lanes_top);
    let mut panels = vec![(top, DELAY), (loss_top, LOSS)];
    let mut bottom = loss_top + LOSS;
    if lanes_height > 0.0 {
        panels.push((lanes_top, lanes_height));
        bottom = lanes_top + lanes_height;
    }
    all = all.add(moments).add(grid(&time, &panels));
    all = all.add(delay::panel(run, &time, top)).add(loss::panel(run, &time, loss_top));
    if lanes_height > 0.0 {
        all = all.add(lanes);
    }
    all = all.add(notes::lines(&caption.moments, &time, &panels)).add(axis(&time, bottom));
    let (explained, height) = notes::explained(run, bottom + 52.0);
    all = all.add(explained);
    let height = bottom + 52.0 + height;
    let ground = Rectangle::new()
        .set("width", WIDTH)
        .set("height", place(height))
        .set("rx", 6)
        .set("fill", "#ffffff")
        .set("stroke", "#d0d7de");
    let document = Document::new()
        .set("viewBox", format!("0 0 {WIDTH} {}", place(height)))
        .set("width", WIDTH)
        .set("height", place(height))
        .set("role", "img")
        .add(svg::node::element::Title::new(shown(&caption.title)))
        .add(svg::node::element::Description::new().add(sheet::words(description)))
        .add(ground)
        .add(all);
    format!("{document}\n")
}

/// Whose run it is, and how much of it is drawn.
fn subtitle(run: &Run) -> String {
    let mut clients = run.chosen();
    let clients = match (clients.len(), clients.next()) {
        (1, Some(client)) => format!("client {}", shown(client)),
        (count, _) => counted(u64::try_from(count).unwrap_or(u64::MAX), "client", "clients"),
    };
    let decisions = counted(run.shown(), "decision", "decisions");
    let part =
        if run.shown() < run.read() { format!(" of {} in the log", run.read()) } else { String::new() };
    format!("{clients}; {decisions}{part} in {}", scale::span(run.length()))
}

/// What the shapes and dashes mean.
fn legend(run: &Run) -> Group {
    let mut all = part("legend", "What the shapes and dashes mean");
    let (mut x, y) = (20.0, 74.0);
    for direction in run.directions() {
        let look = look(direction);
        let point = format!("M{} {}{}", place(x + 4.0), place(y - 4.0), look.point);
        all = all.add(sheet::stroke(point, look.colour, 1.0).set("fill", look.colour));
        let line = format!("M{} {}h26", place(x + 12.0), place(y - 4.0));
        all = all.add(sheet::stroke(line, look.colour, 2.0).set("stroke-dasharray", look.median));
        let words = if delay::has_lines(run, direction) {
            format!("{}: median", look.meaning)
        } else {
            look.meaning.to_owned()
        };
        all = all.add(text((x + 44.0, y), 12.0, Anchor::Start, words.clone()));
        x += 44.0 + sheet::wide(&words, 12.0) + 12.0;
        if delay::has_lines(run, direction) {
            let line = format!("M{} {}h26", place(x), place(y - 4.0));
            all = all.add(sheet::stroke(line, look.colour, 1.2).set("stroke-dasharray", look.tail));
            all = all.add(text((x + 32.0, y), 12.0, Anchor::Start, "95 %"));
            x += 32.0 + 56.0;
        }
        x += 12.0;
    }
    all
}
