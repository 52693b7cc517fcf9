//! Datagrams sent a second, and which part of them was lost, over time.

use svg::node::element::Path;

use super::axes::{FOOT, LEFT, PLAN, Picture, RIGHT, SEND, TOP, frame, heading, legend, nothing, values};
use super::columns::Columns;
use crate::load::json::LoadReport;
use crate::load::unit::per_second;
use crate::picture::scale::{Scale, in_unit, round_up};
use crate::picture::sheet::{Anchor, FAINT, stroke, text};

/// Height of the panel of rates.
const RATE: f64 = 120.0;
/// Between the panels, with the heading of the second.
const GAP: f64 = 26.0;
/// Height of the panel of losses.
const LOSS: f64 = 84.0;

pub(super) fn picture(report: &LoadReport, columns: &Columns) -> Picture {
    let name = "Rate and loss over time";
    let asked = per_second(report.config.rate.count, report.config.rate.period_ns);
    let sent = |length, sent| per_second(sent, length);
    let most = columns.iter().map(|(_, length, one)| sent(length, one.sent)).max().unwrap_or(0).max(asked);
    if columns.iter().all(|(.., one)| one.sent == 0) {
        let height = RATE + GAP + LOSS;
        let group = heading(name).add(nothing(TOP, height, "nothing was sent"));
        return Picture { name: name.to_owned(), group, height: TOP + height + FOOT };
    }
    let rate = Scale::new((0.0, in_unit(most.max(1), 1.0) * 1.08), (TOP + RATE, TOP));
    let top = TOP + RATE + GAP;
    let share = |part: u64, whole: u64| {
        (whole > 0).then(|| (in_unit(part, 1.0) / in_unit(whole, 1.0) * 100.0).min(100.0))
    };
    let worst = columns.iter().filter_map(|(.., one)| share(one.lost(), one.sent)).fold(0.0, f64::max);
    let high = if worst > 0.0 { round_up(worst).min(100.0) } else { 1.0 };
    let loss = Scale::new((0.0, high), (top + LOSS, top));
    let asked_line = format!("M{LEFT} {:.1}H{RIGHT}", rate.at(in_unit(asked, 1.0)));
    let sent_line = columns.steps(|length, one| Some(rate.at(in_unit(sent(length, one.sent), 1.0))));
    let lost_line = columns.steps(|_, one| share(one.lost(), one.sent).map(|share| loss.at(share)));
    let bottom = top + LOSS;
    let areas = columns.iter().filter_map(|(start, length, one)| {
        let share = share(one.lost(), one.sent).filter(|share| *share > 0.0)?;
        let (left, right) = columns.ends(start, length);
        Some(format!("M{left:.1} {bottom:.1}V{:.1}H{right:.1}V{bottom:.1}z", loss.at(share)))
    });
    let areas: String = areas.collect();
    let mut group = heading(name)
        .add(legend(&[
            ("sent a second", PLAN, "none"),
            ("asked", FAINT, "2 3"),
            ("lost, of what was sent", SEND, "none"),
        ]))
        .add(columns.time.axis(TOP, bottom))
        .add(values(&rate, 4.0, ""))
        .add(values(&loss, 3.0, "%"))
        .add(stroke(asked_line, FAINT, 1.4).set("stroke-dasharray", "2 3"))
        .add(stroke(sent_line, PLAN, 1.8));
    if areas.is_empty() {
        let middle = (LEFT.midpoint(RIGHT), top + LOSS / 2.0);
        group = group.add(text(middle, 12.0, Anchor::Middle, "nothing was lost").set("fill", FAINT));
    } else {
        group = group
            .add(Path::new().set("d", areas).set("fill", SEND).set("fill-opacity", 0.2))
            .add(stroke(lost_line, SEND, 1.6));
    }
    let group = group.add(frame(TOP, RATE)).add(frame(top, LOSS));
    Picture { name: name.to_owned(), group, height: bottom + FOOT }
}
