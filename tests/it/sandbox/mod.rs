//! What the process gives up before it serves: users, capabilities, system calls and files (R52, R53).
//!
//! ```text
//! start      each layer is said at the start, off by a word, or refused
//! handlers   what a confined handler can do, and what it cannot
//! ```

mod handlers;
mod start;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use polyport_tests::plugins::{compile_c, fixture};
use polyport_tests::tool::{skip, tool};
use polyport_tests::{Client, Daemon};

use crate::polyport;

const OS: i32 = 71;
const PERMISSION: i32 = 77;
const CONFIG: i32 = 78;
const NOBODY: u32 = 65_534;

const EPERM: &str = "errno 1";
const EACCES: &str = "errno 13";

/// `strace(1)`, where it may start a program; none, and a visible word, where not.
#[track_caller]
fn tracer() -> Option<PathBuf> {
    let strace = tool("strace")?;
    let tried = Command::new(&strace).args(["-o", "/dev/null", "true"]).output().unwrap();
    if !tried.status.success() {
        skip(&format!("strace may not trace here: {}", String::from_utf8_lossy(&tried.stderr).trim()));
        return None;
    }
    Some(strace)
}

/// The handler that does what it is told; none without a C compiler.
fn deeds(dir: &Path, flags: &[&str]) -> Option<PathBuf> {
    compile_c(&fixture("deeds"), flags, dir, "deeds")
}

#[track_caller]
fn expect(client: &Client, deed: &str, outcome: &str) {
    let answer = String::from_utf8(client.ask(deed.as_bytes())).unwrap();
    assert_eq!(answer, outcome, "{deed}");
}

/// What it says of itself at the start.
#[track_caller]
fn whole_line(daemon: &Daemon) -> String {
    let line = daemon.process.stdout().lines().find_map(|line| line.strip_prefix("sandbox: "));
    line.expect("a line about the sandbox").to_owned()
}

/// What it says of itself, up to the number of Landlock's ABI, which is a matter of the kernel; none, and a visible word,
/// where the kernel has not every layer.
#[track_caller]
fn line(daemon: &Daemon) -> Option<String> {
    let line = whole_line(daemon);
    let (before, abi) = line.rsplit_once(' ').expect("several words");
    let abi = abi.strip_suffix(')').and_then(|abi| abi.parse::<u32>().ok());
    if abi.is_none() {
        skip(&format!("this kernel has not every layer: {line}"));
    }
    abi.map(|_| before.to_owned())
}

/// Whether the kernel has every layer; a visible word where not.
#[track_caller]
pub(super) fn has_every_layer() -> bool {
    line(&polyport().listen("127.0.0.1:0=echo").serve()).is_some()
}

/// A line of `/proc/PID/status`.
#[track_caller]
fn status(daemon: &Daemon, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.expect("a line of this name").trim().to_owned()
}

#[track_caller]
fn expect_status(daemon: &Daemon, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        assert_eq!(status(daemon, name), *value, "{name}");
    }
}
