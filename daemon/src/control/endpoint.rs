//! The socket in the file system: bound for its owner alone, taken over when nobody answers on it, removed at the end.

use std::fmt;
use std::fs::{self, DirBuilder, File, Metadata};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;

use polyport_terminal::Escaped;
use rustix::fs::{FlockOperation, Mode, flock};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, connect, listen};
use rustix::process::geteuid;

/// Connections that the kernel keeps until they are accepted. More of them wait in `connect(2)`.
const BACKLOG: i32 = 16;
/// Sockets of daemons that were killed which a start removes at most.
const MOST_SWEPT: usize = 64;
/// Who may read and write the socket: its owner.
const OWNER_ALONE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A bound socket that listens. Dropping it removes it from the file system.
#[derive(Debug)]
pub struct Endpoint {
    listener: Arc<UnixListener>,
    path: PathBuf,
    /// It is where clients look first.
    first: bool,
    /// Device and inode: what lies under the path may be another's by now.
    file: (u64, u64),
    /// Another process accepts on it.
    shared: bool,
    /// It is another process's.
    disowned: bool,
}

/// Why there is no socket.
#[derive(Debug)]
pub struct BindError {
    /// Where it was to be.
    pub path: PathBuf,
    /// Why it is not.
    pub cause: Cause,
}

/// Why a socket cannot be bound.
#[derive(Debug)]
pub enum Cause {
    /// Another daemon answers on it; its process, if the system says it.
    Serving(Option<i32>),
    /// What is there is no socket.
    NoSocket,
    /// It belongs to this user, and somebody else may own or change its directory as well.
    Untrusted(&'static str),
    /// The system refuses.
    System(&'static str, io::Error),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = Escaped(self.path.as_os_str().as_encoded_bytes());
        match &self.cause {
            Cause::Serving(Some(pid)) => write!(f, "{path}: another daemon answers there, process {pid}"),
            Cause::Serving(None) => write!(f, "{path}: another daemon answers there"),
            Cause::NoSocket => write!(f, "{path}: there is a file that is no socket"),
            Cause::Untrusted(why) => write!(f, "{path}: {why}"),
            Cause::System(what, error) => write!(f, "{path}: {what}: {error}"),
        }
    }
}

impl BindError {
    /// Whether another daemon has it.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(self.cause, Cause::Serving(_))
    }
}

