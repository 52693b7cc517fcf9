//! Signals of a program that serves: which of them end it in order, and which must not end it at all.
//!
//! | signal | what happens |
//! |---|---|
//! | SIGINT, SIGTERM | the program ends in order; another one, 0.3 s later at least, ends it at once |
//! | SIGHUP | the owner of the loop is told, and asks [`Hangup`](crate::Hangup) what is meant |
//! | SIGUSR1 | the owner of the loop is told, and asks [`Inquiry`](crate::Inquiry) whether it was that |
//! | SIGUSR2 | nothing; the first is worth a line |
//! | SIGXFSZ | the write that exceeds the limit fails with `EFBIG` |
//! | SIGPIPE | the write to a reader that has gone fails with `EPIPE`; so the Rust runtime has it from the start |

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
use signal_hook::{flag, low_level};

use crate::interrupt::Interrupt;

/// Signals that mean nothing, with their names.
const MEANINGLESS: [(i32, &str); 1] = [(SIGUSR2, "SIGUSR2")];

/// Signals for a loop that waits on descriptors. Its descriptor is readable when a signal has come; then [`Self::take`] tells
/// which.
#[derive(Debug)]
pub struct Signals {
    stream: UnixStream,
    writer: Option<UnixStream>,
    end: Interrupt,
    attend: Arc<AtomicBool>,
    meaningless: [Arc<AtomicBool>; MEANINGLESS.len()],
    told: [bool; MEANINGLESS.len()],
}

/// What signals have asked for since the last time this was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The end of the program, with all it knows.
    pub end: bool,
    /// Its owner is to look: SIGHUP or SIGUSR1 has come, or a [`Waker`] was used.
    pub attend: bool,
    /// The name of a signal that means nothing and came for the first time.
    pub meaningless: Option<&'static str>,
}

impl Signals {
    /// Listens from now on. The [`Interrupt`] is not started.
    ///
    /// # Errors
    /// Those of `socketpair(2)`, `fcntl(2)` and `sigaction(2)`.
    pub fn listen() -> io::Result<Self> {
        let (stream, writer) = UnixStream::pair()?;
        // Flags are set before the byte is written that has them looked at, because handlers run in this order.
        let end = Interrupt::register()?;
        let attend: Arc<AtomicBool> = Arc::default();
        for signal in [SIGHUP, SIGUSR1] {
            flag::register(signal, Arc::clone(&attend))?;
            low_level::pipe::register(signal, writer.try_clone()?)?;
        }
        let meaningless: [Arc<AtomicBool>; MEANINGLESS.len()] = Default::default();
        for ((signal, _), flag) in MEANINGLESS.iter().zip(&meaningless) {
            flag::register(*signal, Arc::clone(flag))?;
            low_level::pipe::register(*signal, writer.try_clone()?)?;
        }
        end.wake(&writer)?;
        Ok(Self { writer: Some(writer), attend, ..Self::made(stream, end, meaningless)? })
    }

    /// No signals but a byte on `stream`, which asks for the end: for tests.
    ///
    /// # Errors
    /// Those of `fcntl(2)`.
    pub fn from_stream(stream: UnixStream) -> io::Result<Self> {
        let end = Interrupt::default();
        end.ask();
        Self::made(stream, end, Default::default())
    }

    fn made(
        stream: UnixStream,
        end: Interrupt,
        meaningless: [Arc<AtomicBool>; MEANINGLESS.len()],
    ) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { stream, writer: None, end, attend: Arc::default(), meaningless, told: Default::default() })
    }

    /// Wakes the loop from another thread.
    ///
    /// # Errors
    /// Those of `dup(2)`; these are signals [of a stream](Self::from_stream).
    pub fn waker(&self) -> io::Result<Waker> {
        let writer = self.writer.as_ref().ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?;
        Ok(Waker { attend: Arc::clone(&self.attend), writer: writer.try_clone()? })
    }

    /// The signals that ask for the end.
    #[must_use]
    pub fn interrupt(&self) -> Interrupt {
        self.end.clone()
    }

    /// Takes what signals have asked for. The descriptor is not readable any more, until another one comes.
    pub fn take(&mut self) -> Asked {
        let mut bytes = [0; 64];
        while self.stream.read(&mut bytes).is_ok_and(|n| n > 0) {}
        let attend = self.attend.swap(false, Ordering::Relaxed);
        let mut asked = Asked { end: self.end.is_set(), attend, meaningless: None };
        for (((_, name), flag), told) in MEANINGLESS.iter().zip(&self.meaningless).zip(&mut self.told) {
            if flag.load(Ordering::Relaxed) && !*told && asked.meaningless.is_none() {
                *told = true;
                asked.meaningless = Some(name);
            }
        }
        asked
    }
}

