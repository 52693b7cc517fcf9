//! Keys and values with their places, whether they came from TOML or from `--listen`.
//!
//! Both are read into the same tree, so that one reader knows what a listener's settings mean.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Problem, Span, code};

/// A key and its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_span: Span,
    pub(super) value: Value,
    pub(super) value_span: Span,
}

/// A value; the elements of a list have places of their own.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    Time(toml::value::Datetime),
    List(Vec<(Self, Span)>),
    Table(Vec<Entry>),
}

impl Value {
    /// The type as a reader of the file knows it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Text(_) => "a string",
            Self::Time(_) => "a date or time",
            Self::List(_) => "an array",
            Self::Table(_) => "a table",
        }
    }
}

/// Reads TOML. With syntax errors the tree is not offered: what the parser recovers has lost
/// values, and complaints about those would mislead.
pub(super) fn from_toml(text: &str, source: usize, problems: &mut Vec<Problem>) -> Vec<Entry> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Walk { source, problems }.table(document.into_inner());
    }
    let misplaced = listener_behind_its_tables(text);
    for error in errors {
        let span = Span { source, range: error.span().unwrap_or(0..0) };
        let problem = Problem::new(code::SYNTAX, "the text is not valid TOML").at(&span, error.message());
        problems.push(if misplaced.as_ref().is_some_and(|line| line.contains(&span.range.start)) {
            problem.help(
                "a table of a listener, such as [listen.reply], comes behind the [[listen]] that it belongs to: move it down",
            )
        } else {
            problem
        });
    }
    Vec::new()
}

/// The line of the first header `[[listen]]`, if one of the tables that belong behind it stands above: TOML calls the key a
/// duplicate there.
fn listener_behind_its_tables(text: &str) -> Option<Range<usize>> {
    let (mut start, mut is_above) = (0, false);
    for line in text.split_inclusive('\n') {
        let end = start + line.len();
        if line.trim_start().starts_with("[[listen]]") {
            return is_above.then_some(start..end);
        }
        is_above |= line.trim_start().starts_with("[listen.");
        start = end;
    }
    None
}

struct Walk<'a> {
    source: usize,
    problems: &'a mut Vec<Problem>,
}

impl Walk<'_> {
    fn table(&mut self, table: DeTable<'_>) -> Vec<Entry> {
        let mut entries: Vec<Entry> = table
            .into_iter()
            .map(|(key, value)| {
                let key_span = self.span(key.span());
                let (value, value_span) = self.value(value);
                Entry { key: key.into_inner().into_owned(), key_span, value, value_span }
            })
            .collect();
        // The parser keeps keys sorted by name.
        entries.sort_by_key(|entry| entry.key_span.range.start);
        entries
    }

    fn value(&mut self, value: Spanned<DeValue<'_>>) -> (Value, Span) {
        let span = self.span(value.span());
        let value = match value.into_inner() {
            DeValue::Boolean(value) => Value::Bool(value),
            DeValue::String(value) => Value::Text(value.into_owned()),
            DeValue::Datetime(value) => Value::Time(value),
            DeValue::Float(value) => Value::Float(value.as_str().parse().unwrap_or_else(|_| {
                self.bad(&span, "not a number");
                0.0
            })),
            DeValue::Integer(value) => Value::Int(integer(value.as_str(), value.radix())),
            DeValue::Array(list) => Value::List(list.into_iter().map(|item| self.value(item)).collect()),
            DeValue::Table(table) => Value::Table(self.table(table)),
        };
        (value, span)
    }

    fn span(&self, range: Range<usize>) -> Span {
        Span { source: self.source, range }
    }

    fn bad(&mut self, span: &Span, label: &str) {
        self.problems.push(Problem::new(code::BAD_VALUE, "a number cannot be read").at(span, label));
    }
}

/// A number beyond 128 bits becomes the nearest: no reader's range goes as far, and each names its own.
fn integer(text: &str, radix: u32) -> i128 {
    let nearest = if text.starts_with('-') { i128::MIN } else { i128::MAX };
    i128::from_str_radix(text, radix).unwrap_or(nearest)
}
