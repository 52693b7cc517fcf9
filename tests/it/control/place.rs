//! Where the socket is, whose it is, and what is left of it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use polyport_tests::tool::{root, tool};
use rustix::process::Signal;
use serde_json::Value;

use super::{HELLO, Raw, command_at, echo, json, socket};
use crate::polyport;

const NOBODY: u32 = 65_534;
const BUSY: i32 = 75;
const OS: i32 = 71;
const CONFIG: i32 = 78;

#[test]
fn it_is_for_its_owner_and_gone_at_the_end() {
    let daemon = echo().serve();
    let path = socket(daemon.dir());
    let metadata = path.metadata().unwrap();
    assert_eq!(metadata.mode() & 0o7777, 0o600);
    assert_eq!(metadata.uid(), rustix::process::geteuid().as_raw());
    daemon.process.signal(Signal::TERM);
    daemon.process.finish().expect_code(0);
    assert!(!path.exists() && path.parent().unwrap().exists());
}

/// A umask that lets everybody in makes no difference, and neither does one that lets nobody in.
#[test]
fn its_mode_does_not_depend_on_the_umask() {
    let Some(shell) = tool("sh") else { return };
    for umask in ["000", "077", "777"] {
        let program = env!("CARGO_BIN_EXE_polyport-under-test");
        let run = polyport().replaced_by(&shell).arg("-c").arg(format!("umask {umask}; exec \"$0\" \"$@\""));
        let daemon = run.arg(program).listen("127.0.0.1:0=discard").serve();
        assert_eq!(socket(daemon.dir()).metadata().unwrap().mode() & 0o7777, 0o600, "umask {umask}");
        drop(daemon.stop());
    }
}

#[test]
fn a_second_daemon_at_the_same_place_has_a_name_of_its_own() {
    let first = echo().serve();
    let run = first.dir().join("run");
    let mut second = echo().env("RUNTIME_DIRECTORY", &run).serve();
    let own = run.join(format!("control-{}.sock", second.process.pid().as_raw_nonzero()));
    second.process.wait_for_stderr(&format!("control socket {}", own.display()));
    let pid = |path: &std::path::Path| {
        let finished = command_at(path, &["status", "--json"]);
        serde_json::from_str::<Value>(&finished.expect_code(0).stdout).unwrap()["pid"].as_i64()
    };
    assert_eq!(pid(&own), Some(i64::from(second.process.pid().as_raw_nonzero().get())));
    assert_eq!(pid(&socket(first.dir())), Some(i64::from(first.process.pid().as_raw_nonzero().get())));
    drop(second.stop());
    assert!(!own.exists());
    drop(first.stop());
}

/// Where a place was named, somebody else there is a mistake that has to be told.
#[test]
fn a_place_that_was_named_and_is_taken_is_refused_with_the_process() {
    let first = echo().serve();
    let path = socket(first.dir());
    let refused = echo().arg("--control").arg(&path).refused(BUSY);
    let process = format!("process {}", first.process.pid().as_raw_nonzero());
    refused.expect_stderr(&[path.to_str().unwrap(), "another daemon answers there", &process]);
    first.client(0).expect_echo(b"as before");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "precious").unwrap();
    echo().arg("--control").arg(&file).refused(OS).expect_stderr(&["no socket"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    echo().arg("--control").arg(dir.path().join("no/s")).refused(OS).expect_stderr(&["no/s"]);
    drop(first.stop());
}

/// R46.
#[test]
fn what_a_killed_daemon_leaves_behind_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    for _ in 0..3 {
        let daemon = echo().arg("--control").arg(&path).serve();
        assert_eq!(Raw::of(&path).ask(HELLO)["result"]["pid"], daemon.process.pid().as_raw_nonzero().get());
        drop(daemon.kill());
        assert!(path.exists());
        command_at(&path, &["status"]).expect_code(69);
    }
    let daemon = echo().arg("--control").arg(&path).serve();
    command_at(&path, &["status"]).expect_code(0);
    drop(daemon.stop());
    assert!(!path.exists());
}

