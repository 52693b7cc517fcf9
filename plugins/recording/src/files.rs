//! A file that is put aside when it is full, and a new one begun.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, Stat, fstat};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::place::{Place, check_owner, file_type, refused};

/// How long a wait for the reader of a pipe lasts before the caller is asked whether to go on.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// `NAME`, and beside it `NAME.1`, the one before, to `NAME.keep`, the oldest (before the extension). What is no regular
/// file, such as `/dev/null` or a pipe, is never put aside.
///
/// A file is made for its owner alone, and never through a link that somebody else has planted. One that is there already
/// must be the user's own.
#[derive(Debug)]
pub struct Files {
    place: Place,
    limit: u64,
    keep: u32,
    file: File,
    regular: bool,
    /// Bytes of the file that hold whole blocks.
    size: u64,
}

impl Files {
    /// Puts aside what is there and begins a new file, of `limit` bytes at most; `keep` of those put aside are kept. What holds nothing, or just the bytes `blank`, is used again: of starts
    /// that recorded nothing none pushes a recording out. `successor`: the file may belong to a predecessor that still
    /// writes it, and goes on to do so under its new name.
    ///
    /// # Errors
    /// Why there can be no file, in words where the system has none.
    pub fn open(path: &Path, limit: u64, keep: u32, successor: bool, blank: &[u8]) -> io::Result<Self> {
        let place = Place::find(path)?;
        let (file, regular) = begin_or_take(&place, keep, successor, blank)?;
        Ok(Self { place, limit, keep, file, regular, size: 0 })
    }

    /// Whether its name does not lead to the file any more, or the file is shorter than what was written: somebody has moved it
    /// away, removed it or cut it, as logrotate(8) does. Not so where another recorder has begun a file of that name: then this one
    /// finishes what it has.
    ///
    /// # Errors
    /// Those of the system.
    pub fn is_astray(&self) -> io::Result<bool> {
        if !self.regular {
            return Ok(false);
        }
        let own = fstat(&self.file)?;
        let there = match self.place.stat() {
            Ok(there) => there,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(error),
        };
        if (own.st_dev, own.st_ino) == (there.st_dev, there.st_ino) {
            return Ok(u64::try_from(own.st_size).is_ok_and(|size| size < self.size));
        }
        let other = existing(&self.place)?;
        let is_taken = |other: &Existing| Ok::<_, io::Error>(other.private && !lock(&other.file)?);
        Ok(!other.as_ref().map(is_taken).transpose()?.unwrap_or(false))
    }

    /// Begins a file under the name again; see [`Self::open`].
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn begin_again(&mut self, blank: &[u8]) -> io::Result<()> {
        let own = fstat(&self.file)?;
        let there = self.place.stat().ok();
        let is_here = there.is_some_and(|there| (own.st_dev, own.st_ino) == (there.st_dev, there.st_ino));
        if is_here && own.st_size == 0 {
            self.file.rewind()?;
        } else if is_here {
            return self.rotate();
        } else {
            (self.file, self.regular) = begin_or_take(&self.place, self.keep, false, blank)?;
        }
        self.size = 0;
        Ok(())
    }

    /// Whether `more` bytes would make it too large.
    #[must_use]
    pub const fn is_full_with(&self, more: u64) -> bool {
        self.size.saturating_add(more) > self.limit
    }

    /// Whether there is something in it. An empty file takes anything.
    #[must_use]
    pub const fn is_begun(&self) -> bool {
        self.size > 0
    }

    /// Puts the file aside and begins a new one.
    ///
    /// # Errors
    /// Those of the system.
    pub fn rotate(&mut self) -> io::Result<()> {
        if self.regular {
            self.place.put_aside(self.keep)?;
            self.file = begin(&self.place)?;
        }
        self.size = 0;
        Ok(())
    }

    /// Writes blocks, and returns how many bytes have got there. A pipe is waited for while `goes_on` says so.
    pub fn write(&mut self, blocks: &[u8], goes_on: impl Fn() -> bool) -> (usize, io::Result<()>) {
        let mut done = 0;
        while let Some(rest) = blocks.get(done..).filter(|rest| !rest.is_empty()) {
            match self.file.write(rest) {
                Ok(0) => return (done, Err(ErrorKind::WriteZero.into())),
                Ok(n) => done += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock && goes_on() => {
                    let mut fds = [PollFd::new(&self.file, PollFlags::OUT)];
                    // An interrupted wait is followed by a write, which tells whether to wait on.
                    poll(&mut fds, Some(&LOOK)).unwrap_or(0);
                }
                Err(error) => return (done, Err(error)),
            }
        }
        (done, Ok(()))
    }

