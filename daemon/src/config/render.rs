//! Problems for people (carets) and for programs (JSON lines).

use std::borrow::Cow;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use polyport_terminal::counted;

use super::problem::{Problem, Problems, Source, Span};

/// At most this many problems are shown with carets: the first hundred are enough to work on, and
/// a generated file with one mistake a listener would bury them under megabytes.
const MAX_RENDERED: usize = 100;

/// At most this many problems are JSON objects: some hundred kilobytes, which every program reads at once.
const MAX_LISTED: usize = 1000;

impl Problems {
    /// Text for a terminal: each problem with file, line, column, caret and help.
    ///
    /// `color` adds ANSI escapes; the caller decides it (terminal, `NO_COLOR`). Ends in a newline
    /// unless there is no problem. Columns count characters from 1.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut text = String::new();
        for (index, problem) in self.list.iter().take(MAX_RENDERED).enumerate() {
            if index > 0 {
                text.push('\n');
            }
            text.push_str(&renderer.render(&[self.group(problem)]));
            text.push('\n');
        }
        if let Some(more) = self.list.len().checked_sub(MAX_RENDERED).filter(|more| *more > 0) {
            text.push_str(&format!("\nand {}\n", counted(more, "more problem", "more problems")));
        }
        text
    }

    /// The first `most` of them, over the same texts.
    #[must_use]
    pub fn shortened(&self, most: usize) -> Self {
        let list = self.list.iter().take(most).cloned().collect();
        Self { sources: Arc::clone(&self.sources), list }
    }

    /// One JSON object a line with the keys `file`, `line`, `column`, `code`, `message` and `help`; `null`
    /// where there is nothing to say. The first thousand of them.
    #[must_use]
    pub fn to_json(&self) -> String {
        let lines: Vec<Lines<'_>> = self.sources.iter().map(|source| Lines::new(&source.text)).collect();
        let place = |span: &Span| {
            let (source, lines) = (self.sources.get(span.source)?, lines.get(span.source)?);
            let (line, column) = lines.position(span.range.start);
            Some((source.origin.as_str(), line, column))
        };
        let mut text = String::new();
        for problem in self.list.iter().take(MAX_LISTED) {
            let mut message = problem.title.clone();
            if !problem.label.is_empty() {
                message.push_str(&format!(": {}", problem.label));
            }
            for (span, label) in &problem.secondary {
                if let Some((file, line, column)) = place(span) {
                    message.push_str(&format!("; {label}: {file}:{line}:{column}"));
                }
            }
            let place = problem.span.as_ref().and_then(place);
            // By hand: a map would sort the keys, and people read these lines as well.
            let fields = [
                ("file", place.map(|(file, ..)| file).into()),
                ("line", place.map(|(_, line, _)| line).into()),
                ("column", place.map(|(.., column)| column).into()),
                ("code", problem.code.into()),
                ("message", message.into()),
                ("help", serde_json::Value::from(problem.help.as_deref())),
            ];
            let fields = fields.map(|(key, value)| format!("\"{key}\":{value}"));
            text.push_str(&format!("{{{}}}", fields.join(",")));
            text.push('\n');
        }
        text
    }

    fn group<'a>(&'a self, problem: &'a Problem) -> Group<'a> {
        let mut group = Group::with_title(Level::ERROR.primary_title(printable(&problem.title)));
        let primary = problem.span.iter().map(|span| (AnnotationKind::Primary, span, problem.label.as_str()));
        let secondary =
            problem.secondary.iter().map(|(span, label)| (AnnotationKind::Context, span, label.as_str()));
        let mut marks: Vec<_> = primary.chain(secondary).collect();
        while let Some(index) = marks.first().map(|(_, span, _)| span.source) {
            let (here, elsewhere): (Vec<_>, Vec<_>) =
                marks.into_iter().partition(|(_, span, _)| span.source == index);
            if let Some(source) = self.sources.get(index) {
                group = group.element(snippet(source, &here));
            }
            marks = elsewhere;
        }
        if let Some(help) = &problem.help {
            group = group.element(Level::HELP.message(printable(help)));
        }
        group
    }
}

/// What is said about a text may quote it, and no text of a file reaches the terminal as a command. The renderer does the
/// same with the lines of the text itself.
fn printable(said: &str) -> Cow<'_, str> {
    let escaped = |c: char| c.is_control() && c != '\n';
    if !said.contains(escaped) {
        return Cow::Borrowed(said);
    }
    let shown = |c: char| if escaped(c) { c.escape_debug().collect() } else { String::from(c) };
    Cow::Owned(said.chars().map(shown).collect())
}

type Mark<'a> = (AnnotationKind, &'a Span, &'a str);

/// Only the lines from the first mark to the last one are handed over: rendering walks over all it
/// gets, and a file with thousands of listeners has thousands of lines.
fn snippet<'a>(source: &'a Source, marks: &[Mark<'a>]) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let text = source.text.as_str();
    let spans: Vec<_> = marks.iter().map(|(_, span, _)| clamp(text, &span.range)).collect();
    let first = spans.iter().map(|span| span.start).min().unwrap_or(0);
    let last = spans.iter().map(|span| span.end).max().unwrap_or(0);
    let start = text[..first].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[last..].find('\n').map_or(text.len(), |newline| last + newline + 1);
    let line = text[..start].matches('\n').count() + 1;
    let annotations = marks.iter().zip(spans).map(|((kind, _, label), span)| {
        let label = Some(printable(label)).filter(|label| !label.is_empty());
        kind.span(span.start - start..span.end - start).label(label)
    });
    Snippet::source(&text[start..end]).line_start(line).path(source.origin.as_str()).annotations(annotations)
}

/// Where the lines of a text begin: with thousands of problems, counting anew for each would take minutes.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let starts =
            std::iter::once(0).chain(text.match_indices('\n').map(|(newline, _)| newline + 1)).collect();
        Self { text, starts }
    }

    /// Line and column from 1, the column in characters.
    fn position(&self, offset: usize) -> (usize, usize) {
        let offset = self.text.floor_char_boundary(offset);
        let line = self.starts.partition_point(|start| *start <= offset);
        (line, self.text[self.starts[line - 1]..offset].chars().count() + 1)
    }
}

/// The range, moved to character boundaries: spans come from a parser that counts bytes.
fn clamp(text: &str, range: &std::ops::Range<usize>) -> std::ops::Range<usize> {
    let start = text.floor_char_boundary(range.start);
    start..text.floor_char_boundary(range.end).max(start)
}
