//! `[listen.reply]`: what a listener may answer, and to whom.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use polyport_value as value;

use super::bounds::{AMPLIFICATION, RATE, SLIP};
use super::keys::{REPLY, named};
use super::ports::service;
use super::problem::Span;
use super::read::Reader;
use super::tree::{Entry, Value};
use crate::reply::{Budget, LOOP_PORTS, PeerPorts, ReplyPolicy, ReplyTtl};

/// Every key of `[listen.reply]`. A new one is a line of the table of keys, a name in [`SPEC_KEYS`], and an arm in [`set`].
pub(super) const KEYS: [&str; REPLY.len()] = named(&REPLY);

/// What the keys are behind `--listen BIND=PLUGIN`.
pub(super) const SPEC_KEYS: [&str; KEYS.len()] = [
    "reply.ports",
    "reply.same_port",
    "reply.groups",
    "reply.budget",
    "reply.amplification",
    "reply.rate",
    "reply.slip",
    "reply.prefix",
    "reply.loopback",
    "reply.ttl",
];

/// What the keys begin with behind `--listen BIND=PLUGIN`.
pub(super) const SPEC_PREFIX: &str = "reply.";

const V4_PREFIX: RangeInclusive<u8> = 8..=32;
const V6_PREFIX: RangeInclusive<u8> = 16..=128;

/// The keys of the budget.
const BUDGET_KEYS: [&str; 5] = ["amplification", "rate", "slip", "prefix", "loopback"];

/// Which of these settings change nothing for a listener that is bound to `ips` and has this policy by them, each in words.
pub(super) fn idle(entries: &[Entry], policy: &ReplyPolicy, ips: &[IpAddr]) -> Vec<String> {
    let given = |key: &&str| entries.iter().any(|entry| entry.key == *key);
    let keys =
        |given: Vec<&str>| given.iter().map(|key| format!("`reply.{key}`")).collect::<Vec<_>>().join(", ");
    let of_budget: Vec<&str> = BUDGET_KEYS.into_iter().filter(given).collect();
    let Some(budget) = &policy.budget else {
        let text = format!("{}: without effect, since `reply.budget` is \"off\"", keys(of_budget.clone()));
        return if of_budget.is_empty() { Vec::new() } else { vec![text] };
    };
    let counted: Vec<&str> = of_budget.into_iter().filter(|key| *key != "loopback").collect();
    if !counted.is_empty() && !budget.loopback && !ips.is_empty() && ips.iter().all(is_loopback) {
        return vec![format!(
            "{}: without effect, since only loopback reaches the listener, which is exempt; \
             `reply.loopback = \"counted\"` counts it",
            keys(counted)
        )];
    }
    if given(&"slip") && budget.rate.is_none() {
        return vec!["`reply.slip`: without effect, since there is no `reply.rate`".to_owned()];
    }
    Vec::new()
}

