//! R42: sockets that a service manager has bound, as `activation.py` hands them over.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::PathBuf;

use polyport_tests::client::Client;
use polyport_tests::daemon::Daemon;
use polyport_tests::plugins::repository;
use polyport_tests::tool::{root, tool};
use polyport_tests::{Launch, ports};

use crate::polyport;

const PROGRAM: &str = env!("CARGO_BIN_EXE_polyport-under-test");

/// A daemon that is started with these sockets.
fn activated(given: &[String]) -> Option<Launch> {
    let python = tool("python3")?;
    let script = repository().join("tests/it/activation.py");
    let launch = polyport().replaced_by(python).arg(script);
    Some(given.iter().fold(launch, Launch::arg).arg("--").arg(PROGRAM).arg("run"))
}

fn free(count: u16, from: u16) -> u16 {
    ports::free_range(&[IpAddr::V4(Ipv4Addr::LOCALHOST)], count, from)
}

/// The descriptors of a daemon that are UDP sockets, by their inodes, with the flags of each.
fn descriptors(daemon: &Daemon) -> Vec<(u32, String, String)> {
    let of = format!("/proc/{}", daemon.process.pid().as_raw_nonzero());
    let number = |entry: fs::DirEntry| entry.file_name().to_string_lossy().parse::<u32>().ok();
    let mut all: Vec<_> = fs::read_dir(format!("{of}/fd")).unwrap().flatten().filter_map(number).collect();
    all.sort_unstable();
    let described = |fd: u32| {
        let to = fs::read_link(format!("{of}/fd/{fd}")).ok()?.to_string_lossy().into_owned();
        let flags = fs::read_to_string(format!("{of}/fdinfo/{fd}")).ok()?;
        let flags = flags.lines().find_map(|line| line.strip_prefix("flags:"))?.trim().to_owned();
        Some((fd, to, flags))
    };
    all.into_iter().filter_map(described).collect()
}

/// The inode of the socket that is bound to a port.
fn inode(port: u16) -> String {
    let table = fs::read_to_string("/proc/net/udp").unwrap();
    let address = format!("0100007F:{port:04X}");
    let line = table.lines().find(|line| line.split_whitespace().nth(1) == Some(&address)).expect("a socket");
    format!("socket:[{}]", line.split_whitespace().nth(9).unwrap())
}

#[test]
fn a_given_socket_serves_its_address_and_the_others_are_bound_as_ever() {
    let first = free(3, 8100);
    let given = format!("udp:middle:127.0.0.1:{}", first + 1);
    let early = format!("send=127.0.0.1:{}", first + 1);
    let Some(launch) = activated(&[given, early.clone(), early]) else { return };
    let mut daemon = launch.listen(format!("127.0.0.1:{first}-{}=echo,name=all", first + 2)).serve();
    for port in first..first + 3 {
        Client::of((Ipv4Addr::LOCALHOST, port).into()).expect_echo(b"served");
    }
    daemon.process.wait_for_stderr("1 socket of the service manager");
    let at_three = descriptors(&daemon).into_iter().find(|(fd, ..)| *fd == 3).expect("it was given as 3");
    assert_eq!(at_three.1, inode(first + 1), "the same socket serves");
    // O_CLOEXEC and O_NONBLOCK, as open(2) has them.
    let flags = u32::from_str_radix(&at_three.2, 8).unwrap();
    assert_eq!(flags & 0o2_004_000, 0o2_004_000, "{flags:o}");
    // What waited in the socket was served as well.
    let served = daemon.stop();
    assert_eq!(served.received("all", "received"), 3 + 2, "{}", served.finished.stdout);
}

#[test]
fn a_name_of_a_listener_has_to_be_one_of_its_addresses() {
    let first = free(2, 8200);
    let Some(launch) = activated(&[format!("udp:one:127.0.0.1:{}", first + 1)]) else { return };
    let launch = launch
        .listen(format!("127.0.0.1:{first}=echo,name=one"))
        .listen(format!("127.0.0.1:{}=echo,name=two", first + 1));
    launch
        .refused(78)
        .expect_stderr(&["given socket `one` (descriptor 3)", "which is no address of listener `one`"]);
}

