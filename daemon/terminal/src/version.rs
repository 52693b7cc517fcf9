//! What `--version` says.

use std::fmt::{self, Display};

/// What was built: the version of the package, the commit, whatever else tells one build from another, and the target.
#[derive(Clone, Copy, Debug)]
pub struct Version<T> {
    /// Version of the package.
    pub package: &'static str,
    /// What else tells builds of this program apart; may be empty.
    pub more: T,
}

/// The commit that was built, with a `+` if there were changes beside it; `unknown` outside of a checkout.
const COMMIT: &str = env!("POLYPORT_COMMIT");
/// The target triple that it was built for.
const TARGET: &str = env!("POLYPORT_TARGET");

impl<T: Display> Display for Version<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = self.more.to_string();
        let comma = if more.is_empty() { "" } else { ", " };
        write!(f, "{} (commit {COMMIT}, {more}{comma}{TARGET})", self.package)
    }
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
}
