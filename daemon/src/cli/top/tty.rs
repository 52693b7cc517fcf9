//! The terminal: taken whole, and given back as it was, however the program ends.

use std::io::{self, IsTerminal, Stdout, Write};
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

/// The terminal of standard output, while it is ours.
#[derive(Debug)]
pub(super) struct Tty {
    /// Where what is drawn goes.
    pub(super) screen: Terminal<CrosstermBackend<Stdout>>,
    taken: Taken,
}

/// Whether the terminal is ours: for whoever has to give it back, from whichever thread.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken(Arc<AtomicBool>);

/// Whether there is a terminal that a program can have whole.
pub(super) fn is_there() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    io::stdout().is_terminal() && !is_dumb
}

impl Taken {
    /// Takes the terminal.
    fn take(&self) -> io::Result<()> {
        self.0.store(true, Ordering::SeqCst);
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen, Hide)
    }

    /// Gives it back, once.
    pub(super) fn give_back(&self) {
        if self.0.swap(false, Ordering::SeqCst) {
            // Of a terminal that is gone nothing is left to be given back.
            execute!(io::stdout(), Show, LeaveAlternateScreen).unwrap_or(());
            disable_raw_mode().unwrap_or(());
            io::stdout().flush().unwrap_or(());
        }
    }
}

impl Tty {
    /// Takes the terminal. A panic gives it back before it says what is wrong.
    pub(super) fn take(taken: Taken) -> io::Result<Self> {
        let before = panic::take_hook();
        let by_panic = taken.clone();
        panic::set_hook(Box::new(move |info| {
            by_panic.give_back();
            before(info);
        }));
        let options = TerminalOptions { viewport: Viewport::Fullscreen };
        taken.take().inspect_err(|_| taken.give_back())?;
        let screen = Terminal::with_options(CrosstermBackend::new(io::stdout()), options);
        let screen = screen.inspect_err(|_| taken.give_back())?;
        Ok(Self { screen, taken })
    }

    /// Gives it back for a while.
    pub(super) fn give_back(&self) {
        self.taken.give_back();
    }

    /// Takes it again, whatever somebody else has made of it meanwhile.
    pub(super) fn take_again(&mut self) -> io::Result<()> {
        // What the terminal was like is known from the first time; raw mode may have been taken from us.
        self.taken.give_back();
        self.taken.take()?;
        self.draw_anew()
    }

    /// Has everything drawn again the next time. Not by `Terminal::clear`: it asks the terminal where the cursor is, and the answer goes
    /// to the thread that reads keys.
    pub(super) fn draw_anew(&mut self) -> io::Result<()> {
        let size = self.screen.size()?;
        self.screen.resize(Rect::from((Position::ORIGIN, size)))
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        self.taken.give_back();
    }
}
