//! The example plugins, built the way their first lines say, by a stranger's tools, and served.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;
use std::path::Path;
use std::process::Command;

use polyport_tests::Daemon;
use polyport_tests::plugins::{compile, repository, spec};

use crate::polyport;

#[test]
fn the_example_in_c_is_built_by_its_own_first_lines_and_serves() {
    let source = repository().join("examples/plugins/echo-c/echo.c");
    let dir = tempfile::tempdir().unwrap();
    let library = dir.path().join("libecho_c.so");
    let flags = ["-O2", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-pedantic"];
    if compile("cc", &source, &flags, &library) {
        expect_echo(&library);
    }
    let comment = fs::read_to_string(source).unwrap();
    let command = "cc -O2 -shared -fPIC -I plugins/abi/include examples/plugins/echo-c/echo.c";
    assert!(comment.contains(command), "this test compiles it in the way its comment says");
}

#[test]
fn the_example_in_rust_is_built_by_cargo_and_serves() {
    // A directory of its own: the outer cargo may hold that of the tests.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("examples");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--offline", "--locked", "-p", "polyport-example-echo", "--target-dir"])
        .arg(&target);
    // Not by `Process`: a compiler on a busy machine is silent for longer than a program of ours may be.
    let output = cargo.current_dir(repository()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    expect_echo(&target.join("debug").join(format!("{DLL_PREFIX}polyport_example_echo{DLL_SUFFIX}")));
}

#[test]
fn an_example_is_short_enough_to_be_read_at_a_glance() {
    for (file, most) in [("echo-rust/src/lib.rs", 20), ("echo-c/echo.c", 30), ("relay-rust/src/lib.rs", 70)] {
        let text = fs::read_to_string(repository().join("examples/plugins").join(file)).unwrap();
        let lines = text.lines().count();
        assert!(lines <= most, "{file} has {lines} lines, more than {most}");
    }
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
