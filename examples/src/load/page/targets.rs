//! Loss and latency of each target. However many there are, a picture has a thousand cells at most, and the table the worst.

use std::fmt::Write;

use polyport_terminal::counted;
use svg::node::element::{Group, Path};

use super::axes::{LAG, LEFT, Picture, RIGHT, SEND, TOP, heading};
use crate::load::json::{LoadReport, PortReport};
use crate::load::unit;
use crate::picture::markup::{Markup, element};
use crate::picture::scale::in_unit;
use crate::picture::sheet::{Anchor, FAINT, place, text, wrapped};

/// Cells of a row.
const ACROSS: usize = 40;
/// Most rows of cells.
const DOWN: usize = 25;
/// Targets that have a row in the table.
const ROWS: usize = 20;
/// Shades of a cell, but for that of nothing.
const SHADES: usize = 5;

/// The picture; `None` of a single target, which is the whole run.
pub(super) fn picture(report: &LoadReport) -> Option<Picture> {
    let ports = &report.ports;
    if ports.len() < 2 {
        return None;
    }
    let size = ports.len().div_ceil(ACROSS * DOWN);
    let cells: Vec<&[PortReport]> = ports.chunks(size).collect();
    let rows = cells.len().div_ceil(ACROSS);
    let across = in_unit(cells.len().min(ACROSS) as u64, 1.0);
    let side = ((RIGHT - LEFT) / across).min(24.0);
    let panel = side * in_unit(rows as u64, 1.0);
    let of_each = |value: fn(&PortReport) -> f64| -> Vec<f64> {
        cells.iter().map(|cell| cell.iter().map(value).fold(0.0, f64::max)).collect()
    };
    let worst = |value: fn(&PortReport) -> f64| ports.iter().max_by(|a, b| value(a).total_cmp(&value(b)));
    let per_cell =
        if size == 1 { "a cell for each".to_owned() } else { format!("the worst of {size} in each cell") };
    let name = "Targets".to_owned();
    let mut group = heading(&format!("{}, {per_cell}", counted(ports.len() as u64, "target", "targets")));
    let loss = worst(share).map(|port| unit::percent(port.tally.lost, port.tally.sent));
    let tail = worst(tail).and_then(|port| port.rtt_from_plan).map(|read| unit::span(read.p99));
    let maps = [("loss", of_each(share), loss, SEND), ("99th percentile", of_each(self::tail), tail, LAG)];
    let mut top = TOP;
    for (name, values, strongest, colour) in maps {
        let any = values.iter().any(|value| *value > 0.0);
        let strongest = strongest.filter(|_| any);
        let words = strongest
            .map_or_else(|| format!("{name}: none"), |words| format!("{name}: strongest is {words}"));
        group = group.add(text((LEFT, top - 8.0), 11.0, Anchor::Start, words).set("fill", FAINT));
        // A thousand cells of nothing say no more than that word.
        if any {
            group = group.add(grid(&values, colour, side, top));
            top += panel + 12.0;
        }
        top += 18.0;
    }
    let ends = [cells.first().and_then(|cell| cell.first()), ports.last()];
    let ends: Vec<String> = ends.into_iter().flatten().map(|port| port.target.to_string()).collect();
    let bottom = top - 24.0;
    // Two long addresses take a line each.
    let words = format!("in rows from {}", ends.join(" to "));
    let lines = wrapped(&words, 11.0, RIGHT - LEFT);
    for (line, number) in lines.iter().zip(1_u32..) {
        let place = (LEFT, bottom + 16.0 * f64::from(number));
        group = group.add(text(place, 11.0, Anchor::Start, line).set("fill", FAINT));
    }
    let bottom = bottom + 16.0 * in_unit(lines.len() as u64, 1.0) - 16.0;
    Some(Picture { name, group, height: bottom + 28.0 })
}

/// A cell for each value, one path for each shade.
fn grid(values: &[f64], colour: &str, side: f64, top: f64) -> Group {
    let most = values.iter().copied().fold(0.0, f64::max);
    let mut paths = vec![String::new(); SHADES + 1];
    for (place_of, value) in values.iter().enumerate() {
        let shade = shade(*value, most);
        let x = LEFT + in_unit((place_of % ACROSS) as u64, 1.0) * side;
        let y = top + in_unit((place_of / ACROSS) as u64, 1.0) * side;
        let inner = place(side - 1.0);
        // Writing to a text cannot fail.
        write!(paths[shade], "M{} {}h{inner}v{inner}h-{inner}z", place(x), place(y)).unwrap_or(());
    }
    let drawn = paths.into_iter().enumerate().filter(|(_, path)| !path.is_empty());
    drawn.fold(Group::new(), |group, (shade, path)| {
        let path = Path::new().set("d", path);
        group.add(match shade {
            0 => path.set("fill", FAINT).set("fill-opacity", 0.15),
            shade => {
                let opacity = 0.2 + 0.8 * in_unit(shade as u64, 1.0) / in_unit(SHADES as u64, 1.0);
                path.set("fill", colour).set("fill-opacity", format!("{opacity:.2}"))
            }
        })
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of a shade")]
fn shade(value: f64, most: f64) -> usize {
    if value <= 0.0 {
        0
    } else {
        ((value / most * in_unit(SHADES as u64, 1.0)).ceil() as usize).clamp(1, SHADES)
    }
}

/// Percent.
fn share(port: &PortReport) -> f64 {
    in_unit(port.tally.lost, 1.0) / in_unit(port.tally.sent.max(1), 1.0) * 100.0
}

/// Nanoseconds.
fn tail(port: &PortReport) -> f64 {
    port.rtt_from_plan.map_or(0.0, |read| in_unit(read.p99, 1.0))
}

/// The targets with the greatest loss, and among equals with the longest tail.
pub(super) fn table(report: &LoadReport) -> Markup {
    let mut ports: Vec<&PortReport> = report.ports.iter().collect();
    ports.sort_by(|a, b| share(b).total_cmp(&share(a)).then_with(|| tail(b).total_cmp(&tail(a))));
    let all = ports.len();
    ports.truncate(ROWS);
    let heading =
        if all > ROWS { format!("Targets, the worst {ROWS} of {all}") } else { "Targets".to_owned() };
    let names = ["target", "sent", "ok", "late", "error", "lost", "loss", "p50", "p99", "max"];
    let mut table = element("table").holding(
        element("tr").holding_all(names.map(|name| element("th").with("scope", "col").saying(name))),
    );
    for port in ports {
        let tally = &port.tally;
        let cells =
            [tally.sent, tally.ok, tally.late, tally.error, tally.lost].map(|count| count.to_string());
        let read = port.rtt_from_plan;
        let points = [read.map(|read| read.p50), read.map(|read| read.p99), read.map(|read| read.max)];
        let points = points.map(|nanos| nanos.map_or_else(|| "-".to_owned(), unit::span));
        let loss = unit::percent(tally.lost, tally.sent);
        let cells = cells.into_iter().chain([loss]).chain(points);
        let head = element("th").with("scope", "row").saying(port.target.to_string());
        table = table
            .holding(element("tr").holding(head).holding_all(cells.map(|cell| element("td").saying(cell))));
    }
    super::tables::section(&heading, table)
}
