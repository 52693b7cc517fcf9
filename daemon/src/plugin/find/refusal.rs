//! Why a library is not loaded: what differs, and what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use polyport_terminal::counted;

use super::trust::Distrust;

/// Bytes of a library file, which is held in memory while it is checked and copied: a plugin with all its symbols has some
/// 50 MiB, and a file without an end must not take the memory of the daemon.
pub(in crate::plugin) const MAX_LIBRARY_BYTES: u64 = 256 << 20;

/// Why a plugin was not loaded, and which.
#[derive(Debug)]
pub struct Refusal {
    /// The file, or the name if no file was found.
    pub path: PathBuf,
    /// What is wrong with the file.
    pub cause: Cause,
}

/// What is wrong with a library. Its text says what differs, and what to do about it where that is not plain.
#[derive(Debug)]
#[expect(missing_docs, reason = "the texts below say what each variant and field is")]
pub enum Cause {
    NotFound { searched: Vec<(PathBuf, Option<io::Error>)>, built_in: Vec<String>, nearest: Option<String> },
    Unreadable(io::Error),
    Untrusted(Distrust),
    ByCaller,
    NotALibrary(&'static str),
    Truncated { len: usize },
    TooLarge,
    OtherMachine { built_for: String, host: &'static str },
    NoIdentity,
    ManyIdentities(usize),
    OtherMajor { name: String, version: String, major: u16, minor: u16 },
    NeedsNewerHost { name: String, version: String, minor: u16 },
    OtherLayout { name: String, version: String, layout: u32 },
    NoStage { tried: Vec<(PathBuf, String)> },
    Beside(PathBuf, String),
    Linker(String),
    NoSymbol(String),
    NotFresh,
    ShortTable { size: usize, needed: usize },
    MissingFunction(&'static str),
    UnknownOptionType { option: String, kind: u32 },
    BadOptionTable(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.cause)
    }
}

impl std::error::Error for Refusal {}

impl Cause {
    /// What to do about it, where the text does not say so.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        if let Self::Untrusted(distrust) = self { Some(distrust.remedy()) } else { None }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use polyport_abi::{ABI_MAJOR, ABI_MINOR, LAYOUT};
        match self {
            Self::NotFound { searched, built_in, nearest } => {
                f.write_str("no such plugin; looked in ")?;
                for (i, (dir, error)) in searched.iter().enumerate() {
                    write!(f, "{}{}", if i == 0 { "" } else { ", " }, dir.display())?;
                    if let Some(error) = error {
                        write!(f, " ({error})")?;
                    }
                }
                if !built_in.is_empty() {
                    write!(f, "; built in are {}", built_in.join(", "))?;
                }
                match nearest {
                    Some(name) => write!(f, "; there is a plugin `{name}`"),
                    None => f.write_str("; give its directory with --plugin-dir or POLYPORT_PLUGIN_PATH"),
                }
            }
            Self::Unreadable(e) => write!(f, "cannot be read: {e}"),
            Self::Untrusted(distrust) => distrust.fmt(f),
            Self::ByCaller => f.write_str(
                "polyport has more rights than its caller (set-user-ID, set-group-ID or file capabilities), who must not \
                 choose what it runs: only plugins beside the executable, in its deps and in ../lib/polyport are loaded",
            ),
            Self::NotALibrary(what) => write!(f, "not a shared library ({what})"),
            Self::Truncated { len } => {
                let len = counted(*len, "byte", "bytes");
                write!(f, "the file ends too early, at {len}; copy or build it again")
            }
            Self::TooLarge => {
                write!(f, "longer than {MAX_LIBRARY_BYTES} bytes; take symbols for debugging out of it (strip(1))")
            }
            Self::OtherMachine { built_for, host } => {
                write!(f, "built for {built_for}, this host is {host}; build it for this machine")
            }
            Self::NoIdentity => f.write_str(
                "not a polyport plugin (no POLYPORT-PLUGIN1 in it); is `export_plugin!` or `polyport_plugin_v1` missing?",
            ),
            Self::ManyIdentities(n) => {
                write!(
                    f,
                    "{n} plugin identities in one library, where one belongs; a program with plugins built in is not a library"
                )
            }
            Self::OtherMajor { name, version, major, minor } => write!(
                f,
                "plugin {name} {version} speaks plugin ABI {major}.{minor}, this polyport speaks {ABI_MAJOR}.{ABI_MINOR}; \
                 rebuild it with polyport-plugin {ABI_MAJOR}.x"
            ),
            Self::NeedsNewerHost { name, version, minor } => write!(
                f,
                "plugin {name} {version} needs plugin ABI {ABI_MAJOR}.{minor} or later, this polyport has \
                 {ABI_MAJOR}.{ABI_MINOR}; upgrade polyport"
            ),
            Self::OtherLayout { name, version, layout } => write!(
                f,
                "plugin {name} {version} was compiled with another struct layout ({layout:#010x}, expected \
                 {LAYOUT:#010x}); check -fpack-struct and -m32"
            ),
            Self::NoStage { tried } => {
                f.write_str("no directory for the private copy;")?;
                for (dir, e) in tried {
                    write!(f, " {}: {e};", dir.display())?;
                }
                f.write_str(" set RUNTIME_DIRECTORY to a directory that is writable and not mounted noexec")
            }
            Self::Beside(path, why) => write!(f, "the library {} that it brings: {why}", path.display()),
            Self::Linker(text) => f.write_str(text),
            Self::NoSymbol(text) => {
                write!(f, "symbol polyport_plugin_v1 is not exported ({text}); export it with default visibility")
            }
            Self::NotFresh => f.write_str("the dynamic linker gave a library that is already loaded"),
            Self::ShortTable { size, needed } => {
                let size = counted(*size, "byte", "bytes");
                write!(f, "its pp_plugin has {size}, at least {needed} are needed; check `.size`")
            }
            Self::MissingFunction(name) => write!(f, "required function {name} is NULL; fill it in"),
            Self::UnknownOptionType { option, kind } => {
                write!(f, "option {option} has type {kind}, which this polyport does not know; upgrade polyport")
            }
            Self::BadOptionTable(text) => write!(f, "its option table is broken: {text}"),
        }
    }
}
