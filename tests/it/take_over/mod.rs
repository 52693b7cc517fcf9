//! A new daemon takes over from the one that serves, as `daemon/docs/take-over.md` describes it. R40, R41.
//!
//! ```text
//! streams   numbered datagrams: each is answered once, whoever serves; and new daemons that are killed on the way
//! ends      what the one before still does, and what the new one has then
//! refused   what keeps a new one from it: everything goes on as before
//! ```

mod ends;
mod refused;
mod streams;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use polyport_tests::{Daemon, Launch, ports, wait};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::polyport;

/// Daemons that follow each other: each has the same control socket, which outlives them all.
struct Line {
    dir: TempDir,
    more: &'static [&'static str],
}

impl Line {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), more: &[] }
    }

    /// All of them have these arguments.
    fn with(more: &'static [&'static str]) -> Self {
        Self { more, ..Self::new() }
    }

    fn control(&self) -> PathBuf {
        self.dir.path().join("control.sock")
    }

    fn first(&self) -> Launch {
        polyport().args(&["run", "--control"]).arg(self.control()).args(self.more)
    }

    fn next(&self) -> Launch {
        self.first().arg("--take-over")
    }

    /// Who answers on the control socket; none if nobody does within `patience`.
    fn serving(&self, patience: Duration) -> Option<i32> {
        let answer =
            ask(&self.control(), patience, &json!({ "jsonrpc": "2.0", "id": 1, "method": "hello" }))?;
        i32::try_from(answer["result"]["pid"].as_i64()?).ok()
    }
}

/// Which of two daemons has the sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// The one that was asked about, and it reads them.
    It,
    /// Nobody says that it reads them: the other one has them, or is about to.
    Another,
}

impl Line {
    /// Whether a daemon reads its sockets, while the one that may have taken over stands still.
    fn owner(&self, pid: i32) -> Owner {
        const PATIENCE: Duration = Duration::from_secs(5);
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "status" });
        let mut owner = Owner::Another;
        wait::until("somebody decides whose the sockets are", || {
            let answer = ask(&self.control(), PATIENCE, &request).unwrap_or_default();
            let result = &answer["result"];
            let is_asked = result["pid"] == pid;
            owner = if is_asked { Owner::It } else { Owner::Another };
            // Between the last words nobody reads; then it does again, or answers no more.
            !is_asked || result["entries"][0]["states"]["serving"] == result["addresses"]
        });
        owner
    }
}

/// What is answered to a request on a connection of its own.
fn ask(control: &Path, patience: Duration, request: &Value) -> Option<Value> {
    let mut stream = UnixStream::connect(control).ok()?;
    stream.set_read_timeout(Some(patience)).unwrap();
    writeln!(stream, "{request}").ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    serde_json::from_str(&line).ok()
}

fn pid(daemon: &Daemon) -> i32 {
    daemon.process.pid().as_raw_nonzero().get()
}

/// Waits until a daemon that was taken over has said so.
#[track_caller]
fn is_taken_over(daemon: &mut Daemon) {
    daemon.process.wait_for_stderr("has taken over: what is due is still sent");
}

/// Ports of an address that nobody else uses.
fn range(last: u8, count: u16) -> (Ipv4Addr, u16) {
    let ip = Ipv4Addr::new(127, 9, 0, last);
    (ip, ports::free_range(&[ip.into()], count, 0))
}

fn spec((ip, first): (Ipv4Addr, u16), count: u16, what: &str) -> String {
    format!("{ip}:{first}-{}={what}", first + count - 1)
}

fn all((ip, first): (Ipv4Addr, u16), count: u16) -> Vec<SocketAddr> {
    (first..first + count).map(|port| (ip, port).into()).collect()
}

/// What a process has open: sockets by their inodes.
fn descriptors(pid: i32) -> BTreeMap<String, PathBuf> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return BTreeMap::new() };
    let entry = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().unwrap();
        Some((name, std::fs::read_link(entry.path()).ok()?))
    };
    entries.filter_map(|it| entry(it.ok()?)).collect()
}

/// What a process has open once the connections of who asked last are closed.
#[track_caller]
fn settled(pid: i32) -> BTreeMap<String, PathBuf> {
    const LOOKS: u32 = 10;
    let (mut now, mut same) = (descriptors(pid), 0);
    wait::until("the descriptors stay as they are", || {
        let before = std::mem::replace(&mut now, descriptors(pid));
        same = if before == now { same + 1 } else { 0 };
        same == LOOKS
    });
    now
}
