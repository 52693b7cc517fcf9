//! A result that was written down, read again. The file may be anybody's: however long it is and whatever it says, it is read with
//! bounds, and what is told of it commands no terminal.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use polyport_terminal::{Escaped, Exit};

use super::config::Config;
use super::events::Event;
use super::json::LoadReport;
use super::restore::restore;
use super::summary::Summary;
use crate::outcome::ExitError;

/// Longest result that is read: one of 65,535 targets has some 60 MB.
const MAX_RESULT: u64 = 512 << 20;

/// Most values of a result. One of 65,535 targets has some two million, and one of 262,144 flows some five; an empty value takes two
/// letters in a file, and up to a hundred octets once it is read.
const MAX_VALUES: usize = 10_000_000;

/// A result, and what it was made of.
#[derive(Clone, Debug)]
pub struct Written {
    /// As it was written.
    pub report: LoadReport,
    /// What the run was to do.
    pub config: Config,
    /// What came of it.
    pub summary: Summary,
}

impl Written {
    /// A report with what it was made of.
    ///
    /// # Errors
    /// It is none of ours.
    pub fn new(report: LoadReport) -> Result<Self, String> {
        let (config, summary) = restore(&report)?;
        Ok(Self { report, config, summary })
    }
}

/// Reads a file; `-` is standard input.
///
/// # Errors
/// It cannot be read, or is no result of ours: [`Exit::BadInput`], with its name.
pub fn read(path: &Path) -> Result<Written, ExitError> {
    let from =
        if path.as_os_str() == "-" { text(io::stdin().lock()) } else { File::open(path).and_then(text) };
    from.map_err(|error| error.to_string())
        .and_then(|text| find(&text))
        .and_then(Written::new)
        .map_err(|error| ExitError::new(Exit::BadInput, format!("{}: {}", name(path), escaped(&error))))
}

/// The name of a file, as a terminal may have it.
#[must_use]
pub fn name(path: &Path) -> String {
    Escaped(path.as_os_str().as_encoded_bytes()).to_string()
}

/// Words in which a file may be quoted, without what a terminal would obey.
#[must_use]
pub fn escaped(words: &str) -> String {
    Escaped(words.as_bytes()).to_string()
}

fn text(from: impl Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(MAX_RESULT + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_RESULT {
        return Err(io::Error::other(format!("longer than {} MiB", MAX_RESULT >> 20)));
    }
    Ok(text)
}

/// The result in a text: all of it, or its last line that is one. A stream of events ends with its result, and where
/// standard error goes into the same log, as that of a container does, warnings stand behind it.
fn find(text: &str) -> Result<LoadReport, String> {
    // Every value but the first one of its list or object stands behind one; and before it is read, nothing is allocated for it.
    let values = text.bytes().filter(|octet| *octet == b',').count();
    if values > MAX_VALUES {
        return Err(format!("it has {values} values, and no result has more than {MAX_VALUES}"));
    }
    let whole = match serde_json::from_str(text) {
        Ok(report) => return Ok(report),
        Err(error) => error,
    };
    for line in text.lines().rev().filter(|line| line.starts_with('{')) {
        if let Ok(report) = serde_json::from_str(line) {
            return Ok(report);
        }
        match serde_json::from_str(line) {
            Ok(Event::End(end)) => return Ok(end.report),
            Ok(Event::Start(_) | Event::Interval(_)) => return Err("the run had not ended".to_owned()),
            Err(_) => {}
        }
    }
    Err(format!("no result of this version of polyport-load --json: {whole}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_take_too_much_memory_is_not_read() {
        let endless = text(io::repeat(b' ').take(MAX_RESULT * 2));
        assert!(endless.unwrap_err().to_string().contains("longer than 512 MiB"));
        let many = format!("{{\"runs\":[{}]}}", "[],".repeat(MAX_VALUES + 1));
        assert!(find(&many).unwrap_err().contains("no result has more than 10000000"));
        let deep = "[".repeat(1 << 20);
        assert!(find(&deep).unwrap_err().contains("no result of this version"));
        let deep = format!("{{\"x\":{}", "{\"a\":".repeat(1 << 20));
        assert!(find(&deep).unwrap_err().contains("no result of this version"));
    }
}
