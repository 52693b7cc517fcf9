//! What a person reads: the table at the start, the equation at the end.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;

use polyport_terminal::{columns, counted};

use super::books::Sum;
use super::prepare::{Entry, Prepared};
use super::running::Running;
use super::steps::{Place, shown};
use super::suggestion::Suggestions;
use crate::config::{Listen, Plan, RawValue};
use crate::metrics::Counters;
use crate::plugin::{OptionSpec, Plugin};

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
    let mut lines = vec![["LISTENER", "ADDRESS", "HANDLER", "TRY"].map(str::to_owned)];
    let mut suggestions = Suggestions::of_this_process();
    let mut last = None;
    for row in &rows(running) {
        let Some(listen) = plan.listen.get(row.entry as usize) else { continue };
        let first = last.replace(row.entry) != Some(row.entry);
        let name = if first { listen.name.clone() } else { String::new() };
        let secrets = entries.get(row.entry as usize).map(|entry| entry.plugin.options()).unwrap_or_default();
        let handler = if first { handler(listen, secrets) } else { String::new() };
        lines.push([name, row.address.clone(), handler, suggestions.command(listen, row.first)]);
    }
    let mut out = format!("polyport {}: {}\n", env!("CARGO_PKG_VERSION"), scope(plan));
    out.push_str(&format!("configuration: {}\n\n", configuration(plan)));
    out.push_str(&laid_out(&lines, columns()));
    out.push('\n');
    for (name, plugin) in plugins(entries) {
        let built_in = if plugin.path().is_none() { " (built in)" } else { "" };
        out.push_str(&format!("  {name}{built_in}: {}\n", plugin.identity().about));
    }
    if let Some(sandbox) = &running.sandbox {
        out.push_str(&format!("\nsandbox: {sandbox}\n"));
    }
    out.push_str("\nserving; Ctrl-C stops");
    out
}

/// The lines of a table, the last column as a table of its own where not all of them find room in a line of the terminal.
fn laid_out(lines: &[[String; 4]], columns: usize) -> String {
    let whole = aligned(lines.iter().map(|line| line.each_ref().map(String::as_str)));
    if whole.lines().all(|line| line.chars().count() <= columns) {
        return whole;
    }
    let table =
        aligned(lines.iter().map(|[name, address, handler, _]| [name, address, handler].map(String::as_str)));
    let mut lines = lines.iter();
    let title = lines.next().map(|[.., title]| [title.clone(), String::new()]);
    let names = lines.clone().map(|[name, ..]| name.chars().count());
    // Two columns before each text, as `aligned` has it.
    let room = columns.saturating_sub(2 + names.max().unwrap_or(0) + 2);
    let suggested: Vec<_> = title.into_iter().chain(lines.flat_map(|line| suggested(line, room))).collect();
    format!("{table}\n{}", aligned(suggested.iter().map(|line| line.each_ref().map(String::as_str))))
}

/// The command of a line of the table, on two lines if it has more than `room` columns: a shell takes it as one all the same.
fn suggested([name, .., command]: &[String; 4], room: usize) -> Vec<[String; 2]> {
    match command.split_once(" -- ") {
        Some((call, arguments)) if command.chars().count() > room => {
            vec![[name.clone(), format!("{call} -- \\")], [String::new(), format!("  {arguments}")]]
        }
        _ => vec![[name.clone(), command.clone()]],
    }
}

/// Each column as wide as its widest text.
fn aligned<'a, const N: usize>(lines: impl Iterator<Item = [&'a str; N]> + Clone) -> String {
    let mut widths = [0; N];
    for line in lines.clone() {
        for (width, text) in widths.iter_mut().zip(line) {
            *width = text.chars().count().max(*width);
        }
    }
    let mut out = String::new();
    for line in lines {
        let mut shown = String::new();
        for (text, width) in line.into_iter().zip(widths) {
            write!(shown, "  {text:width$}").unwrap_or(());
        }
        out.push_str(shown.trim_end());
        out.push('\n');
    }
    out
}

