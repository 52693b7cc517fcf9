//! `.ci/release`, in a small repository: what it refuses, and what it writes.

use std::fs;
use std::path::Path;
use std::process::Command;

use polyport_tests::plugins::repository;
use polyport_tests::tool::tool;

const REFUSED: i32 = 65;

/// A repository with one crate, the script, and a change that is in no release.
struct Small(tempfile::TempDir);

impl Small {
    fn new() -> Self {
        let small = Self(tempfile::tempdir().unwrap());
        for (name, text) in [
            (".gitignore", "target\n"),
            (
                "CHANGELOG.md",
                "# Changelog\n\n## Unreleased\n\n### Added\n\n- A thing.\n\n## [0.1.0] - 2026-01-01\n\n- Older.\n",
            ),
            (
                "Cargo.toml",
                "[workspace]\nresolver = \"3\"\nmembers = [\"a\"]\n\n[workspace.package]\nversion = \"0.1.0\"\n\n\
                 [workspace.dependencies]\na = { path = \"a\", version = \"0.1.0\" }\n",
            ),
            ("a/Cargo.toml", "[package]\nname = \"a\"\nversion.workspace = true\nedition = \"2024\"\n"),
            ("a/src/lib.rs", ""),
        ] {
            small.write(name, text);
        }
        fs::create_dir(small.path().join(".ci")).unwrap();
        fs::copy(repository().join(".ci/release"), small.path().join(".ci/release")).unwrap();
        small.does("cargo", &["generate-lockfile", "--offline", "--quiet"]);
        small.does("git", &["init", "--quiet"]);
        small.commit();
        small
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap()
    }

    fn commit(&self) {
        self.does("git", &["add", "."]);
        self.does("git", &["commit", "--quiet", "--message", "a state"]);
    }

    /// The code that a program ends with, and what it prints.
    fn runs(&self, program: &str, words: &[&str]) -> (Option<i32>, String) {
        let identity = ["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"];
        let output = Command::new(program)
            .args(words)
            .current_dir(self.path())
            .envs(identity.map(|name| (name, "nobody")))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env_remove("CARGO_TARGET_DIR")
            // As a hook has them, of the repository that it runs in.
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE")
            .env_remove("GIT_INDEX_FILE")
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    }

    #[track_caller]
    fn does(&self, program: &str, words: &[&str]) {
        let (code, said) = self.runs(program, words);
        assert_eq!(code, Some(0), "{program} {words:?}: {said}");
    }

    fn release(&self, words: &[&str]) -> (Option<i32>, String) {
        self.runs("bash", &[&[".ci/release"], words].concat())
    }

    #[track_caller]
    fn refuses(&self, words: &[&str], why: &str) {
        let (code, said) = self.release(words);
        assert!(code == Some(REFUSED) && said.contains(why), "{code:?}: {said}");
    }

    #[track_caller]
    fn releases(&self, words: &[&str]) -> String {
        let (code, said) = self.release(words);
        assert_eq!(code, Some(0), "{said}");
        said
    }
}

#[test]
fn a_release_is_prepared_checked_and_told() {
    if tool("git").is_none() {
        return;
    }
    let small = Small::new();
    small.refuses(&["0.2.0", "state"], "Cargo.toml says 0.1.0, and not 0.2.0");
    small.refuses(&["prepare", "0.1.0"], "says 0.1.0 already");
    small.releases(&["prepare", "0.2.0"]);
    assert!(!small.read("Cargo.toml").contains("0.1.0"), "{}", small.read("Cargo.toml"));
    assert!(small.read("Cargo.lock").contains("version = \"0.2.0\""));
    assert!(
        small.read("CHANGELOG.md").contains("## Unreleased\n\n## [0.2.0] - 20"),
        "{}",
        small.read("CHANGELOG.md")
    );
    small.refuses(&["0.2.0", "state"], "something that is in no commit");
    small.commit();
    let said = small.releases(&["0.2.0", "state", "notes", "left"]);
    assert!(said.contains("git tag --sign"), "{said}");
    // The text of this release, and of no other.
    assert_eq!(small.read("target/release-0.2.0/NOTES.md"), "### Added\n\n- A thing.\n\n");
    small.refuses(&["0.2.0", "package"], "no daemon/packaging/build");
}

#[test]
fn whatever_contradicts_the_release_is_named() {
    if tool("git").is_none() {
        return;
    }
    let small = Small::new();
    small.releases(&["prepare", "0.2.0"]);
    small.commit();
    let good = small.read("CHANGELOG.md");
    let day = good.lines().find_map(|line| line.strip_prefix("## [0.2.0] - ")).unwrap();
    for (from, to, why) in [
        ("## Unreleased\n", "## Unreleased\n\n- One more.\n", "is in no release"),
        (day, "9999-01-01", "is still to come"),
        (day, "soon", "has no heading: ## [0.2.0] - YYYY-MM-DD"),
        ("### Added\n\n- A thing.\n", "", "says nothing of 0.2.0"),
    ] {
        small.write("CHANGELOG.md", &good.replace(from, to));
        small.commit();
        small.refuses(&["0.2.0", "state"], why);
    }
    small.write("CHANGELOG.md", &good);
    small.commit();
    small.does("git", &["tag", "v0.2.0"]);
    small.releases(&["0.2.0", "state"]);
    let lock = small.read("Cargo.lock");
    small.write("Cargo.lock", &lock.replace("0.2.0", "0.1.0"));
    small.commit();
    small.refuses(&["0.2.0", "state"], "Cargo.lock is not what Cargo.toml asks for");
    small.write("Cargo.lock", &lock);
    small.write("a/src/lib.rs", "//! Another commit.\n");
    small.commit();
    small.refuses(&["0.2.0", "state"], "v0.2.0 is another commit");
}
