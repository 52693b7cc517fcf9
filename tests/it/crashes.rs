//! What is left of a daemon that a plugin kills, and of one whose plugin does not return: the name of the plugin, of its listener
//! and of the function (P29, P30).

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use polyport_tests::plugins::{compile_c, fixture, repository, spec};
use polyport_tests::tool::tool;
use polyport_tests::{Daemon, Launch};
use rustix::process::Signal;

use crate::polyport;

/// The library of the fixture, if there is a C compiler.
fn dies(dir: &Path, flags: &[&str]) -> Option<PathBuf> {
    compile_c(&fixture("dies"), &[&["-pthread"], flags].concat(), dir, "dies")
}

/// A daemon with the fixture as the listener `mortal`, and a neighbour.
fn mortal(library: &Path) -> Launch {
    polyport().listen(spec("127.0.0.1:0", library) + ",name=mortal").listen("127.0.0.1:0=echo,name=other")
}

/// Kills the daemon by a payload, and checks the signal it died by and the last thing it said.
#[track_caller]
fn dies_by(daemon: Daemon, payload: &[u8], signal: i32, said: &str) {
    daemon.client(0).expect_echo(b"before");
    daemon.client(1).expect_echo(b"before");
    daemon.client(0).send(payload);
    let finished = daemon.process.finish();
    assert_eq!(finished.status().signal(), Some(signal), "{payload:?}: {}", finished.stderr);
    let lines: Vec<&str> =
        finished.stderr.lines().filter(|line| line.contains(": the process ends")).collect();
    assert_eq!(lines, [said], "{}", finished.stderr);
}

#[test]
fn a_fatal_signal_names_plugin_listener_and_function_and_kills_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = dies(dir.path(), &[]) else { return };
    let signals = [
        ("SIGSEGV", libc::SIGSEGV),
        ("SIGABRT", libc::SIGABRT),
        ("SIGILL", libc::SIGILL),
        ("SIGBUS", libc::SIGBUS),
        ("SIGFPE", libc::SIGFPE),
    ];
    for (name, signal) in signals {
        let daemon = mortal(&library).serve();
        let address = daemon.addresses()[0];
        let said =
            format!("error: {name} in on_batch of listener mortal {address} (plugin dies): the process ends");
        dies_by(daemon, name.as_bytes(), signal, &said);
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_division_by_zero_is_told_as_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = dies(dir.path(), &[]) else { return };
    let daemon = mortal(&library).serve();
    let address = daemon.addresses()[0];
    let said =
        format!("error: SIGFPE in on_batch of listener mortal {address} (plugin dies): the process ends");
    dies_by(daemon, b"divide", libc::SIGFPE, &said);
}

/// The line is written on a stack of its own. Rust's runtime says then that it was the stack, and aborts.
#[test]
fn a_stack_that_overflows_is_told_and_rust_says_so_too() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = dies(dir.path(), &[]) else { return };
    let daemon = mortal(&library).serve();
    let address = daemon.addresses()[0];
    daemon.client(0).send(b"overflow");
    let finished = daemon.process.finish();
    finished.expect_stderr(&[
        &format!("error: SIGSEGV in on_batch of listener mortal {address} (plugin dies): the process ends\n"),
        "has overflowed its stack",
    ]);
    assert_eq!(finished.status().signal(), Some(libc::SIGABRT), "{}", finished.stderr);
    assert_eq!(finished.stderr.matches("the process ends").count(), 1, "{}", finished.stderr);
}

#[test]
fn a_crash_in_a_timer_or_a_thread_or_outside_of_plugins_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = dies(dir.path(), &[]) else { return };
    let daemon = mortal(&library).serve();
    let address = daemon.addresses()[0];
    let said =
        format!("error: SIGSEGV in on_timer of listener mortal {address} (plugin dies): the process ends");
    dies_by(daemon, b"timer", libc::SIGSEGV, &said);

    let said = "error: SIGSEGV in a thread that a plugin or the daemon has started: the process ends";
    dies_by(mortal(&library).serve(), b"thread", libc::SIGSEGV, said);

    let daemon = mortal(&library).serve();
    daemon.process.signal(Signal::SEGV);
    let finished = daemon.process.finish();
    assert_eq!(finished.status().signal(), Some(libc::SIGSEGV), "a signal that was sent kills as well");
    finished.expect_stderr(&["error: SIGSEGV while no plugin was called: the process ends\n"]);
}

#[test]
fn a_crash_while_the_handler_is_made_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = dies(dir.path(), &["-DDIES_IN_CREATE"]) else { return };
    let finished = mortal(&library).try_serve().unwrap_err();
    assert_eq!(finished.status().signal(), Some(libc::SIGSEGV), "{}", finished.stderr);
    finished.expect_stderr(&["error: SIGSEGV in create of listener mortal 127.0.0.1:"]);
}

