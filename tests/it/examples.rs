//! The example plugins, built the way their first lines say, by a stranger's tools, and served.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use polyport_tests::plugins::{compile, repository, spec};
use polyport_tests::{Client, Daemon};

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

/// A thread of the plugin's own asks the system; the answer leaves from the address that was asked, of all that the listener has.
#[test]
fn the_example_that_looks_names_up_answers_later_from_the_address_that_was_asked() {
    let library = built_by_cargo("polyport-example-lookup");
    // The system's resolver reads files, and may ask the network.
    let daemon = polyport()
        .args(&["--sandbox", "off"])
        .listen(spec("0.0.0.0:0", &library) + ",name=lookup")
        .listen("127.0.0.1:0=echo,name=neighbour")
        .serve();
    let port = daemon.addresses()[0].port();
    // A connected socket takes what comes from the address it has asked, and nothing else.
    for (name, asked) in
        [("localhost", [127, 0, 0, 1]), ("127.1.2.3", [127, 0, 0, 5]), (" localhost\n", [127, 0, 0, 6])]
    {
        let client = Client::of((asked, port).into());
        let answer = String::from_utf8(client.ask(name.as_bytes())).unwrap();
        let mut found = answer.lines().map(|line| line.parse::<IpAddr>().unwrap());
        assert!(found.any(|ip| ip.is_loopback()), "{answer:?}");
    }
    let client = Client::of(([127, 0, 0, 1], port).into());
    let refused = String::from_utf8(client.ask(b"not..a.name")).unwrap();
    assert!(refused.starts_with("not..a.name: "), "{refused}");
    client.send(&[0xff; 9]);
    client.send(&[b'a'; 254]);
    daemon.client(1).expect_echo(b"the other listener serves");
    let served = daemon.stop();
    assert_eq!((served.received("lookup", "consumed"), served.received("lookup", "on_purpose")), (4, 2));
    assert_eq!((served.sent("lookup", "sent"), served.counted("lookup", "busy_total")), (4, 1));
    assert_eq!((served.counted("lookup", "tickets"), served.counted("lookup", "answered")), (4, 4));
}

#[test]
fn an_example_is_short_enough_to_be_read_at_a_glance() {
    for (file, most) in [
        ("echo-rust/src/lib.rs", 20),
        ("echo-c/echo.c", 30),
        ("relay-rust/src/lib.rs", 70),
        ("lookup-rust/src/lib.rs", 90),
    ] {
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
