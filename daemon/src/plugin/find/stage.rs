//! A private copy of a library, which is loaded instead of the user's file.
//!
//! The dynamic linker (`dlopen(3)`) knows a library by path and inode. It would take a rebuilt file for the one that is
//! loaded already, and a file that is overwritten in place would change under the running code. So the daemon writes
//! the bytes that it has checked under a name that was never used, and loads that copy. The copy stays until the
//! process ends, because backtraces read symbols from it.
//!
//! A copy lies in a directory of this process. Where no directory takes it (read-only, full, `noexec`), and where the
//! program has more rights than who started it, it lies in memory alone.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use sha2::{Digest, Sha256};

use super::beside::{Beside, in_order, own_name};
use super::memory;
use super::trust::{self, Owners};

/// First part of the name of a stage, which is `polyport-PID.NUMBER`.
const PREFIX: &str = "polyport-";
/// Number of the next stage of this process.
static NEXT: AtomicU32 = AtomicU32::new(0);
/// Name of the file in a stage that its process keeps locked (`flock(2)`) while it lives.
const LOCK: &str = "lock";
/// Characters of a plugin's name and version in the name of its copy: within what all file systems take, and
/// `memfd_create(2)`.
const MAX_NAME: usize = 100;

/// Where private copies are put: into a directory of the first candidate that takes them, then of the next one, at last
/// into memory.
#[derive(Debug)]
pub(in crate::plugin) struct Stages {
    /// Best first; those that did not serve are gone.
    candidates: std::vec::IntoIter<PathBuf>,
    /// The last one takes the copies; libraries were loaded from those before.
    open: Vec<Stage>,
    /// The last one has failed.
    exhausted: bool,
    /// Candidates that were passed over or are full, with the reason.
    tried: Vec<(PathBuf, String)>,
    /// Libraries beside plugins that are in memory, by their names: SHA-256 of their bytes.
    in_memory: BTreeMap<OsString, [u8; 32]>,
    pid: u32,
}

impl Stages {
    /// No directory is made before the first copy. Without candidates all copies are in memory.
    pub(in crate::plugin) fn new(candidates: Vec<PathBuf>, pid: u32) -> Self {
        Self {
            candidates: candidates.into_iter(),
            open: Vec::new(),
            exhausted: true,
            tried: Vec::new(),
            in_memory: BTreeMap::new(),
            pid,
        }
    }

    /// The directories that copies are in.
    pub(in crate::plugin) fn dirs(&self) -> impl Iterator<Item = &Path> {
        self.open.iter().map(|stage| stage.dir.as_path())
    }

    /// Removes the copies that are in directories. What was loaded from them stays.
    pub(in crate::plugin) fn remove(&mut self) {
        self.open.clear();
        self.exhausted = true;
    }

    /// Makes a private copy of `bytes`. `name` becomes part of the file name, which helps a reader of backtraces. What lies
    /// `beside` is copied as well.
    ///
    /// # Errors
    /// Every candidate, and memory, with the reason why it does not serve.
    pub(in crate::plugin) fn put(
        &mut self,
        name: &str,
        bytes: &[u8],
        beside: &Beside,
    ) -> Result<Staged, Vec<(PathBuf, String)>> {
        let clean = |c: &char| c.is_ascii_alphanumeric() || "-_.".contains(*c);
        let name: String = name.chars().filter(clean).take(MAX_NAME).collect();
        loop {
            if let Some(stage) = self.open.last_mut().filter(|_| !self.exhausted) {
                match stage.put(&name, bytes, beside) {
                    Ok(path) => return Ok(Staged { path, before: Vec::new() }),
                    // Whatever it is, a full disk above all, may be otherwise elsewhere.
                    Err(e) => {
                        self.tried.push((stage.dir.clone(), e.to_string()));
                        self.exhausted = true;
                    }
                }
            }
            let Some(candidate) = self.candidates.next() else { break };
            match Stage::open_in(&candidate, self.pid) {
                Ok(stage) => {
                    self.open.push(stage);
                    self.exhausted = false;
                }
                Err(e) => self.tried.push((candidate, e.to_string())),
            }
        }
        self.put_into_memory(&name, bytes, beside).map_err(|e| {
            let mut tried = self.tried.clone();
            tried.push((PathBuf::from("memory"), e.to_string()));
            tried
        })
    }
}

