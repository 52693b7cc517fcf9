//! Signals that ask to stop: a byte in a pipe the loop watches.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Exit code of a second Ctrl-C, which does not wait for anything.
const INTERRUPTED: i32 = 130;

/// The reading end: it gets a byte for SIGINT and SIGTERM. The second such signal ends the process at once.
pub(super) fn signals() -> io::Result<UnixStream> {
    let (reader, writer) = UnixStream::pair()?;
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The order matters: the shutdown looks at the flag before this signal sets it.
        flag::register_conditional_shutdown(signal, INTERRUPTED, Arc::clone(&asked))?;
        flag::register(signal, Arc::clone(&asked))?;
        low_level::pipe::register(signal, writer.try_clone()?)?;
    }
    Ok(reader)
}
