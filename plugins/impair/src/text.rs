//! Files as lines: what they have in common.

use alloc::borrow::Cow;

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Where, from 1.
    pub line: usize,
    /// What, without a full stop.
    pub message: Cow<'static, str>,
}

impl ParseError {
    pub(crate) fn new(line: usize, message: impl Into<Cow<'static, str>>) -> Self {
        Self { line, message: message.into() }
    }
}

impl core::fmt::Display for ParseError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl core::error::Error for ParseError {}

/// Lines that say something, with their numbers from 1.
pub(crate) fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(before, line)| (before + 1, line.trim()));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}