impl Stages {
    /// Makes copies that have no directory in common. The linker finds what lies `beside` if it is loaded already, and has the
    /// name inside that its file has.
    fn put_into_memory(&mut self, name: &str, bytes: &[u8], beside: &Beside) -> io::Result<Staged> {
        let mut before = Vec::new();
        for path in in_order(bytes, beside) {
            let (Some(file), Some(bytes)) = (path.file_name(), beside.get(path)) else { continue };
            let refused = |why: &str| {
                let file = file.to_string_lossy();
                io::Error::other(format!("{file}, one of the libraries that it brings, {why}"))
            };
            if own_name(bytes) != Some(file.as_bytes()) {
                let option = format!("-Wl,-soname,{}", file.to_string_lossy());
                return Err(refused(&format!(
                    "must have its name inside to be found there: link it with {option}"
                )));
            }
            let digest: [u8; 32] = Sha256::digest(bytes).into();
            match self.in_memory.get(file) {
                Some(known) if *known == digest => {}
                Some(_) => {
                    return Err(refused("differs from one of the same name that another plugin brings"));
                }
                None => {
                    before.push(memory::put(&file.to_string_lossy(), bytes)?);
                    self.in_memory.insert(file.to_owned(), digest);
                }
            }
        }
        Ok(Staged { path: memory::put(name, bytes)?, before })
    }
}

/// A private copy, ready for `dlopen(3)`.
#[derive(Debug)]
pub(in crate::plugin) struct Staged {
    /// Its path.
    pub(in crate::plugin) path: PathBuf,
    /// What must be loaded before it, in this order.
    pub(in crate::plugin) before: Vec<PathBuf>,
}

/// A directory with private copies of libraries. It belongs to this process and is removed when the stage is dropped.
#[derive(Debug)]
struct Stage {
    dir: PathBuf,
    lock: File,
    /// Copies made so far; the number makes each name new.
    next: u32,
}

impl Stage {
    /// Writes `bytes` to a new file, and returns its path.
    ///
    /// # Errors
    /// The errno of `open(2)` or `write(2)`; nothing is left behind.
    fn put(&mut self, name: &str, bytes: &[u8], beside: &Beside) -> io::Result<PathBuf> {
        self.next += 1;
        let file = format!("{name}-g{}{}", self.next, std::env::consts::DLL_SUFFIX);
        if beside.is_empty() {
            return write(self.dir.join(file), bytes);
        }
        let own = self.dir.join(format!("g{}", self.next));
        put_with(&own, &file, bytes, beside).inspect_err(|_| drop(fs::remove_dir_all(&own)))
    }

