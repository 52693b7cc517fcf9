//! The fuzzer is a workspace of its own, so nobody who builds the project notices when its lock file is behind.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::scan::root;

const FUZZER: &str = "tests/fuzz/libfuzzer";

#[test]
fn the_lock_of_the_fuzzer_is_current() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--locked", "--offline", "--format-version", "1"]);
    let output = cargo.current_dir(root().join(FUZZER)).output().unwrap();
    // What has not been downloaded here is missing, which says nothing about the lock.
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("lock file"), "{stderr}");
}

/// What is fuzzed is what is shipped.
#[test]
fn the_fuzzer_locks_the_versions_of_the_project() {
    let versions = |path: &str| versions(&std::fs::read_to_string(root().join(path)).unwrap());
    let (ours, fuzzer) = (versions("Cargo.lock"), versions(&format!("{FUZZER}/Cargo.lock")));
    let differs = |(name, locked): &(&String, &BTreeSet<String>)| {
        ours.get(*name).is_some_and(|ours| !locked.is_subset(ours))
    };
    let wrong: Vec<_> = fuzzer.iter().filter(differs).collect();
    assert!(wrong.is_empty() && fuzzer.len() > 50, "{wrong:?}");
}

/// The versions of each package of a lock file.
fn versions(lock: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in lock.split("[[package]]\n").skip(1) {
        let field = |key: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            line.trim_matches(|c| " =\"".contains(c)).to_owned()
        };
        versions.entry(field("name")).or_default().insert(field("version"));
    }
    versions
}

#[test]
fn versions_are_read_from_a_lock() {
    let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"a\"\nversion = \"2.0.0\"\n";
    assert_eq!(versions(lock)["a"], BTreeSet::from(["1.0.0".to_owned(), "2.0.0".to_owned()]));
}
