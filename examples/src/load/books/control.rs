//! What a daemon has counted, by its control socket: JSON-RPC 2.0, a line each way.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use polyport_terminal::{Escaped, Exit};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::outcome::ExitError;

/// How long an answer may take: the daemon gives up its own wait for the loop after that.
const PATIENCE: Duration = Duration::from_secs(60);

/// Longest answer, octets: 1000 entries have some kilobytes each at most.
const MAX_ANSWER: u64 = 16 << 20;

/// Entries of a page.
const PAGE: usize = 1000;

/// Pages at most: every port of a host, and as many listeners.
const MOST_PAGES: usize = 256;

/// The version of the messages that is understood.
const VERSION: u64 = 1;

/// What an address has counted since the daemon serves it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Counts {
    /// Datagrams that came.
    pub received: u64,
    /// Those that were answered.
    pub replied: u64,
    /// Those that the handler took.
    pub consumed: u64,
    /// Those that wait for a handler.
    pub kept: u64,
    /// Datagrams that the kernel dropped before the daemon could read them.
    pub kernel_drops: u64,
    /// Datagrams that came and were dropped, by the reason.
    pub dropped_in: BTreeMap<String, u64>,
}

/// An address of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The listener.
    pub listener: String,
    /// The address as the daemon writes it.
    pub bind: String,
    /// What it has counted.
    pub counts: Counts,
}

/// All that a daemon said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Books {
    /// Its process: another one has other books.
    pub pid: u64,
    /// Each address.
    pub rows: Vec<Row>,
}

#[derive(Debug, Deserialize)]
struct Page {
    polyport: u64,
    pid: u64,
    next: Option<u64>,
    entries: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    name: String,
    bind: Vec<String>,
    counts: Counts,
}

#[derive(Debug)]
struct Connection<'p> {
    path: &'p Path,
    stream: BufReader<UnixStream>,
    id: u64,
}

/// Asks for the counts of all addresses of all listeners.
///
/// # Errors
/// Nobody answers, or not in the way that is understood.
pub fn ask(path: &Path) -> Result<Books, ExitError> {
    let failed = |error: &std::io::Error| {
        let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
        let exit = if denied { Exit::Permission } else { Exit::NoReply };
        ExitError::new(exit, format!("no daemon answers at the control socket {}: {error}", shown(path)))
    };
    let stream = UnixStream::connect(path).map_err(|error| failed(&error))?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(|error| failed(&error))?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(|error| failed(&error))?;
    let mut connection = Connection { path, stream: BufReader::new(stream), id: 0 };
    let (mut pid, listeners) = connection.pages(None)?;
    let mut rows = Vec::new();
    for listener in listeners {
        let (now, entries) = connection.pages(Some(&listener.name))?;
        pid = now;
        rows.extend(entries.into_iter().filter_map(|entry| {
            let bind = entry.bind.into_iter().next()?;
            Some(Row { listener: entry.name, bind, counts: entry.counts })
        }));
    }
    Ok(Books { pid, rows })
}

impl Connection<'_> {
    /// All entries, of all listeners or of the addresses of one.
    fn pages(&mut self, listener: Option<&str>) -> Result<(u64, Vec<Entry>), ExitError> {
        let (mut entries, mut offset) = (Vec::new(), 0);
        for _ in 0..MOST_PAGES {
            let mut params = json!({ "offset": offset, "limit": PAGE });
            if let (Some(params), Some(listener)) = (params.as_object_mut(), listener) {
                params.insert("listener".to_owned(), listener.into());
            }
            let page = self.status(&params)?;
            entries.extend(page.entries);
            match page.next {
                Some(next) if next > offset => offset = next,
                Some(_) => return Err(self.strange("its pages do not go on")),
                None => return Ok((page.pid, entries)),
            }
        }
        Err(self.strange("its pages have no end"))
    }

    fn status(&mut self, params: &Value) -> Result<Page, ExitError> {
        self.id += 1;
        let request = json!({ "jsonrpc": "2.0", "id": self.id, "method": "status", "params": params });
        let asked = self.stream.get_mut().write_all(format!("{request}\n").as_bytes());
        asked.map_err(|error| self.silent(&error.to_string()))?;
        let mut line = String::new();
        let read = (&mut self.stream).take(MAX_ANSWER).read_line(&mut line);
        read.map_err(|error| self.silent(&error.to_string()))?;
        if !line.ends_with('\n') {
            return Err(self.silent("its answer has no end"));
        }
        let mut answer: Value =
            serde_json::from_str(&line).map_err(|error| self.strange(&error.to_string()))?;
        if let Some(error) = answer.get("error") {
            return Err(self.strange(&format!("it refuses: {error}")));
        }
        if answer.get("id") != Some(&self.id.into()) {
            return Err(self.strange("its answer is to another question"));
        }
        let page: Page =
            serde_json::from_value(answer.get_mut("result").map(Value::take).unwrap_or_default())
                .map_err(|error| self.strange(&error.to_string()))?;
        if page.polyport == VERSION {
            Ok(page)
        } else {
            Err(self.strange(&format!(
                "it speaks version {}, and version {VERSION} is understood",
                page.polyport
            )))
        }
    }

    fn silent(&self, why: &str) -> ExitError {
        ExitError::new(Exit::NoReply, format!("the daemon at {} does not answer: {why}", shown(self.path)))
    }

    fn strange(&self, why: &str) -> ExitError {
        let why = Escaped(why.as_bytes());
        ExitError::new(
            Exit::Protocol,
            format!("what answers at {} cannot be understood: {why}", shown(self.path)),
        )
    }
}

/// A path as it can be shown.
fn shown(path: &Path) -> String {
    Escaped(path.as_os_str().as_encoded_bytes()).to_string()
}
