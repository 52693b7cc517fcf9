//! Runs cases, each in a process of its own, so that a crash is only a finding.

use std::fs::{self, DirBuilder};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::cases::Case;
use super::findings::crash;
use super::rules;
use super::within::{MARK, Terms};
use crate::workbench::sources::Bench;

/// Bytes of what a process prints that are read.
const MOST_OUTPUT: u64 = 1 << 20;
/// How long a case may take besides its part by chance: far more than any does on a slow machine. A single call has its own limit.
const CASE_LIMIT: Duration = Duration::from_secs(300);
/// How long is waited for the end of a process that has closed its output.
const END_LIMIT: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(10);

/// What came of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Every rule was kept.
    Kept,
    /// A rule was broken: its number in `plugins/ABI.md`, and how.
    Broken(String, String),
    /// It says nothing about this plugin, and why.
    Skipped(String),
}

/// A case that was run.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The case.
    pub case: &'static Case,
    /// What came of it.
    pub found: Found,
    /// What is odd and breaks no rule.
    pub remarks: Vec<String>,
    /// Calls of the plugin, 0 if it did not come to its end.
    pub calls: u64,
}

/// Why cases cannot be run.
#[derive(Debug)]
pub enum Trouble {
    /// The plugin or its options are refused.
    Plugin(String),
    /// The system refuses something.
    Os(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Os(error)
    }
}

/// Runs a case in a process of its own, in a directory of its own.
///
/// # Errors
/// It says nothing about the plugin, since it cannot be run.
pub fn run(bench: &Bench, reference: &str, case: &'static Case, terms: &Terms) -> Result<Ran, Trouble> {
    let place = Place::new()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["plugin", "test", "--within", "--case", case.name]);
    for dir in &bench.dirs {
        command.arg("--plugin-dir").arg(std::path::absolute(dir)?);
    }
    for (name, value) in &terms.options {
        command.arg(format!("--option={name}={value}"));
    }
    command.arg(format!("--seed={}", terms.seed));
    command.arg(format!("--seconds={}", terms.lasting.as_secs()));
    command.arg(format!("--timeout={}ns", terms.call.as_nanos()));
    let is_path = reference.contains('/');
    let reference = if is_path { std::path::absolute(reference)? } else { PathBuf::from(reference) };
    command.arg("--").arg(reference).current_dir(&place.0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let (lines, errors) = (Lines::default(), Lines::default());
    let closed = [
        child.stdout.take().map(|output| read(output, &lines)),
        child.stderr.take().map(|output| read(output, &errors)),
    ];
    // It closes its output by ending.
    let [first, second] = closed;
    let in_time = |closed: Option<Receiver<()>>, longest| {
        closed.is_none_or(|closed| closed.recv_timeout(longest) != Err(RecvTimeoutError::Timeout))
    };
    let ended = if in_time(first, CASE_LIMIT + terms.lasting) { wait(&mut child)? } else { None };
    if ended.is_none() {
        child.kill()?;
        child.wait()?;
    }
    // A process that the plugin has started may keep it open.
    in_time(second, END_LIMIT);
    let mut ran = Ran { case, found: Found::Kept, remarks: Vec::new(), calls: 0 };
    let mut is_done = false;
    for line in lines.taken() {
        let Some(told) = line.strip_prefix(MARK).and_then(|line| serde_json::from_str::<Value>(line).ok())
        else {
            continue;
        };
        is_done |= note(&mut ran, &told)?;
    }
    if !is_done {
        ran.found = match unexpected(ended, &errors.taken()) {
            // Alone it is served without a crash: that is what the other cases are for.
            Found::Broken(rule, what) if rule == rules::CRASH && case.rules.contains(&rules::AT_ONCE) => {
                Found::Broken(rules::AT_ONCE.to_owned(), what)
            }
            found @ (Found::Kept | Found::Broken(..) | Found::Skipped(_)) => found,
        };
    }
    Ok(ran)
}

/// Notes a line. Returns whether it is the verdict.
fn note(ran: &mut Ran, told: &Value) -> Result<bool, Trouble> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if let Some(why) = told.get("trouble") {
        return Err(Trouble::Plugin(text(why)));
    }
    if let Some(remark) = told.get("remark") {
        ran.remarks.push(text(remark));
    }
    if let Some(calls) = told.get("calls").and_then(Value::as_u64) {
        ran.calls = calls;
    }
    if let Some(why) = told.get("skipped") {
        ran.found = Found::Skipped(text(why));
        return Ok(true);
    }
    if let Some(broken) = told.get("broken") {
        let of = |key: &str| broken.get(key).map(text).unwrap_or_default();
        ran.found = Found::Broken(of("rule"), of("what"));
        return Ok(true);
    }
    Ok(told.get("done").is_some())
}

/// What it means that a process has ended without a verdict.
fn unexpected(ended: Option<ExitStatus>, errors: &[String]) -> Found {
    let Some(status) = ended else {
        return Found::Broken(rules::BLOCK.into(), "the case does not come to its end".into());
    };
    match (status.signal(), status.code()) {
        (Some(signal), _) => {
            let (rule, what) = crash(signal, errors);
            Found::Broken(rule, what)
        }
        (None, code) => {
            let code = code.map_or_else(String::new, |code| format!(", with exit code {code}"));
            Found::Broken(rules::CRASH.into(), format!("the plugin ended the process{code}"))
        }
    }
}

/// Lines that another thread reads.
#[derive(Clone, Debug, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reads the lines that a process prints, by a thread that ends with its output and then closes the channel.
fn read(output: impl Read + Send + 'static, lines: &Lines) -> Receiver<()> {
    let (open, closed) = sync_channel(1);
    let lines = lines.clone();
    thread::spawn(move || {
        let mut output = BufReader::new(output.take(MOST_OUTPUT));
        for line in output.by_ref().split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            lines.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
        // Who prints more than that must not stand still.
        io::copy(&mut output.into_inner().into_inner(), &mut io::sink()).unwrap_or(0);
        drop(open);
    });
    closed
}

/// How a process ends whose output is closed; none if it goes on.
fn wait(child: &mut Child) -> io::Result<Option<ExitStatus>> {
    let looks = END_LIMIT.as_millis() / LOOK.as_millis();
    for _ in 0..looks {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::park_timeout(LOOK);
    }
    Ok(None)
}

/// An empty directory, which is removed with all that is in it.
#[derive(Debug)]
struct Place(PathBuf);

impl Place {
    fn new() -> io::Result<Self> {
        /// Names that somebody else may have.
        const MOST: u32 = 1000;
        let within = std::env::temp_dir();
        for number in 0..MOST {
            let dir = within.join(format!("polyport-test-{}-{number}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&dir) {
                Ok(()) => return Ok(Self(dir)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(named(&error, &within)),
            }
        }
        Err(named(&io::ErrorKind::AlreadyExists.into(), &within))
    }
}

fn named(error: &io::Error, dir: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("no directory can be made in {}: {error}", dir.display()))
}

impl Drop for Place {
    fn drop(&mut self) {
        // Whoever has made it unremovable has to remove it.
        fs::remove_dir_all(&self.0).unwrap_or(());
    }
}
