//! Where a file lies: its directory, found step by step, so that nobody else decides where it goes.
//!
//! A recording holds what others sent, and the daemon may run as root. So a symbolic link of another user leads nowhere, and
//! a directory where everybody may exchange files is no place for one. What members of a directory's group may do is left to
//! its owner; so is what the owner of a directory does, since whoever records there has chosen it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::fs::{fstat, openat, readlinkat, renameat, statat, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

/// Symbolic links on one way, as the kernel has it (`path_resolution(7)`).
const MAX_LINKS: usize = 40;

/// To pass through a directory is enough.
#[cfg(target_os = "linux")]
const PASS: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const PASS: OFlags = OFlags::empty();

/// A name in a directory that stays the same whatever is renamed above it.
#[derive(Debug)]
pub(crate) struct Place {
    dir: OwnedFd,
    name: OsString,
    /// The name is one of a descriptor, as `/dev/fd/3` or `/dev/stdout` is.
    descriptor: bool,
}

impl Place {
    /// Follows a path to its last name, which need not be there.
    ///
    /// # Errors
    /// Those of `openat(2)` and `readlinkat(2)`, and in words whom the way is left to.
    pub(crate) fn find(path: &Path) -> io::Result<Self> {
        let mut dir = enter(CWD, if path.is_absolute() { "/" } else { "." }.as_ref())?;
        let mut names = Vec::new();
        push(&mut names, path);
        let mut links = 0;
        while let Some(name) = names.pop() {
            let last = names.is_empty();
            match readlinkat(&dir, &name, Vec::new()) {
                Ok(target) => {
                    check_owner(&statat(&dir, &name, AtFlags::SYMLINK_NOFOLLOW)?, "a symbolic link")?;
                    if last && is_procfs(&dir) {
                        return Ok(Self { dir, name, descriptor: true });
                    }
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Errno::LOOP.into());
                    }
                    let target = OsString::from_vec(target.into_bytes());
                    if Path::new(&target).is_absolute() {
                        dir = enter(CWD, "/".as_ref())?;
                    }
                    push(&mut names, Path::new(&target));
                }
                Err(Errno::NOENT) if last => return Ok(Self { dir, name, descriptor: false }),
                // It is no link.
                Err(Errno::INVAL) if last && name != ".." => {
                    return Ok(Self { dir, name, descriptor: false });
                }
                Err(Errno::INVAL) => dir = enter(&dir, &name)?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(Errno::ISDIR.into())
    }

    /// Whether the file belongs to a descriptor of this process, where names mean nothing.
    pub(crate) const fn is_descriptor(&self) -> bool {
        self.descriptor
    }

    /// Opens what is there for writing, without waiting: a pipe without a reader is an error (`ENXIO`).
    pub(crate) fn open(&self) -> Result<OwnedFd, Errno> {
        let follow = if self.descriptor { OFlags::empty() } else { OFlags::NOFOLLOW };
        openat(&self.dir, &self.name, OPEN | follow, Mode::empty())
    }

    /// Whether the file that lies there is `file`, and holds these bytes and nothing else.
    pub(crate) fn holds_just(&self, bytes: &[u8], file: &File) -> io::Result<bool> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let there = File::from(openat(&self.dir, &self.name, flags, Mode::empty())?);
        let (one, other) = (fstat(&there)?, fstat(file)?);
        let mut held = Vec::new();
        there.take(bytes.len() as u64 + 1).read_to_end(&mut held)?;
        Ok((one.st_dev, one.st_ino) == (other.st_dev, other.st_ino) && held == bytes)
    }

    /// What lies there, unless it is a symbolic link, then the link.
    pub(crate) fn stat(&self) -> io::Result<Stat> {
        Ok(statat(&self.dir, &self.name, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Makes a file that was not there, for its owner alone.
    pub(crate) fn create(&self) -> Result<OwnedFd, Errno> {
        let new = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        openat(&self.dir, &self.name, OPEN | new, Mode::RUSR | Mode::WUSR)
    }

    /// Moves `NAME` to `NAME.1` and so on up to `NAME.keep`; the oldest is overwritten.
    /// Where nothing is, nothing moves.
    pub(crate) fn put_aside(&self, keep: u32) -> io::Result<()> {
        if statat(&self.dir, &self.name, AtFlags::SYMLINK_NOFOLLOW).err() == Some(Errno::NOENT) {
            return Ok(());
        }
        if keep == 0 {
            return Ok(unlinkat(&self.dir, &self.name, AtFlags::empty())?);
        }
        for number in (1..keep).rev() {
            match renameat(&self.dir, self.numbered(number), &self.dir, self.numbered(number + 1)) {
                Err(Errno::NOENT) => {}
                other => other?,
            }
        }
        Ok(renameat(&self.dir, &self.name, &self.dir, self.numbered(1))?)
    }

    /// `heard.pcapng` is `heard.3.pcapng`.
    fn numbered(&self, number: u32) -> OsString {
        let name = Path::new(&self.name);
        let mut numbered = name.file_stem().unwrap_or_default().to_owned();
        numbered.push(format!(".{number}"));
        if let Some(extension) = name.extension() {
            numbered.push(".");
            numbered.push(extension);
        }
        numbered
    }
}

const OPEN: OFlags = OFlags::WRONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// Fails unless root or the user of this process owns it: nobody else decides what happens to it.
pub(crate) fn check_owner(stat: &Stat, what: &str) -> io::Result<()> {
    let owner = stat.st_uid;
    if owner == 0 || owner == geteuid().as_raw() {
        return Ok(());
    }
    Err(refused(&format!("{what} on the way to it belongs to user {owner}, who could lead it anywhere")))
}

pub(crate) fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

/// Puts the names of a path on the pile, the first on top.
fn push(names: &mut Vec<OsString>, path: &Path) {
    names.extend(path.components().rev().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    }));
}

