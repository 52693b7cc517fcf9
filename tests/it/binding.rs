//! Binding: exact, all or nothing, and loud when it cannot be.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

#[cfg(target_os = "linux")]
use polyport_tests::network::{Host, Network, WIRE};
use polyport_tests::process::Process;
#[cfg(target_os = "linux")]
use polyport_tests::tool::root;
use polyport_tests::tool::skip;
use polyport_tests::{Client, ports};

use crate::polyport;

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// R23: a connected socket takes answers only from the address it asked.
#[cfg(target_os = "linux")] // The whole of 127.0.0.0/8 is on the loopback interface only there.
#[test]
fn a_wildcard_listener_answers_from_the_address_that_was_asked() {
    let daemon = polyport().listen("0.0.0.0:0=echo").serve();
    let port = daemon.addresses()[0].port();
    for server in [[127, 0, 0, 1], [127, 0, 0, 2], [127, 1, 2, 3]] {
        Client::of((server, port).into()).expect_echo(b"to me, from you");
    }
    assert_eq!(daemon.stop().received("echo", "replied"), 3);
}

#[test]
fn a_wildcard_listener_over_ipv6_answers_from_the_address_that_was_asked() {
    let daemon = polyport().listen("[::]:0=echo").serve();
    let port = daemon.addresses()[0].port();
    Client::of((Ipv6Addr::LOCALHOST, port).into()).expect_echo(b"to me, from you");
    assert!(daemon.process.stdout().contains(&format!("nc -u -w1 ::1 {port}")));
}

/// A link-local address means nothing without its interface, and a peer whose own address is a global one does not bring
/// it: the answer leaves by the interface that was asked.
#[cfg(target_os = "linux")]
#[test]
fn a_wildcard_listener_answers_from_a_link_local_address_by_the_interface_that_was_asked() {
    let Some(network) = Network::new() else { return };
    let link_local = "fe80::77".parse::<Ipv6Addr>().unwrap();
    network.here.ip(&["address", "add", "fe80::77/64", "dev", WIRE, "nodad"]);
    let daemon = network.here.launch(env!("CARGO_BIN_EXE_polyport-under-test")).listen("[::]:0=echo").serve();
    let port = daemon.addresses()[0].port();
    network.there.inside(|| {
        let interface =
            rustix::net::netdevice::name_to_index(UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap(), WIRE);
        let server = std::net::SocketAddrV6::new(link_local, port, 0, interface.unwrap());
        Client::from("[fd77::2]:0".parse().unwrap(), server.into()).expect_echo(b"to me, from you");
    });
    let served = daemon.stop();
    assert_eq!(
        (served.sent("echo", "sent"), served.sent("echo", "dropped")),
        (1, 0),
        "{}",
        served.line("echo")
    );
}

/// What people type instead of an address: each stands for its addresses, and each of them answers.
#[cfg(target_os = "linux")]
#[test]
fn an_interface_localhost_and_nothing_stand_for_all_their_addresses() {
    let Some(host) = Host::alone() else { return };
    host.ip(&["link", "add", "pp0", "type", "veth", "peer", "name", "pp1"]);
    for link in ["pp0", "pp1"] {
        // No address of the system's own making, which cannot be bound at once.
        host.ip(&["link", "set", link, "addrgenmode", "none"]);
        host.ip(&["link", "set", link, "up"]);
    }
    for address in ["192.0.2.2/24", "192.0.2.1/24", "2001:db8::1/64", "fe80::77/64"] {
        let nodad: &[&str] = if address.contains(':') { &["nodad"] } else { &[] };
        host.ip(&[&["address", "add", address, "dev", "pp0"], nodad].concat());
    }
    let launch = host.launch(env!("CARGO_BIN_EXE_polyport-under-test"));
    let launch = launch.listen("pp0:7000=echo").listen("lo:7001=echo").listen("localhost:7002=echo");
    let daemon = launch.listen(":7003=echo").serve();
    let shown: Vec<String> = daemon.addresses().iter().map(ToString::to_string).collect();
    let scope = shown[3].trim_start_matches("[fe80::77%").trim_end_matches("]:7000");
    assert!(scope.parse::<u32>().is_ok_and(|index| index > 0), "{shown:?}");
    let link_local = format!("[fe80::77%{scope}]:7000");
    let expected = [
        "192.0.2.1:7000",
        "192.0.2.2:7000",
        "[2001:db8::1]:7000",
        &link_local,
        "127.0.0.1:7001",
        "[::1]:7001",
        "127.0.0.1:7002",
        "[::1]:7002",
        "0.0.0.0:7003",
        "[::]:7003",
    ];
    assert_eq!(shown, expected);
    host.inside(|| {
        for address in expected[..8].iter().chain(&["127.0.0.1:7003", "192.0.2.2:7003", "[2001:db8::1]:7003"])
        {
            let any = if address.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
            Client::from(any.parse().unwrap(), address.parse().unwrap()).expect_echo(address.as_bytes());
        }
    });
    assert_eq!(daemon.stop().received("echo", "replied"), 4);

    let launch = host.launch(env!("CARGO_BIN_EXE_polyport-under-test"));
    launch.listen("pp1:7000=echo").refused(78).expect_stderr(&["the interface `pp1`", "has no address"]);
}

