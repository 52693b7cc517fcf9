//! The result of a run as text.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use polyport_protocol::Nanos;
use polyport_terminal::{Escaped, Style, counted};

use super::books::compare::AddressReport;
use super::class::Class;
use super::config::{Config, Expect};
use super::gso::Gso;
use super::histogram::Percentiles;
use super::ledger::NotSent;
use super::pacing::Pacing;
use super::plan::Distribution;
use super::sockets::RECEIVE_BUFFER;
use super::stamp::words;
use super::stream::Tally;
use super::summary::{Chosen, Flow, Port, Summary};
use super::threshold::Judgement;
use super::unit::{per_second, percent, span};

/// Which tables the summary screen has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// A row for every target.
    pub ports: bool,
    /// A row for every flow.
    pub flows: bool,
}

/// The summary screen.
#[must_use]
pub fn text(
    config: &Config,
    summary: &Summary,
    judgements: &[Judgement],
    tables: Tables,
    style: Style,
) -> String {
    let mut lines = vec![head(config, summary, style)];
    lines.extend(judgements.iter().map(|judged| threshold(judged, style)));
    lines.extend(missed(config, summary).map(|missed| format!(" rate    {missed}")));
    let chosen = summary.chosen.as_slice();
    lines.push(style.dim(columns(chosen)));
    match config.in_flight {
        Some(_) => lines.push(format!(" {:<16}{:>9}    none in a closed loop", "rtt (from plan)", "-")),
        None => {
            lines.push(latency("rtt (from plan)", summary.from_plan, chosen, |point| point.rtt_from_plan));
        }
    }
    lines.push(latency("rtt (from send)", summary.from_send, chosen, |point| point.rtt_from_send));
    lines.push(latency("ipdv (of rtt)", summary.ipdv, chosen, |point| point.ipdv));
    match summary.one_way {
        Some(delays) => {
            let error = format!("    +- {}", span(delays.error_ns));
            lines.push(latency("way up", Some(delays.up), chosen, |point| point.way_up) + &error);
            lines.push(latency("way down", Some(delays.down), chosen, |point| point.way_down) + &error);
        }
        None if config.one_way => {
            lines.push(format!(" {:<16}{:>9}    the targets do not stamp", "way up, down", "-"));
        }
        None => {}
    }
    if let Some(ways) = summary.ipdv_ways {
        lines.push(latency("ipdv up", Some(ways.up), chosen, |point| point.ipdv_up));
        lines.push(latency("ipdv down", Some(ways.down), chosen, |point| point.ipdv_down));
    }
    if let Some(stamp) = &summary.stamp {
        lines.push(latency("in reflector", stamp.inside, chosen, |point| point.inside));
    }
    let late = format!("    late sends {}", percent(summary.late_sends, summary.total.sent));
    lines.push(latency("generator lag", summary.lag, chosen, |point| point.lag) + &late);
    lines.extend(books(config, summary));
    lines.extend(summary.stamp.as_ref().map(|told| words::line(config.stamp.as_ref(), told)));
    lines.extend(summary.books.iter().flat_map(|books| &books.addresses).map(AddressReport::line));
    lines.push(local(summary));
    lines.extend(how(summary));
    if tables.ports {
        lines.push(style.dim(port_columns()));
        lines.extend(summary.ports.iter().map(port_row));
    }
    if tables.flows {
        lines.push(style.dim(flow_columns()));
        lines.extend(summary.flows.iter().map(flow_row));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// What deserves a warning, with the advice.
#[must_use]
pub fn warnings(config: &Config, summary: &Summary) -> Vec<String> {
    let mut warnings = Vec::new();
    let local = &summary.local;
    if let Some(drops) = local.socket_drops.filter(|drops| *drops > 0) {
        let advice = if local.receive_buffer < RECEIVE_BUFFER {
            "raise net.core.rmem_max, or lower the rate"
        } else {
            "lower the rate, or give each of several --flows a buffer of its own"
        };
        warnings.push(format!(
            "our own socket dropped {}: the loss reported is too high by as many; the receive buffer has \
             {} octets, {advice}",
            counted(drops, "datagram", "datagrams"),
            local.receive_buffer
        ));
    }
    let missed = missed(config, summary);
    if let Some(missed) = missed.filter(|_| summary.behind_since.is_some()) {
        let cause = if local.eagain > 0 {
            format!("the send buffer was full {} times: the way out is slower than that", local.eagain)
        } else {
            "this machine is too slow or too busy: lower --rate, or run several testers".to_owned()
        };
        // Who runs one from a checkout forgets it.
        let build = if cfg!(debug_assertions) { "; this is a debug build, several times slower" } else { "" };
        warnings.push(format!("the rate was missed: {missed}; {cause}{build}"));
    } else if summary.late_sends.saturating_mul(100) > summary.total.sent {
        let advice = match config.pacing {
            Pacing::Sleep => ", or try --pacing hybrid",
            Pacing::Hybrid => ", or try --pacing busy",
            Pacing::Busy => "",
        };
        warnings.push(format!(
            "more than 1% of the datagrams left over 1 ms late: judge the server by `from send`, and see whether \
             this machine is busy{advice}"
        ));
    }
    if summary.skipped[NotSent::InFlight as usize] > 0 {
        warnings.push(
            "datagrams were held back because too many waited for answers: see --max-in-flight and --timeout"
                .to_owned(),
        );
    }
    if local.trains_refused > 0 && config.gso == Gso::On {
        warnings.push(format!(
            "the kernel or a device refused {}: datagrams to those targets left one by one, since they are longer than the \
             path's MTU or the device has no checksum offload",
            counted(local.trains_refused, "train", "trains")
        ));
    }
    if let Some(stamps) = local.stamps.filter(|stamps| stamps.implausible > 0) {
        warnings.push(format!(
            "the wall clock was set during the run: {} of the kernel were not believed, and count from when they were read",
            counted(stamps.implausible, "stamp", "stamps")
        ));
    }
    if summary.icmp.total() > 0 {
        warnings.push(format!(
            "the network refused datagrams of the load, by ICMP: {}; --per-port shows which targets",
            summary.icmp.words()
        ));
    }
    if let Some(names) = summary.strangers.names() {
        let count = summary.strangers.count();
        warnings.push(format!(
            "wrong_source {count}: from {names}; a server must answer from the address that was asked"
        ));
    }
    for doubt in summary.books.iter().flat_map(|books| &books.doubts) {
        warnings.push(format!("the books of the daemon are in doubt: {}", seen(doubt)));
    }
    if let Some(refusal) = &local.refusal {
        warnings.push(format!("the system refused datagrams: {refusal}"));
    }
    warnings
}

/// Why a load without one answer is no result.
#[must_use]
pub fn unanswered(summary: &Summary) -> String {
    let sent = summary.total.sent;
    if sent > 0 && summary.books.is_some() {
        return format!("nothing arrived of {sent} sent, by the books of the daemon");
    }
    if sent == 0 {
        let cause = summary.local.refusal.as_ref().map(|refusal| format!(": cannot {refusal}"));
        return format!("nothing was sent of the {} planned{}", summary.planned, cause.unwrap_or_default());
    }
    let received = match summary.classes.total() - summary.classes.get(Class::WarmUp) {
        0 => "received nothing".to_owned(),
        other => format!("received {other} that answer none of them"),
    };
    let icmp = match summary.icmp.words() {
        words if words.is_empty() => String::new(),
        words => format!("; ICMP: {words}"),
    };
    format!("no answer: sent {sent}, {received}{icmp}")
}

/// What was asked and what was sent, if that was less; nothing after an abort, which is the user's doing.
fn missed(config: &Config, summary: &Summary) -> Option<String> {
    if summary.not_sent() == 0 || summary.aborted || config.in_flight.is_some() {
        return None;
    }
    let asked = match &config.profile {
        Some(profile) => format!("{}/s in the mean", per_second(profile.total(), config.duration)),
        None => config.rate.to_string(),
    };
    let asked = format!("asked {asked}, achieved {}/s", summary.achieved(config.duration));
    Some(match summary.behind_since {
        Some(since) => format!("{asked}, behind since {} of the load", span(since)),
        None => asked,
    })
}

fn head(config: &Config, summary: &Summary, style: Style) -> String {
    let targets = match config.targets.as_slice() {
        [one] => one.to_string(),
        [first, .., last] if first.ip() == last.ip() => {
            format!("{} ports on {first}-{}", config.targets.len(), last.port())
        }
        many => format!("{} targets", many.len()),
    };
    let turns = match config.distribution {
        Distribution::RoundRobin => "",
        Distribution::Random => ", random turns",
    };
    let rate = match (config.in_flight, &config.profile) {
        (Some(most), _) => format!("{most} in flight (closed loop{turns})"),
        (None, Some(profile)) => format!("rate {profile} ({}{turns})", config.arrival),
        (None, None) => format!("rate {} ({}{turns})", config.rate, config.arrival),
    };
    let aborted = if summary.aborted { format!("  {}", style.yellow("interrupted")) } else { String::new() };
    let load = if summary.aborted { summary.took } else { config.duration };
    format!(
        " {}  {targets}  {rate}  {} + drain {}  seed {}{aborted}",
        style.bold("polyport-load"),
        span(load),
        span(summary.drained),
        config.seed,
    )
}

fn threshold(judged: &Judgement, style: Style) -> String {
    let mark = if judged.met { style.green("\u{2713} ok  ") } else { style.red("\u{2717} FAIL") };
    let [text, measured] = [&judged.text, &judged.measured].map(|words| seen(words));
    format!(" {mark}  {text:<20}  {measured}")
}

/// Words of a result, which may be anybody's, without what a terminal would obey.
fn seen(words: &str) -> String {
    Escaped(words.as_bytes()).to_string()
}

/// The names of the columns: of the usual points, or of those that the user chose with what goes with any.
fn columns(chosen: &[Chosen]) -> String {
    let mut line = format!(" {:<16}", "");
    if chosen.is_empty() {
        USUAL.iter().for_each(|name| line.push_str(&format!("{name:>9}")));
    } else {
        let names = chosen.iter().map(|point| seen(&point.percentile)).chain(ALWAYS.map(str::to_owned));
        names.for_each(|name| line.push_str(&format!("{name:>9}")));
    }
    line
}

const USUAL: [&str; 9] = ["p50", "p90", "p95", "p99", "p99.9", "p99.99", "max", "mean", "stddev"];
const ALWAYS: [&str; 3] = ["max", "mean", "stddev"];

fn latency(
    name: &str,
    read: Option<Percentiles>,
    chosen: &[Chosen],
    of: fn(&Chosen) -> Option<Nanos>,
) -> String {
    let Some(read) = read else { return format!(" {name:<16}{:>9}", "-") };
    let points: Vec<Nanos> = if chosen.is_empty() {
        read.columns().map(|(_, nanos)| nanos).to_vec()
    } else {
        chosen.iter().filter_map(of).chain([read.max, read.mean, read.stddev]).collect()
    };
    let mut line = format!(" {name:<16}");
    points.into_iter().for_each(|nanos| line.push_str(&format!("{:>9}", span(nanos))));
    if read.beyond > 0 {
        line.push_str(&format!("    beyond 60 s: {}", read.beyond));
    }
    line
}

/// The displacements that are shown one by one, the most frequent first.
const MOST_PLACES: usize = 6;

/// By how much first answers were displaced, if any was.
fn density(density: &BTreeMap<i64, u64>) -> Option<String> {
    let whole = density.values().sum();
    let mut places: Vec<(i64, u64)> =
        density.iter().filter(|(place, _)| **place != 0).map(|(place, count)| (*place, *count)).collect();
    if places.is_empty() {
        return None;
    }
    places.sort_by_key(|(place, count)| (std::cmp::Reverse(*count), *place));
    let more = if places.len() > MOST_PLACES { ", ..." } else { "" };
    let words: Vec<String> = places
        .iter()
        .take(MOST_PLACES)
        .map(|(place, count)| format!("{place:+} {}", percent(*count, whole)))
        .collect();
    Some(format!(" order   displaced by {}{more}", words.join(", ")))
}

/// The lengths of runs of losses that are shown one by one.
const MOST_RUNS: usize = 6;

/// How losses came: one by one or in a row.
fn loss_runs(runs: &BTreeMap<u64, u64>) -> Option<String> {
    let longest = runs.keys().next_back()?;
    let mut words: Vec<String> =
        runs.iter().take(MOST_RUNS).map(|(length, count)| format!("{count} of {length}")).collect();
    if runs.len() > MOST_RUNS {
        words.push("...".to_owned());
    }
    Some(format!(" losses  in a row: {} (longest {longest})", words.join(", ")))
}

fn books(config: &Config, summary: &Summary) -> Vec<String> {
    let (total, classes) = (&summary.total, &summary.classes);
    let mut planned =
        format!(" planned {} = sent {} + not sent {}", summary.planned, total.sent, summary.not_sent());
    planned += &parenthesis(NotSent::ALL.map(NotSent::name).into_iter().zip(summary.skipped));
    let mut sent =
        format!(" sent    {} = ok {} + late {} + error {}", total.sent, total.ok, total.late, total.error);
    sent += &parenthesis(classes.codes().map(|(code, count)| (format!("code {}", code.0), count)));
    sent.push_str(&format!(" + lost {}{}", total.lost(), direction(config, total)));
    if summary.aborted {
        sent.push_str(&format!(" + pending {}", total.pending));
    }
    let reordered = format!("reordered {} (3-reordered {})", total.reordered, total.three_reordered);
    let malformed = classes.malformed();
    let (up, down) = (total.dup_up, total.dup_down);
    let extra = match config.expect {
        // Only numbers of its own tell which way a copy was made on.
        Expect::Stamp if up == 0 => format!("dup {down}, {reordered}, malformed {malformed}"),
        Expect::Reply | Expect::Stamp => {
            format!("dup up {up}, dup down {down}, {reordered}, malformed {malformed}")
        }
        Expect::Echo => format!("dup {down}, {reordered}, malformed {malformed}"),
        // Which answer was a second one, or which overtook which, plain text does not say.
        Expect::Any | Expect::Nothing => format!("unasked {}", classes.get(Class::Unasked)),
    };
    let extra = format!(" extra   {extra}");
    let rare = classes.rows().filter(|(name, count)| {
        *count > 0 && !matches!(*name, "ok" | "late" | "error" | "dup_up" | "dup_down" | "unasked")
    });
    let rare: Vec<String> = rare.map(|(name, count)| format!("{name} {count}")).collect();
    let mut lines = vec![planned, sent];
    lines.extend(loss_runs(&summary.loss_runs));
    lines.extend(density(&summary.density).filter(|_| config.expect != Expect::Any));
    lines.push(extra);
    if !rare.is_empty() {
        lines.push(format!(" other   {}", rare.join(", ")));
    }
    let disbelieved = summary.icmp.disbelieved();
    let mut icmp = vec![summary.icmp.words()];
    icmp.extend((disbelieved > 0).then(|| format!("not believed {disbelieved}")));
    icmp.retain(|words| !words.is_empty());
    if !icmp.is_empty() {
        lines.push(format!(" icmp    {}", icmp.join(", ")));
    }
    lines
}

/// The direction of loss, where a responder could tell one.
fn direction(config: &Config, total: &Tally) -> String {
    if !matches!(config.expect, Expect::Reply | Expect::Stamp) || total.lost() == 0 {
        return String::new();
    }
    format!(" (up {}, down {}, unknown {})", total.lost_up, total.lost_down, total.lost_unknown)
}

fn parenthesis<N: std::fmt::Display>(parts: impl IntoIterator<Item = (N, u64)>) -> String {
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}

fn local(summary: &Summary) -> String {
    let drops = summary.local.socket_drops.map_or_else(|| "unknown".to_owned(), |drops| drops.to_string());
    let mut line = format!(" local   socket drops {drops}, send EAGAIN {}", summary.local.eagain);
    if summary.ports.len() > 1
        && let Some(worst) = summary.worst()
    {
        let share = percent(worst.tally.lost(), worst.tally.sent);
        line.push_str(&format!("    worst port {}: loss {share}, p99 {}", worst.address, p99(worst)));
    }
    line
}

/// How datagrams travelled and whose clock told their arrivals, where that is not the usual way.
fn how(summary: &Summary) -> Option<String> {
    let local = &summary.local;
    let mut words = Vec::new();
    if local.trains > 0 || local.trains_refused > 0 {
        words.push(format!(
            "trains {} with {}",
            local.trains,
            counted(local.in_trains, "datagram", "datagrams")
        ));
    }
    if local.trains_refused > 0 {
        words.push(format!("trains refused {}", local.trains_refused));
    }
    if let Some(stamps) = local.stamps {
        words.push(format!("stamps of the kernel {}", stamps.used));
        words.extend((stamps.missing > 0).then(|| format!("missing {}", stamps.missing)));
        words.extend((stamps.implausible > 0).then(|| format!("implausible {}", stamps.implausible)));
    }
    (!words.is_empty()).then(|| format!("         {}", words.join(", ")))
}

fn p99(port: &Port) -> String {
    port.from_plan.map_or_else(|| "-".to_owned(), |read| span(read.p99))
}

fn port_columns() -> String {
    format!(
        " {:<28}{:>10}{:>10}{:>8}{:>8}{:>8}{:>9}{:>9}{:>9}{:>8}",
        "target", "sent", "ok", "late", "error", "lost", "loss", "p50", "p99", "icmp"
    )
}

fn port_row(port: &Port) -> String {
    let tally = &port.tally;
    let p50 = port.from_plan.map_or_else(|| "-".to_owned(), |read| span(read.p50));
    format!(
        " {:<28}{:>10}{:>10}{:>8}{:>8}{:>8}{:>9}{:>9}{:>9}{:>8}",
        port.address.to_string(),
        tally.sent,
        tally.ok,
        tally.late,
        tally.error,
        tally.lost(),
        percent(tally.lost(), tally.sent),
        p50,
        p99(port),
        port.icmp
    )
}

fn flow_columns() -> String {
    format!(
        " {:<28}{:>6}{:>10}{:>10}{:>8}{:>8}{:>8}{:>9}{:>9}{:>10}",
        "flow", "thread", "sent", "ok", "late", "error", "lost", "loss", "dup", "reordered"
    )
}

fn flow_row(flow: &Flow) -> String {
    let tally = &flow.tally;
    let sockets: Vec<String> = flow.sockets.iter().map(SocketAddr::to_string).collect();
    format!(
        " {:<28}{:>6}{:>10}{:>10}{:>8}{:>8}{:>8}{:>9}{:>9}{:>10}",
        sockets.join(" "),
        flow.thread,
        tally.sent,
        tally.ok,
        tally.late,
        tally.error,
        tally.lost(),
        percent(tally.lost(), tally.sent),
        tally.dup_up + tally.dup_down,
        tally.reordered
    )
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
