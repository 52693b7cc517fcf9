//! What a service manager is told (`sd_notify(3)`), by a socket of its own, and that nobody waits for it.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;
use std::process::Command;

use polyport_tests::plugins::{compile_c, fixture, repository, spec};
use polyport_tests::tool::{root, tool};
use polyport_tests::{DEADLINE, Launch};
use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};

use crate::polyport;

/// A manager that listens.
struct Manager(UnixDatagram);

impl Manager {
    fn at(path: &std::path::Path) -> Self {
        Self::of(UnixDatagram::bind(path).unwrap())
    }

    fn of(socket: UnixDatagram) -> Self {
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self(socket)
    }

    /// The next message but signs of life.
    #[track_caller]
    fn told(&self) -> Vec<String> {
        loop {
            let message = self.anything().expect("a message of the daemon");
            if message != ["WATCHDOG=1"] {
                return message;
            }
        }
    }

    fn anything(&self) -> Option<Vec<String>> {
        let mut buffer = [0; 4096];
        let length = self.0.recv(&mut buffer).ok()?;
        let text = std::str::from_utf8(&buffer[..length]).unwrap();
        assert!(text.ends_with('\n'), "{text:?}");
        Some(text.lines().map(str::to_owned).collect())
    }
}

/// A daemon with a configuration that it may reload, and the manager that it tells.
fn told() -> (Launch, PathBuf, Manager) {
    let launch = polyport();
    let etc = launch.dir().join("etc");
    fs::create_dir(&etc).unwrap();
    let file = etc.join("polyport.toml");
    fs::write(&file, listeners(1)).unwrap();
    let socket = launch.dir().join("notify");
    let manager = Manager::at(&socket);
    (launch.env("NOTIFY_SOCKET", &socket).arg("-c").arg(&file), file, manager)
}

fn listeners(count: usize) -> String {
    let one = |n| format!("[[listen]]\nname = \"l{n}\"\nbind = \"127.0.0.1:0\"\nplugin = \"echo\"\n");
    (0..count).map(one).collect()
}

fn now_usec() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}

/// Reads that a reload has begun after `since`, and returns what came of it.
#[track_caller]
fn reloaded(manager: &Manager, since: i64) -> Vec<String> {
    let begun = manager.told();
    assert_eq!(begun[0], "RELOADING=1");
    let at: i64 = begun[1].strip_prefix("MONOTONIC_USEC=").unwrap().parse().unwrap();
    assert!((since..=now_usec()).contains(&at), "{since} {begun:?}");
    manager.told()
}

#[test]
fn the_manager_is_told_of_the_start_of_reloads_and_of_the_end() {
    let (launch, file, manager) = told();
    let mut daemon = launch.serve();
    assert_eq!(manager.told(), ["READY=1", "STATUS=serving 1 listener on 1 address"]);
    fs::write(&file, listeners(2)).unwrap();
    let since = now_usec();
    daemon.reload(1);
    assert_eq!(reloaded(&manager, since), ["READY=1", "STATUS=serving 2 listeners on 2 addresses"]);
    fs::write(&file, "[[listen]\n").unwrap();
    let since = now_usec();
    daemon.reload(2);
    let refused = reloaded(&manager, since);
    let status = "STATUS=serving 2 listeners on 2 addresses; the last reload was refused";
    assert_eq!(refused, ["READY=1", status]);
    daemon.client(0).expect_echo(b"still");
    daemon.process.signal(Signal::TERM);
    assert_eq!(manager.told()[0], "STOPPING=1");
    drop(daemon.ended());
}

/// Nothing is told of a start that fails.
#[test]
fn who_does_not_serve_does_not_say_so() {
    let (launch, file, manager) = told();
    fs::write(&file, "[[listen]\n").unwrap();
    drop(launch.refused(78));
    manager.0.set_nonblocking(true).unwrap();
    assert_eq!(manager.anything(), None);
}

