//! Reading typed values out of the tree, with every problem noted and none of them the last.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use polyport_value as value;

use super::asked::Asked;
use super::bounds::show_size;
use super::names::Names;
use super::nearest::nearest;
use super::problem::{Problem, Span, code, quoted};
use super::tree::{Entry, Value};
use super::veil::{leaves, quoted_key, strange_key};

/// What the readers of all tables share.
pub(super) struct Reader<'a> {
    /// Answers of the system.
    pub(super) names: Asked<'a>,
    /// The directory that relative paths start from.
    pub(super) base: PathBuf,
    /// Everything found so far.
    pub(super) problems: Vec<Problem>,
    /// Places that are not shown; see `veil`.
    pub(super) veiled: Vec<Span>,
}

impl<'a> Reader<'a> {
    /// A reader that has read nothing; relative paths start at the working directory.
    pub(super) const fn new(names: &'a Names) -> Self {
        Self { names: Asked::new(names), base: PathBuf::new(), problems: Vec::new(), veiled: Vec::new() }
    }
}

impl Reader<'_> {
    /// A key that its table does not know; `place` reads like `in [limits]`. `fallback` is the help when
    /// no valid key is near.
    /// Returns the key that was probably meant.
    pub(super) fn unknown_key<'k>(
        &mut self,
        entry: &Entry,
        place: &str,
        keys: &[&'k str],
        fallback: String,
    ) -> Option<&'k str> {
        let meant = nearest(&entry.key, keys.iter().copied());
        let help = meant.map_or(fallback, |meant| format!("did you mean `{meant}`?"));
        // The daemon's own settings are no secrets, even when they are mistyped.
        let shown = if meant.is_some() { quoted(&entry.key) } else { quoted_key(&entry.key) };
        let title = format!("unknown key {shown} {place}");
        self.problems.push(Problem::new(code::UNKNOWN_KEY, title).at(&entry.key_span, "").help(help));
        if meant.is_none() {
            self.veiled.extend(strange_key(&entry.key, &entry.key_span));
            self.veil(&entry.value, &entry.value_span);
        }
        meant
    }

    /// Does not show a value: it may be a secret.
    pub(super) fn veil(&mut self, value: &Value, span: &Span) {
        self.veiled.extend(leaves(value, span));
    }

    /// A value of another type than `expected`, which reads like "a string".
    pub(super) fn wrong_type(&mut self, key: &str, expected: &str, value: &Value, span: &Span) {
        let title = format!("`{key}` must be {expected}");
        let label = format!("this is {}", value.kind());
        if matches!(value, Value::List(_) | Value::Table(_)) {
            // Nobody knows what these keys mean.
            self.veil(value, span);
        }
        self.problems.push(Problem::new(code::WRONG_TYPE, title).at(span, label));
    }

    /// A value of the right type that is not valid.
    pub(super) fn bad_value(&mut self, key: &str, span: &Span, label: impl Into<String>) {
        let title = format!("invalid value for `{key}`");
        self.problems.push(Problem::new(code::BAD_VALUE, title).at(span, label));
    }

    /// A value of the right type that is not valid, of an option, whose name only its plugin knows.
    pub(super) fn bad_option(&mut self, name: &str, span: &Span, label: impl Into<String>) {
        let title = format!("invalid value for {}", quoted_key(name));
        self.problems.push(Problem::new(code::BAD_VALUE, title).at(span, label));
    }

    pub(super) fn text<'e>(&mut self, entry: &'e Entry) -> Option<&'e str> {
        if let Value::Text(text) = &entry.value {
            return Some(text);
        }
        self.wrong_type(&entry.key, "a string", &entry.value, &entry.value_span);
        None
    }

    /// `true` or `false`; anything else is noted and counts as `false`, the default of every flag.
    pub(super) fn flag(&mut self, entry: &Entry) -> bool {
        if let Value::Bool(value) = entry.value {
            return value;
        }
        self.wrong_type(&entry.key, "true or false", &entry.value, &entry.value_span);
        false
    }

    /// An integer from `range`.
    pub(super) fn count(&mut self, entry: &Entry, range: &RangeInclusive<usize>) -> Option<usize> {
        let Value::Int(number) = entry.value else {
            self.wrong_type(&entry.key, "an integer", &entry.value, &entry.value_span);
            return None;
        };
        let count = usize::try_from(number).ok().filter(|count| range.contains(count));
        if count.is_none() {
            let label = format!("expected {} to {}", range.start(), range.end());
            self.bad_value(&entry.key, &entry.value_span, label);
        }
        count
    }

    /// Bytes from `range`, as an integer or as a string with a unit.
    pub(super) fn size(&mut self, entry: &Entry, range: &RangeInclusive<usize>) -> Option<usize> {
        let read = match &entry.value {
            Value::Int(number) => Ok(*number),
            Value::Text(text) => value::size(text).map(i128::from),
            Value::Bool(_) | Value::Float(_) | Value::Time(_) | Value::List(_) | Value::Table(_) => {
                let expected = "a size: an integer or a string such as \"64KiB\"";
                self.wrong_type(&entry.key, expected, &entry.value, &entry.value_span);
                return None;
            }
        };
        let checked = read.and_then(|number| {
            let size = usize::try_from(number).ok().filter(|size| range.contains(size));
            size.ok_or_else(|| {
                format!("expected {} to {}", show_size(*range.start()), show_size(*range.end()))
            })
        });
        checked.map_err(|label| self.bad_value(&entry.key, &entry.value_span, label)).ok()
    }

    /// A duration from `range`, as a string with a unit.
    pub(super) fn duration(&mut self, entry: &Entry, range: &RangeInclusive<Duration>) -> Option<Duration> {
        let read = match &entry.value {
            Value::Text(text) => value::duration(text),
            Value::Int(number) => Err(format!("a duration needs its unit, such as \"{number}ms\"")),
            Value::Bool(_) | Value::Float(_) | Value::Time(_) | Value::List(_) | Value::Table(_) => {
                let expected = "a duration such as \"10ms\"";
                self.wrong_type(&entry.key, expected, &entry.value, &entry.value_span);
                return None;
            }
        };
        let checked = read.and_then(|duration| {
            if range.contains(&duration) {
                return Ok(duration);
            }
            Err(format!("expected {:?} to {:?}", range.start(), range.end()))
        });
        checked.map_err(|label| self.bad_value(&entry.key, &entry.value_span, label)).ok()
    }
}
