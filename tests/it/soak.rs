//! The soaks, for some seconds: that they run, and that they hold. `python3 tests/soak.py` is the long one (R60), and
//! `python3 tests/soak_relay.py` that of relays under forged clients.

use std::process::Command;

use polyport_tests::plugins::repository;
use polyport_tests::process::Process;
use polyport_tests::tool::{skip, tool};

/// The exit code of the script when it cannot make a network namespace.
const NO_NAMESPACE: i32 = 77;

#[test]
fn floods_faults_signals_and_a_restart_leave_a_steady_client_and_the_books_alone() {
    let load = env!("CARGO_BIN_EXE_polyport-load-under-test");
    hold("soak.py", &["--minutes", "0.4", "--life", "0.2", "--load", load]);
}

#[test]
fn forged_clients_of_relays_leave_real_ones_memory_and_descriptors_alone() {
    hold("soak_relay.py", &["--seconds", "12"]);
}

#[track_caller]
fn hold(script: &str, options: &[&str]) {
    let Some(python) = tool("python3") else { return };
    if tool("unshare").is_none() || tool("ip").is_none() {
        return;
    }
    let mut soak = Command::new(python);
    soak.arg(repository().join("tests").join(script)).args(["--seed", "7"]).args(options);
    soak.args(["--daemon", env!("CARGO_BIN_EXE_polyport-under-test")]);
    let ended = Process::spawn(&mut soak).finish();
    if ended.code() == Some(NO_NAMESPACE) {
        return skip("a network namespace cannot be made");
    }
    ended.expect_code(0);
    assert!(ended.stdout.contains("soak: held: "), "{}{}", ended.stdout, ended.stderr);
}
