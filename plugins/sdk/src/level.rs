//! How severe a log line is.

use polyport_abi as abi;

/// Severity of a log line, most severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum Level {
    /// Something is broken and somebody has to act.
    Error = abi::LOG_ERROR,
    /// Something is wrong, service goes on.
    Warn = abi::LOG_WARN,
    /// A change of state worth a line.
    Info = abi::LOG_INFO,
    /// For the person who debugs the plugin.
    Debug = abi::LOG_DEBUG,
    /// A line a datagram.
    Trace = abi::LOG_TRACE,
}
