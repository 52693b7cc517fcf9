//! `daemon/docs/checklist.md` names every requirement, pitfall and attack once, and only tests that are there.

use std::collections::BTreeMap;

use crate::scan::{files, root};

/// Requirements, pitfalls and attacks, by letter and number of the last.
const NUMBERS: [(char, u32); 3] = [('R', 60), ('P', 45), ('A', 23)];
const STATES: [&str; 3] = ["held", "partly", "not yet"];

#[test]
fn the_checklist_is_complete_and_its_tests_are_there() {
    let page = std::fs::read_to_string(root().join("daemon/docs/checklist.md")).unwrap();
    let sources: BTreeMap<String, String> = files(&["rs"]).into_iter().collect();
    let wrong = wrong(&page, &sources);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What is wrong with the page.
fn wrong(page: &str, sources: &BTreeMap<String, String>) -> Vec<String> {
    let rows: Vec<Vec<&str>> = page.lines().filter_map(cells).collect();
    let mut wrong = Vec::new();
    for number in NUMBERS.iter().flat_map(|(letter, last)| (1..=*last).map(move |n| format!("{letter}{n}"))) {
        let found = rows.iter().filter(|row| row[0] == number).count();
        if found != 1 {
            wrong.push(format!("{number}: {found} rows"));
        }
    }
    for row in &rows {
        let (number, state, tests, more) = (row[0], row[2], row[3], row[4]);
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        if !STATES.contains(&state) {
            wrong.push(format!("{number}: {state} is no state"));
        }
        if names.is_empty() != (state == "not yet") {
            wrong.push(format!("{number}: {state}, with {} tests", names.len()));
        }
        if more.is_empty() && state != "held" {
            wrong.push(format!("{number}: what is missing, and what does it wait for?"));
        }
        wrong.extend(
            names
                .iter()
                .filter(|name| !is_test(name, sources))
                .map(|name| format!("{number}: no test {name}")),
        );
    }
    wrong
}

/// The cells of a row of the tables: number, what, state, tests, more.
fn cells(line: &str) -> Option<Vec<&str>> {
    let cells: Vec<&str> = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
    let letter = cells[0].chars().next()?;
    let numbered = cells[0][1..].parse::<u32>().is_ok();
    (cells.len() == 5 && numbered && NUMBERS.iter().any(|(l, _)| *l == letter)).then_some(cells)
}

/// Whether `FILE::FUNCTION` is a function under `#[test]`.
pub(super) fn is_test(name: &str, sources: &BTreeMap<String, String>) -> bool {
    let Some((text, function)) =
        name.split_once("::").and_then(|(file, function)| Some((sources.get(file)?, function)))
    else {
        return false;
    };
    let declared = format!("fn {function}(");
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let at = lines.iter().position(|line| line.starts_with(&declared));
    // Between the two stand other attributes and comments only.
    at.is_some_and(|at| {
        let above =
            lines[..at].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        above.into_iter().any(|line| *line == "#[test]")
    })
}

#[test]
fn wrong_rows_are_found() {
    let sources =
        [("tests/a.rs", "#[test]\n#[cfg(unix)]\nfn one() {}\nfn two() {}\n#[test]\nfn three() {\n")];
    let sources = sources.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
    let page = |rows: &str| {
        let rest = NUMBERS.iter().flat_map(|(letter, last)| (1..=*last).map(move |n| format!("{letter}{n}")));
        let rest = rest.filter(|number| number != "R1").map(|n| format!("| {n} | w | not yet | | later |\n"));
        format!("{}{rows}", rest.collect::<String>())
    };
    let good =
        ["| R1 | w | held | `tests/a.rs::one` | |", "| R1 | w | partly | `tests/a.rs::three` | more |"];
    for row in good {
        assert_eq!(wrong(&page(row), &sources), Vec::<String>::new());
    }
    let bad = [
        "",
        "| R1 | w | held | | |",
        "| R1 | w | held | `tests/a.rs::two` | |",
        "| R1 | w | held | `tests/a.rs::four` | |",
        "| R1 | w | held | `tests/b.rs::one` | |",
        "| R1 | w | mostly | `tests/a.rs::one` | more |",
        "| R1 | w | partly | `tests/a.rs::one` | |",
        "| R1 | w | not yet | | |",
        "| R1 | w | not yet | `tests/a.rs::one` | later |",
        "| R1 | w | held | `tests/a.rs::one` | |\n| R1 | w | held | `tests/a.rs::one` | |",
    ];
    for row in bad {
        assert_eq!(wrong(&page(row), &sources).len(), 1, "{row}: {:?}", wrong(&page(row), &sources));
    }
}
