//! How lines of the log look.

use std::env;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, UNIX_EPOCH};

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};
use env_logger::{Logger, Target, WriteStyle};
use log::{Level, LevelFilter};
use polyport_terminal::{Output, Severity, Shape, Style, json, prioritized};

use crate::apply::Clock;

/// Which lines of the log are wanted, and how they look.
#[derive(Clone, Debug, Args)]
pub(super) struct LogArgs {
    /// More log lines: -v debug, -vv one line a datagram
    #[arg(short, long, action = clap::ArgAction::Count, env = "POLYPORT_VERBOSE", hide_env_values = true)]
    pub(super) verbose: u8,
    /// Only errors: no table at the start, no books at the end
    #[arg(short, long, env = "POLYPORT_QUIET", hide_env_values = true, value_parser = BoolishValueParser::new())]
    pub(super) quiet: bool,
    /// How lines of the log look [default: text]: json is one object a line, with ts, level, target, message, and listener and
    /// address where it is about one
    #[arg(
        long,
        value_name = "text|json",
        hide_possible_values = true,
        env = "POLYPORT_LOG_FORMAT",
        hide_env_values = true
    )]
    log_format: Option<LogFormat>,
}

/// How lines of the log look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl LogArgs {
    /// How lines look, by what was asked for, and by where standard error leads.
    pub(super) fn shape(&self) -> Shape {
        match self.log_format.unwrap_or(LogFormat::Text) {
            LogFormat::Json => Shape::Json { now },
            LogFormat::Text if is_the_journal() => Shape::Journal,
            LogFormat::Text => Shape::Plain,
        }
    }
}

/// A logger that writes whatever it is given to `output`.
pub(super) fn writer(output: &Output) -> Logger {
    let (terminal, shape) = (io::stderr().is_terminal(), output.shape());
    let mut builder = env_logger::Builder::new();
    builder.filter_level(LevelFilter::Trace).format(move |out, record| {
        let severity = severity(record.level());
        match shape {
            Shape::Plain if terminal => {
                let style = out.default_level_style(record.level());
                writeln!(out, "{style}{}{style:#}: {}", severity.word(), record.args())
            }
            Shape::Plain => {
                writeln!(out, "{} {}: {}", out.timestamp_millis(), severity.word(), record.args())
            }
            Shape::Journal => writeln!(out, "{}", prioritized(severity, &record.args().to_string())),
            Shape::Json { .. } => {
                let (ts, message) = (out.timestamp_millis().to_string(), record.args().to_string());
                writeln!(out, "{}", json(&ts, severity, record.target(), subject(&message), &message))
            }
        }
    });
    // Of a pipe the logger does not know whether colours are welcome.
    let colours = if is_coloured(output) { WriteStyle::Always } else { WriteStyle::Never };
    builder.write_style(colours).target(Target::Pipe(Box::new(output.log())));
    builder.build()
}

/// Whether colours are welcome on standard error: programs want none.
pub(super) fn is_coloured(output: &Output) -> bool {
    matches!(output.shape(), Shape::Plain) && Style::stderr().is_coloured()
}

/// The listener that a line is about, and the address or range of it. Every line about one begins with `listener NAME ADDRESS`: what
/// others say comes behind that, and the characters of a name make no other word of it.
fn subject(message: &str) -> Option<(&str, &str)> {
    let (name, rest) = message.strip_prefix("listener ")?.split_once(' ')?;
    let end = rest.find([' ', ',']).unwrap_or(rest.len());
    let address = rest.get(..end)?;
    let address = address.strip_suffix(':').unwrap_or(address);
    address.contains(':').then_some((name, address))
}

fn severity(level: Level) -> Severity {
    match level {
        Level::Error => Severity::Error,
        Level::Warn => Severity::Warn,
        Level::Info => Severity::Info,
        Level::Debug => Severity::Debug,
        Level::Trace => Severity::Trace,
    }
}

/// The time as RFC 3339 has it, to the millisecond, as the logger writes it.
fn now() -> String {
    let unix_ns = Clock::new().unix_ns();
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_nanos(unix_ns)).to_string()
}

/// Whether standard error leads to the journal: then `JOURNAL_STREAM` has the device and the inode of it (`systemd.exec(5)`). A
/// program that inherits the variable and has its standard error led elsewhere is told by the comparison.
fn is_the_journal() -> bool {
    let Some(stream) = env::var_os("JOURNAL_STREAM") else { return false };
    let Ok(stat) = rustix::fs::fstat(io::stderr()) else { return false };
    names(&String::from_utf8_lossy(stream.as_bytes()), stat.st_dev, stat.st_ino)
}

/// Whether `stream` is `DEVICE:INODE` of these.
fn names(stream: &str, device: impl fmt::Display, inode: impl fmt::Display) -> bool {
    stream == format!("{device}:{inode}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_about_the_listener_that_it_begins_with() {
        let of = |message| subject(message);
        assert_eq!(of("listener far [::1]:7 (plugin lossy): broken"), Some(("far", "[::1]:7")));
        assert_eq!(of("listener far 127.0.0.1:7: served by lossy 0.1.0"), Some(("far", "127.0.0.1:7")));
        assert_eq!(of("listener far 127.0.0.1:7-99: 93 addresses served"), Some(("far", "127.0.0.1:7-99")));
        assert_eq!(of("reloaded: nothing has changed"), None);
        assert_eq!(of("listener far: no room"), None);
        assert_eq!(of("listener far and away"), None);
    }

    #[test]
    fn the_journal_is_known_by_device_and_inode() {
        assert!(names("8:1234", 8_u64, 1234_u64));
        assert!(
            !names("8:1234", 8_u64, 123_u64) && !names("", 8_u64, 1234_u64) && !names("8", 8_u64, 1234_u64)
        );
    }
}
