//! A plan for people.

use std::fmt::Write;

use polyport_terminal::{Escaped, counted};

use super::clashes::{Clash, Kind};
use super::difference::{Change, Changed, Difference, Served};
use super::needs::{Descriptors, Memory, Needs};
use super::report::Planned;

/// Addresses and ranges that a line shows; the others are counted.
const SHOWN: usize = 4;

/// All of it.
pub(crate) fn told(planned: &Planned) -> String {
    let mut out = format!(
        "configuration: {}, {} on {}\n\n",
        planned.configuration,
        counted(planned.listeners.len(), "listener", "listeners"),
        counted(planned.addresses, "address", "addresses")
    );
    let mut rows = vec![["LISTENER", "PLUGIN", "ADDRESSES", ""].map(str::to_owned)];
    rows.extend(
        planned
            .listeners
            .iter()
            .map(|of| [escaped(&of.listener), escaped(&of.plugin), of.addresses.to_string(), some(&of.bind)]),
    );
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (a, b, c) = (width(0), width(1), width(2));
    for [name, plugin, count, bind] in &rows {
        line(&mut out, format_args!("{name:a$}  {plugin:b$}  {count:>c$}  {bind}"));
    }
    needs(&mut out, &planned.needs);
    clashes(&mut out, &planned.clashes);
    match &planned.daemon {
        Some(difference) => changes(&mut out, difference),
        None => out.push_str("\nno daemon was asked\n"),
    }
    out
}

/// One line without blanks at its end.
fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    let text = text.to_string();
    writeln!(out, "{}", text.trim_end()).unwrap_or(());
}

fn needs(out: &mut String, needs: &Needs) {
    let Descriptors { sockets, others, sessions, limit, raises_limit } = needs.descriptors;
    let Memory { addresses, handlers, waiting, sessions: of_sessions, receive_buffers, udp_mem } =
        needs.memory;
    let limit = match limit {
        None => "without a limit".to_owned(),
        Some(limit) if raises_limit => format!("the limit is raised to {limit}"),
        Some(limit) => format!("of at most {limit}"),
    };
    let and_sessions =
        if sessions > 0 { format!(", and up to {sessions} for sessions") } else { String::new() };
    out.push_str("\nneeds:\n");
    let total = sockets + others;
    line(
        out,
        format_args!(
            "  file descriptors  {total} {limit}: {sockets} for addresses, {others} for everything else{and_sessions}"
        ),
    );
    if !needs.descriptors.suffice() {
        out.push_str("    NOT ENOUGH: raise it (`ulimit -n`, LimitNOFILE= of a systemd unit)\n");
    }
    let of_sessions =
        if of_sessions > 0 { format!(", {} for sessions", bytes(of_sessions)) } else { String::new() };
    line(
        out,
        format_args!(
            "  memory            {} for addresses, and at most {} that handlers keep, {} of datagrams that wait{of_sessions}",
            bytes(addresses),
            bytes(handlers),
            bytes(waiting)
        ),
    );
    let of = udp_mem
        .map(|most| format!("; all UDP sockets of this machine have {}", bytes(most)))
        .unwrap_or_default();
    line(out, format_args!("  kernel            at most {} in receive buffers{of}", bytes(receive_buffers)));
    for right in &needs.rights {
        let granted = match (right.granted, right.required) {
            (true, _) => "this user has it",
            (false, true) => "THIS USER HAS IT NOT",
            (false, false) => "this user has it not",
        };
        line(out, format_args!("  right             {}: {}: {granted}", right.right, escaped(&right.reason)));
    }
}