/// Where a plan was read from, in words.
pub(super) fn configuration(plan: &Plan) -> String {
    match plan.files().count().saturating_sub(1) {
        0 => plan.origin.to_string(),
        more => format!("{} and {} that it includes", plan.origin, counted(more, "file", "files")),
    }
}

/// How many listeners and addresses a plan has, in words.
pub(super) fn scope(plan: &Plan) -> String {
    let listeners = counted(plan.listen.len(), "listener", "listeners");
    format!("{listeners} on {}", counted(plan.sockets(), "address", "addresses"))
}

/// What stands behind the name of a listener in the line of its sessions, which have a book of their own.
const SESSIONS: &str = " sessions";

/// What was served, by listeners that are gone as well, and that nothing is missing.
#[must_use]
pub fn final_report(running: &Running) -> String {
    let mut books = running.gone.clone();
    running.reactor.reports().for_each(|report| books.add_report(&report));
    let longest = |(name, sum): (&str, &Sum)| {
        name.chars().count() + if sum.sessions.0.is_blank() { 0 } else { SESSIONS.len() }
    };
    let width = books.iter().map(longest).max().unwrap_or(0);
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
        if sum.counters.unknown_codes > 0 {
            writeln!(out, "  {:width$}  unknown codes {}", "", sum.counters.unknown_codes).unwrap_or(());
        }
        if sum.counters.groups_refused > 0 {
            writeln!(out, "  {:width$}  groups refused {}", "", sum.counters.groups_refused).unwrap_or(());
        }
        if sum.counters.tickets_taken + sum.counters.tickets_refused > 0 {
            let Counters { tickets_taken, tickets_used, tickets_refused, .. } = sum.counters;
            writeln!(
                out,
                "  {:width$}  tickets {tickets_taken}, answered {tickets_used}, refused {tickets_refused}",
                ""
            )
            .unwrap_or(());
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
        let (book, waiting) = &sum.sessions;
        if !book.is_blank() {
            let equation = book.counters.conservation(*waiting);
            writeln!(out, "  {:width$}  {equation}; {book}", format!("{name}{SESSIONS}")).unwrap_or(());
        }
    }
    out
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
            // There is none any more: `prepare` has brought them to the names of options.
            RawValue::Table(_) => "{ ... }".to_owned(),
        };
        write!(text, " {}={value}", option.name).unwrap_or(());
    }
    text
}

/// Each plugin once, by its name.
pub(super) fn plugins(entries: &[Entry]) -> BTreeMap<&str, &Plugin> {
    entries.iter().map(|entry| (&**entry.plugin.name(), &*entry.plugin)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_in_a_line_stands_in_a_table_of_its_own() {
        let lines = [
            ["LISTENER", "ADDRESS", "HANDLER", "TRY"].map(str::to_owned),
            ["echo", "127.0.0.1:7", "echo", "ask"].map(str::to_owned),
            ["", "[::1]:7", "", "ask six"].map(str::to_owned),
        ];
        let whole = "  LISTENER  ADDRESS      HANDLER  TRY\n  echo      127.0.0.1:7  echo     ask\n            \
                     [::1]:7               ask six\n";
        let widest = whole.lines().map(|line| line.chars().count()).max().unwrap();
        assert_eq!(laid_out(&lines, widest), whole);
        let parted = "  LISTENER  ADDRESS      HANDLER\n  echo      127.0.0.1:7  echo\n            [::1]:7\n\n  \
                      TRY\n  echo  ask\n        ask six\n";
        assert_eq!(laid_out(&lines, widest - 1), parted);
        let long = ["LISTENER", "ADDRESS", "HANDLER", "TRY"].map(str::to_owned);
        let lines = [long, ["echo", "127.0.0.1:7", "echo", "cargo run -- --answers 1s"].map(str::to_owned)];
        let broken = "  TRY\n  echo  cargo run -- \\\n          --answers 1s\n";
        assert!(laid_out(&lines, 30).ends_with(broken), "{}", laid_out(&lines, 30));
    }
}