#[test]
fn what_cannot_be_served_is_refused_by_name_and_all_of_it_at_once() {
    let first = free(4, 8300);
    let given = [
        format!("tcp:web:127.0.0.1:{first}"),
        "file:log:-:0".to_owned(),
        "unix:local:-:0".to_owned(),
        "unbound:nowhere:-:0".to_owned(),
        format!("udp6both:both::::{}", first + 1),
        format!("udp:stray:127.0.0.1:{}", first + 2),
    ];
    let Some(launch) = activated(&given) else { return };
    let launch = launch.listen(format!("127.0.0.1:{first}=echo")).listen("127.0.0.1:0=echo");
    let refused = launch.refused(78);
    refused.expect_stderr(&[
        "`web` (descriptor 3) is a TCP socket",
        "`log` (descriptor 4) is a file",
        "`local` (descriptor 5) is a socket, but not of IP",
        "`nowhere` (descriptor 6) is a UDP socket that is bound to no port",
        "`both` (descriptor 7) is an IPv6 socket that carries IPv4 as well",
        "`stray` (descriptor 8) is bound to 127.0.0.1:",
        "which no listener asks for",
        "ListenDatagram=",
    ]);
    assert!(!refused.stdout.contains("serving"), "{}", refused.stdout);
}

#[test]
fn what_is_for_another_process_is_ignored() {
    let first = free(1, 8400);
    let given = [format!("tcp:web:127.0.0.1:{first}"), "pid=1".to_owned()];
    let Some(launch) = activated(&given) else { return };
    let mut daemon = launch.arg("-v").listen("127.0.0.1:0=echo").serve();
    daemon.client(0).expect_echo(b"served");
    daemon.process.wait_for_stderr("LISTEN_FDS is ignored: it is for the process `1`");
}

#[test]
fn numbers_that_are_none_are_refused_in_words() {
    for (setting, words) in [
        ("fds=many", "LISTEN_FDS is not a number of descriptors"),
        ("fds=60000", "LISTEN_FDS counts descriptor"),
        ("names=a:b:c", "LISTEN_FDNAMES"),
    ] {
        let first = free(1, 8500);
        let given = [format!("udp:one:127.0.0.1:{first}"), setting.to_owned()];
        let Some(launch) = activated(&given) else { return };
        launch.listen(format!("127.0.0.1:{first}=echo")).refused(78).expect_stderr(&[words]);
    }
}

/// A port of root, for who could not bind it, and no way to it for anybody else.
#[test]
fn a_port_below_1024_is_served_without_the_right_to_bind_it() {
    if !root("the service manager binds port 69") {
        return;
    }
    let Some(launch) = activated(&["udp:tftp:127.0.0.1:69".to_owned()]) else { return };
    let launch = launch.listen("127.0.0.1:69=echo,name=tftp").args(&["--sandbox", "user=nobody"]);
    let daemon = launch.serve();
    daemon.client(0).expect_echo(b"served");
}

/// Reloads keep it with what waits there, and close it with its address.
#[test]
fn a_reload_keeps_it_and_closes_it_when_its_address_goes() {
    let first = free(2, 8600);
    let Some(launch) = activated(&[format!("udp:given:127.0.0.1:{first}")]) else { return };
    let etc = launch.dir().join("etc");
    fs::create_dir(&etc).unwrap();
    let file: PathBuf = etc.join("polyport.toml");
    let listener = |name: &str, port: u16| {
        format!("[[listen]]\nname = \"{name}\"\nbind = \"127.0.0.1:{port}\"\nplugin = \"echo\"\n")
    };
    fs::write(&file, listener("given", first)).unwrap();
    let mut daemon = launch.arg("-c").arg(&file).serve();
    let before = inode(first);
    fs::write(&file, listener("given", first) + &listener("more", first + 1)).unwrap();
    assert!(daemon.reload(1).contains("1 address added"));
    daemon.client(0).expect_echo(b"still");
    assert_eq!(inode(first), before);
    fs::write(&file, listener("more", first + 1)).unwrap();
    assert!(daemon.reload(2).contains("1 address removed"));
    // It is free again, since nobody else has it.
    drop(UdpSocket::bind((Ipv4Addr::LOCALHOST, first)).unwrap());
}
