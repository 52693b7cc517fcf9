//! Libraries that lie beside a plugin, or below or above it, and that it names by `$ORIGIN` (`ld.so(8)`): a plugin brings a
//! library of its own that way.
//!
//! The linker takes `$ORIGIN` for the directory of what it loads, which is that of the private copy. So these libraries are
//! copied as well, to where the copy of the plugin will look for them; a copy in memory has no such place, so there they are
//! loaded before it, and found by the names that they have inside. They run as the plugin does, and are trusted as it
//! is: nobody else may have written them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use object::elf::{DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_SONAME};
use object::read::elf::ElfFile64;

use super::refusal::Cause;
use super::trust::{self, Owners, Refused};

/// Libraries that a plugin may bring. One that names more is refused.
const MOST: usize = 64;

/// Their bytes by where they lie, seen from the directory of the plugin: no `.`, and `..` only at the beginning.
pub(in crate::plugin) type Beside = BTreeMap<PathBuf, Vec<u8>>;

/// The libraries that the plugin at `path`, which holds `bytes`, finds by `$ORIGIN`, and those that they find so.
///
/// # Errors
/// One of them cannot be read, or others may have written it.
pub(in crate::plugin) fn find(path: &Path, bytes: &[u8], owners: Owners) -> Result<Beside, Cause> {
    let mut found = Beside::new();
    let origin = directory(path);
    // Where each library lies, and what it names.
    let mut open: Vec<PathBuf> = wanted(bytes, Path::new(""));
    while let Some(at) = open.pop() {
        let there = origin.join(&at);
        if found.contains_key(&at) || !there.exists() {
            continue;
        }
        if found.len() >= MOST {
            return Err(Cause::Beside(there, format!("more than {MOST} libraries are named by $ORIGIN")));
        }
        let bytes = read(&there, owners)?;
        open.extend(wanted(&bytes, directory(&at)));
        found.insert(at, bytes);
    }
    Ok(found)
}

/// What lies beside the plugin of these `bytes`, each behind all that it needs itself: the order in which a linker can take them
/// that finds none of them by a path.
pub(super) fn in_order<'a>(bytes: &[u8], beside: &'a Beside) -> Vec<&'a Path> {
    let mut ordered: Vec<&Path> = Vec::new();
    let mut entered = BTreeSet::new();
    // A library is entered, then what it needs, then it is taken.
    let mut open: Vec<(PathBuf, bool)> = steps(wanted(bytes, Path::new("")));
    while let Some((at, left)) = open.pop() {
        let Some((path, bytes)) = beside.get_key_value(&at) else { continue };
        if left {
            ordered.push(path);
        } else if entered.insert(path) {
            open.push((at.clone(), true));
            open.extend(steps(wanted(bytes, directory(&at))));
        }
    }
    ordered
}

/// Libraries to enter, the first of which is entered first.
fn steps(wanted: Vec<PathBuf>) -> Vec<(PathBuf, bool)> {
    wanted.into_iter().rev().map(|at| (at, false)).collect()
}

/// The name that a library has inside (`DT_SONAME`), by which the linker knows it once it is loaded.
pub(super) fn own_name(bytes: &[u8]) -> Option<&[u8]> {
    let file = ElfFile64::<object::Endianness>::parse(bytes).ok()?;
    let table = file.elf_dynamic_table().ok()?;
    let name = table.iter().find(|entry| entry.tag == DT_SONAME)?;
    table.string(name).ok()
}

fn read(path: &Path, owners: Owners) -> Result<Vec<u8>, Cause> {
    let refused = |why: String| Cause::Beside(path.to_path_buf(), why);
    let mut trusted = trust::file(path, owners).map_err(|error| match error {
        Refused::Unreadable(error) => refused(format!("cannot be read: {error}")),
        Refused::NotAFile => refused("is no file".to_owned()),
        Refused::Untrusted(distrust) => refused(format!("{distrust}; {}", distrust.remedy())),
    })?;
    let mut bytes = Vec::new();
    trusted.file.read_to_end(&mut bytes).map_err(|error| refused(format!("cannot be read: {error}")))?;
    Ok(bytes)
}

