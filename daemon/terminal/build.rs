//! Finds out what is being built, for `--version`: the commit and its day, the target, the compiler and the profile.
//!
//! Two builds of one commit say the same, wherever they are made. The commit is what `POLYPORT_COMMIT` says, or git of this
//! checkout, or the file that `git archive` has written into a tarball; else it is unknown. The day is that of `SOURCE_DATE_EPOCH`, or of
//! the commit: never that of the build.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

/// Digits of a commit: enough to be the only one, and no more than one looks at.
const DIGITS: usize = 12;

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../..");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=archived");
    println!("cargo::rerun-if-env-changed=POLYPORT_COMMIT");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    // Who builds from a tarball may know the commit.
    let given = env::var("POLYPORT_COMMIT").ok().filter(|commit| !commit.is_empty());
    let (commit, day) = match given {
        Some(commit) => (Some(commit), None),
        None if is_checkout(&root) => checked_out(&root),
        None => archived(),
    };
    let day = epoch().or(day);
    println!("cargo::rustc-env=POLYPORT_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
    println!("cargo::rustc-env=POLYPORT_DAY={}", day.as_deref().unwrap_or("unknown"));
    for (name, variable) in
        [("POLYPORT_TARGET", "TARGET"), ("POLYPORT_PROFILE", "PROFILE"), ("POLYPORT_OPT_LEVEL", "OPT_LEVEL")]
    {
        println!("cargo::rustc-env={name}={}", env::var(variable).unwrap_or_default());
    }
    println!("cargo::rustc-env=POLYPORT_RUSTC={}", compiler().as_deref().unwrap_or("unknown"));
}

/// The commit of this checkout, with a `+` if there are changes beside it, and its day.
fn checked_out(root: &Path) -> (Option<String>, Option<String>) {
    // One of them changes with every commit and every checkout.
    for name in ["logs/HEAD", "HEAD"] {
        let path = git(root, &["rev-parse", "--git-path", name]).map(|path| root.join(path));
        if let Some(path) = path.filter(|path| path.exists()) {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    let digits = format!("--abbrev={DIGITS}");
    let commit = git(root, &["describe", "--always", "--dirty=+", "--exclude=*", &digits]);
    (
        commit,
        git(
            root,
            &[
                "show",
                "--no-patch",
                "--no-show-signature",
                "--date=format-local:%Y-%m-%d",
                "--format=%cd",
                "HEAD",
            ],
        ),
    )
}

/// What `git archive` has put in place of two words (`.gitattributes`): the commit and its day.
fn archived() -> (Option<String>, Option<String>) {
    let text = std::fs::read_to_string("archived").unwrap_or_default();
    let mut words = text.split_ascii_whitespace();
    let is_commit = |word: &&str| word.len() >= DIGITS && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    match words.next().filter(is_commit).and_then(|commit| commit.get(..DIGITS)) {
        Some(commit) => (Some(commit.to_owned()), words.next().map(str::to_owned)),
        None => (None, None),
    }
}

/// The day of `SOURCE_DATE_EPOCH`, as those say it who want the same bytes of every build.
fn epoch() -> Option<String> {
    let seconds = env::var("SOURCE_DATE_EPOCH").ok()?.parse().ok()?;
    let moment = UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
    humantime::format_rfc3339_seconds(moment).to_string().get(..10).map(str::to_owned)
}

/// What the compiler says of itself.
fn compiler() -> Option<String> {
    let output = Command::new(env::var_os("RUSTC")?).arg("--version").output().ok()?;
    line(output.stdout)?.strip_prefix("rustc ").map(str::to_owned)
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
    let output = Command::new("git")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("TZ", "UTC")
        .arg("-C")
        .arg(root)
        .args(args)
        .output()
        .ok()?;
    line(output.stdout).filter(|_| output.status.success())
}

/// The only line of an output.
fn line(output: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(output).ok()?;
    Some(text.trim_end_matches('\n').to_owned()).filter(|text| !text.is_empty() && !text.contains('\n'))
}
