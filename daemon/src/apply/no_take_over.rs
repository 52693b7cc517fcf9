//! Taking over from a daemon that serves: on this system nobody can.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use polyport_terminal::Exit;

use super::prepare::Prepared;
use super::refused::Refused;
use super::running::Running;
use crate::broker::Maker;
use crate::config::Problem;

/// Where the sockets come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// They are bound, but for those of a service manager.
    Afresh,
    /// The daemon that serves hands them over.
    TakingOver,
}

/// No take-over.
#[derive(Debug, Default)]
pub(super) struct Taking;

impl Taking {
    pub(super) fn begin(prepared: &Prepared, start: Start) -> Result<Self, Refused> {
        if start == Start::Afresh {
            return Ok(Self);
        }
        let problem = Problem::new("take-over", "--take-over is for Linux only");
        Err(Refused { exit: Exit::Usage, ..Refused::at(&prepared.plan, [problem]) })
    }

    pub(super) fn control(&mut self) -> Option<(OwnedFd, PathBuf)> {
        None
    }

    pub(super) fn metrics(&mut self) -> Option<OwnedFd> {
        None
    }

    pub(super) fn maker(&mut self) -> Option<Maker> {
        None
    }

    pub(super) fn give_up(&mut self, _: &Refused) {}

    pub(super) fn commit(self, _: &mut Running) -> Result<bool, Refused> {
        Ok(false)
    }
}
