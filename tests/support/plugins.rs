//! Libraries: those that were built, changed copies of them, and those made from C.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use polyport_abi::{IDENT_SIZE, MAGIC};

use crate::tool::tool;

/// The library of the package `polyport-NAME`, built beside the running test.
#[must_use]
#[track_caller]
pub fn built(name: &str) -> PathBuf {
    let exe = std::env::current_exe().expect("a test knows its own path");
    let file = format!("{DLL_PREFIX}polyport_{}{DLL_SUFFIX}", name.replace('-', "_"));
    let path = exe.with_file_name(file);
    assert!(path.is_file(), "{} was not built; is it a dependency of polyport-tests?", path.display());
    path
}

/// The root of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("")
}

/// The bytes of a library, to be spoilt.
#[derive(Clone, Debug)]
pub struct Bytes(pub Vec<u8>);

impl Bytes {
    /// The library of the package `polyport-NAME`.
    #[must_use]
    #[track_caller]
    pub fn of(name: &str) -> Self {
        Self(fs::read(built(name)).expect("a library can be read"))
    }

    /// Where its identity is: the magic with the right size behind it.
    #[must_use]
    #[track_caller]
    pub fn identity(&self) -> usize {
        let size_at = 22; // Offset of `ident_size` in `pp_ident`.
        let size = IDENT_SIZE.to_ne_bytes();
        let found: Vec<usize> = (0..self.0.len())
            .filter(|&at| self.0[at..].starts_with(&MAGIC) && self.0[at + size_at..].starts_with(&size))
            .collect();
        assert_eq!(found.len(), 1, "a plugin has one identity");
        found[0]
    }

    /// Overwrites bytes of the identity.
    #[must_use]
    #[track_caller]
    pub fn identity_with(mut self, offset: usize, bytes: &[u8]) -> Self {
        let at = self.identity() + offset;
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// Overwrites bytes of the file.
    #[must_use]
    pub fn with(mut self, at: usize, bytes: &[u8]) -> Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// Writes them as a library that others may not change.
    #[track_caller]
    pub fn write(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref().to_path_buf();
        fs::write(&path, &self.0).expect("a library can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode can be set");
        path
    }
}

/// Compiles `source` against the plugin header into a library in `dir`; none without a C compiler.
#[must_use]
#[track_caller]
pub fn compile_c(source: &Path, flags: &[&str], dir: &Path, name: &str) -> Option<PathBuf> {
    let path = dir.join(format!("{name}{DLL_SUFFIX}"));
    let shared =
        ["-shared", "-fPIC", "-O1", "-std=c11", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden"];
    if !compile("cc", source, &[&shared, flags].concat(), &path) {
        return None;
    }
    // Whatever the umask of who runs the tests: what others may write is not loaded.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode can be set");
    Some(path)
}

/// Compiles with the plugin header in sight; false without the compiler.
#[must_use]
#[track_caller]
pub fn compile(compiler: &str, source: &Path, flags: &[&str], out: &Path) -> bool {
    let Some(compiler) = tool(compiler) else { return false };
    let include = repository().join("plugins/abi/include");
    let mut command = Command::new(compiler);
    command.args(flags).arg("-I").arg(include).arg("-o").args([out.as_os_str(), source.as_os_str()]);
    let output = command.output().expect("a compiler can be started");
    assert!(output.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&output.stderr));
    true
}

/// `bind=path` for `--listen`.
#[must_use]
pub fn spec(bind: impl std::fmt::Display, library: &Path) -> String {
    format!("{bind}={}", AsRef::<OsStr>::as_ref(library).display())
}

/// The C source `tests/fixtures/c/NAME.c`.
#[must_use]
pub fn fixture(name: &str) -> PathBuf {
    repository().join("tests/fixtures/c").join(format!("{name}.c"))
}
