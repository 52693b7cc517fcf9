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

use crate::modules::{Arrow, arrows, modules};
use crate::scan::{files, root};
use cargo_metadata::{MetadataCommand, TargetKind};
use std::collections::{BTreeMap, BTreeSet};

/// Arrows that close a circle and are still there, each with what stands in the way. The list only gets shorter: an
/// entry that closes no circle any more fails the test.
const KNOWN: &[(&str, &str, &str)] = &[];

#[test]
fn files_of_a_crate_name_each_other_in_one_direction() {
    let sources: BTreeMap<String, String> = files(&["rs"]).into_iter().collect();
    let read = |path: &str| sources.get(path).map(String::as_str);
    let roots = roots();
    assert!(roots.iter().any(|root| root == "daemon/src/lib.rs"), "{roots:?}");
    let all: Vec<Arrow> = roots.iter().flat_map(|root| arrows(&modules(root, &read))).collect();
    assert!(all.len() > 200, "only {} arrows", all.len());
    let wrong = check(&all, KNOWN);
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

/// What is wrong with the arrows: a circle that is not known, or a known arrow that closes none.
fn check(all: &[Arrow], known: &[(&str, &str, &str)]) -> Vec<String> {
    let is_known = |arrow: &&Arrow| {
        known.iter().any(|(from, to, _)| (arrow.from.as_str(), arrow.to.as_str()) == (*from, *to))
    };
    let rest: Vec<&Arrow> = all.iter().filter(|arrow| !is_known(arrow)).collect();
    let mut wrong: Vec<String> = circles(&rest);
    for (from, to, _) in known {
        let there = all.iter().any(|arrow| (arrow.from.as_str(), arrow.to.as_str()) == (*from, *to));
        if !there || !reachable(&rest, to).contains(from) {
            wrong.push(format!("{from} -> {to} closes no circle any more: take it out of KNOWN"));
        }
    }
    wrong
}

/// The circles, each as the arrows between its files.
fn circles(arrows: &[&Arrow]) -> Vec<String> {
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
fn reachable<'a>(arrows: &[&'a Arrow], start: &str) -> BTreeSet<&'a str> {
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

/// The arrows of a crate with these files.
#[cfg(test)]
fn of(files: &[(&str, &str)]) -> Vec<Arrow> {
    let read = |path: &str| files.iter().find(|(name, _)| *name == path).map(|(_, text)| *text);
    arrows(&modules("src/lib.rs", &read))
}
