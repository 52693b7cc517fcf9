//! Interfaces and addresses that come later, go, and come again under their names: `wait`, `device`, `join = "GROUP on *"`, zones.
//! The daemon has given up its rights, as it does by default, and nobody helps it.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use polyport_tests::launch::Launch;
use polyport_tests::network::{Host, Network, WIRE};
use polyport_tests::{DEADLINE, Daemon, wait};

const PROGRAM: &str = env!("CARGO_BIN_EXE_polyport-under-test");
/// The interface that comes and goes, on both hosts.
const LATER: &str = "later0";
/// Between two attempts.
const STEP: Duration = Duration::from_millis(50);

/// Lays a second wire, with the addresses 10.78.0.1 and `fd78::1` here and 2 there, and `fe80::7` here.
#[track_caller]
fn plug(network: &Network) {
    let Network { here, there } = network;
    here.wire(LATER, there, LATER);
    for (host, number) in [(here, 1), (there, 2)] {
        host.ip(&["link", "set", LATER, "up"]);
        host.ip(&["address", "add", &format!("10.78.0.{number}/24"), "dev", LATER]);
        host.ip(&["address", "add", &format!("fd78::{number}/64"), "dev", LATER, "nodad"]);
    }
    here.ip(&["address", "add", "fe80::7/64", "dev", LATER, "nodad"]);
    there.ip(&["address", "add", "fe80::8/64", "dev", LATER, "nodad"]);
}

fn unplug(network: &Network) {
    network.here.ip(&["link", "del", LATER]);
}

/// The index of the interface on the other host.
#[track_caller]
fn index(host: &Host) -> u32 {
    host.inside(|| polyport_net::interface_index(LATER).unwrap())
}

/// Asks from the other host until there is an answer, and fails after the deadline.
#[track_caller]
fn expect_answer(host: &Host, local: &str, server: &str) {
    let (local, server): (SocketAddr, SocketAddr) = (local.parse().unwrap(), server.parse().unwrap());
    let socket = host.inside(|| UdpSocket::bind(local).unwrap());
    socket.set_read_timeout(Some(STEP)).unwrap();
    for _ in 0..DEADLINE.as_millis() / STEP.as_millis() {
        socket.send_to(b"hello", server).ok();
        if socket.recv_from(&mut [0; 16]).is_ok() {
            return;
        }
    }
    panic!("no answer of {server} within {DEADLINE:?}");
}

/// Sends to a group from the other host until the daemon has logged it.
#[track_caller]
fn expect_heard(host: &Host, group: &str, daemon: &mut Daemon, text: &str) {
    let group: SocketAddr = group.parse().unwrap();
    let socket = host.inside(|| {
        let socket = UdpSocket::bind(if group.is_ipv4() { "10.78.0.2:0" } else { "[fd78::2]:0" }).unwrap();
        if group.is_ipv6() {
            let index = rustix::net::netdevice::name_to_index(&socket, LATER).unwrap();
            rustix::net::sockopt::set_ipv6_multicast_if(&socket, index).unwrap();
        } else {
            rustix::net::sockopt::set_ip_multicast_if(&socket, &"10.78.0.2".parse().unwrap()).unwrap();
        }
        socket
    });
    let heard = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !heard.load(Ordering::Relaxed) {
                socket.send_to(text.as_bytes(), group).ok();
                thread::park_timeout(STEP);
            }
        });
        let line = format!("-> {group} multicast on {LATER}, {} bytes: \"{text}\"", text.len());
        let came = daemon.process.try_wait_for_stderr(&line);
        heard.store(true, Ordering::Relaxed);
        assert!(came, "{line}");
    });
}

