//! The two outputs of a program that serves and must not wait for whoever reads them.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::panic;
use std::thread;
use std::time::Duration;

use crate::patient::PatientWriter;
use crate::shape::{Severity, Shape};

/// Bytes of log lines that wait for their reader: seconds of a slow one.
const LOG_BYTES: usize = 1 << 20;
/// Bytes of results that wait: a table of 50,000 listeners has a third of this.
const RESULT_BYTES: usize = 16 << 20;

/// How long log lines may wait for room before the program serves, all together. Nobody is served late for their sake, and a
/// reader that reads at all gets each of the lines of a large plan.
const BEFORE_SERVING: Duration = Duration::from_secs(2);
/// How long one output waits for the other, so that what was written first also stands first.
const ORDER: Duration = Duration::from_millis(100);
/// How long the end of the program waits for a reader that reads.
const AT_THE_END: Duration = Duration::from_secs(10);

/// Standard output and standard error, each written by a thread of its own ([`PatientWriter`]).
#[derive(Clone, Debug)]
pub struct Output {
    results: PatientWriter,
    log: PatientWriter,
    shape: Shape,
    /// Results are not wanted.
    hushed: bool,
}

impl Output {
    /// Both outputs, without threads: what is written waits for [`start`](Self::start). From here on, nothing else of the
    /// program should write to the two descriptors.
    ///
    /// # Errors
    /// Those of `dup(2)`.
    pub fn new() -> io::Result<Self> {
        Self::shaped(Shape::Plain)
    }

    /// As [`Self::new`], and lines to standard error look so. A logger that writes to [`log`](Self::log) shapes its own.
    ///
    /// # Errors
    /// Those of `dup(2)`.
    pub fn shaped(shape: Shape) -> io::Result<Self> {
        let results = PatientWriter::new(copy(io::stdout())?, "", RESULT_BYTES);
        let log = PatientWriter::shaped(copy(io::stderr())?, " of the log", LOG_BYTES, shape);
        log.set_patience(BEFORE_SERVING);
        Ok(Self { results, log, shape, hushed: false })
    }

    /// Has [`say`](Self::say) print nothing from now on: for a user who wants to hear of errors alone.
    #[must_use]
    pub fn hushed(self) -> Self {
        Self { hushed: true, ..self }
    }

    /// Starts the threads, the first time: a daemon does it after it has given up rights, which its threads would keep.
    ///
    /// # Errors
    /// Those of `pthread_create(3)`; then nothing is written.
    pub fn start(&self) -> io::Result<()> {
        self.log.start()?;
        self.results.start()
    }

    /// Standard error, for a logger that writes whole lines.
    #[must_use]
    pub fn log(&self) -> PatientWriter {
        self.log.clone()
    }

    /// Prints a line, or several, to standard output, behind what was logged before.
    pub fn say(&self, line: impl Display) {
        if self.hushed {
            return;
        }
        self.log.settle(ORDER);
        print(self.results.clone(), &line);
        self.results.settle(ORDER);
    }

    /// Prints a line, or several, to standard error: what went wrong, and who says it, for readers that tell that.
    pub fn remark(&self, line: impl Display) {
        self.remark_of(Severity::Error, line);
    }

    /// Prints a line, or several, to standard error, as [`remark`](Self::remark) does.
    pub fn remark_of(&self, severity: Severity, line: impl Display) {
        print(self.log.clone(), &self.shape.remark(severity, "polyport", &line.to_string()));
    }

    /// How lines to standard error look.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// From now on nobody waits: what finds no room is left out and counted.
    pub fn serve(&self) {
        self.log.set_patience(Duration::ZERO);
    }

    /// Waits until the log is written, at most so long.
    pub fn settle(&self, longest: Duration) {
        self.log.settle(longest);
    }

    /// Lines of the log that were left out.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.log.lost()
    }

    /// Waits until everything is written: a second for a reader that takes nothing, ten in all. Starts the threads if need
    /// be.
    pub fn finish(&self) {
        // Without a thread there is nothing to be done, and nobody to be told.
        self.start().unwrap_or(());
        for output in [&self.log, &self.results] {
            output.report_missing();
            output.settle(AT_THE_END);
        }
    }

    /// Prints panics behind the lines that were logged before, instead of past them, where a terminal that takes nothing would
    /// hold the thread for ever.
    pub fn print_panics(&self) {
        let output = self.clone();
        panic::set_hook(Box::new(move |panic| {
            let thread = thread::current();
            output.remark(format_args!("error: thread '{}' {panic}", thread.name().unwrap_or("unnamed")));
            let trace = Backtrace::capture();
            if trace.status() == BacktraceStatus::Captured {
                output.remark(trace);
            }
            output.start().unwrap_or(());
            output.log.settle(AT_THE_END);
        }));
    }
}

/// The standard library locks its own handles while it writes, and a thread that waits there would hold all others.
fn copy(stream: impl AsFd) -> io::Result<File> {
    Ok(stream.as_fd().try_clone_to_owned()?.into())
}

fn print(mut to: PatientWriter, line: &dyn Display) {
    // A patient writer takes everything.
    to.write_all(format!("{line}\n").as_bytes()).unwrap_or(());
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::process::Command;

    use super::*;

    /// Set in the process that panics.
    const CHILD: &str = "POLYPORT_TERMINAL_PANICS";

    #[test]
    fn a_panic_stands_behind_what_was_logged_before() {
        if env::var_os(CHILD).is_some() {
            let output = Output::new().unwrap();
            output.start().unwrap();
            output.print_panics();
            output.say("a result");
            for number in 0..5000 {
                output.remark(format_args!("line {number}"));
            }
            panic!("the end");
        }
        let name = "output::tests::a_panic_stands_behind_what_was_logged_before";
        let mut command = Command::new(env::current_exe().unwrap());
        let child = command.args(["--exact", name, "--nocapture"]).env(CHILD, "1").output().unwrap();
        let (text, results) =
            (String::from_utf8(child.stderr).unwrap(), String::from_utf8(child.stdout).unwrap());
        let (before, after) = text.split_once("error: thread ").unwrap_or_else(|| panic!("{text}"));
        assert_eq!(before.lines().filter(|line| line.starts_with("line ")).count(), 5000, "{before}");
        assert!(before.ends_with("line 4999\n") && after.contains("the end"), "{after}");
        assert!(results.contains("a result\n"), "{results}");
    }

    #[test]
    fn nobody_waits_for_what_is_written() {
        let output = Output::new().unwrap();
        output.remark("a line of a test");
        output.serve();
        output.finish();
        assert_eq!(output.lost(), 0);
    }
}
