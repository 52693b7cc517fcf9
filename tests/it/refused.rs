//! Libraries that are refused, each by its name and in words, before a port is opened (R48) and, where the
//! file itself tells, before any of its code has run (I8).
//!
//! Every attempt asks for a port that the test itself holds: a daemon that opened it first would say so.

use std::net::UdpSocket;
use std::path::Path;

use polyport_abi::ABI_MINOR;
use polyport_tests::plugins::{Bytes, compile, compile_c, fixture, spec};
use polyport_tests::tool::make_pipe;

use crate::polyport;

const CONFIG: i32 = 78;

#[test]
fn another_abi_major_is_refused() {
    spoilt(
        |echo| echo.identity_with(16, &2_u16.to_ne_bytes()),
        &[
            &format!("plugin echo 0.1.0 speaks plugin ABI 2.{ABI_MINOR}, this polyport speaks 1.{ABI_MINOR}"),
            "rebuild it with polyport-plugin 1.x",
        ],
    );
}

#[test]
fn a_plugin_that_needs_a_newer_minor_is_refused() {
    spoilt(
        |echo| echo.identity_with(20, &(ABI_MINOR + 1).to_ne_bytes()),
        &[
            &format!(
                "plugin echo 0.1.0 needs plugin ABI 1.{} or later, this polyport has 1.{ABI_MINOR}",
                ABI_MINOR + 1
            ),
            "upgrade polyport",
        ],
    );
}

#[test]
fn another_struct_layout_is_refused() {
    spoilt(
        |echo| echo.identity_with(24, &0x1234_5678_u32.to_ne_bytes()),
        &["compiled with another struct layout (0x12345678, expected 0x60604028)"],
    );
}

#[test]
fn another_machine_is_refused() {
    // `e_machine` of the ELF header (`elf.h`): AArch64 is 183, x86-64 is 62.
    let other: (u16, &str) = if cfg!(target_arch = "aarch64") { (62, "x86_64") } else { (183, "aarch64") };
    let words = format!("built for {}, this host is {}", other.1, std::env::consts::ARCH);
    spoilt(|echo| echo.with(18, &other.0.to_ne_bytes()), &[&words]);
}

#[test]
fn a_library_without_an_identity_is_refused() {
    spoilt(|echo| echo.identity_with(0, b"polyport-plugin1"), &["not a polyport plugin"]);
}

#[test]
fn a_library_with_two_identities_is_refused() {
    spoilt(
        |mut echo| {
            let at = echo.identity();
            echo.0.extend_from_within(at..at + 256);
            echo
        },
        &["2 plugin identities in one library"],
    );
}

#[test]
fn a_truncated_library_is_refused_wherever_it_ends() {
    let len = Bytes::of("echo").0.len();
    for keep in [64, 4096, len / 2, len - 1] {
        let words = format!("the file ends too early, at {keep} bytes");
        spoilt(|echo| Bytes(echo.0[..keep].to_vec()), &[&words]);
    }
}

#[test]
fn a_file_that_is_no_library_is_refused() {
    for bytes in [b"".as_slice(), b"#!/bin/sh\necho a script that calls itself a library\n", &[0; 5000]] {
        spoilt(|_| Bytes(bytes.to_vec()), &["not a shared library (no ELF or Mach-O header)"]);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    refused(&dir.path().join("missing.so"), &["cannot be read: No such file"]);
}

#[test]
fn a_directory_a_device_or_a_pipe_is_refused_without_reading_it() {
    let dir = tempfile::tempdir().unwrap();
    let words = "not a shared library (a directory, a device or a pipe)";
    refused(dir.path(), &[words]);
    refused(Path::new("/dev/zero"), &[words]);
    let pipe = dir.path().join("pipe.so");
    if make_pipe(&pipe) {
        refused(&pipe, &[words]);
    }
}

#[test]
fn an_executable_is_refused() {
    refused(Path::new(env!("CARGO_BIN_EXE_polyport-under-test")), &["not a"]);
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("program.so");
    if compile("cc", &fixture("main"), &["-no-pie"], &program) {
        refused(&program, &["not a shared library (an executable or an object file; link it with -shared)"]);
    }
}

#[test]
fn a_missing_function_is_named() {
    broken("-DNULL_ON_BATCH", &["required function on_batch is NULL"]);
}

#[test]
fn an_undefined_symbol_is_found_at_the_start_and_named() {
    broken("-DUNDEFINED", &["undefined symbol: not_there"]);
}

#[test]
fn a_symbol_that_is_not_exported_is_named() {
    broken("-DHIDDEN", &["symbol polyport_plugin_v1 is not exported", "default visibility"]);
}

#[test]
fn a_broken_option_table_is_refused() {
    broken("-DOPTION_TYPE=99", &["option odd has type 99, which this polyport does not know"]);
    broken("-DNO_OPTIONS", &["its option table is broken: 3 options at 0x0"]);
}

#[test]
fn a_table_that_ends_too_early_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = compile_c(&fixture("short"), &[], dir.path(), "short") else { return };
    refused(&library, &["its pp_plugin has 288 bytes, at least 296 are needed"]);
}

