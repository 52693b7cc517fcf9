//! `polyport tap` and `polyport replay`, as `daemon/docs/tap.md` describes them.
//!
//! ```text
//! shown     what a tap shows agrees with the books
//! bounded   readers that do not read, disks that are full, clients that are gone
//! replayed  recordings are sent again
//! manual    the examples of the page
//! ```

mod bounded;
mod manual;
mod replayed;
mod shown;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use polyport_tests::daemon::Daemon;
use polyport_tests::process::{Finished, Process};
use polyport_tests::tool::tool;
use rustix::process::Signal;

use crate::polyport;

/// Where the socket of these daemons is.
fn socket(dir: &Path) -> PathBuf {
    dir.join("run/control.sock")
}

/// A tap that runs already: what comes from now on it sees.
#[track_caller]
fn tap(daemon: &Daemon, words: &[&str]) -> Process {
    tap_at(&socket(daemon.dir()), words)
}

#[track_caller]
fn tap_at(socket: &Path, words: &[&str]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polyport-under-test"));
    command.arg("tap").args(words).arg("--control").arg(socket);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process::spawn(&mut command);
    process.wait_for_stderr("; Ctrl-C ends it");
    process
}

/// Ends a tap as Ctrl-C does.
#[track_caller]
fn ended(tap: Process) -> Finished {
    tap.signal(Signal::INT);
    tap.finish()
}

/// Runs a command that ends by itself.
#[track_caller]
fn run(words: &[&str], file: &Path) -> Finished {
    polyport().args(words).arg(file).run()
}

/// What tshark says of a capture, a line a packet; none if there is no tshark.
#[track_caller]
fn tshark(file: &Path, fields: &[&str]) -> Option<Vec<String>> {
    let mut command = Command::new(tool("tshark")?);
    command.arg("-r").arg(file).args(["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"]);
    command.args(["-T", "fields"]);
    fields.iter().for_each(|field| {
        command.args(["-e", field]);
    });
    let out = command.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    Some(String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect())
}

/// The last words of a tap: shown and left out.
#[track_caller]
fn last_words(finished: &Finished) -> (u64, u64) {
    let line = finished.stderr.lines().find(|line| line.contains(" left out")).unwrap_or_else(|| {
        panic!("no last words: {}", finished.stderr);
    });
    let numbers: Vec<u64> = line.split([' ', ',']).filter_map(|word| word.parse().ok()).collect();
    (numbers[0], numbers[1])
}
