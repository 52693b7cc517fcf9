//! Requirements that are nobody's own matter: many strangers, storms of signals, sudden ends, odd libraries.

use std::fs;
use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;

use polyport_net::{
    RecvBatch, SendBatch, SendMessage, SlotLayout, SocketOptions, Source, UdpSocket, wait_readable,
};
use polyport_tests::plugins::{Bytes, compile_c, fixture, spec};
use polyport_tests::{Client, DEADLINE, Daemon, ports, scale};
use rustix::process::{Signal, kill_process};

use crate::polyport;

/// R7: the tables of peers are bounded, and what is forgotten is no memory. All of 127.0.0.0/8 is this host.
#[test]
fn memory_is_flat_however_many_strangers_come() {
    /// More than any table of peers holds.
    const STRANGERS: u32 = 80_000;
    let daemon = polyport().listen("127.0.0.1:0=lossy").serve();
    let mut sender = Sender::to(&daemon);
    (0..STRANGERS).step_by(Sender::BATCH).for_each(|first| sender.batch_from(first));
    let before = daemon.anonymous_memory();
    let last = STRANGERS * (1 + scale());
    (STRANGERS..last).step_by(Sender::BATCH).for_each(|first| sender.batch_from(first));
    let after = daemon.anonymous_memory();
    assert!(after <= before + (1 << 20), "{before} bytes after {STRANGERS} strangers, {after} after {last}");
    let served = daemon.stop();
    assert_eq!(served.received("lossy", "replied"), u64::from(last));
}

/// Sends from a new address each time, and takes the answers.
struct Sender {
    socket: UdpSocket,
    server: std::net::SocketAddr,
    out: SendBatch,
    received: RecvBatch,
    memory: Vec<u8>,
}

impl Sender {
    const BATCH: usize = 32;
    const LAYOUT: SlotLayout = SlotLayout::WHOLE;

    fn to(daemon: &Daemon) -> Self {
        let socket = UdpSocket::bind("0.0.0.0:0".parse().unwrap(), &SocketOptions::default()).unwrap();
        Self {
            socket,
            server: daemon.addresses()[0],
            out: SendBatch::new(Self::BATCH),
            received: RecvBatch::new(Self::BATCH),
            memory: vec![0; Self::LAYOUT.memory(Self::BATCH)],
        }
    }

    /// One datagram of each of the addresses from number `first` on, and an answer to each.
    fn batch_from(&mut self, first: u32) {
        let parts = [IoSlice::new(b"stranger")];
        let numbers = (first..).take(Self::BATCH);
        let message = |number: u32| {
            let ip = IpAddr::V4(Ipv4Addr::from_bits(0x7F10_0000 + number));
            let from = Some(Source { ip, ifindex: 0 });
            SendMessage { to: self.server, from, parts: &parts, segment: None, tos: 0, hop_limit: None }
        };
        let messages: Vec<_> = numbers.map(message).collect();
        assert_eq!(self.out.send(&self.socket, &messages).unwrap(), Self::BATCH);
        let mut answers = 0;
        while answers < Self::BATCH {
            assert!(wait_readable(&self.socket, DEADLINE).unwrap(), "{answers} answers from {first} on");
            answers += self.received.recv(&self.socket, &mut self.memory, Self::LAYOUT, Self::BATCH).unwrap();
        }
    }
}

/// R43: what a terminal, a child or a closed pipe may raise is nothing to a daemon.
#[test]
fn a_storm_of_harmless_signals_disturbs_nobody() {
    const SIGNALS: [Signal; 4] = [Signal::PIPE, Signal::CHILD, Signal::WINCH, Signal::URG];
    const ROUNDS: u32 = 500;
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    let client = daemon.client(0);
    for round in 0..ROUNDS {
        for signal in SIGNALS.iter().cycle().take(20) {
            kill_process(daemon.process.pid(), *signal).unwrap();
        }
        client.expect_echo(&round.to_be_bytes());
    }
    assert_eq!(daemon.stop().received("echo", "replied"), u64::from(ROUNDS));
}

