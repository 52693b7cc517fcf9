//! The manifests and the files of the packages. `.ci/run crates` builds and tests what is in them.

use std::collections::BTreeSet;
use std::fs;

use cargo_metadata::{Metadata, MetadataCommand, Package};
use polyport_tests::plugins::repository;

use crate::{SHARED, Shared, cargo, printed};

/// Bounds of crates.io: words that a search finds, and letters of each.
const MOST_KEYWORDS: usize = 5;
const LONGEST_KEYWORD: usize = 20;
/// A package without pictures, corpora or books.
const MOST_BYTES: u64 = 600 * 1024;

fn workspace() -> Metadata {
    MetadataCommand::new()
        .manifest_path(repository().join("Cargo.toml"))
        .cargo_path(env!("CARGO"))
        .no_deps()
        .exec()
        .unwrap()
}

#[track_caller]
fn package_of<'m>(metadata: &'m Metadata, shared: &Shared) -> &'m Package {
    metadata.packages.iter().find(|package| package.name.as_str() == shared.package).unwrap()
}

#[test]
fn these_may_be_published_and_nothing_else() {
    let metadata = workspace();
    // An empty list of registries is `publish = false`.
    let may =
        metadata.packages.iter().filter(|package| package.publish.as_ref().is_none_or(|to| !to.is_empty()));
    let may: BTreeSet<&str> = may.map(|package| package.name.as_str()).collect();
    assert_eq!(may, SHARED.iter().map(|shared| shared.package).collect());
}

#[test]
fn their_manifests_say_what_a_registry_shows() {
    let metadata = workspace();
    for shared in &SHARED {
        let package = package_of(&metadata, shared);
        let name = shared.package;
        assert!(package.description.as_ref().is_some_and(|text| text.len() > 30), "{name}");
        assert_eq!(package.documentation.as_deref(), Some(&*format!("https://docs.rs/{name}")));
        assert!((3..=MOST_KEYWORDS).contains(&package.keywords.len()), "{name}: {:?}", package.keywords);
        let long = package.keywords.iter().find(|word| word.len() > LONGEST_KEYWORD);
        assert_eq!(long, None, "{name}");
        assert!((1..=MOST_KEYWORDS).contains(&package.categories.len()), "{name}: {:?}", package.categories);
        let lowest = package.rust_version.as_ref().expect(name);
        let readme = fs::read_to_string(shared.file("README.md")).unwrap();
        let stated = format!("Rust {}.{}", lowest.major, lowest.minor);
        assert!(readme.contains(&stated), "{name}: README.md does not say {stated}");
        assert!(readme.contains("\n```rust"), "{name}: README.md has no example");
    }
}

/// A package that depends on what nobody can get is no package. Tests may: cargo leaves such a dependency out, and so the test that
/// needs it must not be in the package.
#[test]
fn they_depend_on_each_other_by_version_and_on_nothing_else_of_the_repository() {
    let metadata = workspace();
    for shared in &SHARED {
        for dependency in &package_of(&metadata, shared).dependencies {
            if dependency.path.is_none() {
                continue;
            }
            let known = SHARED.iter().any(|other| other.package == dependency.name);
            assert!(known, "{} depends on {}, which is not published", shared.package, dependency.name);
            let version = &package_of(&metadata, shared).version;
            assert!(dependency.req.matches(version), "{}: {}", shared.package, dependency.req);
            assert_ne!(
                dependency.req.to_string(),
                "*",
                "{}: {} has no version",
                shared.package,
                dependency.name
            );
        }
    }
}

#[test]
fn their_packages_have_licences_readme_and_sources_and_nothing_that_is_large() {
    for shared in &SHARED {
        let listed =
            printed(&mut cargo(&["package", "--offline", "--list", "--allow-dirty", "-p", shared.package]));
        let files: BTreeSet<&str> = listed.lines().collect();
        for file in ["LICENSE-APACHE", "LICENSE-MIT", "README.md", "src/lib.rs", "Cargo.toml"] {
            assert!(files.contains(file), "{}: no {file} in {files:?}", shared.package);
        }
        // What cargo makes itself is not there: the lock file and the manifest as it was.
        let size = |file: &&str| fs::metadata(shared.file(file)).map_or(0, |about| about.len());
        let bytes: u64 = files.iter().map(size).sum();
        assert!(bytes < MOST_BYTES, "{}: {bytes} bytes in {files:?}", shared.package);
    }
    for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
        let ours = fs::read(repository().join(licence)).unwrap();
        let same = SHARED.iter().all(|shared| fs::read(shared.file(licence)).is_ok_and(|text| text == ours));
        assert!(same, "{licence}");
    }
}
