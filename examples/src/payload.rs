//! What is to be sent: words of the command line, a file as it is, or standard input.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use polyport_terminal::{Escaped, Exit};

use crate::input;
use crate::outcome::ExitError;

/// Octets that are read: what a datagram over IPv6 carries, which is the longest there is. Each client says by itself what its own
/// datagrams take.
pub const MAX_PAYLOAD: usize = 65_527;

/// `--payload-file` of a client whose payload may be words as well.
#[derive(Args, Clone, Debug, Default)]
pub struct PayloadArgs {
    /// Send the octets of this file, as they are; - is standard input
    #[arg(long, value_name = "FILE", help_heading = crate::heading::CONTENT)]
    pub payload_file: Option<PathBuf>,
}

impl PayloadArgs {
    /// The octets of the file, or else of `words`, where `-` is standard input. Blocks as long as a pipe stays silent.
    ///
    /// # Errors
    /// There is no such file, reading fails, or no datagram takes as much.
    pub fn or(&self, words: &str) -> Result<Vec<u8>, ExitError> {
        match &self.payload_file {
            Some(path) => from(path),
            None if words == "-" => from(Path::new("-")),
            None => Ok(words.as_bytes().to_vec()),
        }
    }

    /// The octets of the file, if one was given.
    ///
    /// # Errors
    /// Those of [`Self::or`].
    pub fn load(&self) -> Result<Option<Vec<u8>>, ExitError> {
        self.payload_file.as_deref().map(from).transpose()
    }
}

/// The octets of a file, or of standard input for `-`, as far as a datagram takes them.
fn from(path: &Path) -> Result<Vec<u8>, ExitError> {
    let is_stdin = path.as_os_str() == "-";
    let (name, octets) = if is_stdin {
        ("standard input".to_owned(), input::whole(io::stdin().lock(), MAX_PAYLOAD))
    } else {
        let octets = input::read(path, MAX_PAYLOAD).map(|(octets, _)| octets);
        (Escaped(path.as_os_str().as_encoded_bytes()).to_string(), octets)
    };
    octets.map_err(|error| {
        // A file that is not there is a wrong input; a disk that fails is not.
        let exit = match error.raw_os_error() {
            Some(libc::EIO) => Exit::Io,
            Some(libc::EACCES | libc::EPERM) => Exit::Permission,
            _ if is_stdin && error.kind() != io::ErrorKind::FileTooLarge => Exit::Io,
            _ => Exit::BadInput,
        };
        let is_long = error.kind() == io::ErrorKind::FileTooLarge;
        let more = if is_long { ", and no datagram takes as much" } else { "" };
        ExitError::new(exit, format!("cannot read the payload from {name}: {error}{more}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_sent_as_it_is_and_words_are_words() {
        let path = std::env::temp_dir().join(format!("polyport-payload-{}", std::process::id()));
        let of = |file: Option<&Path>, words| {
            PayloadArgs { payload_file: file.map(Path::to_path_buf) }.or(words).map_err(|error| error.exit)
        };
        for octets in [&b""[..], b"\x00\xff\r\n", &vec![7; MAX_PAYLOAD]] {
            std::fs::write(&path, octets).unwrap();
            assert_eq!(of(Some(&path), "ping").unwrap(), octets);
        }
        std::fs::write(&path, vec![7; MAX_PAYLOAD + 1]).unwrap();
        assert_eq!(of(Some(&path), "ping"), Err(Exit::BadInput));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(of(Some(&path), "ping"), Err(Exit::BadInput));
        assert_eq!(of(Some(Path::new("/dev/zero")), "ping"), Err(Exit::BadInput));
        assert_eq!(of(None, "@file").unwrap(), b"@file");
        assert_eq!(PayloadArgs::default().load().unwrap(), None);
    }
}
