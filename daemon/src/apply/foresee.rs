//! What a check can foresee of a start that it does not make, by this user on this system: rights that will be missing.
//!
//! Only warnings: who checks a configuration is not always who serves it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf, absolute};

use polyport_terminal::Escaped;

use super::policy::{value, written};
use super::prepare::Prepared;
use crate::plugin::FileUse;
use crate::sandbox::{self, Groups};

/// Warns of what a start by this user would be refused.
pub fn foresee(prepared: &Prepared) {
    let Prepared { plan, entries, policy, .. } = prepared;
    if let Err(refusal) = sandbox::may_become(policy) {
        log::warn!("sandbox: {refusal}: `polyport run` by this user will be refused");
    }
    let groups = sandbox::groups(policy);
    for (listen, entry) in plan.listen.iter().zip(entries) {
        let files = entry.plugin.options().iter().filter(|spec| spec.file == Some(FileUse::Writes));
        for path in files.filter_map(|spec| value(listen, spec)).filter(|path| !path.is_empty()) {
            if let Some(why) = cannot_write(Path::new(path), &groups) {
                let path = Escaped(path.as_bytes());
                log::warn!("listener {}: {} cannot make {path}: {why}", listen.name, groups.name);
            }
        }
    }
}

/// Why the file at `path` cannot be made or written by who serves, as far as modes tell; none if it can. Access control lists
/// may tell otherwise.
fn cannot_write(path: &Path, who: &Groups) -> Option<String> {
    const SEARCH: u32 = 1;
    const WRITE_AND_SEARCH: u32 = 3;
    let dir = match written(path) {
        // A device or a pipe.
        Some(place) if place == path => return None,
        Some(dir) => absolute(&dir).ok()?,
        None => {
            let dir = path.parent().map(Path::to_path_buf).unwrap_or_default();
            return Some(format!("there is no directory {}", Escaped(dir.as_os_str().as_encoded_bytes())));
        }
    };
    let denied = |dir: &Path, rights: u32, what: &str| -> Option<String> {
        let metadata = dir.metadata().ok()?;
        let shown = Escaped(dir.as_os_str().as_encoded_bytes());
        (!may(&metadata, rights, who)).then(|| {
            format!(
                "it may not {what} {shown} (mode {:04o}, owner {})",
                metadata.mode() & 0o7777,
                metadata.uid()
            )
        })
    };
    let above: Vec<PathBuf> = dir.ancestors().skip(1).map(Path::to_path_buf).collect();
    let way = above.iter().rev().find_map(|dir| denied(dir, SEARCH, "go through"));
    way.or_else(|| denied(&dir, WRITE_AND_SEARCH, "write to"))
}

/// Whether `who` has these rights, 4 to read, 2 to write and 1 to search, by owner, group and mode.
fn may(metadata: &Metadata, rights: u32, who: &Groups) -> bool {
    let mode = metadata.mode();
    let granted = if metadata.uid() == who.uid {
        mode >> 6
    } else if who.gids.contains(&metadata.gid()) {
        mode >> 3
    } else {
        mode
    };
    who.everything || granted & rights == rights
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_first_place_that_stops_is_named() {
        let root = tempfile::tempdir().unwrap();
        let (outer, inner) = (root.path().join("outer"), root.path().join("outer/inner"));
        fs::create_dir_all(&inner).unwrap();
        let chmod = |dir: &Path, mode| fs::set_permissions(dir, Permissions::from_mode(mode)).unwrap();
        chmod(root.path(), 0o755);
        let metadata = inner.metadata().unwrap();
        let of =
            |uid: u32, gid: u32| Groups { name: "who".to_owned(), uid, gids: vec![gid], everything: false };
        let (own, member, other) = (
            of(metadata.uid(), u32::MAX - 1),
            of(u32::MAX - 1, metadata.gid()),
            of(u32::MAX - 1, u32::MAX - 1),
        );
        for (outer_mode, inner_mode, expected) in [
            (0o711, 0o755, [None, Some("write to"), Some("write to")]),
            (0o711, 0o775, [None, None, Some("write to")]),
            (0o711, 0o1777, [None, None, None]),
            (0o710, 0o1777, [None, None, Some("go through")]),
            (0o700, 0o1777, [None, Some("go through"), Some("go through")]),
            (0o711, 0o077, [Some("write to"), None, None]),
        ] {
            chmod(&outer, outer_mode);
            chmod(&inner, inner_mode);
            for (who, expected) in [&own, &member, &other].into_iter().zip(expected) {
                let why = cannot_write(&inner.join("file"), who);
                let told = why.as_ref().map(|why| expected.is_some_and(|what| why.contains(what)));
                assert_eq!(told, expected.map(|_| true), "{outer_mode:o} {inner_mode:o} {who:?}: {why:?}");
            }
            chmod(&inner, 0o755);
            chmod(&outer, 0o755);
        }
        let everything = Groups { everything: true, ..other.clone() };
        chmod(&inner, 0o700);
        assert_eq!(cannot_write(&inner.join("file"), &everything), None);
        assert_eq!(cannot_write(Path::new("/dev/null"), &other), None);
        let missing = cannot_write(&inner.join("no/file"), &own).unwrap();
        assert!(
            missing.starts_with("there is no directory /") && missing.ends_with("/inner/no"),
            "{missing}"
        );
    }
}
