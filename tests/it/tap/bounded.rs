//! Readers that do not read, disks that are full, clients that are gone: none of them costs a datagram, or memory.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use polyport_tests::mounts::mounted;
use polyport_tests::process::Process;
use polyport_tests::tool::root;
use polyport_tests::wait;
use rustix::process::Signal;

use super::{ended, last_words, socket, tap};
use crate::polyport;
use crate::recordings::packets;

fn threads(pid: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok()).collect()
}

fn descriptors(pid: &str) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// The daemon answers all, and what is shown and what is left out is all that there was.
#[test]
fn a_reader_that_does_not_read_delays_nobody() {
    const COUNT: u64 = 100_000;
    const WINDOW: u64 = 50;
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    let file = daemon.dir().join("stuck.pcapng");
    let stuck = tap(&daemon, &["echo", "-w", file.to_str().unwrap()]);
    let client = daemon.client(0);
    client.expect_echo(&[b'x'; 200]);
    stuck.freeze();
    let before = daemon.anonymous_memory();
    for _ in 0..COUNT / WINDOW {
        (0..WINDOW).for_each(|_| client.send(&[b'x'; 200]));
        (0..WINDOW).for_each(|_| assert_eq!(client.receive().len(), 200));
    }
    let after = daemon.anonymous_memory();
    assert!(after < before + (16 << 20), "{before} bytes of memory, then {after}");
    stuck.thaw();
    let finished = ended(stuck);
    finished.expect_code(0);
    let (shown, left_out) = last_words(&finished);
    assert_eq!(shown + left_out, 2 * (COUNT + 1));
    assert!(left_out > COUNT && shown > 1000, "{shown} {left_out}");
    assert_eq!(packets(&file), shown);
    let served = daemon.stop();
    assert_eq!(served.received("echo", "replied"), COUNT + 1);
}

/// It says so, and what it wrote before is whole.
#[test]
fn a_full_disk_ends_the_tap_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    let program = env!("CARGO_BIN_EXE_polyport-under-test");
    let Some(mut launch) = mounted("size=256k,mode=0755", &[dir.path()], program) else { return };
    let file = dir.path().join("full.pcapng");
    let command = launch.command();
    command.args(["tap", "echo", "-w"]).arg(&file).arg("--control").arg(socket(daemon.dir()));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut full = Process::spawn(command);
    full.wait_for_stderr("; Ctrl-C ends it");
    let seen = Path::new("/proc").join(full.pid().as_raw_nonzero().to_string()).join("root");
    let seen = seen.join(file.strip_prefix("/").unwrap());
    let before = fs::File::open(&seen).unwrap();
    let client = daemon.client(0);
    for _ in 0..400 {
        client.expect_echo(&[b'x'; 1000]);
    }
    let finished = full.finish();
    finished.expect_code(74).expect_stderr(&["full.pcapng: No space left on device", "is whole"]);
    let copy = daemon.dir().join("copy.pcapng");
    std::io::copy(&mut &before, &mut fs::File::create(&copy).unwrap()).unwrap();
    assert!((50..800).contains(&packets(&copy)), "{}", packets(&copy));
    client.expect_echo(b"still here");
    drop(daemon.stop());
}

/// Neither thread nor descriptor is left of a client that was killed, and its place is free.
#[test]
fn a_client_that_is_killed_leaves_nothing_behind() {
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    let pid = daemon.pid();
    daemon.client(0).expect_echo(b"warm");
    let before = (threads(&pid).len(), descriptors(&pid));
    for round in 0..3 {
        let taps: Vec<_> = (0..4).map(|_| tap(&daemon, &["echo"])).collect();
        assert_eq!(threads(&pid).iter().filter(|name| name.trim() == "tap").count(), 4);
        daemon.client(0).expect_echo(b"seen");
        for tap in taps {
            tap.signal(Signal::KILL);
            drop(tap.finish());
        }
        wait::until("all of it is gone", || (threads(&pid).len(), descriptors(&pid)) == before);
        daemon.client(0).expect_echo(format!("round {round}").as_bytes());
    }
    drop(daemon.stop());
}

