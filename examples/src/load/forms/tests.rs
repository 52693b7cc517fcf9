use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use polyport_protocol::SECOND;

use super::*;
use crate::load::class::Class;
use crate::load::config::{Config, example};
use crate::load::generator::RunReport;
use crate::load::intervals::Intervals;
use crate::load::json::LoadReport;
use crate::load::output::FileArgs;
use crate::load::summary::Summary;
use crate::load::threshold::{Judgement, Threshold};

/// 25 datagrams in 2.5 s, the last five of which get no answer.
fn run(thresholds: &[&str]) -> (LoadReport, Summary) {
    let config = Config { duration: 5 * SECOND / 2, ..example(vec!["127.0.0.1:7".parse().unwrap()]) };
    let mut intervals = Intervals::new(config.duration, SECOND).unwrap();
    for planned in (0..25).map(|index| index * SECOND / 10) {
        intervals.plan(planned, 1);
        intervals.left(planned, planned + 1000);
        if planned < 2 * SECOND {
            intervals.answered(Class::Ok, planned, planned + 1000, planned + 3000);
        }
    }
    let summary = Summary { intervals: Some(intervals), planned: 25, ..Summary::default() };
    let judged: Vec<Judgement> =
        thresholds.iter().map(|text| Threshold::parse(text).unwrap().judge(&summary)).collect();
    let generator = RunReport::new(&config, vec!["--x".to_owned()], Duration::from_secs(1_796_040_000));
    (LoadReport::new(&config, &summary, &judged, vec![generator]), summary)
}

#[test]
fn a_row_for_each_interval() {
    let table = csv::table(&run(&[]).0);
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{table}");
    let cell = |row: usize, name: &str| rows[row][rows[0].iter().position(|column| *column == name).unwrap()];
    assert_eq!(
        (cell(1, "start_ns"), cell(1, "sent"), cell(1, "ok"), cell(1, "lost")),
        ("0", "10", "10", "0")
    );
    assert_eq!((cell(1, "from_plan_max_ns"), cell(1, "lag_p50_ns")), ("3000", "1000"));
    assert_eq!((cell(3, "length_ns"), cell(3, "lost"), cell(3, "from_plan_p50_ns")), ("500000000", "5", ""));
}

#[test]
fn the_last_interval_ends_with_an_abort() {
    let (report, summary) = run(&[]);
    let report = LoadReport { aborted: true, took_ns: 9 * SECOND / 4, ..report };
    let table = csv::table(&report);
    assert!(table.lines().last().unwrap().starts_with("2000000000,250000000,"), "{table}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let files = FileArgs { hdr_log: Some(path.clone()), ..FileArgs::default() };
    files.write(&report, &summary).unwrap();
    let log = std::fs::read(path).unwrap();
    let last = IntervalLogIterator::new(&log).last().unwrap().unwrap();
    let LogEntry::Interval(last) = last else { panic!("{last:?}") };
    assert_eq!((last.start_timestamp().as_secs(), last.duration().as_millis()), (2, 250));
}

#[test]
fn the_log_is_read_by_the_library() {
    let (report, summary) = run(&[]);
    let log = hdr_log::log(&summary, Duration::from_nanos(report.config.duration_ns)).unwrap();
    assert!(log.starts_with(b"#[Histogram log format version 1.3]\n"));
    let mut plan: Histogram<u64> = Histogram::new_with_bounds(1, 60 * SECOND, 2).unwrap();
    let mut tags = Vec::new();
    for entry in IntervalLogIterator::new(&log) {
        let LogEntry::Interval(interval) = entry.unwrap() else { continue };
        let tag = interval.tag().map(|tag| tag.as_str());
        tags.push((tag, interval.start_timestamp().as_secs(), interval.duration().as_millis()));
        let octets = data_encoding::BASE64.decode(interval.encoded_histogram().as_bytes()).unwrap();
        let one: Histogram<u64> = Deserializer::new().deserialize(&mut octets.as_slice()).unwrap();
        if tag.is_none() {
            plan.add(one).unwrap();
        }
    }
    assert_eq!(plan.len(), 20);
    assert_eq!(tags.len(), 9);
    assert_eq!(tags[..3], [(None, 0, 1000), (Some("from_send"), 0, 1000), (Some("lag"), 0, 1000)]);
    assert_eq!(tags[6], (None, 2, 500));
}

#[test]
fn thresholds_are_test_cases() {
    let document = junit::document(&run(&["ok>=1", "p99<5ms"]).0);
    let parsed = roxmltree::Document::parse(&document).unwrap();
    let suite = parsed.descendants().find(|node| node.has_tag_name("testsuite")).unwrap();
    assert_eq!((suite.attribute("tests"), suite.attribute("failures")), (Some("2"), Some("2")));
    assert_eq!(suite.attribute("timestamp"), Some("2026-11-30T12:00:00.000"));
    let cases: Vec<_> = parsed.descendants().filter(|node| node.has_tag_name("testcase")).collect();
    assert_eq!(cases[1].attribute("name"), Some("p99<5ms"));
    let failure = cases[1].descendants().find(|node| node.has_tag_name("failure")).unwrap();
    assert_eq!(failure.attribute("message"), Some("p99<5ms: measured nothing measured"));
    let met = junit::document(&run(&["ok>=0"]).0);
    assert!(met.contains("failures=\"0\"") && met.contains("measured 0"), "{met}");
}

#[test]
fn gauges_follow_the_rules_of_openmetrics() {
    let text = openmetrics::text(&run(&["p99<5ms"]).0);
    assert!(text.ends_with("# EOF\n"));
    let mut family = "";
    for line in text.lines() {
        match line.split(' ').collect::<Vec<_>>().as_slice() {
            ["#", "HELP", name, ..] => family = name,
            ["#", "TYPE", name, kind] => {
                let wanted = if name.ends_with("latency_seconds") { "summary" } else { "gauge" };
                assert_eq!((*name, *kind), (family, wanted));
            }
            ["#", "UNIT", name, unit] => assert!(*name == family && family.ends_with(unit), "{line}"),
            ["#", "EOF"] => {}
            _ => {
                let (name, value) = line.rsplit_once(' ').unwrap();
                let name = name.split('{').next().unwrap_or_default();
                let plain = name.strip_suffix("_sum").or_else(|| name.strip_suffix("_count")).unwrap_or(name);
                assert_eq!(plain, family, "{line}");
                value.parse::<f64>().unwrap();
            }
        }
    }
    assert!(text.contains("polyport_load_threshold_met{threshold=\"p99<5ms\"} 0\n"), "{text}");
    assert!(text.contains("polyport_load_planned_datagrams 25\n"));
}
