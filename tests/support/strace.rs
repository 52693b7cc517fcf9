//! `strace(1)` on a running daemon: which system calls it makes, and what it does when they fail.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;

use crate::daemon::Daemon;
use crate::process::Process;
use crate::tool::{skip, tool};

/// A tracer. Dropping it lets the daemon go.
#[derive(Debug)]
pub struct Strace {
    process: Process,
    log: PathBuf,
    _dir: tempfile::TempDir,
}

/// The system calls of a trace, one line each.
#[derive(Debug)]
pub struct Trace(String);

impl Strace {
    /// Traces `calls` of a daemon, as `recvmmsg,recvfrom` or `all`, and has them fail as `inject` says:
    /// `recvmmsg:error=ENOMEM:when=5+7`. Returns when it does; none, and a visible word, where that is not
    /// permitted.
    #[must_use]
    #[track_caller]
    pub fn attach(daemon: &Daemon, calls: &str, inject: &[&str]) -> Option<Self> {
        let strace = tool("strace")?;
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log = dir.path().join("trace");
        let mut command = Command::new(strace);
        command.arg("-f").arg("-p").arg(daemon.pid()).arg("-o").arg(&log).arg("-e");
        command.arg(format!("trace={calls}"));
        for rule in inject {
            command.arg("-e").arg(format!("inject={rule}"));
        }
        let mut process = Process::spawn(&mut command);
        if process.try_wait_for_stderr(" attached") {
            return Some(Self { process, log, _dir: dir });
        }
        let why = process.finish().stderr;
        assert!(why.contains("not permitted"), "{command:?}: {why}");
        skip(&format!("strace may not trace here: {}", why.trim()));
        None
    }

    /// What it has seen so far.
    #[must_use]
    pub fn so_far(&self) -> Trace {
        Trace(fs::read_to_string(&self.log).unwrap_or_default())
    }

    /// Lets the daemon go on alone.
    #[must_use]
    #[track_caller]
    pub fn detach(self) -> Trace {
        let Self { process, log, _dir } = self;
        process.signal(Signal::INT);
        drop(process.finish());
        Trace(fs::read_to_string(log).expect("strace writes its file"))
    }
}

impl Trace {
    /// Calls whose names are among `names`, or all.
    #[must_use]
    pub fn calls(&self, names: &[&str]) -> usize {
        // "1234  recvmmsg(5, ..." and signals, exits: "1234  --- SIGCONT ...".
        let call = |line: &str| {
            let (name, _) = line.split_once(char::is_whitespace)?.1.trim_start().split_once('(')?;
            name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_').then(|| name.to_owned())
        };
        let calls = self.0.lines().filter_map(call);
        calls.filter(|name| names.is_empty() || names.contains(&name.as_str())).count()
    }

    /// Calls of one thread whose names are among `names`.
    #[must_use]
    pub fn calls_of(&self, thread: u32, names: &[&str]) -> usize {
        let of = format!("{thread} ");
        let lines = self.0.lines().filter(|line| line.starts_with(&of));
        Self(lines.map(|line| format!("{line}\n")).collect()).calls(names)
    }

    /// Calls that were made to fail.
    #[must_use]
    pub fn injected(&self) -> usize {
        self.0.matches("(INJECTED)").count()
    }

    /// The lines as `strace` wrote them.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}
