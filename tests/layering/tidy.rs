//! What a reader should never meet: a long file, unsafe code outside its fence or without a reason, silenced
//! lints, unfinished business, and paths of somebody's machine.

use crate::scan::{code, files, line_of, words};

/// A file with more lines than this, its tests left out, most likely holds two ideas.
const MOST_LINES: usize = 500;
/// The boundary to plugins in the daemon: the files that call them or are called by them, and the one that asks the C
/// library whether they may be anybody's.
const BOUNDARY: &[&str] = &[
    "exchange/array",
    "exchange/fence",
    "exchange/memory",
    "exchange/output",
    "exchange/tests",
    "plugin/call/crash",
    "plugin/call/host",
    "plugin/call/instance",
    "plugin/call/succession",
    "plugin/call/prefetch",
    "plugin/call/running",
    "plugin/find/elevated",
    "plugin/load/fenced_values",
    "plugin/load/library",
];
/// Unfinished business; in two pieces each, because this file is read as well.
const UNFINISHED: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
const UNFINISHED_MACROS: &[&str] =
    &[concat!("to", "do!"), concat!("db", "g!"), concat!("unimple", "mented!")];
/// Folders of the machines this was written on.
const MACHINES: &[&str] = &[concat!("/wo", "rk"), concat!("/tmp/", "wt")];

