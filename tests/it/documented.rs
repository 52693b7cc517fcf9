//! What the documents list is what the program has: options and metrics of the shipped plugins, keys of a listener.
//!
//! `POLYPORT_WRITE_DOCS=1 cargo test -p polyport-tests --test it documented` writes `plugins/OPTIONS.md` anew.

use std::fmt::Write;
use std::fs;

use polyport_tests::plugins::{built, repository};
use serde_json::Value;

use crate::polyport;

const HEAD: &str = "\
# Options and metrics of the shipped plugins

Written by a test from what `polyport plugin inspect NAME --run` says (`tests/it/documented.rs`, whose head says how to write it
anew). The forms of values are in [ABI.md](ABI.md), section 5; what a listener may say besides, whatever its plugin, is in
[configuration.md](../daemon/docs/configuration.md).
";

/// The page, from the libraries that were built.
fn page() -> String {
    let mut page = HEAD.to_owned();
    for table in polyport_shipped::PLUGINS {
        let name: String =
            table.ident.name.iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte)).collect();
        let inspected = polyport().args(&["plugin", "inspect", "--json", "--run"]).arg(built(&name)).run();
        let seen: Value = serde_json::from_str(&inspected.expect_code(0).stdout).unwrap();
        let whole = seen["instance"] == "listener";
        let made = if whole {
            "One handler serves all addresses of a listener"
        } else {
            "Each address has a handler of its own"
        };
        write!(page, "\n## {name}\n\n{}. {made}.\n\n", word(&seen["about"])).unwrap();
        page.push_str("| option | type | default | what it is for |\n| --- | --- | --- | --- |\n");
        for option in seen["options"].as_array().unwrap() {
            let [name, kind, default, help] = option_cells(option);
            writeln!(page, "| `{name}` | {kind} | {default} | {help} |").unwrap();
        }
        page.push_str("\n| metric | kind | what it counts |\n| --- | --- | --- |\n");
        for metric in seen["run"]["metrics"].as_array().unwrap() {
            let [name, kind, help] = ["name", "kind", "help"].map(|key| word(&metric[key]));
            writeln!(page, "| `{name}` | {kind} | {help} |").unwrap();
        }
        let wants = seen["run"]["wants"].as_array().unwrap();
        if !wants.is_empty() {
            let wants: Vec<String> = wants.iter().map(word).collect();
            writeln!(page, "\nWith the defaults it wants to know of each datagram: {}.", wants.join(", "))
                .unwrap();
        }
    }
    page
}

/// Name, type, default and help, as cells of a table.
fn option_cells(option: &Value) -> [String; 4] {
    let kind = match option["choices"].as_array() {
        Some(choices) => {
            choices.iter().map(|choice| format!("`{}`", word(choice))).collect::<Vec<_>>().join(" or ")
        }
        None => {
            let range = option["range"].as_str().map(|range| format!(", {range}")).unwrap_or_default();
            format!("{}{range}", word(&option["type"]))
        }
    };
    let default = match (option["default"].as_str(), option["required"].as_bool()) {
        (Some(""), _) => "empty".to_owned(),
        (Some(text), _) => format!("`{text}`"),
        (None, Some(true)) => "must be given".to_owned(),
        (None, _) => "none".to_owned(),
    };
    let remarks: Vec<String> = option["remarks"].as_array().unwrap().iter().map(word).collect();
    let remarks = if remarks.is_empty() { String::new() } else { format!(" ({})", remarks.join(", ")) };
    [word(&option["name"]), kind, default, format!("{}{remarks}", word(&option["help"]))]
}

/// A text as a cell takes it.
fn word(value: &Value) -> String {
    value.as_str().unwrap().replace('|', "\\|")
}

#[test]
fn the_page_of_options_is_what_the_plugins_declare() {
    let path = repository().join("plugins/OPTIONS.md");
    let page = page();
    if std::env::var_os("POLYPORT_WRITE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == page, "the head of this file says how to write {} anew:\n{page}", path.display());
}

/// The program tells its keys when it meets one that it does not know.
#[test]
fn every_key_of_a_listener_is_in_a_document() {
    let config = "[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"echo\"\nzzz = 1\n";
    let refused = polyport().arg("check").config(config).run();
    let text = refused.expect_code(78).stderr.clone();
    let (_, keys) = text.split_once("keys of [[listen]]: ").unwrap();
    let keys: Vec<&str> = keys.lines().next().unwrap().split(", ").collect();
    assert!(keys.len() > 10 && keys.contains(&"on_fault"), "{keys:?}");
    let page = fs::read_to_string(repository().join("daemon/docs/configuration.md")).unwrap();
    let documented: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(key, _)| key)
        .collect();
    assert_eq!(documented, keys, "the table in daemon/docs/configuration.md, in the same order");
}
