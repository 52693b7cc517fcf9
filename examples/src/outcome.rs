//! How a client ends: with an exit code, after one line on stderr if it failed, and `main` around both.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::process::ExitCode;
use std::sync::LazyLock;

use clap::error::ErrorKind;
use clap::{ArgMatches, Command, Parser};
use polyport_net::{BindError, ResolveError};
use polyport_terminal::{
    Exit, Interrupt, Version, build_facts, complain, delivered, survive_file_limit, version_flag,
    wants_build_facts,
};

use crate::VERSION;
use crate::documents::DOCUMENTS;

/// An error for the user: one line that says what, where and what to do, and the code to end with.
#[derive(Debug)]
pub struct ExitError {
    /// The code to end with.
    pub exit: Exit,
    text: String,
    elsewhere: bool,
}

/// What `run` of a client returns.
pub type Outcome = Result<Exit, ExitError>;

impl ExitError {
    /// A failure with its line, written without the word "error" and without a full stop.
    pub fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self { exit, text: text.into(), elsewhere: false }
    }

    /// The failure concerns one address, and another one of the same host may serve.
    #[must_use]
    pub fn of_one_address(self) -> Self {
        Self { elsewhere: true, ..self }
    }

    /// No other address is asked, whatever failed.
    #[must_use]
    pub fn of_all_addresses(self) -> Self {
        Self { elsewhere: false, ..self }
    }

    /// Whether another address of the same host may serve.
    #[must_use]
    pub const fn is_of_one_address(&self) -> bool {
        self.elsewhere
    }

    /// A wrong command line that clap could not see.
    pub fn usage(text: impl Into<String>) -> Self {
        Self::new(Exit::Usage, text)
    }

    /// A failed system call; `what` says what was being done, such as "send to 192.0.2.1:7".
    #[must_use]
    pub fn io(what: &str, error: &io::Error) -> Self {
        use io::ErrorKind::{
            ConnectionRefused, HostUnreachable, InvalidInput, NetworkUnreachable, PermissionDenied,
        };
        #[expect(clippy::wildcard_enum_match_arm, reason = "io::ErrorKind is open-ended")]
        let (exit, advice) = match error.kind() {
            PermissionDenied => (Exit::Permission, ""),
            ConnectionRefused => (Exit::NoReply, ": nobody listens there"),
            NetworkUnreachable | HostUnreachable => {
                (Exit::NoReply, ": there is no route; see `ip route get`")
            }
            InvalidInput => (Exit::Usage, ": an address does not fit the other one, or the system's rules"),
            _ => (Exit::Os, ""),
        };
        Self::new(exit, format!("cannot {what}: {error}{advice}"))
    }
}

impl fmt::Display for ExitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for ExitError {}

impl From<BindError> for ExitError {
    fn from(error: BindError) -> Self {
        #[expect(clippy::wildcard_enum_match_arm, reason = "io::ErrorKind is open-ended")]
        let exit = match error.source.kind() {
            io::ErrorKind::PermissionDenied => Exit::Permission,
            io::ErrorKind::AddrInUse => Exit::Busy,
            _ => Exit::Os,
        };
        let failure = Self::new(exit, error.to_string());
        // A host without IPv6 may reach the IPv4 address of a name that has both.
        let family = error.source.raw_os_error() == Some(libc::EAFNOSUPPORT);
        if family { failure.of_one_address() } else { failure }
    }
}

impl From<ResolveError> for ExitError {
    fn from(error: ResolveError) -> Self {
        let exit = match error {
            ResolveError::Syntax { .. } => Exit::Usage,
            ResolveError::HostUnknown { .. } | ResolveError::ServiceUnknown { .. } => Exit::HostNotFound,
        };
        Self::new(exit, error.to_string())
    }
}

/// Prints a line of what was asked for. A reader that has gone (`| head`) is no failure.
///
/// # Errors
/// With [`Exit::Io`], if it cannot be written: the disk is full, for example.
pub fn deliver(line: impl fmt::Display) -> Result<(), ExitError> {
    polyport_terminal::deliver(line).map_err(unwritten)
}

