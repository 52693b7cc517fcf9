//! A program that sees other file systems than the rest of the machine: a mount namespace made for it.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use crate::launch::Launch;
use crate::tool::{skip, tool};

/// Mounts an empty file system with the options `$1` over each directory before `--`, and becomes the program behind it.
const SCRIPT: &str = "with=$1; shift; until [ \"$1\" = -- ]; do mount -t tmpfs -o \"$with\" none \"$1\" || exit 99; shift; \
                      done; shift; exec \"$@\"";

/// `program`, about to be started where an empty file system with these options of mount(8) lies over each of
/// `directories`; none, and a visible word, where that is not permitted.
#[must_use]
#[track_caller]
pub fn mounted(options: &str, directories: &[&Path], program: impl AsRef<OsStr>) -> Option<Launch> {
    let unshare = tool("unshare")?;
    // What is mounted there is seen by nobody else, and gone with the last process.
    let tried = Command::new(&unshare).args(["--mount", "true"]).output().expect("unshare(1) can be started");
    if !tried.status.success() {
        let why = String::from_utf8_lossy(&tried.stderr);
        skip(&format!("no mount namespace can be made here: {}", why.trim()));
        return None;
    }
    let launch = Launch::new(unshare).arg("--mount").arg("sh").arg("-c").arg(SCRIPT).arg("sh").arg(options);
    Some(directories.iter().fold(launch, Launch::arg).arg("--").arg(program))
}
