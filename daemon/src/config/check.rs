//! What must hold between listeners: unique names, no address bound twice, not too many.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::listener::{Draft, MAX_NAME, default_name};
use super::plan::{Bind, Listen, MAX_LISTENERS, SocketSettings};
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
/// share, or that are tied to two interfaces; nor a wildcard and any address of its family, which the system refuses as well (`bind(2)`). Where both share, it hands a
/// datagram to the more specific socket. Port 0 is another one each time.
fn binds(drafts: &[Draft], problems: &mut Vec<Problem>) {
    let mut by_address: BTreeMap<_, Vec<Claim<'_>>> = BTreeMap::new();
    for (index, draft) in drafts.iter().enumerate() {
        for bind in draft.listen.bind.iter().filter(|bind| bind.first != 0) {
            let SocketSettings { share, device, .. } = &draft.listen.socket;
            let claim = Claim { bind, listener: index, share: *share, device: device.as_deref() };
            let zone = bind.zone.as_deref().filter(|_| bind.scope_id == 0);
            by_address.entry((bind.ip, bind.scope_id, zone)).or_default().push(claim);
        }
    }
    for wildcard in [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)] {
        let Some(claims) = by_address.get(&(wildcard, 0, None)) else { continue };
        let mut everywhere = Everywhere { claims, reaches: HashMap::new() };
        let is_other = |ip: &IpAddr| ip.is_ipv4() == wildcard.is_ipv4() && *ip != wildcard;
        let others = by_address.iter().filter(|((ip, ..), _)| is_other(ip));
        for claim in others.flat_map(|(_, claims)| claims) {
            problems.extend(everywhere.rival(claim).map(|wildcard| overlap(wildcard, claim.bind)));
        }
    }
    for mut claims in by_address.into_values() {
        claims.sort_by_key(|claim| (claim.bind.first, claim.bind.last));
        let mut before = Taken::default();
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
    device: Option<&'a str>,
}

/// What was claimed so far, by the interface that it is tied to: who is tied to none meets everybody.
#[derive(Default)]
struct Taken<'a> {
    all: Widest<'a>,
    by_device: HashMap<Option<&'a str>, Widest<'a>>,
}

impl<'a> Taken<'a> {
    /// What `claim` must not meet.
    fn rival(&self, claim: &Claim<'_>) -> Option<&'a Bind> {
        let of = |device: Option<&str>| self.by_device.get(&device)?.rival(claim);
        match claim.device {
            None => self.all.rival(claim),
            device => of(None).into_iter().chain(of(device)).max_by_key(|bind| bind.last),
        }
    }

    fn add(&mut self, claim: &Claim<'a>) {
        self.all.add(claim);
        self.by_device.entry(claim.device).or_default().add(claim);
    }
}

/// What is claimed at a wildcard.
struct Everywhere<'a, 'b> {
    claims: &'b [Claim<'a>],
    /// By the interface that they are tied to, or of all, and whether only those are meant that do not share.
    reaches: HashMap<(Option<Option<&'a str>>, bool), Reach<'a>>,
}

impl<'a> Everywhere<'a, '_> {
    /// What `claim`, of an address of its family, must not meet: who is tied to no interface meets everybody.
    fn rival(&mut self, claim: &Claim<'a>) -> Option<&'a Bind> {
        match claim.device {
            None => self.met(None, claim),
            device => self.met(Some(None), claim).or_else(|| self.met(Some(device), claim)),
        }
    }

    fn met(&mut self, device: Option<Option<&'a str>>, claim: &Claim<'a>) -> Option<&'a Bind> {
        let claims = self.claims.iter().filter(|of| device.is_none_or(|device| of.device == device));
        let claims = claims.filter(|of| !claim.share || !of.share);
        self.reaches.entry((device, claim.share)).or_insert_with(|| Reach::of(claims)).met_by(claim.bind)
    }
}

/// Ranges by their first port, each with the one among it and those before that reaches furthest.
struct Reach<'a>(Vec<(u16, &'a Bind)>);

impl<'a> Reach<'a> {
    fn of<'b>(claims: impl Iterator<Item = &'b Claim<'a>>) -> Self
    where
        'a: 'b,
    {
        let mut ranges: Vec<&'a Bind> = claims.map(|claim| claim.bind).collect();
        ranges.sort_by_key(|bind| bind.first);
        let mut furthest: Option<&'a Bind> = None;
        let reach = ranges.into_iter().map(|bind| {
            let best = furthest.filter(|best| best.last >= bind.last).unwrap_or(bind);
            furthest = Some(best);
            (bind.first, best)
        });
        Self(reach.collect())
    }

    /// A range that has a port in common with `bind`.
    fn met_by(&self, bind: &Bind) -> Option<&'a Bind> {
        let before = self.0.partition_point(|(first, _)| *first <= bind.last);
        let (_, best) = self.0.get(before.checked_sub(1)?)?;
        (best.last >= bind.first).then_some(best)
    }
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
    let whose =
        if one.ip == other.ip { one.ip.to_string() } else { format!("{} and {}", first.ip, again.ip) };
    let title = if low == high {
        format!("port {low} of {whose} is used twice")
    } else {
        format!("ports {low} to {high} of {whose} are used twice")
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
