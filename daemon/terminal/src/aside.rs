//! Threads beside the one that serves.

use std::io;
use std::thread::{Builder, JoinHandle};

use nix::sys::signal::SigSet;

/// Starts a thread to which no signal comes: those are for the thread that serves.
///
/// # Errors
/// Those of `pthread_create(3)`.
pub fn aside(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.to_owned()).spawn(move || {
        SigSet::all().thread_block().unwrap_or(());
        body();
    })
}
