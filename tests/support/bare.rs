//! A process whose output the test reads itself, slowly, late or not at all.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::process::{Child, ExitStatus, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tempfile::TempDir;

use crate::launch::Launch;
use crate::wait;

/// A running child. Dropping it kills it.
#[derive(Debug)]
pub struct Bare {
    child: Child,
    _dir: TempDir,
}

impl Launch {
    /// Starts it with these outputs, and waits for nothing.
    #[must_use]
    #[track_caller]
    pub fn bare(self, stdout: impl Into<Stdio>, stderr: impl Into<Stdio>) -> Bare {
        let (mut command, dir) = self.into_parts();
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        Bare { child, _dir: dir }
    }
}

impl Bare {
    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a child can be sent a signal");
    }

    /// Sends it SIGTERM and waits for its end, until the deadline.
    #[track_caller]
    pub fn terminate(&mut self) -> ExitStatus {
        self.end_by(Signal::TERM)
    }

    /// Sends it a signal and waits for its end, until the deadline.
    #[track_caller]
    pub fn end_by(&mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        let mut status = None;
        wait::until("the end of the process", || {
            status = self.child.try_wait().expect("a child can be waited for");
            status.is_some()
        });
        status.expect("it has ended")
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // After its end both are refused, and a refusal means that it is gone.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Both ends of a new pseudo-terminal: what reads like a person, and what a program writes to.
#[must_use]
pub fn terminal() -> (File, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    // Who inherits the side of the person keeps the terminal from going.
    #[cfg(target_os = "linux")]
    let flags = flags | OpenptFlags::CLOEXEC;
    let person = openpt(flags).expect("a pseudo-terminal");
    grantpt(&person).expect("it is ours");
    unlockpt(&person).expect("it is ours");
    let name = ptsname(&person, Vec::new()).expect("it has a name");
    let program = rustix::fs::open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY, Mode::empty());
    (person.into(), program.expect("it can be opened"))
}
