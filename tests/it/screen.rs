//! A terminal for programs that have it whole.

use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use polyport_tests::tool::tool;
use polyport_tests::wait;
use rustix::process::Pid;
use tempfile::TempDir;

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

    /// Asks tmux for something.
    #[track_caller]
    pub(crate) fn tmux(&self, words: &[&str]) -> String {
        let mut command = Command::new(&self.tmux);
        command.arg("-S").arg(self.dir.path().join("tmux")).args(["-u", "-f", "/dev/null"]).args(words);
        let output = command.env_remove("TMUX").env("LC_ALL", "C.UTF-8").output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What is shown.
    pub(crate) fn text(&self) -> String {
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

    /// Presses a key.
    pub(crate) fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    /// The process of the program.
    pub(crate) fn pid_of_program(&self) -> Pid {
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