/// Where a library in the directory `dir` looks for what it needs, as far as it says `$ORIGIN`.
fn wanted(bytes: &[u8], dir: &Path) -> Vec<PathBuf> {
    // What is no ELF file has another linker, which knows no `$ORIGIN`.
    let Some(Dynamic { needed, paths }) = dynamic(bytes) else { return Vec::new() };
    let mut wanted = Vec::new();
    for name in needed {
        if name.contains(&b'/') {
            wanted.extend(behind_origin(name).map(|rest| dir.join(rest)));
        } else {
            let name = Path::new(OsStr::from_bytes(name));
            wanted.extend(paths.iter().filter_map(|path| Some(dir.join(behind_origin(path)?).join(name))));
        }
    }
    wanted.iter().filter_map(|path| plain(path)).collect()
}

fn directory(path: &Path) -> &Path {
    path.parent().unwrap_or_else(|| Path::new(""))
}

/// What an ELF file needs, and the directories where it looks for that.
struct Dynamic<'a> {
    needed: Vec<&'a [u8]>,
    paths: Vec<&'a [u8]>,
}

fn dynamic(bytes: &[u8]) -> Option<Dynamic<'_>> {
    let file = ElfFile64::<object::Endianness>::parse(bytes).ok()?;
    let table = file.elf_dynamic_table().ok()?;
    let texts =
        |tag| table.iter().filter(move |entry| entry.tag == tag).filter_map(|entry| table.string(entry).ok());
    let paths =
        |tag| -> Vec<&[u8]> { texts(tag).flat_map(|list| list.split(|byte| *byte == b':')).collect() };
    // Where there is a DT_RUNPATH, nobody asks for a DT_RPATH.
    let (new, old) = (paths(DT_RUNPATH), paths(DT_RPATH));
    Some(Dynamic { needed: texts(DT_NEEDED).collect(), paths: if new.is_empty() { old } else { new } })
}

/// The rest of a path that begins with `$ORIGIN`.
fn behind_origin(path: &[u8]) -> Option<&Path> {
    let rest = path.strip_prefix(b"$ORIGIN").or_else(|| path.strip_prefix(b"${ORIGIN}"))?;
    match rest {
        [] => Some(Path::new("")),
        [b'/', rest @ ..] => Some(Path::new(OsStr::from_bytes(rest.trim_ascii_start()))),
        _ => None,
    }
}

/// The path without `.`, and with `..` only at its beginning; none if it leads to no file.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::CurDir => {}
            Component::ParentDir if plain.file_name().is_some() => {
                plain.pop();
            }
            Component::ParentDir => plain.push(".."),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    plain.file_name().is_some().then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_begins_with_origin_is_meant() {
        let rest = |text: &str| behind_origin(text.as_bytes()).map(|path| path.to_str().unwrap().to_owned());
        assert_eq!(rest("$ORIGIN"), Some(String::new()));
        assert_eq!(rest("${ORIGIN}/../lib"), Some("../lib".to_owned()));
        assert_eq!([rest("/usr/$ORIGIN"), rest("$ORIGINAL/x"), rest("lib")], [None, None, None]);
    }

    #[test]
    fn paths_are_made_plain() {
        let plain = |text: &str| plain(Path::new(text)).map(|path| path.to_str().unwrap().to_owned());
        assert_eq!(plain("a/./b/../c.so").as_deref(), Some("a/c.so"));
        assert_eq!(plain("a/../../b.so").as_deref(), Some("../b.so"));
        assert_eq!([plain("/a.so"), plain(".."), plain("a/..")], [None, None, None]);
    }

    #[test]
    fn what_is_no_library_wants_nothing() {
        assert!(wanted(b"", Path::new("")).is_empty());
        assert!(wanted(&[0x7F; 4096], Path::new("")).is_empty());
        // A library that finds all it needs in the system.
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(find(Path::new("/nowhere/x.so"), &own, Owners::of_this_process(false)).unwrap().is_empty());
    }
}