/// R25: a wildcard of one family leaves the port of the other alone.
#[test]
fn both_wildcards_can_have_the_same_port_and_neither_serves_the_other_family() {
    let wildcards = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    let port = ports::free_range(&wildcards, 1, 100);
    let (v4, v6) = (format!("0.0.0.0:{port}=echo,name=v4"), format!("[::]:{port}=echo,name=v6"));
    let daemon = polyport().listen(v4).listen(v6).serve();
    Client::of((Ipv4Addr::LOCALHOST, port).into()).expect_echo(b"four");
    Client::of((Ipv6Addr::LOCALHOST, port).into()).expect_echo(b"six");
    let served = daemon.stop();
    assert_eq!((served.received("v4", "replied"), served.received("v6", "replied")), (1, 1));

    let only_v6 = polyport().listen(format!("[::]:{port}=echo")).serve();
    UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).expect("the IPv4 port is free");
    drop(only_v6);
}

/// R26: no silent sharing of a port.
#[test]
fn a_second_instance_fails_loudly_and_serves_nothing_of_its_configuration() {
    let first = polyport().listen("127.0.0.1:0=echo").serve();
    let taken = first.addresses()[0];
    let free = ports::free_range(&[V4], 1, 200);
    let second = polyport()
        .listen(format!("127.0.0.1:{free}=echo,name=innocent"))
        .listen(format!("{taken}=echo,name=second"));
    let refused = second.refused(75);
    refused.expect_stderr(&[
        "listener `second`",
        &format!("cannot open UDP {taken}"),
        "in use",
        &format!("holds UDP port {}", taken.port()),
        &format!("--> --listen:1:1\n  |\n1 | {taken}=echo"),
    ]);
    assert!(!refused.stderr.contains("innocent"), "{}", refused.stderr);
    UdpSocket::bind((V4, free)).expect("the port of the good listener is free again");
    first.client(0).expect_echo(b"the first one goes on");
}

#[test]
fn an_address_that_is_not_ours_is_named_and_nothing_is_served() {
    let free = ports::free_range(&[V4], 1, 300);
    // TEST-NET-1 of RFC 5737: nobody has it.
    let launch = polyport()
        .listen(format!("127.0.0.1:{free}=echo,name=innocent"))
        .listen("192.0.2.1:7000=echo,name=foreign");
    launch.refused(71).expect_stderr(&[
        "listener `foreign`: cannot open UDP 192.0.2.1:7000",
        "no interface of this host has the address 192.0.2.1",
    ]);
    UdpSocket::bind((V4, free)).expect("the port of the good listener is free again");
}

#[test]
fn every_address_that_cannot_be_bound_is_reported_at_once() {
    let held = UdpSocket::bind((V4, 0)).unwrap();
    let taken = held.local_addr().unwrap();
    let launch = polyport().config(&format!(
        "[[listen]]\nname = \"one\"\nbind = [\"{taken}\", \"127.0.0.1:0\"]\nplugin = \"echo\"\n\
         [[listen]]\nname = \"two\"\nbind = \"192.0.2.1:7000\"\nplugin = \"echo\"\n"
    ));
    let path = launch.dir().join("polyport.toml").display().to_string();
    let refused = launch.refused(75);
    refused.expect_stderr(&[
        "listener `one`",
        "listener `two`",
        &format!("{path}:3:9"),
        &format!("{path}:7:8"),
        &format!("bind = [\"{taken}\", \"127.0.0.1:0\"]"),
    ]);
}

#[test]
fn a_port_below_1024_without_the_right_to_it_is_a_matter_of_permission() {
    if !may_refuse_low_ports() {
        return;
    }
    let port = 1023;
    // Whoever it becomes can read neither the build directory nor what root owns.
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = dir.path().join("polyport");
    fs::copy(env!("CARGO_BIN_EXE_polyport-under-test"), &program).unwrap();
    let library = dir.path().join("libecho.so");
    fs::copy(polyport_tests::plugins::built("echo"), library).unwrap();
    let run = dir.path().join("run");
    fs::create_dir(&run).unwrap();
    fs::set_permissions(&run, fs::Permissions::from_mode(0o777)).unwrap();
    let mut command = std::process::Command::new(&program);
    command.env("RUNTIME_DIRECTORY", run).args(["--listen", &format!("127.0.0.1:{port}=echo,name=low")]);
    if rustix::process::geteuid().is_root() {
        const NOBODY: u32 = 65_534;
        command.uid(NOBODY).gid(NOBODY);
    }
    let finished = Process::spawn(command.current_dir("/")).finish();
    finished.expect_code(77).expect_stderr(&[
        "listener `low`: cannot open UDP 127.0.0.1:1023",
        "ermission denied",
        "port 1023 is below 1024 and needs CAP_NET_BIND_SERVICE",
    ]);
    assert_eq!(finished.stdout, "");
}

/// Whether there are ports this test may not bind, as itself or as somebody else.
#[cfg(target_os = "linux")]
fn may_refuse_low_ports() -> bool {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    if text.trim().parse::<u16>().unwrap() <= 1023 {
        skip("everybody may bind port 1023 here (net.ipv4.ip_unprivileged_port_start)");
        return false;
    }
    let capable = UdpSocket::bind((V4, 1023)).is_ok();
    !capable || root("this process may bind port 1023, so only another user shows the refusal")
}

#[cfg(not(target_os = "linux"))]
fn may_refuse_low_ports() -> bool {
    skip("who may bind low ports is looked up only on Linux");
    false
}
