//! What a plan would change of what a daemon serves, address by address: the rule is that of `steps`, and what is compared are the
//! words of both.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;

use serde::Serialize;

use crate::apply::configured::{SECRET, addresses, ranges};
use crate::apply::restart::RESTART_KEYS;
use crate::config::Settings;
use crate::control::wire::{Configuration, Configured};

/// What would become of what a daemon serves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Difference {
    /// The process id of the daemon.
    pub(super) pid: u32,
    /// Where its configuration came from.
    pub(super) source: String,
    /// Keys beside listeners.
    pub(super) settings: Vec<Change>,
    /// Tables and keys of them that a reload cannot change: it refuses all of the configuration.
    pub(super) after_restart: Vec<&'static str>,
    pub(super) added: Vec<Served>,
    pub(super) removed: Vec<Served>,
    pub(super) changed: Vec<Changed>,
    /// Addresses that are served as before.
    pub(super) unchanged: usize,
}

/// Addresses of a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Served {
    pub(super) listener: String,
    pub(super) plugin: String,
    /// Addresses and ranges of ports.
    pub(super) bind: Vec<String>,
    pub(super) addresses: usize,
}

/// Addresses that both serve, each in another way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Changed {
    #[serde(flatten)]
    pub(super) served: Served,
    pub(super) keys: Vec<Change>,
}

/// A key with what it says now and then; nothing is its default. Of a secret only that it is another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    pub(super) key: String,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    /// What it says now was set while it serves (`polyport set`), and is in no configuration.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) was_set: bool,
}

/// From what a daemon serves to `next`.
pub(super) fn between(now: &Configuration, next: &Configuration) -> Difference {
    let is_fixed = |key: &str| {
        now.fixed
            .iter()
            .any(|fixed| key == fixed || key.strip_prefix(&**fixed).is_some_and(|rest| rest.starts_with('.')))
    };
    let mut settings = changes("", &now.settings, &next.settings);
    settings.retain(|change| !is_fixed(&change.key));
    let is_of = |key: &str, table: &str| key.split('.').next() == Some(table);
    let mut after_restart = RESTART_KEYS.to_vec();
    after_restart.retain(|table| settings.iter().any(|change| is_of(&change.key, table)));
    let Fates { kept, changed, added, removed } = Fates::of(&now.entries, &next.entries);
    let name = |entries: &[Configured], entry: usize, bind: Vec<SocketAddr>| {
        let Some(of) = entries.get(entry) else { return Served::default() };
        Served {
            listener: of.name.clone(),
            plugin: of.plugin.clone(),
            addresses: bind.len(),
            bind: ranges(bind),
        }
    };
    let changed = changed.into_iter().map(|((old, new), bind)| {
        let keys = match (now.entries.get(old), next.entries.get(new)) {
            (Some(before), Some(after)) => keys(before, after),
            _ => Vec::new(),
        };
        Changed { served: name(&next.entries, new, bind), keys }
    });
    Difference {
        pid: now.pid,
        source: now.source.clone(),
        settings,
        after_restart,
        changed: changed.collect(),
        added: added.into_iter().map(|(entry, bind)| name(&next.entries, entry, bind)).collect(),
        removed: removed.into_iter().map(|(entry, bind)| name(&now.entries, entry, bind)).collect(),
        unchanged: kept,
    }
}

/// What becomes of each address, by the numbers of listeners.
#[derive(Debug, Default)]
struct Fates {
    kept: usize,
    changed: BTreeMap<(usize, usize), Vec<SocketAddr>>,
    added: BTreeMap<usize, Vec<SocketAddr>>,
    removed: BTreeMap<usize, Vec<SocketAddr>>,
}

impl Fates {
    fn of(now: &[Configured], next: &[Configured]) -> Self {
        let mut served: HashMap<SocketAddr, VecDeque<usize>> = HashMap::new();
        for (entry, of) in now.iter().enumerate() {
            for address in of.bind.iter().flat_map(|ports| addresses(*ports)) {
                served.entry(address).or_default().push_back(entry);
            }
        }
        let mut fates = Self::default();
        let mut same: HashMap<(usize, usize), bool> = HashMap::new();
        let mut kept: BTreeMap<(usize, usize), Vec<SocketAddr>> = BTreeMap::new();
        let mut others = Vec::new();
        // Several listeners can have one address: who stays comes first.
        for (new, of) in next.iter().enumerate() {
            for address in of.bind.iter().flat_map(|ports| addresses(*ports)) {
                let mut is_same = |old: &usize| {
                    *same
                        .entry((*old, new))
                        .or_insert_with(|| now.get(*old).is_some_and(|old| is_served_alike(old, of)))
                };
                let all = served.get_mut(&address);
                match all.and_then(|all| all.remove(all.iter().position(&mut is_same)?)) {
                    Some(old) => kept.entry((old, new)).or_default().push(address),
                    None => others.push((address, new)),
                }
            }
        }
        for (address, new) in others {
            match served.get_mut(&address).and_then(VecDeque::pop_front) {
                Some(old) => fates.changed.entry((old, new)).or_default().push(address),
                None => fates.added.entry(new).or_default().push(address),
            }
        }
        let mut left: Vec<(usize, SocketAddr)> = served
            .into_iter()
            .flat_map(|(address, all)| all.into_iter().map(move |entry| (entry, address)))
            .collect();
        left.sort_unstable();
        for (entry, address) in left {
            fates.removed.entry(entry).or_default().push(address);
        }
        fates.with_whole_listeners(kept, now, next)
    }

