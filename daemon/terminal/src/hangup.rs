//! SIGHUP: read the configuration again, or the terminal is gone.
//!
//! The same signal means both. A terminal that has gone cannot be asked anything any more, so a program that had one asks it. One
//! that was started with the signal ignored (`nohup(1)`) wants to outlive its terminal.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::SIGHUP;
use signal_hook::flag;

use crate::signals::is_ignored;

/// Listens to SIGHUP.
#[derive(Debug)]
pub struct Hangup {
    came: Arc<AtomicBool>,
    /// Which of the three standard descriptors were a terminal, unless the terminal makes no difference.
    terminals: [bool; 3],
}

/// What a SIGHUP asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hung {
    /// Read the configuration again.
    Reload,
    /// The terminal of the program is gone, so nobody is there to end it otherwise.
    TerminalGone,
}

impl Hangup {
    /// Listens from now on, whatever the program does: a signal that comes before it serves is not lost, and does not end it.
    ///
    /// # Errors
    /// Those of `sigaction(2)`.
    pub fn listen() -> io::Result<Self> {
        let terminals = if is_ignored(SIGHUP) { [false; 3] } else { terminals() };
        let came = Arc::default();
        flag::register(SIGHUP, Arc::clone(&came))?;
        Ok(Self { came, terminals })
    }

    /// What was asked for since the last time this was taken; however many signals came, it is one wish.
    pub fn take(&self) -> Option<Hung> {
        if !self.came.swap(false, Ordering::Relaxed) {
            return None;
        }
        let gone = self.terminals.iter().zip(terminals()).any(|(was, is)| *was && !is);
        Some(if gone { Hung::TerminalGone } else { Hung::Reload })
    }
}

/// Which of the three standard descriptors are a terminal that is there (`tty_ioctl(4)` says `EIO` of one that has gone).
fn terminals() -> [bool; 3] {
    [io::stdin().is_terminal(), io::stdout().is_terminal(), io::stderr().is_terminal()]
}

#[cfg(test)]
mod tests {
    use signal_hook::low_level;

    use super::*;

    #[test]
    fn several_signals_are_one_wish_and_it_is_taken_once() {
        let hangup = Hangup::listen().unwrap();
        assert_eq!(hangup.take(), None);
        for _ in 0..3 {
            low_level::raise(SIGHUP).unwrap();
        }
        assert_eq!((hangup.take(), hangup.take()), (Some(Hung::Reload), None));
    }

    #[test]
    fn of_a_terminal_that_was_there_and_is_not_it_is_said() {
        let nothing = terminals().map(|is| !is);
        let hangup = Hangup { came: Arc::new(AtomicBool::new(true)), terminals: nothing };
        assert_eq!(hangup.take(), Some(Hung::TerminalGone));
    }
}
