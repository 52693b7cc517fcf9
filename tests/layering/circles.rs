//! No circles: the files of a crate name each other in one direction only.
//!
//! An arrow runs from a file to the file that *defines* an item it names. Names are followed through modules and
//! re-exports to their home, so it does not matter by which way a file imports something: a `mod.rs` that only
//! declares its children and hands their names on has no arrow to them, and a child that takes a sibling's name
//! from it has an arrow to the sibling. A parent that *uses* what its child defines has an arrow to the child;
//! if that child names an item which the parent defines, the two are a circle. Two ways out: the shared item moves
//! into a leaf below both, or what the parent does with the child moves into a child of its own.
//!
//! Not seen: calls of methods on a value whose type is not named. Test code does not count.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{MetadataCommand, TargetKind};

use crate::modules::{Arrow, arrows, modules};
use crate::scan::{files, root};

#[test]
fn files_of_a_crate_name_each_other_in_one_direction() {
    let sources: BTreeMap<String, String> = files(&["rs"]).into_iter().collect();
    let read = |path: &str| sources.get(path).map(String::as_str);
    let roots = roots();
    assert!(roots.iter().any(|root| root == "daemon/src/lib.rs"), "{roots:?}");
    let all: Vec<Arrow> = roots.iter().flat_map(|root| arrows(&modules(root, &read))).collect();
    assert!(all.len() > 200, "only {} arrows", all.len());
    let wrong = circles(&all);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The first files of all libraries and programs of the workspace.
fn roots() -> Vec<String> {
    let root = root();
    let metadata = MetadataCommand::new().manifest_path(root.join("Cargo.toml")).no_deps().exec().unwrap();
    let targets = metadata.packages.iter().flat_map(|package| &package.targets);
    let tests = [TargetKind::Test, TargetKind::Bench, TargetKind::Example, TargetKind::CustomBuild];
    targets
        .filter(|target| !target.kind.iter().any(|kind| tests.contains(kind)))
        .map(|target| target.src_path.strip_prefix(&root).unwrap().to_string())
        .collect()
}

/// The circles, each as the arrows between its files.
fn circles(arrows: &[Arrow]) -> Vec<String> {
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        arrows.iter().map(|arrow| (arrow.from.as_str(), reachable(arrows, &arrow.from))).collect();
    let together = |a: &str, b: &str| {
        reach.get(a).is_some_and(|r| r.contains(b)) && reach.get(b).is_some_and(|r| r.contains(a))
    };
    let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for arrow in arrows.iter().filter(|arrow| together(&arrow.from, &arrow.to)) {
        // Every circle goes by the first of its files.
        let first = reach.keys().find(|file| together(file, &arrow.from)).unwrap();
        let line = format!("  {}:{} -> {}", arrow.from, arrow.line, arrow.to);
        found.entry(first).or_default().push(line);
    }
    found.into_values().map(|lines| format!("a circle:\n{}", lines.join("\n"))).collect()
}

/// The files that a walk along arrows from `start` comes to.
fn reachable<'a>(arrows: &'a [Arrow], start: &str) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut next = vec![start];
    while let Some(file) = next.pop() {
        for arrow in arrows.iter().filter(|arrow| arrow.from == file) {
            if seen.insert(arrow.to.as_str()) {
                next.push(&arrow.to);
            }
        }
    }
    seen
}

/// The arrows of a crate with these files, `src/lib.rs` first.
fn of(files: &[(&str, &str)]) -> Vec<Arrow> {
    let read = |path: &str| files.iter().find(|(name, _)| *name == path).map(|(_, text)| *text);
    arrows(&modules("src/lib.rs", &read))
}