impl Endpoint {
    /// Binds the socket at `path`. One that is there is replaced if nobody answers on it.
    ///
    /// # Errors
    /// Somebody answers there, it is no socket, or the system refuses.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        let refused = |cause| BindError { path: path.to_path_buf(), cause };
        // Two daemons that start at once must not both find the same socket stale, and one of them remove that of the other.
        let _lock = lock_directory(path);
        if let Ok(metadata) = path.symlink_metadata() {
            if !metadata.file_type().is_socket() {
                return Err(refused(Cause::NoSocket));
            }
            match who_answers(path) {
                Ok(Some(pid)) => return Err(refused(Cause::Serving(pid))),
                Ok(None) => fs::remove_file(path).map_err(|error| {
                    refused(Cause::System("a socket that nobody answers on cannot be removed", error))
                })?,
                Err(error) => {
                    return Err(refused(Cause::System("whether somebody answers there is not known", error)));
                }
            }
        }
        let listener = bound(path).map_err(|error| refused(Cause::System("it cannot be bound", error)))?;
        let metadata = path.symlink_metadata();
        let metadata = metadata.map_err(|error| refused(Cause::System("it cannot be found again", error)))?;
        Ok(Self::with(listener, path, &metadata))
    }

    /// Binds the socket at the first of these places that takes it, whose directory is made if it is not there. Where another
    /// daemon of this user answers, it gets a name of this process beside that.
    ///
    /// # Errors
    /// What the first place says.
    pub fn bind_by_default(places: &[PathBuf]) -> Result<Self, Option<BindError>> {
        let mut first = None;
        for place in places {
            let bound = directory(place).and_then(|()| match Self::bind(place) {
                Err(BindError { cause: Cause::Serving(_), .. }) => {
                    sweep(place);
                    Self::bind(&beside(place, process::id()))
                }
                other => other.map(|mut endpoint| {
                    endpoint.first = true;
                    endpoint
                }),
            });
            match bound {
                Ok(endpoint) => return Ok(endpoint),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first)
    }

    fn with(listener: UnixListener, path: &Path, metadata: &Metadata) -> Self {
        Self {
            listener: Arc::new(listener),
            path: path.to_path_buf(),
            first: false,
            file: identity(metadata),
            shared: false,
            disowned: false,
        }
    }

    /// The socket of a daemon that is taken over, which lies at `path` and which that one still answers on. Dropping it before
    /// `claim` leaves it where it is.
    ///
    /// # Errors
    /// It is not at `path` any more.
    pub fn share(listener: OwnedFd, path: &Path) -> Result<Self, BindError> {
        let refused = |error| BindError {
            path: path.to_path_buf(),
            cause: Cause::System("the socket of the other daemon is there no more", error),
        };
        let listener = UnixListener::from(listener);
        listener.set_nonblocking(true).map_err(refused)?;
        let metadata = path.symlink_metadata().map_err(refused)?;
        let is_at = |address: std::os::unix::net::SocketAddr| address.as_pathname().is_some();
        if !metadata.file_type().is_socket() || !listener.local_addr().is_ok_and(is_at) {
            return Err(refused(io::ErrorKind::NotFound.into()));
        }
        let mut endpoint = Self::with(listener, path, &metadata);
        (endpoint.shared, endpoint.disowned) = (true, true);
        Ok(endpoint)
    }

    /// Whether another process accepts on it as well.
    pub(super) fn is_shared(&self) -> bool {
        self.shared
    }

    /// It is this process's alone.
    pub(super) fn claim(&mut self) {
        (self.shared, self.disowned) = (false, false);
        // Who connects is told who called this: unix(7), `SO_PEERCRED`.
        if let Err(errno) = listen(&*self.listener, BACKLOG) {
            log::debug!("control socket {}: listen: {errno}", self.path.display());
        }
    }

    /// It is another process's.
    pub(super) fn disown(&mut self) {
        self.disowned = true;
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is where clients of this user look for it by themselves.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.first
    }

    /// The socket itself.
    pub(super) fn listener(&self) -> Arc<UnixListener> {
        Arc::clone(&self.listener)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if self.disowned {
            return;
        }
        let is_ours = self.path.symlink_metadata().is_ok_and(|metadata| identity(&metadata) == self.file);
        if !is_ours {
            return;
        }
        if let Err(error) = fs::remove_file(&self.path) {
            // Who has become another user, or is confined, may not. The next daemon replaces it.
            log::debug!("control socket {}: it stays behind: {error}", self.path.display());
        }
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// `control-PID.sock` beside `control.sock`.
fn beside(place: &Path, pid: u32) -> PathBuf {
    place.with_file_name(format!("control-{pid}.sock"))
}

/// Removes sockets beside the default one whose daemons were killed.
fn sweep(place: &Path) {
    let Some(dir) = place.parent().and_then(|dir| fs::read_dir(dir).ok()) else { return };
    let is_one = |name: &str| {
        let pid = name.strip_prefix("control-").and_then(|name| name.strip_suffix(".sock"));
        pid.is_some_and(|pid| !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let named = dir.flatten().filter(|entry| entry.file_name().to_str().is_some_and(is_one));
    for entry in named.take(MOST_SWEPT) {
        let (path, _lock) = (entry.path(), lock_directory(&entry.path()));
        if matches!(who_answers(&path), Ok(None)) {
            // Who may not remove it leaves it to its owner.
            fs::remove_file(path).unwrap_or(());
        }
    }
}

/// Makes the directory of a default place, if it is not there. Nobody else may put a socket into it.
fn directory(place: &Path) -> Result<(), BindError> {
    let refused = |cause| BindError { path: place.to_path_buf(), cause };
    let Some(dir) = place.parent() else { return Ok(()) };
    match DirBuilder::new().mode(0o755).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(refused(Cause::System("its directory cannot be made", error)));
        }
        _ => {}
    }
    let metadata = dir.symlink_metadata();
    let metadata = metadata.map_err(|error| refused(Cause::System("its directory cannot be read", error)))?;
    if !metadata.is_dir() {
        return Err(refused(Cause::Untrusted("its directory is none")));
    }
    if metadata.uid() != geteuid().as_raw() {
        return Err(refused(Cause::Untrusted("its directory belongs to another user")));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(refused(Cause::Untrusted("others may write to its directory (chmod go-w)")));
    }
    Ok(())
}

/// Keeps other daemons out of the directory of `path` until it is dropped: `flock(2)`. A file system without locks, and somebody
/// who holds one for ever, do not keep the daemon from starting.
fn lock_directory(path: &Path) -> Option<File> {
    let parent = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let dir = File::open(parent).ok()?;
    flock(&dir, FlockOperation::NonBlockingLockExclusive).ok().map(|()| dir)
}

/// Who answers on the socket at `path`: none if nobody does, else the process if the system says it.
fn who_answers(path: &Path) -> io::Result<Option<Option<i32>>> {
    // A queue that is full would have `connect` wait.
    let probe = stream()?;
    match connect(&probe, &SocketAddrUnix::new(path)?) {
        Ok(()) => Ok(Some(pid_behind(&probe))),
        Err(Errno::AGAIN) => Ok(Some(None)),
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(target_os = "linux")]
fn pid_behind(socket: impl AsFd) -> Option<i32> {
    // Of whoever called `listen`: unix(7).
    rustix::net::sockopt::socket_peercred(socket).ok().map(|peer| peer.pid.as_raw_nonzero().get())
}

#[cfg(not(target_os = "linux"))]
fn pid_behind(_: impl AsFd) -> Option<i32> {
    None
}

#[cfg(target_os = "linux")]
fn stream() -> io::Result<OwnedFd> {
    use rustix::net::{SocketFlags, socket_with};
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}

#[cfg(not(target_os = "linux"))]
fn stream() -> io::Result<OwnedFd> {
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(socket)
}

/// A socket for its owner alone from its first moment on. The kernel gives the file the mode that the socket has before it is
/// bound, less the umask of the process.
fn bound(path: &Path) -> io::Result<UnixListener> {
    let socket = stream()?;
    #[cfg(target_os = "linux")]
    rustix::fs::fchmod(&socket, OWNER_ALONE)?;
    // Elsewhere the umask says it, of a process that has one thread.
    #[cfg(not(target_os = "linux"))]
    let umask = rustix::process::umask(Mode::all() - OWNER_ALONE);
    let done = bind(&socket, &SocketAddrUnix::new(path)?);
    #[cfg(not(target_os = "linux"))]
    rustix::process::umask(umask);
    done?;
    // A umask that takes more away than from others.
    rustix::fs::chmod(path, OWNER_ALONE)?;
    listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.symlink_metadata().unwrap().mode() & 0o7777
    }

    #[test]
    fn it_is_for_its_owner_alone_and_goes_with_its_endpoint() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let endpoint = Endpoint::bind(&path).unwrap();
        assert_eq!((mode(&path), endpoint.path()), (0o600, &*path));
        drop(endpoint);
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_one_is_replaced_and_one_that_answers_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "as a daemon that was killed leaves it");
        let endpoint = Endpoint::bind(&path).unwrap();
        let refused = Endpoint::bind(&path).unwrap_err();
        assert!(matches!(refused.cause, Cause::Serving(_)), "{refused}");
        if cfg!(target_os = "linux") {
            assert!(refused.to_string().ends_with(&format!("process {}", process::id())), "{refused}");
        }
        drop(endpoint);
        assert!(!path.exists(), "who was refused has removed nothing, and its owner has");
    }

    #[test]
    fn what_another_has_put_there_meanwhile_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let endpoint = Endpoint::bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let other = Endpoint::bind(&path).unwrap();
        drop(endpoint);
        assert!(path.exists());
        drop(other);
    }

    #[test]
    fn nothing_but_a_socket_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&file, "precious").unwrap();
        symlink(&file, &link).unwrap();
        for path in [&file, &link, &dir.path().to_path_buf()] {
            let refused = Endpoint::bind(path).unwrap_err();
            assert!(matches!(refused.cause, Cause::NoSocket), "{refused}");
        }
        assert_eq!(fs::read_to_string(file).unwrap(), "precious");
        let long = dir.path().join("x".repeat(200));
        assert!(matches!(Endpoint::bind(&long).unwrap_err().cause, Cause::System(..)));
        let nowhere = dir.path().join("no/s");
        assert!(matches!(Endpoint::bind(&nowhere).unwrap_err().cause, Cause::System(..)));
    }

    #[test]
    fn the_second_of_a_user_has_a_name_of_its_own_and_names_of_the_dead_go() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("polyport/control.sock");
        let first = Endpoint::bind_by_default(std::slice::from_ref(&place)).unwrap();
        assert_eq!(first.path(), place);
        drop(UnixListener::bind(beside(&place, 1)).unwrap());
        fs::write(place.with_file_name("control-x.sock"), "").unwrap();
        let second = Endpoint::bind_by_default(std::slice::from_ref(&place)).unwrap();
        assert_eq!(second.path(), beside(&place, process::id()));
        assert!(!beside(&place, 1).exists() && place.with_file_name("control-x.sock").exists());
    }

    #[test]
    fn a_directory_of_others_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let (open, own) = (dir.path().join("open"), dir.path().join("own"));
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        let places = [open.join("control.sock"), own.join("control.sock")];
        assert_eq!(Endpoint::bind_by_default(&places).unwrap().path(), places[1]);
        let refused = Endpoint::bind_by_default(&places[..1]).unwrap_err().unwrap();
        assert!(matches!(refused.cause, Cause::Untrusted(_)), "{refused}");
    }
}