fn is_loopback(ip: &IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// Reads the value of the key `reply`; what is not set keeps its default.
pub(super) fn read(entry: &Entry, reader: &mut Reader<'_>) -> ReplyPolicy {
    let mut policy = ReplyPolicy::default();
    let Value::Table(entries) = &entry.value else {
        reader.wrong_type("reply", "a table", &entry.value, &entry.value_span);
        return policy;
    };
    change(&mut policy, entries, reader);
    policy
}

/// Reads keys of the table; what is not among them stays as it is. A budget that was off begins with its defaults.
pub(super) fn change(policy: &mut ReplyPolicy, entries: &[Entry], reader: &mut Reader<'_>) {
    let mut budget = policy.budget.unwrap_or_default();
    if entries.iter().any(|entry| entry.key == "budget") {
        // Only "off" takes it away.
        policy.budget = Some(budget);
    }
    for entry in entries {
        set(policy, &mut budget, entry, reader);
    }
    if policy.budget.is_some() {
        policy.budget = Some(budget);
    }
}

/// Reads one key. Those of the budget are read into `budget` also while the policy has none, so that their mistakes are
/// found.
fn set(policy: &mut ReplyPolicy, budget: &mut Budget, entry: &Entry, reader: &mut Reader<'_>) {
    // A bad value is noted by the reader; what stands in the field no longer matters.
    match entry.key.as_str() {
        key if !KEYS.contains(&key) => {
            let help = format!("valid keys: {}", KEYS.join(", "));
            reader.unknown_key(entry, "in [listen.reply]", &KEYS, help);
        }
        "ports" => policy.ports = ports(entry, reader),
        "same_port" => policy.same_port = reader.flag(entry),
        "groups" => policy.groups = reader.flag(entry),
        "budget" => {
            let is_off = choice(entry, ["on", "off"], reader) == Some(1);
            policy.budget = policy.budget.take().filter(|_| !is_off);
        }
        "amplification" => {
            budget.amplification_milli = amplification(entry, reader).unwrap_or(budget.amplification_milli);
        }
        "rate" => budget.rate = rate(entry, reader),
        "slip" => {
            let slip = reader.count(entry, &SLIP).and_then(|slip| u32::try_from(slip).ok());
            budget.slip = slip.unwrap_or(budget.slip);
        }
        "prefix" => {
            if let Some((v4, v6)) = prefix(entry, reader) {
                (budget.v4_prefix, budget.v6_prefix) = (v4, v6);
            }
        }
        "loopback" => budget.loopback = choice(entry, ["exempt", "counted"], reader) == Some(1),
        "ttl" => policy.ttl = ttl(entry, reader),
        // A test holds that each key of the table is read.
        _ => {}
    }
}

/// `decay` needs a system that takes the TTL of a single datagram.
fn ttl(entry: &Entry, reader: &mut Reader<'_>) -> ReplyTtl {
    if choice(entry, ["system", "decay"], reader) != Some(1) {
        return ReplyTtl::System;
    }
    if !cfg!(target_os = "linux") {
        reader.bad_value(
            "ttl",
            &entry.value_span,
            "this system does not set the TTL of single datagrams; Linux does",
        );
    }
    ReplyTtl::Decay
}

/// Which of two words the value is.
fn choice(entry: &Entry, words: [&str; 2], reader: &mut Reader<'_>) -> Option<usize> {
    let text = reader.text(entry)?;
    let found = words.iter().position(|word| *word == text);
    if found.is_none() {
        let label = format!("expected \"{}\" or \"{}\"", words[0], words[1]);
        reader.bad_value(&entry.key, &entry.value_span, label);
    }
    found
}

/// A list of ports, by number or service name, one port, or `"any"`.
fn ports(entry: &Entry, reader: &mut Reader<'_>) -> PeerPorts {
    const EXPECTED: &str = "an array of ports or \"any\"";
    let span = &entry.value_span;
    let mut ports = match &entry.value {
        Value::Text(text) if text == "any" => return PeerPorts::Any,
        Value::Text(text) => named_port(text, span, reader).into_iter().collect(),
        Value::Int(number) => port(*number, span, reader).into_iter().collect(),
        Value::List(list) => list
            .iter()
            .filter_map(|(value, span)| {
                match value {
                    Value::Int(number) => return port(*number, span, reader),
                    Value::Text(text) => return named_port(text, span, reader),
                    Value::Bool(_) | Value::Float(_) | Value::Time(_) | Value::List(_) | Value::Table(_) => {}
                }
                reader.wrong_type("ports", EXPECTED, value, span);
                None
            })
            .collect(),
        Value::Bool(_) | Value::Float(_) | Value::Time(_) | Value::Table(_) => {
            reader.wrong_type("ports", EXPECTED, &entry.value, span);
            Vec::new()
        }
    };
    ports.sort_unstable();
    ports.dedup();
    PeerPorts::Only(ports)
}

/// A port that needs a permission, by the name of its service, or by a number in quotes, as a bind address has it.
fn named_port(name: &str, span: &Span, reader: &mut Reader<'_>) -> Option<u16> {
    if let Some(number) = value::port_number(name).filter(|_| !name.is_empty()) {
        return port(number.into(), span, reader);
    }
    match service(name, &reader.names) {
        Ok(number) => port(number.into(), span, reader),
        Err(refusal) => {
            let label = format!("{}; expected ports, such as [53, \"ntp\"], or \"any\"", refusal.label);
            reader.bad_value("ports", span, label);
            None
        }
    }
}

/// A port that needs a permission. Any other would be a misunderstanding: the list does not say who alone is answered.
fn port(number: i128, span: &Span, reader: &mut Reader<'_>) -> Option<u16> {
    let port = u16::try_from(number).ok().filter(|port| LOOP_PORTS.iter().any(|(loops, _)| loops == port));
    if port.is_none() {
        let known: Vec<String> = LOOP_PORTS.iter().map(|(port, _)| port.to_string()).collect();
        let label =
            format!("expected one of those that are not answered unless listed: {}", known.join(", "));
        reader.bad_value("ports", span, label);
    }
    port
}

/// A factor in thousandths.
fn amplification(entry: &Entry, reader: &mut Reader<'_>) -> Option<u32> {
    let factor = match &entry.value {
        Value::Float(factor) => *factor,
        #[expect(clippy::cast_precision_loss, reason = "what is too large for exactness is out of range")]
        Value::Int(number) => *number as f64,
        Value::Text(_) | Value::Bool(_) | Value::Time(_) | Value::List(_) | Value::Table(_) => {
            reader.wrong_type("amplification", "a number", &entry.value, &entry.value_span);
            return None;
        }
    };
    if !(AMPLIFICATION.0..=AMPLIFICATION.1).contains(&factor) {
        let label = format!("expected {} to {}", AMPLIFICATION.0, AMPLIFICATION.1);
        reader.bad_value("amplification", &entry.value_span, label);
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "1,000 to 1,000,000, by the range"
    )]
    Some((factor * 1000.0).round() as u32)
}

