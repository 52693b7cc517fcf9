//! The example plugins, built the way their first lines say, by a stranger's tools, and served.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use polyport_tests::Daemon;
use polyport_tests::plugins::{compile, repository, spec};

use crate::polyport;

#[test]
fn the_example_in_c_is_built_by_its_own_first_lines_and_serves() {
    let dir = tempfile::tempdir().unwrap();
    if let Some(library) = built_by_cc("echo", dir.path()) {
        expect_echo(&library);
    }
}

#[test]
fn the_example_in_rust_is_built_by_cargo_and_serves() {
    expect_echo(&built_by_cargo("polyport-example-echo"));
}

#[test]
fn an_example_is_short_enough_to_be_read_at_a_glance() {
    for (file, most) in [("echo-rust/src/lib.rs", 20), ("echo-c/echo.c", 30), ("relay-rust/src/lib.rs", 70)] {
        let text = fs::read_to_string(repository().join("examples/plugins").join(file)).unwrap();
        let lines = text.lines().count();
        assert!(lines <= most, "{file} has {lines} lines, more than {most}");
    }
}

/// The library of an example in Rust.
#[track_caller]
pub(super) fn built_by_cargo(package: &str) -> PathBuf {
    // A directory of its own: the outer cargo may hold that of the tests.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("examples");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--offline", "--locked", "-p", package, "--target-dir"]).arg(&target);
    // Not by `Process`: a compiler on a busy machine is silent for longer than a program of ours may be.
    let output = cargo.current_dir(repository()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    target.join("debug").join(format!("{DLL_PREFIX}{}{DLL_SUFFIX}", package.replace('-', "_")))
}

/// The library of the example `NAME-c`, made by the command in its first lines; none without a C compiler.
#[track_caller]
pub(super) fn built_by_cc(name: &str, dir: &Path) -> Option<PathBuf> {
    let file = format!("examples/plugins/{name}-c/{name}.c");
    let source = repository().join(&file);
    let library = dir.join(format!("lib{name}_c.so"));
    let flags = ["-O2", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-pedantic"];
    let built = compile("cc", &source, &flags, &library);
    let command = format!("cc -O2 -shared -fPIC -I plugins/abi/include {file} -o lib{name}_c.so");
    let comment = fs::read_to_string(source).unwrap();
    assert!(comment.contains(&command), "this test compiles it in the way its comment says");
    built.then_some(library)
}

#[track_caller]
fn expect_echo(library: &Path) {
    let daemon: Daemon = polyport().listen(spec("127.0.0.1:0", library) + ",name=example").serve();
    let client = daemon.client(0);
    for payload in [b"hello".as_slice(), b"", &[0xff; 2000]] {
        client.expect_echo(payload);
    }
    assert_eq!(daemon.stop().received("example", "replied"), 3);
}
