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

    /// Listens as [`Self::listen`] does, for a loop that waits on descriptors: the stream gets a byte for each signal.
    ///
    /// # Errors
    /// Those of `socketpair(2)`, `dup(2)` and `sigaction(2)`.
    pub fn stream() -> io::Result<UnixStream> {
        let (reader, writer) = UnixStream::pair()?;
        let interrupt = Self::default();
        for signal in SIGNALS {
            interrupt.register(signal)?;
            low_level::pipe::register(signal, writer.try_clone()?)?;
        }
        Ok(reader)
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

    fn register(&self, signal: i32) -> io::Result<()> {
        // The order matters: the shutdown looks at the flag before the first signal sets it.
        let code = i32::from(Exit::Interrupted as u8);
        flag::register_conditional_shutdown(signal, code, Arc::clone(&self.flag))?;
        flag::register(signal, Arc::clone(&self.flag))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::time::Duration;

    use super::*;

    #[test]
    fn whoever_is_asked_to_end_is_told() {
        let interrupt = Interrupt::default();
        let seen_elsewhere = interrupt.clone();
        assert!(!interrupt.is_set());
        seen_elsewhere.ask();
        assert!(interrupt.is_set());
    }

    /// One signal in all: a second one would end the process of the tests.
    #[test]
    fn the_first_signal_asks_and_wakes() {
        let interrupt = Interrupt::listen().unwrap();
        let mut stream = Interrupt::stream().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        assert!(!interrupt.is_set());
        low_level::raise(SIGTERM).unwrap();
        assert!(interrupt.is_set());
        stream.read_exact(&mut [0]).unwrap();
    }
}