/// A standard error that nobody reads must not keep the process from dying.
#[test]
fn a_crash_with_a_full_standard_error_is_no_hang() {
    let dir = tempfile::tempdir().unwrap();
    let (Some(library), Some(shell)) = (dies(dir.path(), &[]), tool("sh")) else { return };
    let pipe = dir.path().join("pipe");
    if !polyport_tests::tool::make_pipe(&pipe) {
        return;
    }
    let _nobody_reads = std::fs::File::options().read(true).write(true).open(&pipe).unwrap();
    // Filled before, by somebody who gives up when it is full.
    let fill =
        format!("head -c 1000000 /dev/zero | timeout 2 cat >{0}; exec \"$0\" \"$@\" 2>{0}", pipe.display());
    let launch = polyport().replaced_by(shell).arg("-c").arg(fill);
    let launch = launch.arg(env!("CARGO_BIN_EXE_polyport-under-test"));
    let daemon = launch.listen(spec("127.0.0.1:0", &library) + ",name=mortal").serve();
    daemon.client(0).send(b"SIGSEGV");
    let finished = daemon.process.finish();
    assert_eq!(finished.status().signal(), Some(libc::SIGSEGV), "{}", finished.stderr);
}

#[test]
fn a_call_that_does_not_return_is_named_and_sigterm_ends_the_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = dies(dir.path(), &[]) else { return };
    for (payload, signal) in [(&b"loop"[..], Signal::TERM), (b"sleep", Signal::INT)] {
        let mut daemon = mortal(&library).serve();
        let who = format!(
            "listener mortal {} (plugin dies): on_batch has not returned for ",
            daemon.addresses()[0]
        );
        daemon.client(0).expect_echo(b"before");
        daemon.client(0).send(payload);
        daemon.process.wait_for_stderr(&who);
        daemon.process.signal(signal);
        let finished = daemon.process.finish();
        finished.expect_code(70);
        let last = finished.stderr.lines().last().unwrap_or_default();
        assert!(last.contains(&who) && last.ends_with("it ends without its books"), "{}", finished.stderr);
    }
}

#[test]
fn a_call_that_does_not_return_is_named_again() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = dies(dir.path(), &[]) else { return };
    let mut daemon = mortal(&library).serve();
    daemon.client(0).send(b"sleep");
    daemon.process.wait_for_stderr_times("on_batch has not returned for ", 2);
    let said = daemon.process.stderr().matches("on_batch has not returned for ").count();
    assert_eq!(said, 2);
}

/// Whoever ends in order waits for what a handler finishes, and not for ever.
#[test]
fn a_handler_that_does_not_let_go_is_left_behind() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = dies(dir.path(), &["-DSTAYS_IN_DESTROY"]) else { return };
    let mut daemon = mortal(&library).serve();
    daemon.process.signal(Signal::TERM);
    daemon.process.wait_for_stderr("destroy has not returned for ");
    let finished = daemon.process.finish();
    finished.expect_code(70).expect_stderr(&["destroy has not returned for ", "it ends without its books"]);
}

#[test]
fn a_slow_timer_is_counted_as_a_slow_call() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = dies(dir.path(), &[]) else { return };
    let mut daemon = mortal(&library).serve();
    daemon.client(0).expect_echo(b"slow timer");
    daemon.process.wait_for_stderr("the handler took ");
    let log = daemon.process.stderr();
    assert!(log.contains("for one timer, of which "), "it has waited, not worked: {log}");
    let report = daemon.stop().finished.stdout;
    assert!(report.contains("slow calls "), "{report}");
}

/// The text of the panic is the plugin's last word, and the daemon says whose it was.
#[test]
fn a_plugin_that_aborts_on_panic_leaves_its_text_and_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = aborts(dir.path()) else { return };
    let daemon = polyport().listen(spec("127.0.0.1:0", &library) + ",name=mortal").serve();
    let address = daemon.addresses()[0];
    daemon.client(0).send(b"boom");
    let finished = daemon.process.finish();
    assert_eq!(finished.status().signal(), Some(libc::SIGABRT), "{}", finished.stderr);
    finished.expect_stderr(&[
        "panicked at ",
        "as the payload asks",
        &format!("error: SIGABRT in on_batch of listener mortal {address} (plugin fixture-panics): the process ends\n"),
    ]);
}

/// The fixture `panics`, built to abort: by cargo, into a folder of its own.
fn aborts(dir: &Path) -> Option<PathBuf> {
    let cargo = tool("cargo")?;
    let manifest = repository().join("tests/fixtures/panics/Cargo.toml");
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--offline", "--locked", "--manifest-path"]).arg(manifest);
    build.arg("--target-dir").arg(dir).env("CARGO_PROFILE_DEV_PANIC", "abort").env_remove("RUSTFLAGS");
    let output = build.output().expect("cargo can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(dir.join("debug").join(format!("libpolyport_fixture_panics{}", std::env::consts::DLL_SUFFIX)))
}
