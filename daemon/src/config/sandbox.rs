//! `[sandbox]`: what the process gives up before it serves.
//!
//! The same keys are read from the table and from `--sandbox`, where they stand one behind the other; `sandbox = "off"`
//! and `--sandbox off` give nothing up.

use super::keys::{SANDBOX, named};
use super::plan::{Granted, Named, Sandbox, Switch};
use super::problem::{Problem, Span, code, quoted};
use super::read::Reader;
use super::spec;
use super::tree::{Entry, Value};

pub(super) const KEYS: [&str; SANDBOX.len()] = named(&SANDBOX);

/// The word that turns everything off.
const OFF: &str = "off";

/// Reads the value of the key `sandbox`: the word `off`, or a table.
pub(super) fn read(entry: &Entry, sandbox: &mut Sandbox, reader: &mut Reader<'_>) {
    match &entry.value {
        Value::Table(entries) => entries.iter().for_each(|entry| set(entry, "in [sandbox]", sandbox, reader)),
        Value::Text(text) if text == OFF => *sandbox = Sandbox::off(),
        Value::Text(_) => {
            reader.bad_value("sandbox", &entry.value_span, "expected \"off\" or a table [sandbox]");
        }
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Time(_) | Value::List(_) => {
            reader.wrong_type("sandbox", "\"off\" or a table [sandbox]", &entry.value, &entry.value_span);
        }
    }
}

/// Reads an argument of `--sandbox`: the word `off`, or `KEY=VALUE[,KEY=VALUE]...`.
pub(super) fn read_arg(text: &str, source: usize, sandbox: &mut Sandbox, reader: &mut Reader<'_>) {
    if text == OFF {
        *sandbox = Sandbox::off();
    } else if text.contains('=') {
        let entries = spec::pairs(text, source, &mut reader.problems);
        entries.iter().for_each(|entry| set(entry, "of --sandbox", sandbox, reader));
    } else {
        let title = "the argument of --sandbox is neither `off` nor KEY=VALUE[,KEY=VALUE]...";
        let problem = Problem::new(code::SYNTAX, title)
            .at(&Span { source, range: 0..text.len() }, "there is no `=`")
            .help("for example --sandbox user=nobody or --sandbox landlock=off");
        reader.problems.push(problem);
    }
}

/// What an argument of `--sandbox` takes back of those before it, in words. Paths add up.
pub(super) fn overridden(text: &str, before: &[String]) -> Vec<String> {
    let keys = |text: &str| -> Vec<String> {
        spec::pairs(text, 0, &mut Vec::new()).into_iter().map(|entry| entry.key).collect()
    };
    if text == OFF {
        let said = before.iter().any(|text| text != OFF);
        return said
            .then(|| "--sandbox off takes back the --sandbox before it".to_owned())
            .into_iter()
            .collect();
    }
    let since_off = before.rsplit(|text| text == OFF).next().unwrap_or_default();
    let said: Vec<String> = since_off.iter().flat_map(|text| keys(text)).collect();
    let again = |key: &String| {
        KEYS.contains(&key.as_str()) && !["read", "write"].contains(&key.as_str()) && said.contains(key)
    };
    keys(text)
        .into_iter()
        .filter(again)
        .map(|key| format!("--sandbox says `{key}` twice: the last one counts"))
        .collect()
}

fn set(entry: &Entry, place: &str, sandbox: &mut Sandbox, reader: &mut Reader<'_>) {
    match entry.key.as_str() {
        key if !KEYS.contains(&key) => {
            let help = format!("valid keys: {}", KEYS.join(", "));
            reader.unknown_key(entry, place, &KEYS, help);
        }
        "user" => sandbox.user = name(entry, reader),
        "group" => sandbox.group = name(entry, reader),
        "capabilities" => sandbox.capabilities = switch(entry, reader),
        "seccomp" => sandbox.seccomp = switch(entry, reader),
        "landlock" => sandbox.landlock = switch(entry, reader),
        "network" => sandbox.network = network(entry, reader),
        "broker" => sandbox.broker = switch(entry, reader) != Switch::Off,
        "read" => sandbox.read.extend(paths(entry, reader)),
        "write" => sandbox.write.extend(paths(entry, reader)),
        // A test holds that each key of the table is read.
        _ => {}
    }
}

/// A name, or a number as an integer or as a text.
fn name(entry: &Entry, reader: &mut Reader<'_>) -> Option<Named> {
    let text = match &entry.value {
        Value::Int(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::Bool(_) | Value::Float(_) | Value::Time(_) | Value::List(_) | Value::Table(_) => {
            reader.wrong_type(&entry.key, "a name or a number", &entry.value, &entry.value_span);
            return None;
        }
    };
    if text.is_empty() || text.contains('\0') {
        reader.bad_value(&entry.key, &entry.value_span, "expected a name or a number");
        return None;
    }
    Some(Named { text, span: entry.value_span.clone() })
}

fn switch(entry: &Entry, reader: &mut Reader<'_>) -> Switch {
    match reader.text(entry) {
        Some("on") => Switch::On,
        Some(OFF) => Switch::Off,
        Some(_) => {
            reader.bad_value(&entry.key, &entry.value_span, "expected \"on\" or \"off\"");
            Switch::default()
        }
        None => Switch::default(),
    }
}

/// Whether internet sockets may be opened.
fn network(entry: &Entry, reader: &mut Reader<'_>) -> bool {
    match reader.text(entry) {
        Some("open") => true,
        Some("closed") | None => false,
        Some(_) => {
            reader.bad_value(&entry.key, &entry.value_span, "expected \"closed\" or \"open\"");
            false
        }
    }
}

/// One path, or a list of paths.
fn paths(entry: &Entry, reader: &mut Reader<'_>) -> Vec<Granted> {
    const EXPECTED: &str = "a string or an array of strings";
    let one = |value: &Value, span: &Span, reader: &mut Reader<'_>| {
        let Value::Text(path) = value else {
            reader.wrong_type(&entry.key, EXPECTED, value, span);
            return None;
        };
        if path.is_empty() || path.contains('\0') {
            let label = format!("expected a path, not {}", quoted(path));
            reader.bad_value(&entry.key, span, label);
            return None;
        }
        Some(Granted { path: reader.base.join(path), span: span.clone() })
    };
    match &entry.value {
        Value::List(list) => list.iter().filter_map(|(value, span)| one(value, span, reader)).collect(),
        value @ (Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::Time(_)
        | Value::Table(_)) => one(value, &entry.value_span, reader).into_iter().collect(),
    }
}
