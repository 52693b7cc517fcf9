//! What must hold between listeners: unique names, no address bound twice, not too many.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::listener::{Draft, MAX_NAME, default_name};
use super::plan::{Bind, Listen, MAX_LISTENERS};
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

/// Two ranges of one IP address must not have a port in common, unless they are of two listeners that both
/// share. A wildcard beside a specific address is allowed: the system hands a datagram to the more specific
/// socket. Port 0 is another one each time.
fn binds(drafts: &[Draft], problems: &mut Vec<Problem>) {
    let mut by_address: BTreeMap<_, Vec<Claim<'_>>> = BTreeMap::new();
    for (index, draft) in drafts.iter().enumerate() {
        for bind in draft.listen.bind.iter().filter(|bind| bind.first != 0) {
            let claim = Claim { bind, listener: index, share: draft.listen.socket.share };
            by_address.entry((bind.ip, bind.scope_id)).or_default().push(claim);
        }
    }
    for mut claims in by_address.into_values() {
        claims.sort_by_key(|claim| (claim.bind.first, claim.bind.last));
        let mut before = Widest::default();
        for claim in claims {
            match before.rival(&claim) {
                Some(other) if claim.bind.first <= other.last => problems.push(overlap(other, claim.bind)),
                _ => {}
            }
            before.add(&claim);
        }
    }
}

/// A bind address and whose it is.
struct Claim<'a> {
    bind: &'a Bind,
    listener: usize,
    share: bool,
}

/// The ranges that reach furthest so far: one that reaches past later ones stays the one to compare with.
#[derive(Default)]
struct Widest<'a> {
    any: Option<&'a Bind>,
    /// Of those that do not share.
    alone: Option<&'a Bind>,
    /// Of each listener that shares.
    own: HashMap<usize, &'a Bind>,
}

impl<'a> Widest<'a> {
    /// What `claim` must not meet.
    fn rival(&self, claim: &Claim<'_>) -> Option<&'a Bind> {
        if !claim.share {
            return self.any;
        }
        let own = self.own.get(&claim.listener).copied();
        self.alone.into_iter().chain(own).max_by_key(|bind| bind.last)
    }

    fn add(&mut self, claim: &Claim<'a>) {
        let further = |other: Option<&'a Bind>| match other {
            Some(other) if other.last >= claim.bind.last => other,
            _ => claim.bind,
        };
        self.any = Some(further(self.any));
        if claim.share {
            let own = further(self.own.get(&claim.listener).copied());
            self.own.insert(claim.listener, own);
        } else {
            self.alone = Some(further(self.alone));
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
    // The numbers go on where they ended, or naming thousands would take a square of the time.
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
