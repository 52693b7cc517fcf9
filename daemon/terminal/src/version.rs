//! What `--version` says: a line, and with `--verbose` all that tells one build from another.

use std::ffi::OsStr;
use std::fmt::{self, Display};

use clap::{Arg, ArgAction};

/// What was built: the version of the package, the commit, whatever else tells one build from another, and the target.
#[derive(Clone, Copy, Debug)]
pub struct Version<T> {
    /// Version of the package.
    pub package: &'static str,
    /// What else tells builds of this program apart; may be empty.
    pub more: T,
}

/// The commit that was built, with a `+` if there were changes beside it; `unknown` outside of a checkout.
pub const COMMIT: &str = env!("POLYPORT_COMMIT");
/// The day of that commit, as 2026-11-30; `unknown` where nothing says it.
pub const DAY: &str = env!("POLYPORT_DAY");
/// The target triple that it was built for.
const TARGET: &str = env!("POLYPORT_TARGET");

impl<T: Display> Display for Version<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = self.more.to_string();
        let comma = if more.is_empty() { "" } else { ", " };
        write!(f, "{} (commit {COMMIT}, {more}{comma}{TARGET})", self.package)
    }
}

/// The lines of `--version --verbose` below the first one: those of every program, and `more` of this one. Each has a name and a
/// value, as those of `rustc --version --verbose` do.
#[must_use]
pub fn build_facts(more: &[(&str, String)]) -> String {
    let profile = format!("{}, opt-level {}", env!("POLYPORT_PROFILE"), env!("POLYPORT_OPT_LEVEL"));
    let changes = if COMMIT.ends_with('+') { ", with changes that are in no commit" } else { "" };
    let facts = [
        ("commit", format!("{}{changes}", COMMIT.trim_end_matches('+'))),
        ("commit-date", DAY.to_owned()),
        ("target", TARGET.to_owned()),
        ("rustc", env!("POLYPORT_RUSTC").to_owned()),
        ("profile", profile),
    ];
    let lines = facts.iter().map(|(name, value)| (*name, value)).chain(more.iter().map(|(n, v)| (*n, v)));
    lines.map(|(name, value)| format!("{name}: {value}\n")).collect()
}

/// The flag that asks for the version.
#[must_use]
pub fn version_flag() -> Arg {
    Arg::new("version")
        .short('V')
        .long("version")
        .action(ArgAction::Version)
        .help("Print version; with --verbose, all that tells this build from others")
}

/// Whether `--verbose` stands on a command line that asks for the version.
pub fn wants_build_facts<S: AsRef<OsStr>>(args: &[S]) -> bool {
    let all = args.iter().skip(1).map(|arg| arg.as_ref().as_encoded_bytes());
    all.into_iter().any(|arg| matches!(arg, b"--verbose" | b"-v" | b"-vV" | b"-Vv"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_names_the_commit_and_the_target() {
        let shown = Version { package: "1.2.3", more: "a flavour" }.to_string();
        assert_eq!(shown, format!("1.2.3 (commit {COMMIT}, a flavour, {TARGET})"));
        assert!(!Version { package: "1", more: "" }.to_string().contains(", ,"));
        // Of whatever kind the tree is that was built, the commit is one word.
        assert!(
            COMMIT == "unknown" || COMMIT.trim_end_matches('+').bytes().all(|b| b.is_ascii_alphanumeric())
        );
        assert!(TARGET.contains(std::env::consts::ARCH.trim_start_matches("x86")), "{TARGET}");
    }

    #[test]
    fn every_fact_of_a_build_is_a_line() {
        let facts = build_facts(&[("abi", "1.3".to_owned())]);
        let names: Vec<&str> =
            facts.lines().filter_map(|line| line.split_once(": ")).map(|(n, _)| n).collect();
        assert_eq!(names, ["commit", "commit-date", "target", "rustc", "profile", "abi"]);
        assert!(facts.contains("rustc: 1.") && facts.contains(", opt-level "), "{facts}");
        assert!(DAY == "unknown" || DAY.len() == "2026-11-30".len(), "{DAY}");
    }

    #[test]
    fn verbose_is_seen_before_and_behind() {
        let wants = |args: &[&str]| wants_build_facts(args);
        assert!(wants(&["x", "--version", "--verbose"]) && wants(&["x", "-v", "-V"]) && wants(&["x", "-vV"]));
        assert!(!wants(&["--verbose", "--version"]) && !wants(&["x", "--version"]));
    }
}
