//! `include`: the files that one configuration is made of.
//!
//! A file is read once, however often it is named; one that leads back to a file that includes it is refused, also by a pattern
//! that matches the file itself.

use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::names::{Content, MAX_SOURCE_BYTES, Names, WILDCARDS};
use super::problem::{Problem, Source, Span, code, quoted};
use super::read::Reader;
use super::tree::{Entry, Value};

/// How deep a file may be included by files that are included themselves: more is a mistake that nobody sees through.
pub(super) const MAX_DEPTH: usize = 8;

/// Files of one configuration: some for each customer of a large host, and all of them are opened again by each reload.
pub(super) const MAX_FILES: usize = 4096;

/// The keys of a file that another one includes: all others say something of the whole daemon, and stand in the first file.
pub(super) const KEYS: [&str; 2] = ["include", "listen"];

/// A text that is to be read.
pub(super) struct Text {
    pub(super) source: Source,
    /// Where relative paths in it begin.
    pub(super) base: PathBuf,
    /// The mode of the file, if it is one.
    pub(super) mode: Option<u32>,
    /// Where its bytes cease to be UTF-8.
    pub(super) bad_byte: Option<Range<usize>>,
    /// The files that lead to it, the first first, and itself.
    way: Vec<(u64, u64)>,
    is_included: bool,
}

impl Text {
    /// A text that is no file.
    pub(super) const fn alone(source: Source, base: PathBuf) -> Self {
        Self { source, base, mode: None, bad_byte: None, way: Vec::new(), is_included: false }
    }

    /// What is in the file at `path`.
    pub(super) fn of_file(path: &Path, content: Content) -> Self {
        let Content { bytes, mode, id } = content;
        let (text, bad_byte) = match String::from_utf8(bytes) {
            Ok(text) => (text, None),
            Err(error) => {
                // The texts are equal up to the first bad byte.
                let start = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                (text, Some(start..start + char::REPLACEMENT_CHARACTER.len_utf8()))
            }
        };
        Self {
            source: Source::new(path.to_string_lossy(), text),
            base: path.parent().map(Path::to_path_buf).unwrap_or_default(),
            mode: Some(mode),
            bad_byte,
            way: vec![id],
            is_included: false,
        }
    }

    /// Whether another one includes it.
    pub(super) const fn is_included(&self) -> bool {
        self.is_included
    }
}

/// What is still to be read.
pub(super) struct Files<'a> {
    names: &'a Names,
    /// The next is the last.
    open: Vec<Text>,
    seen: HashSet<(u64, u64)>,
    /// Of all texts so far.
    bytes: usize,
    /// The directories that patterns look in.
    pub(super) searched: Vec<PathBuf>,
}

impl<'a> Files<'a> {
    pub(super) fn beginning(main: Text, names: &'a Names) -> Self {
        let (seen, bytes) = (main.way.iter().copied().collect(), main.source.text.len());
        Self { names, open: vec![main], seen, bytes, searched: Vec::new() }
    }

    /// The next text: what a file includes comes right behind it.
    pub(super) fn next(&mut self) -> Option<Text> {
        self.open.pop()
    }

    /// Reads the key `include` of `text`.
    pub(super) fn follow(&mut self, entry: &Entry, text: &Text, reader: &mut Reader<'_>) {
        const EXPECTED: &str = "a string or an array of strings";
        let mut found = Vec::new();
        match &entry.value {
            Value::Text(pattern) => self.find(pattern, &entry.value_span, text, &mut found, reader),
            Value::List(list) => {
                for (value, span) in list {
                    if let Value::Text(pattern) = value {
                        self.find(pattern, span, text, &mut found, reader);
                    } else {
                        reader.wrong_type("include", EXPECTED, value, span);
                    }
                }
            }
            Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Time(_) | Value::Table(_) => {
                reader.wrong_type("include", EXPECTED, &entry.value, &entry.value_span);
            }
        }
        self.open.extend(found.into_iter().rev());
    }

    fn find(
        &mut self,
        pattern: &str,
        span: &Span,
        text: &Text,
        found: &mut Vec<Text>,
        reader: &mut Reader<'_>,
    ) {
        if pattern.is_empty() || pattern.contains('\0') {
            reader.bad_value("include", span, "expected a file or a pattern, such as \"conf.d/*.toml\"");
            return;
        }
        let paths = match (self.names.files)(&text.base, pattern) {
            Ok(paths) => paths,
            Err(why) => {
                reader.bad_value("include", span, why);
                return;
            }
        };
        if pattern.contains(WILDCARDS) {
            self.searched.push(text.base.join(directory(pattern)));
        }
        for path in paths {
            match self.read(&path, text) {
                Ok(more) => found.extend(more),
                Err(why) => {
                    let shown = path.to_string_lossy();
                    let title = format!("cannot include {}: {}", quoted(&shown), why.title);
                    let mut problem = Problem::new(why.code, title).at(span, "named here");
                    problem.help = Some(why.help);
                    reader.problems.push(problem);
                }
            }
        }
    }

    /// A file that `text` includes; none if it was read already.
    fn read(&mut self, path: &Path, text: &Text) -> Result<Option<Text>, Why> {
        let content = (self.names.content)(path).map_err(|error| Why {
            code: code::UNREADABLE,
            title: error.to_string(),
            help: "check the path and its permissions; relative ones begin at the directory of this file"
                .to_owned(),
        })?;
        let id = content.id;
        if text.way.contains(&id) {
            return Err(Why {
                code: code::INCLUDE_CIRCLE,
                title: "that leads back to a file that includes it".to_owned(),
                help: "put what is included into a directory of its own: include = \"conf.d/*.toml\""
                    .to_owned(),
            });
        }
        if text.way.len() > MAX_DEPTH {
            return Err(Why {
                code: code::INCLUDE_DEPTH,
                title: format!("files are included through more than {MAX_DEPTH} others"),
                help: "include it from a file further above".to_owned(),
            });
        }
        if !self.seen.insert(id) {
            return Ok(None);
        }
        self.bytes += content.bytes.len();
        if self.seen.len() > MAX_FILES || self.bytes > MAX_SOURCE_BYTES {
            return Err(Why {
                code: code::TOO_LARGE,
                title: format!("a configuration is at most {MAX_FILES} files and {MAX_SOURCE_BYTES} bytes"),
                help: "run several daemons".to_owned(),
            });
        }
        let mut more = Text::of_file(path, content);
        more.way = text.way.iter().copied().chain([id]).collect();
        more.is_included = true;
        Ok(Some(more))
    }
}

/// Why a file cannot be included.
struct Why {
    code: &'static str,
    title: String,
    help: String,
}

/// The directory that a pattern names before its first wildcard.
fn directory(pattern: &str) -> &str {
    let named = pattern.find(WILDCARDS).map_or(pattern, |at| &pattern[..at]);
    named.rfind('/').map_or("", |slash| &named[..=slash])
}
