//! Whose files are run: the rule that `sshd_config(5)` calls `StrictModes`, for the whole way to a file.
//!
//! A plugin runs with all rights of the daemon, so whoever could have written it, or could put another file in its place,
//! has these rights. The way is walked step by step from the root directory, each step by a descriptor of the directory
//! before it (`openat(2)`), symbolic links one by one. So every component of the path as it was given and of the path as
//! it really is has been looked at, and what is opened at the end is what was looked at.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf, absolute};

use nix::unistd::{Group, Uid, User};
use polyport_terminal::{Escaped, shell_word};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawMode, Stat, fstat, openat, readlinkat, statat};
use rustix::io::Errno;

use super::elevated::is_elevated;

/// Who may own what is run, and the directories it lies in: root, and at most one other user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plugin) struct Owners {
    /// User id; that of root adds nobody.
    user: u32,
    /// The group that nobody else is in.
    private_group: Option<u32>,
}

impl Owners {
    /// Root and the effective user of this process, whose files polyport runs.
    ///
    /// With `elevated` rights the user who has started the program must not be among them: with the capabilities of its
    /// file, the effective user is that one. A set-user-ID program runs as somebody else, who is.
    pub(in crate::plugin) fn of_this_process(elevated: bool) -> Self {
        let (real, effective) = (rustix::process::getuid(), rustix::process::geteuid());
        let user = if elevated && real == effective { 0 } else { effective.as_raw() };
        Self { user, private_group: private_group(user) }
    }

    /// Whether others may write what has this mode, owner and group. The group of the user alone is the user. A mode has
    /// 16 bits or 32, by the system.
    fn leave(self, mode: impl Into<u32>, uid: u32, gid: u32) -> bool {
        let mode = mode.into();
        let is_private = uid == self.user && self.private_group == Some(gid);
        mode & 0o002 != 0 || mode & 0o020 != 0 && !is_private
    }

    fn include(self, uid: u32) -> bool {
        uid == 0 || uid == self.user
    }
}

/// The group that belongs to a user alone, if there is one. Many distributions make a group of the same name for each user,
/// and set a umask of 002, since such a group has nobody else in it. None for root, who needs no such comfort.
fn private_group(user: u32) -> Option<u32> {
    if user == 0 {
        return None;
    }
    let user = User::from_uid(Uid::from_raw(user)).ok()??;
    let group = Group::from_gid(user.gid).ok()??;
    let alone = group.name == user.name && group.mem.iter().all(|member| *member == user.name);
    alone.then_some(group.gid.as_raw())
}

/// A regular file that nobody else has written, open for reading.
#[derive(Debug)]
pub(in crate::plugin) struct Trusted {
    pub(in crate::plugin) file: File,
    /// Its path without symbolic links.
    pub(in crate::plugin) real: PathBuf,
}

/// Why something cannot be opened, or may not be run.
#[derive(Debug)]
pub enum Refused {
    /// The errno of a step.
    Unreadable(io::Error),
    /// It is a directory, a device, a pipe or a socket.
    NotAFile,
    /// Others could have written it.
    Untrusted(Distrust),
}

impl From<Errno> for Refused {
    fn from(errno: Errno) -> Self {
        Self::Unreadable(errno.into())
    }
}

/// Opens a regular file for reading that only root and who runs the program can have written: for what nobody has named, and is
/// found all the same.
///
/// # Errors
/// The errno, the wrong kind of file, or every place on the way where others may write.
pub fn own_file(path: &Path) -> Result<File, Refused> {
    file(path, Owners::of_this_process(is_elevated())).map(|trusted| trusted.file)
}

/// Opens a regular file for reading, if only `owners` can have written it.
///
/// # Errors
/// The errno, the wrong kind of file, or every place on the way where others may write.
pub(in crate::plugin) fn file(path: &Path, owners: Owners) -> Result<Trusted, Refused> {
    let walk = Walk::to(path, owners)?;
    let Some((name, stat)) = walk.at else { return Err(Refused::NotAFile) };
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Refused::NotAFile);
    }
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(openat(&walk.dir, &name, flags, Mode::empty())?);
    // What counts is what was opened, not what was there before.
    let metadata = file.metadata().map_err(Refused::Unreadable)?;
    if !metadata.is_file() {
        return Err(Refused::NotAFile);
    }
    let real = walk.real.join(&name);
    let mut places = walk.places;
    places.extend(of_file(&real, &metadata, owners, walk.shared));
    if places.is_empty() {
        Ok(Trusted { file, real })
    } else {
        Err(Refused::Untrusted(Distrust { places, owners }))
    }
}