fn clashes(out: &mut String, clashes: &[Clash]) {
    if clashes.is_empty() {
        out.push_str("\nclashes: none\n");
        return;
    }
    out.push_str("\nclashes:\n");
    for clash in clashes {
        let bind = some(&clash.bind);
        let name = escaped(&clash.listener);
        let by = match &clash.holder {
            Some(holder) => format!("by process {} ({})", holder.pid, escaped(&holder.name)),
            None => "by a process that this user may not look at".to_owned(),
        };
        match clash.kind {
            Kind::Held => line(out, format_args!("  {name}: {bind}: HELD {by}")),
            Kind::MaybeHeld => line(
                out,
                format_args!("  {name}: {bind}: may be held {by}; `polyport check --bind` tries it"),
            ),
            Kind::LocalPortRange => {
                let (low, high) = clash.range.unwrap_or_default();
                line(
                    out,
                    format_args!(
                        "  {name}: {bind}: any program may get {} of {low} to {high} before polyport starts; \
                         net.ipv4.ip_local_reserved_ports keeps them free",
                        if clash.addresses == 1 { "this one" } else { "one of these" }
                    ),
                );
            }
        }
    }
}

fn changes(out: &mut String, difference: &Difference) {
    let Difference { pid, source, settings, after_restart, added, removed, changed, unchanged } = difference;
    writeln!(out, "\nagainst process {pid} ({}):", escaped(source)).unwrap_or(());
    let what = |of: &Served| {
        let addresses =
            if of.addresses > 1 { format!(" ({} addresses)", of.addresses) } else { String::new() };
        format!("{}: {}{addresses}", escaped(&of.listener), some(&of.bind))
    };
    for change in settings {
        line(out, format_args!("  ~ {}", changed_key(change)));
    }
    for of in added {
        line(out, format_args!("  + {} by {}", what(of), escaped(&of.plugin)));
    }
    for of in removed {
        line(out, format_args!("  - {} by {}", what(of), escaped(&of.plugin)));
    }
    for Changed { served, keys } in changed {
        let keys: Vec<String> = keys.iter().map(changed_key).collect();
        let keys = if keys.is_empty() {
            "one handler for all addresses is made anew".to_owned()
        } else {
            keys.join(", ")
        };
        line(out, format_args!("  ~ {}: {keys}", what(served)));
    }
    writeln!(out, "  = {} served as before", counted(*unchanged, "address", "addresses")).unwrap_or(());
    if !after_restart.is_empty() {
        let keys: Vec<String> = after_restart.iter().map(|key| format!("`{key}`")).collect();
        writeln!(out, "  a reload refuses this: {} can only be had by a restart", keys.join(", "))
            .unwrap_or(());
    }
}

fn changed_key(change: &Change) -> String {
    let value = |value: &Option<String>| match value {
        Some(value) => escaped(value),
        None => "(default)".to_owned(),
    };
    let (from, to) = (value(&change.from), value(&change.to));
    let set = if change.was_set { " (was set)" } else { "" };
    if from == to {
        format!("{} is another{set}", escaped(&change.key))
    } else {
        format!("{} {from} -> {to}{set}", escaped(&change.key))
    }
}

fn escaped(text: &str) -> String {
    Escaped(text.as_bytes()).to_string()
}

/// The first of several.
fn some(bind: &[String]) -> String {
    let shown: Vec<&str> = bind.iter().take(SHOWN).map(String::as_str).collect();
    let more = bind.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    shown.join(" ") + &more
}

/// Bytes in the largest unit that leaves something before the point.
fn bytes(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => {
            let tenths = u128::from(bytes) * 10 / u128::from(unit);
            if tenths.is_multiple_of(10) {
                format!("{} {name}", tenths / 10)
            } else {
                format!("{}.{} {name}", tenths / 10, tenths % 10)
            }
        }
        None => counted(usize::try_from(bytes).unwrap_or(usize::MAX), "byte", "bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_in_units() {
        for (number, text) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (700, "700 bytes"),
            (1024, "1 KiB"),
            (71_680, "70 KiB"),
            (1_600_000_000, "1.4 GiB"),
        ] {
            assert_eq!(bytes(number), text);
        }
    }

    #[test]
    fn a_secret_is_another_and_a_default_is_said() {
        let change = |from: Option<&str>, to: Option<&str>| Change {
            key: "k".to_owned(),
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
            was_set: false,
        };
        assert_eq!(changed_key(&change(Some("(secret)"), Some("(secret)"))), "k is another");
        assert_eq!(changed_key(&change(None, Some("1%\n"))), "k (default) -> 1%\\n");
    }
}
