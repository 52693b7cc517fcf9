//! What a key is, and which values it takes, in words.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::bounds::show_size;

/// The table of the file that a key stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Above all tables.
    Top,
    /// A table `[[listen]]`.
    Listen,
    /// The table `[listen.reply]` behind it.
    Reply,
    /// The table `[limits]`.
    Limits,
    /// The table `[sandbox]`.
    Sandbox,
}

impl Place {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 5] = [Self::Top, Self::Listen, Self::Reply, Self::Limits, Self::Sandbox];

    /// What stands above its keys in the file; nothing above those of the top.
    #[must_use]
    pub const fn header(self) -> &'static str {
        match self {
            Self::Top => "",
            Self::Listen => "[[listen]]",
            Self::Reply => "[listen.reply]",
            Self::Limits => "[limits]",
            Self::Sandbox => "[sandbox]",
        }
    }

    /// The name of the table with its dots; nothing for the top.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Top => "",
            Self::Listen => "listen",
            Self::Reply => "listen.reply",
            Self::Limits => "limits",
            Self::Sandbox => "sandbox",
        }
    }
}

/// A form of values. A key may take several.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// `true` or `false`.
    Flag,
    /// A whole number from a range; up to `usize::MAX` is any.
    Whole(&'static RangeInclusive<usize>),
    /// Bytes from a range: a number, or a text with a unit.
    Size(&'static RangeInclusive<usize>),
    /// A time from a range, as a text with a unit.
    Time(&'static RangeInclusive<Duration>),
    /// A number from the first to the second, with a fraction or without.
    Factor(f64, f64),
    /// One of these texts.
    Words(&'static [&'static str]),
    /// Any other text: what it is.
    Text(&'static str),
    /// An array of values of these forms: what they are.
    List(&'static [Self], &'static str),
    /// A table with keys of its own.
    Table(Place),
    /// Such tables, one or more.
    Tables(Place),
    /// A table whose keys are not the daemon's.
    Free,
}

/// What holds where a key is not given.
#[derive(Clone, Copy, Debug)]
pub enum Usual {
    /// As if this were written, in TOML.
    Value(&'static str),
    /// What these words say; an example of a value is in TOML.
    Said {
        /// What holds.
        words: &'static str,
        /// What one might write.
        example: &'static str,
    },
    /// Nothing: the key must be given, for example so, in TOML.
    Needed(&'static str),
}

/// A key of the file.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name, without that of its table.
    pub name: &'static str,
    /// The forms of its values; none at all is none of the table's keys.
    pub forms: &'static [Form],
    /// What holds without it.
    pub usual: Usual,
    /// What it is for, a sentence or two that begin in lower case and end without a dot, as a cell of a table has it.
    pub text: &'static str,
    /// The version of polyport that knows it first.
    pub since: &'static str,
}

/// The names of some keys, for those who read them.
pub(in crate::config) const fn named<const N: usize>(keys: &[Key; N]) -> [&'static str; N] {
    let mut names = [""; N];
    let mut at = 0;
    while at < N {
        names[at] = keys[at].name;
        at += 1;
    }
    names
}

impl Key {
    /// Its name with that of its table, `limits.spin`.
    #[must_use]
    pub fn path(&self, place: Place) -> String {
        match place {
            Place::Top => self.name.to_owned(),
            Place::Listen | Place::Reply | Place::Limits | Place::Sandbox => {
                format!("{}.{}", place.path(), self.name)
            }
        }
    }

    /// What may be written for it, in words; `code` is what stands around what is written literally.
    #[must_use]
    pub fn values(&self, code: &str) -> String {
        let words: Vec<String> = self.forms.iter().map(|form| form.words(code)).collect();
        either(&words)
    }

    /// What holds without it, in words.
    #[must_use]
    pub fn default(&self, code: &str) -> String {
        match self.usual {
            Usual::Value(value) => format!("{code}{value}{code}"),
            Usual::Said { words, .. } if code.is_empty() => words.replace('`', ""),
            Usual::Said { words, .. } => words.to_owned(),
            Usual::Needed(_) => "must be given".to_owned(),
        }
    }

    /// A value in TOML: the default, or an example where there is none.
    #[must_use]
    pub const fn value(&self) -> &'static str {
        match self.usual {
            Usual::Value(value) | Usual::Said { example: value, .. } | Usual::Needed(value) => value,
        }
    }

    /// The table that its value is, if it is one of the daemon's.
    #[must_use]
    pub fn table(&self) -> Option<Place> {
        self.forms.iter().find_map(|form| match form {
            Form::Table(place) | Form::Tables(place) => Some(*place),
            Form::Flag
            | Form::Whole(_)
            | Form::Size(_)
            | Form::Time(_)
            | Form::Factor(..)
            | Form::Words(_)
            | Form::Text(_)
            | Form::List(..)
            | Form::Free => None,
        })
    }
}

impl Form {
    fn words(&self, code: &str) -> String {
        let literal = |text: &str| format!("{code}{text}{code}");
        let text = match self {
            Self::Flag => format!("{} or {}", literal("true"), literal("false")),
            Self::Whole(range) if *range.end() == usize::MAX => format!("a number from {}", range.start()),
            Self::Whole(range) => format!("{} to {}", range.start(), range.end()),
            Self::Size(range) => format!("{} to {}", size(*range.start()), size(*range.end())),
            Self::Time(range) => format!("{} to {}", time(*range.start()), time(*range.end())),
            Self::Factor(least, most) => format!("{least:.1} to {most:.1}"),
            Self::Words(words) => {
                either(&words.iter().map(|word| literal(&format!("\"{word}\""))).collect::<Vec<_>>())
            }
            Self::Text(what) | Self::List(_, what) => (*what).to_owned(),
            Self::Table(place) => format!("a table {}", literal(place.header())),
            Self::Tables(place) => format!("tables {}", literal(place.header())),
            Self::Free => "a table".to_owned(),
        };
        if code.is_empty() { text.replace('`', "") } else { text }
    }
}

/// `a`, `a or b`, `a, b or c`.
fn either(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

fn size(bytes: usize) -> String {
    if bytes == 0 { "0".to_owned() } else { show_size(bytes) }
}

/// A time as it is written in the file.
pub(super) fn time(duration: Duration) -> String {
    if duration.is_zero() { "0s".to_owned() } else { format!("{duration:?}").replace('\u{b5}', "u") }
}
