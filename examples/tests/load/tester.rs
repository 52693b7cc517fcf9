//! The program under test, as a process.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use polyport_tools::load::json::LoadReport;
use serde_json::Value;

/// What a run left behind.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The command, without arguments.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polyport-load"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it with a command line split at spaces.
pub(crate) fn run(line: &str) -> Ran {
    command().args(line.split_ascii_whitespace()).output().unwrap().into()
}

/// Runs a load of 200 datagrams in 200 ms with nothing before it, and reads its JSON; it must end with 0. The timeout
/// is 2 s unless `more` says otherwise: long enough for a machine that runs other tests meanwhile.
pub(crate) fn measure(targets: impl std::fmt::Display, more: &str) -> Value {
    let timeout = if more.contains("--timeout") { "" } else { " --timeout 2s" };
    let line =
        format!("{targets} --rate 1000/s -d 200ms --warmup 0s --no-handshake --json -q{timeout} {more}");
    let ran = run(&line);
    assert_eq!(ran.code, 0, "{line}: {}", ran.stderr);
    ran.json()
}

impl Ran {
    pub(crate) fn json(&self) -> Value {
        let read = |error| panic!("{error}: {}", self.stdout);
        let object: Value = serde_json::from_str(&self.stdout).unwrap_or_else(read);
        // It has exactly the fields of the type, and so those of its schema.
        let typed: LoadReport =
            serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {object}"));
        assert_eq!(serde_json::to_value(typed).unwrap(), object);
        object
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
        let code = output.status.code().unwrap_or(-1);
        Self { code, stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// Asserts the named counts of a table.
#[track_caller]
pub(crate) fn expect(table: &Value, wanted: &[(&str, u64)]) {
    for (name, count) in wanted {
        assert_eq!(table[name], *count, "{name} of {table:#}");
    }
}

/// Asserts the classes of a run: the named ones as given, all others zero.
#[track_caller]
pub(crate) fn expect_classes(result: &Value, wanted: &[(&str, u64)]) {
    for (name, count) in result["classes"].as_object().unwrap() {
        let wanted = wanted.iter().find(|(class, _)| class == name).map_or(0, |(_, count)| *count);
        assert_eq!(*count, wanted, "class {name} of {:#}", result["classes"]);
    }
}

/// The path of a program. Without it the test is skipped, past the capturing of the test harness, so that it is seen; where `CI` is
/// set nothing is skipped.
#[track_caller]
pub(crate) fn tool(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let found = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let found = found.into_iter().find(|file| file.is_file());
    if found.is_none() {
        let (thread, name) = (std::thread::current(), names.join("` or `"));
        let test = thread.name().unwrap_or("a test");
        let ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty());
        assert!(!ci, "{test} cannot run in CI: there is no program `{name}`");
        // Nobody is left to tell when standard error is closed.
        writeln!(std::io::stderr(), "SKIPPED {test}: there is no program `{name}`").ok();
    }
    found
}
