//! The result as `OpenMetrics`, for the textfile collector of `node_exporter`.

use std::fmt::Write;

use crate::load::histogram::Percentiles;
use crate::load::json::LoadReport;
use crate::load::unit::seconds;
use crate::picture::sheet::shown;

/// Samples of a family, each with what stands behind the name: a suffix, labels, or both.
type Samples = Vec<(String, String)>;

/// The family whose samples are quantiles, which is a summary therefore.
const SUMMARY: &str = "latency";

/// The text, with its end mark. The families are gauges, but for the latencies: they are the result of one run, and the next run starts
/// anew.
#[must_use]
pub fn text(report: &LoadReport) -> String {
    let mut text = String::new();
    for (name, unit, help, samples) in families(report) {
        let family = if unit.is_empty() {
            format!("polyport_load_{name}")
        } else {
            format!("polyport_load_{name}_{unit}")
        };
        // Writing to a text cannot fail.
        let kind = if name == SUMMARY { "summary" } else { "gauge" };
        writeln!(text, "# HELP {family} {help}\n# TYPE {family} {kind}").unwrap_or(());
        if !unit.is_empty() {
            writeln!(text, "# UNIT {family} {unit}").unwrap_or(());
        }
        for (labels, value) in samples {
            writeln!(text, "{family}{labels} {value}").unwrap_or(());
        }
    }
    text.push_str("# EOF\n");
    text
}

fn families(report: &LoadReport) -> Vec<(&'static str, &'static str, &'static str, Samples)> {
    let (counts, tally) = (&report.counts, &report.counts.tally);
    let fates = [
        ("ok", tally.ok),
        ("late", tally.late),
        ("error", tally.error),
        ("lost_up", tally.lost_up),
        ("lost_down", tally.lost_down),
        ("lost_unknown", tally.lost_unknown),
        ("pending_at_abort", tally.pending_at_abort),
    ];
    let reasons = [
        ("in_flight", counts.not_sent_in_flight),
        ("behind", counts.not_sent_behind),
        ("refused", counts.not_sent_refused),
        ("aborted", counts.not_sent_aborted),
    ];
    let latency = &report.latency;
    let reads =
        [("from_plan", latency.rtt_from_plan), ("from_send", latency.rtt_from_send), ("lag", latency.lag)];
    let info = report.runs.first().map_or_else(Vec::new, |run| {
        let version = report.program.rsplit(' ').next().unwrap_or_default();
        let labels = [("version", version), ("host", &run.host.name), ("started", &run.started)];
        vec![(labelled(&labels), "1".to_owned())]
    });
    vec![
        ("run_info", "", "The run that the other series are of.", info),
        ("generators", "", "Generators whose results were merged.", vec![plain(report.runs.len() as u64)]),
        ("targets", "", "Targets of the load.", vec![plain(report.ports.len() as u64)]),
        ("duration", "seconds", "How long the load took.", vec![(String::new(), seconds(report.took_ns))]),
        ("planned_datagrams", "", "Places of the schedule that came up.", vec![plain(counts.planned)]),
        ("sent_datagrams", "", "Datagrams that left.", vec![plain(tally.sent)]),
        ("not_sent_datagrams", "", "Planned datagrams not sent, by reason.", named("reason", &reasons)),
        ("answered_datagrams", "", "What became of the datagrams sent.", named("fate", &fates)),
        (
            "duplicate_datagrams",
            "",
            "Further answers, by the direction of the duplicate.",
            named("direction", &[("up", tally.dup_up), ("down", tally.dup_down)]),
        ),
        ("reordered_datagrams", "", "First answers that a later one overtook.", vec![plain(tally.reordered)]),
        (
            "received_datagrams",
            "",
            "Datagrams received, by class.",
            report
                .classes
                .iter()
                .map(|(class, count)| (labelled(&[("class", class)]), count.to_string()))
                .collect(),
        ),
        ("sent_per_second", "", "Datagrams sent a second.", vec![plain(report.achieved_per_second)]),
        (
            SUMMARY,
            "seconds",
            "Latency from the planned time and from sending, and of the generator's own lag.",
            reads.iter().flat_map(|(source, read)| quantiles(source, read.as_ref())).collect(),
        ),
        (
            "socket_dropped_datagrams",
            "",
            "Datagrams that the tester's own sockets dropped.",
            report.local.socket_drops.map(plain).into_iter().collect(),
        ),
        (
            "threshold_met",
            "",
            "Whether each threshold was met: 1 if so, else 0.",
            report
                .thresholds
                .iter()
                .map(|judged| (labelled(&[("threshold", &judged.text)]), u8::from(judged.met).to_string()))
                .collect(),
        ),
    ]
}

fn plain(value: u64) -> (String, String) {
    (String::new(), value.to_string())
}

fn named(label: &str, values: &[(&str, u64)]) -> Samples {
    values.iter().map(|(name, value)| (labelled(&[(label, name)]), value.to_string())).collect()
}

fn quantiles(source: &str, read: Option<&Percentiles>) -> Samples {
    let Some(read) = read else { return Vec::new() };
    let points =
        [("0.5", read.p50), ("0.9", read.p90), ("0.99", read.p99), ("0.999", read.p99_9), ("1", read.max)];
    let sample = |(quantile, nanos)| (labelled(&[("of", source), ("quantile", quantile)]), seconds(nanos));
    let of = labelled(&[("of", source)]);
    let sum = u128::from(read.mean) * u128::from(read.count);
    let sum = u64::try_from(sum).unwrap_or(u64::MAX);
    let ends = [(format!("_sum{of}"), seconds(sum)), (format!("_count{of}"), read.count.to_string())];
    points.into_iter().map(sample).chain(ends).collect()
}

fn labelled(labels: &[(&str, &str)]) -> String {
    // Control characters are made visible first: a result may be a stranger's, and somebody will look at the file.
    let escaped = |value: &str| shown(value).replace('\\', "\\\\").replace('"', "\\\"");
    let labels: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    format!("{{{}}}", labels.join(","))
}
