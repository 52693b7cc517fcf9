//! `polyport top` as a user has it, with a daemon that serves.
//!
//! ```text
//! screens   in a terminal of 80x24 and of 200x50, by its keys
//! pipes     as text and as JSON; thousands of listeners; `polyport peers`
//! pictures  those of the README
//! ```

mod pictures;
mod pipes;
mod screens;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use polyport_tests::client::Client;
use polyport_tests::daemon::Daemon;
use polyport_tests::tool::tool;
use polyport_tests::{Launch, wait};
use rustix::process::Pid;
use tempfile::TempDir;

use crate::polyport;

const PROGRAM: &str = env!("CARGO_BIN_EXE_polyport-under-test");

/// A terminal that tmux has, with a program in it.
pub(crate) struct Screen {
    tmux: PathBuf,
    dir: TempDir,
}

impl Screen {
    /// Starts a program there. None: there is no tmux.
    pub(crate) fn start((width, height): (u16, u16), command: &str) -> Option<Self> {
        let screen = Self { tmux: tool("tmux")?, dir: tempfile::tempdir().unwrap() };
        let (width, height) = (width.to_string(), height.to_string());
        let shell = format!("{command}; echo \"code $?\"; exec cat");
        screen.tmux(&["new-session", "-d", "-x", &width, "-y", &height, &shell]);
        Some(screen)
    }

    #[track_caller]
    pub(crate) fn tmux(&self, words: &[&str]) -> String {
        let mut command = Command::new(&self.tmux);
        command.arg("-S").arg(self.dir.path().join("tmux")).args(["-u", "-f", "/dev/null"]).args(words);
        let output = command.env_remove("TMUX").env("LC_ALL", "C.UTF-8").output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn text(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Waits until the screen is as it should be, and returns it.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let mut text = String::new();
        for _ in 0..LOOKS {
            text = self.text();
            if is_so(&text) {
                return text;
            }
            thread::park_timeout(STEP);
        }
        panic!("{what}: this is shown:\n{text}");
    }

    fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    /// The process in it that has this word among its arguments.
    fn pid_of_top(&self) -> Pid {
        let shell = self.tmux(&["display-message", "-p", "#{pane_pid}"]);
        let children = format!("/proc/{0}/task/{0}/children", shell.trim());
        let mut found = None;
        wait::until("the program is there", || {
            let children = std::fs::read_to_string(&children).unwrap_or_default();
            found = children.split_whitespace().next().and_then(|pid| Pid::from_raw(pid.parse().ok()?));
            found.is_some()
        });
        found.unwrap()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

/// Between two looks at a screen, and how many there are.
const STEP: Duration = Duration::from_millis(20);
const LOOKS: u32 = 3000;

/// Sends to a daemon until it is dropped.
struct Traffic {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Traffic {
    fn to(clients: Vec<Client>) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&ends);
        let thread = thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                for (at, client) in clients.iter().enumerate() {
                    // The first gets most.
                    (at..4).for_each(|_| client.send(&[7; 100]));
                }
                thread::park_timeout(Duration::from_millis(5));
            }
        });
        Self { ends, thread: Some(thread) }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn socket(dir: &Path) -> PathBuf {
    dir.join("run/control.sock")
}

/// Listeners that answer, drop and lose.
fn busy() -> Launch {
    polyport()
        .listen("127.0.0.1:0=echo,name=alpha")
        .listen("127.0.0.1:0=lossy,name=bravo,loss=50%,seed=1")
        .listen("[::1]:0=discard,name=charlie")
}

fn command(daemon: &Daemon, words: &str) -> String {
    format!("'{PROGRAM}' top {words} --control '{}'", socket(daemon.dir()).display())
}

/// The row of a listener, cell by cell.
fn cells<'a>(screen: &'a str, name: &str) -> Vec<&'a str> {
    let row = screen.lines().find(|line| line.starts_with(name));
    row.map(|row| row.split_whitespace().collect()).unwrap_or_default()
}

fn order(screen: &str) -> Vec<&str> {
    let first = |line: &'_ str| ["alpha", "bravo", "charlie"].into_iter().find(|name| line.starts_with(name));
    screen.lines().filter_map(first).collect()
}
