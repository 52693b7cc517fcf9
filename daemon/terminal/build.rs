//! Finds out what is being built, for `--version`: the commit, if this is a checkout, and the target.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Digits of a commit: enough to be the only one, and no more than one looks at.
const DIGITS: &str = "--abbrev=12";

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../..");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=POLYPORT_COMMIT");
    // Who builds from a tarball may know the commit.
    let given = env::var("POLYPORT_COMMIT").ok().filter(|commit| !commit.is_empty());
    let commit = given.or_else(|| {
        if !is_checkout(&root) {
            return None;
        }
        // One of them changes with every commit and every checkout.
        for name in ["logs/HEAD", "HEAD"] {
            let path = git(&root, &["rev-parse", "--git-path", name]).map(|path| root.join(path));
            if let Some(path) = path.filter(|path| path.exists()) {
                println!("cargo::rerun-if-changed={}", path.display());
            }
        }
        git(&root, &["describe", "--always", "--dirty=+", "--exclude=*", DIGITS])
    });
    println!("cargo::rustc-env=POLYPORT_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
    println!("cargo::rustc-env=POLYPORT_TARGET={}", env::var("TARGET").unwrap_or_default());
}

/// Whether `root` is the top of a checkout: a tarball may lie within somebody else's.
fn is_checkout(root: &Path) -> bool {
    let top =
        git(root, &["rev-parse", "--show-toplevel"]).and_then(|top| PathBuf::from(top).canonicalize().ok());
    top.is_some() && top == root.canonicalize().ok()
}

/// The only line that git prints; none if it is not there, or refuses.
fn git(root: &Path, args: &[&str]) -> Option<String> {
    // Looking must not write.
    let output =
        Command::new("git").env("GIT_OPTIONAL_LOCKS", "0").arg("-C").arg(root).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(text.trim_end_matches('\n').to_owned()).filter(|text| !text.is_empty() && !text.contains('\n'))
}
