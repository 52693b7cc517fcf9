//! What a plugin logs as a warning or an error, of which the last lines are kept: a case that finds something shows them.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};

/// Lines that are kept.
const MOST: usize = 3;

struct Heard(Mutex<VecDeque<String>>);

static HEARD: Heard = Heard(Mutex::new(VecDeque::new()));

impl Log for Heard {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        // It is written out in any case: that is what the plugin does for it.
        let line = record.args().to_string();
        if record.level() > Level::Warn {
            return;
        }
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == MOST {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    fn flush(&self) {}
}

/// Listens from now on, to every level: what is written for a level is a part of the plugin too.
pub(super) fn listen() {
    // Only a second logger in one process is refused.
    if log::set_logger(&HEARD).is_ok() {
        log::set_max_level(LevelFilter::Trace);
    }
}

/// The last line, in brackets; nothing if there is none.
pub(super) fn last() -> String {
    let lines = HEARD.0.lock().unwrap_or_else(PoisonError::into_inner);
    // Whose line it is is known.
    let said = |line: &String| line.split_once("): ").map_or(line.as_str(), |(_, said)| said).to_owned();
    lines.back().map(|line| format!(" ({})", said(line))).unwrap_or_default()
}
