//! `plugins/README.md`, followed by somebody who types what it says: outside the repository, with nothing that it does not name.
//!
//! A block whose first line is the name of a file in a comment is that file. Of `sh`, every line is a command; `polyport` is left
//! running. Of `console`, what is behind `$` is a command, and the rest is what it prints.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use polyport_tests::network::Host;
use polyport_tests::plugins::repository;
use polyport_tests::process::Process;
use polyport_tests::tool::tool;
use tempfile::TempDir;

#[test]
fn the_handler_in_rust_is_written_tested_built_and_serves_as_the_page_says() {
    let done = follow("Rust");
    assert!(done.is_none_or(|done| done.served == 1
        && done.shown == 1
        && done.files == ["src/lib.rs", "greeter.toml"]));
}

#[test]
fn the_handler_in_c_is_written_built_and_serves_as_the_page_says() {
    let done = follow("C");
    assert!(done.is_none_or(|done| done.served == 1 && done.shown == 1 && done.files == ["greeter.c"]));
}

/// What was done, so that a page of which nothing is read does not pass.
#[derive(Default)]
struct Done {
    files: Vec<String>,
    served: usize,
    shown: usize,
}

/// Somebody at a shell.
struct Reader {
    host: Host,
    here: PathBuf,
    path: String,
    /// Daemons in other terminals.
    servers: Vec<Process>,
    /// Their directories.
    launches: Vec<polyport_tests::Launch>,
    done: Done,
    _dir: TempDir,
}

fn follow(section: &str) -> Option<Done> {
    for program in ["cargo", "cc", "nc", "sh"] {
        tool(program)?;
    }
    let mut reader = Reader::new()?;
    let page = fs::read_to_string(repository().join("plugins/README.md")).unwrap();
    let text = page.split("\n## ").find(|part| part.starts_with(&format!("{section}\n"))).expect("a section");
    // Up to its first heading: what follows are tables and parts.
    let text = text.split("\n### ").next().unwrap();
    for block in text.split("\n```").skip(1).step_by(2) {
        let (language, block) = block.split_once('\n').expect("a block has lines");
        match language {
            "sh" => block.lines().for_each(|command| reader.type_in(command)),
            "console" => reader.look(block),
            _ => reader.write(block),
        }
    }
    Some(reader.leave())
}

impl Reader {
    fn new() -> Option<Self> {
        let host = Host::alone()?;
        let dir = tempfile::tempdir().unwrap();
        let programs = dir.path().join("bin");
        fs::create_dir(&programs).unwrap();
        symlink(env!("CARGO_BIN_EXE_polyport-under-test"), programs.join("polyport")).unwrap();
        symlink(repository(), dir.path().join("polyport")).unwrap();
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
        let here = dir.path().to_path_buf();
        Some(Self {
            host,
            here,
            path,
            servers: Vec::new(),
            launches: Vec::new(),
            done: Done::default(),
            _dir: dir,
        })
    }

    /// A command that ends, or a daemon.
    #[track_caller]
    fn type_in(&mut self, command: &str) {
        if let Some(dir) = command.strip_prefix("cd ") {
            self.here.push(dir);
            assert!(self.here.is_dir(), "{command}: there is no such directory");
        } else if command.starts_with("polyport --listen") {
            self.serve(command);
        } else {
            let output = shell(command, &self.here, &self.path);
            assert!(output.1, "$ {command}\n{}", output.0);
            self.check_test(command, &output.0);
        }
    }

    /// `cargo test` without a test would succeed as well.
    fn check_test(&self, command: &str, output: &str) {
        assert!(command != "cargo test" || output.contains("1 passed"), "{output}");
    }

    #[track_caller]
    fn serve(&mut self, command: &str) {
        let mut launch = self
            .host
            .launch("sh")
            .arg("-c")
            .arg(format!("exec 2>&1; exec {command}"))
            .env("PATH", &self.path);
        launch.command().current_dir(&self.here);
        let mut server = Process::spawn(launch.command());
        assert!(server.wait_for_stdout("serving; Ctrl-C stops"), "$ {command}\n{}", server.stdout());
        self.servers.push(server);
        self.launches.push(launch);
        self.done.served += 1;
    }

    /// The other terminal is on the same host.
    #[track_caller]
    fn look(&mut self, block: &str) {
        let (command, expected) =
            block.strip_prefix("$ ").and_then(|block| block.split_once('\n')).expect("a command");
        let mut launch = self.host.launch("sh").arg("-c").arg(command).env("PATH", &self.path);
        let finished = Process::spawn(launch.command()).finish();
        assert_eq!(finished.stdout.trim_end(), expected, "$ {command}");
        self.done.shown += 1;
    }

    /// A file; one of polyport's is checked as the page says.
    #[track_caller]
    fn write(&mut self, block: &str) {
        let first = block.lines().next().unwrap();
        let name = first.trim_start_matches(['#', '/', '*', ' ']).trim_end_matches(['*', '/', ' ']);
        assert!(name.contains('.') && !name.contains(' '), "a block that names no file: {first}");
        fs::write(self.here.join(name), format!("{block}\n")).unwrap();
        if name == "greeter.toml" {
            let (output, fine) = shell(&format!("polyport check -c {name}"), &self.here, &self.path);
            assert!(fine && output.contains("greeter 0.1.0"), "{output}");
        }
        self.done.files.push(name.to_owned());
    }

    fn leave(self) -> Done {
        for server in self.servers {
            server.signal(rustix::process::Signal::TERM);
            server.finish().expect_code(0);
        }
        self.done
    }
}

/// What a command prints, and whether it succeeds. Not by `Process`: a compiler on a busy machine is silent for longer than a
/// program of ours may be.
fn shell(command: &str, here: &Path, path: &str) -> (String, bool) {
    let mut shell = Command::new("sh");
    // The registry is not asked: what the tests were built with is there.
    shell
        .arg("-c")
        .arg(format!("exec 2>&1; {command}"))
        .current_dir(here)
        .env("PATH", path)
        .env("CARGO_NET_OFFLINE", "true");
    // The outer cargo's settings are not the reader's.
    for name in [
        "CARGO_TARGET_DIR",
        "RUSTFLAGS",
        "CARGO_MANIFEST_DIR",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_TARGET_DIR",
    ] {
        shell.env_remove(name);
    }
    let output = shell.output().expect("a shell can be started");
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success())
}
