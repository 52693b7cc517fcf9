//! The settings of one listener, from a `[[listen]]` table or a `--listen` argument.

use std::path::PathBuf;

use super::access;
use super::bind::endpoints;
use super::bounds::{SESSIONS, SOCKET_BUFFER};
use super::join;
use super::keys::{LISTEN, named};
use super::outgoing;
use super::plan::{Bind, Listen, OnFault, PluginRef, RawOption, RawValue, SocketSettings};
use super::problem::{Problem, Span, code};
use super::read::Reader;
use super::reply;
use super::tree::{Entry, Value};
use super::veil::is_key;
use crate::reply::ReplyPolicy;

/// Every key of `[[listen]]`. A new setting is a line of the table of keys, an arm in [`read`] and a field of
/// [`Listen`]; `--listen` takes those that are in [`SPEC_SETTINGS`] as well. The keys of `reply` are in `reply.rs`.
pub(super) const KEYS: [&str; LISTEN.len()] = named(&LISTEN);

/// The keys behind `--listen BIND=PLUGIN` that are settings of the listener, those of the reply policy apart; any other
/// is an option of the plugin. None comes to these: it would take its name from options of plugins that have it.
pub(super) const SPEC_SETTINGS: [&str; 9] =
    ["name", "join", "share", "broadcast", "freebind", "recv_buffer", "send_buffer", "chain", "on_fault"];
/// Those that are settings only with [`LISTEN_PREFIX`] before them.
pub(super) const PREFIXED_SETTINGS: [&str; 7] = [
    "listen.wait",
    "listen.device",
    "listen.tos",
    "listen.ttl",
    "listen.allow",
    "listen.deny",
    "listen.sessions",
];
/// What a key begins with that is a setting of the listener.
pub(super) const LISTEN_PREFIX: &str = "listen.";

/// Every key behind `--listen BIND=PLUGIN` that is a setting of the listener. Public for the stage that finds an unknown
/// option: it may be a mistyped setting.
pub fn spec_settings() -> impl Iterator<Item = &'static str> {
    SPEC_SETTINGS.into_iter().chain(PREFIXED_SETTINGS).chain(reply::SPEC_KEYS)
}

/// The setting that is called so with its prefix, for who has left it out.
pub fn prefixed_setting(name: &str) -> Option<&'static str> {
    PREFIXED_SETTINGS.into_iter().find(|setting| setting.strip_prefix(LISTEN_PREFIX) == Some(name))
}

/// Characters of a name: it becomes a metric label and a column of `status`, and stays within the 63
/// of a DNS label.
pub(super) const MAX_NAME: usize = 63;

/// What was read, good or not: the checks between listeners need the good parts of all of them.
pub(super) struct Draft {
    /// The name as given, with its place; `None` asks for one made from the plugin.
    pub(super) name: Option<(String, Span)>,
    /// Its `name` is still empty.
    pub(super) listen: Listen,
}

/// Reads the settings; `span` is the header of the table or the whole argument.
pub(super) fn read(entries: &[Entry], span: &Span, reader: &mut Reader<'_>) -> Draft {
    let mut name = None;
    let mut plugin = None;
    let mut listen = Listen {
        name: String::new(),
        bind: Vec::new(),
        plugin: PluginRef { text: String::new(), span: span.clone(), path: None },
        options: Vec::new(),
        join: Vec::new(),
        socket: SocketSettings::default(),
        sessions: None,
        chain: false,
        access: None,
        on_fault: OnFault::default(),
        reply: ReplyPolicy::default(),
        example: None,
        idle: Vec::new(),
        as_read: None,
        span: span.clone(),
    };
    let later = entries.iter().any(|entry| entry.key == "wait" && matches!(entry.value, Value::Bool(true)));
    let mut seen: Vec<&str> = Vec::new();
    for entry in entries {
        seen.push(&entry.key);
        match entry.key.as_str() {
            key if !KEYS.contains(&key) => {
                let help = format!(
                    "plugin options belong in options = {{ {} = ... }}; keys of [[listen]]: {}",
                    if is_key(key) { key } else { "KEY" },
                    KEYS.join(", ")
                );
                // A mistyped key is not missing as well.
                seen.extend(reader.unknown_key(entry, "in [[listen]]", &KEYS, help));
            }
            "name" => name = read_name(entry, reader),
            "bind" => listen.bind = read_bind(entry, later, reader),
            "plugin" => plugin = read_plugin(entry, reader),
            "options" => listen.options = read_options(entry, reader),
            // Read together, below.
            "allow" | "deny" => {}
            "reply" => listen.reply = reply::read(entry, reader),
            "try" => listen.example = reader.text(entry).map(str::to_owned),
            _ => setting(&mut listen, entry, later, reader),
        }
    }
    for (key, example) in [("bind", "bind = \"127.0.0.1:7000\""), ("plugin", "plugin = \"echo\"")] {
        if !seen.contains(&key) {
            let problem = Problem::new(code::MISSING_KEY, format!("[[listen]] without `{key}`"));
            reader.problems.push(problem.at(span, "").help(format!("for example {example}")));
        }
    }
    listen.access = access::read(entries, reader);
    listen.plugin = plugin.unwrap_or(listen.plugin);
    if let Some(Entry { value: Value::Table(policy), .. }) = entries.iter().find(|entry| entry.key == "reply")
    {
        listen.idle = idle(policy, &listen);
    }
    finish(&mut listen, entries, reader);
    Draft { name, listen }
}