    /// One handler for all addresses of a listener serves none of them as before where one is added, removed or changed.
    fn with_whole_listeners(
        mut self,
        mut kept: BTreeMap<(usize, usize), Vec<SocketAddr>>,
        now: &[Configured],
        next: &[Configured],
    ) -> Self {
        let together = |of: &[Configured], entry: usize| of.get(entry).is_some_and(|entry| entry.together);
        loop {
            let old: BTreeSet<usize> =
                self.removed.keys().copied().chain(self.changed.keys().map(|(old, _)| *old)).collect();
            let new: BTreeSet<usize> =
                self.added.keys().copied().chain(self.changed.keys().map(|(_, new)| *new)).collect();
            let touched: Vec<(usize, usize)> = kept
                .keys()
                .filter(|(was, is)| {
                    old.contains(was) && together(now, *was) || new.contains(is) && together(next, *is)
                })
                .copied()
                .collect();
            if touched.is_empty() {
                self.kept = kept.values().map(Vec::len).sum();
                return self;
            }
            for pair in touched {
                self.changed.entry(pair).or_default().extend(kept.remove(&pair).unwrap_or_default());
            }
        }
    }
}

/// Whether one listener does for its addresses what another does; which addresses those are is another question.
fn is_served_alike(old: &Configured, new: &Configured) -> bool {
    (&old.name, &old.plugin, &old.settings) == (&new.name, &new.plugin, &new.settings)
        && (&old.options, &old.secrets) == (&new.options, &new.secrets)
}

/// The keys in which two listeners differ.
fn keys(old: &Configured, new: &Configured) -> Vec<Change> {
    let own = [("name", &old.name, &new.name), ("plugin", &old.plugin, &new.plugin)];
    let own = own.into_iter().filter(|(_, old, new)| old != new).map(|(key, old, new)| Change {
        key: key.to_owned(),
        from: Some(old.clone()),
        to: Some(new.clone()),
        was_set: false,
    });
    let secrets = changes("options.", &old.secrets, &new.secrets).into_iter().map(
        |Change { key, from, to, was_set }| {
            let hidden = |value: Option<String>| value.map(|_| SECRET.to_owned());
            Change { key, from: hidden(from), to: hidden(to), was_set }
        },
    );
    let settings = changes("", &old.settings, &new.settings);
    let all = own.chain(settings).chain(changes("options.", &old.options, &new.options)).chain(secrets);
    all.map(|change| Change { was_set: old.set.contains_key(&change.key), ..change }).collect()
}