/// R46: the port, the private copies and the files of a daemon that was killed under load are free at once.
#[test]
fn a_killed_daemon_leaves_nothing_in_the_way_of_the_next() {
    const IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let port = ports::free_range(&[IP], 1, 10);
    let stage = tempfile::tempdir().unwrap();
    for _ in 0..10 {
        let launch = polyport().env("RUNTIME_DIRECTORY", stage.path());
        let daemon = launch.listen(format!("{IP}:{port}=echo")).serve();
        let client = daemon.client(0);
        client.expect_echo(b"served");
        (0..200).for_each(|_| client.send(b"under load"));
        drop(daemon.kill());
    }
    let last = polyport().env("RUNTIME_DIRECTORY", stage.path()).listen(format!("{IP}:{port}=echo")).serve();
    let left = fs::read_dir(stage.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let (sockets, copies): (Vec<_>, Vec<_>) = left.partition(|name| name == "control.sock");
    assert_eq!((sockets.len(), copies.len()), (1, 1), "what those before left is gone: {copies:?}");
    Client::of(last.addresses()[0]).expect_echo(b"as the first");
    assert_eq!(last.stop().received("echo", "replied"), 1);
}

/// P2: such a panic cannot be caught, so the operator is told before it comes.
#[test]
fn a_plugin_that_aborts_on_panic_is_named_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let aborts = polyport_abi::F_PANIC_ABORT.to_ne_bytes();
    let library = Bytes::of("echo").identity_with(28, &aborts).write(dir.path().join("aborts.so"));
    let mut daemon = polyport().listen(spec("127.0.0.1:0", &library)).serve();
    daemon.process.wait_for_stderr("was built with panic=abort: a panic in it stops polyport");
    daemon.client(0).expect_echo(b"and it serves");
}

/// P6, P12: code is never mapped from nameless memory, whose path in /proc another library may get, and the file it is
/// mapped from stays, so that a backtrace finds its names.
#[test]
fn a_plugin_is_mapped_from_a_private_file_that_stays() {
    let launch = polyport().listen("127.0.0.1:0=echo");
    let stage = launch.runtime_dir();
    let daemon = launch.serve();
    daemon.client(0).expect_echo(b"mapped");
    let maps = fs::read_to_string(format!("/proc/{}/maps", daemon.pid())).unwrap();
    let stage = fs::canonicalize(stage).unwrap().display().to_string();
    let plugin: Vec<&str> = maps.lines().filter(|line| line.contains(&stage)).collect();
    assert!(plugin.iter().any(|line| line.contains("r-xp")), "its code: {maps}");
    assert!(plugin.iter().all(|line| !line.contains("(deleted)")), "{plugin:?}");
    assert!(!maps.contains("memfd:"), "{maps}");
}

/// P39: the linker's own words say what is missing, and polyport's which plugin it is.
#[cfg(target_env = "gnu")]
#[test]
fn a_library_for_a_newer_c_library_is_refused_in_the_linkers_words() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = compile_c(&fixture("broken"), &[], dir.path(), "newer") else { return };
    let mut bytes = fs::read(&library).unwrap();
    let version = b"GLIBC_2.";
    let places: Vec<_> = (0..bytes.len())
        .filter(|at| bytes[*at..].starts_with(version))
        .map(|at| at + version.len())
        .collect();
    assert!(!places.is_empty(), "it needs some version");
    // As long as before: GLIBC_2.2.5 becomes GLIBC_2.9.9 or the like, which no C library has ever had.
    for at in places {
        bytes[at..]
            .iter_mut()
            .take_while(|byte| **byte != 0)
            .filter(|byte| **byte != b'.')
            .for_each(|b| *b = b'9');
    }
    fs::write(&library, bytes).unwrap();
    fs::set_permissions(&library, fs::Permissions::from_mode(0o755)).unwrap();
    let finished = polyport().listen(spec("127.0.0.1:0", &library)).refused(78);
    finished.expect_stderr(&[&library.display().to_string(), "version `GLIBC_2.9", "not found"]);
}
