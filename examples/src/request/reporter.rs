//! What a request tells its user while it lasts.

use std::fmt::Display;

use polyport_net::UdpSocket;
use polyport_protocol::Nanos;
use polyport_terminal::remark;

use crate::outcome::{ExitError, deliver};
use crate::text::seconds;

/// Tells the user what goes on, while it goes on.
#[derive(Clone, Copy, Debug)]
pub struct Reporter {
    quiet: bool,
    told_address: bool,
}

impl Reporter {
    /// Says nothing if `quiet`.
    #[must_use]
    pub const fn new(quiet: bool) -> Self {
        Self { quiet, told_address: false }
    }

    /// The socket's own address before anything is sent.
    ///
    /// # Errors
    /// See [`deliver`].
    pub fn before(&self, socket: &UdpSocket) -> Result<(), ExitError> {
        self.address(socket, "before")
    }

    /// A transmission has left, and its answer is waited for.
    ///
    /// # Errors
    /// See [`deliver`].
    pub fn sent(&mut self, socket: &UdpSocket, wait: Nanos) -> Result<(), ExitError> {
        if !self.told_address {
            self.told_address = true;
            self.address(socket, "after")?;
        }
        if self.quiet {
            return Ok(());
        }
        deliver(format_args!("Waiting up to {} for a reply", seconds(wait)))
    }

    /// Something that may explain why no answer comes.
    pub fn tell(&self, what: impl Display) {
        if !self.quiet {
            remark(format_args!("{what}; still waiting"));
        }
    }

    fn address(self, socket: &UdpSocket, when: &str) -> Result<(), ExitError> {
        if self.quiet {
            return Ok(());
        }
        match socket.local_addr() {
            Ok(address) => deliver(format_args!("my address: {address} {when}")),
            Err(error) => deliver(format_args!("my address: unknown {when} ({error})")),
        }
    }
}
