//! What a person reads: the table at the start, the equation at the end.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use polyport_terminal::Escaped;

use super::prepare::{Entry, Prepared};
use super::running::Running;
use super::steps::Place;
use crate::config::{Bind, Listen, Plan, RawValue};
use crate::metrics::Counters;
use crate::plugin::OptionSpec;

/// One line of the table: a bind address or range of an entry.
#[derive(Debug)]
struct Row {
    entry: u32,
    address: String,
    first: SocketAddr,
}

/// The addresses as they were bound, a range in one row.
fn rows(running: &Running) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut last = None;
    for report in running.reactor.reports() {
        let place = Place::of_tag(report.tag);
        if last.replace(place) == Some(place) {
            continue;
        }
        let bind = place.of(&running.prepared.plan).map(|(_, bind)| bind);
        let address = bind.map_or_else(|| report.local.to_string(), |bind| shown(bind, report.local));
        rows.push(Row { entry: place.entry, address, first: report.local });
    }
    rows
}

/// The table of listeners: what each does, and one line to try it.
pub(super) fn table(running: &Running) -> String {
    let Prepared { plan, entries, .. } = &running.prepared;
    let rows = rows(running);
    let mut lines = vec![["LISTENER", "ADDRESS", "HANDLER", "TRY"].map(str::to_owned)];
    let mut last = None;
    for row in &rows {
        let Some(listen) = plan.listen.get(row.entry as usize) else { continue };
        let first = last.replace(row.entry) != Some(row.entry);
        let name = if first { listen.name.clone() } else { String::new() };
        let secrets = entries.get(row.entry as usize).map(|entry| entry.plugin.options()).unwrap_or_default();
        let handler = if first { handler(listen, secrets) } else { String::new() };
        lines.push([name, row.address.clone(), handler, example_command(listen, row.first)]);
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let (a, b, c) = (width(0), width(1), width(2));
    let mut out = format!("polyport {}: {}\n\n", env!("CARGO_PKG_VERSION"), scope(plan));
    for [name, address, handler, example] in &lines {
        out.push_str(format!("  {name:a$}  {address:b$}  {handler:c$}  {example}").trim_end());
        out.push('\n');
    }
    out.push('\n');
    for (name, about) in descriptions(entries) {
        out.push_str(&format!("  {name}: {about}\n"));
    }
    if let Some(sandbox) = &running.sandbox {
        out.push_str(&format!("\nsandbox: {sandbox}\n"));
    }
    out.push_str("\nserving; Ctrl-C stops");
    out
}

/// How many listeners and addresses a plan has, in words.
pub(crate) fn scope(plan: &Plan) -> String {
    let (listeners, addresses) = (plan.listen.len(), plan.sockets());
    let listeners_noun = if listeners == 1 { "listener" } else { "listeners" };
    let addresses_noun = if addresses == 1 { "address" } else { "addresses" };
    format!("{listeners} {listeners_noun} on {addresses} {addresses_noun}")
}

/// What the bind addresses that were not written as such stand for; empty if all were.
pub(crate) fn meanings(plan: &Plan) -> String {
    let mut lines = vec![["LISTENER", "BIND", "ADDRESS"].map(str::to_owned)];
    for listen in &plan.listen {
        let (mut name, mut last) = (listen.name.as_str(), None);
        for bind in &listen.bind {
            let Some(first) = bind.addresses().next() else { continue };
            let address = shown(bind, first);
            if address == bind.text {
                continue;
            }
            // The addresses of one text lie side by side.
            let again = last.replace(&bind.span) == Some(&bind.span);
            let text = if again { "" } else { &bind.text };
            lines.push([std::mem::take(&mut name).to_owned(), Escaped(text.as_bytes()).to_string(), address]);
        }
    }
    if lines.len() == 1 {
        return String::new();
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let (a, b) = (width(0), width(1));
    let rows = lines.iter().map(|[name, text, address]| format!("  {name:a$}  {text:b$}  {address}"));
    format!("\n\n{}", rows.collect::<Vec<_>>().join("\n"))
}

/// What was served, by listeners that are gone as well, and that nothing is missing.
#[must_use]
pub fn final_report(running: &Running) -> String {
    let mut books = running.gone.clone();
    for report in running.reactor.reports() {
        books.add(report.name, report.counters, report.waiting, report.cells);
    }
    let width = books.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut out = String::from("\nserved:\n");
    for (name, sum) in books.iter() {
        writeln!(out, "  {name:width$}  {}", sum.counters.conservation(sum.waiting)).unwrap_or(());
        if sum.counters.faults > 0 {
            let Counters { faults, restarts, .. } = sum.counters;
            writeln!(out, "  {:width$}  handler faults {faults}, restarts {restarts}", "").unwrap_or(());
        }
        if sum.counters.handler_errors > 0 {
            writeln!(out, "  {:width$}  handler errors {}", "", sum.counters.handler_errors).unwrap_or(());
        }
        if sum.counters.kernel_drops > 0 {
            writeln!(out, "  {:width$}  kernel drops {}", "", sum.counters.kernel_drops).unwrap_or(());
        }
        if sum.counters.slow_calls > 0 {
            writeln!(out, "  {:width$}  slow calls {}", "", sum.counters.slow_calls).unwrap_or(());
        }
        if sum.counters.prefixes_evicted > 0 {
            writeln!(out, "  {:width$}  prefixes evicted {}", "", sum.counters.prefixes_evicted)
                .unwrap_or(());
        }
        let cells: Vec<_> =
            sum.cells.iter().filter(|(_, v)| **v > 0).map(|(k, v)| format!("{k} {v}")).collect();
        if !cells.is_empty() {
            writeln!(out, "  {:width$}  {}", "", cells.join(", ")).unwrap_or(());
        }
    }
    out
}

fn shown(bind: &Bind, first: SocketAddr) -> String {
    if bind.count() == 1 { first.to_string() } else { format!("{first}-{}", bind.last) }
}

/// The plugin and its options as they were given; what the plugin declares secret stays so.
fn handler(listen: &Listen, declared: &[OptionSpec]) -> String {
    let mut text = listen.plugin.text.clone();
    for option in &listen.options {
        let secret = declared.iter().any(|spec| spec.secret && spec.name == option.name);
        let value = match &option.value {
            _ if secret => "(secret)".to_owned(),
            RawValue::Bool(v) => v.to_string(),
            RawValue::Int(v) => v.to_string(),
            RawValue::Float(v) => v.to_string(),
            RawValue::Text(v) => v.clone(),
            RawValue::Other(v) => v.to_string(),
        };
        write!(text, " {}={value}", option.name).unwrap_or(());
    }
    text
}

/// A command that anybody can paste.
fn example_command(listen: &Listen, local: SocketAddr) -> String {
    let mut near = local;
    match local.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => near.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => near.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    match &listen.example {
        Some(command) => command.replace("{address}", &near.to_string()),
        None => format!("echo hi | nc -u -w1 {} {}", host(near), near.port()),
    }
}

/// The address without its port, with the interface that a link-local one needs.
fn host(address: SocketAddr) -> String {
    match address {
        SocketAddr::V6(six) if six.scope_id() != 0 => format!("{}%{}", six.ip(), six.scope_id()),
        SocketAddr::V4(_) | SocketAddr::V6(_) => address.ip().to_string(),
    }
}

/// What each plugin says of itself, by its name.
fn descriptions(entries: &[Entry]) -> BTreeMap<&str, &str> {
    entries.iter().map(|e| (&**e.plugin.name(), e.plugin.identity().about.as_str())).collect()
}
