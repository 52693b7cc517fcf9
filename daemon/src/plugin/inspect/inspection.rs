//! All that is known of a plugin before it runs, and whether it would be loaded.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use object::Object;
use polyport_abi::pp_plugin;
use sha2::{Digest, Sha256};

use super::elf::Elf;
use super::parts::{self, Parts};
use super::table::{self, Table};
use crate::plugin::find::{
    Cause, Identity, MAX_LIBRARY_BYTES, Refusal, Refused, Said, find_beside, trusted_file,
};
use crate::plugin::load::Loader;

/// A library file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The path as it was given or found.
    pub path: PathBuf,
    /// The path without symbolic links.
    pub real: PathBuf,
    /// What it is, such as `ELF x86-64`; none of what is no library.
    pub kind: Option<String>,
    /// Bytes.
    pub len: usize,
    /// SHA-256 of the bytes (FIPS 180-4); none where many files are looked at.
    pub sha256: Option<[u8; 32]>,
    /// Libraries of its own that it brings (`$ORIGIN`), seen from its directory.
    pub brings: Vec<PathBuf>,
}

/// What is known of a plugin. What is none could not be found out.
#[derive(Debug, Default)]
pub struct Inspection {
    /// The file; none of a plugin that is built in, or that cannot be read.
    pub file: Option<File>,
    /// Its identity as it is written there.
    pub said: Option<Said>,
    /// The options that it declares, and its functions.
    pub table: Option<Table>,
    /// What it was built with and needs.
    pub parts: Option<Parts>,
    /// Why this polyport would not load it; none if it would.
    pub refusal: Option<Cause>,
}

impl Loader {
    /// What is known of the plugin with this name or path. None of its code runs.
    ///
    /// # Errors
    /// There is none, or who started the program must not choose it.
    pub fn inspect(&self, reference: &str) -> Result<Inspection, Refusal> {
        match self.search().find(reference) {
            Ok(path) => Ok(self.inspect_file(&path, |bytes| Some(Sha256::digest(bytes).into()))),
            Err(refusal) if matches!(refusal.cause, Cause::NotFound { .. }) => {
                self.table(reference).map(Self::inspect_built_in).ok_or(refusal)
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Looks at everything, also where something is wrong already: the first that is wrong is the refusal.
    pub(super) fn inspect_file(
        &self,
        path: &Path,
        digest: impl FnOnce(&[u8]) -> Option<[u8; 32]>,
    ) -> Inspection {
        let (bytes, distrust) = match trusted_file(path, self.owners()) {
            Ok(trusted) => (bounded(trusted.file), None),
            // It may not be run; who reads it is in no danger.
            Err(Refused::Untrusted(distrust)) => {
                (open(path).and_then(bounded), Some(Cause::Untrusted(distrust)))
            }
            Err(Refused::NotAFile) => (Err(Cause::NotALibrary("a directory, a device or a pipe")), None),
            Err(Refused::Unreadable(error)) => (Err(Cause::Unreadable(error)), None),
        };
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(cause) => {
                return Inspection { refusal: Some(distrust.unwrap_or(cause)), ..Inspection::default() };
            }
        };
        let beside = find_beside(path, &bytes, self.owners());
        let brings = beside.as_ref().map(|found| found.keys().cloned().collect()).unwrap_or_default();
        let before_its_table = distrust.or_else(|| Identity::read(&bytes).err()).or_else(|| beside.err());
        let file = File {
            path: path.to_path_buf(),
            real: fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf()),
            kind: kind(&bytes),
            len: bytes.len(),
            sha256: digest(&bytes),
            brings,
        };
        Inspection { file: Some(file), ..of_bytes(&bytes, before_its_table) }
    }

    /// The table of what is linked into the program is no stranger's.
    pub(super) fn inspect_built_in(table: &pp_plugin) -> Inspection {
        let said = Said::of(&table.ident);
        match table::of(table) {
            Ok(table) => Inspection { said, table: Some(table), ..Inspection::default() },
            Err(cause) => Inspection { said, refusal: Some(cause), ..Inspection::default() },
        }
    }
}

/// What the bytes of a library say. What is wrong `before_its_table` is looked at comes first, as for the loader.
fn of_bytes(bytes: &[u8], before_its_table: Option<Cause>) -> Inspection {
    let elf = Elf::parse(bytes);
    let (table, of_table) = match elf.as_ref().map(table::read) {
        Some(Ok(table)) => (Some(table), None),
        Some(Err(cause)) => (None, Some(cause)),
        None => (None, None),
    };
    Inspection {
        file: None,
        said: Said::read(bytes).ok(),
        table,
        parts: elf.as_ref().map(parts::read),
        refusal: before_its_table.or(of_table),
    }
}

impl From<&[u8]> for Inspection {
    /// What the bytes of a library say, with nothing known of a file.
    fn from(bytes: &[u8]) -> Self {
        of_bytes(bytes, Identity::read(bytes).err())
    }
}

/// A file for reading, whoever wrote it: a pipe is not waited for.
fn open(path: &Path) -> Result<fs::File, Cause> {
    let file = fs::File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path);
    let is_file = |file: &fs::File| file.metadata().is_ok_and(|found| found.is_file());
    match file {
        Ok(file) if is_file(&file) => Ok(file),
        Ok(_) => Err(Cause::NotALibrary("a directory, a device or a pipe")),
        Err(error) => Err(Cause::Unreadable(error)),
    }
}

/// The bytes of a file, if they are not too many.
fn bounded(file: fs::File) -> Result<Vec<u8>, Cause> {
    let mut bytes = Vec::new();
    let read: io::Result<usize> = file.take(MAX_LIBRARY_BYTES + 1).read_to_end(&mut bytes);
    match read {
        Ok(_) if bytes.len() as u64 > MAX_LIBRARY_BYTES => Err(Cause::TooLarge),
        Ok(_) => Ok(bytes),
        Err(error) => Err(Cause::Unreadable(error)),
    }
}

/// The container and the machine, in words.
fn kind(bytes: &[u8]) -> Option<String> {
    let file = object::File::parse(bytes).ok()?;
    let machine = format!("{:?}", file.architecture()).to_lowercase().replace('_', "-");
    Some(format!("{} {machine}", if matches!(file, object::File::Elf64(_)) { "ELF" } else { "object for" }))
}
