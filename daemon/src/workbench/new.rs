//! A project to begin with: it builds, passes its own test and serves at once.

use std::env::consts::DLL_SUFFIX;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use polyport_terminal::shell_word;

use super::list::shown;
use super::sources::Bench;
use crate::plugin::is_elevated;

/// The language of a new plugin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// With the crate `polyport-plugin`.
    #[default]
    Rust,
    /// C11 with the header alone.
    C,
}

/// A file of a project: its path, and its text with placeholders.
type Template = (&'static str, &'static str);

/// Those that `cargo generate` takes as well.
const RUST: &[Template] = &[
    ("Cargo.toml", include_str!("../../../examples/plugins/template/Cargo.toml.liquid")),
    ("src/lib.rs", include_str!("../../../examples/plugins/template/src/lib.rs.liquid")),
    ("polyport.toml", include_str!("../../../examples/plugins/template/polyport.toml.liquid")),
    ("README.md", include_str!("../../../examples/plugins/template/README.md.liquid")),
    (".gitignore", include_str!("../../../examples/plugins/template/.gitignore.liquid")),
];

const C: &[Template] = &[
    ("{{crate_name}}.c", include_str!("templates/c/plugin.c.in")),
    ("{{crate_name}}_test.c", include_str!("templates/c/test.c.in")),
    ("polyport_plugin.h", include_str!("../../../plugins/abi/include/polyport_plugin.h")),
    ("Makefile", include_str!("templates/c/Makefile.in")),
    ("polyport.toml", include_str!("templates/c/polyport.toml.in")),
    ("README.md", include_str!("templates/c/README.md.in")),
    (".gitignore", include_str!("templates/c/gitignore.in")),
];

/// Bytes of a plugin's name, which has its place in 256 bytes of identity.
const LONGEST_NAME: usize = 39;

/// Words that are no identifiers in one of the two languages, and names of crates that every program has.
const RESERVED: &[&str] = &[
    "abstract",
    "alignas",
    "alignof",
    "alloc",
    "as",
    "async",
    "auto",
    "await",
    "become",
    "bool",
    "box",
    "break",
    "case",
    "char",
    "const",
    "constexpr",
    "continue",
    "core",
    "crate",
    "default",
    "do",
    "double",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "float",
    "fn",
    "for",
    "gen",
    "goto",
    "if",
    "impl",
    "in",
    "inline",
    "int",
    "let",
    "long",
    "loop",
    "macro",
    "main",
    "match",
    "mod",
    "move",
    "mut",
    "nullptr",
    "override",
    "priv",
    "pub",
    "ref",
    "register",
    "restrict",
    "return",
    "self",
    "short",
    "signed",
    "sizeof",
    "static",
    "std",
    "struct",
    "super",
    "switch",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typedef",
    "typeof",
    "union",
    "unsafe",
    "unsigned",
    "unsized",
    "use",
    "virtual",
    "void",
    "volatile",
    "where",
    "while",
    "yield",
];

/// A project that was made.
#[derive(Debug)]
pub struct Project {
    dir: PathBuf,
    files: Vec<String>,
    language: Language,
    /// The SDK that it is built with.
    sdk: Option<PathBuf>,
}

/// Why there is no project.
#[derive(Debug)]
pub enum NewError {
    /// No plugin may be called so; why not.
    Name(String),
    /// Something is there already.
    Exists(PathBuf),
    /// The SDK is not where it was looked for.
    NoSdk(String),
    /// Something could not be made.
    Io(PathBuf, io::Error),
    /// The program has more rights than who started it.
    Elevated,
}

impl fmt::Display for NewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(why) => f.write_str(why),
            Self::Exists(path) => {
                write!(f, "{} is there already, and nothing is overwritten: name another place with --path", shown(path))
            }
            Self::NoSdk(why) => f.write_str(why),
            Self::Io(path, error) => write!(f, "{} cannot be made: {error}", shown(path)),
            Self::Elevated => f.write_str(
                "polyport has more rights than its caller (set-user-ID, set-group-ID or file capabilities), and makes no files \
                 for them",
            ),
        }
    }
}

