//! What can be wrong, and where: texts, places in them, problems, and the list of all problems.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use polyport_terminal::Quoted;

/// A text that settings were read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where the text is from: a path, `--listen` or `built-in default`.
    pub origin: String,
    /// The text itself.
    pub text: String,
}

impl Source {
    /// A text and where it is from.
    pub fn new(origin: impl Into<String>, text: impl Into<String>) -> Self {
        Self { origin: origin.into(), text: text.into() }
    }
}

/// A place in one of the sources of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Span {
    /// Index into the sources of the plan.
    pub source: usize,
    /// Bytes of that source's text.
    pub range: Range<usize>,
}

impl Span {
    /// Sorts places in reading order.
    pub(super) fn order(&self) -> (usize, usize) {
        (self.source, self.range.start)
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Stable name of the class of problem, in kebab case, for programs (see [`code`]).
    pub code: &'static str,
    /// What is wrong, one line.
    pub title: String,
    /// Where; `None` when no text is to blame, such as a file that cannot be read.
    pub span: Option<Span>,
    /// Text beside the caret; may be empty.
    pub label: String,
    /// Other places that belong to it, with their texts.
    pub secondary: Vec<(Span, String)>,
    /// What to do.
    pub help: Option<String>,
}

impl Problem {
    /// A problem without a place; `code` in kebab case.
    pub fn new(code: &'static str, title: impl Into<String>) -> Self {
        Self {
            code,
            title: title.into(),
            span: None,
            label: String::new(),
            secondary: Vec::new(),
            help: None,
        }
    }

    /// Says where, and what to write beside the caret.
    #[must_use]
    pub fn at(mut self, span: &Span, label: impl Into<String>) -> Self {
        self.span = Some(span.clone());
        self.label = label.into();
        self
    }

    /// Adds a second place.
    #[must_use]
    pub fn also(mut self, span: &Span, label: impl Into<String>) -> Self {
        self.secondary.push((span.clone(), label.into()));
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Everything that is wrong, with the texts it points into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    pub(super) sources: Arc<[Source]>,
    pub(super) list: Vec<Problem>,
}

impl Problems {
    pub(super) fn new(sources: Arc<[Source]>) -> Self {
        Self { sources, list: Vec::new() }
    }

    /// Adds one; its spans must belong to the same plan.
    pub fn push(&mut self, problem: Problem) {
        self.list.push(problem);
    }

