//! Ctrl-C: the first one asks the run to end with what it knows, the second one ends it at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::exit::{Exit, Failure};

/// Whether the user wants the run to end. Cheap to clone and to ask.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    flag: Arc<AtomicBool>,
}

impl Interrupt {
    /// Listens to SIGINT and SIGTERM from now on.
    ///
    /// # Errors
    /// Those of `sigaction(2)`.
    pub fn listen() -> Result<Self, Failure> {
        let interrupt = Self::default();
        interrupt
            .register()
            .map_err(|error| Failure::new(Exit::Os, format!("cannot listen to signals: {error}")))?;
        Ok(interrupt)
    }

    /// Whether a signal has come.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }

    /// One that has been raised already.
    #[cfg(test)]
    pub(crate) fn raised() -> Self {
        let interrupt = Self::default();
        interrupt.flag.store(true, Ordering::Relaxed);
        interrupt
    }

    fn register(&self) -> io::Result<()> {
        for signal in [SIGINT, SIGTERM] {
            // in this order: the flag is still clear when the first signal passes the conditional exit
            let code = i32::from(Exit::Interrupted as u8);
            signal_hook::flag::register_conditional_shutdown(signal, code, Arc::clone(&self.flag))?;
            signal_hook::flag::register(signal, Arc::clone(&self.flag))?;
        }
        Ok(())
    }
}
