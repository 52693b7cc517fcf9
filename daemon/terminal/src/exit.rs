//! Exit codes: the names and numbers of `sysexits.h`, with two from elsewhere.

use std::process::ExitCode;

/// How a program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All went well.
    Ok = 0,
    /// The command line is wrong.
    Usage = 64,
    /// An input is wrong: a frame, a key, a file.
    BadInput = 65,
    /// No such host or service.
    HostNotFound = 68,
    /// Nobody answers.
    NoReply = 69,
    /// Our own fault, or a handler's with `on_fault = "exit"`.
    Software = 70,
    /// The operating system refused something.
    Os = 71,
    /// An output file cannot be made.
    CannotCreate = 73,
    /// Reading or writing failed.
    Io = 74,
    /// Somebody else holds what is needed, such as a port.
    Busy = 75,
    /// The other side does not speak the protocol, or says that it cannot serve.
    Protocol = 76,
    /// A permission is missing.
    Permission = 77,
    /// The configuration is wrong, plugins included.
    Config = 78,
    /// A threshold was missed; the number is that of k6.
    Threshold = 99,
    /// Ctrl-C, after what was known has been printed: 128 and SIGINT's number.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_gets_the_number() {
        assert_eq!(ExitCode::from(Exit::Ok), ExitCode::SUCCESS);
        assert_eq!(ExitCode::from(Exit::Threshold), ExitCode::from(99));
    }
}