/// What `polyport status` says that a listener waits for.
#[track_caller]
fn waits_for(daemon: &Daemon, listener: &str) -> Vec<String> {
    let status = |more: &[&str]| {
        let socket = daemon.dir().join("run/control.sock");
        let command = Launch::new(PROGRAM).args(&["status", listener]).args(more);
        let finished = command.arg("--control").arg(socket).run();
        finished.expect_code(0);
        finished.stdout
    };
    let (text, json) = (status(&[]), status(&["--json"]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let entry = &json["entries"][0];
    assert_eq!(entry["name"], listener);
    let words = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let all: Vec<String> =
        entry["waits_for"].as_array().map(|all| all.iter().map(words).collect()).unwrap_or_default();
    let said = format!("waits for {}", all.join(" and "));
    assert_eq!(text.contains("waits for"), !all.is_empty(), "{text}");
    assert!(all.is_empty() || text.contains(&said), "{said}: {text}");
    all
}

/// Two addresses, an interface and a link-local address of it, none of which is there at the start; one port needs a right that
/// the daemon has given up when they come.
#[test]
fn what_is_not_there_yet_is_waited_for_and_served() {
    let Some(network) = Network::new() else { return };
    let there = &network.there;
    let mut daemon = network
        .here
        .launch(PROGRAM)
        .listen("10.78.0.1:53=echo,name=four,listen.wait=true,reply.ports=53")
        .listen("[fd78::1]:5000=echo,name=six,listen.wait=true")
        .listen(format!("0.0.0.0:5001=echo,name=tied,listen.wait=true,listen.device={LATER}"))
        .listen(format!("[fe80::7%{LATER}]:5002=echo,name=link,listen.wait=true"))
        .serve();
    for round in 1..=2 {
        for ip in ["10.78.0.1", "fd78::1", "fe80::7"] {
            daemon
                .process
                .wait_for_stderr_times(&format!("no interface of this host has the address {ip}"), round);
        }
        daemon.process.wait_for_stderr_times("there is no interface later0: 2 listening addresses", round);
        assert_eq!(waits_for(&daemon, "four"), ["address 10.78.0.1"]);
        assert_eq!(waits_for(&daemon, "tied"), ["interface later0"]);
        assert_eq!(waits_for(&daemon, "link"), ["interface later0", "address fe80::7"]);
        wait::until("a daemon that waits", || daemon.is_asleep());
        plug(&network);
        let zone = index(there);
        expect_answer(there, "10.78.0.2:0", "10.78.0.1:53");
        expect_answer(there, "[fd78::2]:0", "[fd78::1]:5000");
        expect_answer(there, "10.78.0.2:0", "10.78.0.1:5001");
        expect_answer(there, &format!("[fe80::8%{zone}]:0"), &format!("[fe80::7%{zone}]:5002"));
        for ip in ["10.78.0.1", "fd78::1", "fe80::7"] {
            daemon
                .process
                .wait_for_stderr_times(&format!("{ip} is there: 1 listening address is served"), round);
        }
        daemon.process.wait_for_stderr_times("the interface later0 is there: 2 listening addresses", round);
        for name in ["four", "six", "tied", "link"] {
            assert_eq!(waits_for(&daemon, name), Vec::<String>::new(), "{name}");
        }
        unplug(&network);
    }
    let served = daemon.stop();
    for name in ["four", "six", "tied", "link"] {
        assert!(served.sent(name, "sent") >= 2, "{}", served.line(name));
    }
}

/// Without `wait` as well: what was there at the start comes again, and an interface of another name is another one.
#[test]
fn an_interface_that_comes_again_under_its_name_is_taken_again() {
    let Some(network) = Network::new() else { return };
    let there = &network.there;
    plug(&network);
    let mut daemon = network
        .here
        .launch(PROGRAM)
        .listen(format!("0.0.0.0:5001=echo,name=four,listen.device={LATER}"))
        .listen(format!("[::]:5001=echo,name=six,listen.device={LATER}"))
        .listen(format!("[fe80::7%{LATER}]:5002=echo,name=link"))
        .serve();
    for round in 0..3 {
        if round > 0 {
            unplug(&network);
            daemon
                .process
                .wait_for_stderr_times("there is no interface later0: 3 listening addresses", round);
            plug(&network);
        }
        let zone = index(there);
        expect_answer(there, "10.78.0.2:0", "10.78.0.1:5001");
        expect_answer(there, "[fd78::2]:0", "[fd78::1]:5001");
        expect_answer(there, &format!("[fe80::8%{zone}]:0"), &format!("[fe80::7%{zone}]:5002"));
    }
    // A new name is no other interface.
    network.here.ip(&["link", "set", LATER, "down"]);
    network.here.ip(&["link", "set", LATER, "name", "renamed0"]);
    network.here.ip(&["link", "set", "renamed0", "up"]);
    network.here.ip(&["address", "replace", "fd78::1/64", "dev", "renamed0", "nodad"]);
    expect_answer(there, "10.78.0.2:0", "10.78.0.1:5001");
    expect_answer(there, "[fd78::2]:0", "[fd78::1]:5001");
    // Not by any other.
    let other = there.inside(|| UdpSocket::bind("10.77.0.2:0").unwrap());
    other.send_to(b"x", "10.77.0.1:5001").unwrap();
    let served = daemon.stop();
    assert_eq!(
        served.finished.stderr.matches("there is no interface").count(),
        2,
        "{}",
        served.finished.stderr
    );
    for name in ["four", "six", "link"] {
        assert_eq!(served.received(name, "received"), served.sent(name, "sent"), "{}", served.line(name));
    }
}

/// A link-local address is one of its interface, which may be given by its number.
#[test]
fn a_link_local_address_is_bound_by_the_name_or_the_number_of_its_interface() {
    let Some(network) = Network::new() else { return };
    let Network { here, there } = &network;
    plug(&network);
    let number = index(here);
    let daemon = here
        .launch(PROGRAM)
        .listen(format!("[fe80::7%{number}]:5000=echo,name=number"))
        .listen(format!("[fe80::7%{LATER}]:5001=echo,name=name"))
        .serve();
    let zone = index(there);
    for port in [5000, 5001] {
        expect_answer(there, &format!("[fe80::8%{zone}]:0"), &format!("[fe80::7%{zone}]:{port}"));
    }
    drop(daemon.stop());
    let launch = || here.launch(PROGRAM);
    launch()
        .listen("[fe80::7]:5000=echo")
        .refused(78)
        .expect_stderr(&["a link-local address needs its interface"]);
    launch()
        .listen(format!("[fe80::7%{WIRE}]:5000=echo"))
        .refused(71)
        .expect_stderr(&["no interface of this host has the address fe80::7"]);
}

/// The groups of both families, on interfaces that were there, come and go.
#[test]
fn groups_on_every_interface_are_joined_on_those_that_come_later() {
    let Some(network) = Network::new() else { return };
    let there = &network.there;
    let mut daemon = network
        .here
        .launch(PROGRAM)
        .config(
            "[[listen]]\nname = 'four'\nbind = '0.0.0.0:5000'\nplugin = 'listener'\njoin = '239.1.1.9 on *'\n\
             options = { record = 'log' }\n\
             [[listen]]\nname = 'six'\nbind = '[::]:5000'\nplugin = 'listener'\njoin = 'ff02::99 on *'\n\
             options = { record = 'log' }\n\
             [[listen]]\nname = 'late'\nbind = '0.0.0.0:5001'\nplugin = 'listener'\njoin = '239.1.1.10 on later0'\n\
             options = { record = 'log' }\nwait = true\n",
        )
        .serve();
    daemon.process.wait_for_stderr("there is no interface later0; 239.1.1.10 is heard when it is there");
    for round in 1..=2 {
        plug(&network);
        daemon.process.wait_for_stderr_times("joined 239.1.1.9 on later0 as well", round);
        expect_heard(there, "239.1.1.9:5000", &mut daemon, &format!("four {round}"));
        expect_heard(there, "239.1.1.10:5001", &mut daemon, &format!("late {round}"));
        expect_heard(there, "[ff02::99]:5000", &mut daemon, &format!("six {round}"));
        unplug(&network);
        daemon.process.wait_for_stderr_times("later0 is gone, and 239.1.1.9 with it there", round);
        daemon.process.wait_for_stderr_times("later0 is gone, and ff02::99 with it there", round);
    }
    let finished = daemon.stop().finished;
    assert_eq!(finished.stderr.matches("on later0 as well").count(), 4, "{}", finished.stderr);
}

/// The kernel takes 20 groups of IPv4 for a socket: what is beyond is counted and told once, and when some go, others are joined.
#[test]
fn a_socket_in_as_many_groups_as_it_may_be_says_so_and_serves() {
    const PAIRS: usize = 12;
    let Some(network) = Network::new() else { return };
    let here = &network.here;
    for pair in 0..PAIRS {
        let (one, other) = (format!("a{pair}"), format!("b{pair}"));
        here.ip(&["link", "add", &one, "type", "veth", "peer", "name", &other]);
    }
    let mut daemon = here.launch(PROGRAM).listen("0.0.0.0:5000=echo,name=it,join=\"239.1.1.9 on *\"").serve();
    daemon
        .process
        .wait_for_stderr("its socket is in as many groups as it may (net.ipv4.igmp_max_memberships");
    expect_answer(&network.there, "10.77.0.2:0", "10.77.0.1:5000");
    for pair in 0..PAIRS {
        here.ip(&["link", "del", &format!("a{pair}")]);
    }
    // Those that have gone do not count any more.
    plug(&network);
    daemon.process.wait_for_stderr("joined 239.1.1.9 on later0 as well");
    let finished = daemon.stop().finished;
    assert_eq!(finished.stderr.matches("as many groups").count(), 1, "{}", finished.stderr);
    // 24 and the wire, of which 20 are joined.
    assert!(finished.stdout.contains("groups refused 5"), "{}", finished.stdout);
}
