//! A page of the manual, section by section.

use std::io::{self, Write};

use clap_mangen::roff::{Inline, Roff, bold, roman};

use super::text::{Part, Section};

/// How an apostrophe looks, for those who would make a quotation mark of it.
const APOSTROPHE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

/// A page: what its file is called, and what is in it.
#[derive(Clone, Debug)]
pub struct Page {
    name: String,
    section: String,
    text: String,
}

impl Page {
    /// An empty page.
    pub(super) fn new(name: &str, section: &str) -> Self {
        Self { name: name.to_owned(), section: section.to_owned(), text: APOSTROPHE.to_owned() }
    }

    /// A page that begins with its title, its name and what it is about. `of` and `day` stand below it.
    #[must_use]
    pub fn begin(name: &str, section: &str, about: &str, of: &str, day: &str) -> Self {
        let mut page = Self::new(name, section);
        let mut roff = Roff::new();
        roff.control("TH", [name.to_uppercase().as_str(), section, day, of, of]);
        page.push(&roff);
        page.heading("NAME");
        page.text(&format!("{name} - {about}"));
        page
    }

    /// The name of its file, such as `polyport-run.8`.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}.{}", self.name, self.section)
    }

    /// The page, for man(1).
    #[must_use]
    pub fn source(&self) -> &str {
        &self.text
    }

    /// Begins a section.
    pub fn heading(&mut self, title: &str) {
        self.control("SH", title);
    }

    /// Begins a part of a section.
    pub fn subheading(&mut self, title: &str) {
        self.control("SS", title);
    }

    /// A paragraph; words between backticks are bold.
    pub fn paragraph(&mut self, text: &str) {
        if !self.is_behind_heading() {
            self.text.push_str(".PP\n");
        }
        self.text(text);
    }

    /// A term and what is said of it.
    pub fn term(&mut self, term: &str, text: &str) {
        let mut roff = Roff::new();
        roff.control("TP", []).text([bold(term)]).text(marked(text));
        self.push(&roff);
    }

    /// Lines that stay as they are.
    pub fn verbatim<'a>(&mut self, lines: impl IntoIterator<Item = &'a str>) {
        if !self.is_behind_heading() {
            self.text.push_str(".PP\n");
        }
        let mut roff = Roff::new();
        roff.control("EX", []);
        for line in lines {
            roff.text([roman(line)]);
        }
        roff.control("EE", []);
        self.push(&roff);
    }

    /// References to other pages, such as `polyport(8)`.
    pub fn see_also<'a>(&mut self, pages: impl IntoIterator<Item = &'a str>) {
        let own = format!("{}({})", self.name, self.section);
        let pages: Vec<&str> = pages.into_iter().filter(|page| *page != own).collect();
        let mut inlines = Vec::new();
        for (at, page) in pages.iter().enumerate() {
            let (name, section) = page.split_once('(').unwrap_or((page, ""));
            inlines.push(bold(name));
            let section = if section.is_empty() { String::new() } else { format!("({section}") };
            inlines.push(roman(format!("{section}{}", if at + 1 < pages.len() { ", " } else { "" })));
        }
        let mut roff = Roff::new();
        roff.text(inlines);
        self.push(&roff);
    }

    /// A whole section.
    pub(super) fn section(&mut self, section: &Section) {
        self.heading(&section.title);
        self.paragraphs(section);
    }

    /// What is in a section.
    pub(super) fn paragraphs(&mut self, section: &Section) {
        for part in &section.parts {
            match part {
                Part::Paragraph(text) => self.paragraph(text),
                Part::Term(term, text) => self.term(term, text),
                Part::Verbatim(lines) => self.verbatim(lines.iter().map(String::as_str)),
            }
        }
    }

    /// Takes what somebody else renders.
    pub(super) fn take(&mut self, render: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        let text = rendered(render);
        self.text.push_str(&text);
    }

    /// Takes rendered options, whose headings become parts of one section.
    pub(super) fn options(&mut self, render: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        self.heading("OPTIONS");
        for line in rendered(render).lines() {
            match line.strip_prefix(".SH ") {
                Some("OPTIONS") => {}
                Some(title) => self.subheading(&sentence(title.trim_matches('"'))),
                None => {
                    self.text.push_str(line);
                    self.text.push('\n');
                }
            }
        }
    }

    fn text(&mut self, text: &str) {
        let mut roff = Roff::new();
        roff.text(marked(text));
        self.push(&roff);
    }

    fn control(&mut self, name: &str, title: &str) {
        let mut roff = Roff::new();
        roff.control(name, [title]);
        self.push(&roff);
    }

    fn push(&mut self, roff: &Roff) {
        self.take(|out| roff.to_writer(out));
    }

    fn is_behind_heading(&self) -> bool {
        self.text.lines().last().is_some_and(|line| line.starts_with(".SH") || line.starts_with(".SS"))
    }
}

/// What is rendered, without the definition that each piece begins with, and with bold for words between backticks.
fn rendered(render: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> String {
    let mut bytes = Vec::new();
    // A vector takes everything.
    render(&mut bytes).unwrap_or(());
    let text = String::from_utf8(bytes).unwrap_or_default();
    let lines = text.strip_prefix(APOSTROPHE).unwrap_or(&text).lines();
    // An empty line is no part of the language, and one break is enough.
    let mut lines: Vec<&str> = lines.map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines.dedup_by(|next, line| next == line && *line == ".br");
    // A backslash that is meant has a name: two of them are none to everybody.
    lines.into_iter().map(|line| format!("{}\n", bolder(&line.replace("\\\\", "\\(rs")))).collect()
}

/// A line with bold instead of backticks.
fn bolder(line: &str) -> String {
    if line.starts_with('.') || !line.matches('`').count().is_multiple_of(2) {
        return line.to_owned();
    }
    let pieces = line.split('`').enumerate();
    pieces
        .map(|(at, piece)| if at % 2 == 1 { format!("\\fB{piece}\\fR") } else { piece.to_owned() })
        .collect()
}

/// Words, of which those between backticks are bold.
pub(super) fn marked(text: &str) -> Vec<Inline> {
    let pieces = text.split('`').enumerate().filter(|(_, piece)| !piece.is_empty());
    pieces.map(|(at, piece)| if at % 2 == 1 { bold(piece) } else { roman(piece) }).collect()
}

/// A title in capitals as a sentence has it.
fn sentence(title: &str) -> String {
    let mut letters = title.chars();
    let rest = |letters: std::str::Chars<'_>| letters.as_str().to_lowercase();
    letters.next().map(|first| format!("{first}{}", rest(letters))).unwrap_or_default()
}
