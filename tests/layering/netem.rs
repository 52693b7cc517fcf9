//! `plugins/impair/README.md` has every option of a direction in its table against netem's, once, each row with a tick and tests
//! that are there.

use std::collections::BTreeMap;

use crate::checklist::is_test;
use crate::scan::{files, root};

/// Where the options are declared, and where the table lies: names of tests count from there.
const OPTIONS: &str = "plugins/impair-options/src/direction.rs";
const ROOM: &str = "plugins/impair/";

#[test]
fn every_option_has_a_tick_and_tests_that_are_there() {
    let page = std::fs::read_to_string(root().join(ROOM).join("README.md")).unwrap();
    let sources: BTreeMap<String, String> = files(&["rs"]).into_iter().collect();
    let options = options(&sources[OPTIONS]);
    assert!(options.len() > 30, "{options:?}");
    let wrong = wrong(&page, &options, &sources);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The names in `direction! { NAME: TYPE, "HELP"; }`.
fn options(source: &str) -> Vec<&str> {
    let block =
        source.split("\ndirection! {").nth(1).and_then(|rest| rest.split("\n}").next()).unwrap_or_default();
    let named = block.lines().filter_map(|line| line.strip_prefix("    ")?.split_once(": "));
    named
        .map(|(name, _)| name)
        .filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        .collect()
}

/// What is wrong with the table.
fn wrong(page: &str, options: &[&str], sources: &BTreeMap<String, String>) -> Vec<String> {
    let rows =
        page.lines().skip_while(|line| !line.starts_with("| option | Linux | here | tested by |")).skip(2);
    let rows: Vec<Vec<&str>> = rows
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let mut wrong = Vec::new();
    for option in options {
        let name = format!("`{option}`");
        let found = rows.iter().filter(|row| row[0].split(", ").any(|cell| cell.ends_with(&name))).count();
        if found != 1 {
            wrong.push(format!("{option}: {found} rows"));
        }
    }
    for row in &rows {
        let tests = match row[..] {
            [_, _, _, tests] => tests,
            _ => "",
        };
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        if !tests.starts_with("✓ ") || names.is_empty() {
            wrong.push(format!("{}: no tick with a test", row[0]));
        }
        let missing = names.iter().filter(|name| !is_test(&format!("{ROOM}{name}"), sources));
        wrong.extend(missing.map(|name| format!("{}: no test {name}", row[0])));
    }
    wrong
}

#[test]
fn wrong_rows_are_found() {
    let sources = [("plugins/impair/tests/a.rs", "#[test]\nfn one() {}\nfn two() {}\n")];
    let sources = sources.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
    let page = |rows: &str| {
        format!("| option | Linux | here | tested by |\n| --- | --- | --- | --- |\n{rows}\n\n| `x` | y |\n")
    };
    let options = options(
        "a\ndirection! {\n    loss: Ratio, \"a: b\";\n    late_by: Duration, \"c\",\n        max = D;\n}\n    x: y\n",
    );
    assert_eq!(options, ["loss", "late_by"]);
    let good =
        "| `loss`, and `late_by` | a | b | ✓ `tests/a.rs::one` |\n| seed | a | b | ✓ `tests/a.rs::one` |";
    assert_eq!(wrong(&page(good), &options, &sources), Vec::<String>::new());
    for bad in [
        "| `loss` | a | b | ✓ `tests/a.rs::one` |",
        "| `loss`, `late_by` | a | b | `tests/a.rs::one` |",
        "| `loss`, `late_by` | a | b | ✓ |",
        "| `loss`, `late_by` | a | b |",
        "| `loss`, `late_by` | a | b | ✓ `tests/a.rs::two` |",
        "| `loss`, `late_by` | a | b | ✓ `tests/b.rs::one` |",
        "| `loss`, `late_by` | a | b | ✓ `tests/a.rs::one` |\n| `loss` | a | b | ✓ `tests/a.rs::one` |",
    ] {
        assert_eq!(
            wrong(&page(bad), &options, &sources).len(),
            1,
            "{bad}: {:?}",
            wrong(&page(bad), &options, &sources)
        );
    }
}
