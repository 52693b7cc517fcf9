//! The result for people.

use std::net::SocketAddr;

use polyport_terminal::{Escaped, Style, counted};

use super::outcome::Outcome;
use super::settings::Settings;
use crate::load::histogram::Percentiles;
use crate::load::threshold::Judgement;
use crate::load::unit::{per_second, percent, span};

/// The summary screen.
#[must_use]
pub fn text(
    outcome: &Outcome,
    settings: &Settings,
    targets: &[SocketAddr],
    judgements: &[Judgement],
    style: Style,
) -> String {
    let tally = &outcome.tally;
    let name = Escaped(settings.file.as_os_str().as_encoded_bytes());
    let to = match targets {
        [only] => only.to_string(),
        many => counted(many.len(), "target", "targets"),
    };
    let mut lines = vec![style.bold(format!(
        " polyport-load  {name} to {to}  {} at {}  {} + drain {}",
        counted(outcome.passes, "pass", "passes"),
        settings.speed.text(),
        span(outcome.took),
        span(outcome.drained)
    ))];
    lines.extend(judgements.iter().map(|judged| {
        let mark = if judged.met { style.green("\u{2713} ok  ") } else { style.red("\u{2717} FAIL") };
        format!(" {mark}  {:<20}  {}", judged.text, judged.measured)
    }));
    lines.push(
        style.dim(format!(" {:<16}{:>9}{:>9}{:>9}{:>9}{:>9}", "", "p50", "p90", "p99", "p99.9", "max")),
    );
    let late = format!("    late sends {}", percent(outcome.late_sends, tally.sent));
    for (name, read, note) in [
        ("rtt (from plan)", outcome.from_plan, ""),
        ("rtt (from send)", outcome.from_send, ""),
        ("generator lag", outcome.lag, &*late),
    ] {
        lines.push(row(name, read, note));
    }
    let refused = if outcome.not_sent() == 0 {
        String::new()
    } else {
        format!(" (in flight {}, refused {})", outcome.in_flight, outcome.refused)
    };
    lines.push(format!(
        " due     {} = sent {} + not sent {}{refused}",
        outcome.of_recording,
        tally.sent,
        outcome.not_sent()
    ));
    let pending = if outcome.aborted { format!(" + pending {}", tally.pending) } else { String::new() };
    lines.push(format!(
        " sent    {} = ok {} + late {} + error {} + lost {} + one way {}{pending}    {}/s, {} octets",
        tally.sent,
        tally.ok,
        tally.late,
        tally.error,
        tally.lost,
        tally.one_way,
        per_second(tally.sent, outcome.took),
        outcome.octets
    ));
    lines.push(format!(
        " extra   duplicates {}, unasked {}, malformed {}, wrong source {}",
        tally.duplicates,
        tally.unasked,
        outcome.malformed,
        outcome.strangers.count()
    ));
    let skips = outcome.skips.text().map_or_else(String::new, |skips| format!(", left out: {skips}"));
    lines.push(format!(
        " file    {}, other way {}, backwards {}{skips}",
        counted(outcome.sources, "source", "sources"),
        outcome.other_way,
        outcome.backwards
    ));
    let drops = outcome.socket_drops.map_or_else(|| "unknown".to_owned(), |drops| drops.to_string());
    lines.push(format!(" local   socket drops {drops}, send EAGAIN {}", outcome.eagain));
    lines.join("\n")
}

/// What deserves a warning.
#[must_use]
pub fn warnings(outcome: &Outcome) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(drops) = outcome.socket_drops.filter(|drops| *drops > 0) {
        warnings.push(format!(
                "our own sockets dropped {}: the loss reported is too high by as many; raise net.core.rmem_max, or lower --speed",
                counted(drops, "datagram", "datagrams")
            ));
    }
    if let Some(refusal) = &outcome.refusal {
        warnings.push(format!("{} were not sent: {refusal}", outcome.refused));
    }
    if outcome.unsorted > 0 {
        warnings.push(format!(
                "more pairs of addresses than are told apart: {} of further ones were sent whichever way they went; see --pcap-port",
                counted(outcome.unsorted, "datagram", "datagrams")
            ));
    }
    if outcome.late_sends * 100 > outcome.tally.sent {
        warnings.push(
            "more than 1% of the datagrams left over 1 ms late: judge the server by `from send`".to_owned(),
        );
    }
    warnings
}

fn row(name: &str, read: Option<Percentiles>, note: &str) -> String {
    let Some(read) = read else { return format!(" {name:<16}{:>9}", "-") };
    let points = [read.p50, read.p90, read.p99, read.p99_9, read.max];
    let cells: String = points.iter().map(|nanos| format!("{:>9}", span(*nanos))).collect();
    format!(" {name:<16}{cells}{note}")
}
