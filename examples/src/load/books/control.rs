//! What a daemon has counted, by its control socket: JSON-RPC 2.0, a line each way.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use polyport_protocol::Nanos;
use polyport_terminal::{Escaped, Exit};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::{Clock, nanos};
use crate::outcome::ExitError;

/// How long a whole answer may take: the daemon gives up its own wait for the loop after that.
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

/// The state of an address whose handler gets what comes.
pub const SERVING: &str = "serving";

/// An address of a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// The listener.
    pub listener: String,
    /// The address as the daemon writes it.
    pub bind: String,
    /// What it does: [`SERVING`], `paused`, `draining`, `down`, `failed`, or what later versions have.
    pub state: String,
    /// What it has counted.
    pub counts: Counts,
}

/// All that a daemon said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// Its process: another one has other books.
    pub pid: u64,
    /// Seconds since it serves. In a container, the next process may have the number of the one before.
    pub uptime_s: u64,
    /// Each address.
    pub rows: Vec<Row>,
}

/// What it said, and when: both times are of the clock of who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Nothing of it is older.
    pub begun: Nanos,
    /// Nothing of it is younger.
    pub ended: Nanos,
    /// All of it.
    pub books: Books,
}

#[derive(Debug, Deserialize)]
struct Page {
    polyport: u64,
    pid: u64,
    uptime_s: u64,
    next: Option<u64>,
    entries: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    name: String,
    bind: Vec<String>,
    states: BTreeMap<String, u64>,
    counts: Counts,
}

#[derive(Debug)]
struct Connection<'p> {
    path: &'p Path,
    stream: BufReader<Timed<'p>>,
    patience: Nanos,
    id: u64,
}

/// A stream that is done with at a deadline, however often a little comes.
#[derive(Debug)]
struct Timed<'p> {
    stream: UnixStream,
    clock: &'p Clock,
    deadline: Nanos,
}

impl Timed<'_> {
    fn left(&self) -> io::Result<Option<Duration>> {
        match self.deadline.saturating_sub(self.clock.now()) {
            0 => Err(out_of_time()),
            left => Ok(Some(Duration::from_nanos(left))),
        }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer).map_err(told)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(octets).map_err(told)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// What a timeout of a socket is called by the system says nothing to a user.
fn told(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::WouldBlock { out_of_time() } else { error }
}

fn out_of_time() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "no whole answer has come in time")
}

/// Asks for the counts of all addresses of all listeners.
///
/// # Errors
/// Nobody answers, or not in the way that is understood.
pub fn ask(path: &Path, clock: &Clock) -> Result<Asked, ExitError> {
    let begun = clock.now();
    let failed = |error: &io::Error| {
        let denied = error.kind() == ErrorKind::PermissionDenied;
        let exit = if denied { Exit::Permission } else { Exit::NoReply };
        ExitError::new(exit, format!("no daemon answers at the control socket {}: {error}", shown(path)))
    };
    let stream = UnixStream::connect(path).map_err(|error| failed(&error))?;
    let mut connection = Connection::new(path, stream, clock, nanos(PATIENCE));
    let mut books = Books::default();
    for listener in connection.pages(None, &mut books)? {
        let entries = connection.pages(Some(&listener.name), &mut books)?;
        books.rows.extend(entries.into_iter().filter_map(Entry::row));
    }
    Ok(Asked { begun, ended: clock.now(), books })
}

impl Entry {
    /// As an entry of one address.
    fn row(self) -> Option<Row> {
        let bind = self.bind.into_iter().next()?;
        let state = self.states.into_iter().find(|(_, addresses)| *addresses > 0)?.0;
        Some(Row { listener: self.name, bind, state, counts: self.counts })
    }
}

impl<'p> Connection<'p> {
    fn new(path: &'p Path, stream: UnixStream, clock: &'p Clock, patience: Nanos) -> Self {
        Self { path, stream: BufReader::new(Timed { stream, clock, deadline: 0 }), patience, id: 0 }
    }

    /// All entries, of all listeners or of the addresses of one; notes who it is that answers.
    fn pages(&mut self, listener: Option<&str>, books: &mut Books) -> Result<Vec<Entry>, ExitError> {
        let (mut entries, mut offset) = (Vec::new(), 0);
        for _ in 0..MOST_PAGES {
            let mut params = json!({ "offset": offset, "limit": PAGE });
            if let (Some(params), Some(listener)) = (params.as_object_mut(), listener) {
                params.insert("listener".to_owned(), listener.into());
            }
            let page = self.status(&params)?;
            entries.extend(page.entries);
            (books.pid, books.uptime_s) = (page.pid, page.uptime_s);
            match page.next {
                Some(next) if next > offset => offset = next,
                Some(_) => return Err(self.strange("its pages do not go on")),
                None => return Ok(entries),
            }
        }
        Err(self.strange("its pages have no end"))
    }

    fn status(&mut self, params: &Value) -> Result<Page, ExitError> {
        self.id += 1;
        let request = json!({ "jsonrpc": "2.0", "id": self.id, "method": "status", "params": params });
        let timed = self.stream.get_mut();
        timed.deadline = timed.clock.now().saturating_add(self.patience);
        let asked = timed.write_all(format!("{request}\n").as_bytes());
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

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// What comes of a status that is answered by `answer`, again and again.
    fn answered(answer: &'static str, patience: Duration) -> Result<Page, ExitError> {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let clock = Clock::start();
        let daemon = thread::spawn(move || {
            theirs.read_exact(&mut [0]).unwrap();
            // Until nobody reads any more.
            while theirs.write_all(answer.as_bytes()).is_ok() {
                thread::park_timeout(Duration::from_millis(5));
            }
        });
        let mut connection = Connection::new(Path::new("control.sock"), ours, &clock, nanos(patience));
        let page = connection.status(&json!({}));
        drop(connection);
        daemon.join().unwrap();
        page
    }

    #[test]
    fn an_answer_that_trickles_is_not_waited_for_without_an_end() {
        let error = answered(" ", Duration::from_millis(200)).unwrap_err();
        assert_eq!(error.exit, Exit::NoReply);
        assert!(error.to_string().contains("no whole answer has come in time"), "{error}");
    }

    #[test]
    fn an_entry_of_an_address_has_its_state() {
        let answer = concat!(
            r#"{"jsonrpc":"2.0","id":1,"result":{"polyport":1,"pid":7,"uptime_s":86,"next":null,"later":0,"entries":[{"name":"ears","#,
            r#""bind":["127.0.0.1:7"],"states":{"serving":0,"paused":1},"counts":{"received":1,"replied":0,"consumed":1,"kept":0,"#,
            r#""kernel_drops":2,"dropped_in":{}}}]}}"#,
            "\n"
        );
        let page = answered(answer, PATIENCE).unwrap();
        assert_eq!((page.pid, page.uptime_s), (7, 86));
        let rows: Vec<Row> = page.entries.into_iter().filter_map(Entry::row).collect();
        let counts = Counts { received: 1, consumed: 1, kernel_drops: 2, ..Counts::default() };
        let wanted = Row {
            listener: "ears".to_owned(),
            bind: "127.0.0.1:7".to_owned(),
            state: "paused".to_owned(),
            counts,
        };
        assert_eq!(rows, [wanted]);
    }
}