#[test]
fn the_key_names_it_the_command_line_goes_first_and_off_is_none() {
    let text = |control: &str| {
        format!("control = {control}\n[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"echo\"\n")
    };
    let daemon = polyport().config(&text("\"here.sock\"")).serve();
    command_at(&daemon.dir().join("here.sock"), &["status"]).expect_code(0);
    drop(daemon.stop());
    let dir = tempfile::tempdir().unwrap();
    let other = dir.path().join("other.sock");
    let daemon = polyport().config(&text("\"here.sock\"")).arg("--control").arg(&other).serve();
    assert!(other.exists() && !daemon.dir().join("here.sock").exists());
    drop(daemon.stop());
    let launches = [
        polyport().config(&text("\"off\"")),
        echo().arg("--control").arg("off"),
        echo().env("POLYPORT_CONTROL", "off"),
    ];
    for launch in launches {
        let run = launch.runtime_dir();
        let daemon = launch.serve();
        assert!(!run.join("control.sock").exists());
        drop(daemon.stop());
    }
    polyport().arg("check").config(&text("7")).run().expect_code(CONFIG).expect_stderr(&["control", ":1:11"]);
    polyport().arg("check").config(&text("\"\"")).run().expect_code(CONFIG).expect_stderr(&[":1:11"]);
    // It is made once.
    let launch = polyport().config(&text("\"off\""));
    let daemon = launch.arg("--control").arg(&other).serve();
    command_at(&other, &["reload"]).expect_code(0);
    drop(daemon.stop());
}

#[test]
fn another_socket_needs_a_restart() {
    let text = |control: &str| {
        format!("control = \"{control}\"\n[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"echo\"\n")
    };
    let launch = polyport();
    let etc = launch.dir().join("etc");
    fs::create_dir(&etc).unwrap();
    let file = etc.join("polyport.toml");
    fs::write(&file, text("a.sock")).unwrap();
    let daemon = launch.arg("-c").arg(&file).serve();
    fs::write(&file, text("b.sock")).unwrap();
    let refused = command_at(&etc.join("a.sock"), &["reload"]);
    refused.expect_code(CONFIG).expect_stderr(&["`control` differs from what the daemon was started with"]);
    drop(daemon.stop());
}

/// Who opens the mode of the socket to others has not opened the daemon to them.
#[test]
fn another_user_is_refused_whatever_the_mode_says() {
    let Some(socat) = tool("socat") else { return };
    if !root("another user connects") {
        return;
    }
    let daemon = echo().serve();
    let path = socket(daemon.dir());
    fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
    for dir in [daemon.dir(), &daemon.dir().join("run")] {
        fs::set_permissions(dir, Permissions::from_mode(0o755)).unwrap();
    }
    let address = format!("UNIX-CONNECT:{}", path.display());
    let mut command = Command::new(socat);
    command.args(["-t", "20", "-", &address]).stdin(Stdio::null()).uid(NOBODY).gid(NOBODY);
    let asked = command.output().unwrap();
    let told = String::from_utf8_lossy(&asked.stdout);
    assert!(told.contains("-32004"), "{told}{}", String::from_utf8_lossy(&asked.stderr));
    assert_eq!(json(&daemon, &["status"])["control"]["strangers"], 1);
    drop(daemon.stop());
}

/// It is bound by root and serves as nobody, in the sandbox: root asks, and what nobody may not remove is replaced by the next
/// start.
#[test]
fn it_works_for_a_daemon_that_serves_as_somebody_else() {
    if !root("the daemon becomes another user") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    for _ in 0..2 {
        let daemon = echo().args(&["--sandbox", "user=nobody"]).arg("--control").arg(&path).serve();
        let status = command_at(&path, &["status"]);
        assert!(status.expect_code(0).stdout.contains("user nobody"), "{}", status.stdout);
        daemon.client(0).expect_echo(b"served");
        command_at(&path, &["reload"]).expect_code(0);
        command_at(&path, &["stop"]).expect_code(0);
        daemon.process.finish().expect_code(0);
        assert!(path.exists());
    }
}
