//! Ctrl-C and `kill`: the first signal asks the program to end with what it knows, the second one ends it at once.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

use crate::exit::Exit;

const SIGNALS: [i32; 2] = [SIGINT, SIGTERM];

/// Whether the user wants the program to end. Cheap to clone and to ask.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    flag: Arc<AtomicBool>,
    /// One of the two signals has come, so the next one ends the process.
    armed: Arc<AtomicBool>,
}

impl Interrupt {
    /// Listens to SIGINT and SIGTERM from now on. The second such signal ends the process with
    /// [`Exit::Interrupted`], whatever it does.
    ///
    /// # Errors
    /// Those of `sigaction(2)`.
    pub fn listen() -> io::Result<Self> {
        let interrupt = Self::default();
        for signal in SIGNALS {
            interrupt.register(signal)?;
        }
        Ok(interrupt)
    }

    /// Whether a signal has come, or [`Self::ask`] was called.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }

    /// Asks for the end without a signal.
    pub fn ask(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    /// Has each of these signals write a byte as well, after the flag was set.
    pub(crate) fn wake(&self, writer: &UnixStream) -> io::Result<()> {
        for signal in SIGNALS {
            low_level::pipe::register(signal, writer.try_clone()?)?;
        }
        Ok(())
    }

    /// What [`Self::is_set`] reads.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.flag)
    }

    fn register(&self, signal: i32) -> io::Result<()> {
        // The order matters: the shutdown looks at its flag before the first signal sets it.
        let code = i32::from(Exit::Interrupted as u8);
        flag::register_conditional_shutdown(signal, code, Arc::clone(&self.armed))?;
        flag::register(signal, Arc::clone(&self.armed))?;
        flag::register(signal, self.flag())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_asked_to_end_is_told() {
        let interrupt = Interrupt::default();
        let seen_elsewhere = interrupt.clone();
        assert!(!interrupt.is_set());
        seen_elsewhere.ask();
        assert!(interrupt.is_set());
    }
}
