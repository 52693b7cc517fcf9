//! Arrows between crates, and between the modules of the daemon: strictly down.

use cargo_metadata::MetadataCommand;

use crate::scan::{code, files, line_of, root, words};

/// What each crate of the workspace may depend on. `*` is everything.
const CRATES: &[(&str, &[&str])] = &[
    ("polyport-tests", &["*"]),
    ("polyport-fuzz", &["*"]),
    (
        "polyport-tools",
        &[
            "polyport-capture",
            "polyport-protocol",
            "polyport-net",
            "polyport-terminal",
            "polyport-value",
            "polyport-counting-alloc",
        ],
    ),
    ("polyport-echo-handler", &["polyport-plugin", "polyport-echo-reply"]),
    (
        "polyport-lossy-handler",
        &[
            "polyport-plugin",
            "polyport-echo-reply",
            "polyport-impair",
            "polyport-impair-options",
            "polyport-counting-alloc",
        ],
    ),
    ("polyport-listener-handler", &["polyport-plugin", "polyport-recording", "polyport-counting-alloc"]),
    ("polyport-responder-handler", &["polyport-plugin", "polyport-protocol", "polyport-counting-alloc"]),
    ("polyport-discard-handler", &["polyport-plugin"]),
    (
        "polyport-relay-handler",
        &["polyport-plugin", "polyport-impair", "polyport-impair-options", "polyport-counting-alloc"],
    ),
    ("polyport-stamp-handler", &["polyport-plugin", "polyport-counting-alloc"]),
    ("polyport-discard", &["polyport-discard-handler", "polyport-plugin"]),
    ("polyport-relay", &["polyport-relay-handler", "polyport-plugin"]),
    ("polyport-stamp", &["polyport-stamp-handler", "polyport-plugin"]),
    ("polyport-echo", &["polyport-echo-handler", "polyport-plugin"]),
    ("polyport-lossy", &["polyport-lossy-handler", "polyport-plugin"]),
    ("polyport-listener", &["polyport-listener-handler", "polyport-plugin"]),
    ("polyport-responder", &["polyport-responder-handler", "polyport-plugin"]),
    (
        "polyport-shipped",
        &[
            "polyport-plugin",
            "polyport-echo-handler",
            "polyport-lossy-handler",
            "polyport-listener-handler",
            "polyport-responder-handler",
            "polyport-discard-handler",
            "polyport-relay-handler",
            "polyport-stamp-handler",
        ],
    ),
    ("polyport-echo-reply", &["polyport-plugin"]),
    ("polyport-recording", &["polyport-plugin"]),
    (
        "polyport-impair-options",
        &[
            "polyport-impair",
            "polyport-plugin",
            "polyport-recording",
            "polyport-value",
            "polyport-counting-alloc",
        ],
    ),
    ("polyport-plugin", &["polyport-abi", "polyport-value"]),
    // The last seven only so that their libraries are built: see `daemon_source`.
    (
        "polyport",
        &[
            "polyport-abi",
            "polyport-capture",
            "polyport-net",
            "polyport-shipped",
            "polyport-terminal",
            "polyport-value",
            "polyport-echo",
            "polyport-lossy",
            "polyport-listener",
            "polyport-responder",
            "polyport-discard",
            "polyport-relay",
            "polyport-stamp",
        ],
    ),
    ("polyport-protocol", &[]),
    ("polyport-capture", &[]),
    ("polyport-abi", &[]),
    ("polyport-net", &["polyport-counting-alloc"]),
    ("polyport-value", &[]),
    ("polyport-impair", &[]),
    ("polyport-terminal", &[]),
    // For tests, wherever memory is counted.
    ("polyport-counting-alloc", &[]),
];

/// Crates of these folders are plugins of tests and examples: they see what any author of a plugin sees.
const PLUGIN_FOLDERS: &[&str] = &["tests/fixtures/", "examples/plugins/"];
const FOR_AUTHORS: &[&str] = &["polyport-plugin", "polyport-abi"];

