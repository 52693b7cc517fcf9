//! What is to be given up, and what stays.

use std::fmt;
use std::path::PathBuf;

/// What the process is to give up.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Who is to serve; `None` is who started the process.
    pub identity: Option<Identity>,
    /// Capabilities.
    pub capabilities: Layer,
    /// System calls.
    pub seccomp: Layer,
    /// Files.
    pub landlock: Layer,
    /// Internet sockets may be opened.
    pub network: bool,
    /// UDP sockets may be opened, for the sessions of handlers.
    pub sessions: bool,
    /// What may be read besides what every program reads.
    pub read: Vec<PathBuf>,
    /// What may be written and read; in a directory files may be made, renamed and removed.
    pub write: Vec<PathBuf>,
    /// What of this the operator has asked for, in words.
    pub allowed: Vec<String>,
    /// What may be read, if it is there, to reload the configuration and plugins.
    pub again: Vec<PathBuf>,
    /// Directories in which files of this process lie that are removed at the end; nothing is made there.
    pub removable: Vec<PathBuf>,
    /// Where the private copies of libraries are, which are read for backtraces and removed at the end.
    pub copies: Vec<PathBuf>,
}

impl Policy {
    /// Whether nothing is to be given up.
    #[must_use]
    pub fn is_off(&self) -> bool {
        let layers = [self.capabilities, self.seccomp, self.landlock];
        self.identity.is_none() && layers.iter().all(|layer| *layer == Layer::Off)
    }

    /// Whether the process could open no sockets for sessions, once it is in force.
    #[must_use]
    pub fn refuses_sessions(&self) -> bool {
        self.seccomp != Layer::Off && !self.network && !self.sessions
    }
}

/// Whether a layer is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layer {
    /// It is not.
    Off,
    /// If the system has it.
    #[default]
    IfPossible,
    /// The process must not go on without it.
    Required,
}

/// A user with a group, as numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// As a person knows the user.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Whether the user database knows the user, and so his other groups.
    pub is_known: bool,
}

/// Who serves, as files know users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups {
    /// As a person knows the user.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Group ids.
    pub gids: Vec<u32>,
    /// Whether modes of files do not matter: root with capabilities.
    pub everything: bool,
}

/// What a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the keys")]
pub enum Part {
    User,
    Group,
    Capabilities,
    Seccomp,
    Landlock,
}

/// Why the process must not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What it is about.
    pub part: Part,
    /// Why, in words.
    pub why: String,
}

impl Refusal {
    pub(super) fn new(part: Part, why: impl Into<String>) -> Self {
        Self { part, why: why.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Refusal {}
