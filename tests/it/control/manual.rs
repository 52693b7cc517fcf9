//! `daemon/docs/control.md`: its examples are run, and its tables have what the program has.

use std::fs;
use std::path::Path;
use std::process::Command;

use polyport_tests::plugins::repository;
use polyport_tests::tool::tool;
use polyport_tests::wait;
use regex::Regex;

use super::{HELLO, Raw, json, socket};
use crate::polyport;

fn page() -> String {
    fs::read_to_string(repository().join("daemon/docs/control.md")).unwrap()
}

/// Each command of the page with what it shows.
fn examples(page: &str) -> Vec<(String, String)> {
    let blocks = page.split("\n```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("console\n"));
    let mut all: Vec<(String, String)> = Vec::new();
    for line in blocks.flat_map(str::lines) {
        match (line.strip_prefix("$ "), all.last_mut()) {
            (Some(command), _) => all.push((command.to_owned(), String::new())),
            (None, Some((_, shown))) => *shown += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    all
}

/// Numbers differ from run to run, and what a machine has of a sandbox.
fn alike(text: &str) -> String {
    let text = Regex::new("\"sandbox\": \"[^\"]*\"").unwrap().replace_all(text, "\"sandbox\"");
    // One call in 128 is timed.
    let text = Regex::new("(?s)\\s*\"time\": \\{[^}]*\\},").unwrap().replace_all(&text, "");
    Regex::new("[0-9]+").unwrap().replace_all(&text, "N").into_owned()
}

#[test]
fn its_examples_show_what_comes() {
    let (Some(shell), Some(_), Some(_)) = (tool("sh"), tool("socat"), tool("python3")) else { return };
    let first = polyport_tests::ports::free_range(&["127.0.0.1".parse().unwrap()], 100, 0);
    let daemon = polyport()
        .listen(format!("127.0.0.1:{first}-{}=echo", first + 99))
        .listen("127.0.0.1:0=lossy,loss=100%")
        .serve();
    daemon.client(0).expect_echo(b"one");
    daemon.client(0).expect_echo(b"two");
    daemon.client(1).send(b"---");
    wait::until("all are counted", || json(&daemon, &["status"])["total"]["received"] == 3);
    // Where the commands are called as a user calls them.
    let bin = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_polyport-under-test"), bin.path().join("polyport"))
        .unwrap();
    let path = format!("{}:{}", bin.path().display(), std::env::var("PATH").unwrap());
    let run = |command: &str, socket: &Path| {
        let ran =
            Command::new(&shell).args(["-c", command]).env("PATH", &path).env("S", socket).output().unwrap();
        String::from_utf8(ran.stdout).unwrap()
    };
    let examples = examples(&page());
    assert!(examples.len() >= 6, "{examples:?}");
    assert!(examples.last().unwrap().0.starts_with("polyport stop"));
    for (command, shown) in &examples {
        let came = run(command, &socket(daemon.dir()));
        assert_eq!(alike(&came), alike(shown), "{command}");
    }
    daemon.process.finish().expect_code(0);
}

#[test]
fn its_tables_name_every_method_and_counter() {
    let daemon = super::echo().serve();
    let page = page();
    let cells: Vec<&str> =
        page.lines().filter(|line| line.starts_with('|')).flat_map(|line| line.split('`')).collect();
    let hello = Raw::of(&socket(daemon.dir())).ask(HELLO);
    for method in hello["result"]["methods"].as_array().unwrap() {
        let row = format!("| `{}` |", method.as_str().unwrap());
        assert!(page.contains(&row), "{row}");
    }
    let status = json(&daemon, &["status"]);
    let control = status["control"].as_object().unwrap().keys();
    for counter in control.filter(|name| !["connections", "requests", "strangers"].contains(&name.as_str())) {
        assert!(cells.contains(&counter.as_str()), "{counter}");
    }
    drop(daemon.stop());
}
