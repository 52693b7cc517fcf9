//! `allow` and `deny`: the networks that may talk to a listener, and those that may not.

use std::sync::Arc;

use super::plan::Listen;
use super::problem::{Problem, Span, code};
use super::read::Reader;
use super::tree::{Entry, Value};
use crate::access::{Access, Prefix};
use crate::limits::ACCESS_PREFIXES;

/// A network, and where it was written.
type Place<'a> = (Prefix, &'a Span);

/// Reads both keys of a table. None if nothing is said about sources.
pub(super) fn read(entries: &[Entry], reader: &mut Reader<'_>) -> Option<Arc<Access>> {
    let find = |key: &str| entries.iter().find(|entry| entry.key == key);
    let (allow, deny) = (find("allow"), find("deny"));
    let last = allow.into_iter().chain(deny).max_by_key(|entry| entry.value_span.range.start)?;
    let mut lists = (Vec::new(), Vec::new());
    for (entry, list) in [(allow, &mut lists.0), (deny, &mut lists.1)] {
        entry.into_iter().for_each(|entry| prefixes(entry, list, reader));
    }
    if are_too_many(lists.0.len() + lists.1.len(), last, reader) {
        return None;
    }
    contradictions(&lists.0, &lists.1, reader);
    let bare = |list: Vec<Place<'_>>| list.into_iter().map(|(prefix, _)| prefix).collect();
    Some(Arc::new(Access::new(bare(lists.0), bare(lists.1))))
}

/// Whether there are more prefixes in both lists than a listener may have; then that is noted at the entry.
fn are_too_many(count: usize, entry: &Entry, reader: &mut Reader<'_>) -> bool {
    if count > ACCESS_PREFIXES {
        let label =
            format!("{count} prefixes in `allow` and `deny`, and a listener may have {ACCESS_PREFIXES}");
        let problem = Problem::new(code::BAD_VALUE, format!("invalid value for `{}`", entry.key))
            .at(&entry.value_span, label)
            .help("a firewall drops what is in a longer list before the daemon pays for it, nft(8) with a set for example");
        reader.problems.push(problem);
    }
    count > ACCESS_PREFIXES
}

/// Changes what is said anew of a listener that is served; the other list stays as it is.
pub(super) fn change(listen: &mut Listen, entries: &[Entry], reader: &mut Reader<'_>) {
    let find = |key: &str| entries.iter().find(|entry| entry.key == key);
    let (allow, deny) = (find("allow"), find("deny"));
    let (Some(entry), Some(new)) = (allow.or(deny), read(entries, reader)) else { return };
    let old = |list: fn(&Access) -> &[Prefix]| listen.access.as_deref().map_or(&[][..], list);
    let allowed = if allow.is_some() { new.allow() } else { old(Access::allow) };
    let denied = if deny.is_some() { new.deny() } else { old(Access::deny) };
    if are_too_many(allowed.len() + denied.len(), entry, reader) {
        return;
    }
    // Where both are said, the two places have been told.
    let both = |prefix: &&Prefix| allow.is_none() != deny.is_none() && denied.contains(prefix);
    if let Some(prefix) = allowed.iter().find(both) {
        reader.bad_value(&entry.key, &entry.value_span, format!("{prefix} is in the other list already"));
    }
    listen.access = Some(Arc::new(Access::new(allowed.to_vec(), denied.to_vec())));
}

/// Networks that nobody comes from to addresses of the other family, in words.
#[must_use]
pub fn idle(listen: &Listen) -> Vec<String> {
    let Some(access) = &listen.access else { return Vec::new() };
    let nowhere = |prefix: &&Prefix| {
        !listen.bind.is_empty() && listen.bind.iter().all(|bind| bind.ip.is_ipv4() != prefix.is_ipv4())
    };
    let (allow, deny) = (access.allow(), access.deny());
    let mut idle = Vec::new();
    for (key, list) in [("allow", allow), ("deny", deny)] {
        let mut others = list.iter().filter(nowhere);
        if let Some(first) = others.next() {
            let more = match others.count() {
                0 => String::new(),
                count => format!(" and {count} more"),
            };
            let family = if first.is_ipv4() { "IPv6" } else { "IPv4" };
            idle.push(format!(
                "`{key}`: {first}{more}: without effect, since the listener has {family} addresses alone"
            ));
        }
    }
    idle
}

/// One network, or a list of them. A text may hold several with commas between them, since an argument of `--listen` has no
/// lists.
fn prefixes<'a>(entry: &'a Entry, all: &mut Vec<Place<'a>>, reader: &mut Reader<'_>) {
    const EXPECTED: &str = "a string or an array of strings";
    let span = &entry.value_span;
    match &entry.value {
        Value::Text(text) => {
            let pieces = text.split(',').map(|piece| (piece.trim(), span));
            pieces.for_each(|piece| one(entry, piece, all, reader));
        }
        Value::List(list) if list.is_empty() => {
            reader.bad_value(&entry.key, span, "expected at least one prefix");
        }
        Value::List(list) => {
            for (value, span) in list {
                if let Value::Text(text) = value {
                    one(entry, (text, span), all, reader);
                } else {
                    reader.wrong_type(&entry.key, EXPECTED, value, span);
                }
            }
        }
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Time(_) | Value::Table(_) => {
            reader.wrong_type(&entry.key, EXPECTED, &entry.value, span);
        }
    }
}

fn one<'a>(entry: &Entry, (text, span): (&str, &'a Span), all: &mut Vec<Place<'a>>, reader: &mut Reader<'_>) {
    match text.parse() {
        Ok(prefix) => all.push((prefix, span)),
        Err(label) => reader.bad_value(&entry.key, span, label),
    }
}

/// Notes networks that are in both lists: whichever was meant, one of them is a mistake.
fn contradictions(allow: &[Place<'_>], deny: &[Place<'_>], reader: &mut Reader<'_>) {
    let mut denied = deny.to_vec();
    denied.sort_by_key(|(prefix, _)| *prefix);
    for (prefix, span) in allow {
        if let Ok(at) = denied.binary_search_by_key(prefix, |(prefix, _)| *prefix)
            && let Some((_, other)) = denied.get(at)
        {
            let problem = Problem::new(code::BAD_VALUE, format!("{prefix} is allowed and denied"))
                .at(span, "allowed here")
                .also(other, "denied here")
                .help("the longest prefix decides, and these are equally long");
            reader.problems.push(problem);
        }
    }
}
