//! What leaves a daemon that is attacked: forged sources, ports of other services, groups (R29, R30, R31). Every daemon
//! stands in a namespace, and so does who attacks it.

use std::fs;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::path::Path;

use polyport_tests::network::{Host, Network, WIRE};
use polyport_tests::tool::tool;
use polyport_tests::{Client, DEADLINE, Daemon, Launch};

/// The ports of services that answer anything, written down a second time.
const LOOP_PORTS: [u16; 21] =
    [7, 11, 13, 17, 19, 37, 53, 69, 111, 123, 137, 161, 389, 500, 520, 862, 1434, 1900, 3702, 5353, 11_211];

/// Two ports of one daemon that answer each other need one forged datagram.
#[test]
fn a_wildcard_answers_no_address_of_its_own_host() {
    let Some(attack) = Attack::prepare() else { return };
    let here = &attack.network.here;
    here.ip(&["route", "add", "local", "192.0.2.0/24", "dev", "lo"]);
    let daemon = daemon(here)
        .listen("[::]:7000=echo,name=six")
        .listen("[::]:7001=echo,name=other-six")
        .listen("0.0.0.0:7000=echo,name=four")
        .listen("0.0.0.0:7001=echo,name=other-four")
        .serve();
    let link_local = link_local(here).to_string();
    // The source port is the same, as in the simplest attack, and that of the other listener.
    for port in [7000, 7001] {
        for source in ["fd77::3", "fd77::1", &link_local] {
            attack.forge((source, port), "fd77::1:7000", 1);
        }
        for source in ["10.77.0.3", "10.77.0.1", "192.0.2.77"] {
            attack.forge((source, port), "10.77.0.1:7000", 1);
        }
    }
    // A socket keeps the order: who is answered now came after all of them.
    attack.expect_echo("[fd77::1]:7000");
    attack.expect_echo("10.77.0.1:7000");
    let served = daemon.stop();
    for name in ["six", "four"] {
        let line = served.line(name);
        assert_eq!(served.received(name, "received"), 6 + 1, "{line}");
        assert_eq!((served.sent(name, "own_listener"), served.sent(name, "sent")), (6, 1), "{line}");
        assert_eq!(served.received(&format!("other-{name}"), "received"), 0, "{line}");
    }
    served.finished.expect_stderr(&["no setting allows it"]);
}

#[test]
fn an_address_that_comes_while_it_serves_is_own_from_then_on() {
    let Some(attack) = Attack::prepare() else { return };
    let here = &attack.network.here;
    let launch =
        daemon(here).arg("-v").listen("[::]:7000=echo,name=six").listen("0.0.0.0:7000=echo,name=four");
    let mut daemon = launch.listen("[::]:7001=echo,name=a").listen("0.0.0.0:7001=echo,name=b").serve();
    let mut known = 1;
    let mut change = |daemon: &mut Daemon, lines: &[&[&str]]| {
        for line in lines {
            here.ip(line);
            known += 1;
            daemon.process.wait_for_stderr_times("are this host's own", known);
        }
    };
    let probe = |number: u64| {
        attack.forge(("10.77.0.9", 7001), "10.77.0.1:7000", 1);
        attack.forge(("fd77::9", 7001), "fd77::1:7000", 1);
        attack.expect_echo("[fd77::1]:7000");
        attack.expect_echo("10.77.0.1:7000");
        number
    };
    let strangers = probe(1);
    change(
        &mut daemon,
        &[
            &["address", "add", "10.77.0.9/24", "dev", WIRE],
            &["address", "add", "fd77::9/64", "dev", WIRE, "nodad"],
        ],
    );
    let own = probe(1);
    change(
        &mut daemon,
        &[&["address", "del", "10.77.0.9/24", "dev", WIRE], &["address", "del", "fd77::9/64", "dev", WIRE]],
    );
    let strangers = strangers + probe(1);
    let served = daemon.stop();
    for name in ["six", "four"] {
        let line = served.line(name);
        assert_eq!(served.sent(name, "own_listener"), own, "{line}");
        assert_eq!(served.sent(name, "sent"), strangers + 3, "{line}");
    }
}

