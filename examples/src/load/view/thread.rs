//! The thread that looks, draws and reads keys. Nobody of those who send waits for it.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

use polyport_protocol::{MILLISECOND, Nanos};
use polyport_terminal::screen::{Look, Onto, Taken, Tty, is_in_front, read_keys};
use polyport_terminal::{
    Exit, Interrupt, Job, Style, aside, end_as_asked, end_at_once, stop_as_asked, tell_of_stops,
};
use ratatui::crossterm::event::{Event, KeyEvent};

use super::board::Board;
use super::draw::draw;
use super::model::Model;
use super::state::{Act, State};
use crate::clock::Clock;

/// Between two pictures, where nothing is typed: four a second.
const STEP: Duration = Duration::from_millis(250);

/// Events that wait to be looked at: more than a person types.
const EVENTS: usize = 64;

/// Two requests for the end within this time are one: a key that is held down.
const ONE_REQUEST: Nanos = 300 * MILLISECOND;

/// A view that is there.
#[derive(Debug)]
pub struct View {
    /// Where what is shown is put.
    pub board: Arc<Board>,
    events: SyncSender<Happened>,
    thread: Option<JoinHandle<()>>,
}

/// Something happened.
#[derive(Debug)]
enum Happened {
    Typed(Event),
    /// Nothing can be typed any more: the terminal is gone.
    Deaf,
    Job(Job),
    /// The run is over.
    Over,
}

impl View {
    /// Whether there is a terminal for it. It is drawn on standard error, so that standard output has the result. Where that
    /// is a pipe, its reader may be one that takes the terminal itself, such as a pager.
    #[must_use]
    pub fn has_room() -> bool {
        Onto::Stderr.is_there() && !leads_to_another() && is_in_front()
    }

    /// Takes the terminal, and shows from now on what is put on the `board`; `None` where the end was asked for before.
    ///
    /// # Errors
    /// Those of the terminal, and of threads.
    pub fn start(board: Board, interrupt: &Interrupt) -> io::Result<Option<Self>> {
        let taken = Taken::new(Onto::Stderr);
        let for_interrupt = taken.clone();
        interrupt.before_end(move || for_interrupt.give_back());
        // Whoever was asked before this may end without a farewell the next time, and must not have the terminal then.
        if interrupt.is_set() {
            return Ok(None);
        }
        let board = Arc::new(board);
        let (events, happened) = mpsc::sync_channel(EVENTS);
        let (of_signals, for_signals) = (events.clone(), taken.clone());
        tell_of_stops(
            move |job| of_signals.send(Happened::Job(job)).is_ok(),
            move || for_signals.give_back(),
        )?;
        let model = Model::new().map_err(io::Error::other)?;
        let tty = Tty::take(taken.clone())?;
        let of_keys = events.clone();
        read_keys(taken.clone(), move |read| {
            let event = read.map_or(Happened::Deaf, Happened::Typed);
            of_keys.send(event).is_ok()
        })?;
        let look = Look {
            coloured: Style::stderr().is_coloured(),
            unicode: Look::shows_unicode(|name| std::env::var(name).ok()),
        };
        let viewer = Viewer {
            tty,
            taken,
            board: Arc::clone(&board),
            interrupt: interrupt.clone(),
            model,
            state: State::default(),
            look,
            clock: Clock::start(),
            asked: None,
            hidden: false,
        };
        let thread = Some(aside("view", move || viewer.run(&happened))?);
        Ok(Some(Self { board, events, thread }))
    }
}

/// Whether standard output is a pipe or a socket: somebody else's input.
fn leads_to_another() -> bool {
    use rustix::fs::{FileType, fstat};
    let kind = fstat(io::stdout()).map(|stat| FileType::from_raw_mode(stat.st_mode));
    !io::stdout().is_terminal() && kind.is_ok_and(|kind| matches!(kind, FileType::Fifo | FileType::Socket))
}

