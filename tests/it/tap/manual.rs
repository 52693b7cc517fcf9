//! `daemon/docs/tap.md`: its examples are run, and its tables have what the program has.

use std::fs;
use std::process::{Command, Stdio};

use polyport_tests::plugins::repository;
use polyport_tests::process::Process;
use polyport_tests::tool::tool;
use regex::Regex;

use super::socket;
use crate::polyport;

fn page() -> String {
    fs::read_to_string(repository().join("daemon/docs/tap.md")).unwrap()
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

/// Times and ports differ from run to run.
fn alike(text: &str) -> String {
    let text = Regex::new("after [0-9.]+ [a-z]+").unwrap().replace_all(text, "after T");
    let text = Regex::new("[0-9]{4}-[0-9T:.-]+Z").unwrap().replace_all(&text, "AT");
    let text = Regex::new("127.0.0.1:[0-9]+").unwrap().replace_all(&text, "ADDR");
    Regex::new("in [0-9.]+ s").unwrap().replace_all(&text, "in T").into_owned()
}

#[test]
fn its_examples_show_what_comes() {
    let (Some(shell), Some(_)) = (tool("sh"), tool("tshark")) else { return };
    let daemon = polyport().listen("127.0.0.1:0=echo").listen("127.0.0.1:0=lossy,loss=100%").serve();
    let bin = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_polyport-under-test"), bin.path().join("polyport"))
        .unwrap();
    let path = format!("{}:{}", bin.path().display(), std::env::var("PATH").unwrap());
    let examples = examples(&page());
    assert_eq!(examples.len(), 5, "{examples:?}");
    for (command, shown) in &examples {
        let mut started = Command::new(&shell);
        // A shell that becomes the command, so that nothing is left behind.
        started.args(["-c", &format!("exec {command}")]).env("PATH", &path);
        started.env("S", socket(daemon.dir())).current_dir(daemon.dir()).stdin(Stdio::null());
        let mut process = Process::spawn(&mut started);
        if command.contains(" tap ") {
            process.wait_for_stderr("; Ctrl-C ends it");
            if command.contains("lossy.pcapng") {
                daemon.client(1).send(b"lost");
            } else {
                let client = daemon.client(0);
                client.expect_echo(b"hello");
                if command.contains("lossy") {
                    daemon.client(1).send(b"lost");
                    crate::control::json(&daemon, &["status"]);
                    polyport_tests::wait::until("it is lost", || {
                        crate::control::json(&daemon, &["status"])["total"]["dropped_in"]["on_purpose"] == 1
                    });
                }
                client.expect_echo(b"hello");
            }
        }
        let ran = process.finish();
        ran.expect_code(0);
        let remarks: Vec<&str> =
            ran.stderr.lines().filter(|line| !line.starts_with("Running as user")).collect();
        // The first remark comes before all lines, the last behind them.
        let first = remarks.first().map(|line| format!("{line}\n")).unwrap_or_default();
        let rest: String = remarks.iter().skip(1).map(|line| format!("{line}\n")).collect();
        assert_eq!(alike(&format!("{first}{}{rest}", ran.stdout)), alike(shown), "{command}");
    }
    drop(daemon.stop());
}

#[test]
fn its_tables_have_every_option() {
    let page = page();
    let flags = Regex::new("--[a-z]+").unwrap();
    for (command, section) in [("tap", "## Tap"), ("replay", "## Replay")] {
        let help = polyport().args(&[command, "--help"]).run();
        let part = page.split(section).nth(1).unwrap();
        for flag in flags.find_iter(&help.expect_code(0).stdout.clone()) {
            if !["--help", "--control", "--version", "--write"].contains(&flag.as_str()) {
                assert!(part.contains(flag.as_str()), "{command}: {}", flag.as_str());
            }
        }
    }
}