/// Wakes a loop that waits for [`Signals`].
#[derive(Debug)]
pub struct Waker {
    attend: Arc<AtomicBool>,
    writer: UnixStream,
}

impl Waker {
    /// One that writes to `stream`, whoever reads there: for tests.
    #[must_use]
    pub fn to_stream(stream: UnixStream) -> Self {
        Self { attend: Arc::default(), writer: stream }
    }

    /// Another one, for another thread.
    ///
    /// # Errors
    /// Those of `dup(2)`.
    pub fn another(&self) -> io::Result<Self> {
        Ok(Self { attend: Arc::clone(&self.attend), writer: self.writer.try_clone()? })
    }

    /// Has the loop's owner look.
    pub fn wake(&mut self) {
        self.attend.store(true, Ordering::Relaxed);
        // A stream that is full is readable already, and one without a reader has no loop.
        self.writer.write(&[0]).map(drop).unwrap_or(());
    }
}

/// Has a write beyond the limit of file sizes (`RLIMIT_FSIZE`) fail with `EFBIG` from now on, instead of ending the program:
/// whoever wrote hears of it by the error.
///
/// # Errors
/// Those of `sigaction(2)`.
pub fn survive_file_limit() -> io::Result<()> {
    flag::register(SIGXFSZ, Arc::default()).map(drop)
}

/// No signal that can be caught ends the program from now on, nor does it anything else: for a program that ends with
/// whoever started it.
///
/// # Errors
/// Those of `sigaction(2)`.
pub fn survive_signals() -> io::Result<()> {
    let all = [SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2];
    all.into_iter().try_for_each(|signal| flag::register(signal, Arc::default()).map(drop))
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// Whether the program was started with a signal ignored. Only Linux tells without `sigaction(2)` (`SigIgn` of proc(5)).
pub(crate) fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    u32::try_from(signal - 1).ok().and_then(|bit| mask.checked_shr(bit)).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use signal_hook::consts::SIGTERM;

    use super::*;

    /// One signal that asks for the end in all: a second one would end the process of the tests.
    #[test]
    fn signals_wake_and_are_told_apart() {
        let interrupt = Interrupt::listen().unwrap();
        let mut signals = Signals::listen().unwrap();
        let wait = |signals: &Signals| {
            let mut fds = [rustix::event::PollFd::new(signals, rustix::event::PollFlags::IN)];
            let longest = rustix::event::Timespec::try_from(Duration::from_secs(20)).unwrap();
            while rustix::event::poll(&mut fds, Some(&longest)) == Err(rustix::io::Errno::INTR) {}
            assert!(!fds[0].revents().is_empty(), "no byte in time");
        };
        assert_eq!(signals.take(), Asked::default());
        for (signal, name) in MEANINGLESS {
            low_level::raise(signal).unwrap();
            wait(&signals);
            assert_eq!(signals.take(), Asked { meaningless: Some(name), ..Asked::default() });
            low_level::raise(signal).unwrap();
            wait(&signals);
            assert_eq!(signals.take(), Asked::default(), "told once");
        }
        for signal in [SIGHUP, SIGUSR1] {
            low_level::raise(signal).unwrap();
            wait(&signals);
            assert_eq!(signals.take(), Asked { attend: true, ..Asked::default() });
        }
        let mut waker = signals.waker().unwrap();
        std::thread::spawn(move || waker.wake()).join().unwrap();
        wait(&signals);
        assert_eq!(signals.take(), Asked { attend: true, ..Asked::default() });
        survive_file_limit().unwrap();
        low_level::raise(SIGXFSZ).unwrap();
        low_level::raise(SIGTERM).unwrap();
        wait(&signals);
        assert!(signals.take().end && interrupt.is_set());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn sigpipe_is_ignored_and_sigkill_is_not() {
        assert!(is_ignored(signal_hook::consts::SIGPIPE));
        assert!(!is_ignored(signal_hook::consts::SIGKILL) && !is_ignored(0) && !is_ignored(65));
    }
}
