//! The page of a run: one file, for any browser, without script and network; and its pictures alone.
//!
//! ```text
//!   style        colours, for light and for dark
//!   axes         the frame of a picture, its values, its time
//!   columns      the intervals, as many as a picture has columns
//!   percentiles  latency by percentile, the habit of HdrHistogram
//!   heat         latency over time
//!   rate         datagrams sent and lost over time
//!   lag          what the tester itself was late
//!   targets      loss and latency of each target
//!   tables       figures and books, thresholds, machines, command
//! ```
//!
//! All figures are those of the JSON. The size is bounded: time has a hundred columns and targets a thousand cells, however many
//! there are.

mod axes;
mod columns;
mod heat;
mod lag;
mod percentiles;
mod rate;
mod style;
mod tables;
mod targets;

use svg::Document;
use svg::node::element::{Group, Rectangle, Style, Title};

use self::axes::{Picture, WIDTH};
use self::columns::Columns;
use super::json::LoadReport;
use super::summary::Summary;
use crate::picture::markup::{Markup, element};
use crate::picture::sheet::{Anchor, FAINT, place, shown, text};

/// Between the pictures of a sheet.
const GAP: f64 = 18.0;

/// What a browser lets the page do: have colours. A result may be a stranger's, and what is escaped stays without effect even so.
/// What forms and a base do, `default-src` says nothing of.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The page.
#[must_use]
pub fn html(report: &LoadReport, summary: &Summary) -> String {
    let columns = Columns::new(report, summary);
    let title = title(report);
    let head = element("head")
        .holding(element("meta").with("charset", "utf-8"))
        .holding(element("meta").with("http-equiv", "Content-Security-Policy").with("content", POLICY))
        .holding(
            element("meta").with("name", "viewport").with("content", "width=device-width, initial-scale=1"),
        )
        .holding(element("title").saying(&title))
        .holding(element("style").saying_lines(&format!("{}{}", style::COLOURS, style::LAYOUT)));
    let mut body = element("body").holding(
        element("header")
            .holding(element("h1").saying(&title))
            .holding(element("p").saying(subtitle(report))),
    );
    body = body.holding_all(tables::thresholds(report));
    body = body.holding(tables::percentiles(report));
    let pictures = pictures(report, summary, &columns).into_iter().map(figure);
    body = body.holding(element("main").holding_all(pictures));
    body = body.holding_all([
        tables::books(report),
        targets::table(report),
        tables::machines(report),
        tables::config(report),
    ]);
    let page = element("html").with("lang", "en").holding(head).holding(body);
    format!("<!DOCTYPE html>\n{page}\n")
}

/// The pictures alone, two beside each other, as a picture that a README shows.
#[must_use]
pub fn svg(report: &LoadReport, summary: &Summary) -> String {
    let columns = Columns::new(report, summary);
    let width = WIDTH * 2.0 + GAP * 3.0;
    let mut all = Group::new()
        .set("font-family", "system-ui, 'Segoe UI', 'DejaVu Sans', Arial, sans-serif")
        .add(text((GAP + 4.0, 32.0), 17.0, Anchor::Start, title(report)).set("font-weight", "bold"))
        .add(text((GAP + 4.0, 52.0), 12.0, Anchor::Start, subtitle(report)).set("fill", FAINT));
    let mut bottoms = [70.0_f64; 2];
    for picture in pictures(report, summary, &columns) {
        let column = usize::from(bottoms[1] < bottoms[0]);
        let x = if column == 0 { GAP } else { GAP * 2.0 + WIDTH };
        let moved = format!("translate({} {})", place(x), place(bottoms[column]));
        bottoms[column] += picture.height + GAP;
        all = all.add(picture.group.set("transform", moved));
    }
    let height = bottoms[0].max(bottoms[1]);
    let ground = Rectangle::new()
        .set("width", place(width))
        .set("height", place(height))
        .set("rx", 6)
        .set("fill", "#ffffff")
        .set("stroke", "#d8dee4");
    let document = Document::new()
        .set("viewBox", format!("0 0 {} {}", place(width), place(height)))
        .set("width", place(width))
        .set("height", place(height))
        .set("role", "img")
        .add(Title::new(title(report)))
        .add(Style::new(style::COLOURS))
        .add(ground)
        .add(all);
    format!("{document}\n")
}

fn pictures(report: &LoadReport, summary: &Summary, columns: &Columns) -> Vec<Picture> {
    let mut all = vec![
        percentiles::picture(summary),
        heat::picture(columns),
        rate::picture(report, columns),
        lag::picture(columns),
    ];
    all.extend(targets::picture(report));
    all
}

/// A picture in the page, as wide as its column.
fn figure(picture: Picture) -> Markup {
    let drawing = element("svg")
        .with("viewBox", format!("0 0 {} {}", place(WIDTH), place(picture.height)))
        .with("role", "img")
        .with("aria-label", &picture.name)
        .holding(picture.group);
    element("figure").holding(drawing)
}

fn title(report: &LoadReport) -> String {
    format!("polyport-load: {}", shown(&tables::where_to(report)))
}

fn subtitle(report: &LoadReport) -> String {
    let started = report.runs.first().map_or("", |run| run.started.as_str());
    let broken = if report.aborted { ", broken off" } else { "" };
    let by = match report.runs.len() {
        0 | 1 => String::new(),
        more => format!(", by {more} generators"),
    };
    format!("{} asked, {}/s sent{broken}{by}; {started}", tables::rate(report), report.achieved_per_second)
}

#[cfg(test)]
mod tests;
