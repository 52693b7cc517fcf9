//! `plugins/ABI.md` has each rule that `polyport plugin test` names, and says of each pitfall who finds it.

use std::collections::BTreeMap;

use polyport::workbench::{CASES, EVERYWHERE, RULES};

use crate::checklist::is_test;
use crate::scan::{files, root};

/// How many pitfalls there are.
const PITFALLS: u32 = 45;

fn page() -> String {
    std::fs::read_to_string(root().join("plugins/ABI.md")).unwrap()
}

/// The text of a rule: of a section, or of its item with this number.
fn rule(page: &str, number: &str) -> Option<String> {
    let (section, item) =
        number.split_once('.').map_or((number, None), |(section, item)| (section, Some(item)));
    let text = page.split("\n## ").find(|text| text.starts_with(&format!("{section}. ")))?;
    let Some(item) = item else { return Some(text.to_owned()) };
    let mut lines = text.lines().skip(1).skip_while(|line| !line.starts_with(&format!("{item}. ")));
    let first = lines.next()?;
    let more = lines.take_while(|line| line.starts_with(' '));
    Some([first].into_iter().chain(more).collect::<Vec<_>>().join(" "))
}

#[test]
fn every_rule_that_a_case_names_is_there_and_says_it() {
    let page = page();
    for (number, words) in RULES {
        let text = rule(&page, number).unwrap_or_else(|| panic!("there is no rule {number}"));
        assert!(text.contains(words), "{number} does not say {words:?}: {text}");
    }
    let known = |number: &&str| RULES.iter().any(|(known, _)| known == number);
    let named = CASES.iter().flat_map(|case| case.rules).chain(EVERYWHERE);
    assert_eq!(named.filter(|number| !known(number)).collect::<Vec<_>>(), Vec::<&&str>::new());
    assert!(RULES.iter().all(|(number, _)| {
        EVERYWHERE.contains(number) || CASES.iter().any(|case| case.rules.contains(number))
    }));
}

#[test]
fn rules_are_told_apart() {
    let page = "## 4. A\n1. one\n   more\n2. two\n\n## 5. B\ntext\n";
    let page = format!("# Top\n{page}");
    assert_eq!(rule(&page, "4.1").as_deref(), Some("1. one    more"));
    assert_eq!(rule(&page, "4.2").as_deref(), Some("2. two"));
    assert_eq!((rule(&page, "4.3"), rule(&page, "6")), (None, None));
    assert!(rule(&page, "5").unwrap().contains("text"));
}

#[test]
fn every_pitfall_has_a_finder() {
    let sources: BTreeMap<String, String> = files(&["rs"]).into_iter().collect();
    let page = page();
    let (_, table) = page.split_once("\n## Pitfalls").unwrap();
    let mut next = 1;
    for line in table.lines().filter(|line| line.starts_with("| P")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!((cells.len(), cells[0]), (3, &*format!("P{next}")), "{line}");
        next += 1;
        let names: Vec<&str> = cells[2].split('`').skip(1).step_by(2).collect();
        let tests: Vec<&&str> = names.iter().filter(|name| name.contains("::")).collect();
        let wrong: Vec<_> = tests.iter().filter(|name| !is_test(name, &sources)).collect();
        assert!(wrong.is_empty(), "{line}: no tests {wrong:?}");
        let mut cases = names.iter().filter(|name| CASES.iter().any(|case| case.name == **name));
        let by_test = names.first() == Some(&"plugin test");
        assert_eq!(by_test, cases.next().is_some(), "{line}");
        assert_eq!(by_test || !tests.is_empty(), !cells[2].starts_with("nobody here: "), "{line}");
    }
    assert_eq!(next - 1, PITFALLS);
}
