//! Thresholds as test cases, in the form of `JUnit` that CI systems show.

use crate::load::json::LoadReport;
use crate::load::unit::seconds;
use crate::picture::markup::element;

/// The document: one suite, and a case for each threshold.
#[must_use]
pub fn document(report: &LoadReport) -> String {
    let missed = report.thresholds.iter().filter(|judged| !judged.met).count();
    let mut suite = element("testsuite")
        .with("name", "polyport-load")
        .with("tests", report.thresholds.len())
        .with("failures", missed)
        .with("errors", 0)
        .with("skipped", 0)
        .with("time", seconds(report.took_ns));
    if let Some(run) = report.runs.first() {
        suite = suite.with("timestamp", run.started.trim_end_matches('Z')).with("hostname", &run.host.name);
    }
    for judged in &report.thresholds {
        let mut case = element("testcase")
            .with("classname", "polyport-load.threshold")
            .with("name", &judged.text)
            .with("time", 0);
        let measured = format!("measured {}", judged.measured);
        case = if judged.met {
            case.holding(element("system-out").saying(&measured))
        } else {
            let words = format!("{}: {measured}", judged.text);
            let failure = element("failure").with("type", "threshold").with("message", &words);
            case.holding(failure.saying(&words))
        };
        suite = suite.holding(case);
    }
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";
    format!("{head}\n{}\n", element("testsuites").holding(suite))
}