/// A burst of changes costs a few readings, and the last of them is known in the end.
#[test]
fn hundreds_of_addresses_at_once_are_known_in_the_end() {
    let Some(attack) = Attack::prepare() else { return };
    let here = &attack.network.here;
    let launch = daemon(here).listen("0.0.0.0:7000=echo,name=a").listen("0.0.0.0:7001=echo,name=b");
    let mut daemon = launch.arg("-v").serve();
    (0..100).for_each(|last| here.ip(&["address", "add", &format!("10.78.0.{last}/32"), "dev", WIRE]));
    // What the last reading found.
    let total = |daemon: &Daemon| {
        let mut lines =
            daemon.process.stderr().lines().filter_map(|line| line.split_once(" addresses and ranges"));
        lines
            .next_back()
            .and_then(|(before, _)| before.rsplit(' ').next()?.parse::<usize>().ok())
            .unwrap_or(0)
    };
    let mut readings = 1;
    while total(&daemon) < 100 {
        readings += 1;
        daemon.process.wait_for_stderr_times("are this host's own", readings);
    }
    attack.forge(("10.78.0.99", 7001), "10.77.0.1:7000", 1);
    attack.expect_echo("10.77.0.1:7000");
    assert_eq!(daemon.stop().sent("a", "own_listener"), 1);
    assert!(readings < 80, "{readings} readings of 100 changes");
}

#[test]
fn services_that_answer_anything_are_not_answered_unless_allowed() {
    let Some(network) = Network::new() else { return };
    let handlers = ["echo", "lossy", "listener,ack=true,leisure=0s", "echo,reply=length"];
    let mut launch = daemon(&network.here);
    for (number, handler) in (0..).zip(handlers) {
        launch = launch.listen(format!("10.77.0.1:{}={handler},name=h{number}", 6000 + number));
    }
    let daemon = launch
        .listen("10.77.0.1:7000=echo,name=some,reply.ports=\"53,123\"")
        .listen("10.77.0.1:7001=echo,name=any,reply.ports=any")
        .serve();
    for port in LOOP_PORTS {
        let from = |server: u16| {
            let (local, server) = (format!("10.77.0.2:{port}"), format!("10.77.0.1:{server}"));
            network.there.inside(|| Client::from(local.parse().unwrap(), server.parse().unwrap()))
        };
        (6000..6004).for_each(|server| from(server).send(b"anything"));
        from(7001).expect_echo(b"allowed");
        if [53, 123].contains(&port) {
            from(7000).expect_echo(b"allowed");
        } else {
            from(7000).send(b"anything");
        }
    }
    for row in 0..6 {
        // From any other port everybody is answered; lossy and the listener have words of their own.
        let server = daemon.addresses()[row];
        let client = network.there.inside(|| Client::from("10.77.0.2:0".parse().unwrap(), server));
        client.send(b"hello");
        assert!(!client.receive().is_empty());
    }
    let served = daemon.stop();
    let all = LOOP_PORTS.len() as u64;
    for (name, refused) in [("h0", all), ("h1", all), ("h2", all), ("h3", all), ("some", all - 2), ("any", 0)]
    {
        let line = served.line(name);
        assert_eq!(served.received(name, "received"), all + 1, "{line}");
        assert_eq!(
            (served.sent(name, "loop_port"), served.sent(name, "sent")),
            (refused, all + 1 - refused),
            "{line}"
        );
        let own = format!("listener {name} ");
        let lines = served.finished.stderr.lines();
        let warnings: Vec<_> =
            lines.filter(|l| l.contains(&own) && l.contains("nothing is sent to")).collect();
        assert_eq!(warnings.len(), usize::from(refused > 0), "{name}: {}", served.finished.stderr);
        assert!(warnings.iter().all(|line| line.contains("`reply.ports = [7]` allows it")), "{warnings:?}");
    }
}