#[test]
fn rust_files_are_tidy() {
    let wrong: Vec<_> = files(&["rs"]).iter().flat_map(|(path, text)| rust(path, text)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn texts_are_finished_and_of_no_machine() {
    let texts = files(&["rs", "md", "toml", "sh", "yml", "yaml", "h", "c", "py", "service"]);
    let wrong: Vec<_> = texts.iter().flat_map(|(path, text)| prose(path, text)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let manifests = files(&["toml"]);
    let manifests: Vec<_> = manifests.iter().filter(|(path, _)| path.ends_with("/Cargo.toml")).collect();
    assert!(manifests.len() >= 8, "{manifests:?}");
    let wrong: Vec<_> = manifests.iter().filter_map(|(path, text)| manifest(path, text)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_cited_rule_of_the_protocol_exists() {
    let all = files(&["rs", "md"]);
    // The specification comes with the crate's first real version; until then there is nothing to cite.
    let Some((_, spec)) = all.iter().find(|(path, _)| path == "protocol/SPEC.md") else {
        let sources = all.iter().filter(|(path, _)| path.starts_with("protocol/src/"));
        let cited: Vec<_> = sources.flat_map(|(_, text)| citations(text)).collect();
        assert!(cited.is_empty(), "rules are cited, and there is no protocol/SPEC.md: {cited:?}");
        return;
    };
    let sources = all.iter().filter(|(path, _)| path.starts_with("protocol/src/"));
    let wrong: Vec<_> = sources.flat_map(|(path, text)| unknown_rules(path, text, spec)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What is wrong with a Rust file.
fn rust(path: &str, text: &str) -> Vec<String> {
    let code = code(text);
    let mut wrong = Vec::new();
    let lines = lines_without_tests(text, &code);
    if lines > MOST_LINES {
        wrong.push(format!(
            "{path}: {lines} lines without tests; from {MOST_LINES} on, look for the second idea"
        ));
    }
    for at in words(&code, "unsafe") {
        let line = line_of(&code, at);
        if !may_be_unsafe(path, text) {
            wrong.push(format!("{path}:{line}: unsafe outside its fence"));
        }
        let block = code[at + "unsafe".len()..].trim_start().starts_with('{');
        if block && !is_justified(text, line) {
            wrong.push(format!("{path}:{line}: an unsafe block without a SAFETY sentence above it"));
        }
    }
    for at in words(&code, "allow") {
        let line = line_of(&code, at);
        if attribute_open(&code[..at]) && code[at + "allow".len()..].trim_start().starts_with('(') {
            wrong.push(format!("{path}:{line}: allow; say expect, with a reason"));
        }
    }
    for name in UNFINISHED_MACROS {
        let at = words(&code, &name[..name.len() - 1]).find(|at| code[*at..].starts_with(name));
        wrong.extend(at.map(|at| format!("{path}:{}: {name}", line_of(&code, at))));
    }
    wrong
}

/// Lines of a file without the modules of tests at its foot. A file that is all tests has no such module.
fn lines_without_tests(text: &str, code: &str) -> usize {
    let foot = code.match_indices("\n#[cfg(test)]\nmod ").find(|(at, _)| {
        let foot = &code[at + 1..];
        // A `mod tests;` is elsewhere, and what follows it is code.
        foot.find(['{', ';']).is_some_and(|end| foot[end..].starts_with('{')) && is_last(foot)
    });
    foot.map_or(text, |(at, _)| &text[..at]).lines().count()
}

/// Whether nothing but modules of tests follows: each ends with a brace at the beginning of a line.
fn is_last(foot: &str) -> bool {
    let Some(end) = foot.find("\n}") else { return false };
    let rest = foot[end + 2..].trim_start();
    rest.is_empty() || rest.starts_with("#[cfg(test)]\nmod ") && is_last(rest)
}

/// The fence around unsafe code.
fn may_be_unsafe(path: &str, text: &str) -> bool {
    let expects = text.contains("#![expect(unsafe_code, reason");
    let boundary = path.strip_prefix("daemon/src/").and_then(|file| file.strip_suffix(".rs"));
    path.starts_with("daemon/net/src/")
        || path.starts_with("plugins/abi/src/")
        || boundary.is_some_and(|file| BOUNDARY.contains(&file))
        || ["plugins/sdk/src/export.rs", "plugins/sdk/src/convert.rs"].contains(&path)
        || (["plugins/sdk/src/", "daemon/net/tests/", "tests/counting-alloc/src/", "tests/it/abi/"]
            .iter()
            .any(|folder| path.starts_with(folder))
            && expects)
}

/// Whether the comment above the statement that holds the line says why it is safe.
fn is_justified(text: &str, line: usize) -> bool {
    let above = text.lines().take(line - 1).collect::<Vec<_>>().into_iter().rev().map(str::trim);
    let mut comment = false;
    for line in above {
        if line.starts_with("//") {
            comment = true;
            if line.contains("SAFETY:") {
                return true;
            }
        } else if comment || line.is_empty() || line.ends_with(';') || line.ends_with('}') {
            return false;
        }
    }
    false
}

/// Whether an attribute has begun and not ended.
fn attribute_open(before: &str) -> bool {
    let Some(start) = before.rfind("#[").max(before.rfind("#![")) else { return false };
    let inside = &before[start..];
    inside.matches('[').count() > inside.matches(']').count()
}

/// What is wrong with a text of any kind.
fn prose(path: &str, text: &str) -> Vec<String> {
    let unfinished = UNFINISHED.iter().map(|word| (*word, "unfinished"));
    let machines = MACHINES.iter().map(|word| (*word, "a path of somebody's machine"));
    unfinished
        .chain(machines)
        .filter_map(|(word, what)| {
            let at = words(text, word).find(|at| !word.starts_with('/') || starts_a_path(text, *at))?;
            Some(format!("{path}:{}: {word}: {what}", line_of(text, at)))
        })
        .collect()
}

/// Whether a slash begins an absolute path rather than going on with another one.
fn starts_a_path(text: &str, at: usize) -> bool {
    !text[..at].ends_with(|c: char| c.is_alphanumeric() || "._-/$*{}".contains(c))
}

fn manifest(path: &str, text: &str) -> Option<String> {
    let mut lines = text.lines().map(str::trim).skip_while(|line| *line != "[lints]").skip(1);
    let own_workspace = text.lines().any(|line| line.trim() == "[workspace]");
    let fine = own_workspace || lines.next() == Some("workspace = true");
    (!fine).then(|| format!("{path}: `[lints]` must say `workspace = true`"))
}

/// The rules a text cites: `[P-7]`.
fn citations(text: &str) -> Vec<(usize, &str)> {
    text.match_indices("[P-")
        .filter_map(|(at, _)| {
            let end = text[at..].find(']')?;
            let digits = &text[at + 3..at + end];
            (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then_some((at, digits))
        })
        .collect()
}

fn unknown_rules(path: &str, text: &str, spec: &str) -> Vec<String> {
    let known = |digits: &str| spec.contains(&format!("**[P-{digits}]**"));
    citations(text)
        .into_iter()
        .filter(|(_, digits)| !known(digits))
        .map(|(at, digits)| format!("{path}:{}: [P-{digits}] is not in SPEC.md", line_of(text, at)))
        .collect()
}

#[test]
fn untidy_samples_are_found() {
    let long = "\n".repeat(MOST_LINES + 1);
    let tests = format!("{}#[cfg(test)]\nmod tests {{\n{long}}}\n", "\n".repeat(MOST_LINES));
    let below = format!("{tests}fn f() {{}}\n");
    let elsewhere = format!("\n#[cfg(test)]\nmod tests;\n{long}fn f() {{\n}}\n");
    let finish = format!("fn f() {{ {}() }}", UNFINISHED_MACROS[0]);
    let bad = [
        ("tests/x.rs", long.as_str()),
        ("tests/x.rs", below.as_str()),
        ("tests/x.rs", elsewhere.as_str()),
        ("tests/x.rs", "fn f() {\n    // SAFETY: none\n    unsafe { g() }\n}"),
        ("daemon/src/reactor/io.rs", "unsafe fn f() {}"),
        ("plugins/sdk/src/batch.rs", "unsafe impl Sync for X {}"),
        ("daemon/net/tests/x.rs", "unsafe impl Sync for X {}"),
        ("tests/allocations/x.rs", "unsafe impl Sync for X {}"),
        ("tests/counting-alloc/src/x.rs", "unsafe impl Sync for X {}"),
        ("tests/it/abi/1.0/plugin.rs", "unsafe impl Sync for X {}"),
        ("daemon/net/src/recv.rs", "fn f() {\n    unsafe { g() }\n}"),
        ("daemon/net/src/recv.rs", "// SAFETY: of another one\nlet x = 1;\nunsafe { g() }"),
        ("daemon/net/src/recv.rs", "// not a reason\nlet x = unsafe { g() };"),
        ("daemon/src/cli.rs", "#[allow(dead_code)]\nfn f() {}"),
        ("daemon/src/cli.rs", "#![cfg_attr(test, allow(unused))]"),
        ("daemon/src/cli.rs", finish.as_str()),
    ];
    for (path, text) in bad {
        assert_eq!(rust(path, text).len(), 1, "{path}: {text}: {:?}", rust(path, text));
    }
    let good = [
        ("daemon/net/src/recv.rs", "// SAFETY: a reason that\n// goes on\nlet x =\n    unsafe { g() };"),
        ("plugins/sdk/src/x.rs", "#![expect(unsafe_code, reason = \"why\")]\nunsafe impl Sync for X {}"),
        ("daemon/src/cli.rs", "#[expect(dead_code, reason = \"unsafe\")]\nfn allow(x: u8) { allow(x) }"),
        ("tests/x.rs", tests.as_str()),
    ];
    for (path, text) in good {
        assert_eq!(rust(path, text), Vec::<String>::new());
    }
}

#[test]
fn unfinished_texts_and_machine_paths_are_found() {
    for word in UNFINISHED {
        assert_eq!(prose("docs/x.md", &format!("one\n{word}: two")).len(), 1);
    }
    for path in MACHINES {
        assert_eq!(prose("docs/x.md", &format!("see `{path}/file`")).len(), 1);
    }
    assert_eq!(prose("docs/x.md", ".github/workflows, /workspace, network/work").len(), 0);
}

#[test]
fn a_manifest_without_lints_and_a_rule_without_text_are_found() {
    assert!(manifest("x/Cargo.toml", "[package]\nname = \"x\"\n").is_some());
    assert!(manifest("x/Cargo.toml", "[lints]\nrust = {}\n").is_some());
    assert_eq!(manifest("x/Cargo.toml", "[lints]\nworkspace = true\n"), None);
    let spec = "- **[P-1]** One.\n- **[P-12]** see [P-3].";
    assert_eq!(unknown_rules("protocol/src/x.rs", "// [P-1] [P-12]", spec), Vec::<String>::new());
    assert_eq!(unknown_rules("protocol/src/x.rs", "// [P-2] and [P-3]", spec).len(), 2);
}