    /// Adds those of another stage.
    pub fn append(&mut self, mut other: Self) {
        self.list.append(&mut other.list);
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The problems, in the order of their places once they came out of [`Problems::into_result`].
    #[must_use]
    pub fn list(&self) -> &[Problem] {
        &self.list
    }

    /// The texts the problems point into.
    #[must_use]
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// `value` if nothing is wrong, or else the problems in the order of their places.
    ///
    /// # Errors
    /// These problems, when there is one.
    pub fn into_result<T>(mut self, value: T) -> Result<T, Self> {
        if self.list.is_empty() {
            return Ok(value);
        }
        // The passes over the file found them in another order; stable, so equal places keep theirs.
        self.list
            .sort_by_cached_key(|problem| problem.span.as_ref().map(|span| (span.source, span.range.start)));
        Err(self)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Problems {}

/// The texts with `places` blackened letter by letter, so that every other span stays where it is.
pub(super) fn hidden(sources: &[Source], places: &[Span]) -> Arc<[Source]> {
    let mut black: Vec<Vec<bool>> = sources.iter().map(|source| vec![false; source.text.len()]).collect();
    for Span { source, range } in places {
        let Some(black) = black.get_mut(*source) else { continue };
        let range = range.start..range.end.min(black.len());
        black.get_mut(range).unwrap_or_default().fill(true);
    }
    let shown = |(source, black): (&Source, Vec<bool>)| {
        // A letter that is cut in the middle is hidden whole.
        let letter = |(at, letter): (usize, char)| {
            let hidden = letter != '\n' && black[at..at + letter.len_utf8()].contains(&true);
            if hidden { blackened(letter) } else { letter }
        };
        Source::new(source.origin.as_str(), source.text.char_indices().map(letter).collect::<String>())
    };
    sources.iter().zip(black).map(shown).collect()
}

/// A letter that stands for another one and is as long.
const fn blackened(letter: char) -> char {
    match letter.len_utf8() {
        1 => '*',
        2 => '\u{b7}',
        3 => '\u{2022}',
        _ => '\u{1f784}',
    }
}

/// `text` in backquotes for a title or a label: escaped, so that no text of a file reaches the terminal as a command or
/// looks like ours, and long texts cut. Quotation marks of the other kinds are left alone.
#[must_use]
pub fn quoted(text: &str) -> String {
    const LONGEST: usize = 80; // Characters: a title stays one line of a terminal.
    let (end, cut) = text.char_indices().nth(LONGEST).map_or((text.len(), ""), |(end, _)| (end, "..."));
    let shown = Quoted(text.get(..end).unwrap_or(text).as_bytes()).to_string();
    format!("`{}{cut}`", shown.replace("\\\"", "\"").replace("\\'", "'"))
}

/// The stable names of the problems that `config` itself finds.
pub mod code {
    /// The file cannot be read.
    pub const UNREADABLE: &str = "unreadable";
    /// The file was found and not named, and others than who starts the program may have written it.
    pub const UNTRUSTED: &str = "untrusted";
    /// The file is not UTF-8, which TOML demands.
    pub const NOT_UTF8: &str = "not-utf8";
    /// The file is longer than [`MAX_SOURCE_BYTES`](super::super::MAX_SOURCE_BYTES).
    pub const TOO_LARGE: &str = "too-large";
    /// The text is no TOML, or a `--listen` argument is not `BIND=PLUGIN[,key=value]...`.
    pub const SYNTAX: &str = "syntax";
    /// A key that is not known at its place.
    pub const UNKNOWN_KEY: &str = "unknown-key";
    /// A key that stands in a file where it may not, since another one includes it.
    pub const MISPLACED_KEY: &str = "misplaced-key";
    /// A file that includes itself, or one that leads back to it.
    pub const INCLUDE_CIRCLE: &str = "include-circle";
    /// A file that is included through too many others.
    pub const INCLUDE_DEPTH: &str = "include-depth";
    /// A key that is needed and not there.
    pub const MISSING_KEY: &str = "missing-key";
    /// A key that is given twice in one `--listen` argument.
    pub const DUPLICATE_KEY: &str = "duplicate-key";
    /// A string where a number belongs, and the like.
    pub const WRONG_TYPE: &str = "wrong-type";
    /// The type is right, the value is not.
    pub const BAD_VALUE: &str = "bad-value";
    /// A bind address that cannot be read.
    pub const BAD_BIND: &str = "bad-bind";
    /// A group that cannot be read, or cannot be heard by the listener that joins it.
    pub const BAD_JOIN: &str = "bad-join";
    /// A service name that the system's database does not have.
    pub const UNKNOWN_SERVICE: &str = "unknown-service";
    /// A zone, or an interface of `join`, that is no network interface of this system.
    pub const UNKNOWN_INTERFACE: &str = "unknown-interface";
    /// Two listeners with one name.
    pub const DUPLICATE_NAME: &str = "duplicate-name";
    /// One address and port bound twice.
    pub const DUPLICATE_BIND: &str = "duplicate-bind";
    /// One group joined twice.
    pub const DUPLICATE_JOIN: &str = "duplicate-join";
    /// More than [`MAX_LISTENERS`](super::super::MAX_LISTENERS).
    pub const TOO_MANY_LISTENERS: &str = "too-many-listeners";
    /// Two limits that contradict each other.
    pub const CONTRADICTION: &str = "contradiction";
}
