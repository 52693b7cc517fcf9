//! One order of imports in every file: the standard library, other crates, this crate, and last what the module hands
//! on. A blank line parts these groups; within one, rustfmt sorts.

use std::collections::BTreeSet;

use cargo_metadata::MetadataCommand;

use crate::scan::{code, files, line_of, root, words};

/// Where an import comes from, in the order of the groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    /// `std`, `core`, `alloc`.
    Standard,
    /// Another crate, of this workspace or not.
    Crate,
    /// `crate`, `super`, `self`, and modules that the file declares.
    Ours,
    /// A re-export, wherever it comes from.
    HandedOn,
}

#[test]
fn imports_have_one_order() {
    let crates = crates();
    assert!(["polyport", "polyport_net", "slab"].iter().all(|name| crates.contains(*name)), "{crates:?}");
    let sources = files(&["rs"]);
    let wrong: Vec<_> = sources.iter().flat_map(|(path, text)| disorder(path, text, &crates)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The names that packages of the workspace have in code, and those of their dependencies.
fn crates() -> BTreeSet<String> {
    let manifest = root().join("Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(manifest).no_deps().exec().unwrap();
    let mut names = BTreeSet::new();
    for package in metadata.packages {
        names.extend(package.targets.into_iter().map(|target| target.name.replace('-', "_")));
        for dependency in package.dependencies {
            names.insert(dependency.rename.unwrap_or(dependency.name).replace('-', "_"));
        }
    }
    names
}

/// The imports of a file that stand in the wrong place.
fn disorder(path: &str, text: &str, crates: &BTreeSet<String>) -> Vec<String> {
    let imports = imports(text, crates);
    let mut wrong = Vec::new();
    for (index, import) in imports.iter().enumerate() {
        let (group, earlier) = (import.group, &imports[..index]);
        let what = match (import.gap, earlier.last().map(|before| before.group)) {
            (Gap::Code, _) | (_, None) => {
                let second =
                    |before: &Import| before.scope == import.scope && before.group != Group::HandedOn;
                let found = group != Group::HandedOn && earlier.iter().any(second);
                found.then(|| "a second block of imports".to_owned())
            }
            (_, Some(before)) if group < before => Some(format!("{group:?} below {before:?}")),
            (Gap::None, Some(before)) => {
                (group != before).then(|| format!("no blank line between {before:?} and {group:?}"))
            }
            // Those of a module's interface may be parted by what they are for.
            (Gap::Blank, Some(before)) => (group == before && group != Group::HandedOn)
                .then(|| format!("a blank line within {group:?}")),
        };
        wrong.extend(what.map(|what| format!("{path}:{}: {what}", import.line)));
    }
    wrong
}

/// One `use`.
#[derive(Debug)]
struct Import {
    line: usize,
    group: Group,
    /// Where the brace is behind which it stands.
    scope: usize,
    gap: Gap,
}

/// What stands between an import and the one before, comments and attributes left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gap {
    None,
    Blank,
    Code,
}

/// The imports of a file, in their order.
fn imports(text: &str, crates: &BTreeSet<String>) -> Vec<Import> {
    let code = code(text);
    let modules: BTreeSet<&str> = words(&code, "mod").filter_map(|at| name(&code[at + 3..])).collect();
    let mut found = Vec::new();
    let (mut scopes, mut gap) = (vec![0], Gap::Code);
    // Whether the last import goes on in this line.
    let mut inside = false;
    let mut start = 0;
    for (line, bare) in text.lines().zip(code.lines()) {
        if inside {
            inside = !bare.contains(';');
        } else if let Some((public, tree)) = import(&code[start..]) {
            inside = !bare.contains(';');
            let group = if public { Group::HandedOn } else { group(tree, &modules, crates) };
            let scope = scopes.last().copied().unwrap_or_default();
            found.push(Import { line: line_of(&code, start), group, scope, gap });
            gap = Gap::None;
        } else if line.trim().is_empty() {
            gap = if gap == Gap::Code { Gap::Code } else { Gap::Blank };
        } else if !line.trim().starts_with("//") && !bare.trim().starts_with("#[") {
            gap = Gap::Code;
            for (at, brace) in bare.match_indices(['{', '}']) {
                if brace == "{" {
                    scopes.push(start + at + 1);
                } else {
                    scopes.pop();
                }
            }
        }
        start += bare.len() + 1;
    }
    found
}

/// Whether the statement at the beginning of a line hands a name on, and its tree; `None` if it is no import.
fn import(line: &str) -> Option<(bool, &str)> {
    let line = line.trim_start_matches(' ');
    let (public, rest) = match line.strip_prefix("pub") {
        None => (false, line),
        Some(rest) => match rest.strip_prefix('(') {
            None => (true, rest.strip_prefix(' ')?),
            Some(scope) => (true, scope.split_once(") ")?.1),
        },
    };
    Some((public, rest.strip_prefix("use ")?))
}

fn group(tree: &str, modules: &BTreeSet<&str>, crates: &BTreeSet<String>) -> Group {
    let (tree, absolute) = tree.strip_prefix("::").map_or((tree, false), |tree| (tree, true));
    match name(tree).unwrap_or_default() {
        "crate" | "super" | "self" => Group::Ours,
        first if modules.contains(first) && !absolute => Group::Ours,
        "std" | "core" | "alloc" => Group::Standard,
        first if crates.contains(first) => Group::Crate,
        // A name that another import brought in.
        _ => Group::Ours,
    }
}

/// The word at the beginning.
fn name(text: &str) -> Option<&str> {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    Some(&text[..end]).filter(|name| !name.is_empty())
}

#[test]
fn imports_in_disorder_are_found() {
    let crates = ["slab", "core_affinity"].map(str::to_owned).into();
    let bad = [
        "use slab::Slab;\n\nuse std::fmt;",
        "use crate::x;\n\nuse slab::Slab;",
        "use super::x;\n\nuse core::fmt;",
        "use std::fmt;\nuse slab::Slab;",
        "use slab::Slab;\nuse crate::x;",
        "use std::fmt;\n\nuse std::io;",
        "use crate::x;\n\nuse super::y;",
        "mod b;\n\nuse b::x;\n\nuse slab::Slab;",
        "mod b;\n\npub use b::x;\n\nuse b::y;",
        "mod b;\n\nuse b::y;\npub(crate) use b::x;",
        "use slab::{\n    Slab,\n    Entry,\n};\n\n#[cfg(unix)]\nuse std::os::unix::process::CommandExt;",
        "use slab::Slab;\n\n// A reason.\nuse std::fmt;",
        "use std::fmt;\n\nfn f() {}\n\nuse std::io;",
        "use std::fmt;\n\nmod tests {\n    use super::f;\n\n    use std::io;\n}",
    ];
    for text in bad {
        let wrong = disorder("x.rs", text, &crates);
        assert_eq!(wrong.len(), 1, "{text}: {wrong:?}");
    }
    let last = disorder("x.rs", bad[0], &crates);
    assert_eq!(last, ["x.rs:3: Standard below Crate"]);
}

#[test]
fn imports_in_order_are_not_reported() {
    let crates = ["slab", "core_affinity"].map(str::to_owned).into();
    let good = [
        "//! Text.\n\nuse std::{\n    fmt,\n    io,\n};\n#[cfg(unix)]\nuse std::os::fd::AsFd;\n\nuse core_affinity::x;\nuse \
         slab::Slab;\n\nuse super::x;\nuse crate::y;\n\npub use slab::Entry;\n\n/// Why.\npub use std::fmt;",
        "mod slab;\n\nuse ::slab::Slab;\n\nuse self::x;",
        "mod slab;\n\nuse std::fmt;\n\nuse slab::Slab;\nuse self::x;",
        "use std::io;\n\nfn f() {\n    use io::ErrorKind::NotFound;\n}\n\nmod tests {\n    use std::fmt;\n\n    use \
         super::f;\n}",
        "//! ```\n//! use slab::Slab;\n//! use std::fmt;\n//! ```\nconst X: &str = \"\nuse slab::Slab;\nuse std::fmt;\n\";",
    ];
    for text in good {
        assert_eq!(disorder("x.rs", text, &crates), Vec::<String>::new(), "{text}");
    }
}
