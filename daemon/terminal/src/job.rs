//! Signals for a program that has the whole terminal: it must give it back before it ends or stops.

use std::io;
use std::sync::mpsc;
use std::time::Duration;

use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::aside::aside;
use crate::signals::is_ignored;

/// How long a program may take to give the terminal back by itself.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// End, as [`end_as_asked`] does when the terminal is given back (SIGINT, SIGTERM, SIGHUP).
    End(i32),
    /// Stop, as [`stop_as_asked`] does when the terminal is given back (SIGTSTP).
    Stop,
    /// It was stopped and goes on: somebody else may have changed the terminal (SIGCONT).
    GoOn,
}

/// Tells of these signals from now on; `tell` says whether anybody heard of it, and what nobody hears of happens at once.
/// Where the program does not end in time after it was asked to, `give_back` is called and the process ends: what it does
/// may hang in the terminal. A program that was started with SIGHUP ignored (`nohup(1)`) goes on ignoring it.
///
/// # Errors
/// Those of `sigaction(2)` and `pthread_create(3)`.
pub fn tell_of_jobs(
    tell: impl Fn(Job) -> bool + Send + 'static,
    give_back: impl Fn() + Send + 'static,
) -> io::Result<()> {
    tell_of(&[SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGCONT], tell, give_back)
}

/// Tells of these signals without SIGINT and SIGTERM, for a program that those ask for its result
/// ([`Interrupt`](crate::Interrupt)).
///
/// # Errors
/// Those of `sigaction(2)` and `pthread_create(3)`.
pub fn tell_of_stops(
    tell: impl Fn(Job) -> bool + Send + 'static,
    give_back: impl Fn() + Send + 'static,
) -> io::Result<()> {
    tell_of(&[SIGHUP, SIGTSTP, SIGCONT], tell, give_back)
}

fn tell_of(
    signals: &[i32],
    tell: impl Fn(Job) -> bool + Send + 'static,
    give_back: impl Fn() + Send + 'static,
) -> io::Result<()> {
    let heeded = signals.iter().filter(|signal| **signal != SIGHUP || !is_ignored(SIGHUP));
    let mut signals = Signals::new(heeded)?;
    aside("signals", move || {
        for signal in signals.forever() {
            match signal {
                SIGTSTP => {
                    if !tell(Job::Stop) {
                        stop_as_asked();
                    }
                }
                // What has nothing to show goes on by itself.
                SIGCONT => _ = tell(Job::GoOn),
                _ => {
                    if tell(Job::End(signal)) {
                        pass(PATIENCE);
                    }
                    give_back();
                    end_as_asked(signal);
                }
            }
        }
    })?;
    Ok(())
}

/// Ends the process by the signal, so that whoever waits for it sees why.
pub fn end_as_asked(signal: i32) {
    emulate_default_handler(signal).unwrap_or(());
}

/// Stops the process as SIGTSTP does. Returns when it goes on.
pub fn stop_as_asked() {
    emulate_default_handler(SIGTSTP).unwrap_or(());
}

/// Lets some time pass, on a thread that serves nobody.
fn pass(time: Duration) {
    let (_held, never) = mpsc::channel::<()>();
    never.recv_timeout(time).unwrap_or(());
}
