//! `polyport top`: what a daemon does, as it does it. `daemon/docs/top.md` is its manual.
//!
//! ```text
//! rates    from two counts, what happened in a second
//! model    from what the daemon said, rows with rates; texts become harmless
//! columns  the columns of the table, and orders by them
//! view     what the user looks at, and what keys change of it
//! list     the table
//! one      the page of one listener
//! help     the page of keys and columns
//! link     what is said when no answer comes
//! screen   all of it on a screen
//! plain    the same as text and as JSON
//! ask      the thread that asks the daemon
//! live     the screen that follows
//! ```
//!
//! All but the last two are functions of what they are given: no clock, no terminal, no socket.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, UNIX_EPOCH};

use clap::Args;
use clap::builder::BoolishValueParser;
use polyport_terminal::screen::{Look, Onto};
use polyport_terminal::{Exit, Style, complain};

use super::ctl;
use crate::apply::Clock;
use ask::{Asker, Wish};
use columns::Column;
use live::Manners;
use model::Model;
use view::View;

mod ask;
mod columns;
#[cfg(test)]
mod example;
#[cfg(test)]
mod goldens;
mod help;
mod link;
mod list;
mod live;
mod model;
mod one;
mod plain;
mod rates;
mod screen;
mod view;

/// Between two questions at least: a daemon has to serve as well.
const SHORTEST: Duration = Duration::from_millis(100);

/// How a daemon is followed.
#[derive(Debug, Args)]
pub(super) struct TopArgs {
    /// Control socket of the daemon [env: `POLYPORT_CONTROL`]; without it, that of this user's daemon, or of the system's
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
    /// How often the daemon is asked, 100ms at least
    #[arg(
        short,
        long,
        value_name = "DURATION",
        default_value = "1s",
        value_parser = interval,
        env = "POLYPORT_TOP_INTERVAL",
        hide_env_values = true
    )]
    interval: Duration,
    /// Print one table after one interval, as text
    #[arg(long, env = "POLYPORT_TOP_ONCE", hide_env_values = true, value_parser = BoolishValueParser::new())]
    once: bool,
    /// Print a line of JSON for each interval, with counts and rates; with --once only one
    #[arg(long, env = "POLYPORT_TOP_JSON", hide_env_values = true, value_parser = BoolishValueParser::new())]
    json: bool,
    /// End after so many intervals
    #[arg(
        short = 'n',
        long,
        value_name = "N",
        env = "POLYPORT_TOP_COUNT",
        hide_env_values = true,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    count: Option<u64>,
    /// The column by which listeners are ordered: texts by letters, numbers the largest first
    #[arg(long, value_enum, default_value_t, env = "POLYPORT_TOP_SORT", hide_env_values = true)]
    sort: Column,
    /// Turn the order around
    #[arg(short, long, env = "POLYPORT_TOP_REVERSE", hide_env_values = true, value_parser = BoolishValueParser::new())]
    reverse: bool,
    /// Show listeners whose name has this in it, whatever its case
    #[arg(short, long, value_name = "TEXT", env = "POLYPORT_TOP_FILTER", hide_env_values = true)]
    filter: Option<String>,
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = polyport_value::duration(text)?;
    if interval < SHORTEST {
        return Err("a daemon is asked every 100ms at most".to_owned());
    }
    Ok(interval)
}

/// Follows a daemon.
pub(super) fn run(args: &TopArgs) -> Exit {
    let view = View {
        sort: args.sort,
        reverse: args.reverse,
        filter: args.filter.clone().unwrap_or_default(),
        ..View::default()
    };
    if args.once || args.json {
        return print(args, &view);
    }
    if !Onto::Stdout.is_there() {
        complain(
            "standard output is no terminal that can be drawn on: `polyport top --once` prints a table, `--json` a line for \
             each interval",
        );
        return Exit::Usage;
    }
    let look = Look {
        coloured: Style::stdout().is_coloured(),
        unicode: Look::shows_unicode(|name| std::env::var(name).ok()),
    };
    let control = args.control.clone();
    let find = move || ctl::socket(control.as_ref()).map_err(ctl::Failure::words);
    // What was typed wrong is said at once; a daemon that is not there yet may come.
    if let Err(failure) = ctl::socket(args.control.as_ref())
        && failure.is_usage()
    {
        return failure.tell();
    }
    let manners = Manners { interval: args.interval, count: args.count, look };
    match live::follow(Box::new(find), Arc::new(Clock::new()), view, manners) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            complain(format_args!("the terminal: {error}"));
            Exit::Io
        }
    }
}

/// Prints what a pipe takes: a table, or lines of JSON.
fn print(args: &TopArgs, view: &View) -> Exit {
    let path = match ctl::socket(args.control.as_ref()) {
        Ok(path) => path,
        Err(failure) => return failure.tell(),
    };
    let clock = Arc::new(Clock::new());
    let mut asker = Asker::new(path, Arc::clone(&clock));
    let mut model = Model::default();
    let mut left = if args.once { Some(1) } else { args.count };
    // Nobody sends by it: it is a wait that ends by time alone.
    let (_held, never) = mpsc::channel::<()>();
    while left != Some(0) {
        let from_ns = clock.mono_ns();
        let sample = match asker.ask(&Wish::default()) {
            Ok(sample) => sample,
            Err(error) => return ctl::Failure::from(error).tell(),
        };
        model.take(sample);
        if model.head.as_ref().is_some_and(|head| head.interval.is_some()) {
            let text =
                if args.json { plain::json(&model, view, &at()) + "\n" } else { plain::table(&model, view) };
            match write(&text) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Exit::Ok,
                Err(error) => {
                    complain(format_args!("cannot write to standard output: {error}"));
                    return Exit::Io;
                }
            }
            left = left.map(|left| left - 1);
        }
        if left != Some(0) {
            let took = Duration::from_nanos(clock.mono_ns().saturating_sub(from_ns));
            let rest = never.recv_timeout(args.interval.saturating_sub(took));
            debug_assert_eq!(rest, Err(RecvTimeoutError::Timeout));
        }
    }
    Exit::Ok
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// The time as RFC 3339 has it, to the millisecond.
fn at() -> String {
    let unix_ns = Clock::new().unix_ns();
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_nanos(unix_ns)).to_string()
}