fn enter(dir: impl rustix::fd::AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | PASS;
    let entered = openat(dir, name, flags, Mode::empty())?;
    let mode = Mode::from_raw_mode(fstat(&entered)?.st_mode);
    if mode.contains(Mode::WOTH) && !mode.contains(Mode::SVTX) {
        let name = String::from_utf8_lossy(name.as_bytes());
        return Err(refused(&format!(
            "everybody may exchange files in the directory {name} on the way to it; `chmod o-w` it"
        )));
    }
    Ok(entered)
}

/// The links of proc(5) lead to what is open, whatever their text says.
#[cfg(target_os = "linux")]
fn is_procfs(dir: &OwnedFd) -> bool {
    rustix::fs::fstatfs(dir).is_ok_and(|fs| fs.f_type == rustix::fs::PROC_SUPER_MAGIC)
}

#[cfg(not(target_os = "linux"))]
fn is_procfs(_: &OwnedFd) -> bool {
    false
}

/// What kind of file a status is of.
pub(crate) fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};

    use super::*;

    /// Creates a file at the path, and gives back where it lies.
    fn made(path: &Path) -> io::Result<u64> {
        let fd = Place::find(path)?.create()?;
        Ok(File::from(fd).metadata()?.ino())
    }

    #[test]
    fn a_path_leads_where_the_system_leads_it() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().join("real");
        fs::create_dir_all(real.join("deep")).unwrap();
        symlink("real/deep/..", dir.path().join("relative")).unwrap();
        symlink(&real, dir.path().join("absolute")).unwrap();
        symlink("not there yet", real.join("dangling")).unwrap();
        for (path, found) in [
            ("real/./a", "real/a"),
            ("relative/b", "real/b"),
            ("absolute/deep/../c", "real/c"),
            ("relative/dangling", "real/not there yet"),
        ] {
            let ino = made(&dir.path().join(path)).unwrap();
            let metadata = fs::metadata(dir.path().join(found)).unwrap();
            assert_eq!((metadata.ino(), metadata.mode() & 0o777), (ino, 0o600), "{path}");
        }
        symlink("loop", dir.path().join("loop")).unwrap();
        for path in ["loop", "real/..", "no/such", "real/a/b"] {
            made(&dir.path().join(path)).unwrap_err();
        }
    }

    #[test]
    fn a_directory_where_everybody_writes_is_no_place_but_a_sticky_one_is() {
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("open");
        fs::create_dir_all(open.join("below")).unwrap();
        for (mode, fits) in [(0o777, false), (0o1777, true), (0o775, true), (0o702, false)] {
            fs::set_permissions(&open, Permissions::from_mode(mode)).unwrap();
            for path in [open.join(format!("{mode:o}")), open.join(format!("below/{mode:o}"))] {
                let result = made(&path);
                assert!(result.is_ok() == fits, "{mode:o}: {result:?}");
                let words = |error: io::Error| error.to_string().contains("everybody may exchange files");
                assert!(result.map_or_else(words, |_| true));
            }
        }
    }

    /// Only root can make a link for somebody else.
    #[test]
    fn a_link_of_somebody_else_leads_nowhere() {
        const SOMEBODY: Option<u32> = Some(65_534);
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("real")).unwrap();
        let (planted, parent) = (dir.path().join("planted"), dir.path().join("parent"));
        symlink("real/target", &planted).unwrap();
        symlink("real", &parent).unwrap();
        if !geteuid().is_root() {
            return;
        }
        lchown(&planted, SOMEBODY, None).unwrap();
        lchown(&parent, SOMEBODY, None).unwrap();
        for path in [planted, parent.join("file")] {
            let error = made(&path).unwrap_err().to_string();
            assert!(error.contains("a symbolic link") && error.contains("user 65534"), "{error}");
        }
        // The owner of a directory may do in it what he likes.
        chown(dir.path().join("real"), SOMEBODY, None).unwrap();
        made(&dir.path().join("real/file")).unwrap();
    }
}
