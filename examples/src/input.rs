//! Files and lines that others may have made endless: each is read up to what its purpose needs, and one octet further
//! shows that there is more.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::Path;

/// Octets of a key file: a key of 4 KiB in hex with colons and a comment of white space. Keys have 16 to 64 octets.
pub const MAX_KEY_FILE: usize = 16 << 10;
/// Octets of a datagram: what an IPv4 packet of 65,535 octets carries besides its header of 20 and that of UDP of 8 (RFC 791,
/// RFC 768). Over IPv6 it would be 20 more, and the clients speak both.
pub const MAX_DATAGRAM: usize = 65_507;
/// Octets of a line with a datagram in hex: four for each of its octets, so with room for colons and blanks.
pub const MAX_LINE: usize = 4 * MAX_DATAGRAM;

/// The octets of a file, at most `limit`, and its mode (`inode(7)`) if it is a regular file. Blocks as long as a pipe stays
/// silent.
///
/// # Errors
/// The errno of `open(2)` or `read(2)`, or that there are more octets.
pub fn read(path: &Path, limit: usize) -> io::Result<(Vec<u8>, Option<u32>)> {
    use std::os::unix::fs::MetadataExt;
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    Ok((whole(file, limit)?, metadata.is_file().then(|| metadata.mode())))
}

/// All octets of `from`, at most `limit`.
///
/// # Errors
/// The errno of `read(2)`, or that there are more octets.
pub fn whole(from: impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    from.take(limit as u64 + 1).read_to_end(&mut octets)?;
    if octets.len() > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {limit} octets")));
    }
    Ok(octets)
}

/// The next line of `from`, at most `limit` octets without its end; none after the last.
///
/// # Errors
/// The errno of `read(2)`, that the line is longer, or that it is no text.
pub fn line(from: &mut impl BufRead, limit: usize) -> io::Result<Option<String>> {
    let mut octets = Vec::new();
    if next_line(from, limit, &mut octets)?.is_none() {
        return Ok(None);
    }
    String::from_utf8(octets).map(Some).map_err(|_| not_text())
}

/// How a line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnd {
    /// With its own octet: it is whole.
    Newline,
    /// With the file: whoever writes it may not be done.
    File,
}

/// Puts the octets of the next line of `from`, at most `limit` without its end, in the place of what `octets` held; none after
/// the last.
///
/// # Errors
/// The errno of `read(2)`, or that the line is longer.
pub fn next_line(from: &mut impl BufRead, limit: usize, octets: &mut Vec<u8>) -> io::Result<Option<LineEnd>> {
    octets.clear();
    from.take(limit as u64 + 1).read_until(b'\n', octets)?;
    if octets.is_empty() {
        return Ok(None);
    }
    if octets.last() == Some(&b'\n') {
        octets.pop();
        return Ok(Some(LineEnd::Newline));
    }
    if octets.len() > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {limit} octets")));
    }
    Ok(Some(LineEnd::File))
}

/// What is said of octets that are no text.
#[must_use]
pub fn not_text() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_as_long_as_allowed_and_no_longer() {
        let mut from = &b"1234\n\n123"[..];
        let mut next = |limit| line(&mut from, limit).unwrap();
        assert_eq!(
            [next(4), next(4), next(4), next(4)],
            [Some("1234".into()), Some(String::new()), Some("123".into()), None]
        );
        for (text, kind) in [
            (&b"12345\n"[..], io::ErrorKind::FileTooLarge),
            (b"12345", io::ErrorKind::FileTooLarge),
            (b"\xff\n", io::ErrorKind::InvalidData),
        ] {
            assert_eq!(line(&mut &*text, 4).unwrap_err().kind(), kind);
        }
    }

    #[test]
    fn a_line_that_ends_with_the_file_is_told_from_a_whole_one() {
        let (mut from, mut octets) = (&b"one\n\ntwo"[..], vec![7]);
        let mut seen = Vec::new();
        while let Some(end) = next_line(&mut from, 3, &mut octets).unwrap() {
            seen.push((String::from_utf8(octets.clone()).unwrap(), end));
        }
        let (newline, file) = (LineEnd::Newline, LineEnd::File);
        assert_eq!(seen, [("one".to_owned(), newline), (String::new(), newline), ("two".to_owned(), file)]);
    }

    #[test]
    fn a_file_is_as_long_as_allowed_and_no_longer() {
        let path = std::env::temp_dir().join(format!("polyport-input-{}", std::process::id()));
        std::fs::write(&path, "1234").unwrap();
        let (octets, mode) = read(&path, 4).unwrap();
        assert_eq!((octets, mode.is_some()), (b"1234".to_vec(), true));
        assert_eq!(read(&path, 3).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(read(Path::new("/dev/zero"), 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read(Path::new("/dev/null"), 4).unwrap(), (Vec::new(), None));
    }
}