/// What only the whole listener tells, of the settings in `entries`.
fn finish(listen: &mut Listen, entries: &[Entry], reader: &mut Reader<'_>) {
    if let Some(entry) = entries.iter().find(|entry| entry.key == "device") {
        outgoing::check_device(entry, listen, reader);
    }
    join::check(listen, reader);
    listen.join.extend(join::implied(listen));
}

fn idle(policy: &[Entry], listen: &Listen) -> Vec<String> {
    let ips: Vec<_> = listen.bind.iter().map(|bind| bind.ip).collect();
    reply::idle(policy, &listen.reply, &ips)
}

/// Reads a setting that stands for itself.
fn setting(listen: &mut Listen, entry: &Entry, later: bool, reader: &mut Reader<'_>) {
    match entry.key.as_str() {
        "join" => listen.join = join::read(entry, later, reader),
        "share" => listen.socket.share = reader.flag(entry),
        "broadcast" => listen.socket.broadcast = reader.flag(entry),
        "freebind" => listen.socket.freebind = read_later(entry, reader),
        "wait" => listen.socket.wait = read_later(entry, reader),
        "device" => listen.socket.device = outgoing::device(entry, reader),
        "tos" => listen.socket.tos = outgoing::tos(entry, reader),
        "ttl" => listen.socket.ttl = outgoing::ttl(entry, reader),
        "recv_buffer" => listen.socket.recv_buffer = reader.size(entry, &SOCKET_BUFFER),
        "send_buffer" => listen.socket.send_buffer = reader.size(entry, &SOCKET_BUFFER),
        "sessions" => listen.sessions = reader.count(entry, &SESSIONS),
        "chain" => listen.chain = reader.flag(entry),
        "on_fault" => listen.on_fault = read_on_fault(entry, reader),
        // A test holds that each key of the table is read.
        _ => {}
    }
}

/// Changes settings of a listener that is served, and keys of its reply policy; what is not among them stays as it is.
pub(super) fn change(listen: &mut Listen, entries: &[Entry], policy: &[Entry], reader: &mut Reader<'_>) {
    let wait = entries.iter().find(|entry| entry.key == "wait");
    let later = wait.map_or(listen.socket.wait, |entry| matches!(entry.value, Value::Bool(true)));
    entries.iter().for_each(|entry| setting(listen, entry, later, reader));
    if !policy.is_empty() {
        reply::change(&mut listen.reply, policy, reader);
        listen.idle = idle(policy, listen);
    }
    access::change(listen, entries, reader);
    finish(listen, entries, reader);
}

fn read_name(entry: &Entry, reader: &mut Reader<'_>) -> Option<(String, Span)> {
    let name = reader.text(entry)?;
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(name_character) {
        let label = format!("expected 1 to {MAX_NAME} characters out of a-z A-Z 0-9 _ . -");
        reader.bad_value("name", &entry.value_span, label);
    }
    Some((name.to_owned(), entry.value_span.clone()))
}

/// What a name may consist of.
pub(super) fn name_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | '-')
}