/// Makes a project in `dir`, which must not be there. `sdk` is the folder of the crate `polyport-plugin`; without it, the one
/// of the checkout is taken that the executable or the working directory lies in.
///
/// # Errors
/// See [`NewError`]; what was made until then stays.
pub fn create(
    bench: &Bench,
    name: &str,
    language: Language,
    dir: &Path,
    sdk: Option<&Path>,
) -> Result<Project, NewError> {
    if is_elevated() {
        return Err(NewError::Elevated);
    }
    check_name(name).map_err(NewError::Name)?;
    if bench.loader().built_in_names().any(|other| other == name) {
        return Err(NewError::Name(format!("the plugin `{name}` is built in: take another name")));
    }
    let sdk = (language == Language::Rust).then(|| find_sdk(sdk)).transpose()?;
    // The directory itself must be new: then nothing of anybody can be in the way.
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent).map_err(|error| NewError::Io(parent.to_path_buf(), error))?;
    }
    fs::create_dir(dir).map_err(|error| {
        let there = error.kind() == io::ErrorKind::AlreadyExists;
        if there { NewError::Exists(dir.to_path_buf()) } else { NewError::Io(dir.to_path_buf(), error) }
    })?;
    let fill = |text: &str| {
        let sdk = sdk.as_deref().map(Path::to_string_lossy).unwrap_or_default();
        let sdk = format!("{{ path = \"{}\" }}", sdk.replace('\\', "\\\\").replace('"', "\\\""));
        text.replace("{{project-name}}", name)
            .replace("{{crate_name}}", &name.replace('-', "_"))
            .replace("{{suffix}}", DLL_SUFFIX)
            .replace("{{version}}", env!("CARGO_PKG_VERSION"))
            .replace("{{sdk}}", &sdk)
    };
    let mut files = Vec::new();
    for (path, text) in if language == Language::Rust { RUST } else { C } {
        let path = fill(path);
        let at = dir.join(&path);
        write_new(&at, &fill(text)).map_err(|error| NewError::Io(at, error))?;
        files.push(path);
    }
    Ok(Project { dir: dir.to_path_buf(), files, language, sdk })
}

/// Writes a file that was not there.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    File::create_new(path)?.write_all(text.as_bytes())
}

/// Why no plugin may be called so.
fn check_name(name: &str) -> Result<(), String> {
    let rule = "a plugin's name has lower-case letters, digits and single `-`, and begins with a letter, such as `my-echo`";
    let parts_are_plain = name
        .split('-')
        .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
    if !parts_are_plain || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Err(rule.to_owned());
    }
    if name.len() > LONGEST_NAME {
        return Err(format!("a plugin's name has at most {LONGEST_NAME} characters"));
    }
    if RESERVED.contains(&name) {
        return Err(format!("`{name}` is a word of Rust or C that nothing may be called: take another name"));
    }
    match name.strip_prefix("polyport-") {
        Some(short) => {
            Err(format!("the library of `{name}` would be found as `{short}`: leave the `polyport-` out"))
        }
        None => Ok(()),
    }
}

