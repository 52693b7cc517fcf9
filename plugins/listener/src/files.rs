//! A file that is put aside when it is full, and a new one begun.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// Bytes collected before a write: a few of the largest datagrams, or hundreds of small ones.
const BUFFER: usize = 256 << 10;

/// Who may read a recording: its owner, since it holds what others sent.
const MODE: u32 = 0o600;

/// `NAME`, and beside it `NAME.1`, the one before, to `NAME.keep`, the oldest (before the extension). What is no regular
/// file, such as `/dev/null`, is never put aside.
#[derive(Debug)]
pub(crate) struct Files {
    path: PathBuf,
    limit: u64,
    keep: u32,
    file: BufWriter<File>,
    size: u64,
}

impl Files {
    /// Puts aside what is there and begins a new file. `successor`: the file may belong to a predecessor that still writes
    /// it, and goes on to do so under its new name.
    pub(crate) fn open(path: &Path, limit: u64, keep: u32, successor: bool) -> io::Result<Self> {
        if let Some(state) = existing(path)? {
            if state.in_use && !successor {
                return Err(in_use());
            }
            if state.in_use || state.len > 0 {
                put_aside(path, keep)?;
            }
        }
        let file = BufWriter::with_capacity(BUFFER, begin(path)?);
        Ok(Self { path: path.to_owned(), limit, keep, file, size: 0 })
    }

    /// Whether `more` bytes would make it too large.
    pub(crate) fn is_full_with(&self, more: u64) -> bool {
        self.size > 0 && self.size.saturating_add(more) > self.limit
    }

    /// Puts the file aside and begins a new one.
    pub(crate) fn rotate(&mut self) -> io::Result<()> {
        self.flush()?;
        if !is_regular(self.file.get_ref()) {
            self.size = 0;
            return Ok(());
        }
        put_aside(&self.path, self.keep)?;
        self.file = BufWriter::with_capacity(BUFFER, begin(&self.path)?);
        self.size = 0;
        Ok(())
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.size = self.size.saturating_add(bytes.len() as u64);
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    /// Closes the file without writing what is still collected, which has failed before.
    pub(crate) fn abandon(self) {
        drop(self.file.into_parts());
    }
}

struct Existing {
    len: u64,
    in_use: bool,
}

/// What lies at `path`, if it is a regular file.
fn existing(path: &Path) -> io::Result<Option<Existing>> {
    let metadata = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    if !metadata.is_file() {
        return Ok(None);
    }
    // The lock goes with the descriptor, at the end of this function.
    let in_use = match open(path)?.try_lock() {
        Ok(()) => false,
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(error)) => return Err(error),
    };
    Ok(Some(Existing { len: metadata.len(), in_use }))
}

/// Locked, so that no second listener writes into it; the lock ends with the process at the latest.
fn begin(path: &Path) -> io::Result<File> {
    let file = open(path)?;
    if is_regular(&file) {
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => in_use(),
            TryLockError::Error(error) => error,
        })?;
    }
    Ok(file)
}

/// Never waits: a pipe without a reader is an error, not a listener that stands still.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    OpenOptions::new().write(true).create(true).truncate(false).mode(MODE).custom_flags(flags).open(path)
}

fn is_regular(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file())
}

fn in_use() -> io::Error {
    io::Error::new(
        io::ErrorKind::ResourceBusy,
        "another listener writes it; give each address a file of its own",
    )
}

/// Moves `NAME` to `NAME.1` and so on; the oldest is overwritten.
fn put_aside(path: &Path, keep: u32) -> io::Result<()> {
    if keep == 0 {
        return fs::remove_file(path);
    }
    for number in (1..keep).rev() {
        match fs::rename(numbered(path, number), numbered(path, number + 1)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    fs::rename(path, numbered(path, 1))
}

/// `dir/heard.pcapng` is `dir/heard.3.pcapng`.
fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!(".{number}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(dir: &Path) -> Vec<(String, Vec<u8>)> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap()))
            .collect();
        names.sort();
        names
    }

    fn shown(dir: &Path) -> String {
        let one = |(name, bytes): (String, Vec<u8>)| format!("{name}={}", String::from_utf8(bytes).unwrap());
        names(dir).into_iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn files_move_up_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::open(&dir.path().join("a.b.pcapng"), 10, 2, false).unwrap();
        for text in ["one", "two", "three", "four"] {
            assert!(!files.is_full_with(1000), "an empty file takes anything");
            files.write(text.as_bytes()).unwrap();
            assert!(files.is_full_with(8) && !files.is_full_with(5));
            files.rotate().unwrap();
        }
        files.write(b"five").unwrap();
        drop(files);
        assert_eq!(shown(dir.path()), "a.b.1.pcapng=four a.b.2.pcapng=three a.b.pcapng=five");
    }

    #[test]
    fn with_none_to_keep_the_old_one_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::open(&dir.path().join("a"), 10, 0, false).unwrap();
        files.write(b"one").unwrap();
        files.rotate().unwrap();
        files.write(b"two").unwrap();
        drop(files);
        assert_eq!(shown(dir.path()), "a=two");
    }

    #[test]
    fn what_was_there_is_kept_and_an_empty_file_used() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.pcapng");
        fs::write(&path, "before").unwrap();
        drop(Files::open(&path, 10, 5, false).unwrap());
        drop(Files::open(&path, 10, 5, false).unwrap());
        assert_eq!(shown(dir.path()), "a.1.pcapng=before a.pcapng=");
    }

    #[test]
    fn a_second_writer_is_refused_and_a_successor_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let mut first = Files::open(&path, 10, 5, false).unwrap();
        let error = Files::open(&path, 10, 5, false).unwrap_err();
        assert!(error.to_string().contains("another listener"), "{error}");
        let mut second = Files::open(&path, 10, 5, true).unwrap();
        first.write(b"first").unwrap();
        second.write(b"second").unwrap();
        drop((first, second));
        assert_eq!(shown(dir.path()), "a=second a.1=first");
    }

    #[test]
    fn only_the_owner_may_read_a_recording() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let mut files = Files::open(&path, 10, 1, false).unwrap();
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        files.rotate().unwrap();
        assert_eq!(mode(), 0o600, "the next file is as private as the first");
    }

    /// A name of its own that leads to the device: a rotation gone wrong would move the name, not the device.
    #[test]
    fn what_is_no_file_stays_where_it_is_when_it_is_full() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nowhere");
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        let mut files = Files::open(&path, 10, 5, false).unwrap();
        for _ in 0..2 {
            files.write(b"ten bytes.").unwrap();
            assert!(files.is_full_with(1));
            files.rotate().unwrap();
            assert!(!files.is_full_with(1000), "counted from the beginning again");
        }
        drop(files);
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, std::slice::from_ref(&path));
        assert!(path.is_symlink());
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(
            Files::open(&dir.path().join("no/a"), 10, 5, false).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
