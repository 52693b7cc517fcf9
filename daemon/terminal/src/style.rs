//! Colours, where they are welcome.
//!
//! The decision is that of `anstream`, which the help texts of clap and the log lines of `env_logger` follow as well:
//! colours go to a terminal, unless `NO_COLOR` or `CLICOLOR=0` is set or `TERM` is `dumb` or missing;
//! `CLICOLOR_FORCE` asks for them everywhere.

use std::fmt::Display;
use std::io;

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use anstyle::AnsiColor;

/// Colours for one of the two outputs.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    coloured: bool,
}

impl Style {
    /// No colours.
    pub const PLAIN: Self = Self { coloured: false };

    /// Colours for standard output, where they are welcome.
    #[must_use]
    pub fn stdout() -> Self {
        Self::of(&io::stdout())
    }

    /// Colours for standard error, where they are welcome.
    #[must_use]
    pub fn stderr() -> Self {
        Self::of(&io::stderr())
    }

    /// Whether there are colours at all, for those who make their own.
    #[must_use]
    pub const fn is_coloured(self) -> bool {
        self.coloured
    }

    /// For what is wrong.
    pub fn red(self, text: impl Display) -> String {
        self.paint(AnsiColor::Red.on_default(), text)
    }

    /// For what is as it should be.
    pub fn green(self, text: impl Display) -> String {
        self.paint(AnsiColor::Green.on_default(), text)
    }

    /// For what deserves a look.
    pub fn yellow(self, text: impl Display) -> String {
        self.paint(AnsiColor::Yellow.on_default(), text)
    }

    /// For what is not the point.
    pub fn dim(self, text: impl Display) -> String {
        self.paint(anstyle::Style::new().dimmed(), text)
    }

    /// For headings.
    pub fn bold(self, text: impl Display) -> String {
        self.paint(anstyle::Style::new().bold(), text)
    }

    fn of(stream: &impl RawStream) -> Self {
        Self { coloured: AutoStream::choice(stream) != ColorChoice::Never }
    }

    fn paint(self, style: anstyle::Style, text: impl Display) -> String {
        if self.coloured { format!("{style}{text}{style:#}") } else { text.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_all_or_nothing() {
        assert_eq!((Style::PLAIN.red("x").as_str(), Style::PLAIN.is_coloured()), ("x", false));
        let style = Style { coloured: true };
        assert!(style.is_coloured());
        assert_eq!(style.red("x"), "\u{1b}[31mx\u{1b}[0m");
        assert_eq!(style.green("x"), "\u{1b}[32mx\u{1b}[0m");
        assert_eq!(style.yellow("x"), "\u{1b}[33mx\u{1b}[0m");
        assert_eq!(style.dim("x"), "\u{1b}[2mx\u{1b}[0m");
        assert_eq!(style.bold("x"), "\u{1b}[1mx\u{1b}[0m");
    }
}
