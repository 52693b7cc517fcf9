//! How lines of the log look: for people, for the journal of systemd, or for programs.

use std::fmt::Write;

use crate::escape::is_unseen;

/// How much a line matters, with the words of the `log` crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Something does not work.
    Error,
    /// Something may not be as it should.
    Warn,
    /// Something that a user wants to know.
    Info,
    /// Something that helps to find a fault.
    Debug,
    /// Each datagram.
    Trace,
}

impl Severity {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    /// The priority of `syslog(3)`, as a line to the journal begins with it (`sd-daemon(3)`).
    const fn priority(self) -> &'static str {
        match self {
            Self::Error => "<3>",
            Self::Warn => "<4>",
            Self::Info => "<6>",
            Self::Debug | Self::Trace => "<7>",
        }
    }
}

/// How lines of the log look.
#[derive(Clone, Copy, Debug, Default)]
pub enum Shape {
    /// A line of text.
    #[default]
    Plain,
    /// A line of text behind its priority, without a time: the journal notes it.
    Journal,
    /// One JSON object a line.
    Json {
        /// The time, as RFC 3339 has it.
        now: fn() -> String,
    },
}

impl Shape {
    /// A remark, without the end of its last line. Where the reader tells lines apart, several of them are one object, or each has its
    /// priority; otherwise it is what it was.
    #[must_use]
    pub fn remark(self, severity: Severity, target: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Journal => prioritized(severity, text),
            Self::Json { now } => json(&now(), severity, target, None, text),
        }
    }

    /// A line about the log itself.
    pub(crate) fn note(self, severity: Severity, text: &str) -> String {
        match self {
            Self::Plain => format!("{}: {text}", severity.word()),
            Self::Journal | Self::Json { .. } => self.remark(severity, "polyport", text),
        }
    }
}

/// Text for the journal, each line of which begins with the priority.
#[must_use]
pub fn prioritized(severity: Severity, text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("{}{line}", severity.priority())).collect();
    lines.join("\n")
}

/// One JSON object in one line: when, how much it matters, who says it, which listener it is about with its address, and what is
/// said.
#[must_use]
pub fn json(
    ts: &str,
    severity: Severity,
    target: &str,
    listener: Option<(&str, &str)>,
    message: &str,
) -> String {
    let mut line = format!("{{\"ts\":{},\"level\":\"{}\"", quoted(ts), severity.word());
    write!(line, ",\"target\":{}", quoted(target)).unwrap_or(());
    if let Some((name, address)) = listener {
        write!(line, ",\"listener\":{},\"address\":{}", quoted(name), quoted(address)).unwrap_or(());
    }
    write!(line, ",\"message\":{}}}", quoted(message)).unwrap_or(());
    line
}

/// A JSON string. Characters that a terminal obeys or nobody sees are escaped as well, for whoever looks at the lines themselves.
fn quoted(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    if !quoted.chars().any(char::is_control) && quoted.is_ascii() {
        return quoted;
    }
    let mut shown = String::with_capacity(quoted.len());
    for c in quoted.chars() {
        if !is_unseen(c) {
            shown.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                write!(shown, "\\u{unit:04x}").unwrap_or(());
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_said_is_one_object_in_one_line() {
        let said = "two\nlines \"quoted\" \\ \u{1b}[2J \u{7f} \u{202e} \u{e0041} \u{85} \u{2028} Grüße";
        let line = json("now", Severity::Warn, "a::b", Some(("far", "[::1]:7")), said);
        assert!(
            !line.chars().any(|c| c.is_control() || ['\u{202e}', '\u{e0041}', '\u{2028}'].contains(&c)),
            "{line}"
        );
        assert!(line.contains("Grüße") && line.contains("\\u202e \\udb40\\udc41 \\u0085 \\u2028"), "{line}");
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        let expected = serde_json::json!({
            "ts": "now", "level": "warn", "target": "a::b", "listener": "far", "address": "[::1]:7", "message": said,
        });
        assert_eq!(read, expected);
    }

    #[test]
    fn every_line_of_a_remark_has_its_priority() {
        let shape = Shape::Journal;
        assert_eq!(shape.remark(Severity::Error, "a", "error: one\n  two"), "<3>error: one\n<3>  two");
        assert_eq!(Shape::Plain.remark(Severity::Error, "a", "error: one\n  two"), "error: one\n  two");
        let now = || "now".to_owned();
        assert_eq!(
            Shape::Json { now }.remark(Severity::Error, "a", "one\ntwo"),
            r#"{"ts":"now","level":"error","target":"a","message":"one\ntwo"}"#
        );
    }
}