/// What each module of the daemon may name.
const MODULES: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    ("cli", &["config", "apply", "control", "capture", "replay", "tap", "workbench"]),
    ("broker", &["reactor", "sandbox"]),
    ("workbench", &["capture", "plugin", "exchange", "reactor", "guard", "limits", "reply", "tap"]),
    (
        "apply",
        &[
            "broker", "config", "control", "exchange", "plugin", "reactor", "metrics", "limits", "reply",
            "sandbox", "tap",
        ],
    ),
    ("reactor", &["access", "exchange", "plugin", "guard", "metrics", "limits", "reply", "tap"]),
    ("plugin", &["exchange"]),
    ("exchange", &[]),
    ("guard", &["access", "metrics", "reply"]),
    ("config", &["access", "limits", "reply"]),
    ("control", &["capture", "tap"]),
    ("tap", &[]),
    ("capture", &["tap"]),
    ("replay", &["capture", "tap"]),
    ("limits", &[]),
    ("reply", &[]),
    ("access", &[]),
    ("metrics", &[]),
    ("sandbox", &[]),
];

/// Crates that only some files of the daemon may name: the crate, the files, said as the start of a path.
const FENCED: &[(&str, &[&str])] = &[
    ("mio", &["daemon/src/reactor/mio/"]),
    ("ratatui", &["daemon/src/cli/top/"]),
    ("polyport_net", &["daemon/src/reactor/mio/"]),
    ("polyport_abi", &["daemon/src/plugin/", "daemon/src/exchange/"]),
    ("hyper", &["daemon/src/control/http/"]),
    ("hyper_util", &["daemon/src/control/http/"]),
    ("http_body_util", &["daemon/src/control/http/"]),
    ("prometheus_client", &["daemon/src/control/http/"]),
    ("tokio", &["daemon/src/control/http/"]),
    ("hdrhistogram", &["daemon/src/reactor/probe/", "daemon/src/replay/"]),
    ("caps", &["daemon/src/sandbox/"]),
    ("landlock", &["daemon/src/sandbox/"]),
    ("nix", &["daemon/src/sandbox/", "daemon/src/plugin/find/trust"]),
    ("seccompiler", &["daemon/src/sandbox/"]),
    ("polyport_plugin", &[]),
    ("polyport_protocol", &[]),
    ("polyport_echo", &[]),
    ("polyport_lossy", &[]),
    ("polyport_listener", &[]),
    ("polyport_responder", &[]),
    ("polyport_discard", &[]),
    ("polyport_relay", &[]),
    ("polyport_stamp", &[]),
    ("polyport_echo_handler", &[]),
    ("polyport_lossy_handler", &[]),
    ("polyport_listener_handler", &[]),
    ("polyport_responder_handler", &[]),
    ("polyport_discard_handler", &[]),
    ("polyport_relay_handler", &[]),
    ("polyport_stamp_handler", &[]),
    // What is built in is a matter of the program, not of the daemon.
    ("polyport_shipped", &["daemon/src/main.rs"]),
];

