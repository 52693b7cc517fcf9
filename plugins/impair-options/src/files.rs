//! Files that options name: small texts, read when the options are checked and when the handler is made.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// A file is at most so long, bytes: a million lines of a trace.
const LONGEST_FILE: u64 = 16 << 20;

/// The text of a file.
///
/// # Errors
/// It cannot be read, is too long, or is no text.
pub(crate) fn read(path: &str) -> Result<String, String> {
    let text = read_bounded(Path::new(path)).map_err(|error| format!("{path}: {error}"))?;
    String::from_utf8(text).map_err(|_| format!("{path}: it is no text in UTF-8"))
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        // A pipe would keep everybody waiting.
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 16 MiB"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_said_with_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let path = path.to_str().unwrap();
        assert!(read(path).unwrap_err().starts_with(&format!("{path}: No such file")));
        assert!(read("/dev/zero").unwrap_err().ends_with("it is no regular file"));
        assert!(read(dir.path().to_str().unwrap()).unwrap_err().ends_with("it is no regular file"));
        std::fs::write(path, b"\xFF").unwrap();
        assert!(read(path).unwrap_err().ends_with("no text in UTF-8"));
        File::create(path).unwrap().set_len(LONGEST_FILE + 1).unwrap();
        assert!(read(path).unwrap_err().ends_with("longer than 16 MiB"));
        std::fs::write(path, "1 2").unwrap();
        assert_eq!(read(path).as_deref(), Ok("1 2"));
    }
}