fn bare(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

fn read_bind(entry: &Entry, later: bool, reader: &mut Reader<'_>) -> Vec<Bind> {
    const EXPECTED: &str = "a string or an array of strings";
    match &entry.value {
        Value::Text(text) => one_bind(text, &entry.value_span, later, reader),
        Value::List(list) if list.is_empty() => {
            reader.bad_value("bind", &entry.value_span, "expected at least one address");
            Vec::new()
        }
        Value::List(list) => list
            .iter()
            .flat_map(|(value, span)| {
                if let Value::Text(text) = value {
                    return one_bind(text, span, later, reader);
                }
                reader.wrong_type("bind", EXPECTED, value, span);
                Vec::new()
            })
            .collect(),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Time(_) | Value::Table(_) => {
            reader.wrong_type("bind", EXPECTED, &entry.value, &entry.value_span);
            Vec::new()
        }
    }
}

/// One text is one address, or the several that it stands for.
fn one_bind(text: &str, span: &Span, later: bool, reader: &mut Reader<'_>) -> Vec<Bind> {
    match endpoints(text, &reader.names, later) {
        Ok(endpoints) => endpoints
            .into_iter()
            .map(|endpoint| Bind {
                ip: endpoint.ip,
                scope_id: endpoint.scope_id,
                zone: endpoint.zone,
                first: endpoint.first,
                last: endpoint.last,
                text: text.to_owned(),
                span: span.clone(),
            })
            .collect(),
        Err(refusal) => {
            let mut problem = Problem::new(refusal.code, "invalid bind address").at(span, refusal.label);
            problem.help = refusal.help;
            reader.problems.push(problem);
            Vec::new()
        }
    }
}

fn read_plugin(entry: &Entry, reader: &mut Reader<'_>) -> Option<PluginRef> {
    let text = reader.text(entry)?;
    let is_path = text.contains('/') || text.ends_with(".so") || text.ends_with(".dylib");
    if text.contains('\0') || !is_path && !bare(text) {
        let label = "expected the name of a plugin (a-z A-Z 0-9 _ -) or a path with a / or ending in .so";
        reader.bad_value("plugin", &entry.value_span, label);
        return None;
    }
    let path = is_path.then(|| reader.base.join(text));
    Some(PluginRef { text: text.to_owned(), span: entry.value_span.clone(), path })
}

/// The name a listener gets from its plugin: for a path its file name without `lib` and extension.
pub(super) fn default_name(plugin: &PluginRef) -> String {
    let stem = match &plugin.path {
        None => plugin.text.clone(),
        Some(path) => path.file_stem().map(PathBuf::from).unwrap_or_default().to_string_lossy().into_owned(),
    };
    let name = if plugin.path.is_some() { stem.strip_prefix("lib").unwrap_or(&stem) } else { &stem };
    let name: String = name.chars().map(|c| if name_character(c) { c } else { '-' }).collect();
    if name.is_empty() { "plugin".to_owned() } else { name }
}

fn read_on_fault(entry: &Entry, reader: &mut Reader<'_>) -> OnFault {
    match reader.text(entry) {
        Some("restart") | None => OnFault::Restart,
        Some("off") => OnFault::Off,
        Some("exit") => OnFault::Exit,
        Some(other) => {
            let label = "expected \"restart\", \"off\" or \"exit\"";
            let title = "invalid value for `on_fault`";
            let problem = Problem::new(code::BAD_VALUE, title).at(&entry.value_span, label);
            // Its name until the handler was made again without an end.
            let renamed = other == "drop";
            reader.problems.push(if renamed {
                problem.help("\"drop\" is called \"restart\" now")
            } else {
                problem
            });
            OnFault::Restart
        }
    }
}

/// Only Linux binds an address before it is there.
fn read_later(entry: &Entry, reader: &mut Reader<'_>) -> bool {
    let wanted = reader.flag(entry);
    if wanted && !cfg!(target_os = "linux") {
        let label = "this system binds only addresses that it has; Linux binds others, too";
        reader.bad_value(&entry.key, &entry.value_span, label);
    }
    wanted
}

fn read_options(entry: &Entry, reader: &mut Reader<'_>) -> Vec<RawOption> {
    // Until their plugin says which of them are secrets, all are.
    reader.veil(&entry.value, &entry.value_span);
    let Value::Table(entries) = &entry.value else {
        reader.wrong_type("options", "a table", &entry.value, &entry.value_span);
        return Vec::new();
    };
    options_of(entries, "", reader)
}

/// The entries of a table whose name, with a dot behind it, is `under`.
fn options_of(entries: &[Entry], under: &str, reader: &mut Reader<'_>) -> Vec<RawOption> {
    let option = |entry: &Entry| {
        let name = format!("{under}{}", entry.key);
        let value = if let Value::Table(entries) = &entry.value {
            RawValue::Table(options_of(entries, &format!("{name}."), reader))
        } else {
            raw(&entry.value).map_err(|label| reader.bad_option(&name, &entry.value_span, label)).ok()?
        };
        Some(RawOption {
            name: entry.key.clone(),
            name_span: entry.key_span.clone(),
            value,
            value_span: entry.value_span.clone(),
            element_spans: elements(&entry.value).iter().map(|(_, span)| span.clone()).collect(),
        })
    };
    entries.iter().filter_map(option).collect()
}

fn elements(value: &Value) -> &[(Value, Span)] {
    if let Value::List(list) = value { list } else { &[] }
}

fn raw(value: &Value) -> Result<RawValue, String> {
    Ok(match to_toml(value)? {
        toml::Value::Boolean(value) => RawValue::Bool(value),
        toml::Value::Integer(value) => RawValue::Int(value),
        toml::Value::Float(value) => RawValue::Float(value),
        toml::Value::String(value) => RawValue::Text(value),
        other @ (toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_)) => {
            RawValue::Other(other)
        }
    })
}

fn to_toml(value: &Value) -> Result<toml::Value, String> {
    Ok(match value {
        Value::Bool(value) => toml::Value::Boolean(*value),
        Value::Int(value) => {
            toml::Value::Integer(i64::try_from(*value).map_err(|_| "the integer does not fit into 64 bits")?)
        }
        Value::Float(value) => toml::Value::Float(*value),
        Value::Text(value) => toml::Value::String(value.clone()),
        Value::Time(value) => toml::Value::Datetime(*value),
        Value::List(list) => {
            toml::Value::Array(list.iter().map(|(value, _)| to_toml(value)).collect::<Result<_, _>>()?)
        }
        Value::Table(entries) => toml::Value::Table(
            entries
                .iter()
                .map(|entry| Ok((entry.key.clone(), to_toml(&entry.value)?)))
                .collect::<Result<_, String>>()?,
        ),
    })
}