    /// The first `len` bytes of what was written last hold whole blocks. What lies behind them is cut off, where that is
    /// possible.
    ///
    /// # Errors
    /// Those of the system.
    pub fn keep_only(&mut self, len: u64) -> io::Result<()> {
        self.size = self.size.saturating_add(len);
        if self.regular {
            self.file.set_len(self.size)?;
            self.file.seek(SeekFrom::Start(self.size))?;
        }
        Ok(())
    }

    /// All that was written last is whole blocks.
    pub const fn keep_all(&mut self, len: u64) {
        self.size = self.size.saturating_add(len);
    }
}

/// Puts aside what is there and begins a new file, or takes what is there; and whether it is a regular one.
fn begin_or_take(place: &Place, keep: u32, successor: bool, blank: &[u8]) -> io::Result<(File, bool)> {
    let Some(Existing { file, regular, len, private }) = existing(place)? else {
        return Ok((begin(place)?, true));
    };
    if !regular {
        return Ok((file, false));
    }
    let in_use = !lock(&file)?;
    // Whoever may read a file can lock it, and says nothing by that.
    if in_use && private && !successor {
        return Err(in_use_by_another());
    }
    if !in_use && (len == 0 || place.holds_just(blank, &file)?) {
        file.set_len(0)?;
        return Ok((file, true));
    }
    drop(file);
    place.put_aside(keep)?;
    Ok((begin(place)?, true))
}

struct Existing {
    file: File,
    regular: bool,
    len: u64,
    /// Nobody else can open it, and therefore lock it.
    private: bool,
}

/// Whether a file is a regular one, if it is of a kind that may be written, and of an owner to whom that may be left.
fn check_kind(stat: &Stat) -> io::Result<bool> {
    match file_type(stat) {
        FileType::RegularFile if stat.st_uid == geteuid().as_raw() => Ok(true),
        FileType::RegularFile => {
            Err(refused(&format!("the file that is there belongs to user {}", stat.st_uid)))
        }
        FileType::Fifo | FileType::CharacterDevice => check_owner(stat, "a pipe or device").map(|()| false),
        FileType::Directory
        | FileType::Symlink
        | FileType::Socket
        | FileType::BlockDevice
        | FileType::Unknown => Err(refused("it is neither a file nor a pipe nor a character device")),
    }
}

/// What lies there, if it may be written.
fn existing(place: &Place) -> io::Result<Option<Existing>> {
    let file = match place.open() {
        Ok(fd) => File::from(fd),
        Err(Errno::NOENT) => return Ok(None),
        // Whose it is says more than that.
        Err(Errno::ACCESS) => {
            return Err(check_kind(&place.stat()?).err().unwrap_or_else(|| Errno::ACCESS.into()));
        }
        Err(Errno::NXIO) => return Err(nobody_reads(place)?),
        Err(error) => return Err(error.into()),
    };
    let stat = fstat(&file)?;
    let (mode, len) = (Mode::from_raw_mode(stat.st_mode), file.metadata()?.len());
    let regular = check_kind(&stat)?;
    let flaws = [
        (
            mode.intersects(Mode::WGRP | Mode::WOTH),
            "others may write the file that is there; `chmod go-w` it, or remove it",
        ),
        (stat.st_nlink > 1, "the file that is there has another name as well"),
        (place.is_descriptor(), "it is an open file; give the name of the file itself"),
    ];
    if let Some((_, why)) = flaws.into_iter().find(|(applies, _)| regular && *applies) {
        return Err(refused(why));
    }
    let private = !mode.intersects(Mode::RWXG | Mode::RWXO);
    Ok(Some(Existing { file, regular, len, private }))
}

/// Why what lies there says `ENXIO`: a pipe without a reader, or what is no file at all.
fn nobody_reads(place: &Place) -> io::Result<io::Error> {
    let stat = place.stat()?;
    check_kind(&stat)?;
    if file_type(&stat) != FileType::Fifo {
        return Ok(Errno::NXIO.into());
    }
    let why = "it is a pipe that nobody reads; start its reader first, for example `wireshark -k -i PIPE`";
    Ok(io::Error::new(ErrorKind::NotConnected, why))
}

