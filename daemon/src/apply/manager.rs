//! What the service manager that has started this process has for it, systemd or one that speaks as it does.

use std::ffi::OsString;
use std::io;
use std::time::Duration;

use polyport_terminal::counted;

use crate::config::quoted;
use crate::reactor::{Inherited, InheritedSocket, take_inherited};

/// What it has for this process.
#[derive(Debug, Default)]
pub struct Manager {
    /// Sockets that it has bound.
    pub(super) given: Vec<InheritedSocket>,
    /// Where it wants to be told how things go.
    pub(super) notify: Option<OsString>,
    /// After how long without a sign of life it gives this process up.
    pub(super) watchdog: Option<Duration>,
    /// It has some for another process.
    for_another: Option<String>,
}

impl Manager {
    /// Takes it from the environment, which has forgotten it then. Before this process has threads, or files of its own.
    ///
    /// # Errors
    /// What the environment says of sockets is wrong.
    pub fn meet() -> io::Result<Self> {
        let Inherited { sockets, for_another, notify, watchdog } = take_inherited()?;
        Ok(Self { given: sockets, notify, watchdog, for_another })
    }

    /// Leaves the sockets that it has bound: the daemon that is taken over has them.
    pub(super) fn leave_sockets(&mut self) {
        if !self.given.is_empty() {
            let count = self.given.len();
            log::info!(
                "{} of the service manager not used: this daemon takes over",
                counted(count, "socket is", "sockets are")
            );
            self.given.clear();
        }
    }

    /// Tells the log what was passed over.
    pub fn say(&self) {
        if let Some(pid) = &self.for_another {
            log::debug!(
                "LISTEN_FDS is ignored: it is for the process {} (LISTEN_PID), and this is {}",
                quoted(pid),
                std::process::id()
            );
        }
    }
}
