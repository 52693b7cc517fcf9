//! A daemon that is asked before a run and after it.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use polyport_net::wait_readable;
use polyport_terminal::Exit;

use super::compare::{self, BooksReport};
use super::control::{self, Asked};
use super::enter;
use super::settling::{PAUSE, Settled, Settling};
use crate::clock::Clock;
use crate::load::summary::Summary;
use crate::outcome::ExitError;

/// What it said before the run.
#[derive(Debug)]
pub struct Witness {
    socket: PathBuf,
    clock: Clock,
    before: Asked,
}

impl Witness {
    /// Asks the daemon before the run.
    ///
    /// # Errors
    /// It does not answer, or does not serve one of the targets.
    pub fn call(socket: &Path, targets: &[SocketAddr]) -> Result<Self, ExitError> {
        let clock = Clock::start();
        let before = control::ask(socket, &clock)?;
        compare::served(targets, &before.books).map_err(|error| ExitError::new(Exit::BadInput, error))?;
        Ok(Self { socket: socket.to_owned(), clock, before })
    }

    /// Asks it after the run, and puts what arrived into the figures.
    ///
    /// # Errors
    /// It does not answer, or its books cannot be compared. The figures then say of all that left that nobody knows what became of it.
    pub fn testify(&self, summary: &mut Summary) -> Result<(), ExitError> {
        match self.compared(summary) {
            Ok(report) => {
                enter::enter(summary, report);
                Ok(())
            }
            Err(error) => {
                enter::unknown(summary, error.to_string());
                Err(error)
            }
        }
    }

    fn compared(&self, summary: &Summary) -> Result<BooksReport, ExitError> {
        let strange = |error| ExitError::new(Exit::Protocol, error);
        let sent: Vec<_> = summary.ports.iter().map(|port| (port.address, port.tally.sent)).collect();
        let targets: Vec<SocketAddr> = sent.iter().map(|(target, _)| *target).collect();
        let before = &self.before;
        let places = compare::places(&targets, &before.books).map_err(strange)?;
        let rows = places.into_iter().filter_map(|place| before.books.rows.get(place));
        let mut binds: Vec<&str> = rows.map(|row| row.bind.as_str()).collect();
        binds.sort_unstable();
        let mut settling = Settling::new(&binds, self.clock.now());
        // Nobody writes into it: to wait for that is to sleep.
        let (quiet, _held) =
            UnixStream::pair().map_err(|error| ExitError::io("make a pair of sockets", &error))?;
        let (after, settled) = loop {
            let after = control::ask(&self.socket, &self.clock)?;
            match settling.look(&after) {
                Settled::NotYet => match wait_readable(&quiet, Duration::from_nanos(PAUSE)) {
                    Err(error) if error.kind() != ErrorKind::Interrupted => {
                        return Err(ExitError::io("wait for what is under way", &error));
                    }
                    Ok(_) | Err(_) => {}
                },
                settled @ (Settled::Still | Settled::Never) => break (after, settled),
            }
        };
        let mut report = compare::compare(&sent, before, &after).map_err(strange)?;
        if settled == Settled::Never {
            report.doubts.push("datagrams still came to the targets when it was asked last".to_owned());
        }
        Ok(report)
    }
}