/// One forged datagram is enough to make one service on two hosts answer itself.
#[test]
fn two_daemons_with_the_same_port_do_not_answer_each_other() {
    let Some(attack) = Attack::prepare() else { return };
    let spec = "0.0.0.0:7000=echo,broadcast=true";
    let here = daemon(&attack.network.here).listen(spec).serve();
    let there = daemon(&attack.network.there).listen(spec).serve();
    attack.forge(("10.77.0.2", 7000), "10.77.0.1:7000", 3);
    // All hosts of the network would answer this one.
    attack.forge(("10.77.0.255", 7000), "10.77.0.1:7000", 3);
    attack.forge(("10.77.0.255", 5000), "10.77.0.1:7000", 3);
    attack.expect_echo("10.77.0.1:7000");
    let (here, there) = (here.stop(), there.stop());
    let line = here.line("echo");
    assert_eq!((here.sent("echo", "same_port"), here.sent("echo", "sent")), (3, 1), "{line}");
    assert_eq!(here.received("echo", "received"), 3 + 1 + here.sent("echo", "group"), "{line}");
    assert_eq!(here.sent("echo", "group"), 6, "{line}");
    assert_eq!(there.received("echo", "received"), 0, "{}", there.line("echo"));
    here.finished.expect_stderr(&["`reply.same_port = true` allows it", "`reply.groups = true` allows it"]);
}

#[test]
fn a_peer_with_the_same_port_is_answered_where_that_is_allowed() {
    let Some(network) = Network::new() else { return };
    let daemon = daemon(&network.here)
        .listen("10.77.0.1:7000=echo,name=strict")
        .listen("10.77.0.1:7001=echo,name=open,reply.same_port=true")
        .serve();
    let client = |port| {
        let (local, server) = (format!("10.77.0.2:{port}"), format!("10.77.0.1:{port}"));
        network.there.inside(|| Client::from(local.parse().unwrap(), server.parse().unwrap()))
    };
    client(7000).send(b"anything");
    client(7001).expect_echo(b"allowed");
    let served = daemon.stop();
    assert_eq!((served.sent("strict", "same_port"), served.sent("strict", "sent")), (1, 0));
    assert_eq!((served.sent("open", "same_port"), served.sent("open", "sent")), (0, 1));
}

/// What is sent to many is answered by none of them, or all would answer one forged source.
#[test]
fn what_is_sent_to_groups_gets_no_answer_unless_allowed() {
    const V4: [&str; 3] = ["10.77.0.255", "255.255.255.255", "224.0.0.1"];
    for (more, answers) in [("", false), (",broadcast=true", false), (",reply.groups=true", true)] {
        let Some(network) = Network::new() else { return };
        let daemon = daemon(&network.here)
            .listen(format!("0.0.0.0:7000=echo,name=four,join=224.0.0.1 on {WIRE}{more}"))
            .listen(format!("[::]:7000=echo,name=six,join=ff02::1 on {WIRE}{more}"))
            .listen(format!("10.77.0.255:7001=echo,name=bound{more}"))
            .listen("10.77.0.255:7002=listener,name=heard")
            .serve();
        let [four, six] = ["10.77.0.2:0", "[fd77::2]:0"].map(|local| Asker::new(&network.there, local));
        for group in V4 {
            four.ask(&format!("{group}:7000"), answers.then_some("10.77.0.1:7000"));
        }
        six.ask("[ff02::1]:7000", answers.then_some(""));
        four.ask("10.77.0.255:7001", answers.then_some("10.77.0.1:7001"));
        four.ask("10.77.0.255:7002", None);
        // Who is asked alone answers in any case, and after everything that came before.
        four.ask("10.77.0.1:7000", Some("10.77.0.1:7000"));
        six.ask("[fd77::1]:7000", Some("[fd77::1]:7000"));
        let served = daemon.stop();
        for (name, to_groups, alone) in [("four", 3, 1), ("six", 1, 1), ("bound", 1, 0)] {
            let line = served.line(name);
            assert_eq!(served.received(name, "received"), to_groups + alone, "{more}: {line}");
            let refused = if answers { 0 } else { to_groups };
            assert_eq!(served.sent(name, "group"), refused, "{more}: {line}");
            assert_eq!(served.sent(name, "sent"), to_groups + alone - refused, "{more}: {line}");
        }
        assert_eq!(served.counted("heard", "broadcast_total"), 1, "{}", served.line("heard"));
    }
}