/// Replies a second, or none for `"off"`. A number alone is in a second, as everywhere (`plugins/ABI.md`).
fn rate(entry: &Entry, reader: &mut Reader<'_>) -> Option<u32> {
    let number;
    let text = match &entry.value {
        Value::Text(text) => text,
        Value::Int(count) => {
            number = count.to_string();
            &number
        }
        Value::Bool(_) | Value::Float(_) | Value::Time(_) | Value::List(_) | Value::Table(_) => {
            let expected = "a rate such as \"1000/s\", or \"off\"";
            reader.wrong_type("rate", expected, &entry.value, &entry.value_span);
            return None;
        }
    };
    if text == "off" {
        return None;
    }
    let unknown = "expected a rate such as 1000/s, 1.5k/s or 90k/min, or \"off\"";
    let read = value::rate(text).map_err(|_| unknown.to_owned()).and_then(|rate| {
        let per_second = rate.count / rate.period.as_secs().max(1);
        let whole = rate.count == per_second * rate.period.as_secs();
        let is_within = usize::try_from(per_second).is_ok_and(|rate| RATE.contains(&rate));
        let fits = u32::try_from(per_second).ok().filter(|_| whole && is_within);
        fits.ok_or_else(|| {
            format!("expected {} to {} in a second, without a fraction", RATE.start(), RATE.end())
        })
    });
    read.map_err(|label| reader.bad_value("rate", &entry.value_span, label)).ok()
}

/// The bits of IPv4 and IPv6: `24/56`.
fn prefix(entry: &Entry, reader: &mut Reader<'_>) -> Option<(u8, u8)> {
    let text = reader.text(entry)?;
    let read = text.split_once('/').and_then(|(v4, v6)| {
        let bits = |text: &str, range: &RangeInclusive<u8>| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|bits| digits && range.contains(bits))
        };
        Some((bits(v4, &V4_PREFIX)?, bits(v6, &V6_PREFIX)?))
    });
    if read.is_none() {
        let label = format!(
            "expected the bits of IPv4 ({} to {}) and of IPv6 ({} to {}), such as \"24/56\"",
            V4_PREFIX.start(),
            V4_PREFIX.end(),
            V6_PREFIX.start(),
            V6_PREFIX.end()
        );
        reader.bad_value("prefix", &entry.value_span, label);
    }
    read
}

/// What was typed behind `--listen`, as TOML writes it; what it is not remains a text, for [`read`] to refuse.
pub(super) fn typed(key: &str, value: Value, span: &Span) -> Value {
    let Value::Text(text) = value else { return value };
    let port = |text: &str| {
        let number = text.trim().parse().map(Value::Int);
        (number.unwrap_or_else(|_| Value::Text(text.trim().to_owned())), span.clone())
    };
    // As the advice in the log has it, `[53]`, or without brackets.
    let list = text.strip_prefix('[').and_then(|list| list.strip_suffix(']')).unwrap_or(&text);
    let typed = match key {
        "ports" if text != "any" => Some(Value::List(list.split(',').map(port).collect())),
        "same_port" | "groups" => text.parse().ok().map(Value::Bool),
        "slip" => text.parse().ok().map(Value::Int),
        "amplification" => text.parse().ok().map(Value::Float),
        _ => None,
    };
    typed.unwrap_or(Value::Text(text))
}
