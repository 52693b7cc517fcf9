//! The terminal: taken whole, and given back as it was, however the program ends.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::layout::{Position, Rect};
use ratatui::{Terminal, TerminalOptions, Viewport};
use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;

/// Which of our outputs is the terminal that is drawn on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Onto {
    /// Standard output.
    Stdout,
    /// Standard error, which leaves standard output to the result.
    Stderr,
}

/// The terminal, while it is ours.
#[derive(Debug)]
pub struct Tty {
    /// Where what is drawn goes.
    pub screen: Terminal<CrosstermBackend<BufWriter<Onto>>>,
    taken: Taken,
}

/// Whether the terminal is ours: for whoever has to give it back, from whichever thread.
#[derive(Clone, Debug)]
pub struct Taken {
    onto: Onto,
    is_ours: Arc<AtomicBool>,
}

impl Onto {
    /// Whether there is a terminal that a program can have whole.
    #[must_use]
    pub fn is_there(self) -> bool {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let is_terminal = match self {
            Self::Stdout => io::stdout().is_terminal(),
            Self::Stderr => io::stderr().is_terminal(),
        };
        is_terminal && !is_dumb
    }
}

/// Whether the shell has given the terminal to this program: who takes it in the background is stopped (SIGTTOU).
#[must_use]
pub fn is_in_front() -> bool {
    File::open("/dev/tty").is_ok_and(|tty| tcgetpgrp(tty).is_ok_and(|front| front == getpgrp()))
}

impl Write for Onto {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout => io::stdout().write(octets),
            Self::Stderr => io::stderr().write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout => io::stdout().flush(),
            Self::Stderr => io::stderr().flush(),
        }
    }
}

impl Taken {
    /// Not ours yet.
    #[must_use]
    pub fn new(onto: Onto) -> Self {
        Self { onto, is_ours: Arc::default() }
    }

    /// Whether it is ours now.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.is_ours.load(Ordering::SeqCst)
    }

    /// Takes the terminal.
    fn take(&self) -> io::Result<()> {
        self.is_ours.store(true, Ordering::SeqCst);
        enable_raw_mode()?;
        let mut out = BufWriter::new(self.onto);
        execute!(out, EnterAlternateScreen, Hide)
    }

    /// Gives it back, once.
    pub fn give_back(&self) {
        if self.is_ours.swap(false, Ordering::SeqCst) {
            // Of a terminal that is gone nothing is left to be given back.
            let mut out = BufWriter::new(self.onto);
            execute!(out, Show, LeaveAlternateScreen).unwrap_or(());
            disable_raw_mode().unwrap_or(());
        }
    }
}

impl Tty {
    /// Takes the terminal. A panic gives it back before it says what is wrong.
    ///
    /// # Errors
    /// Those of the terminal.
    pub fn take(taken: Taken) -> io::Result<Self> {
        let before = panic::take_hook();
        let by_panic = taken.clone();
        panic::set_hook(Box::new(move |info| {
            by_panic.give_back();
            before(info);
        }));
        let options = TerminalOptions { viewport: Viewport::Fullscreen };
        taken.take().inspect_err(|_| taken.give_back())?;
        // Standard error has no buffer of its own: a picture would be thousands of calls.
        let out = BufWriter::with_capacity(1 << 16, taken.onto);
        let screen = Terminal::with_options(CrosstermBackend::new(out), options);
        let screen = screen.inspect_err(|_| taken.give_back())?;
        Ok(Self { screen, taken })
    }

    /// Gives it back for a while.
    pub fn give_back(&self) {
        self.taken.give_back();
    }

    /// Takes it again, whatever somebody else has made of it meanwhile.
    ///
    /// # Errors
    /// Those of the terminal.
    pub fn take_again(&mut self) -> io::Result<()> {
        // What the terminal was like is known from the first time; raw mode may have been taken from us.
        self.taken.give_back();
        self.taken.take()?;
        self.draw_anew()
    }

    /// Has everything drawn again the next time. Not by `Terminal::clear`: it asks the terminal where the cursor is, and the answer goes
    /// to the thread that reads keys.
    ///
    /// # Errors
    /// Those of the terminal.
    pub fn draw_anew(&mut self) -> io::Result<()> {
        let size = self.screen.size()?;
        self.screen.resize(Rect::from((Position::ORIGIN, size)))
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        self.taken.give_back();
    }
}
