//! How the program is started: its arguments, its configuration, and nothing of the user's own settings.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::daemon::Daemon;
use crate::process::{Finished, Process};

/// A program about to be started, with a directory of its own for its configuration and its staged plugins.
#[derive(Debug)]
pub struct Launch {
    command: Command,
    dir: TempDir,
}

impl Launch {
    /// Starts `program`, which is `CARGO_BIN_EXE_polyport-under-test`.
    #[must_use]
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let run = dir.path().join("run");
        fs::create_dir(&run).expect("a directory for staged plugins");
        let mut command = Command::new(program);
        let own = std::env::vars_os().map(|(name, _)| name);
        let is_ours = |name: &std::ffi::OsString| {
            name == "RUST_LOG"
                || name == "JOURNAL_STREAM"
                || name == "NOTIFY_SOCKET"
                || name.as_encoded_bytes().starts_with(b"LISTEN_")
                || name.as_encoded_bytes().starts_with(b"WATCHDOG_")
                || name.as_encoded_bytes().starts_with(b"POLYPORT_")
        };
        for variable in own.filter(is_ours) {
            command.env_remove(variable);
        }
        command.env("RUNTIME_DIRECTORY", run).env("XDG_CONFIG_HOME", dir.path().join("config"));
        Self { command, dir }
    }

    /// Starts another program in its place, without its arguments so far, in the same directory.
    #[must_use]
    pub fn replaced_by(self, program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Self { command, dir: self.dir }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds several arguments.
    #[must_use]
    pub fn args(mut self, args: &[&str]) -> Self {
        self.command.args(args);
        self
    }

    /// Adds `--listen spec`.
    #[must_use]
    pub fn listen(self, spec: impl AsRef<OsStr>) -> Self {
        self.arg("--listen").arg(spec)
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Writes `text` to a file `polyport.toml` and adds `--config` with it.
    #[must_use]
    pub fn config(self, text: &str) -> Self {
        let path = self.dir.path().join("polyport.toml");
        fs::write(&path, text).expect("a configuration file");
        self.arg("--config").arg(path)
    }

    /// The directory of its own; removed at the end.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where its private copies of plugins are staged.
    #[must_use]
    pub fn runtime_dir(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    pub(crate) fn into_parts(self) -> (Command, TempDir) {
        (self.command, self.dir)
    }

    /// What is started, for the settings that have no word here.
    pub fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// Starts it, and returns when it serves.
    #[must_use]
    #[track_caller]
    pub fn serve(self) -> Daemon {
        self.try_serve().unwrap_or_else(|finished| {
            panic!("it did not start, code {:?}:\n{}", finished.code(), finished.stderr)
        })
    }

    /// Starts it; gives back how it ended if it does not serve.
    ///
    /// # Errors
    /// It ended before it served.
    pub fn try_serve(mut self) -> Result<Daemon, Finished> {
        let mut process = Process::spawn(&mut self.command);
        if process.wait_for_stdout("serving; Ctrl-C stops\n") {
            Ok(Daemon::new(process, self.dir))
        } else {
            Err(process.finish())
        }
    }

    /// The daemon that a process is which was started by hand as this one is, and serves.
    #[must_use]
    #[track_caller]
    pub fn served_by(self, process: Process) -> Daemon {
        assert!(process.stdout().contains("serving; "), "it does not serve:\n{}", process.stderr());
        Daemon::new(process, self.dir)
    }

    /// Starts it and waits for its end.
    #[must_use]
    #[track_caller]
    pub fn run(mut self) -> Finished {
        Process::spawn(&mut self.command).finish()
    }

    /// Starts it, and fails unless it ends with `code` and never served.
    #[must_use]
    #[track_caller]
    pub fn refused(self, code: i32) -> Finished {
        match self.try_serve() {
            Ok(daemon) => panic!("it serves, which it should not:\n{}", daemon.process.stdout()),
            Err(finished) => {
                finished.expect_code(code);
                finished
            }
        }
    }
}
