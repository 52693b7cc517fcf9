//! Manual pages and completions of the clients.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::support::{run, skip};

const CLIENTS: [&str; 7] = ["cast", "frame", "load", "mtu", "plot", "request", "spoof"];

/// The path of a program; without it, a visible word that something is skipped.
fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file());
    if found.is_none() {
        skip(&format!("there is no program `{name}`"));
    }
    found
}

#[test]
fn every_client_writes_its_pages_and_mandoc_has_nothing_against_them() {
    let dir = tempfile::tempdir().unwrap();
    for name in CLIENTS {
        let written = run(name, &["man", "--dir", dir.path().to_str().unwrap()]);
        assert_eq!(written.code, 0, "{written:?}");
        let page = fs::read_to_string(dir.path().join(format!("polyport-{name}.1"))).unwrap();
        for section in [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "OPTIONS",
            "EXIT STATUS",
            "ENVIRONMENT",
            "EXAMPLES",
            "SEE ALSO",
        ] {
            assert!(
                page.contains(&format!("\n.SH {section}\n"))
                    || page.contains(&format!("\n.SH \"{section}\"\n")),
                "{name}: {section}"
            );
        }
        assert!(page.contains("\n\\fB64\\fR\nusage\n") && page.contains("\\fBpolyport\\fR(8)"), "{page}");
        // Without a directory it is the same page.
        assert_eq!(run(name, &["man"]).out.trim_end(), page.trim_end());
    }
    assert!(dir.path().join("polyport-load-report-merge.1").exists());
    let Some(mandoc) = tool("mandoc") else { return };
    let pages = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let linted = Command::new(mandoc).args(["-T", "lint", "-W", "warning"]).args(pages).output().unwrap();
    let said = String::from_utf8([linted.stdout, linted.stderr].concat()).unwrap();
    // Outside of a checkout nobody knows the day.
    let said: Vec<&str> = said.lines().filter(|line| !line.contains("missing date")).collect();
    assert!(said.is_empty(), "{said:#?}");
}

#[test]
fn every_client_completes_its_flags_in_each_shell() {
    let dir = tempfile::tempdir().unwrap();
    for name in CLIENTS {
        for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "-n")] {
            let printed = run(name, &["completions", shell]);
            assert!(printed.code == 0 && printed.out.contains("json"), "{name} {shell}: {printed:?}");
            let file = dir.path().join(format!("polyport-{name}.{shell}"));
            fs::write(&file, &printed.out).unwrap();
            let Some(program) = tool(shell) else { continue };
            let checked =
                Command::new(program).arg(check).arg(&file).env("HOME", dir.path()).output().unwrap();
            assert!(checked.status.success(), "{name} {shell}: {}", String::from_utf8_lossy(&checked.stderr));
        }
    }
    let wrong = run("request", &["completions", "sh"]);
    assert!(wrong.code == 64 && wrong.err.contains("bash, elvish, fish"), "{wrong:?}");
}

/// A word that asks for a document is one in the first place only, and no target.
#[test]
fn a_target_is_never_taken_for_a_document() {
    run("request", &["./man"]).fails(64, "the port is missing");
    let payload = run("request", &["--raw", "--timeout", "0.05", "127.0.0.1:9", "man"]);
    assert!(payload.code == 69 && !payload.out.contains(".TH"), "{payload:?}");
    run("plot", &["./man"]).fails(65, "./man");
}

#[test]
fn version_with_verbose_tells_this_build_from_others() {
    for name in CLIENTS {
        let told = run(name, &["--version", "--verbose"]);
        let names: Vec<&str> =
            told.out.lines().skip(1).filter_map(|line| Some(line.split_once(": ")?.0)).collect();
        assert_eq!(names, ["commit", "commit-date", "target", "rustc", "profile"], "{told:?}");
    }
}