#[test]
fn the_trace_says_that_nothing_is_sent() {
    let Some(network) = Network::new() else { return };
    let launch = daemon(&network.here).arg("-vv").listen("10.77.0.1:7000=echo");
    let mut daemon = launch.serve();
    let client = |local: &str| {
        network.there.inside(|| Client::from(local.parse().unwrap(), "10.77.0.1:7000".parse().unwrap()))
    };
    client("10.77.0.2:53").send(b"a query");
    daemon.process.wait_for_stderr("10.77.0.2:53 says 'a query': not answered, loop_port: ");
    client("10.77.0.2:54").expect_echo(b"another");
    daemon.process.wait_for_stderr("10.77.0.2:54 says 'another': replied 7 bytes\n");
    drop(daemon.stop());
}

fn daemon(host: &Host) -> Launch {
    host.launch(env!("CARGO_BIN_EXE_polyport-under-test"))
}

/// A network whose kernel lets forged datagrams in, as those of the Internet's edge do.
struct Attack {
    network: Network,
    python: std::path::PathBuf,
}

impl Attack {
    #[track_caller]
    fn prepare() -> Option<Self> {
        let python = tool("python3")?;
        let network = Network::new()?;
        for host in [&network.here, &network.there] {
            host.inside(|| {
                for (name, value) in [("rp_filter", "0"), ("accept_local", "1")] {
                    for device in ["all", WIRE] {
                        fs::write(format!("/proc/sys/net/ipv4/conf/{device}/{name}"), value).unwrap();
                    }
                }
            });
        }
        Some(Self { network, python })
    }

    /// Sends `count` datagrams that pretend to come from `source`.
    #[track_caller]
    fn forge(&self, (source, port): (&str, u16), to: &str, count: usize) {
        let (to, to_port) = to.rsplit_once(':').unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/spoof.py");
        let (port, count) = (port.to_string(), count.to_string());
        let mut launch = self.network.there.launch(&self.python).arg(script);
        for arg in [source, &port, to, to_port, &count, WIRE] {
            launch = launch.arg(arg);
        }
        launch.run().expect_code(0);
    }

    /// Somebody honest is answered.
    #[track_caller]
    fn expect_echo(&self, server: &str) {
        let local = if server.starts_with('[') { "[fd77::4]:0" } else { "10.77.0.4:0" };
        let (local, server): (SocketAddr, _) = (local.parse().unwrap(), server.parse().unwrap());
        self.network.there.inside(|| Client::from(local, server)).expect_echo(b"still here");
    }
}

/// The link-local address of a host's wire.
#[track_caller]
fn link_local(host: &Host) -> Ipv6Addr {
    // One line an address: 32 digits, index, length, scope (20 is the link), flags, interface.
    let table = host.inside(|| fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap());
    let line =
        table.lines().find(|line| line.starts_with("fe80") && line.ends_with(WIRE)).expect("an address");
    u128::from_str_radix(&line[..32], 16).unwrap().into()
}

/// A socket that asks groups.
struct Asker {
    socket: UdpSocket,
    scope: u32,
}

impl Asker {
    #[track_caller]
    fn new(host: &Host, local: &str) -> Self {
        let (socket, scope) = host.inside(|| {
            let socket = UdpSocket::bind(local).unwrap();
            let scope = rustix::net::netdevice::name_to_index(&socket, WIRE).unwrap();
            (socket, scope)
        });
        socket.set_broadcast(true).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { socket, scope }
    }

    /// Asks, and expects an answer from `from`, or from anybody if that is empty. Answers that nobody expected come first,
    /// and fail the next question.
    #[track_caller]
    fn ask(&self, to: &str, from: Option<&str>) {
        let to_address = match to.parse().unwrap() {
            SocketAddr::V6(v6) => SocketAddrV6::new(*v6.ip(), v6.port(), 0, self.scope).into(),
            to @ SocketAddr::V4(_) => to,
        };
        self.socket.send_to(to.as_bytes(), to_address).unwrap();
        let Some(from) = from else { return };
        let mut buffer = [0; 100];
        let (len, peer) = self.socket.recv_from(&mut buffer).expect("an answer in time");
        assert_eq!(&buffer[..len], to.as_bytes());
        if !from.is_empty() {
            assert_eq!(SocketAddr::new(peer.ip(), peer.port()), from.parse().unwrap());
        }
    }
}