/// What thread-local memory the linker keeps at fixed places for late libraries is a matter of the C library.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn a_library_that_wants_too_much_static_tls_is_refused_with_advice() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = compile_c(&fixture("static_tls"), &[], dir.path(), "static_tls") else { return };
    let advice = "build its allocator without initial-exec TLS";
    refused(&library, &["cannot allocate memory in static TLS block", advice]);
}

/// Two libraries with identities of their own that depend on one plugin, whose table the linker finds for both.
#[cfg(target_os = "linux")]
#[test]
fn a_table_that_is_served_already_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let Some(lender) = compile_c(&fixture("fatal"), &[], dir.path(), "lender") else { return };
    let flags = ["-Wl,--no-as-needed", lender.to_str().unwrap()];
    let borrower = |name| compile_c(&fixture("borrowed"), &flags, dir.path(), name);
    let (Some(first), Some(second)) = (borrower("first"), borrower("second")) else { return };
    // One alone is served, oddly; the second would share the statics of the first without knowing.
    polyport().listen(spec("127.0.0.1:0", &first)).serve().client(0).expect_echo(b"borrowed");
    let launch = polyport().listen(spec("127.0.0.1:0", &first)).listen(spec("127.0.0.1:0", &second));
    launch.refused(CONFIG).expect_stderr(&[
        &second.display().to_string(),
        "the dynamic linker gave a library that is already loaded",
    ]);
}

/// I8, with a control: the same constructor does run in a library that is accepted.
#[test]
fn no_code_of_a_library_runs_before_its_identity_was_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let marker = dir.path().join("code-ran");
    let compiled = |flags: &[&str], name| compile_c(&fixture("broken"), flags, dir.path(), name);
    let (Some(foreign), Some(good)) = (compiled(&["-DMAJOR=2u"], "foreign"), compiled(&[], "good")) else {
        return;
    };
    let launch = polyport().env("POLYPORT_TEST_MARKER", &marker).listen(spec("127.0.0.1:0", &foreign));
    launch.refused(CONFIG).expect_stderr(&[&format!("plugin broken 0.1.0 speaks plugin ABI 2.{ABI_MINOR}")]);
    assert!(!marker.exists(), "the constructor of a refused library ran");

    let launch = polyport().env("POLYPORT_TEST_MARKER", &marker).listen(spec("127.0.0.1:0", &good));
    let daemon = launch.serve();
    assert!(marker.exists(), "the constructor of an accepted library runs");
    daemon.client(0).expect_echo(b"and it serves");
}

#[test]
fn all_refused_libraries_of_a_configuration_are_reported_and_the_good_ones_are_not_served() {
    let dir = tempfile::tempdir().unwrap();
    let old = Bytes::of("echo").identity_with(16, &7_u16.to_ne_bytes()).write(dir.path().join("old.so"));
    let empty = Bytes(Vec::new()).write(dir.path().join("empty.so"));
    let launch = polyport()
        .listen("127.0.0.1:0=echo,name=good")
        .listen(format!("{},name=old", spec("127.0.0.1:0", &old)))
        .listen(format!("{},name=empty", spec("127.0.0.1:0", &empty)));
    let refused = launch.refused(CONFIG);
    refused.expect_stderr(&["listener `old`", "plugin ABI 7.", "listener `empty`", "not a shared library"]);
    assert!(!refused.stderr.contains("`good`"), "{}", refused.stderr);
}

/// Refuses a changed copy of the library of `echo`.
#[track_caller]
fn spoilt(change: impl FnOnce(Bytes) -> Bytes, words: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    refused(&change(Bytes::of("echo")).write(dir.path().join("spoilt.so")), words);
}

/// Refuses `broken.c` compiled with `flag`.
#[track_caller]
fn broken(flag: &str, words: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    if let Some(library) = compile_c(&fixture("broken"), &[flag], dir.path(), "broken") {
        refused(&library, words);
    }
}

/// Refuses a library by its path and in these words, and opens nothing.
#[track_caller]
fn refused(library: &Path, words: &[&str]) {
    let held = UdpSocket::bind("127.0.0.1:0").unwrap();
    let launch = polyport().listen(spec(held.local_addr().unwrap(), library));

    let refused = launch.refused(CONFIG);
    refused.expect_stderr(words).expect_stderr(&["cannot be loaded", &library.display().to_string()]);
    assert!(!refused.stderr.contains("cannot open UDP"), "{}", refused.stderr);
    assert_eq!(refused.stdout, "");
}
