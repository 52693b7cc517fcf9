//! SIGUSR1: the operator wants to know how it goes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGUSR1, SIGUSR2};
use signal_hook::flag;

/// Listens to SIGUSR1. [`Signals`](crate::Signals) wake a loop for it.
#[derive(Clone, Debug)]
pub struct Inquiry {
    came: Arc<AtomicBool>,
}

impl Inquiry {
    /// Listens from now on, whatever the program does: a signal that comes before it serves is not lost, and does not end it; nor does
    /// SIGUSR2, which means nothing.
    ///
    /// # Errors
    /// Those of `sigaction(2)`.
    pub fn listen() -> io::Result<Self> {
        let came = Arc::default();
        flag::register(SIGUSR1, Arc::clone(&came))?;
        flag::register(SIGUSR2, Arc::default())?;
        Ok(Self { came })
    }

    /// Whether it was asked since the last time this was taken; however many signals came, it is one question.
    #[must_use]
    pub fn take(&self) -> bool {
        self.came.swap(false, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use signal_hook::low_level;

    use super::*;

    #[test]
    fn several_signals_are_one_question_and_it_is_taken_once() {
        let inquiry = Inquiry::listen().unwrap();
        assert!(!inquiry.take());
        for signal in [SIGUSR1, SIGUSR2, SIGUSR1] {
            low_level::raise(signal).unwrap();
        }
        assert_eq!((inquiry.take(), inquiry.take()), (true, false));
    }
}
