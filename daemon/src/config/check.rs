//! What must hold between listeners: unique names, no address bound twice, not too many.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::MAX_LISTENERS;
use super::listener::{Draft, MAX_NAME, default_name};
use super::plan::{Bind, Listen};
use super::problem::{Problem, Span, code, quoted};

/// Checks the drafts against each other and names those without a name.
pub(super) fn listeners(drafts: Vec<Draft>, problems: &mut Vec<Problem>) -> Vec<Listen> {
    names(&drafts, problems);
    binds(&drafts, problems);
    total(&drafts, problems);
    name(drafts)
}

fn names(drafts: &[Draft], problems: &mut Vec<Problem>) {
    let mut first: HashMap<&str, &Span> = HashMap::new();
    for (name, span) in drafts.iter().filter_map(|draft| draft.name.as_ref()) {
        if let Some(before) = first.get(name.as_str()) {
            let problem =
                Problem::new(code::DUPLICATE_NAME, format!("two listeners are named {}", quoted(name)))
                    .at(span, "again here")
                    .also(before, "first here")
                    .help("names are unique; without `name` a listener is named after its plugin");
            problems.push(problem);
        } else {
            first.insert(name, span);
        }
    }
}

/// Two ranges of one IP address must not share a port. A wildcard beside a specific address is
/// allowed: the system hands a datagram to the more specific socket. Port 0 is another one each time.
fn binds(drafts: &[Draft], problems: &mut Vec<Problem>) {
    let mut by_address: BTreeMap<_, Vec<&Bind>> = BTreeMap::new();
    for bind in drafts.iter().flat_map(|draft| &draft.listen.bind).filter(|bind| bind.first != 0) {
        by_address.entry((bind.ip, bind.scope_id)).or_default().push(bind);
    }
    for mut binds in by_address.into_values() {
        binds.sort_by_key(|bind| (bind.first, bind.last));
        // a range that reaches past later ones stays the one to compare with
        let mut widest: Option<&Bind> = None;
        for bind in binds {
            match widest {
                Some(other) if bind.first <= other.last => problems.push(overlap(other, bind)),
                _ => {}
            }
            if widest.is_none_or(|other| bind.last > other.last) {
                widest = Some(bind);
            }
        }
    }
}

fn overlap(one: &Bind, other: &Bind) -> Problem {
    let (first, again) = if one.span.order() <= other.span.order() { (one, other) } else { (other, one) };
    let (low, high) = (one.first.max(other.first), one.last.min(other.last));
    let title = if low == high {
        format!("port {low} of {} is used twice", one.ip)
    } else {
        format!("ports {low} to {high} of {} are used twice", one.ip)
    };
    Problem::new(code::DUPLICATE_BIND, title)
        .at(&again.span, "again here")
        .also(&first.span, "first used here")
        .help("an address and port belongs to one listener: take another port or another address")
}

fn total(drafts: &[Draft], problems: &mut Vec<Problem>) {
    let mut total = 0;
    for bind in drafts.iter().flat_map(|draft| &draft.listen.bind) {
        total += bind.count();
        if total > MAX_LISTENERS {
            let problem =
                Problem::new(code::TOO_MANY_LISTENERS, format!("more than {MAX_LISTENERS} listeners"))
                    .at(&bind.span, format!("with these there are {total} or more"))
                    .help(
                        "every address and port is a listener with a socket of its own; run several daemons",
                    );
            problems.push(problem);
            return;
        }
    }
}

/// `echo`, then `echo-2`, `echo-3`, leaving out what was given to others.
fn name(drafts: Vec<Draft>) -> Vec<Listen> {
    let mut used: HashSet<String> =
        drafts.iter().filter_map(|draft| draft.name.as_ref()).map(|(name, _)| name.clone()).collect();
    let mut next: HashMap<String, usize> = HashMap::new();
    drafts
        .into_iter()
        .map(|Draft { name, mut listen }| {
            listen.name = match name {
                Some((name, _)) => name,
                None => unused(&default_name(&listen.plugin), &mut used, &mut next),
            };
            listen
        })
        .collect()
}

fn unused(base: &str, used: &mut HashSet<String>, next: &mut HashMap<String, usize>) -> String {
    // the numbers go on where they ended, or naming thousands would take a square of the time
    let number = next.entry(base.to_owned()).or_insert(1);
    loop {
        let suffix = if *number == 1 { String::new() } else { format!("-{number}") };
        let name: String = base.chars().take(MAX_NAME - suffix.len()).chain(suffix.chars()).collect();
        *number += 1;
        if used.insert(name.clone()) {
            return name;
        }
    }
}