/// Who asks for a tap and hangs up, at any moment, or asks for nonsense.
#[test]
fn clients_without_manners_cost_nothing() {
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    let pid = daemon.pid();
    daemon.client(0).expect_echo(b"warm");
    let before = (threads(&pid).len(), descriptors(&pid));
    for params in [
        "{}",
        "{\"listeners\":[\"echo\"]}",
        "{\"count\":0}",
        "{\"listeners\":7}",
        "{\"peer\":\"\\u0000\"}",
        "{\"x\":1}",
    ] {
        for _ in 0..10 {
            let mut stream = UnixStream::connect(socket(daemon.dir())).unwrap();
            let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tap\",\"params\":{params}}}\n");
            stream.write_all(line.as_bytes()).unwrap();
            daemon.client(0).expect_echo(params.as_bytes());
        }
    }
    wait::until("all of it is gone", || (threads(&pid).len(), descriptors(&pid)) == before);
    // All places are free.
    let taps: Vec<_> = (0..4).map(|_| tap(&daemon, &["--all"])).collect();
    for tap in taps {
        ended(tap).expect_code(0);
    }
    drop(daemon.stop());
}

/// The end of the daemon does not wait for a reader that does not read.
#[test]
fn the_end_waits_for_no_reader() {
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    let file = daemon.dir().join("stuck.pcapng");
    let stuck = tap(&daemon, &["echo", "-w", file.to_str().unwrap()]);
    stuck.freeze();
    let client = daemon.client(0);
    (0..3000).for_each(|_| client.expect_echo(&[b'x'; 1400]));
    let served = daemon.stop();
    assert_eq!(served.received("echo", "replied"), 3000);
    stuck.thaw();
    // What had been written is shown, and that the rest is missing.
    stuck.finish().expect_code(69).expect_stderr(&["broke off after"]);
}

/// What others planted is not written over.
#[test]
fn the_file_is_made_as_others_make_it() {
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    let dir = daemon.dir().join("captures");
    fs::create_dir(&dir).unwrap();
    let (file, victim) = (dir.join("f.pcapng"), dir.join("victim"));
    fs::write(&victim, "precious").unwrap();
    let refused = |words: &str| {
        let words_of = ["tap", "echo", "-w", file.to_str().unwrap()];
        crate::control::command(&daemon, &words_of).expect_code(73).expect_stderr(&[words]);
        fs::remove_file(&file).unwrap();
    };
    symlink(&victim, &file).unwrap();
    refused("it is a link, which is not followed");
    fs::hard_link(&victim, &file).unwrap();
    refused("it has another name as well");
    if root("makes a file of another user") {
        fs::write(&file, "").unwrap();
        chown(&file, Some(65_534), None).unwrap();
        refused("it belongs to somebody else");
    }
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    // One of our own is begun again, and for us alone.
    fs::write(&file, vec![b'x'; 100_000]).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let writer = tap(&daemon, &["echo", "-w", file.to_str().unwrap()]);
    daemon.client(0).expect_echo(b"one");
    // The answer is there before the turn ends in which the tap gets it.
    wait::until("it is counted", || crate::control::json(&daemon, &["status"])["total"]["sent"] == 1);
    ended(writer).expect_code(0);
    assert_eq!((packets(&file), fs::metadata(&file).unwrap().permissions().mode() & 0o777), (2, 0o600));
    // A reader that has gone is no fault.
    let mut command = Command::new("sh");
    let program = env!("CARGO_BIN_EXE_polyport-under-test");
    command.args(["-c", "\"$0\" tap echo --control \"$1\" | head -1"]).arg(program).arg(socket(daemon.dir()));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut piped = Process::spawn(&mut command);
    piped.wait_for_stderr("; Ctrl-C ends it");
    wait::until("somebody has noticed", || {
        daemon.client(0).expect_echo(b"line");
        piped.has_ended()
    });
    let finished = piped.finish();
    assert_eq!(finished.expect_code(0).stdout.lines().count(), 1);
    assert!(!finished.stderr.contains("error"), "{}", finished.stderr);
    drop(daemon.stop());
}
