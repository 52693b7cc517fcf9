//! What is typed, by a thread that waits for it.
//!
//! It looks for itself whether it may read before crossterm does, which tries again without end where read(2) fails: in the
//! background, where what is typed is the shell's (`EIO`, since no signal comes to this thread), and on a terminal that has gone.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use ratatui::crossterm::event::{self, Event};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;

use super::tty::Taken;
use crate::aside::aside;

/// Between two looks at whether it may read, and at the size of the terminal: shorter than a person takes to see a difference.
const LOOK: Duration = Duration::from_millis(50);

/// Tells of what is typed, of changes of the terminal's size, and last of all of an error: nothing can be typed any more. Ends
/// when `tell` wants no more. Nothing is read while the terminal is not `taken` or is somebody else's.
///
/// # Errors
/// Those of `pthread_create(3)`.
pub fn read_keys(taken: Taken, tell: impl Fn(io::Result<Event>) -> bool + Send + 'static) -> io::Result<()> {
    aside("keys", move || {
        let Err(error) = keep_reading(&taken, |event| tell(Ok(event))) else { return };
        tell(Err(error));
    })?;
    Ok(())
}

/// Until `tell` wants no more.
fn keep_reading(taken: &Taken, tell: impl Fn(Event) -> bool) -> io::Result<()> {
    let tty = Input::open()?;
    let may_read = || taken.is_ours() && is_ours_to_read(&tty);
    loop {
        let typed = wait(&tty, may_read())?;
        let mut heard = false;
        // A stop may have come while it waited, and between two events.
        while may_read() && event::poll(Duration::ZERO)? {
            heard = true;
            if !tell(event::read()?) {
                return Ok(());
            }
        }
        if typed && !heard {
            // Crossterm is told once of what comes, and does not look again at what it has left.
            wait(&tty, false)?;
        }
    }
}

/// What crossterm reads: standard input where that is a terminal, else the terminal of the process.
enum Input {
    Stdin(io::Stdin),
    Terminal(OwnedFd),
}

impl Input {
    fn open() -> io::Result<Self> {
        let stdin = io::stdin();
        if stdin.is_terminal() {
            return Ok(Self::Stdin(stdin));
        }
        Ok(Self::Terminal(File::options().read(true).write(true).open("/dev/tty")?.into()))
    }
}

impl AsFd for Input {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Stdin(stdin) => stdin.as_fd(),
            Self::Terminal(tty) => tty.as_fd(),
        }
    }
}

/// Whether read(2) gives what is typed. One that is not the terminal of our session (`ENOTTY`) is read by whoever likes.
fn is_ours_to_read(tty: impl AsFd) -> bool {
    tcgetpgrp(tty).map_or(true, |front| front == getpgrp())
}

/// Waits for the next look, or only until something is typed if `typed` is of interest. Says whether something is.
///
/// # Errors
/// Those of `poll(2)`, and that the terminal has gone.
fn wait(tty: impl AsFd, typed: bool) -> io::Result<bool> {
    // That it has gone is told without being asked for.
    let wanted = if typed { PollFlags::IN } else { PollFlags::empty() };
    let mut looked_at = [PollFd::new(&tty, wanted)];
    let time = Timespec::try_from(LOOK).map_err(io::Error::other)?;
    match poll(&mut looked_at, Some(&time)) {
        Ok(_) => {}
        Err(rustix::io::Errno::INTR) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    let happened = looked_at[0].revents();
    if happened.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
        return Err(io::Error::new(io::ErrorKind::NotConnected, "the terminal has gone"));
    }
    Ok(happened.contains(PollFlags::IN))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rustix::fs::{Mode, OFlags, open};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    fn terminal() -> (File, OwnedFd) {
        let user = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&user).unwrap();
        unlockpt(&user).unwrap();
        let name = ptsname(&user, Vec::new()).unwrap();
        (user.into(), open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap())
    }

    #[test]
    fn what_is_typed_wakes_only_whoever_may_read_it() {
        let (mut user, tty) = terminal();
        assert!(!wait(&tty, true).unwrap(), "nothing is typed");
        user.write_all(b"ls\n").unwrap();
        // Each look has its time.
        assert!((0..1000).any(|_| wait(&tty, true).unwrap()), "what is typed is not seen");
        assert!(!wait(&tty, false).unwrap(), "it is there all the time, and does not wake");
        assert!(is_ours_to_read(&tty), "it belongs to no session");
    }

    #[test]
    fn a_terminal_that_has_gone_ends_it() {
        let (user, tty) = terminal();
        drop(user);
        for typed in [true, false] {
            assert_eq!(wait(&tty, typed).unwrap_err().kind(), io::ErrorKind::NotConnected);
        }
    }
}
