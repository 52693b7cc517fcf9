//! Exit codes: the names and numbers of `sysexits.h`, one mapping for the whole program.

use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All went well.
    Ok = 0,
    /// The command line is wrong.
    Usage = 64,
    /// Our own fault, or a handler's with `on_fault = "exit"`.
    Software = 70,
    /// The operating system refused something.
    Os = 71,
    /// Somebody else holds what we need, such as a port.
    Busy = 75,
    /// A permission is missing.
    Permission = 77,
    /// The configuration is wrong, plugins included.
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