/// The path without symbolic links of a directory, if nobody but `owners` can replace it or what the owners put into it.
///
/// # Errors
/// The errno, or every place on the way where others may write, in words.
pub(in crate::plugin) fn directory(path: &Path, owners: Owners) -> io::Result<PathBuf> {
    match Walk::to(path, owners) {
        Ok(walk) if walk.at.is_some() => Err(Errno::NOTDIR.into()),
        Ok(walk) if walk.places.is_empty() => Ok(walk.real),
        Ok(walk) => {
            let distrust = Distrust { places: walk.places, owners };
            Err(io::Error::other(format!("{distrust}; take the right away, or set the sticky bit")))
        }
        Err(Refused::Unreadable(e)) => Err(e),
        Err(Refused::NotAFile | Refused::Untrusted(_)) => Err(Errno::INVAL.into()),
    }
}

/// Places where others may write, which is one at least.
#[derive(Debug)]
pub struct Distrust {
    places: Vec<Place>,
    owners: Owners,
}

#[derive(Debug)]
struct Place {
    path: PathBuf,
    fault: Fault,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    /// Of a file or directory.
    Owner(u32),
    /// Of a symbolic link.
    LinkOwner(u32),
    /// Its mode.
    WritableFile(u32),
    /// Its mode.
    WritableDirectory(RawMode),
    /// The file has so many names, and this one may have been given by anybody.
    Linked(u64),
}

/// Places that are described; the remedy names all of them.
const MAX_DESCRIBED: usize = 2;

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.places())?;
        match self.owners.user {
            0 => f.write_str(": only what root alone can have written is run"),
            user => write!(f, ": only what root or user {user} alone can have written is run"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = |anybody: bool| if anybody { "anybody" } else { "its group" };
        match *self {
            Self::Owner(uid) => write!(f, "belongs to user {uid}"),
            Self::LinkOwner(uid) => write!(f, "is a symbolic link of user {uid}"),
            Self::WritableFile(mode) => {
                write!(f, "may be written by {} (mode {mode:04o})", by(mode & 0o002 != 0))
            }
            Self::WritableDirectory(mode) => {
                let whom = by(mode & 0o002 != 0);
                write!(f, "may be written to by {whom} (mode {mode:04o})")
            }
            Self::Linked(names) => {
                write!(f, "is one of {names} names of a file, in a directory where anybody may make names")
            }
        }
    }
}

impl Distrust {
    /// The places, each with what is wrong with it.
    #[must_use]
    pub fn places(&self) -> String {
        let described = self.places.iter().take(MAX_DESCRIBED).map(|place| {
            let path = Escaped(place.path.as_os_str().as_bytes());
            format!("{path} {}", place.fault)
        });
        let mut text = described.collect::<Vec<_>>().join("; ");
        if let Some(more) = self.places.len().checked_sub(MAX_DESCRIBED).filter(|more| *more > 0) {
            text.push_str(&format!("; and {more} more"));
        }
        text
    }

    /// What to do about it, as commands where there are some.
    #[must_use]
    pub fn remedy(&self) -> String {
        let listed = |wanted: &dyn Fn(Fault) -> bool| {
            let chosen = self.places.iter().filter(|place| wanted(place.fault));
            chosen.fold(String::new(), |line, place| line + " " + &shell_word(&place.path))
        };
        let writable = listed(&|f| matches!(f, Fault::WritableFile(_) | Fault::WritableDirectory(_)));
        let owned = listed(&|f| matches!(f, Fault::Owner(_)));
        let links = listed(&|f| matches!(f, Fault::LinkOwner(_)));
        let linked = listed(&|f| matches!(f, Fault::Linked(_)));
        let mut steps = Vec::new();
        if !writable.is_empty() {
            steps.push(format!("`chmod go-w{writable}`, and `umask 022` before the next build"));
        }
        if !owned.is_empty() {
            steps.push(format!(
                "if you know that nothing bad is in there, `chown {}{owned}`",
                self.owners.user
            ));
        }
        if !links.is_empty() {
            steps.push(format!("if you know where it leads, `chown -h {}{links}`", self.owners.user));
        }
        if !linked.is_empty() {
            steps.push(format!("copy{linked} to a directory that is yours alone"));
        }
        steps.join("; ")
    }
}

/// Symbolic links on one way, as many as the kernel follows (`path_resolution(7)`).
const MAX_LINKS: usize = 40;

/// How far a way has been walked.
struct Walk {
    owners: Owners,
    dir: OwnedFd,
    /// Path of `dir`, without symbolic links.
    real: PathBuf,
    /// Others may make names in `dir`, and its sticky bit keeps them from changing those of its owners.
    shared: bool,
    /// What is at the end of the way, if it is no directory.
    at: Option<(OsString, Stat)>,
    /// Where others may write.
    places: Vec<Place>,
    seen: BTreeSet<PathBuf>,
}

