//! Manual pages and completions, as man(1) and the shells take them; and what `--version` says of the build.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use polyport_tests::tool::tool;

use crate::polyport;
use crate::screen::Screen;

const USAGE: i32 = 64;

/// All pages, in a directory.
fn pages() -> (tempfile::TempDir, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    polyport().args(&["man", "--dir", dir.path().to_str().unwrap()]).run().expect_code(0);
    let names =
        fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    (dir, names)
}

fn completions(shell: &str) -> String {
    polyport().args(&["completions", shell]).run().expect_code(0).stdout.clone()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn every_command_has_a_page_that_mandoc_has_nothing_against() {
    let (dir, names) = pages();
    for name in [
        "polyport.8",
        "polyport-run.8",
        "polyport-config-explain.8",
        "polyport-plugin-new.8",
        "polyport.toml.5",
    ] {
        assert!(names.iter().any(|it| it == name), "{name}: {names:?}");
    }
    assert!(
        names.len() > 30 && names.iter().all(|name| !name.contains("broker") && !name.contains("help")),
        "{names:?}"
    );
    let Some(mandoc) = tool("mandoc") else { return };
    for name in &names {
        let path = dir.path().join(name);
        let linted = Command::new(&mandoc).args(["-T", "lint", "-W", "warning"]).arg(&path).output().unwrap();
        let said = text(&linted);
        // Outside of a checkout nobody knows the day.
        let said: Vec<&str> = said.lines().filter(|line| !line.contains("missing date")).collect();
        assert!(said.is_empty(), "{said:#?}");
    }
}

#[test]
fn every_page_is_shown_by_man_without_a_warning_and_has_its_sections() {
    let (dir, names) = pages();
    let Some(man) = tool("man") else { return };
    for name in &names {
        let shown = Command::new(&man)
            .args(["--warnings=w", "--encoding=UTF-8", "-l"])
            .arg(dir.path().join(name))
            .envs([("MANWIDTH", "80"), ("LC_ALL", "C.UTF-8"), ("MANPAGER", "cat"), ("MANROFFOPT", "-c")])
            .output()
            .unwrap();
        assert!(shown.status.success() && shown.stderr.is_empty(), "{name}: {}", text(&shown));
        let page = without_overstrikes(&String::from_utf8(shown.stdout).unwrap());
        let sections: Vec<&str> =
            page.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase())).collect();
        let sections = sections.get(1..).unwrap();
        let expected: &[&str] = if name == "polyport.toml.5" {
            &["NAME", "SYNOPSIS", "DESCRIPTION", "KEYS", "FILES", "EXAMPLES", "SEE ALSO"]
        } else {
            &[
                "NAME",
                "SYNOPSIS",
                "DESCRIPTION",
                "OPTIONS",
                "EXIT STATUS",
                "ENVIRONMENT",
                "FILES",
                "EXAMPLES",
                "SEE ALSO",
            ]
        };
        let mut left = sections.iter();
        for section in expected {
            assert!(
                left.any(|it| it == section),
                "{name} has no {section}, or it is not in its place: {sections:?}\n{page}"
            );
        }
        assert!(!page.contains('`') && !page.contains("\\f"), "{name}: {page}");
    }
}

/// A letter, a backspace and the letter again are how a terminal of old was told of bold.
fn without_overstrikes(text: &str) -> String {
    let mut kept = String::new();
    for letter in text.chars() {
        if letter == '\u{8}' {
            kept.pop();
        } else {
            kept.push(letter);
        }
    }
    kept
}

#[test]
fn one_page_is_printed_by_its_name() {
    let page = |words: &[&str]| polyport().arg("man").args(words).run().expect_code(0).stdout.clone();
    assert!(page(&[]).contains(".TH POLYPORT 8 "));
    assert!(page(&["plugin", "try"]).contains(".TH POLYPORT-PLUGIN-TRY 8 "));
    assert!(
        page(&["polyport.toml"]).contains(".TH polyport.toml 5 ")
            || page(&["polyport.toml"]).contains(".TH POLYPORT.TOML 5 ")
    );
    polyport().args(&["man", "nothing"]).run().expect_code(USAGE).expect_stderr(&["no page nothing"]);
}

#[test]
fn completions_are_of_the_language_of_their_shell() {
    let dir = tempfile::tempdir().unwrap();
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "-n")] {
        let text = completions(shell);
        assert!(text.contains("take-over") && !text.contains("socket-broker"), "{shell}: {text}");
        let file = dir.path().join(shell);
        fs::write(&file, text).unwrap();
        let Some(program) = tool(shell) else { continue };
        let checked = Command::new(program).arg(check).arg(&file).env("HOME", dir.path()).output().unwrap();
        assert!(checked.status.success(), "{shell}: {}", self::text(&checked));
    }
    assert!(completions("powershell").contains("Register-ArgumentCompleter"));
    // Whose module of completions is there at its prompt only.
    assert!(completions("elvish").contains("edit:completion:arg-completer[polyport]"));
    polyport().args(&["completions", "sh"]).run().expect_code(USAGE).expect_stderr(&["bash, elvish, fish"]);
}

