//! The map shows what is there: every path that `daemon/docs/architecture.md` names exists.

use crate::scan::root;

/// Where the paths of the map may begin.
const STARTS: &[&str] = &["", "daemon/src", "daemon/docs"];
/// Folders and files of the repository begin like this.
const TOPS: &[&str] = &[
    "apply/",
    "config/",
    "control/",
    "daemon/",
    "examples",
    "exchange/",
    "guard/",
    "metrics/",
    "plugin/",
    "plugins/",
    "protocol",
    "reactor/",
    "sandbox/",
    "tests/",
];

#[test]
fn every_path_on_the_map_is_there() {
    let text = std::fs::read_to_string(root().join("daemon/docs/architecture.md")).unwrap();
    let paths: Vec<_> = paths(&text).collect();
    assert!(paths.len() > 60, "{paths:?}");
    let wrong: Vec<_> = paths.into_iter().filter(|path| !is_there(path)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What stands between backticks and looks like a path.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    quoted.filter(|path| TOPS.iter().any(|top| path.starts_with(top)) && !path.contains(' '))
}

fn is_there(path: &str) -> bool {
    STARTS.iter().any(|start| root().join(start).join(path).exists())
}

#[test]
fn a_path_that_is_not_there_is_found() {
    let text = "see `reactor/nowhere.rs`, `Reactor::add` and `daemon/src/limits.rs`";
    let found: Vec<_> = paths(text).filter(|path| !is_there(path)).collect();
    assert_eq!(found, ["reactor/nowhere.rs"]);
}
