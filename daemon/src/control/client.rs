//! The other side of the socket: what `polyport status` and its like ask with.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use polyport_terminal::Escaped;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::wire::{Error, Hello, VERSION};

/// How long an answer may take: longer than the daemon gives its loop.
const ANSWER_TIME: Duration = Duration::from_secs(70);
/// Bytes of an answer: sixteen times what the largest page has.
const ANSWER_BYTES: u64 = 16 << 20;

/// A connection to a daemon.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
    path: PathBuf,
    /// The id of the last request.
    id: u64,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum CallError {
    /// Nobody is there.
    Nobody(PathBuf, io::Error),
    /// The socket is not for this user.
    Denied(PathBuf),
    /// Reading or writing has failed, or took too long.
    Broken(PathBuf, io::Error),
    /// What comes back is no answer, or one of another version.
    Strange(PathBuf, String),
    /// The daemon refuses.
    Refused(Error),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |path: &Path| Escaped(path.as_os_str().as_encoded_bytes()).to_string();
        match self {
            Self::Nobody(path, error) => write!(f, "no daemon answers on {}: {error}", shown(path)),
            Self::Denied(path) => {
                write!(f, "{} is for the user of the daemon and for root", shown(path))
            }
            Self::Broken(path, error) => write!(f, "{}: no answer: {error}", shown(path)),
            Self::Strange(path, what) => {
                write!(f, "{}: this is no answer: {}", shown(path), Escaped(what.as_bytes()))
            }
            Self::Refused(error) => write!(f, "{}", Escaped(error.message.as_bytes())),
        }
    }
}

impl Client {
    /// Connects to a daemon that speaks our version.
    ///
    /// # Errors
    /// Nobody is there, or it is somebody else.
    pub fn connect(path: &Path) -> Result<Self, CallError> {
        let stream = UnixStream::connect(path).map_err(|error| {
            if error.kind() == io::ErrorKind::PermissionDenied {
                CallError::Denied(path.to_path_buf())
            } else {
                CallError::Nobody(path.to_path_buf(), error)
            }
        })?;
        let broken = |error| CallError::Broken(path.to_path_buf(), error);
        stream.set_read_timeout(Some(ANSWER_TIME)).map_err(broken)?;
        stream.set_write_timeout(Some(ANSWER_TIME)).map_err(broken)?;
        let mut client = Self { stream: BufReader::new(stream), path: path.to_path_buf(), id: 0 };
        let (hello, _) = client.call::<Hello>("hello", &json!({}))?;
        if hello.polyport == VERSION {
            Ok(client)
        } else {
            let what =
                format!("it speaks version {} of the messages, and this program {VERSION}", hello.polyport);
            Err(CallError::Strange(path.to_path_buf(), what))
        }
    }

    /// Asks, and waits for the answer: what is understood of it, and all of it.
    ///
    /// # Errors
    /// There is none, or a refusal.
    pub fn call<T: DeserializeOwned>(
        &mut self,
        method: &str,
        params: &Value,
    ) -> Result<(T, Value), CallError> {
        let broken = |error| CallError::Broken(self.path.clone(), error);
        self.id += 1;
        let request = json!({ "jsonrpc": "2.0", "id": self.id, "method": method, "params": params });
        self.stream.get_mut().write_all(format!("{request}\n").as_bytes()).map_err(broken)?;
        let mut line = Vec::new();
        let n = (&mut self.stream).take(ANSWER_BYTES).read_until(b'\n', &mut line).map_err(broken)?;
        let strange = |what: &str| CallError::Strange(self.path.clone(), what.to_owned());
        if n == 0 {
            return Err(broken(io::ErrorKind::UnexpectedEof.into()));
        }
        let mut response: Value =
            serde_json::from_slice(&line).map_err(|error| strange(&error.to_string()))?;
        if let Some(error) = response.get_mut("error").map(Value::take) {
            let error: Error = serde_json::from_value(error).map_err(|error| strange(&error.to_string()))?;
            return Err(CallError::Refused(error));
        }
        if response.get("id") != Some(&json!(self.id)) {
            return Err(strange("it belongs to another request"));
        }
        let result = response.get_mut("result").map(Value::take).unwrap_or_default();
        let read = serde_json::from_value(result.clone()).map_err(|error| strange(&error.to_string()))?;
        Ok((read, result))
    }

    /// The stream, to see who is on its other side.
    #[cfg(target_os = "linux")]
    pub(super) fn stream(&self) -> &UnixStream {
        self.stream.get_ref()
    }

    /// The stream, of which something may have been read already: for what follows an answer that is no line.
    #[must_use]
    pub fn into_stream(self) -> BufReader<UnixStream> {
        self.stream
    }

    /// Waits until the daemon has closed the connection.
    ///
    /// # Errors
    /// It has not, in this time.
    pub fn wait_for_end(mut self, longest: Duration) -> io::Result<()> {
        self.stream.get_mut().set_read_timeout(Some(longest))?;
        match self.stream.read_to_end(&mut Vec::new()) {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => Err(error),
            _ => Ok(()),
        }
    }
}
