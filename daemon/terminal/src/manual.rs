//! Manual pages of a program and of each of its commands, from the command line that clap knows.
//!
//! ```text
//! text    what stands behind the options of `--help`: taken apart into sections
//! page    a page, section by section
//! tests   what a page has, and that it is well-formed
//! ```
//!
//! The sections are those of man-pages(7), in that order. What `clap_mangen` makes is taken as it is, but for the headings of options, which are
//! subsections here, and for the text behind the options, of which it would make one section called EXTRA.

use clap::{Arg, Command};
use clap_mangen::Man;

use crate::version::DAY;
use text::{Section, sections};

pub use page::Page;

mod page;
#[cfg(test)]
mod tests;
mod text;

/// What a manual says beside the command line.
#[derive(Clone, Copy, Debug)]
pub struct Manual {
    /// The section of the manual: 1 for what everybody runs, 8 for daemons and what belongs to them.
    pub section: &'static str,
    /// What all pages are of, below and above each of them.
    pub of: &'static str,
    /// Variables that no option stands for, and what they do.
    pub environment: &'static [(&'static str, &'static str)],
    /// Files, and what they are.
    pub files: &'static [(&'static str, &'static str)],
    /// Other pages, such as `polyport(8)`.
    pub see_also: &'static [&'static str],
}

impl Manual {
    /// The pages of `command` and of all commands below it that are not hidden.
    #[must_use]
    pub fn pages(&self, command: Command) -> Vec<Page> {
        let mut command = command.disable_help_subcommand(true);
        command.build();
        let mut pages = Vec::new();
        let version = first_word(&command);
        self.collect(&command, (&version, None), &mut pages);
        pages
    }

    fn collect(&self, command: &Command, (version, above): (&str, Option<&str>), pages: &mut Vec<Page>) {
        pages.push(self.page(command, version, above));
        let name = self.reference(command);
        for below in shown(command) {
            self.collect(below, (version, Some(&name)), pages);
        }
    }

    fn page(&self, command: &Command, version: &str, above: Option<&str>) -> Page {
        let name = full_name(command);
        let source = format!("{} {version}", self.of);
        let day = if DAY == "unknown" { "" } else { DAY };
        let usage = command.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage:").trim_start().to_owned();
        let man = Man::new(command.clone().override_usage(usage)).title(name.to_uppercase());
        let man = man.section(self.section).date(day).source(source).manual(self.of);
        let mut page = Page::new(name, self.section);
        page.take(|out| man.render_title(out));
        page.take(|out| man.render_name_section(out));
        page.take(|out| man.render_synopsis_section(out));
        page.take(|out| man.render_description_section(out));
        let help = command.get_after_long_help().or_else(|| command.get_after_help());
        let mut told = sections(&help.map(ToString::to_string).unwrap_or_default());
        for section in told.extract_if(.., |section| section.title.is_empty()) {
            page.paragraphs(&section);
        }
        if command.get_arguments().any(|arg| !arg.is_hide_set()) {
            page.options(|out| man.render_options_section(out));
        }
        if shown(command).next().is_some() {
            page.heading("COMMANDS");
            for below in shown(command) {
                let about = below.get_about().map(ToString::to_string).unwrap_or_default();
                page.term(&self.reference(below), &about);
            }
        }
        let of_title = |title: &'static str| told.iter().filter(move |section| section.title == title);
        for section in told.iter().filter(|section| !LATER.contains(&section.title.as_str())) {
            page.section(section);
        }
        for section in of_title("EXIT STATUS") {
            page.section(section);
        }
        self.environment(&mut page, command, of_title("ENVIRONMENT"));
        if !self.files.is_empty() || of_title("FILES").next().is_some() {
            page.heading("FILES");
            of_title("FILES").for_each(|section| page.paragraphs(section));
            for (file, what) in self.files {
                page.term(file, what);
            }
        }
        for section in of_title("EXAMPLES") {
            page.section(section);
        }
        page.heading("SEE ALSO");
        page.see_also(above.into_iter().chain(self.see_also.iter().copied()));
        page
    }

    /// Variables that stand for options, and others.
    fn environment<'a>(&self, page: &mut Page, command: &Command, told: impl Iterator<Item = &'a Section>) {
        page.heading("ENVIRONMENT");
        told.for_each(|section| page.paragraphs(section));
        for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
            if let Some(variable) = arg.get_env() {
                page.term(&variable.to_string_lossy(), &format!("Stands for {}.", flag(arg)));
            }
        }
        let stands = |variable: &str| {
            command.get_arguments().any(|arg| arg.get_env().is_some_and(|it| it == variable))
        };
        for (variable, what) in self.environment.iter().filter(|(variable, _)| !stands(variable)) {
            page.term(variable, what);
        }
    }

    /// The name of a page, as others refer to it.
    fn reference(&self, command: &Command) -> String {
        format!("{}({})", full_name(command), self.section)
    }
}

/// Sections that have their place behind the others, in the order of man-pages(7).
const LATER: [&str; 4] = ["EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES"];

/// The commands below one that are not hidden.
fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|below| !below.is_hide_set())
}

/// The name with those of the commands above.
fn full_name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// How an option is written.
fn flag(arg: &Arg) -> String {
    match (arg.get_long(), arg.get_short()) {
        (Some(long), _) => format!("`--{long}`"),
        (None, Some(short)) => format!("`-{short}`"),
        (None, None) => arg.get_id().to_string(),
    }
}

/// The version alone, without what else is told of the build.
fn first_word(command: &Command) -> String {
    let version = command.get_version().unwrap_or_default();
    let words = version.split_whitespace();
    words
        .into_iter()
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
        .unwrap_or_default()
        .to_owned()
}
