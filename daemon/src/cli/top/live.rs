//! The screen that follows a daemon: events come by one channel, and each is drawn.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::time::Duration;

use polyport_terminal::screen::{Look, Onto, Taken, Tty, read_keys};
use polyport_terminal::{Job, aside, end_as_asked, stop_as_asked, tell_of_jobs};
use ratatui::crossterm::event::{self, Event};

use super::ask::{Find, Heard, Wish, keep_asking};
use super::link::Link;
use super::model::Model;
use super::screen;
use super::view::{Act, View};
use crate::apply::Clock;

/// Events that wait to be looked at: more than a person types.
const EVENTS: usize = 64;
/// Drawn at least so often, so that it is seen how long there was no answer.
const LONGEST: Duration = Duration::from_secs(1);

/// Something happened.
enum Happened {
    Heard(Heard),
    Typed(Event),
    /// Nothing can be typed any more: the terminal is gone.
    Deaf(io::Error),
    Job(Job),
    /// A thread has panicked.
    Broken,
}

/// How it is to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manners {
    pub(super) interval: Duration,
    /// Samples with rates until it ends.
    pub(super) count: Option<u64>,
    pub(super) look: Look,
}

/// Shows what a daemon does until the user has seen enough.
///
/// # Errors
/// Those of the terminal.
pub(super) fn follow(find: Find, clock: Arc<Clock>, mut view: View, manners: Manners) -> io::Result<()> {
    let taken = Taken::new(Onto::Stdout);
    let (events, happened) = mpsc::sync_channel(EVENTS);
    let (wishes, wished) = mpsc::channel();
    let of_signals = events.clone();
    let for_signals = taken.clone();
    tell_of_jobs(move |job| of_signals.send(Happened::Job(job)).is_ok(), move || for_signals.give_back())?;
    let tty = Tty::take(taken.clone())?;
    start(find, &clock, manners.interval, taken, (events, wished))?;
    let now = Duration::from_nanos(clock.mono_ns());
    let follower = Follower {
        tty,
        model: Model::default(),
        view: {
            view.one = None;
            view
        },
        link: Link::new(now, manners.interval),
        manners,
        clock,
        wishes,
        rates: 0,
    };
    follower.run(&happened)
}

/// Starts the threads that ask and that read keys.
fn start(
    find: Find,
    clock: &Arc<Clock>,
    interval: Duration,
    taken: Taken,
    (events, wished): (SyncSender<Happened>, Receiver<Wish>),
) -> io::Result<()> {
    let (of_keys, clock) = (events.clone(), Arc::clone(clock));
    aside("asker", move || {
        let last = Last(events.clone());
        keep_asking(&find, &clock, interval, &wished, |heard| events.send(Happened::Heard(heard)).is_ok());
        drop(last);
    })?;
    let last = Last(of_keys);
    read_keys(taken, move |read| {
        // It goes with the closure: with the thread.
        let Last(events) = &last;
        events.send(read.map_or_else(Happened::Deaf, Happened::Typed)).is_ok()
    })?;
    Ok(())
}

/// What a thread says last if it panics.
struct Last(SyncSender<Happened>);

impl Drop for Last {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.send(Happened::Broken).unwrap_or(());
        }
    }
}

struct Follower {
    tty: Tty,
    model: Model,
    view: View,
    link: Link,
    manners: Manners,
    clock: Arc<Clock>,
    wishes: Sender<Wish>,
    /// Samples with rates so far.
    rates: u64,
}

impl Follower {
    fn run(mut self, happened: &Receiver<Happened>) -> io::Result<()> {
        loop {
            self.draw()?;
            let mut next = match happened.recv_timeout(LONGEST) {
                Ok(event) => Some(event),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            // All that has happened is drawn once.
            while let Some(event) = next {
                if !self.meet(event)? {
                    return Ok(());
                }
                next = happened.try_recv().ok();
            }
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        let now = self.now();
        let Self { tty, model, view, link, manners, .. } = self;
        let mut room = 0;
        tty.screen
            .draw(|frame| room = screen::draw(frame.buffer_mut(), model, view, link, manners.look, now))?;
        view.page = room;
        Ok(())
    }

    /// Returns whether it goes on.
    fn meet(&mut self, event: Happened) -> io::Result<bool> {
        match event {
            Happened::Heard(Heard::Sample(sample, every)) => {
                self.link.answered(self.now(), every);
                if !self.view.paused {
                    self.model.take(*sample);
                    self.rates +=
                        u64::from(self.model.head.as_ref().is_some_and(|head| head.rates.is_some()));
                }
                return Ok(self.manners.count.is_none_or(|count| self.rates < count));
            }
            Happened::Heard(Heard::Failure(why)) => self.link.failed(self.now(), why),
            Happened::Typed(Event::Key(key)) => return self.act(key),
            Happened::Typed(_) => {}
            Happened::Deaf(error) => return Err(error),
            Happened::Broken => return Err(io::Error::other("a thread of `top` has ended")),
            Happened::Job(Job::End(signal)) => {
                self.tty.give_back();
                end_as_asked(signal);
                return Ok(false);
            }
            Happened::Job(Job::Stop) => self.stop()?,
            Happened::Job(Job::GoOn) => self.go_on()?,
        }
        Ok(true)
    }

    fn act(&mut self, key: event::KeyEvent) -> io::Result<bool> {
        match self.view.key(key, &self.model) {
            None | Some(Act::Draw) => {
                if is_redraw(key) {
                    self.tty.draw_anew()?;
                }
            }
            Some(Act::Ask) => {
                let wish = Wish { one: self.view.one.clone(), offset: self.view.offset };
                self.wishes.send(wish).unwrap_or(());
            }
            Some(Act::Quit) => return Ok(false),
            Some(Act::Stop) => self.stop()?,
        }
        Ok(true)
    }

    /// Stops as the shell expects it, and goes on when it says so.
    fn stop(&mut self) -> io::Result<()> {
        self.tty.give_back();
        stop_as_asked();
        self.go_on()
    }

    fn go_on(&mut self) -> io::Result<()> {
        self.tty.take_again()?;
        self.link.forgive(self.now());
        Ok(())
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(self.clock.mono_ns())
    }
}

/// Whether a key asks for all of the screen again.
fn is_redraw(key: event::KeyEvent) -> bool {
    key.code == event::KeyCode::Char('l') && key.modifiers.contains(event::KeyModifiers::CONTROL)
}
