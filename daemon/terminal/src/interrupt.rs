//! Ctrl-C and `kill`: the first signal asks the program to end with what it knows, a later one ends it at once.
//!
//! Later means that some time has passed. One request often comes as two signals: `timeout(1)` and service managers signal
//! the program and then its whole group, and a wrapper hands on what the terminal has sent to both.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{SigId, flag, low_level};

use crate::aside::aside;
use crate::exit::{Exit, end_at_once};

const SIGNALS: [i32; 2] = [SIGINT, SIGTERM];

/// Signals that come within this time of the first are the same request: longer than programs take to send two, shorter
/// than a person takes to press Ctrl-C again.
const ONE_REQUEST: Duration = Duration::from_millis(300);

/// Whether the user wants the program to end. Cheap to clone and to ask.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    flag: Arc<AtomicBool>,
    /// One of the two signals has come, and the next one ends the process.
    armed: Arc<AtomicBool>,
    waiting: Arc<Mutex<Option<Waiting>>>,
    farewell: Arc<Mutex<Farewell>>,
}

/// What is done before the second signal ends the process.
#[derive(Default)]
struct Farewell(Option<Box<dyn Fn() + Send>>);

impl fmt::Debug for Farewell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Farewell").field(&self.0.is_some()).finish()
    }
}

/// What the thread needs that is not started yet.
#[derive(Debug)]
struct Waiting {
    /// Readable when one of the signals has come.
    came: UnixStream,
    /// Until there is a thread, a signal arms by itself.
    hasty: Vec<SigId>,
}

impl Interrupt {
    /// Listens to SIGINT and SIGTERM from now on. The second such signal ends the process with
    /// [`Exit::Interrupted`], whatever it does, unless it follows the first at once.
    ///
    /// # Errors
    /// Those of `sigaction(2)`, `socketpair(2)` and `pthread_create(3)`.
    pub fn listen() -> io::Result<Self> {
        let interrupt = Self::register()?;
        interrupt.start()?;
        Ok(interrupt)
    }

    /// Listens without the thread that tells one request from two, so that any second signal ends the process until
    /// [`start`](Self::start).
    ///
    /// # Errors
    /// Those of `sigaction(2)` and `socketpair(2)`.
    pub(crate) fn register() -> io::Result<Self> {
        let interrupt = Self::default();
        let (came, writer) = UnixStream::pair()?;
        let mut hasty = Vec::with_capacity(SIGNALS.len());
        for signal in SIGNALS {
            // The order matters: the shutdown looks at its flag before the first signal sets it.
            let code = i32::from(Exit::Interrupted as u8);
            flag::register_conditional_shutdown(signal, code, Arc::clone(&interrupt.armed))?;
            hasty.push(flag::register(signal, Arc::clone(&interrupt.armed))?);
            flag::register(signal, interrupt.flag())?;
            low_level::pipe::register(signal, writer.try_clone()?)?;
        }
        *interrupt.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(Waiting { came, hasty });
        Ok(interrupt)
    }

    /// Starts the thread, the first time: a daemon does it after it has given up rights, which the thread would keep.
    ///
    /// It does nothing but wait: a signal handler has no time to pass, and the rest of the program may be stuck when the
    /// user loses patience with it.
    ///
    /// # Errors
    /// Those of `pthread_create(3)`; then any second signal ends the process.
    pub fn start(&self) -> io::Result<()> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Waiting { came, hasty }) = waiting else { return Ok(()) };
        // By read(2): whoever traces or counts what comes from the network must not meet it.
        let mut came = File::from(OwnedFd::from(came));
        let (armed, farewell) = (Arc::clone(&self.armed), Arc::clone(&self.farewell));
        aside("signals", move || {
            if came.read_exact(&mut [0]).is_ok() {
                pass(ONE_REQUEST);
                let farewell = std::mem::take(&mut *farewell.lock().unwrap_or_else(PoisonError::into_inner));
                let Some(farewell) = farewell.0 else { return armed.store(true, Ordering::Relaxed) };
                if forget(&mut came).is_ok() && came.read_exact(&mut [0]).is_ok() {
                    // It may hang: a third signal does not wait for it.
                    armed.store(true, Ordering::Relaxed);
                    farewell();
                    end_at_once(Exit::Interrupted);
                }
            }
        })?;
        for id in hasty {
            low_level::unregister(id);
        }
        // The thread has the byte of a signal that came before.
        self.armed.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Has `farewell` called, on another thread, before a second signal ends the process: a terminal is to be given back. Where
    /// [`is_set`](Self::is_set) says afterwards that a signal has come already, it may be too late for that.
    pub fn before_end(&self, farewell: impl Fn() + Send + 'static) {
        *self.farewell.lock().unwrap_or_else(PoisonError::into_inner) = Farewell(Some(Box::new(farewell)));
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

    /// Has each of these signals write a byte as well, after the flag was set.
    pub(crate) fn wake(&self, writer: &UnixStream) -> io::Result<()> {
        for signal in SIGNALS {
            low_level::pipe::register(signal, writer.try_clone()?)?;
        }
        Ok(())
    }

    /// What [`Self::is_set`] reads.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.flag)
    }
}

/// Reads what has come so far: it belongs to the first request.
fn forget(came: &mut File) -> io::Result<()> {
    rustix::io::ioctl_fionbio(&*came, true)?;
    while came.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
    Ok(rustix::io::ioctl_fionbio(&*came, false)?)
}

#[expect(clippy::disallowed_methods, reason = "the thread that waits serves nobody")]
fn pass(time: Duration) {
    thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_asked_to_end_is_told() {
        let interrupt = Interrupt::default();
        let seen_elsewhere = interrupt.clone();
        assert!(!interrupt.is_set());
        seen_elsewhere.ask();
        assert!(interrupt.is_set());
    }
}
