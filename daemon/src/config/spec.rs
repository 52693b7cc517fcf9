//! `--listen BIND=PLUGIN[,key=value]...`: a listener on the command line.

use std::iter;
use std::ops::Range;

use super::listener::{LISTEN_PREFIX, PREFIXED_SETTINGS, SPEC_SETTINGS};
use super::problem::{Problem, Span, code};
use super::reply;
use super::tree::{Entry, Value};
use super::veil::{is_key, quoted_key};

/// What a key begins with that is an option of the plugin even if it is called as a setting.
const OPTIONS_PREFIX: &str = "options.";

/// What a key means, behind `--listen BIND=PLUGIN` as well as in `polyport set`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meant<'k> {
    /// A setting of the listener.
    Setting(&'k str),
    /// A key of its table `[listen.reply]`.
    Reply(&'k str),
    /// An option of its plugin.
    Option(&'k str),
}

impl<'k> Meant<'k> {
    /// A key that is a setting of the listener is never an option, nor is one that begins with `reply.`; with `options.` before
    /// it any key is one. Settings that came later have `listen.` before them.
    pub(super) fn by(key: &'k str) -> Self {
        if let Some(name) = key.strip_prefix(OPTIONS_PREFIX) {
            Self::Option(name)
        } else if let Some(name) = key.strip_prefix(reply::SPEC_PREFIX) {
            Self::Reply(name)
        } else if PREFIXED_SETTINGS.contains(&key) {
            Self::Setting(key.strip_prefix(LISTEN_PREFIX).unwrap_or(key))
        } else if SPEC_SETTINGS.contains(&key) {
            Self::Setting(key)
        } else {
            Self::Option(key)
        }
    }
}

/// The places of an argument that are not shown; see `veil`: the values of options, and what has no key.
pub(super) fn veiled(text: &str) -> Vec<Range<usize>> {
    let comma = |from: usize| text[from..].find(',').map_or(text.len(), |comma| from + comma);
    let Some(equals) = text.find('=').filter(|equals| !text[..*equals].contains(',')) else {
        // Nobody knows what stands where.
        return iter::once(comma(0)..text.len()).collect();
    };
    let spec = Spec { text, source: 0 };
    let mut veiled = Vec::new();
    let mut at = spec.value(equals + 1, &mut Vec::new()).1.end + 1;
    while at <= text.len() {
        let piece = at..comma(at);
        let Some(equals) = text[piece.clone()].find('=') else {
            at = piece.end + 1;
            veiled.push(piece);
            continue;
        };
        let range = at..at + equals;
        let key = &text[range.clone()];
        let (_, value) = spec.value(at + equals + 1, &mut Vec::new());
        at = value.end + 1;
        if !is_key(key) {
            veiled.push(range);
        }
        let is_setting = SPEC_SETTINGS.contains(&key) || PREFIXED_SETTINGS.contains(&key);
        if !(is_setting || key == "reply" || reply::SPEC_KEYS.contains(&key)) {
            veiled.push(value);
        }
    }
    veiled
}

/// Cuts an argument into the entries that a `[[listen]]` table of the same meaning would have.
/// `None` when BIND or PLUGIN cannot be told apart; the reason is in `problems`.
///
/// What a key means [`Meant`] says.
///
/// A value in double quotes may hold commas; in it `\"` is a quote and `\\` a backslash.
pub(super) fn entries(text: &str, source: usize, problems: &mut Vec<Problem>) -> Option<Vec<Entry>> {
    let spec = Spec { text, source };
    let Some(equals) = text.find('=') else {
        let problem =
            Problem::new(code::SYNTAX, "the argument of --listen is not BIND=PLUGIN[,key=value]...")
                .at(&spec.span(0..text.len()), "there is no `=`")
                .help("for example --listen 127.0.0.1:7000=echo or --listen '[::1]:7000=lossy,loss=10%'");
        problems.push(problem);
        return None;
    };
    if let Some(comma) = text[..equals].find(',') {
        let problem = Problem::new(code::SYNTAX, "BIND=PLUGIN comes before everything else")
            .at(&spec.span(comma..equals + 1), "there is no plugin before this")
            .help("for example --listen 127.0.0.1:7000=echo,reply=length");
        problems.push(problem);
        return None;
    }
    let (plugin, range) = spec.value(equals + 1, problems);
    let behind = range.end + 1;
    let mut entries = vec![
        spec.entry(0..0, "bind", Value::Text(text[..equals].to_owned()), 0..equals),
        spec.entry(0..0, "plugin", Value::Text(plugin), range),
    ];
    let (mut options, mut policy) = (Vec::new(), Vec::new());
    for entry in spec.pairs(behind, problems) {
        let Entry { key, value, value_span, key_span } = entry;
        let (name, value, place) = match Meant::by(&key) {
            Meant::Option(name) => (name, value, &mut options),
            Meant::Reply(name) => (name, reply::typed(name, value, &value_span), &mut policy),
            Meant::Setting(name) => (name, value, &mut entries),
        };
        spec.put(Entry { key: name.to_owned(), key_span, value, value_span }, place, problems);
    }
    if !policy.is_empty() {
        entries.push(spec.entry(0..0, "reply", Value::Table(policy), 0..text.len()));
    }
    if !options.is_empty() {
        entries.push(spec.entry(0..0, "options", Value::Table(options), 0..text.len()));
    }
    Some(entries)
}

/// Cuts `key=value[,key=value]...` into entries, none with a key that was there before.
pub(super) fn pairs(text: &str, source: usize, problems: &mut Vec<Problem>) -> Vec<Entry> {
    let spec = Spec { text, source };
    let mut entries = Vec::new();
    for entry in spec.pairs(0, problems) {
        spec.put(entry, &mut entries, problems);
    }
    entries
}

/// All that is typed is text; the settings that TOML writes as booleans or numbers become such.
pub(super) fn setting(name: &str, value: String) -> Value {
    match (name, value.as_str()) {
        ("share" | "broadcast" | "freebind" | "chain" | "listen.wait", "true") => Value::Bool(true),
        ("share" | "broadcast" | "freebind" | "chain" | "listen.wait", "false") => Value::Bool(false),
        ("listen.ttl" | "listen.sessions", number) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            number.parse().map_or(Value::Text(value), Value::Int)
        }
        _ => Value::Text(value),
    }
}

struct Spec<'a> {
    text: &'a str,
    source: usize,
}

