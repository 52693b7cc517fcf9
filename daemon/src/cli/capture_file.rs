//! The file of `polyport tap -w`: nobody else's is written over, and what stands in it is whole.

use std::fmt;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use polyport_terminal::Escaped;

/// A file that is being written.
#[derive(Debug)]
pub(super) struct CaptureFile {
    file: File,
    path: PathBuf,
    /// Bytes of whole blocks; none for what is no regular file.
    whole: Option<u64>,
}

impl CaptureFile {
    /// Makes a file for its owner alone, or empties one of the same user. Neither links nor files of others are written to; pipes and
    /// devices are.
    ///
    /// # Errors
    /// Why not, in words.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let shown = Escaped(path.as_os_str().as_encoded_bytes()).to_string();
        let failed = |error: io::Error| {
            if error.raw_os_error() == Some(libc::ELOOP) {
                format!("{shown}: it is a link, which is not followed; name the file itself")
            } else {
                format!("{shown}: {error}")
            }
        };
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let file = options.open(path).map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        let kind = meta.file_type();
        if !kind.is_file() {
            if kind.is_fifo() || kind.is_char_device() {
                return Ok(Self { file, path: path.to_path_buf(), whole: None });
            }
            return Err(format!("{shown}: it is neither a file nor a pipe"));
        }
        if meta.uid() != rustix::process::geteuid().as_raw() {
            return Err(format!("{shown}: it belongs to somebody else; name another file, or remove it"));
        }
        if meta.nlink() > 1 {
            return Err(format!("{shown}: it has another name as well (a hard link); name another file"));
        }
        // Payloads are nobody else's business, whatever the mode was.
        file.set_permissions(Permissions::from_mode(0o600)).map_err(failed)?;
        file.set_len(0).map_err(failed)?;
        Ok(Self { file, path: path.to_path_buf(), whole: Some(0) })
    }

    /// Writes whole blocks. Where that fails, none of them is left half written.
    ///
    /// # Errors
    /// Those of `write(2)`: the disk is full, for example.
    pub(super) fn write(&mut self, blocks: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(blocks);
        if let Some(whole) = &mut self.whole {
            match &written {
                Ok(()) => *whole += blocks.len() as u64,
                // The first fault is told.
                Err(_) => self.file.set_len(*whole).unwrap_or(()),
            }
        }
        written
    }
}

impl fmt::Display for CaptureFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(self.path.as_os_str().as_encoded_bytes()).fmt(f)
    }
}

/// A duration of the command line, more than nothing.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let time = polyport_value::duration(text)?;
    if time.is_zero() { Err("it has to be longer than nothing".to_owned()) } else { Ok(time) }
}