impl Drop for View {
    /// Gives the terminal back.
    fn drop(&mut self) {
        self.events.send(Happened::Over).unwrap_or(());
        if let Some(thread) = self.thread.take() {
            // A panic of it has been told by its message.
            thread.join().unwrap_or(());
        }
    }
}

struct Viewer {
    tty: Tty,
    taken: Taken,
    board: Arc<Board>,
    interrupt: Interrupt,
    model: Model,
    state: State,
    look: Look,
    clock: Clock,
    /// When the end was asked for.
    asked: Option<Nanos>,
    /// In the background.
    hidden: bool,
}

impl Viewer {
    /// Until the run is over. A terminal that has gone is no reason to end a run: then nothing is shown any more.
    fn run(mut self, happened: &Receiver<Happened>) {
        let mut shows = true;
        loop {
            let mut next = match happened.recv_timeout(STEP) {
                Ok(event) => Some(event),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            // All that has happened is drawn once.
            while let Some(event) = next {
                match self.meet(&event) {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(_) => shows = false,
                }
                next = happened.try_recv().ok();
            }
            shows = shows && self.show().is_ok();
            if !shows {
                self.tty.give_back();
            }
        }
    }

    /// Looks and draws.
    fn show(&mut self) -> io::Result<()> {
        let shown = self.board.shown();
        let now = shown.run.as_ref().map_or(0, |run| run.clock.now());
        // What is paused is the picture: what is known must not have a hole.
        self.model.look(&shown, now);
        self.state.ending = self.interrupt.is_set();
        // A shell does not tell a job that was not stopped when it comes to the front.
        if self.hidden {
            self.go_on()?;
        }
        if !self.taken.is_ours() {
            // In the background, or a panic is told.
            return Ok(());
        }
        if self.state.paused && self.state.drawn_paused {
            return Ok(());
        }
        let Self { tty, model, state, look, .. } = self;
        tty.screen.draw(|frame| draw(frame.buffer_mut(), model, state, *look))?;
        state.drawn_paused = state.paused;
        Ok(())
    }

    /// Returns whether it goes on.
    fn meet(&mut self, event: &Happened) -> io::Result<bool> {
        match event {
            Happened::Over => return Ok(false),
            Happened::Typed(Event::Key(key)) => self.act(*key)?,
            Happened::Typed(_) => self.state.drawn_paused = false,
            Happened::Deaf => return Err(io::ErrorKind::NotConnected.into()),
            Happened::Job(Job::End(signal)) => {
                self.tty.give_back();
                end_as_asked(*signal);
            }
            Happened::Job(Job::Stop) => self.stop()?,
            Happened::Job(Job::GoOn) => self.go_on()?,
        }
        Ok(true)
    }

    fn act(&mut self, key: KeyEvent) -> io::Result<()> {
        self.state.drawn_paused = false;
        match self.state.key(key, self.model.rows.len()) {
            None => {}
            Some(Act::End) => self.interrupt.ask(),
            Some(Act::Interrupt) => {
                let now = self.clock.now();
                if self.asked.is_some_and(|before| now - before > ONE_REQUEST) {
                    self.tty.give_back();
                    end_at_once(Exit::Interrupted);
                }
                self.asked.get_or_insert(now);
                self.interrupt.ask();
            }
            Some(Act::Stop) => self.stop()?,
            Some(Act::Redraw) => self.tty.draw_anew()?,
        }
        Ok(())
    }

    /// Stops as the shell expects it, and goes on when it says so.
    fn stop(&mut self) -> io::Result<()> {
        self.tty.give_back();
        stop_as_asked();
        self.go_on()
    }

    /// In the background (`bg`) the load goes on without a view: who took the terminal there would be stopped.
    fn go_on(&mut self) -> io::Result<()> {
        self.hidden = !is_in_front();
        self.state.drawn_paused = false;
        if self.hidden { Ok(()) } else { self.tty.take_again() }
    }
}
