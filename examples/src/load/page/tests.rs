use std::net::SocketAddr;

use polyport_protocol::SECOND;
use roxmltree::{Document, ParsingOptions};

use super::*;
use crate::load::class::Class;
use crate::load::config::{Config, example};
use crate::load::generator::RunReport;
use crate::load::histogram::{TargetLatency, TotalLatency};
use crate::load::host::HostReport;
use crate::load::intervals::Intervals;
use crate::load::stream::Tally;
use crate::load::summary::{Histograms, Port};
use crate::load::threshold::Threshold;

/// A run over `length` with `targets`, some of whose datagrams are late, lost or slow, made by `command`.
fn run(length: u64, targets: u32, command: &str) -> (LoadReport, Summary) {
    let addresses: Vec<SocketAddr> = (0..targets)
        .map(|n| {
            ([127, 0, u8::try_from(n >> 14).unwrap(), 1], 1000 + u16::try_from(n & 0x3FFF).unwrap()).into()
        })
        .collect();
    let config = Config { duration: length, ..example(addresses.clone()) };
    let mut intervals = Intervals::new(length, SECOND).unwrap();
    let [mut plan, mut send, mut lag] = [0; 3].map(|_| TotalLatency::total().unwrap());
    let mut total = Tally::default();
    let mut port = TargetLatency::target().unwrap();
    let step = (length / 20_000).max(1);
    for index in 0..20_000 {
        let planned = index * step;
        let sent = planned + 20_000 + index % 7 * 1000;
        intervals.plan(planned, 1);
        intervals.left(planned, sent);
        lag.record(sent - planned);
        total.sent += 1;
        if index % 100 == 0 {
            total.lost_unknown += 1;
            continue;
        }
        let arrival = sent + 100_000 + index * index % 3_000_000;
        intervals.answered(Class::Ok, planned, sent, arrival);
        plan.record(arrival - planned);
        send.record(arrival - sent);
        port.record(arrival - planned);
        total.ok += 1;
    }
    let ports = addresses.iter().zip(0_u64..).map(|(address, n)| {
        let tally = Tally { sent: 1000, ok: 1000 - n % 9, lost_unknown: n % 9, ..Tally::default() };
        Port {
            address: *address,
            tally,
            icmp: 0,
            from_plan: port.percentiles(),
            histogram: (n < 10).then(|| port.clone()),
        }
    });
    let summary = Summary {
        planned: total.sent,
        total,
        from_plan: plan.percentiles(),
        from_send: send.percentiles(),
        lag: lag.percentiles(),
        ports: ports.collect(),
        took: length,
        histograms: Histograms {
            from_plan: Some(plan),
            from_send: Some(send),
            lag: Some(lag),
            ..Histograms::default()
        },
        intervals: Some(intervals),
        ..Summary::default()
    };
    let judged = ["p99<1us", "ok>=1"].map(|text| Threshold::parse(text).unwrap().judge(&summary));
    let host = HostReport { name: "a & b".to_owned(), ..HostReport::here() };
    let generator =
        RunReport { host, ..RunReport::new(&config, vec![command.to_owned()], std::time::Duration::ZERO) };
    (LoadReport::new(&config, &summary, &judged, vec![generator]), summary)
}

fn parsed(page: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(page, options).unwrap()
}

