//! Where a configuration comes from.

use std::fmt;
use std::path::PathBuf;

use polyport_terminal::Escaped;

/// Where a configuration comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Origin {
    /// What the program has built in.
    #[default]
    BuiltIn,
    /// Arguments of `--listen`.
    Arguments,
    /// A file.
    File {
        /// As it was named.
        path: PathBuf,
        /// Who named it.
        by: By,
    },
}

/// Who named a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// `-c`.
    Flag,
    /// `POLYPORT_CONFIG`.
    Variable,
    /// Nobody: it is in the working directory.
    WorkingDirectory,
    /// Nobody: it is the user's, `$XDG_CONFIG_HOME` or `~/.config`.
    User,
    /// Nobody: it is the system's, in `/etc`.
    System,
}

impl By {
    /// As it is told.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Flag => "-c",
            Self::Variable => "POLYPORT_CONFIG",
            Self::WorkingDirectory => "working directory",
            Self::User => "user",
            Self::System => "system",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built-in default"),
            Self::Arguments => f.write_str("--listen"),
            Self::File { path, by } => {
                write!(f, "{} ({})", Escaped(path.as_os_str().as_encoded_bytes()), by.words())
            }
        }
    }
}
