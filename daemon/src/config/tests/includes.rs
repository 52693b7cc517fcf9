//! Files that include others: from a directory, and from a memory that the tests fill.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::super::{By, Origin, Reading, code, load};
use super::{codes, names};

/// A directory with these files.
fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn read(dir: &Path) -> Reading {
    load(&dir.join("polyport.toml"))
}

fn listen(name: &str, port: u16) -> String {
    format!("[[listen]]\nname = '{name}'\nbind = '127.0.0.1:{port}'\nplugin = 'echo'\n")
}

/// What is shown of all problems, without the directory.
fn shown(dir: &Path) -> String {
    let problems = read(dir).into_result().unwrap_err();
    problems.render(false).replace(&format!("{}/", dir.display()), "")
}

#[test]
fn files_of_a_pattern_are_read_by_name_behind_the_first() {
    let dir = directory(&[
        ("polyport.toml", &format!("include = ['conf.d/*.toml', 'last.toml']\n{}", listen("main", 1))),
        ("conf.d/20-b.toml", &listen("b", 3)),
        ("conf.d/10-a.toml", &listen("a", 2)),
        ("conf.d/.hidden.toml", "nonsense"),
        ("conf.d/backup.toml~", "nonsense"),
        ("conf.d/directory.toml/c.toml", "nonsense"),
        ("last.toml", &format!("include = 'more/[x-z].toml'\n{}", listen("last", 4))),
        ("more/y.toml", "[[listen]]\nname = 'y'\nbind = '127.0.0.1:5'\nplugin = './libmine.so'\n"),
    ]);
    let plan = read(dir.path()).into_result().unwrap();
    assert_eq!(names(&plan), ["main", "a", "b", "last", "y"]);
    // What is relative begins at the file that says it.
    assert_eq!(plan.listen[4].plugin.path, Some(dir.path().join("more/./libmine.so")));
    let files: Vec<_> = plan.files().map(|path| path.strip_prefix(dir.path()).unwrap().to_owned()).collect();
    let expected = ["polyport.toml", "conf.d/10-a.toml", "conf.d/20-b.toml", "last.toml", "more/y.toml"];
    assert_eq!(files, expected.map(Path::new));
    assert_eq!(plan.searched(), [dir.path().join("conf.d/"), dir.path().join("more/")]);
    assert_eq!(plan.origin, Origin::File { path: dir.path().join("polyport.toml"), by: By::Flag });
    assert!((0..5).all(|source| plan.file_mode(source).is_some()) && plan.file_mode(5).is_none());
}

#[test]
fn a_pattern_may_match_nothing_and_a_name_must_be_there() {
    let dir = directory(&[("polyport.toml", &format!("include = 'conf.d/*.toml'\n{}", listen("main", 1)))]);
    assert_eq!(read(dir.path()).into_result().unwrap().listen.len(), 1);
    let dir = directory(&[("polyport.toml", "include = ['no.toml', 'conf.d/***']\n")]);
    let expected = "\
error: cannot include `no.toml`: No such file or directory (os error 2)
 --> polyport.toml:1:12
  |
1 | include = ['no.toml', 'conf.d/***']
  |            ^^^^^^^^^ named here
  |
  = help: check the path and its permissions; relative ones begin at the directory of this file

error: invalid value for `include`
 --> polyport.toml:1:23
  |
1 | include = ['no.toml', 'conf.d/***']
  |                       ^^^^^^^^^^^^ not a pattern: wildcards are either regular `*` or recursive `**`
";
    assert_eq!(shown(dir.path()), expected);
}

#[test]
fn every_caret_is_in_its_own_file() {
    let dir = directory(&[
        ("polyport.toml", &format!("include = 'conf.d/*.toml'\n{}", listen("main", 1))),
        ("conf.d/a.toml", &format!("{}colour = 1\n", listen("main", 2))),
        ("conf.d/b.toml", &format!("seed = 1\n{}", listen("b", 1))),
        ("conf.d/c.toml", "[[listen]\n"),
    ]);
    let expected = "\
error: port 1 of 127.0.0.1 is used twice
 --> conf.d/b.toml:4:8
  |
4 | bind = '127.0.0.1:1'
  |        ^^^^^^^^^^^^^ again here
  |
 ::: polyport.toml:4:8
  |
4 | bind = '127.0.0.1:1'
  |        ------------- first used here
";
    let all = shown(dir.path());
    assert!(all.contains(expected), "{all}");
    for (title, place) in [
        ("two listeners are named `main`", "conf.d/a.toml:2:8"),
        ("unknown key `colour` in [[listen]]", "conf.d/a.toml:5:1"),
        ("`seed` stands in a file that another one includes", "conf.d/b.toml:1:1"),
        ("the text is not valid TOML", "conf.d/c.toml:1:10"),
    ] {
        assert!(all.contains(&format!("error: {title}\n --> {place}\n")), "{title}, {place} in {all}");
    }
    assert_eq!(all.matches("error: ").count(), 5, "{all}");
}