    /// Makes a stage in the directory `parent`, if that is possible and safe, and removes those of dead processes there.
    ///
    /// # Errors
    /// Why not.
    fn open_in(parent: &Path, pid: u32) -> io::Result<Self> {
        // Who may rename the stage can put a directory of their own in its place, and so run code with the rights of the
        // daemon.
        let parent = trust::directory(parent, Owners::of_this_process(false))?;
        if is_noexec(&parent)? {
            return Err(io::Error::other("mounted noexec"));
        }
        remove_dead(&parent);
        // A process may have several stages, one after the other: the linker would take a copy for an older one of the same path.
        for _ in 0..u32::MAX {
            let attempt = NEXT.fetch_add(1, Relaxed);
            let dir = parent.join(format!("{PREFIX}{pid}.{attempt}"));
            match DirBuilder::new().mode(0o700).create(&dir) {
                Ok(()) => {
                    let lock =
                        OpenOptions::new().write(true).create_new(true).mode(0o600).open(dir.join(LOCK));
                    let lock = lock.inspect_err(|_| drop(fs::remove_dir(&dir)))?;
                    // Until the lock is held, another process may take the stage for a dead one and remove it. Then the
                    // next name is tried.
                    if lock.try_lock().is_ok() && dir.join(LOCK).exists() {
                        return Ok(Self { dir, lock, next: 0 });
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
        }
        Err(io::Error::from(io::ErrorKind::AlreadyExists))
    }
}

fn write(path: PathBuf, bytes: &[u8]) -> io::Result<PathBuf> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o500).open(&path)?;
    file.write_all(bytes).inspect_err(|_| drop(fs::remove_file(&path)))?;
    Ok(path)
}

/// Writes a library into the new directory `own`, so deep that all that lies beside it lies in there as well.
fn put_with(own: &Path, file: &str, bytes: &[u8], beside: &Beside) -> io::Result<PathBuf> {
    let up = |path: &Path| path.components().take_while(|part| *part == Component::ParentDir).count();
    let depth = beside.keys().map(|path| up(path)).max().unwrap_or(0);
    let mut levels = vec![own.to_path_buf()];
    levels.extend((0..depth).scan(own.to_path_buf(), |dir, _| {
        dir.push("origin");
        Some(dir.clone())
    }));
    let make = |dir: &Path| DirBuilder::new().mode(0o700).recursive(true).create(dir);
    make(levels.last().map_or(own, PathBuf::as_path))?;
    for (path, bytes) in beside {
        let from = levels.iter().nth_back(up(path)).map_or(own, PathBuf::as_path);
        let rest: PathBuf = path.components().skip(up(path)).collect();
        let to = from.join(rest);
        make(to.parent().unwrap_or(own))?;
        write(to, bytes)?;
    }
    write(levels.last().map_or(own, PathBuf::as_path).join(file), bytes)
}

impl Drop for Stage {
    fn drop(&mut self) {
        // A failure has no consequence: the next start removes what is left.
        fs::remove_dir_all(&self.dir).ok();
        self.lock.unlock().ok();
    }
}

/// The directories in which a stage may be made, best first. `var` reads an environment variable.
#[must_use]
pub(in crate::plugin) fn candidates(var: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let named = |name: &str| var(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let run = PathBuf::from("/run/polyport");
    // The service manager makes `/run/polyport`; without one, the daemon does if it may. Its mode lets only the owner
    // write, whatever the umask.
    DirBuilder::new().mode(0o755).create(&run).ok();
    [named("RUNTIME_DIRECTORY"), Some(run), named("XDG_RUNTIME_DIR"), Some(std::env::temp_dir())]
        .into_iter()
        .flatten()
        .filter(|dir| dir.is_dir())
        .collect()
}

/// Whether nothing in the file system of `dir` can be executed (`ST_NOEXEC` of `statvfs(3)`).
fn is_noexec(dir: &Path) -> io::Result<bool> {
    // Only Linux has the flag. Elsewhere the error of the dynamic linker must tell the user.
    #[cfg(target_os = "linux")]
    return Ok(rustix::fs::statvfs(dir)?.f_flag.bits() & 8 != 0);
    #[cfg(not(target_os = "linux"))]
    return fs::metadata(dir).map(|_| false);
}

/// Whether a directory entry has a complete name of a stage. Other names that begin alike are not ours to remove.
fn is_stage(name: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    name.strip_prefix(PREFIX)
        .and_then(|rest| rest.split_once('.'))
        .is_some_and(|(pid, attempt)| number(pid) && number(attempt))
}

/// Removes the stages of dead processes. A stage is dead if its lock is free, because the kernel releases a lock when
/// its process ends, however that happens.
fn remove_dead(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    let me = rustix::process::geteuid().as_raw();
    let ours = entries.flatten().filter(|e| {
        // `metadata` of an entry does not follow a symbolic link.
        e.metadata().is_ok_and(|m| m.is_dir() && m.uid() == me) && is_stage(&e.file_name().to_string_lossy())
    });
    for dir in ours.map(|e| e.path()) {
        // The lock may be anything: opening a pipe would wait for a writer without `O_NONBLOCK`, and a symbolic link leads
        // to what is not ours to lock.
        let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW;
        if let Ok(lock) = File::options().read(true).custom_flags(flags).open(dir.join(LOCK))
            && lock.metadata().is_ok_and(|m| m.is_file() && m.uid() == me)
            && lock.try_lock().is_ok()
        {
            fs::remove_dir_all(&dir).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn names_are_never_used_twice_and_go_with_the_stage() {
        let root = tempfile::tempdir().unwrap();
        let mut stage = Stages::new(vec![root.path().to_path_buf()], 7);
        let (a, b) = (
            stage.put("../e/cho 1", b"x", &Beside::new()).unwrap().path,
            stage.put("../e/cho 1", b"y", &Beside::new()).unwrap().path,
        );
        assert_ne!(a, b);
        assert_eq!(
            a.file_name().unwrap().to_str().unwrap(),
            format!("..echo1-g1{}", std::env::consts::DLL_SUFFIX)
        );
        assert_eq!(fs::metadata(&a).unwrap().permissions().mode() & 0o777, 0o500);
        assert_eq!(fs::metadata(a.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        drop(stage);
        assert!(!a.exists());
    }

    #[test]
    fn what_the_dead_left_is_removed_and_the_living_are_kept() {
        let root = tempfile::tempdir().unwrap();
        let living = Stage::open_in(root.path(), 1).unwrap();
        let dead = root.path().join("polyport-999.0");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join(LOCK), "").unwrap();
        let second = Stage::open_in(root.path(), 1).unwrap();
        assert!(!dead.exists());
        assert!(living.dir.exists());
        assert_ne!(living.dir, second.dir);
    }

    #[test]
    fn what_only_looks_like_a_stage_is_left_alone() {
        let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let names = ["polyport-backup", "polyport-7", "polyport-7.", "polyport-.0", "polyport-7.0.old"];
        for name in names {
            fs::create_dir(root.path().join(name)).unwrap();
            fs::write(root.path().join(name).join(LOCK), "").unwrap();
        }
        fs::write(elsewhere.path().join(LOCK), "").unwrap();
        let link = root.path().join("polyport-8.0");
        std::os::unix::fs::symlink(elsewhere.path(), &link).unwrap();
        drop(Stage::open_in(root.path(), 1).unwrap());
        for name in names {
            assert!(root.path().join(name).join(LOCK).exists(), "{name}");
        }
        assert!(link.is_symlink() && elsewhere.path().join(LOCK).exists());
    }

    #[test]
    fn a_place_where_others_could_swap_the_copy_is_passed_over() {
        let root = tempfile::tempdir().unwrap();
        let (shared, own) = (root.path().join("shared"), root.path().join("own"));
        for dir in [&shared, &own] {
            fs::create_dir(dir).unwrap();
        }
        for (mode, trusted) in [(0o777, false), (0o770, false), (0o1777, true), (0o755, true)] {
            fs::set_permissions(&shared, fs::Permissions::from_mode(mode)).unwrap();
            let copy =
                Stages::new(vec![shared.clone(), own.clone()], 1).put("x", b"", &Beside::new()).unwrap();
            assert_eq!(copy.path.starts_with(&shared), trusted, "{mode:o}");
        }
        fs::set_permissions(&own, fs::Permissions::from_mode(0o777)).unwrap();
        let error = Stage::open_in(&own, 1).unwrap_err().to_string();
        assert!(error.contains("sticky"), "{error}");
        // A directory is as safe as those above it.
        let within = own.join("within");
        fs::create_dir(&within).unwrap();
        let error = Stage::open_in(&within, 1).unwrap_err().to_string();
        assert!(error.contains(&format!("{} may be written to", own.display())), "{error}");
    }

    #[test]
    fn a_taken_name_is_an_error_and_nothing_is_overwritten() {
        let root = tempfile::tempdir().unwrap();
        let mut stage = Stage::open_in(root.path(), 7).unwrap();
        let planted = stage.dir.join(format!("echo-g1{}", std::env::consts::DLL_SUFFIX));
        fs::write(&planted, "planted").unwrap();
        assert_eq!(stage.put("echo", b"x", &Beside::new()).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&planted).unwrap(), b"planted");
    }

    #[test]
    fn the_directory_of_the_service_manager_comes_first_and_that_for_all_last() {
        let root = tempfile::tempdir().unwrap();
        let named = |variable: &str| {
            candidates(|name| (name == variable).then(|| root.path().as_os_str().to_owned()))
        };
        let (first, last) = (named("RUNTIME_DIRECTORY"), candidates(|_| Some("".into())));
        assert_eq!(first[1..], last);
        assert_eq!(last.last(), Some(&std::env::temp_dir()));
        assert!(first[0].is_dir() && !last.contains(&first[0]));
    }

    /// What is left in the way of the first copy: here its own directory is gone.
    #[test]
    fn when_a_place_takes_no_more_the_next_is_tried() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut stages = Stages::new([&first, &second].map(|d| d.path().to_path_buf()).into(), 1);
        let in_first = stages.put("a", b"x", &Beside::new()).unwrap().path;
        fs::remove_dir_all(in_first.parent().unwrap()).unwrap();
        for _ in 0..2 {
            assert!(stages.put("b", b"x", &Beside::new()).unwrap().path.starts_with(second.path()));
        }
        assert_eq!(entries(second.path()), 1, "one stage for both");
    }

    #[test]
    fn a_stage_that_cannot_be_completed_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let mut stage = Stage::open_in(root.path(), 1).unwrap();
        let before = entries(&stage.dir);
        stage.put("no/such/directory", b"x", &Beside::new()).unwrap_err();
        assert_eq!(entries(&stage.dir), before);
    }

    /// C8: seen from the copy they lie where they lay.
    #[test]
    fn what_lies_beside_a_library_lies_beside_its_copy() {
        let root = tempfile::tempdir().unwrap();
        let mut stage = Stage::open_in(root.path(), 7).unwrap();
        let paths = ["a.so", "deep/b.so", "../c.so", "../../lib/d.so"];
        let beside: Beside =
            paths.iter().map(|path| (PathBuf::from(path), path.as_bytes().to_vec())).collect();
        for _ in 0..2 {
            let copy = stage.put("x", b"plugin", &beside).unwrap();
            for path in paths {
                assert_eq!(fs::read(copy.parent().unwrap().join(path)).unwrap(), path.as_bytes(), "{path}");
            }
            assert!(copy.starts_with(&stage.dir) && fs::read(&copy).unwrap() == b"plugin");
        }
    }

    /// C9.
    #[cfg(target_os = "linux")]
    #[test]
    fn where_no_directory_serves_copies_are_in_memory_and_nobody_can_change_them() {
        let mut stages = Stages::new(vec![PathBuf::from("/nonexistent-a"), PathBuf::from("/proc")], 1);
        let (one, other) = (
            stages.put("a", b"one", &Beside::new()).unwrap().path,
            stages.put("a", b"other", &Beside::new()).unwrap().path,
        );
        assert_ne!(one, other);
        assert_eq!((fs::read(&one).unwrap(), fs::read(&other).unwrap()), (b"one".into(), b"other".into()));
        OpenOptions::new().write(true).open(&one).unwrap().write_all(b"x").unwrap_err();
        assert_eq!(stages.tried.len(), 2, "{:?}", stages.tried);
    }

    fn entries(dir: &Path) -> usize {
        fs::read_dir(dir).unwrap().count()
    }
}