#[test]
fn crates_depend_downwards() {
    let root = root();
    let metadata = MetadataCommand::new().manifest_path(root.join("Cargo.toml")).no_deps().exec().unwrap();
    let members: Vec<&str> = metadata.packages.iter().map(|p| p.name.as_str()).collect();
    assert!(members.contains(&"polyport"), "{members:?}");
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let folder = package.manifest_path.strip_prefix(&root).unwrap().as_str();
        let needs = package.dependencies.iter().map(|d| d.name.as_str()).filter(|d| members.contains(d));
        wrong.extend(needs.filter_map(|to| crate_arrow(package.name.as_str(), folder, to)));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn modules_of_the_daemon_depend_downwards() {
    let sources = files(&["rs"]).into_iter().filter(|(path, _)| path.starts_with("daemon/src/"));
    let wrong: Vec<_> = sources.flat_map(|(path, text)| daemon_source(&path, &text)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What is wrong with a dependency of one workspace crate on another.
fn crate_arrow(from: &str, folder: &str, to: &str) -> Option<String> {
    let allowed = if PLUGIN_FOLDERS.iter().any(|prefix| folder.starts_with(prefix)) {
        FOR_AUTHORS
    } else {
        match CRATES.iter().find(|(name, _)| *name == from) {
            Some((_, allowed)) => allowed,
            None => return Some(format!("{from}: a new crate; say in CRATES what it may depend on")),
        }
    };
    let fine = allowed.iter().any(|a| *a == "*" || *a == to);
    (!fine).then(|| format!("{folder}: {from} must not depend on {to}; it may on {allowed:?}"))
}

/// What is wrong with the names a source file of the daemon uses.
fn daemon_source(path: &str, text: &str) -> Vec<String> {
    let code = code(text);
    let mut wrong = Vec::new();
    for (name, homes) in FENCED {
        if !homes.iter().any(|home| path.starts_with(home)) {
            let at = words(&code, name).find(|at| names_crate(&code, *at, name));
            wrong.extend(at.map(|at| format!("{path}:{}: must not name {name}", line_of(&code, at))));
        }
    }
    let modules = module_path(path);
    let Some(module) = modules.first() else { return wrong };
    let Some((_, allowed)) = MODULES.iter().find(|(name, _)| name == module) else {
        wrong.push(format!("{path}: a new module; say in MODULES what it may name"));
        return wrong;
    };
    for (at, name) in names(&code, modules.len()) {
        let own = name == *module || name.starts_with(&format!("{module}::"));
        let fine = |a: &&str| name == **a || name.starts_with(&format!("{a}::"));
        if !own && !allowed.iter().any(fine) {
            let line = line_of(&code, at);
            wrong.push(format!("{path}:{line}: {module} must not name {name}; it may {allowed:?}"));
        }
    }
    wrong
}

/// Whether a word begins a path: behind `a::` it is a module of ours that is called like the crate.
fn names_crate(code: &str, at: usize, name: &str) -> bool {
    let inside =
        code[..at].strip_suffix("::").is_some_and(|before| before.ends_with(|c: char| c.is_alphanumeric()));
    !inside && code[at + name.len()..].starts_with("::")
}

/// The module of a file: `daemon/src/reactor/io.rs` is `[reactor, io]`; the crate's own file is nothing.
fn module_path(path: &str) -> Vec<&str> {
    let inner = path.trim_start_matches("daemon/src/").trim_end_matches(".rs");
    inner.split('/').filter(|part| *part != "mod" && *part != "lib").collect()
}

/// Every path that starts at the crate's root, without the start: `crate::a::b`, `polyport::a`, each item of
/// `crate::{a, b::c}`, and `super::` repeated as often as the module is deep.
fn names(code: &str, depth: usize) -> Vec<(usize, String)> {
    let up = "super::".repeat(depth);
    // The module of tests at the foot is one deeper, and names what the file names.
    let above_tests = code.find("mod tests {").unwrap_or(code.len());
    let starts = ["crate::", "polyport::"].into_iter().flat_map(|s| words_before(code, s));
    let supers = words_before(&code[..above_tests], &up);
    starts
        .chain(supers)
        .flat_map(|(at, rest)| {
            let group = rest.strip_prefix('{').map(items).unwrap_or_else(|| vec![rest]);
            group.into_iter().map(move |item| (at, path_of(item)))
        })
        .filter(|(_, name)| !name.is_empty())
        .collect()
}

/// Places of `start` that begin a path, with what follows.
fn words_before<'a>(code: &'a str, start: &str) -> Vec<(usize, &'a str)> {
    let begins = |at: usize| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
    code.match_indices(start)
        .filter(|(at, _)| begins(*at))
        .map(|(at, _)| (at, &code[at + start.len()..]))
        .collect()
}

/// The items of a `{a, b::{c, d}}` behind its brace.
fn items(group: &str) -> Vec<&str> {
    let (mut depth, mut from, mut found) = (0_u32, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                found.push(group[from..at].trim());
                from = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found
}

/// The path at the beginning of a text: `a::b` of `a::b::{c}`.
fn path_of(text: &str) -> String {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(text.len());
    text[..end].trim_end_matches(':').to_owned()
}

#[test]
fn bad_crates_are_found() {
    let bad = [
        ("polyport", "daemon/Cargo.toml", "polyport-protocol"),
        ("polyport", "daemon/Cargo.toml", "polyport-plugin"),
        ("polyport-echo-handler", "plugins/echo/Cargo.toml", "polyport-abi"),
        ("polyport-echo", "plugins/echo/library/Cargo.toml", "polyport-lossy-handler"),
        ("polyport", "daemon/Cargo.toml", "polyport-echo-handler"),
        ("polyport-net", "daemon/net/Cargo.toml", "polyport-abi"),
        ("polyport-moody", "tests/fixtures/moody/Cargo.toml", "polyport"),
        ("polyport-unheard-of", "unheard/Cargo.toml", "polyport"),
    ];
    for (from, folder, to) in bad {
        assert!(crate_arrow(from, folder, to).is_some(), "{from} -> {to}");
    }
    assert_eq!(crate_arrow("polyport-tests", "tests/Cargo.toml", "polyport"), None);
    let responder =
        crate_arrow("polyport-responder-handler", "plugins/responder/Cargo.toml", "polyport-protocol");
    assert_eq!(responder, None);
}

#[test]
fn bad_sources_are_found() {
    let bad = [
        ("daemon/src/reactor/io.rs", "use crate::config::Plan;"),
        ("daemon/src/reactor/io.rs", "use crate::{plugin::Exchange, config::Plan};"),
        ("daemon/src/reactor/io.rs", "fn f() { crate::apply::serve() }"),
        ("daemon/src/reactor/io.rs", "use super::super::config::Plan;"),
        ("daemon/src/limits.rs", "use super::config::Plan;"),
        ("daemon/src/apply/mod.rs", "use crate::cli::Command;"),
        ("daemon/src/apply/mod.rs", "use crate::cli::say;"),
        ("daemon/src/main.rs", "use polyport::apply::serve;"),
        ("daemon/src/metrics/mod.rs", "use crate::guard::admit;"),
        ("daemon/src/reactor/io.rs", "use mio::Poll;"),
        ("daemon/src/reactor/io.rs", "use ::mio::Poll;"),
        ("daemon/src/apply/mod.rs", "use polyport_net::UdpSocket;"),
        ("daemon/src/reactor/mio/io.rs", "use polyport_abi::pp_tx;"),
        ("daemon/src/lib.rs", "use polyport_echo::Echo;"),
        ("daemon/src/apply/prepare.rs", "use polyport_echo_handler::PLUGIN;"),
        ("daemon/src/apply/prepare.rs", "let all = &polyport_shipped::PLUGINS;"),
        ("daemon/src/unheard_of.rs", ""),
    ];
    for (path, text) in bad {
        assert_eq!(daemon_source(path, text).len(), 1, "{path}: {text}");
    }
    let good = [
        (
            "daemon/src/reactor/io.rs",
            "use super::clock::Clock; use crate::plugin::Exchange; // crate::config",
        ),
        ("daemon/src/reactor/mio/io.rs", "use mio::Poll; use polyport_net::UdpSocket;"),
        ("daemon/src/apply/mod.rs", "use polyport_terminal::say; use crate::config::{Plan, Problems};"),
        ("daemon/src/plugin/call/host.rs", "use polyport_abi::pp_tx; use polyport_value as value;"),
        ("daemon/src/reactor/mod.rs", "pub use self::mio::MioIo;"),
        ("daemon/src/lib.rs", "pub mod cli;"),
        ("daemon/src/main.rs", "polyport::cli::run(args, &polyport_shipped::PLUGINS)"),
    ];
    for (path, text) in good {
        assert_eq!(daemon_source(path, text), Vec::<String>::new());
    }
}
