//! How a case ends before its end.

use std::io;

/// Why a case has ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The plugin has broken a rule.
    Broken {
        /// Its number in `plugins/ABI.md`.
        rule: &'static str,
        /// What the plugin did.
        what: String,
    },
    /// The case says nothing about this plugin.
    Skipped(String),
    /// The case cannot be run, whatever the plugin does.
    Trouble(String),
}

/// What a case comes to.
pub(super) type Verdict = Result<(), End>;

/// A broken rule.
pub(super) fn broken<T>(rule: &'static str, what: impl Into<String>) -> Result<T, End> {
    Err(End::Broken { rule, what: what.into() })
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Trouble(format!("the system refuses what the case needs: {error}"))
    }
}
