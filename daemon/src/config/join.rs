//! `join`: multicast groups as they are written, `GROUP [from SOURCE] [on INTERFACE]`.

use std::net::IpAddr;

use super::bind::needs_zone;
use super::plan::{Bind, Join, Listen};
use super::problem::{Problem, Span, code, quoted};
use super::read::Reader;
use super::refusal::Refusal;
use super::tree::{Entry, Value};

const FORM: &str = "GROUP [from SOURCE] [on INTERFACE], for example \"239.1.2.3\", \"239.1.2.3 on *\" or \"232.1.1.1 from 192.0.2.7 on eth0\"";

/// Reads a group or a list of groups. A text may hold several with commas between them, since an argument of
/// `--listen` has no lists.
pub(super) fn read(entry: &Entry, later: bool, reader: &mut Reader<'_>) -> Vec<Join> {
    const EXPECTED: &str = "a string or an array of strings";
    let mut joins = Vec::new();
    match &entry.value {
        Value::Text(text) => some(text, (&entry.value_span, later), &mut joins, reader),
        Value::List(list) => {
            for (value, span) in list {
                if let Value::Text(text) = value {
                    some(text, (span, later), &mut joins, reader);
                } else {
                    reader.wrong_type("join", EXPECTED, value, span);
                }
            }
        }
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Time(_) | Value::Table(_) => {
            reader.wrong_type("join", EXPECTED, &entry.value, &entry.value_span);
        }
    }
    joins
}

/// What one group cannot tell: whether the listener can hear it, and whether it is joined already.
pub(super) fn check(listen: &Listen, reader: &mut Reader<'_>) {
    for (index, join) in listen.join.iter().enumerate() {
        let problem = unheard(join, &listen.bind).or_else(|| {
            let before = listen.join.iter().take(index).find(|other| collide(other, join))?;
            let title = format!("group {} is joined twice", join.group);
            let problem = Problem::new(code::DUPLICATE_JOIN, title).at(&join.span, "again here");
            let help = if before.source == join.source {
                "once is enough"
            } else {
                "a socket hears a group from any source or from those it names, and not both"
            };
            Some(problem.also(&before.span, "first here").help(help))
        });
        reader.problems.extend(problem);
    }
}

/// The groups that sockets are bound to and nobody has joined: such a socket hears nothing else, and without joining not
/// even that.
pub(super) fn implied(listen: &Listen) -> Vec<Join> {
    let mut implied: Vec<Join> = Vec::new();
    for bind in listen.bind.iter().filter(|bind| bind.ip.is_multicast()) {
        let (group, ifindex) = (bind.ip, bind.scope_id);
        let is_same = |join: &Join| join.group == group && (!join.implied || join.ifindex == ifindex);
        if !listen.join.iter().chain(&implied).any(is_same) {
            let (text, span) = (group.to_string(), bind.span.clone());
            let interface = bind.zone.clone();
            let everywhere = false;
            implied.push(Join {
                group,
                source: None,
                ifindex,
                interface,
                everywhere,
                implied: true,
                text,
                span,
            });
        }
    }
    implied
}

fn some(text: &str, (span, later): (&Span, bool), joins: &mut Vec<Join>, reader: &mut Reader<'_>) {
    for item in text.split(',') {
        match one(item.trim(), later, reader) {
            Ok(Read { group, source, ifindex, interface, everywhere }) => {
                let (text, span) = (item.trim().to_owned(), span.clone());
                joins.push(Join {
                    group,
                    source,
                    ifindex,
                    interface,
                    everywhere,
                    implied: false,
                    text,
                    span,
                });
            }
            Err(refusal) => {
                let mut problem = Problem::new(refusal.code, "invalid group").at(span, refusal.label);
                problem.help = refusal.help;
                reader.problems.push(problem);
            }
        }
    }
}

struct Read {
    group: IpAddr,
    source: Option<IpAddr>,
    ifindex: u32,
    interface: Option<String>,
    everywhere: bool,
}