#[test]
fn a_name_in_no_file_system_and_another_user_in_the_sandbox_are_no_hindrance() {
    let name = format!("polyport-notified-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let manager = Manager::of(UnixDatagram::bind_addr(&address).unwrap());
    let mut launch = polyport()
        .env("NOTIFY_SOCKET", format!("@{name}"))
        .env("WATCHDOG_USEC", "200000")
        .listen("127.0.0.1:0=echo");
    if root("the daemon becomes nobody") {
        launch = launch.args(&["--sandbox", "user=nobody"]);
    }
    let daemon = launch.serve();
    assert_eq!(manager.told()[0], "READY=1");
    assert_eq!(manager.anything().unwrap(), ["WATCHDOG=1"]);
    daemon.process.signal(Signal::TERM);
    assert_eq!(manager.told()[0], "STOPPING=1");
    drop(daemon.ended());
}

/// Signs of life come from the loop: none while a handler does not return, and none of a process that was stopped.
#[test]
fn there_are_signs_of_life_while_the_loop_turns_and_no_handler_is_stuck() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = compile_c(&fixture("dies"), &["-pthread"], dir.path(), "dies") else { return };
    let launch = polyport();
    let socket = launch.dir().join("notify");
    let manager = Manager::at(&socket);
    let launch = launch.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "400000");
    let mut daemon = launch.listen(spec("127.0.0.1:0", &library)).serve();
    assert_eq!(manager.told()[0], "READY=1");
    for _ in 0..3 {
        assert_eq!(manager.anything().unwrap(), ["WATCHDOG=1"]);
    }
    daemon.client(0).send(b"sleep");
    daemon.process.wait_for_stderr("on_batch has not returned for ");
    // What was sent before the call.
    manager.0.set_nonblocking(true).unwrap();
    while manager.anything().is_some() {}
    manager.0.set_nonblocking(false).unwrap();
    // More than one would be due.
    daemon.process.wait_for_stderr_times("on_batch has not returned for ", 2);
    manager.0.set_nonblocking(true).unwrap();
    assert_eq!(manager.anything(), None);
    drop(daemon.kill());
}

/// A manager that is not there, or does not read, is told of once in the log, and costs nothing else.
#[test]
fn nobody_waits_for_a_manager() {
    let nowhere = polyport().env("NOTIFY_SOCKET", "/nowhere/notify").listen("127.0.0.1:0=echo").serve();
    nowhere.client(0).expect_echo(b"served");
    let said = nowhere.stop().finished;
    assert_eq!(said.stderr.matches("NOTIFY_SOCKET").count(), 1, "{}", said.stderr);

    let (launch, _, manager) = told();
    // Full from the beginning.
    let other = UnixDatagram::unbound().unwrap();
    other.set_nonblocking(true).unwrap();
    let path = launch.dir().join("notify");
    while other.send_to(b"full\n", &path).is_ok() {}
    let mut daemon = launch.env("WATCHDOG_USEC", "100000").serve();
    daemon.client(0).expect_echo(b"served");
    for nth in 1..4 {
        daemon.reload(nth);
    }
    daemon.client(0).expect_echo(b"served");
    // It reads again, and hears what it has missed, in order.
    let mut messages = Vec::new();
    while messages.iter().filter(|message: &&Vec<String>| message[0] == "READY=1").count() < 4 {
        let message = manager.told();
        if message != ["full"] {
            messages.push(message);
        }
    }
    let first: Vec<&str> = messages.iter().map(|message| message[0].as_str()).collect();
    assert_eq!(
        first,
        ["READY=1", "RELOADING=1", "READY=1", "RELOADING=1", "READY=1", "RELOADING=1", "READY=1"]
    );
    let said = daemon.stop().finished;
    assert_eq!(said.stderr.matches("NOTIFY_SOCKET").count(), 1, "{}", said.stderr);
}

/// The units of the package are what systemd understands, say what the program understands, and leave little to take.
#[test]
fn the_units_are_what_systemd_takes() {
    let Some(analyze) = tool("systemd-analyze") else { return };
    let dir = tempfile::tempdir().unwrap();
    let from = repository().join("daemon/packaging/systemd");
    // As they are installed, but for where.
    for unit in ["polyport.service", "polyport.socket"] {
        let text = fs::read_to_string(from.join(unit)).unwrap();
        let text = text.replace("/usr/bin/polyport", env!("CARGO_BIN_EXE_polyport-under-test"));
        let text = text.replace("/usr/lib/polyport/reload", from.join("reload").to_str().unwrap());
        fs::write(dir.path().join(unit), text).unwrap();
    }
    let units = ["polyport.service", "polyport.socket"].map(|unit| dir.path().join(unit));
    let analyzed = |words: &[&str], units: &[PathBuf]| {
        let ran = Command::new(&analyze).args(words).args(units).output().unwrap();
        let said = [ran.stdout, ran.stderr].concat();
        (ran.status.success(), String::from_utf8_lossy(&said).into_owned())
    };
    let (is_right, said) = analyzed(&["verify", "--man=no"], &units);
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("polyport")).collect();
    assert!(is_right && ours.is_empty(), "{said}");
    // In tenths: 2.0 at most.
    let rated = ["security", "--offline=true", "--threshold=20", "--no-pager"];
    let (is_tight, said) = analyzed(&rated, &units[..1]);
    assert!(is_tight && said.contains("Overall exposure level for polyport.service"), "{said}");
}