#[test]
fn circles_are_found() {
    let lib = ("src/lib.rs", "mod a; mod b; pub use a::f; pub use b::g;");
    let (a, b) = ("src/a.rs", "src/b.rs");
    let parent = |text| {
        [("src/lib.rs", "mod a;"), ("src/a/mod.rs", text), ("src/a/b.rs", "use super::f; fn g() { f() }")]
    };
    let bad: &[&[(&str, &str)]] = &[
        &[lib, (a, "use crate::b::g; fn f() {}"), (b, "use crate::a::f; fn g() {}")],
        // By the names that the root hands on, through `super`, in a group, under another name, or in the middle of code.
        &[lib, (a, "use crate::g; fn f() {}"), (b, "use crate::f; fn g() {}")],
        &[lib, (a, "use super::{b::{self, g as h}}; fn f() {}"), (b, "fn g() { crate::a::f() }")],
        &[lib, (a, "use crate::b; fn f() { b::g() }"), (b, "fn g(x: super::a::F) {}")],
        &[lib, (a, "macro_rules! m { () => { $crate::b::g() } }"), (b, "impl crate::a::F for G {}")],
        // In an inline module, and in code for one system.
        &[lib, (a, "mod inner { use super::super::b::g; } fn f() {}"), (b, "#[cfg(unix)] use crate::a::f;")],
        // A parent that uses what its child defines, whose child names what the parent defines.
        &parent("mod b; use b::g; fn f() {} fn h() { g() }"),
        &parent("mod b; pub fn f() {} fn h() { b::g() }"),
        &parent("mod b; pub(crate) use b::g; fn f() {} fn h() { g() }"),
        &parent("mod b; pub(crate) use self::b::g as k; fn f() {} fn h() { k() }"),
        // One name from two places, each for one system; code that is not for tests alone.
        &[
            lib,
            (a, "#[cfg(unix)] use crate::b::g; #[cfg(not(unix))] use g2::g; fn f() {}"),
            (b, "#[cfg(any(test, fuzzing))] fn g() { crate::a::f() } #[cfg(not(test))] use crate::a::f;"),
        ],
        // The longer way round.
        &[
            ("src/lib.rs", "mod a; mod b; mod c;"),
            (a, "use crate::b::g;"),
            (b, "use crate::c::h;"),
            ("src/c.rs", "use crate::a::f;"),
        ],
    ];
    for files in bad {
        let wrong = circles(&of(files));
        assert_eq!(wrong.len(), 1, "{files:?}: {wrong:?} of {:?}", of(files));
        assert!(wrong[0].starts_with("a circle:\n  src/"), "{wrong:?}");
    }
    let all = circles(&of(bad[0]));
    assert_eq!(all, ["a circle:\n  src/a.rs:1 -> src/b.rs\n  src/b.rs:1 -> src/a.rs"]);
}

#[test]
fn straight_ways_are_no_circles() {
    let (root, a, b) = ("src/lib.rs", "src/a.rs", "src/b.rs");
    let good: &[&[(&str, &str)]] = &[
        // A parent that only declares and hands on is nobody's neighbour, whatever its children take through it.
        &[
            (root, "pub mod a;"),
            ("src/a/mod.rs", "mod b; mod c; pub use b::g; pub use c::*; pub const K: u8 = 1;"),
            ("src/a/b.rs", "use super::{K, c::h}; pub fn g() { h(K) }"),
            ("src/a/c.rs", "pub fn h(x: u8) {}"),
        ],
        // One direction; the other is a comment, a text, a test, a visibility or another crate.
        &[
            (root, "mod a; mod b;"),
            (a, "use crate::b::g; pub fn f() {}"),
            (b, "//! See [`f`](crate::a::f).\npub(in crate::a) fn g() { \"crate::a::f\"; }"),
        ],
        &[
            (root, "mod a; mod b;"),
            (a, "use crate::b::g; pub fn f() {}"),
            (
                b,
                "pub fn g() {} #[cfg(test)] mod tests { use crate::a::f; } #[cfg(test)] use crate::a::f; \
                 #[cfg(all(test, unix))] fn t<A, B>() { crate::a::f() } struct S { #[cfg(test)] x: crate::a::F, y: u8 }",
            ),
        ],
        &[
            (root, "mod a; mod b;"),
            (a, "use crate::b::g; pub fn f() {}"),
            (b, "#[cfg(test)] mod tests; use a::f; pub fn g() {}"),
            ("src/b/tests.rs", "use crate::a::f;"),
        ],
        // A file and the module within it are one place.
        &[(root, "mod a;"), (a, "mod inner { use super::f; pub fn g() {} } fn f() { inner::g() }")],
    ];
    for files in good {
        assert_eq!(circles(&of(files)), Vec::<String>::new(), "{files:?}: {:?}", of(files));
    }
    assert_eq!(of(good[0]).len(), 2, "{:?}", of(good[0]));
}
