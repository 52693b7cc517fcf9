//! What the documents list is what the program has: options and metrics of the shipped plugins, keys of a listener.
//!
//! `POLYPORT_WRITE_DOCS=1 cargo test -p polyport-tests --test it documented` writes `plugins/OPTIONS.md` anew, and the tables in
//! `daemon/docs/configuration.md` and `daemon/docs/metrics.md`.

use std::fmt::Write;
use std::fs;

use polyport::config::keys::{self, Place};
use polyport_tests::plugins::{built, repository};
use serde_json::Value;

use crate::polyport;

const HEAD: &str = "\
# Options and metrics of the shipped plugins

Written by a test from what `polyport plugin inspect NAME --run` says (`tests/it/documented.rs`, whose head says how to write it
anew). The forms of values are in [ABI.md](ABI.md), section 5; what a listener may say besides, whatever its plugin, is in
[configuration.md](../daemon/docs/configuration.md). Metrics that begin with `log_` are there with `decisions`, those of `lossy` that begin with
`up_` or `down_` where something may happen that way.
";

/// The page, from the libraries that were built.
fn page() -> String {
    let mut page = HEAD.to_owned();
    for table in polyport_shipped::PLUGINS {
        let name: String =
            table.ident.name.iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte)).collect();
        let inspect = polyport().args(&["plugin", "inspect", "--json", "--run"]).args(required(&name));
        let inspected = inspect.arg(built(&name)).run();
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

/// The options without which a plugin is not made, or has not all of its metrics.
fn required(name: &str) -> &'static [&'static str] {
    match name {
        "lossy" => &["--option", "up.loss=1%", "--option", "down.loss=1%", "--option", "decisions=/dev/null"],
        "relay" => &["--option", "to=192.0.2.1:9", "--option", "decisions=/dev/null"],
        _ => &[],
    }
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

/// The table of series stands between two remarks, as those of keys do.
#[test]
fn the_page_of_metrics_is_the_table_of_the_program() {
    let path = repository().join("daemon/docs/metrics.md");
    let mut page = fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- series -->\n", "<!-- end -->\n");
    let start = page.find(begin).expect("its begin") + begin.len();
    let length = page[start..].find(end).expect("its end");
    let table = polyport::control::http::table::page();
    if std::env::var_os("POLYPORT_WRITE_DOCS").is_some() {
        page.replace_range(start..start + length, &table);
        fs::write(&path, &page).unwrap();
    }
    let written = page.get(start..start + length.max(table.len())).unwrap_or_default();
    assert!(written == table, "the head of this file says how to write {} anew:\n{table}", path.display());
}

/// The table of exit codes stands between two remarks as well. It is what their definition says.
#[test]
fn the_page_of_exit_codes_is_their_definition() {
    let source = fs::read_to_string(repository().join("daemon/terminal/src/exit.rs")).unwrap();
    let (_, source) = source.split_once("pub enum Exit {\n").unwrap();
    let (source, _) = source.split_once("\n}").unwrap();
    let mut table = String::from("| code | name | meaning |\n| --: | --- | --- |\n");
    let mut meaning = Vec::new();
    for line in source.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("/// ") {
            meaning.push(text);
        } else {
            let (name, code) = line.trim_end_matches(',').split_once(" = ").unwrap();
            writeln!(table, "| {code} | `{name}` | {} |", meaning.join(" ")).unwrap();
            meaning.clear();
        }
    }
    assert!(table.lines().count() > 10, "{table}");
    let path = repository().join("daemon/docs/exit-codes.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once("<!-- codes -->\n").unwrap();
    let (written, after) = rest.split_once("<!-- end -->\n").unwrap();
    if std::env::var_os("POLYPORT_WRITE_DOCS").is_some() {
        fs::write(&path, format!("{before}<!-- codes -->\n{table}<!-- end -->\n{after}")).unwrap();
    } else {
        assert_eq!(written, table, "the head of this file says how to write it anew");
    }
}

/// The tables of keys stand between two remarks each; what is around them is written by hand.
#[test]
fn the_page_of_keys_is_the_table_of_the_program() {
    let path = repository().join("daemon/docs/configuration.md");
    let mut page = fs::read_to_string(&path).unwrap();
    for place in Place::ALL {
        let name = if place == Place::Top { "top" } else { place.path() };
        let (begin, end) = (format!("<!-- keys: {name} -->\n"), "<!-- end -->\n");
        let start =
            page.find(&begin).unwrap_or_else(|| panic!("no {begin:?} in {}", path.display())) + begin.len();
        let length = page[start..].find(end).expect("its end");
        let table = keys::page(place);
        if std::env::var_os("POLYPORT_WRITE_DOCS").is_some() {
            page.replace_range(start..start + length, &table);
            fs::write(&path, &page).unwrap();
        } else {
            assert_eq!(
                &page[start..start + length],
                table,
                "the head of this file says how to write it anew"
            );
        }
    }
}

/// The program tells its keys when it meets one that it does not know.
#[test]
fn the_keys_that_the_program_tells_are_those_of_the_table() {
    let config = "[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"echo\"\nzzz = 1\n";
    let refused = polyport().arg("check").config(config).run();
    let text = refused.expect_code(78).stderr.clone();
    let (_, told) = text.split_once("keys of [[listen]]: ").unwrap();
    let names: Vec<&str> = keys::all(Place::Listen).iter().map(|key| key.name).collect();
    assert_eq!(told.lines().next().unwrap(), names.join(", "));
}

/// The examples of tables that are all defaults say what the table of keys says.
#[test]
fn the_defaults_in_the_documents_are_those_of_the_table() {
    for (place, page) in [(Place::Limits, "operating.md"), (Place::Reply, "listeners.md")] {
        let page = fs::read_to_string(repository().join("daemon/docs").join(page)).unwrap();
        let (_, rest) = page.split_once(&format!("\n{}\n", place.header())).unwrap();
        let block = rest.split("\n```").next().unwrap();
        let said: Vec<(&str, &str)> = block
            .lines()
            .filter_map(|line| line.split('#').next()?.split_once(" = "))
            .map(|(key, value)| (key.trim(), value.trim()))
            .collect();
        let table: Vec<(&str, &str)> = keys::all(place).iter().map(|key| (key.name, key.value())).collect();
        assert_eq!(said, table, "{place:?}");
    }
}