/// The root directory, where every way begins.
const ROOT: &str = "/";

impl Walk {
    /// Walks to `path`; a relative one starts at the working directory.
    fn to(path: &Path, owners: Owners) -> Result<Self, Refused> {
        let mut walk = Self {
            owners,
            dir: root()?,
            real: PathBuf::from(ROOT),
            shared: false,
            at: None,
            places: Vec::new(),
            seen: BTreeSet::new(),
        };
        walk.look()?;
        let mut steps = Vec::new();
        push(&mut steps, &absolute(path).map_err(Refused::Unreadable)?);
        let mut links = 0;
        while let Some(step) = steps.pop() {
            if walk.at.is_some() {
                return Err(Errno::NOTDIR.into());
            }
            if step == ".." {
                walk.dir = open_dir(&walk.dir, &step)?;
                walk.real.pop();
                walk.look()?;
                continue;
            }
            let stat = statat(&walk.dir, &step, AtFlags::SYMLINK_NOFOLLOW)?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Symlink => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Errno::LOOP.into());
                    }
                    let link = walk.real.join(&step);
                    if !owners.include(stat.st_uid) && walk.seen.insert(link.clone()) {
                        walk.places.push(Place { path: link, fault: Fault::LinkOwner(stat.st_uid) });
                    }
                    let target = readlinkat(&walk.dir, &step, Vec::new())?;
                    let target = Path::new(OsStr::from_bytes(target.as_bytes()));
                    if target.is_absolute() {
                        walk.dir = root()?;
                        walk.real = PathBuf::from(ROOT);
                        walk.look()?;
                    }
                    push(&mut steps, target);
                }
                FileType::Directory => {
                    walk.dir = open_dir(&walk.dir, &step)?;
                    walk.real.push(&step);
                    walk.look()?;
                }
                FileType::RegularFile
                | FileType::Fifo
                | FileType::Socket
                | FileType::CharacterDevice
                | FileType::BlockDevice
                | FileType::Unknown => walk.at = Some((step, stat)),
            }
        }
        Ok(walk)
    }

    /// Looks at the directory that was reached.
    fn look(&mut self) -> Result<(), Refused> {
        let stat = fstat(&self.dir)?;
        let mode = stat.st_mode & 0o7777;
        let writable = self.owners.leave(mode, stat.st_uid, stat.st_gid);
        let sticky = mode & 0o1000 != 0;
        self.shared = writable;
        if self.seen.insert(self.real.clone()) {
            let path = &self.real;
            let place = |fault| Place { path: path.clone(), fault };
            if !self.owners.include(stat.st_uid) {
                self.places.push(place(Fault::Owner(stat.st_uid)));
            }
            // In a sticky directory others make names, and can neither remove nor rename those of the owners: a name that
            // is theirs is refused by its owner.
            if writable && !sticky {
                self.places.push(place(Fault::WritableDirectory(mode)));
            }
        }
        Ok(())
    }
}

/// What is wrong with a regular file. `shared`: others may make names in its directory, which may be hard links to any
/// file.
fn of_file(path: &Path, metadata: &Metadata, owners: Owners, shared: bool) -> Vec<Place> {
    let mode = metadata.mode() & 0o7777;
    let names = metadata.nlink();
    let owner = (!owners.include(metadata.uid())).then_some(Fault::Owner(metadata.uid()));
    let writable = owners.leave(mode, metadata.uid(), metadata.gid()).then_some(Fault::WritableFile(mode));
    let linked = (shared && names > 1).then_some(Fault::Linked(names));
    [owner, writable, linked]
        .into_iter()
        .flatten()
        .map(|fault| Place { path: path.to_path_buf(), fault })
        .collect()
}

/// Adds the steps of `path`, so that its first is taken next.
fn push(steps: &mut Vec<OsString>, path: &Path) {
    let step = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    };
    let first = steps.len();
    steps.extend(path.components().filter_map(step));
    if let Some(added) = steps.get_mut(first..) {
        added.reverse();
    }
}

fn root() -> rustix::io::Result<OwnedFd> {
    open_dir(rustix::fs::CWD, OsStr::new(ROOT))
}

/// A descriptor of a directory that is no symbolic link. Where there is `O_PATH`, no right to read it is needed.
fn open_dir(from: impl std::os::fd::AsFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    #[cfg(target_os = "linux")]
    let access = OFlags::PATH;
    #[cfg(not(target_os = "linux"))]
    let access = OFlags::RDONLY;
    openat(from, name, access | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

#[cfg(test)]
#[path = "trust_tests.rs"]
mod tests;