/// The folder of the SDK: the given one, or that of the checkout which the executable or the working directory lies in.
fn find_sdk(given: Option<&Path>) -> Result<PathBuf, NewError> {
    let is_sdk = |dir: &Path| {
        let manifest = fs::read_to_string(dir.join("Cargo.toml")).unwrap_or_default();
        manifest.lines().any(|line| line.trim() == "name = \"polyport-plugin\"")
    };
    if let Some(dir) = given {
        // A checkout is meant as well as the folder in it.
        let found = [dir.to_path_buf(), dir.join("plugins/sdk")].into_iter().find(|dir| is_sdk(dir));
        let found = found.and_then(|dir| fs::canonicalize(dir).ok());
        return found.ok_or_else(|| {
            NewError::NoSdk(format!(
                "there is no crate polyport-plugin in {}, nor in its plugins/sdk",
                shown(dir)
            ))
        });
    }
    let starts = [std::env::current_exe(), std::env::current_dir()].into_iter().flatten();
    let real = starts.filter_map(|start| fs::canonicalize(start).ok());
    let above: Vec<PathBuf> = real
        .flat_map(|start| start.ancestors().map(|dir| dir.join("plugins/sdk")).collect::<Vec<_>>())
        .collect();
    above.into_iter().find(|dir| is_sdk(dir)).ok_or_else(|| {
        NewError::NoSdk(
            "neither this polyport nor the working directory lies in a checkout of polyport, where the crate polyport-plugin \
             would be, which no registry has: name one with --sdk DIR, or write it in C (--lang c), which needs a header alone"
                .to_owned(),
        )
    })
}

impl fmt::Display for Project {
    /// What was made, and what to do with it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "made {}: {}", shown(&self.dir), self.files.join(", "))?;
        if let Some(sdk) = &self.sdk {
            writeln!(f, "it is built with polyport-plugin {} in {}", env!("CARGO_PKG_VERSION"), shown(sdk))?;
        }
        let (test, build) = match self.language {
            Language::Rust => ("cargo test", "cargo build --release"),
            Language::C => ("make test", "make"),
        };
        write!(f, "\n  cd {}\n  {test}\n  {build}\n  polyport run -c polyport.toml", shell_word(&self.dir))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_both_languages_and_the_search_path_take() {
        for name in ["hello", "my-echo-2", "a"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in [
            "",
            "2fast",
            "-x",
            "x-",
            "a--b",
            "My",
            "a_b",
            "a.b",
            "../x",
            "a b",
            "é",
            "fn",
            "void",
            "test",
            "polyport-x",
            "long-long-long-long-long-long-long-long-x",
        ] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert!(RESERVED.is_sorted(), "a list that is searched by people");
    }

    /// The names in braces are all of liquid that is there, so what `cargo generate` makes of the files in Rust is the same.
    #[test]
    fn every_placeholder_is_known() {
        let settings = include_str!("../../../examples/plugins/template/cargo-generate.toml");
        for (path, text) in RUST.iter().chain(C) {
            assert!(!text.contains("{%") && !text.contains("{{-"), "{path}");
            // What cargo-generate knows by itself, what its file asks for, and what only files in C have.
            let in_rust = RUST.iter().any(|(_, other)| other == text);
            let mut pieces = text.split("{{");
            assert!(!pieces.next().unwrap_or_default().contains("}}"), "{path}");
            for piece in pieces {
                let (name, rest) = piece.split_once("}}").expect(path);
                assert!(!rest.contains("}}"), "{path}: {rest}");
                let known = match name {
                    "project-name" | "crate_name" => true,
                    "sdk" | "suffix" => settings.contains(&format!("[placeholders.{name}]")),
                    _ => name == "version" && !in_rust,
                };
                assert!(known, "{path}: {name}");
            }
        }
    }

    /// What is made may not be in the way of anybody: also a link that leads nowhere is something.
    #[test]
    fn nothing_is_overwritten() {
        let root = tempfile::tempdir().unwrap();
        let bench = Bench::default();
        let file = root.path().join("file");
        fs::write(&file, "mine").unwrap();
        let link = root.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        for dir in [root.path(), &file, &link] {
            let made = create(&bench, "hello", Language::C, dir, None);
            assert!(matches!(made, Err(NewError::Exists(_))), "{made:?}");
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
        let made = create(&bench, "hello", Language::C, &root.path().join("deep/hello"), None).unwrap();
        assert_eq!(made.files.len(), C.len());
    }
}
