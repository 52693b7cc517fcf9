//! A plan as the control socket tells it: listeners with their keys, so that two of them can be compared.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::prepare::{Entry, Prepared};
use crate::config::{AsRead, Listen, Plan, RawOption, RawValue};
use crate::control::wire::{Configuration, ConfigurationParams, Configured, MOST_CONFIGURED, Ports};

/// A page of what is served.
pub(super) fn page(prepared: &Prepared, params: &ConfigurationParams, generation: u64) -> Configuration {
    let Prepared { plan, entries, .. } = prepared;
    let most = params.limit.unwrap_or(MOST_CONFIGURED).clamp(1, MOST_CONFIGURED);
    let page = plan.listen.iter().zip(entries).skip(params.offset).take(most);
    let page: Vec<Configured> = page.map(|(listen, entry)| configured(listen, entry)).collect();
    let end = params.offset.saturating_add(page.len());
    Configuration {
        pid: std::process::id(),
        generation,
        source: source(plan),
        settings: plan.settings(),
        fixed: plan.fixed().iter().map(|key| (*key).to_owned()).collect(),
        listeners: plan.listen.len(),
        offset: params.offset,
        next: (end < plan.listen.len() && !page.is_empty()).then_some(end),
        entries: page,
    }
}

/// All of a plan that is not served by this process.
pub(super) fn whole(prepared: &Prepared) -> Configuration {
    let Prepared { plan, entries, .. } = prepared;
    Configuration {
        source: source(plan),
        settings: plan.settings(),
        listeners: plan.listen.len(),
        entries: plan.listen.iter().zip(entries).map(|(listen, entry)| configured(listen, entry)).collect(),
        ..Configuration::default()
    }
}

/// Where a plan comes from, as `status` says it.
pub(super) fn source(plan: &Plan) -> String {
    plan.sources().first().map(|source| source.origin.clone()).unwrap_or_default()
}

fn configured(listen: &Listen, entry: &Entry) -> Configured {
    let is_secret = |option: &&RawOption| {
        entry.plugin.options().iter().any(|spec| spec.secret && spec.name == option.name)
    };
    let (secrets, options): (Vec<_>, Vec<_>) = listen.options.iter().partition(is_secret);
    let path = listen.plugin.path.as_ref();
    let binds = listen
        .bind
        .iter()
        .filter_map(|bind| Some(Ports { first: bind.addresses().next()?, last: bind.last }));
    Configured {
        name: listen.name.clone(),
        plugin: path.map_or_else(|| listen.plugin.text.clone(), |path| path.to_string_lossy().into_owned()),
        together: entry.plugin.is_per_listener(),
        bind: binds.collect(),
        settings: listen.settings(),
        options: options.iter().map(|option| (option.name.clone(), value(&option.value))).collect(),
        secrets: secrets.iter().map(|option| (option.name.clone(), digest(option))).collect(),
        set: listen.as_read.as_deref().map_or_else(BTreeMap::new, |as_read| set(listen, as_read, is_secret)),
    }
}

/// What there is instead of a secret.
pub(super) const SECRET: &str = "(secret)";

/// What of a listener differs from what it was read as, with that.
fn set(
    listen: &Listen,
    as_read: &AsRead,
    is_secret: impl Fn(&&RawOption) -> bool,
) -> BTreeMap<String, Option<String>> {
    let named = |options: &[RawOption]| -> BTreeMap<String, String> {
        options.iter().map(|option| (format!("options.{}", option.name), value(&option.value))).collect()
    };
    let mut was = named(&as_read.options);
    was.extend(as_read.settings.clone());
    let mut is = named(&listen.options);
    is.extend(listen.settings());
    let hidden: BTreeSet<String> = listen
        .options
        .iter()
        .chain(&as_read.options)
        .filter(is_secret)
        .map(|option| format!("options.{}", option.name))
        .collect();
    let keys: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let others = keys.into_iter().filter(|key| was.get(*key) != is.get(*key));
    let told = |key: &String| {
        let text = was.get(key)?;
        Some(if hidden.contains(key) { SECRET.to_owned() } else { text.clone() })
    };
    others.map(|key| (key.clone(), told(key))).collect()
}

/// A value as `--listen` takes it, where that can say it.
fn value(of: &RawValue) -> String {
    match of {
        RawValue::Bool(flag) => flag.to_string(),
        RawValue::Int(number) => number.to_string(),
        RawValue::Float(number) => number.to_string(),
        RawValue::Text(text) => text.clone(),
        RawValue::Table(entries) => {
            let entries =
                entries.iter().map(|RawOption { name, value: of, .. }| format!("{name} = {}", value(of)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
        RawValue::Other(other) => other.to_string(),
    }
}

/// What tells one secret from another, and no secret: it cannot be had back as long as nobody can guess it.
fn digest(option: &RawOption) -> String {
    const BYTES: usize = 8;
    let digest = Sha256::new()
        .chain_update(&option.name)
        .chain_update([0])
        .chain_update(value(&option.value))
        .finalize();
    HEXLOWER.encode(digest.get(..BYTES).unwrap_or(&digest))
}

/// The addresses of ports in a row.
pub(super) fn addresses(ports: Ports) -> impl Iterator<Item = SocketAddr> {
    (ports.first.port()..=ports.last).map(move |port| {
        let mut address = ports.first;
        address.set_port(port);
        address
    })
}

/// Addresses with ports in a row as ranges.
pub(super) fn ranges(mut addresses: Vec<SocketAddr>) -> Vec<String> {
    addresses.sort_unstable();
    let mut ranges: Vec<(SocketAddr, u16)> = Vec::new();
    for address in addresses {
        match ranges.last_mut() {
            Some((first, last))
                if first.ip() == address.ip() && last.checked_add(1) == Some(address.port()) =>
            {
                *last = address.port();
            }
            _ => ranges.push((address, address.port())),
        }
    }
    let shown = |(first, last): (SocketAddr, u16)| {
        if first.port() == last { first.to_string() } else { format!("{first}-{last}") }
    };
    ranges.into_iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_as_they_are_typed() {
        let text = |text: &str| RawValue::Text(text.to_owned());
        for (of, expected) in [
            (text("10%"), "10%"),
            (RawValue::Int(-3), "-3"),
            (RawValue::Bool(true), "true"),
            (RawValue::Float(0.5), "0.5"),
        ] {
            assert_eq!(value(&of), expected);
        }
    }

    #[test]
    fn ports_in_a_row_are_addresses() {
        let ports = |first: &str, last| Ports { first: first.parse().unwrap(), last };
        let all: Vec<_> = addresses(ports("[fe80::1%3]:7", 9)).map(|address| address.to_string()).collect();
        assert_eq!(all, ["[fe80::1%3]:7", "[fe80::1%3]:8", "[fe80::1%3]:9"]);
        assert_eq!(addresses(ports("127.0.0.1:0", 0)).count(), 1);
        assert_eq!(addresses(ports("127.0.0.1:65535", 65_535)).count(), 1);
    }
}