/// All text of a document, in order.
fn words(document: &Document<'_>) -> String {
    document
        .descendants()
        .filter(roxmltree::Node::is_text)
        .filter_map(|node| node.text())
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn the_page_is_well_formed_and_needs_nothing_else() {
    let (report, summary) = run(10 * SECOND, 3, "--rate 1");
    let page = html(&report, &summary);
    let document = parsed(&page);
    assert_eq!(document.root_element().tag_name().name(), "html");
    for word in ["http:", "https:", "src=", "url(", "href", "<script", "@import"] {
        assert!(!page.contains(word), "{word}");
    }
    let policy = document.descendants().find(|node| node.attribute("http-equiv").is_some()).unwrap();
    for what in ["default-src", "base-uri", "form-action"] {
        let none = format!("{what} 'none'");
        assert!(
            policy.attribute("content").is_some_and(|says| says.contains(&none)),
            "nor may it: {policy:?}"
        );
    }
    let figures = document.descendants().filter(|node| node.has_tag_name("figure")).count();
    assert_eq!(figures, 5, "percentiles, heat, rate, lag, targets");
    // HTML knows no empty elements but its own: any other would swallow what follows it.
    let empty = |node: &roxmltree::Node<'_, '_>| node.is_element() && !node.has_children();
    let inside_svg = |node: &roxmltree::Node<'_, '_>| node.ancestors().any(|above| above.has_tag_name("svg"));
    for node in document.descendants().filter(|node| empty(node) && !inside_svg(node)) {
        assert_eq!(node.tag_name().name(), "meta");
    }
    parsed(&svg(&report, &summary));
}

#[test]
fn the_figures_of_the_page_are_those_of_the_json() {
    let (report, summary) = run(10 * SECOND, 3, "x");
    let page = html(&report, &summary);
    let document = parsed(&page);
    let rows: Vec<Vec<String>> = document
        .descendants()
        .filter(|node| node.has_tag_name("tr"))
        .map(|row| row.children().filter(roxmltree::Node::is_element).map(|cell| text_of(cell)).collect())
        .collect();
    let row =
        |name: &str| rows.iter().find(|row| row[0] == name).unwrap_or_else(|| panic!("{name}: {rows:?}"));
    for (name, read) in [
        ("from plan", report.latency.rtt_from_plan),
        ("from send", report.latency.rtt_from_send),
        ("generator lag", report.latency.lag),
    ] {
        let read = read.unwrap();
        let wanted =
            [read.min].into_iter().chain(read.columns().map(|(_, nanos)| nanos)).map(crate::load::unit::span);
        let wanted: Vec<String> =
            [name.to_owned(), read.count.to_string()].into_iter().chain(wanted).collect();
        assert_eq!(*row(name), wanted);
    }
    let tally = &report.counts.tally;
    assert!(
        row("sent")[1]
            .starts_with(&format!("20000 = ok {} + late 0 + error 0 + lost {}", tally.ok, tally.lost))
    );
    assert_eq!(row("p99<1us")[1..], ["\u{2717} missed".to_owned(), report.thresholds[0].measured.clone()]);
    assert_eq!(row("ok>=1")[1..], ["\u{2713} met", "19800"]);
    let third = &report.ports[2];
    let shown = row(&third.target.to_string());
    assert_eq!(shown[1..7], ["1000", "998", "0", "0", "2", "0.200%"]);
    assert_eq!(shown[8], crate::load::unit::span(third.rtt_from_plan.unwrap().p99));
}

fn text_of(node: roxmltree::Node<'_, '_>) -> String {
    let texts = node.descendants().filter(roxmltree::Node::is_text).filter_map(|node| node.text());
    texts.map(str::trim).filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_comes_from_outside_is_escaped() {
    let evil = "</code><script>alert(1)</script>&\"'\u{1b}[31m\u{0}";
    let (mut report, summary) = run(SECOND, 2, evil);
    report.thresholds[0].text = evil.to_owned();
    let page = html(&report, &summary);
    assert!(!page.contains("<script") && !page.contains('\u{1b}') && !page.contains('\u{0}'));
    let document = parsed(&page);
    assert!(words(&document).contains("</code><script>alert(1)</script>&\"'"));
    assert!(words(&document).contains("a & b"), "the name of the host");
    parsed(&svg(&report, &summary));
}

#[test]
fn any_number_of_targets_and_a_day_fit_a_page() {
    let (report, summary) = run(86_400 * SECOND, 20_000, "x");
    assert!(report.intervals.len() > 1000, "{}", report.intervals.len());
    let (page, picture) = (html(&report, &summary), svg(&report, &summary));
    assert!(page.len() < 400_000, "{}", page.len());
    assert!(picture.len() < 300_000, "{}", picture.len());
    assert!(words(&parsed(&page)).contains("Targets, the worst 20 of 20000"));
    assert!(words(&parsed(&picture)).contains("the worst of 20 in each cell"));
}

#[test]
fn a_run_without_anything_has_a_page() {
    let config = example(vec!["127.0.0.1:7".parse().unwrap()]);
    let summary = Summary::default();
    let report = LoadReport::new(&config, &summary, &[], Vec::new());
    let page = html(&report, &summary);
    let document = parsed(&page);
    for word in ["nothing was measured", "no answer came", "nothing was sent"] {
        assert!(words(&document).contains(word), "{word}");
    }
}
