//! What threads of a plugin reach of the host in miniature: its log, and whether they have woken the instance.

use core::time::Duration;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Shared by all threads.
#[derive(Debug, Default)]
pub(super) struct Remote {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<String>,
    woken: bool,
}

impl Remote {
    pub(super) fn log(&self, line: String) {
        self.lock().lines.push(line);
    }

    /// The lines since the last call of this function.
    pub(super) fn take_lines(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().lines)
    }

    pub(super) fn wake(&self) {
        self.lock().woken = true;
        self.changed.notify_all();
    }

    pub(super) fn is_woken(&self) -> bool {
        self.lock().woken
    }

    /// Whether somebody has woken the instance since the last call of this function, or does within `at_most`.
    pub(super) fn take_woken(&self, at_most: Duration) -> bool {
        let waiting = self.changed.wait_timeout_while(self.lock(), at_most, |state| !state.woken);
        let mut state = waiting.unwrap_or_else(PoisonError::into_inner).0;
        std::mem::take(&mut state.woken)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