/// A terminal with a shell of nobody's, in which the completions are loaded by `setup`.
fn shell(program: &str, options: &str, setup: &[String]) -> Option<Screen> {
    let program = tool(program)?;
    let screen = Screen::start(
        (100, 30),
        &format!("HOME=/nonexistent PS1='ready> ' {} {options}", program.display()),
    )?;
    screen.until("there is a prompt", |text| text.contains("ready>"));
    for line in setup {
        screen.tmux(&["send-keys", "-l", line]);
        screen.tmux(&["send-keys", "Enter"]);
    }
    screen.tmux(&["send-keys", "-l", "echo loaded | tr a-z A-Z"]);
    screen.tmux(&["send-keys", "Enter"]);
    screen.until("the completions are loaded", |text| text.lines().any(|line| line == "LOADED"));
    Some(screen)
}

#[track_caller]
fn completes(screen: &Screen) {
    for (typed, whole) in [
        ("polyport ru", "polyport run"),
        ("polyport plugin ne", "polyport plugin new"),
        ("polyport top --onc", "polyport top --once"),
    ] {
        screen.tmux(&["send-keys", "-l", typed]);
        screen.tmux(&["send-keys", "Tab"]);
        screen.until(&format!("{typed} is completed"), |text| {
            text.lines().any(|line| line.trim_end().ends_with(whole))
        });
        screen.tmux(&["send-keys", "C-u"]);
        screen.until("the line is empty again", |text| {
            text.lines().rev().find(|line| !line.is_empty()).is_some_and(|line| line.trim_end() == "ready>")
        });
    }
}

/// The file with the completions for a shell.
fn loaded(dir: &Path, shell: &str) -> String {
    let file = dir.join(format!("_polyport-{shell}"));
    fs::write(&file, completions(shell)).unwrap();
    file.display().to_string()
}

#[test]
fn bash_completes_commands_and_flags_with_and_without_bash_completion() {
    const COMMON: &str = "/usr/share/bash-completion/bash_completion";
    let dir = tempfile::tempdir().unwrap();
    let file = loaded(dir.path(), "bash");
    let options = "--norc --noprofile -i";
    if let Some(screen) = shell("bash", options, &[format!("source {file}")]) {
        completes(&screen);
    }
    if Path::new(COMMON).exists() {
        if let Some(screen) = shell("bash", options, &[format!("source {COMMON}"), format!("source {file}")])
        {
            completes(&screen);
        }
    } else {
        polyport_tests::tool::skip("there is no bash-completion");
    }
}

#[test]
fn zsh_completes_commands_and_flags() {
    let dir = tempfile::tempdir().unwrap();
    let file = loaded(dir.path(), "zsh");
    let setup = [format!("autoload -U compinit; compinit -D -u; source {file}")];
    if let Some(screen) = shell("zsh", "-f -i", &setup) {
        completes(&screen);
    }
}

#[test]
fn fish_completes_commands_flags_and_values() {
    let dir = tempfile::tempdir().unwrap();
    let file = loaded(dir.path(), "fish");
    let Some(fish) = tool("fish") else { return };
    for (typed, whole) in [
        ("polyport ru", "run"),
        ("polyport plugin ne", "new"),
        ("polyport top --onc", "--once"),
        ("polyport top --sort sess", "sessions"),
    ] {
        let script = format!("source {file}; complete -C '{typed}'");
        let asked = Command::new(&fish)
            .args(["--no-config", "-c", &script])
            .env("HOME", dir.path())
            .output()
            .unwrap();
        let answer = text(&asked);
        assert!(answer.lines().any(|line| line.split('\t').next() == Some(whole)), "{typed}: {answer}");
    }
}

#[test]
fn version_with_verbose_tells_this_build_from_others() {
    for args in [&["--version", "--verbose"][..], &["-V", "-v"], &["-v", "--version"]] {
        let run = polyport().args(args).run();
        let text = &run.expect_code(0).stdout;
        let names: Vec<&str> =
            text.lines().skip(1).filter_map(|line| Some(line.split_once(": ")?.0)).collect();
        assert_eq!(
            names,
            ["commit", "commit-date", "target", "rustc", "profile", "plugin-abi", "built-in-plugins"],
            "{text}"
        );
        assert!(text.contains("built-in-plugins: discard, echo, listener, "), "{text}");
        assert!(text.contains(&format!("plugin-abi: {}.", polyport_abi::ABI_MAJOR)), "{text}");
    }
    assert_eq!(polyport().arg("--version").run().stdout.lines().count(), 1);
}