impl Spec<'_> {
    fn span(&self, range: Range<usize>) -> Span {
        Span { source: self.source, range }
    }

    fn entry(&self, key_range: Range<usize>, key: &str, value: Value, range: Range<usize>) -> Entry {
        Entry { key: key.to_owned(), key_span: self.span(key_range), value, value_span: self.span(range) }
    }

    /// Every `key=value` from `at` on.
    fn pairs(&self, mut at: usize, problems: &mut Vec<Problem>) -> Vec<Entry> {
        let text = self.text;
        let mut entries = Vec::new();
        // `at` is behind the last comma, or behind the end when there is no further one.
        while at <= text.len() {
            let piece = at..text[at..].find(',').map_or(text.len(), |comma| at + comma);
            let Some(equals) = text[piece.clone()].find('=') else {
                problems.push(self.no_value(&piece));
                at = piece.end + 1;
                continue;
            };
            let key = at..at + equals;
            let (value, range) = self.value(key.end + 1, problems);
            at = range.end + 1;
            let name = &text[key.clone()];
            entries.push(self.entry(key, name, setting(name, value), range));
        }
        entries
    }

    fn no_value(&self, range: &Range<usize>) -> Problem {
        let label = if range.is_empty() { "nothing is here" } else { "there is no `=`" };
        Problem::new(code::SYNTAX, "expected key=value")
            .at(&self.span(range.clone()), label)
            .help("a comma inside a value needs double quotes: key=\"one,two\"")
    }

    /// Adds an entry unless its key is missing or was there before.
    fn put(&self, entry: Entry, place: &mut Vec<Entry>, problems: &mut Vec<Problem>) {
        if entry.key.is_empty() {
            let problem = Problem::new(code::SYNTAX, "expected key=value");
            problems.push(problem.at(&entry.value_span, "there is no key"));
        } else if let Some(first) = place.iter().find(|other| other.key == entry.key) {
            let title = format!("{} is given twice", quoted_key(&entry.key));
            let problem = Problem::new(code::DUPLICATE_KEY, title).at(&entry.key_span, "again here");
            problems.push(problem.also(&first.key_span, "first here"));
        } else {
            place.push(entry);
        }
    }

    /// The value that begins at `start`, and its range with the quotes.
    fn value(&self, start: usize, problems: &mut Vec<Problem>) -> (String, Range<usize>) {
        let rest = &self.text[start..];
        let Some(inside) = rest.strip_prefix('"') else {
            // A list has its commas between brackets.
            let list = if rest.starts_with('[') { rest.find(']').unwrap_or(0) } else { 0 };
            let end = rest[list..].find(',').map_or(rest.len(), |comma| list + comma);
            return (rest[..end].to_owned(), start..start + end);
        };
        let mut value = String::new();
        let mut characters = inside.char_indices();
        while let Some((offset, character)) = characters.next() {
            match character {
                '\\' => match characters.next() {
                    Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                    Some((_, other)) => value.extend(['\\', other]),
                    None => value.push('\\'),
                },
                '"' => {
                    let end = start + 1 + offset + 1;
                    let tail = self.text[end..].find(',').unwrap_or(self.text.len() - end);
                    if tail > 0 {
                        let problem = Problem::new(code::SYNTAX, "text after the closing quote");
                        problems.push(problem.at(&self.span(end..end + tail), "expected a comma or the end"));
                    }
                    return (value, start..end + tail);
                }
                _ => value.push(character),
            }
        }
        let problem = Problem::new(code::SYNTAX, "the double quote is not closed");
        problems.push(
            problem
                .at(&self.span(start..self.text.len()), "opened here")
                .help("a shell removes quotes: write --listen '127.0.0.1:7000=echo,key=\"one,two\"'"),
        );
        (value, start..self.text.len())
    }
}
