//! Tools and rights that may be missing on a user's machine, and must not be in CI.

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The path of a program, or a visible word that the test is skipped.
///
/// # Panics
/// When it is missing and the environment variable CI is set: there, nothing is skipped.
#[must_use]
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file());
    if found.is_none() {
        skip(&format!("there is no program `{name}`"));
    }
    found
}

/// Says that a test, or a part of it, is skipped: past the capturing of the test harness, so that it is seen.
///
/// # Panics
/// When the environment variable CI is set: there, nothing is skipped.
pub fn skip(reason: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    assert!(env::var_os("CI").is_none_or(|ci| ci.is_empty()), "{test} cannot run in CI: {reason}");
    // Nobody is left to tell when standard error is closed.
    writeln!(std::io::stderr(), "SKIPPED {test}: {reason}").ok();
}

/// Says that a test is skipped for want of something in the kernel, which no package brings: in CI as well.
pub fn skip_by_kernel(reason: &str) {
    let thread = std::thread::current();
    writeln!(std::io::stderr(), "SKIPPED {}: {reason}", thread.name().unwrap_or("a test")).ok();
}

/// Whether this process is root; a skip with `why` if not.
#[must_use]
pub fn root(why: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skip(&format!("needs root: {why}"));
    }
    root
}

/// Makes a named pipe; false without `mkfifo`.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn make_pipe(path: &Path) -> bool {
    let Some(mkfifo) = tool("mkfifo") else { return false };
    let made = Command::new(mkfifo).arg(path).status();
    assert!(made.is_ok_and(|status| status.success()), "{} cannot be made", path.display());
    true
}
