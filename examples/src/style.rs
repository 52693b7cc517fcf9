//! What goes to the terminal: lines, and colours where they are welcome.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

/// Colours for one of the two outputs.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    colour: bool,
}

impl Style {
    /// No colours.
    pub const PLAIN: Self = Self { colour: false };

    /// Colours for stdout: only on a terminal, without `NO_COLOR` and with a `TERM` that is not dumb.
    #[must_use]
    pub fn stdout() -> Self {
        Self { colour: io::stdout().is_terminal() && welcome() }
    }

    /// The same for stderr.
    #[must_use]
    pub fn stderr() -> Self {
        Self { colour: io::stderr().is_terminal() && welcome() }
    }

    /// For what is wrong.
    pub fn red(self, text: impl Display) -> String {
        self.paint("31", text)
    }

    /// For what is as it should be.
    pub fn green(self, text: impl Display) -> String {
        self.paint("32", text)
    }

    /// For what deserves a look.
    pub fn yellow(self, text: impl Display) -> String {
        self.paint("33", text)
    }

    /// For what is not the point.
    pub fn dim(self, text: impl Display) -> String {
        self.paint("2", text)
    }

    /// For headings.
    pub fn bold(self, text: impl Display) -> String {
        self.paint("1", text)
    }

    /// Wraps `text` in the given SGR code (ECMA-48 section 8.3.117).
    fn paint(self, code: &str, text: impl Display) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_string() }
    }
}

/// Prints a line to stdout. A reader that has gone (`| head`) is no fault; the next line meets it again.
pub fn say(line: impl Display) {
    drop(writeln!(io::stdout().lock(), "{line}"));
}

/// Prints a remark to stderr, where it does not disturb whoever reads the results.
pub fn remark(line: impl Display) {
    drop(writeln!(io::stderr().lock(), "{line}"));
}

/// Prints `error: ...` to stderr.
pub fn complain(error: &impl Display) {
    let label = Style::stderr().red("error:");
    drop(writeln!(io::stderr().lock(), "{label} {error}"));
}

fn welcome() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_all_or_nothing() {
        assert_eq!(Style::PLAIN.red("x"), "x");
        assert_eq!(Style { colour: true }.red("x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
