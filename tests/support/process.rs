//! A child process whose output is read line by line, with a deadline on every wait.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::DEADLINE;

/// A running child. Dropping it kills it, and nothing else.
#[derive(Debug)]
pub struct Process {
    child: Child,
    lines: Receiver<(Stream, String)>,
    stdout: String,
    stderr: String,
    /// How long it may be silent.
    patience: Duration,
}

/// A child that ended.
#[derive(Debug)]
pub struct Finished {
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    status: ExitStatus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Out,
    Err,
}

impl Process {
    /// Starts `command` with its output caught and no input.
    #[must_use]
    pub fn spawn(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let (sender, lines) = channel();
        read_lines(Stream::Out, child.stdout.take().expect("piped"), sender.clone());
        read_lines(Stream::Err, child.stderr.take().expect("piped"), sender);
        Self { child, lines, stdout: String::new(), stderr: String::new(), patience: DEADLINE }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("a child can be sent a signal");
    }

    /// Stops it as Ctrl-Z does, and returns when it has stopped.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        waitid(WaitId::Pid(self.pid()), WaitIdOptions::STOPPED).expect("a child can be waited for");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Reads on until standard output holds `text`; false when it ends without.
    pub fn wait_for_stdout(&mut self, text: &str) -> bool {
        while !self.stdout.contains(text) {
            if !self.read_line() {
                return false;
            }
        }
        true
    }

    /// Reads on until standard error holds `text`; false when it ends without.
    pub fn try_wait_for_stderr(&mut self, text: &str) -> bool {
        while !self.stderr.contains(text) {
            if !self.read_line() {
                return false;
            }
        }
        true
    }

    /// Reads on until standard error holds `text`.
    #[track_caller]
    pub fn wait_for_stderr(&mut self, text: &str) {
        self.wait_for_stderr_times(text, 1);
    }

    /// Reads on until standard error holds `text` so many times.
    #[track_caller]
    pub fn wait_for_stderr_times(&mut self, text: &str, times: usize) {
        while self.stderr.matches(text).count() < times {
            assert!(self.read_line(), "it ended and did not write {text:?} {times} times:\n{}", self.stderr);
        }
    }

    /// What it has written to standard output, as far as it was waited for.
    #[must_use]
    pub fn stdout(&self) -> &str {
        &self.stdout
    }

    /// What it has written to standard error, as far as it was waited for.
    #[must_use]
    pub fn stderr(&self) -> &str {
        &self.stderr
    }

    /// Whether it has ended.
    #[must_use]
    #[track_caller]
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    /// It may be silent for so long, since it works for a while before it says anything.
    #[must_use]
    pub fn silent_for(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Waits for its end.
    #[must_use]
    #[track_caller]
    pub fn finish(mut self) -> Finished {
        while self.read_line() {}
        let status = self.child.wait().expect("a child can be waited for");
        let (stdout, stderr) = (std::mem::take(&mut self.stdout), std::mem::take(&mut self.stderr));
        Finished { stdout, stderr, status }
    }

    /// False at the end of both streams.
    #[track_caller]
    fn read_line(&mut self) -> bool {
        match self.lines.recv_timeout(self.patience) {
            Ok((Stream::Out, line)) => self.stdout.push_str(&line),
            Ok((Stream::Err, line)) => self.stderr.push_str(&line),
            Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => {
                panic!("silent for {:?}\nstdout:\n{}\nstderr:\n{}", self.patience, self.stdout, self.stderr)
            }
        }
        true
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // After `finish` both are refused, and a refusal means that it is gone.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Finished {
    /// Its exit code; none when a signal ended it.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// How it ended: a code or a signal.
    #[must_use]
    pub fn status(&self) -> ExitStatus {
        self.status
    }

    /// Fails unless it ended with `code`.
    #[track_caller]
    pub fn expect_code(&self, code: i32) -> &Self {
        assert_eq!(
            self.status.code(),
            Some(code),
            "{:?}, signal {:?}\nstdout:\n{}\nstderr:\n{}",
            self.status,
            self.status.signal(),
            self.stdout,
            self.stderr
        );
        self
    }

    /// The lines it logged, but for those that say how long a call took: where others use the processor, one may be
    /// stopped in the middle.
    #[must_use]
    pub fn logged(&self) -> Vec<&str> {
        self.stderr.lines().filter(|line| !line.contains("the handler took ")).collect()
    }

    /// Fails unless standard error holds each of `texts`.
    #[track_caller]
    pub fn expect_stderr(&self, texts: &[&str]) -> &Self {
        for text in texts {
            assert!(self.stderr.contains(text), "no {text:?} in:\n{}", self.stderr);
        }
        self
    }
}

fn read_lines(stream: Stream, from: impl Read + Send + 'static, to: Sender<(Stream, String)>) {
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            let text = String::from_utf8_lossy(&line).into_owned();
            if to.send((stream, text)).is_err() {
                return;
            }
            line.clear();
        }
    });
}
