//! Which lines of the log are written, at the start and while the daemon serves.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use env_logger::Logger;
use log::{LevelFilter, Log, Metadata, Record};
use polyport_terminal::Output;

use super::logging::{LogArgs, writer};
use crate::control::wire::Level;

/// The level that was chosen while the program runs; 0 is what it was started with.
type Chosen = Arc<AtomicUsize>;

/// A logger whose level can be chosen anew.
struct Switched {
    /// Writes whatever it is given.
    writer: Logger,
    /// What the program was started with, `POLYPORT_LOG` included.
    started: env_filter::Filter,
    chosen: Chosen,
}

impl Log for Switched {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        match level_of(self.chosen.load(Ordering::Relaxed)) {
            None => self.started.enabled(metadata),
            Some(level) if is_ours(metadata.target()) => metadata.level() <= filter_of(level),
            Some(level) => metadata.level() <= filter_of(level).min(LevelFilter::Warn),
        }
    }

    fn log(&self, record: &Record<'_>) {
        let wanted = match level_of(self.chosen.load(Ordering::Relaxed)) {
            None => self.started.matches(record),
            Some(_) => self.enabled(record.metadata()),
        };
        if wanted {
            self.writer.log(record);
        }
    }

    fn flush(&self) {
        self.writer.flush();
    }
}

impl fmt::Debug for Switched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Switched")
    }
}

fn is_ours(target: &str) -> bool {
    target.starts_with("polyport")
}

const LEVELS: [Level; 5] = [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace];

fn level_of(number: usize) -> Option<Level> {
    LEVELS.get(number.checked_sub(1)?).copied()
}

fn number_of(level: Level) -> usize {
    LEVELS.iter().position(|other| *other == level).map_or(0, |at| at + 1)
}

fn filter_of(level: Level) -> LevelFilter {
    match level {
        Level::Error => LevelFilter::Error,
        Level::Warn => LevelFilter::Warn,
        Level::Info => LevelFilter::Info,
        Level::Debug => LevelFilter::Debug,
        Level::Trace => LevelFilter::Trace,
    }
}

/// Starts the log. What is returned says how much of our own is logged, and sets it.
pub(super) fn init(args: &LogArgs, output: &Output) -> impl Fn(Option<Level>) -> Level + Send + Sync + use<> {
    let at_start = match (args.quiet, args.verbose) {
        (true, _) => Level::Error,
        (false, 0) => Level::Info,
        (false, 1) => Level::Debug,
        (false, _) => Level::Trace,
    };
    let mut filter = env_filter::Builder::new();
    // The libraries below have nothing to say to a user at the level of their traces.
    filter.filter_level(filter_of(at_start).min(LevelFilter::Warn));
    filter.filter_module("polyport", filter_of(at_start));
    if let Ok(directives) = std::env::var("POLYPORT_LOG") {
        filter.parse(&directives);
    }
    let (started, chosen) = (filter.build(), Chosen::default());
    let most = started.filter();
    // Of what is asked for by its module, the level of all is not known: the most that is asked for is said.
    let said = LEVELS.into_iter().rfind(|level| filter_of(*level) <= most).unwrap_or(Level::Error);
    let logger = Switched { writer: writer(output), started, chosen: Arc::clone(&chosen) };
    // Only a second logger in one process is refused, and the first one serves as well.
    if log::set_boxed_logger(Box::new(logger)).is_ok() {
        log::set_max_level(most);
    }
    move |level| {
        if let Some(level) = level {
            chosen.store(number_of(level), Ordering::Relaxed);
            log::set_max_level(filter_of(level));
        }
        level_of(chosen.load(Ordering::Relaxed)).unwrap_or(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_is_chosen_counts_instead_of_what_was_asked_for_at_the_start() {
        let mut filter = env_filter::Builder::new();
        filter.filter_level(LevelFilter::Warn).filter_module("polyport", LevelFilter::Info);
        filter.parse("polyport::datagram=trace");
        let writer = env_logger::Builder::new().build();
        let logger = Switched { writer, started: filter.build(), chosen: Chosen::default() };
        let enabled = |target: &str, level: log::Level| {
            logger.enabled(&Metadata::builder().target(target).level(level).build())
        };
        assert!(enabled("polyport::datagram", log::Level::Trace) && !enabled("polyport", log::Level::Debug));
        logger.chosen.store(number_of(Level::Debug), Ordering::Relaxed);
        assert!(
            enabled("polyport::apply", log::Level::Debug)
                && !enabled("polyport::datagram", log::Level::Trace)
        );
        assert!(!enabled("mio", log::Level::Info) && enabled("mio", log::Level::Warn));
        logger.chosen.store(number_of(Level::Error), Ordering::Relaxed);
        assert!(!enabled("polyport", log::Level::Warn) && !enabled("mio", log::Level::Warn));
    }

    #[test]
    fn levels_are_their_numbers() {
        assert!(LEVELS.into_iter().all(|level| level_of(number_of(level)) == Some(level)));
        assert_eq!((level_of(0), level_of(6)), (None, None));
    }
}