#[test]
fn nothing_of_a_secret_in_an_included_file_is_shown() {
    let dir = directory(&[
        ("polyport.toml", "include = 'a.toml'\n"),
        (
            "a.toml",
            "[[listen]]\nbind = '127.0.0.1:1'\nplugin = 'echo'\noptions = { key = '5ec4e7' } # 5ec4e7\nx = 1\n",
        ),
    ]);
    let all = shown(dir.path());
    assert!(all.contains("a.toml:5:1") && !all.contains("5ec4e7"), "{all}");
}

#[test]
fn circles_are_refused_where_they_close() {
    for (files, place) in [
        (&[("polyport.toml", "include = '*.toml'\n")][..], "polyport.toml:1:11"),
        (
            &[("polyport.toml", "include = 'a.toml'\n"), ("a.toml", "include = './polyport.toml'\n")],
            "a.toml:1:11",
        ),
        (
            &[
                ("polyport.toml", "include = 'a/b.toml'\n"),
                ("a/b.toml", "include = 'c.toml'\n"),
                ("a/c.toml", "include = ['b.toml']\n"),
            ],
            "a/c.toml:1:12",
        ),
    ] {
        let dir = directory(files);
        let problems = read(dir.path()).into_result().unwrap_err();
        assert_eq!(codes(&problems), [code::INCLUDE_CIRCLE], "{problems}");
        let all = shown(dir.path());
        assert!(all.contains(&format!(" --> {place}\n")) && all.contains("conf.d/*.toml"), "{all}");
    }
    // By another name it is the same file.
    let dir = directory(&[("polyport.toml", "include = 'other.toml'\n")]);
    symlink("polyport.toml", dir.path().join("other.toml")).unwrap();
    assert_eq!(codes(&read(dir.path()).into_result().unwrap_err()), [code::INCLUDE_CIRCLE]);
}

#[test]
fn a_file_that_is_named_twice_is_read_once() {
    let dir = directory(&[
        ("polyport.toml", "include = ['conf.d/a.toml', 'conf.d/*.toml']\n"),
        ("conf.d/a.toml", &format!("include = 'b.toml'\n{}", listen("a", 1))),
        ("conf.d/b.toml", &listen("b", 2)),
    ]);
    assert_eq!(names(&read(dir.path()).into_result().unwrap()), ["a", "b"]);
}

#[test]
fn depth_and_bytes_have_an_end() {
    let chain = |length: usize| {
        let dir = directory(&[
            ("polyport.toml", "include = '1.toml'\n"),
            (&format!("{length}.toml"), &listen("end", 1)),
        ]);
        for at in 1..length {
            fs::write(dir.path().join(format!("{at}.toml")), format!("include = '{}.toml'\n", at + 1))
                .unwrap();
        }
        dir
    };
    assert_eq!(read(chain(8).path()).into_result().unwrap().listen.len(), 1);
    let problems = read(chain(9).path()).into_result().unwrap_err();
    assert_eq!(codes(&problems), [code::INCLUDE_DEPTH]);

    let large = "#".repeat(super::super::MAX_SOURCE_BYTES / 2);
    let dir =
        directory(&[("polyport.toml", "include = '*/*.toml'\n"), ("d/a.toml", &large), ("d/b.toml", &large)]);
    assert_eq!(codes(&read(dir.path()).into_result().unwrap_err()), [code::TOO_LARGE]);
}

#[test]
fn what_is_no_text_or_no_file_is_refused_at_once() {
    let dir = directory(&[("polyport.toml", "include = ['bytes.toml', 'dir', '']\n"), ("dir/x", "")]);
    fs::write(dir.path().join("bytes.toml"), b"# caf\xe9\n").unwrap();
    let problems = read(dir.path()).into_result().unwrap_err();
    assert_eq!(codes(&problems), [code::UNREADABLE, code::BAD_VALUE, code::NOT_UTF8], "{problems}");
    let all = shown(dir.path());
    assert!(
        all.contains("cannot include `dir`: not a regular file") && all.contains("bytes.toml:1:6"),
        "{all}"
    );
    for wrong in ["1", "[1]", "{ a = 1 }"] {
        let dir = directory(&[("polyport.toml", &format!("include = {wrong}\n"))]);
        assert_eq!(codes(&read(dir.path()).into_result().unwrap_err()), [code::WRONG_TYPE]);
    }
}