/// What [`deliver`] does, for what would go on without an end: whether anybody still reads.
///
/// # Errors
/// Those of [`deliver`].
pub fn deliver_on(line: impl fmt::Display) -> Result<bool, ExitError> {
    polyport_terminal::deliver_on(line).map_err(unwritten)
}

/// The failure to write to standard output, whose error says so.
#[expect(clippy::needless_pass_by_value, reason = "a function for map_err")]
pub fn unwritten(error: io::Error) -> ExitError {
    ExitError::new(Exit::Io, error.to_string())
}

/// Listens to Ctrl-C.
///
/// # Errors
/// The system's.
pub fn interrupt() -> Result<Interrupt, ExitError> {
    Interrupt::listen()
        .map_err(|error| ExitError::new(Exit::Os, format!("cannot listen to signals: {error}")))
}

/// `main` of a client: parses the command line, runs, prints the failure if there is one, maps it to a code.
///
/// Help, version and documents end with 0, a wrong command line with 64 instead of clap's 2.
pub fn main<A: Parser>(run: impl FnOnce(A) -> Outcome) -> ExitCode {
    // The system refuses that for no signal that can be caught.
    survive_file_limit().unwrap_or(());
    env_logger::Builder::from_env(env_logger::Env::new().filter("POLYPORT_LOG")).init();
    let args: Vec<OsString> = std::env::args_os().collect();
    let command = A::command().version(version()).disable_version_flag(true).arg(version_flag());
    let parsed = match DOCUMENTS.asked(&command, &args) {
        Some(Ok(exit)) => return exit.into(),
        Some(Err(error)) => Err(error),
        None => matched::<A>(command, &args),
    };
    match parsed {
        Ok(arguments) => end(run(arguments)),
        Err(error) => refused(&error, &args),
    }
}

fn matched<A: Parser>(command: Command, args: &[OsString]) -> Result<A, clap::Error> {
    let read = |matches: ArgMatches| A::from_arg_matches(&matches);
    DOCUMENTS.told(command).try_get_matches_from(args).and_then(read)
}

/// Prints what clap has to say: what was asked for, or what is wrong.
fn refused(error: &clap::Error, args: &[OsString]) -> ExitCode {
    let mut printed = error.print();
    if error.use_stderr() {
        // A reader that has gone leaves nobody to tell.
        return Exit::Usage.into();
    }
    if error.kind() == ErrorKind::DisplayVersion && wants_build_facts(args) {
        printed = printed.and_then(|()| polyport_terminal::deliver(build_facts(&[]).trim_end()));
    }
    end(delivered(printed).map(|()| Exit::Ok).map_err(unwritten))
}

/// What `--version` says behind the name of a tool, with the build.
fn version() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| Version { package: VERSION, more: "" }.to_string());
    &TEXT
}

fn end(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            complain(&failure);
            failure.exit.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_code_and_says_what_was_done() {
        let of = |kind: io::ErrorKind| ExitError::io("send to 192.0.2.1:7", &kind.into());
        assert_eq!(of(io::ErrorKind::PermissionDenied).exit, Exit::Permission);
        assert_eq!(of(io::ErrorKind::NetworkUnreachable).exit, Exit::NoReply);
        assert_eq!(of(io::ErrorKind::OutOfMemory).exit, Exit::Os);
        assert!(of(io::ErrorKind::ConnectionRefused).to_string().starts_with("cannot send to 192.0.2.1:7: "));
    }

    #[test]
    fn a_wrong_form_is_usage_and_an_unknown_host_is_not() {
        let exit = |target| ExitError::from(polyport_net::resolve(target).unwrap_err()).exit;
        assert_eq!(exit("no-port"), Exit::Usage);
        assert_eq!(exit("127.0.0.1:no-such-service"), Exit::HostNotFound);
    }
}
