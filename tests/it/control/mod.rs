//! The control socket, as `daemon/docs/control.md` describes it.
//!
//! ```text
//! commands     what the commands do
//! alterations  listeners that come, go, and are not read for a while
//! settings     settings of a listener that are set while it serves
//! plugin_reload  a new build of one library
//! hostile      clients that send garbage, hang, or are many (R54)
//! place        where it is, and whose
//! manual       the examples of the page
//! ```

mod alterations;
mod commands;
mod hostile;
mod manual;
mod place;
mod plugin_reload;
mod settings;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use polyport_tests::daemon::Daemon;
use polyport_tests::process::Finished;
use polyport_tests::{DEADLINE, Launch};
use serde_json::Value;

use crate::polyport;

/// Where the socket of these daemons is.
fn socket(dir: &Path) -> PathBuf {
    dir.join("run/control.sock")
}

/// Runs a command to a daemon with these words.
#[track_caller]
pub(crate) fn command(daemon: &Daemon, words: &[&str]) -> Finished {
    command_at(&socket(daemon.dir()), words)
}

#[track_caller]
fn command_at(socket: &Path, words: &[&str]) -> Finished {
    polyport().args(words).arg("--control").arg(socket).run()
}

/// What a command prints as JSON.
#[track_caller]
pub(crate) fn json(daemon: &Daemon, words: &[&str]) -> Value {
    let finished = command(daemon, &[words, &["--json"]].concat());
    serde_json::from_str(&finished.expect_code(0).stdout).unwrap()
}

/// One echo.
fn echo() -> Launch {
    polyport().listen("127.0.0.1:0=echo")
}

/// A client without manners.
struct Raw {
    stream: BufReader<UnixStream>,
}

impl Raw {
    #[track_caller]
    fn of(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// Sends bytes, as far as somebody takes them.
    fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap_or(());
    }

    /// The next answer; none if the connection has ended.
    #[track_caller]
    fn receive(&mut self) -> Option<Value> {
        let mut line = Vec::new();
        match self.stream.read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) => Some(serde_json::from_slice(&line).unwrap()),
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
                None
            }
        }
    }

    /// The next answer, if it is there already.
    fn try_receive(&mut self) -> Option<Value> {
        self.stream.get_ref().set_nonblocking(true).unwrap();
        let is_there = self.stream.fill_buf().is_ok_and(|bytes| !bytes.is_empty());
        self.stream.get_ref().set_nonblocking(false).unwrap();
        if is_there { self.receive() } else { None }
    }

    #[track_caller]
    fn ask(&mut self, line: &[u8]) -> Value {
        self.send(line);
        self.send(b"\n");
        self.receive().unwrap()
    }

    /// The code of the error that answers a line.
    #[track_caller]
    fn refusal(&mut self, line: &[u8]) -> i64 {
        code(&self.ask(line))
    }
}

#[track_caller]
fn code(answer: &Value) -> i64 {
    answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("{answer}"))
}

const HELLO: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"hello"}"#;
const STATUS: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"status"}"#;