/// Locked, so that no second listener writes into it; the lock ends with the process at the latest.
fn begin(place: &Place) -> io::Result<File> {
    let file = File::from(place.create()?);
    if lock(&file)? { Ok(file) } else { Err(in_use_by_another()) }
}

/// False if somebody else has it locked.
fn lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn in_use_by_another() -> io::Error {
    io::Error::new(ErrorKind::ResourceBusy, "another listener writes it; give each address a file of its own")
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    fn write(files: &mut Files, text: &str) {
        let (written, result) = files.write(text.as_bytes(), || true);
        result.unwrap();
        files.keep_all(written as u64);
    }

    /// A file that another program made, of which the umask of this process says nothing.
    fn made_before(path: &Path, mode: u32) {
        fs::write(path, "before").unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

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
        let mut files = Files::open(&dir.path().join("a.b.pcapng"), 10, 2, false, b"<blank>").unwrap();
        for text in ["one", "two", "three", "four"] {
            assert!(!files.is_begun());
            write(&mut files, text);
            assert!(files.is_begun() && files.is_full_with(8) && !files.is_full_with(5));
            files.rotate().unwrap();
        }
        write(&mut files, "five");
        drop(files);
        assert_eq!(shown(dir.path()), "a.b.1.pcapng=four a.b.2.pcapng=three a.b.pcapng=five");
    }

    #[test]
    fn with_none_to_keep_the_old_one_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::open(&dir.path().join("a"), 10, 0, false, b"<blank>").unwrap();
        write(&mut files, "one");
        files.rotate().unwrap();
        write(&mut files, "two");
        drop(files);
        assert_eq!(shown(dir.path()), "a=two");
    }

    #[test]
    fn what_was_there_is_kept_and_an_empty_file_used() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.pcapng");
        made_before(&path, 0o644);
        drop(Files::open(&path, 10, 5, false, b"<blank>").unwrap());
        drop(Files::open(&path, 10, 5, false, b"<blank>").unwrap());
        assert_eq!(shown(dir.path()), "a.1.pcapng=before a.pcapng=");
        for text in ["<blank>", "<blank>", "<blank>1"] {
            write(&mut Files::open(&path, 10, 5, false, b"<blank>").unwrap(), text);
        }
        assert_eq!(shown(dir.path()), "a.1.pcapng=before a.pcapng=<blank>1");
        write(&mut Files::open(&path, 10, 5, false, b"<blank>").unwrap(), "new");
        assert_eq!(shown(dir.path()), "a.1.pcapng=<blank>1 a.2.pcapng=before a.pcapng=new");
    }

    #[test]
    fn a_second_writer_is_refused_and_a_successor_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let mut first = Files::open(&path, 10, 5, false, b"<blank>").unwrap();
        let error = Files::open(&path, 10, 5, false, b"<blank>").unwrap_err();
        assert!(error.to_string().contains("another listener"), "{error}");
        let mut second = Files::open(&path, 10, 5, true, b"<blank>").unwrap();
        write(&mut first, "first");
        write(&mut second, "second");
        drop((first, second));
        assert_eq!(shown(dir.path()), "a=second a.1=first");
    }

    #[test]
    fn only_the_owner_may_read_a_recording() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let mut files = Files::open(&path, 10, 1, false, b"<blank>").unwrap();
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
        symlink("/dev/null", &path).unwrap();
        let mut files = Files::open(&path, 10, 5, false, b"<blank>").unwrap();
        for _ in 0..2 {
            write(&mut files, "ten bytes.");
            assert!(files.is_full_with(1));
            files.rotate().unwrap();
            assert!(!files.is_begun(), "counted from the beginning again");
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
            Files::open(&dir.path().join("no/a"), 10, 5, false, b"<blank>").unwrap_err().kind(),
            ErrorKind::NotFound
        );
    }

    #[test]
    fn a_file_that_others_have_a_hand_in_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let refused = |words: &str| {
            let error = Files::open(&path, 10, 5, false, b"<blank>").unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
            assert_eq!(shown(dir.path()), "a=before");
        };
        for mode in [0o620, 0o602, 0o666] {
            made_before(&path, mode);
            refused("others may write the file");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        if geteuid().is_root() {
            chown(&path, Some(65_534), None).unwrap();
            refused("belongs to user 65534");
            chown(&path, Some(0), None).unwrap();
        }
        let elsewhere = tempfile::tempdir().unwrap();
        let link = elsewhere.path().join("the same");
        fs::hard_link(&path, &link).unwrap();
        refused("another name");
        fs::remove_file(link).unwrap();
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&file);
        let error = Files::open(Path::new(&format!("/proc/self/fd/{number}")), 10, 5, false, b"<blank>");
        assert!(!cfg!(target_os = "linux") || error.unwrap_err().to_string().contains("the file itself"));
        drop(Files::open(&path, 10, 5, false, b"<blank>").unwrap());
    }

    /// Whoever may read a file can lock it.
    #[test]
    fn a_lock_on_a_file_that_others_may_read_holds_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        made_before(&path, 0o644);
        let reader = File::open(&path).unwrap();
        reader.lock().unwrap();
        let mut files = Files::open(&path, 10, 5, false, b"<blank>").unwrap();
        write(&mut files, "new");
        assert_eq!(shown(dir.path()), "a=new a.1=before");
    }

    /// Each failed attempt would push a recording out otherwise.
    #[test]
    fn what_was_put_aside_is_not_put_aside_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let mut files = Files::open(&path, 10, 2, false, b"<blank>").unwrap();
        write(&mut files, "one");
        files.place.put_aside(2).unwrap();
        files.place.put_aside(2).unwrap();
        files.rotate().unwrap();
        write(&mut files, "two");
        assert_eq!(shown(dir.path()), "a=two a.1=one");
    }

    /// As logrotate(8) does it, with its options `nocreate`, `create` and `copytruncate`; and whoever tidies up.
    #[test]
    fn who_moves_removes_or_cuts_the_file_finds_a_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let (path, moved) = (dir.path().join("a"), dir.path().join("moved"));
        let ways: [(&str, &dyn Fn()); 5] = [
            ("a= moved=one", &|| fs::rename(&path, &moved).unwrap()),
            ("a= moved=one", &|| {
                fs::rename(&path, &moved).unwrap();
                made_before(&path, 0o640);
                fs::write(&path, "").unwrap();
            }),
            ("a=", &|| fs::remove_file(&path).unwrap()),
            ("a=", &|| File::options().write(true).open(&path).unwrap().set_len(0).unwrap()),
            ("a= a.1=on", &|| File::options().write(true).open(&path).unwrap().set_len(2).unwrap()),
        ];
        for (left, way) in ways {
            let mut files = Files::open(&path, 10, 5, false, b"<blank>").unwrap();
            write(&mut files, "one");
            assert!(!files.is_astray().unwrap());
            way();
            assert!(files.is_astray().unwrap(), "{left}");
            files.begin_again(b"<blank>").unwrap();
            assert!(!files.is_astray().unwrap() && !files.is_begun());
            assert_eq!(shown(dir.path()), left);
            write(&mut files, "two");
            assert_eq!(shown(dir.path()), left.replacen("a=", "a=two", 1));
            drop(files);
            names(dir.path()).iter().for_each(|(name, _)| fs::remove_file(dir.path().join(name)).unwrap());
        }
    }

    /// What somebody else has put there is put aside, and not written over; what nobody may leave there is an error.
    #[test]
    fn what_lies_there_instead_is_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let mut files = Files::open(&path, 10, 5, false, b"<blank>").unwrap();
        write(&mut files, "one");
        fs::remove_file(&path).unwrap();
        made_before(&path, 0o666);
        let error = files.is_astray().unwrap_err().to_string();
        assert!(error.contains("others may write the file"), "{error}");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert!(files.is_astray().unwrap());
        files.begin_again(b"<blank>").unwrap();
        write(&mut files, "two");
        assert_eq!(shown(dir.path()), "a=two a.1=before");
    }

    #[test]
    fn a_predecessor_finishes_the_file_that_its_successor_has_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let mut first = Files::open(&path, 10, 5, false, b"<blank>").unwrap();
        write(&mut first, "one");
        let mut second = Files::open(&path, 10, 5, true, b"<blank>").unwrap();
        assert!(!first.is_astray().unwrap() && !second.is_astray().unwrap());
        write(&mut first, "!");
        write(&mut second, "two");
        assert_eq!(shown(dir.path()), "a=two a.1=one!");
    }

    #[test]
    fn half_a_block_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::open(&dir.path().join("a"), 10, 2, false, b"<blank>").unwrap();
        write(&mut files, "whole");
        let (written, result) = files.write(b"half", || true);
        result.unwrap();
        files.keep_only(written as u64 - 2).unwrap();
        write(&mut files, "!");
        assert_eq!(shown(dir.path()), "a=wholeha!");
    }
}
