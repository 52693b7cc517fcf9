//! The broker: what makes sockets for a daemon whose sandbox makes none, what it may, and what happens without it.

use std::fs;
use std::path::{Path, PathBuf};

use polyport_tests::daemon::Daemon;
use polyport_tests::tool::root;
use polyport_tests::{Launch, wait};
use rustix::process::{Pid, Signal, kill_process};

use crate::polyport;

fn configured(text: &str) -> (Launch, PathBuf) {
    let launch = polyport();
    let etc = launch.dir().join("etc");
    fs::create_dir(&etc).unwrap();
    let file = etc.join("polyport.toml");
    fs::write(&file, text).unwrap();
    (launch.arg("-c").arg(&file), file)
}

const ONE: &str = "[[listen]]\nname = \"one\"\nbind = \"127.0.0.1:0\"\nplugin = \"echo\"\n";

fn more(bind: &str) -> String {
    format!("{ONE}[[listen]]\nname = \"two\"\nbind = \"{bind}\"\nplugin = \"echo\"\n")
}

/// The process that makes sockets for a daemon: its only child.
fn broker_of(daemon: &Daemon) -> Option<i32> {
    let children = format!("/proc/{0}/task/{0}/children", daemon.pid());
    let text = fs::read_to_string(children).unwrap_or_default();
    let all: Vec<i32> = text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    assert!(all.len() < 2, "{text}");
    all.first().copied()
}

fn is_there(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}

fn said(daemon: &Daemon, from: usize) -> String {
    daemon.process.stderr()[from..].to_owned()
}

/// It has the right to bind and to ask for large buffers, and no other, and the daemon has none.
#[test]
fn it_keeps_what_binding_needs_and_ends_with_the_daemon() {
    let (launch, file) = configured(ONE);
    let mut daemon = launch.serve();
    let broker = broker_of(&daemon).expect("a process that makes sockets");
    let told = fs::read_to_string(format!("/proc/{broker}/cmdline")).unwrap();
    assert_eq!(told.trim_end_matches('\0'), "polyport\0socket-broker");
    fs::write(&file, more("127.0.0.1:0")).unwrap();
    assert!(daemon.reload(1).contains("reloaded: 1 address added"));
    // It has answered, so it has given up what it does not need.
    let status = fs::read_to_string(format!("/proc/{broker}/status")).unwrap();
    let field =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!((field("NoNewPrivs:"), field("Seccomp:")), ("1".to_owned(), "2".to_owned()));
    let kept = u64::from_str_radix(&field("CapPrm:"), 16).unwrap();
    // CAP_NET_BIND_SERVICE and CAP_NET_ADMIN.
    assert_eq!(kept & !(1 << 10 | 1 << 12), 0, "{status}");
    for set in ["CapInh:", "CapAmb:"] {
        assert_eq!(field(set), "0000000000000000", "{status}");
    }
    // What is meant for the daemon does not end it.
    for signal in [Signal::HUP, Signal::INT, Signal::TERM, Signal::USR1] {
        kill_process(Pid::from_raw(broker).unwrap(), signal).unwrap();
    }
    fs::write(&file, ONE).unwrap();
    assert!(daemon.reload(2).contains("reloaded: 1 address removed"));
    fs::write(&file, more("[::1]:0")).unwrap();
    assert!(daemon.reload(3).contains("reloaded: 1 address added"));
    drop(daemon.kill());
    wait::until("the end of who made sockets for it", || !is_there(broker));
}

#[test]
fn without_it_a_reload_adds_nothing_and_says_why_and_all_else_goes_on() {
    let (launch, file) = configured(ONE);
    let mut daemon = launch.serve();
    let broker = broker_of(&daemon).expect("a process that makes sockets");
    kill_process(Pid::from_raw(broker).unwrap(), Signal::KILL).unwrap();
    for nth in [1, 2] {
        let from = daemon.process.stderr().len();
        fs::write(&file, more("127.0.0.1:0")).unwrap();
        assert!(daemon.reload(nth).contains("not reloaded: 1 problem; everything is served as before"));
        let said = said(&daemon, from);
        assert!(
            said.contains("makes sockets for this daemon") && said.contains("restart the daemon"),
            "{said}"
        );
        assert!(said.contains("polyport.toml:7:8"), "{said}");
        daemon.client(0).expect_echo(b"as before");
    }
    fs::write(&file, ONE.replace("\"echo\"", "\"echo\"\noptions = { reply = \"length\" }")).unwrap();
    assert!(daemon.reload(3).contains("reloaded: 1 address changed"));
    drop(daemon.stop());
}

#[test]
fn it_is_off_by_a_word_and_without_a_sandbox_nobody_needs_it() {
    let (launch, file) = configured(ONE);
    let mut daemon = launch.arg("--sandbox").arg("broker=off").serve();
    assert_eq!(broker_of(&daemon), None);
    fs::write(&file, more("127.0.0.1:0")).unwrap();
    assert!(daemon.reload(1).contains("not reloaded: 1 problem"));
    assert!(daemon.process.stderr().contains("has `broker = \"off\"`"), "{}", daemon.process.stderr());
    drop(daemon.stop());
    let (launch, file) = configured(ONE);
    let mut daemon = launch.arg("--sandbox").arg("off").serve();
    assert_eq!(broker_of(&daemon), None);
    fs::write(&file, more("127.0.0.1:0")).unwrap();
    assert!(daemon.reload(1).contains("reloaded: 1 address added"));
    drop(daemon.stop());
}

/// A handler that has taken the daemon over gets no port of root by it.
#[test]
fn ports_below_1024_are_those_of_the_start() {
    if !root("only root binds ports below 1024") {
        return;
    }
    let Some(host) = polyport_tests::network::Host::alone() else { return };
    let launch = host.launch(env!("CARGO_BIN_EXE_polyport-under-test"));
    let etc = launch.dir().join("etc");
    fs::create_dir(&etc).unwrap();
    let file = etc.join("polyport.toml");
    let at = |port: u16| ONE.replace("127.0.0.1:0", &format!("127.0.0.1:{port}"));
    write(&file, &at(53));
    let mut daemon = launch.arg("-c").arg(&file).serve();
    write(&file, &at(54));
    assert!(daemon.reload(1).contains("not reloaded: 1 problem"));
    let told = daemon.process.stderr();
    assert!(told.contains("ports below 1024 by a restart only"), "{told}");
    // The one it was started with comes back.
    write(&file, &at(5353));
    assert!(daemon.reload(2).contains("1 address added, 1 address removed"), "{}", daemon.process.stderr());
    write(&file, &at(53));
    assert!(daemon.reload(3).contains("1 address added, 1 address removed"), "{}", daemon.process.stderr());
    drop(daemon.stop());
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
}
