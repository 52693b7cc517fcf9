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
    /// Our own fault, or a handler's: with `on_fault = "exit"`, or when it does not return and the process was asked to end.
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

/// Ends the process now: nothing is finished, and no code of others runs, as `_exit(2)` does it. For a process that cannot end
/// in order, because the thread that would has not come back.
pub fn end_at_once(exit: Exit) -> ! {
    signal_hook::low_level::exit(i32::from(exit as u8))
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
