//! The files that handlers read because options name them. A reload has a handler read them again when they are others than when
//! they were read: by what `stat(2)` says, as `make` does it, since their contents may be long.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::policy;
use crate::config::Listen;
use crate::plugin::{FileUse, OptionSpec};

/// The files of one `[[listen]]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FilesRead(Vec<FileRead>);

/// A file, and which one was there under its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileRead {
    /// The option that names it.
    pub(super) option: String,
    pub(super) path: PathBuf,
    /// None if there was none, or nobody may look.
    state: Option<State>,
}

/// What differs between two files, or between a file before and after it was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    device: u64,
    inode: u64,
    bytes: u64,
    /// When it was written to last, Unix time in s and the ns on top.
    written: (i64, i64),
}

impl FilesRead {
    /// The files that a listener's options name, as they are now. To be called before they are read: who writes to one meanwhile
    /// has it read once more, and not once too few.
    pub(super) fn of(listen: &Listen, options: &[OptionSpec]) -> Self {
        let named = options.iter().filter(|spec| spec.file == Some(FileUse::Reads));
        let read = named.filter_map(|spec| {
            let path = PathBuf::from(policy::value(listen, spec)?);
            let state = path.metadata().ok().map(|metadata| State::of(&metadata));
            Some(FileRead { option: spec.name.clone(), path, state })
        });
        Self(read.collect())
    }

    /// Where they are.
    pub(super) fn paths(&self) -> impl Iterator<Item = PathBuf> {
        self.0.iter().map(|file| file.path.clone())
    }

    /// Those that are others than before, of the options that named the same file before.
    pub(super) fn since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a FileRead> {
        self.0.iter().filter(|file| {
            let known =
                before.0.iter().find(|known| (&known.option, &known.path) == (&file.option, &file.path));
            known.is_some_and(|known| known.state != file.state)
        })
    }
}

impl State {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            written: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    use super::*;

    fn read(path: &Path) -> FilesRead {
        let state = path.metadata().ok().map(|metadata| State::of(&metadata));
        FilesRead(vec![FileRead { option: "trace".to_owned(), path: path.to_path_buf(), state }])
    }

    #[test]
    fn a_file_is_another_one_when_it_is_written_replaced_touched_or_gone() {
        let dir = tempfile::tempdir().unwrap();
        let (path, beside) = (dir.path().join("trace"), dir.path().join("new"));
        let changes: [(&str, &dyn Fn()); 5] = [
            ("made", &|| fs::write(&path, "1\n").unwrap()),
            ("longer", &|| fs::write(&path, "1\n2\n").unwrap()),
            ("touched", &|| {
                let later = SystemTime::UNIX_EPOCH + Duration::from_secs(7);
                File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
            }),
            ("replaced by its like", &|| {
                let written = path.metadata().unwrap().modified().unwrap();
                fs::write(&beside, "1\n2\n").unwrap();
                File::options().write(true).open(&beside).unwrap().set_modified(written).unwrap();
                fs::rename(&beside, &path).unwrap();
            }),
            ("gone", &|| fs::remove_file(&path).unwrap()),
        ];
        let mut before = read(&path);
        for (what, change) in changes {
            assert_eq!(read(&path).since(&before).count(), 0, "before it was {what}");
            change();
            let now = read(&path);
            assert_eq!(now.since(&before).count(), 1, "{what}");
            before = now;
        }
        assert_eq!(
            read(&dir.path().join("other")).since(&before).count(),
            0,
            "another option is another matter"
        );
    }
}
