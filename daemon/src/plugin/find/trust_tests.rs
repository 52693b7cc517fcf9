//! Ways to a file, and who else could have written it.

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

const ROOT_AND_ME: fn() -> Owners = || Owners::of_this_process(false);

/// A directory with a file `deep/dir/mine.so`, safe in every step.
fn safe() -> (tempfile::TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("deep/dir/mine.so");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "bytes").unwrap();
    for (path, mode) in [("deep", 0o755), ("deep/dir", 0o755), ("deep/dir/mine.so", 0o644)] {
        chmod(&root.path().join(path), mode);
    }
    (root, file)
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Why the file is refused, with what to do; none if it is read.
fn why(path: &Path) -> Option<String> {
    match file(path, ROOT_AND_ME()) {
        Ok(mut trusted) => {
            let mut text = String::new();
            trusted.file.read_to_string(&mut text).unwrap();
            assert_eq!(text, "bytes");
            assert_eq!(trusted.real, path.canonicalize().unwrap());
            None
        }
        Err(Refused::Untrusted(distrust)) => Some(format!("{distrust}\n{}", distrust.remedy())),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn every_directory_above_counts_and_all_are_told_at_once() {
    let (root, file) = safe();
    assert_eq!(why(&file), None);
    let deep = root.path().join("deep");
    for mode in [0o775, 0o757] {
        chmod(&deep, mode);
        let why = why(&file).unwrap();
        let whom = if mode & 0o002 == 0 { "its group" } else { "anybody" };
        assert!(
            why.contains(&format!("{} may be written to by {whom} (mode 0{mode:o})", deep.display())),
            "{why}"
        );
        assert!(why.contains(&format!("`chmod go-w {}`", deep.display())), "{why}");
    }
    chmod(&file, 0o664);
    let why = why(&file).unwrap();
    assert!(why.contains(&format!("chmod go-w {} {}`", deep.display(), file.display())), "{why}");
    assert!(why.contains("may be written by its group (mode 0664)"), "{why}");
}

#[test]
fn a_sticky_directory_keeps_names_and_does_not_protect_a_file_that_others_write() {
    let (root, file) = safe();
    chmod(&root.path().join("deep"), 0o1777);
    assert_eq!(why(&file), None);
    chmod(&file, 0o1666);
    assert!(why(&file).unwrap().contains("may be written by anybody (mode 1666)"));
}

/// Anybody can make a second name of a file of root where anybody can make names (`protected_hardlinks` of `proc(5)`
/// forbids it, where it is set).
#[test]
fn a_hard_link_is_a_name_that_somebody_else_may_have_given() {
    let (root, file) = safe();
    fs::hard_link(&file, root.path().join("deep/other.so")).unwrap();
    assert_eq!(why(&file), None, "cargo makes such links in its own directories");
    chmod(file.parent().unwrap(), 0o1777);
    let why = why(&file).unwrap();
    assert!(why.contains("is one of 2 names of a file"), "{why}");
}

#[test]
fn a_symbolic_link_is_followed_step_by_step() {
    let (root, file) = safe();
    let at = |name: &str| root.path().join(name);
    for dir in ["links", "open"] {
        fs::create_dir(at(dir)).unwrap();
        chmod(&at(dir), 0o755);
    }
    // From one to the next, absolute and relative, the last to a directory.
    symlink("../open/second", at("links/first")).unwrap();
    symlink(at("deep"), at("open/second")).unwrap();
    let way = at("links/first/dir/../dir/./mine.so");
    assert_eq!(why(&way), None);
    chmod(&at("open"), 0o777);
    let told = why(&way).unwrap();
    assert!(told.starts_with(&format!("{} may be written to by anybody", at("open").display())), "{told}");
    assert_eq!(why(&file), None, "by another way it is the same file, and safe");
    chmod(&at("open"), 0o755);
    chmod(&at("links"), 0o775);
    assert!(why(&way).unwrap().contains("links may be written to by its group"));
}

#[test]
fn a_path_that_leads_nowhere_or_in_a_circle_is_an_errno() {
    let (root, safe) = safe();
    symlink("round", root.path().join("round")).unwrap();
    let errno = |path: &Path| match file(path, ROOT_AND_ME()) {
        Err(Refused::Unreadable(e)) => e.raw_os_error(),
        other => panic!("{other:?}"),
    };
    assert_eq!(errno(&root.path().join("round")), Some(libc::ELOOP));
    assert_eq!(errno(&root.path().join("none")), Some(libc::ENOENT));
    assert_eq!(errno(&safe.join("below")), Some(libc::ENOTDIR));
    for other in [root.path(), Path::new("/"), Path::new("/dev/zero")] {
        assert!(matches!(file(other, ROOT_AND_ME()), Err(Refused::NotAFile)), "{}", other.display());
    }
}

#[test]
fn as_many_links_as_the_kernel_follows() {
    let (root, file) = safe();
    let link = |n: usize| root.path().join(n.to_string());
    symlink(&file, link(0)).unwrap();
    for n in 1..=MAX_LINKS {
        symlink(link(n - 1), link(n)).unwrap();
    }
    assert_eq!(why(&link(MAX_LINKS - 1)), None);
    assert!(matches!(super::file(&link(MAX_LINKS), ROOT_AND_ME()), Err(Refused::Unreadable(_))));
}

/// A umask of 002 is usual where each user has a group of their own.
#[test]
fn a_group_of_the_user_alone_may_write_and_no_other() {
    let (root, path) = safe();
    chmod(root.path(), 0o775);
    chmod(&path, 0o664);
    let (user, gid) = (rustix::process::geteuid().as_raw(), fs::metadata(&path).unwrap().gid());
    let try_with = |private_group| file(&path, Owners { user, private_group });
    try_with(Some(gid)).unwrap();
    for other in [None, Some(gid + 1)] {
        assert!(matches!(try_with(other), Err(Refused::Untrusted(_))), "{other:?}");
    }
    chmod(&path, 0o666);
    assert!(matches!(try_with(Some(gid)), Err(Refused::Untrusted(_))), "anybody is not the group");
    assert_eq!(private_group(0), None);
}

/// The file of this test is of somebody else for those who are not its owner.
#[test]
fn of_others_than_root_nothing_is_taken() {
    let stranger = Owners { user: rustix::process::geteuid().as_raw() + 1, private_group: None };
    let owner = |uid| Owners { user: uid, private_group: None };
    assert!(owner(7).include(0) && owner(7).include(7) && !owner(7).include(8) && !owner(0).include(7));
    if rustix::process::geteuid().is_root() {
        // Its files are everybody's; `tests/it/trust.rs` gives some away.
        return;
    }
    let (_root, path) = safe();
    let Err(Refused::Untrusted(distrust)) = file(&path, stranger) else { panic!("a stranger's file") };
    assert!(distrust.to_string().contains("belongs to user "), "{distrust}");
    assert!(distrust.remedy().contains("`chown "), "{}", distrust.remedy());
}

#[test]
fn a_path_is_shown_as_a_word_for_the_shell() {
    let word = |text: &str| shell_word(Path::new(text));
    assert_eq!(word("/opt/lib/libx-1.so"), "/opt/lib/libx-1.so");
    assert_eq!(word("/a b/it's"), "'/a b/it'\\''s'");
    assert_eq!(word("/a;\n"), "'/a;\\n'");
}

#[test]
fn a_directory_is_judged_like_the_way_to_a_file() {
    let (root, file) = safe();
    let deep = root.path().join("deep");
    assert_eq!(directory(&deep.join("dir/.."), ROOT_AND_ME()).unwrap(), deep.canonicalize().unwrap());
    assert_eq!(directory(&file, ROOT_AND_ME()).unwrap_err().raw_os_error(), Some(libc::ENOTDIR));
    chmod(&deep, 0o777);
    let error = directory(&deep.join("dir"), ROOT_AND_ME()).unwrap_err().to_string();
    assert!(error.contains("mode 0777"), "{error}");
}
