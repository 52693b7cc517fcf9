//! A plugin is made in a process of its own, so that a crash is only an answer.

use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use polyport_terminal::Escaped;
use serde_json::{Value, json};

use super::signals::signal_name;
use super::sources::Bench;
use super::subject::MARK;

/// Bytes of what the process prints that are read.
const MOST_OUTPUT: u64 = 1 << 20;

/// What became of a plugin that was made and destroyed.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The last step that was begun.
    step: String,
    /// What `create` has asked the host for, if it came so far.
    told: Option<Value>,
    /// What went wrong, in words.
    failed: Option<String>,
}

/// Starts this program once more, as [`examine`](super::examine) for one plugin, and waits for it. It must be done after
/// `longest`.
///
/// # Errors
/// No process can be started.
pub fn try_out(
    bench: &Bench,
    reference: &str,
    options: &[(String, String)],
    longest: Duration,
) -> io::Result<Trial> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["plugin", "inspect", "--within"]);
    for dir in &bench.dirs {
        command.arg("--plugin-dir").arg(dir);
    }
    for (name, value) in options {
        command.arg(format!("--option={name}={value}"));
    }
    command.arg("--").arg(reference).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let mut trial = Trial { step: "starting".to_owned(), told: None, failed: None };
    let Some(output) = child.stdout.take() else { return Ok(trial) };
    let lines = Arc::new(Mutex::new(Vec::new()));
    let closed = read(output, Arc::clone(&lines));
    // It closes its output by ending.
    let in_time = closed.recv_timeout(longest) != Err(RecvTimeoutError::Timeout);
    let ended = if in_time { wait(&mut child)? } else { None };
    if ended.is_none() {
        child.kill()?;
        child.wait()?;
    }
    // A process that this one has started may keep the output open; what was read is enough.
    for line in lines.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        trial.note(line);
    }
    match ended {
        Some(status) => trial.ended(status),
        None => trial.failed = Some(format!("did not come back while {}, within {longest:?}", trial.step)),
    }
    Ok(trial)
}

/// Reads the lines that a process prints, by a thread that ends with its output and then closes the channel.
fn read(output: ChildStdout, lines: Arc<Mutex<Vec<String>>>) -> Receiver<()> {
    let (open, closed) = sync_channel(1);
    thread::spawn(move || {
        let read = BufReader::new(output.take(MOST_OUTPUT)).split(b'\n');
        for line in read.map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
        drop(open);
    });
    closed
}

/// How a process ends whose output is closed; none if it goes on.
fn wait(child: &mut Child) -> io::Result<Option<ExitStatus>> {
    const STEPS: u32 = 1000;
    const STEP: Duration = Duration::from_millis(10);
    for _ in 0..STEPS {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::park_timeout(STEP);
    }
    Ok(None)
}

impl Trial {
    /// Whether all went well.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.failed.is_none()
    }

    fn note(&mut self, line: &str) {
        let Some((step, rest)) = line.strip_prefix(MARK).and_then(|line| line.split_once(' ')) else {
            return;
        };
        match step {
            "made" => self.told = serde_json::from_str(rest).ok(),
            "refused" => self.failed = Some(format!("refused while {}: {rest}", self.step)),
            _ => step.clone_into(&mut self.step),
        }
    }

    fn ended(&mut self, status: ExitStatus) {
        if self.failed.is_some() || self.step == "done" && status.success() {
            return;
        }
        let how = match (status.signal(), status.code()) {
            (Some(signal), _) => format!("crashed while {}: {}", self.step, signal_name(signal)),
            (None, Some(code)) => format!("ended the process while {}, with exit code {code}", self.step),
            (None, None) => format!("ended the process while {}", self.step),
        };
        self.failed = Some(how);
    }

    fn metrics(&self) -> Vec<[&str; 3]> {
        let metrics = self.told.as_ref().and_then(|told| told.get("metrics")?.as_array());
        metrics
            .into_iter()
            .flatten()
            .map(|metric| {
                ["name", "kind", "help"].map(|key| metric.get(key).and_then(Value::as_str).unwrap_or(""))
            })
            .collect()
    }

    /// Hands on what is to be shown: a name and a text.
    pub(super) fn rows(&self, row: &mut dyn FnMut(&str, &str)) {
        row("run", self.failed.as_deref().unwrap_or("loaded, made and destroyed"));
        let metrics = self.metrics();
        let width = metrics.iter().map(|[name, ..]| name.len()).max().unwrap_or(0);
        for [name, kind, help] in &metrics {
            row("metrics", &Escaped(format!("{name:width$}  {kind:7}  {help}").as_bytes()).to_string());
        }
        let Some(told) = &self.told else { return };
        if metrics.is_empty() {
            row("metrics", "none");
        }
        let wants =
            told.get("wants").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let wants: Vec<&str> = wants.collect();
        row("wants", &if wants.is_empty() { "no more facts".to_owned() } else { wants.join(" ") });
    }

    /// What became of it, for a program.
    #[must_use]
    pub fn json(&self) -> Value {
        let of = |key: &str| self.told.as_ref().and_then(|told| told.get(key)).cloned();
        json!({
            "step": self.step,
            "failed": self.failed,
            "metrics": of("metrics"),
            "wants": of("wants"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_moves_the_trial_on_and_others_are_not_its_business() {
        let mut trial = Trial { step: String::new(), told: None, failed: None };
        for line in ["polyport-inspect loading ", "what a constructor prints", "polyport-inspect creating "] {
            trial.note(line);
        }
        assert_eq!(trial.step, "creating");
        trial.ended(ExitStatus::from_raw(libc::SIGSEGV));
        assert_eq!(trial.failed.as_deref(), Some("crashed while creating: SIGSEGV"));
    }

    #[test]
    fn who_ends_the_process_is_told_apart_from_who_is_done() {
        let ended = |step: &str, code: i32| {
            let mut trial = Trial { step: step.to_owned(), told: None, failed: None };
            trial.ended(ExitStatus::from_raw(code << 8));
            trial.failed
        };
        assert_eq!(ended("done", 0), None);
        assert_eq!(ended("loading", 0).unwrap(), "ended the process while loading, with exit code 0");
        assert_eq!(ended("done", 3).unwrap(), "ended the process while done, with exit code 3");
    }
}
