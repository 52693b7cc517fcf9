//! The table of keys and those who read the file say the same: names, forms, bounds and defaults.

use std::time::Duration;

use super::super::keys::{self, Form, Key, Place, Usual};
use super::super::{Problems, code};
use super::{LISTEN, codes, toml};
use crate::limits::Limits;
use crate::reply::ReplyPolicy;

/// A file with one line in a table, which a listener stands behind or before.
fn file(place: Place, line: &str) -> String {
    match place {
        Place::Top if line.starts_with("listen ") => line.to_owned(),
        Place::Top => format!("{line}\n{LISTEN}"),
        // What must be given is given by the line.
        Place::Listen if line.starts_with("bind ") => format!("[[listen]]\nplugin = 'echo'\n{line}\n"),
        Place::Listen if line.starts_with("plugin ") => format!("[[listen]]\nbind = ':1'\n{line}\n"),
        Place::Listen if line.starts_with("join ") => {
            format!("[[listen]]\nbind = ':1'\nplugin = 'echo'\n{line}\n")
        }
        Place::Listen => format!("{LISTEN}{line}\n"),
        Place::Reply => format!("{LISTEN}[listen.reply]\n{line}\n"),
        Place::Limits | Place::Sandbox => format!("{}\n{line}\n{LISTEN}", place.header()),
    }
}

fn every_key() -> impl Iterator<Item = (Place, &'static Key)> {
    Place::ALL.into_iter().flat_map(|place| keys::all(place).iter().map(move |key| (place, key)))
}

/// All that is wrong with a key that has a value.
fn refusals(place: Place, key: &Key, value: &str) -> Option<Problems> {
    toml(&file(place, &format!("{} = {value}", key.name))).err()
}

#[test]
fn every_key_is_read_and_no_other() {
    assert!(every_key().count() > 50);
    for (place, key) in every_key() {
        // No key takes a date: who does not refuse it has not looked at the key.
        let refused =
            refusals(place, key, "1979-05-27").unwrap_or_else(|| panic!("{} is not read", key.name));
        assert_eq!(codes(&refused)[0], code::WRONG_TYPE, "{}: {refused}", key.name);
    }
    for place in Place::ALL {
        let refused = toml(&file(place, "zzzzzzzz = 1")).unwrap_err();
        assert_eq!(codes(&refused), [code::UNKNOWN_KEY], "{place:?}");
    }
}

#[test]
fn what_the_table_calls_a_default_or_an_example_is_accepted() {
    for (place, key) in every_key().filter(|(_, key)| !key.value().is_empty()) {
        let refused = refusals(place, key, key.value());
        assert!(refused.is_none(), "{} = {}: {}", key.name, key.value(), refused.unwrap());
    }
}

#[test]
fn the_bounds_of_the_table_are_accepted_and_what_is_beyond_is_not() {
    let alone = |place: Place, name: &str, value: &str| {
        // Two limits must not exceed another one, which is as large as can be then.
        let with = match name {
            "visit_datagrams" => "\nturn_datagrams = 1048576",
            "backlog_bytes" => "\nbacklog_total_bytes = '64GiB'",
            "turn_datagrams" => "\nvisit_datagrams = 1",
            "backlog_total_bytes" => "\nbacklog_bytes = 0",
            _ => "",
        };
        toml(&file(place, &format!("{name} = {value}{with}"))).is_ok()
    };
    let mut tried = 0;
    for (place, key) in every_key() {
        let is = |value: &str| alone(place, key.name, value);
        for form in key.forms {
            match form {
                // The ports of `reply` are a few of their range, and an id may be any.
                Form::Whole(_) if ["ports", "user", "group"].contains(&key.name) => {}
                Form::Whole(range) | Form::Size(range) => {
                    tried += 1;
                    let (least, most) = (*range.start(), *range.end());
                    assert!(is(&least.to_string()), "{} {least}", key.name);
                    assert!(!is(&(i128::try_from(least).unwrap() - 1).to_string()), "{}", key.name);
                    if most < usize::MAX {
                        assert!(is(&most.to_string()), "{} {most}", key.name);
                        assert!(!is(&(most + 1).to_string()), "{} {most}", key.name);
                    }
                }
                Form::Time(range) => {
                    tried += 1;
                    let text = |time: Duration| format!("\"{}ns\"", time.as_nanos());
                    let beyond = *range.end() + Duration::from_nanos(1);
                    assert!(
                        is(&text(*range.start())) && is(&text(*range.end())) && !is(&text(beyond)),
                        "{}",
                        key.name
                    );
                }
                Form::Factor(least, most) => {
                    tried += 1;
                    assert!(is(&format!("{least:?}")) && is(&format!("{most:?}")), "{}", key.name);
                    assert!(
                        !is(&format!("{:?}", least - 0.1)) && !is(&format!("{:?}", most + 0.1)),
                        "{}",
                        key.name
                    );
                }
                Form::Words(words) => {
                    tried += 1;
                    assert!(words.iter().all(|word| is(&format!("\"{word}\""))), "{}", key.name);
                }
                Form::Flag => {
                    tried += 1;
                    assert!(is("true") && is("false") && !is("1"), "{}", key.name);
                }
                Form::Text(_) | Form::List(..) | Form::Table(_) | Form::Tables(_) | Form::Free => {}
            }
        }
    }
    assert!(tried > 35, "{tried}");
}

/// What is written for a default is what holds without the key.
#[test]
fn the_defaults_of_the_table_are_those_of_the_program() {
    let given = |place: Place| {
        keys::all(place)
            .iter()
            .filter_map(|key| match key.usual {
                Usual::Value(value) => Some(format!("{} = {value}\n", key.name)),
                Usual::Said { .. } | Usual::Needed(_) => None,
            })
            .collect::<String>()
    };
    let limits = given(Place::Limits);
    assert_eq!(limits.lines().count(), keys::all(Place::Limits).len());
    assert_eq!(toml(&format!("[limits]\n{limits}{LISTEN}")).unwrap().limits, Limits::default());
    let reply = given(Place::Reply);
    assert_eq!(reply.lines().count(), keys::all(Place::Reply).len());
    let plan = toml(&format!("{LISTEN}[listen.reply]\n{reply}")).unwrap();
    assert_eq!(plan.listen[0].reply, ReplyPolicy::default());
    let (said, silent) = (toml(&format!("{LISTEN}{}", given(Place::Listen))).unwrap(), toml(LISTEN).unwrap());
    assert_eq!(said.listen, silent.listen);
    let sandbox = toml(&format!("[sandbox]\n{}{LISTEN}", given(Place::Sandbox))).unwrap().sandbox;
    assert_eq!(sandbox, silent.sandbox);
}

#[test]
fn the_template_is_a_configuration_as_it_is_and_with_all_of_it() {
    let template = keys::template();
    let plan = toml(&template).unwrap();
    assert_eq!((plan.listen.len(), plan.sockets()), (1, 1));
    assert_eq!(plan.limits, Limits::default());
    let whole: Vec<&str> = template
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
        .collect();
    let plan = toml(&whole.join("\n")).unwrap();
    assert_eq!((plan.listen.len(), plan.seed, plan.listen[1].sessions), (2, Some(42), Some(100)));
    for (place, key) in every_key() {
        let begin = if key.table().is_some() { continue } else { format!("{} = ", key.name) };
        assert!(whole.iter().any(|line| line.starts_with(&begin)), "{place:?} {}", key.name);
    }
    assert!(template.lines().all(|line| line.chars().count() <= 160), "{template}");
}