fn changes(prefix: &str, old: &Settings, new: &Settings) -> Vec<Change> {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let pairs = keys.into_iter().map(|key| (key, old.get(key), new.get(key)));
    let changed = pairs.filter(|(_, from, to)| from != to);
    changed
        .map(|(key, from, to)| Change {
            key: format!("{prefix}{key}"),
            from: from.cloned(),
            to: to.cloned(),
            was_set: false,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::wire::Ports;

    fn listener(name: &str, bind: &[(&str, u16)], settings: &[(&str, &str)]) -> Configured {
        let bind = bind.iter().map(|(first, last)| Ports { first: first.parse().unwrap(), last: *last });
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Configured {
            name: name.to_owned(),
            plugin: "echo".to_owned(),
            bind: bind.collect(),
            settings: settings.collect(),
            ..Configured::default()
        }
    }

    fn configuration(entries: &[Configured]) -> Configuration {
        Configuration { entries: entries.to_vec(), ..Configuration::default() }
    }

    fn told(now: &[Configured], next: &[Configured]) -> (usize, Vec<String>) {
        let Difference { added, removed, changed, unchanged, .. } =
            between(&configuration(now), &configuration(next));
        let words = |sign: &str, of: &Served| {
            format!("{sign} {} {} {}", of.listener, of.bind.join(" "), of.addresses)
        };
        let keys = |of: &Changed| {
            let keys = of.keys.iter().map(|Change { key, from, to, was_set }| {
                let set = if *was_set { " set" } else { "" };
                format!("{key}:{}>{}{set}", from.as_deref().unwrap_or("-"), to.as_deref().unwrap_or("-"))
            });
            format!("{} {}", words("~", &of.served), keys.collect::<Vec<_>>().join(" "))
        };
        let all = added.iter().map(|of| words("+", of)).chain(removed.iter().map(|of| words("-", of)));
        (unchanged, all.chain(changed.iter().map(keys)).collect())
    }

    #[test]
    fn the_same_configuration_changes_nothing() {
        let all = [
            listener("a", &[("127.0.0.1:7000", 7009)], &[("share", "true")]),
            listener("b", &[("[::1]:7", 7)], &[]),
        ];
        assert_eq!(told(&all, &all), (11, vec![]));
        assert_eq!(told(&[], &all).1, ["+ a 127.0.0.1:7000-7009 10", "+ b [::1]:7 1"]);
        assert_eq!(told(&all, &[]).1, ["- a 127.0.0.1:7000-7009 10", "- b [::1]:7 1"]);
    }

    #[test]
    fn a_listener_is_its_addresses() {
        let now = [listener("a", &[("127.0.0.1:7000", 7009)], &[])];
        let next = [listener("b", &[("127.0.0.1:7005", 7014)], &[("share", "true")])];
        let expected = [
            "+ b 127.0.0.1:7010-7014 5",
            "- a 127.0.0.1:7000-7004 5",
            "~ b 127.0.0.1:7005-7009 5 name:a>b share:->true",
        ];
        assert_eq!(told(&now, &next), (0, expected.map(str::to_owned).to_vec()));
        // Split in two, half of it stays.
        let next = [
            listener("a", &[("127.0.0.1:7000", 7004)], &[]),
            listener("b", &[("127.0.0.1:7005", 7009)], &[]),
        ];
        assert_eq!(told(&now, &next), (5, vec!["~ b 127.0.0.1:7005-7009 5 name:a>b".to_owned()]));
    }

    #[test]
    fn of_several_at_one_address_those_stay_that_are_the_same() {
        let (a, b) = (listener("a", &[("127.0.0.1:0", 0)], &[]), listener("b", &[("127.0.0.1:0", 0)], &[]));
        let c = listener("c", &[("127.0.0.1:0", 0)], &[]);
        assert_eq!(told(&[a, b.clone()], &[b, c]), (1, vec!["~ c 127.0.0.1:0 1 name:a>c".to_owned()]));
    }

    #[test]
    fn one_handler_for_all_addresses_is_changed_as_a_whole() {
        let of = |last| Configured { together: true, ..listener("a", &[("127.0.0.1:7000", last)], &[]) };
        let expected = ["+ a 127.0.0.1:7003 1", "~ a 127.0.0.1:7000-7002 3 "];
        assert_eq!(told(&[of(7002)], &[of(7003)]), (0, expected.map(str::to_owned).to_vec()));
        let expected = ["- a 127.0.0.1:7003 1", "~ a 127.0.0.1:7000-7002 3 "];
        assert_eq!(told(&[of(7003)], &[of(7002)]), (0, expected.map(str::to_owned).to_vec()));
    }

    #[test]
    fn a_secret_is_another_and_no_more() {
        let of = |digest: &str| Configured {
            secrets: [("key".to_owned(), digest.to_owned())].into(),
            ..listener("a", &[("127.0.0.1:7", 7)], &[])
        };
        assert_eq!(told(&[of("1")], &[of("1")]).0, 1);
        let expected = "~ a 127.0.0.1:7 1 options.key:(secret)>(secret)";
        assert_eq!(told(&[of("1")], &[of("2")]).1, [expected]);
    }

    #[test]
    fn what_was_set_is_told_from_what_was_read() {
        let now = Configured {
            options: [("loss".to_owned(), "5%".to_owned())].into(),
            set: [("options.loss".to_owned(), None)].into(),
            ..listener("a", &[("127.0.0.1:7", 7)], &[("tos", "0x10")])
        };
        let expected = "~ a 127.0.0.1:7 1 tos:0x10>- options.loss:5%>- set";
        assert_eq!(told(&[now], &[listener("a", &[("127.0.0.1:7", 7)], &[])]).1, [expected]);
    }

    #[test]
    fn what_the_command_line_of_the_daemon_says_is_not_compared() {
        let settings =
            |all: &[(&str, &str)]| all.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let now = Configuration {
            settings: settings(&[("grace", "1s"), ("sandbox.user", "nobody"), ("seed", "1")]),
            fixed: vec!["grace".to_owned(), "sandbox".to_owned()],
            ..Configuration::default()
        };
        let next = Configuration { settings: settings(&[("seed", "2")]), ..Configuration::default() };
        let difference = between(&now, &next);
        let keys: Vec<_> = difference.settings.into_iter().map(|change| change.key).collect();
        assert_eq!((keys, difference.after_restart), (vec!["seed".to_owned()], vec!["seed"]));
    }
}