fn one(text: &str, later: bool, reader: &Reader<'_>) -> Result<Read, Refusal> {
    let mut words = text.split_whitespace();
    let group = group(words.next().unwrap_or(""))?;
    let (mut from, mut on) = (None, None);
    while let Some(word) = words.next() {
        let place = match word {
            "from" => &mut from,
            "on" => &mut on,
            _ => return Err(refusal(format!("expected `from` or `on`, not {}", quoted(word)), FORM)),
        };
        if place.is_some() {
            return Err(refusal(format!("{} is given twice", quoted(word)), "join the group once for each"));
        }
        let Some(value) = words.next() else {
            return Err(refusal(format!("nothing follows {}", quoted(word)), FORM));
        };
        *place = Some(value);
    }
    let source = from.map(|text| source(text, group)).transpose()?;
    let everywhere = on == Some("*");
    let on = on.filter(|_| !everywhere);
    let (ifindex, interface) =
        on.map(|text| interface(text, later, reader)).transpose()?.unwrap_or((0, None));
    if needs_zone(group) && ifindex == 0 && interface.is_none() && !everywhere {
        let help = format!("write \"{group} on INTERFACE\", for example \"{group} on eth0\"");
        return Err(refusal("a group of this scope needs its interface", help));
    }
    Ok(Read { group, source, ifindex, interface, everywhere })
}

fn group(text: &str) -> Result<IpAddr, Refusal> {
    if let Some((group, zone)) = text.split_once('%') {
        return Err(refusal("the interface is written apart", format!("write \"{group} on {zone}\"")));
    }
    let Ok(group) = text.parse::<IpAddr>() else {
        return Err(refusal(format!("{} is not an address", quoted(text)), FORM));
    };
    if group.is_multicast() {
        return Ok(group);
    }
    let help = "groups are 224.0.0.0 to 239.255.255.255 (RFC 5771) and what begins with ff (RFC 4291); \
                broadcast needs no group";
    Err(refusal(format!("{group} is not a multicast group"), help))
}

fn source(text: &str, group: IpAddr) -> Result<IpAddr, Refusal> {
    let Ok(source) = text.parse::<IpAddr>() else {
        return Err(refusal(format!("the source {} is not an address", quoted(text)), FORM));
    };
    if source.is_ipv4() != group.is_ipv4() {
        let help = format!("{group} is an {} group, and so are its senders", family(group));
        return Err(refusal(format!("the source {source} is an {} address", family(source)), help));
    }
    if source.is_multicast() || source.is_unspecified() {
        let help = "a source is the address of the one host to hear; without `from` all are heard";
        return Err(refusal(format!("nobody sends from {source}"), help));
    }
    Ok(source)
}

/// An interface by its index, one of its addresses, or its name, which is returned as well.
fn interface(text: &str, later: bool, reader: &Reader<'_>) -> Result<(u32, Option<String>), Refusal> {
    let by_number = || text.parse().ok().or_else(|| text.parse().ok().and_then(reader.names.interface_of));
    let by_name = || Some(((reader.names.interface)(text)?, Some(text.to_owned())));
    match by_number().map(|index| (index, None)).or_else(by_name) {
        Some((index, name)) if index > 0 => Ok((index, name)),
        None if later && text.parse::<IpAddr>().is_err() => Ok((0, Some(text.to_owned()))),
        _ => Err(Refusal {
            code: code::UNKNOWN_INTERFACE,
            label: format!("this system has no interface {}", quoted(text)),
            help: Some("`ip addr` (or `ifconfig`) lists the interfaces and their addresses".to_owned()),
        }),
    }
}

fn unheard(join: &Join, binds: &[Bind]) -> Option<Problem> {
    let (first, group) = (binds.first()?, join.group);
    if binds.iter().any(|bind| join.is_heard_at(bind)) {
        return None;
    }
    let port = first.first;
    let wildcard = if group.is_ipv4() { format!("0.0.0.0:{port}") } else { format!("[::]:{port}") };
    let same = binds.iter().find(|bind| bind.ip.is_ipv4() == group.is_ipv4());
    let (label, other) = match same {
        Some(bind) => (format!("a socket bound to {} does not receive it", bind.ip), bind),
        None => (format!("this is an {} group, and the listener has no such address", family(group)), first),
    };
    let title = format!("group {group} cannot be heard here");
    Some(
        Problem::new(code::BAD_JOIN, title)
            .at(&join.span, label)
            .also(&other.span, "bound here")
            .help(format!("only the wildcard and the group itself receive it: bind to {wildcard}")),
    )
}

/// Joining both would fail: the same membership, or one with and one without sources.
fn collide(one: &Join, other: &Join) -> bool {
    let sources = one.source.is_none() || other.source.is_none() || one.source == other.source;
    let place = |join: &Join| (join.ifindex, join.interface.clone().filter(|_| join.ifindex == 0));
    let meet = one.everywhere || other.everywhere || place(one) == place(other);
    one.group == other.group && meet && sources
}

fn family(ip: IpAddr) -> &'static str {
    if ip.is_ipv4() { "IPv4" } else { "IPv6" }
}

fn refusal(label: impl Into<String>, help: impl Into<String>) -> Refusal {
    Refusal { code: code::BAD_JOIN, label: label.into(), help: Some(help.into()) }
}
