//! Clients on paths with a router in the middle: three network namespaces that the test makes and removes.
//!
//! ```text
//!   client ca 10.77.1.1 --- 10.77.1.2 rc  router  rs 10.77.2.2 --- 10.77.2.1 sr server
//! ```
//!
//! Where namespaces are not permitted the tests say so and pass; with `CI` set that is a failure.
#![cfg(test)]
#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsFd;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use polyport_protocol::{Code, Decoder, Encoder, FrameOption, Kind, Role};
use polyport_tools::mtu::json::MtuReport;
use rustix::net::{AddressFamily, SendFlags, SocketType};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

const SERVER_V4: &str = "10.77.2.1:7000";
const SERVER_V6: &str = "[fd77:2::1]:7000";

#[test]
fn a_router_that_says_so_is_named_and_the_limit_is_exact() {
    let Some(net) = Net::new(1500, 1280) else { return };
    net.answer(SERVER_V4);
    let found = net.mtu(&[SERVER_V4]);
    assert_eq!((&found["mtu"], &found["payload"]), (&1280.into(), &1252.into()), "{found}");
    assert_eq!((&found["bound"], &found["black_hole"]), (&"icmp_next_hop".into(), &false.into()), "{found}");
    assert_eq!(found["next_hop"], serde_json::json!({"mtu": 1280, "router": "10.77.1.2"}), "{found}");
    assert_eq!((&found["kernel_mtu_before"], &found["kernel_mtu"]), (&1500.into(), &1280.into()), "{found}");
}

#[test]
fn the_same_over_ipv6() {
    let Some(net) = Net::new(1500, 1280) else { return };
    net.answer(SERVER_V6);
    let found = net.mtu(&[SERVER_V6]);
    assert_eq!((&found["mtu"], &found["payload"]), (&1280.into(), &1232.into()), "{found}");
    assert_eq!(found["next_hop"]["router"], "fd77:1::2", "{found}");
}

#[test]
fn a_router_that_is_silent_is_a_black_hole_and_the_limit_is_exact_all_the_same() {
    let Some(net) = Net::new(1500, 1280) else { return };
    // What the router itself sends to the client has no route; what it forwards has.
    net.ip(&["-n", &net.router, "rule", "add", "iif", "lo", "to", "10.77.1.0/24", "blackhole"]);
    net.answer(SERVER_V4);
    let found = net.mtu(&["--timer", "100ms", SERVER_V4]);
    assert_eq!((&found["mtu"], &found["bound"]), (&1280.into(), &"silence".into()), "{found}");
    assert_eq!((&found["black_hole"], &found["kernel_mtu"]), (&true.into(), &1500.into()), "{found}");
}

#[test]
fn the_own_link_is_told_from_the_path() {
    let Some(net) = Net::new(1400, 1500) else { return };
    net.answer(SERVER_V4);
    let found = net.mtu(&["--both", SERVER_V4]);
    assert_eq!((&found["mtu"], &found["bound"]), (&1400.into(), &"local_emsgsize".into()), "{found}");
    assert_eq!(found["direction"], "both");
}

#[test]
fn without_a_peer_or_a_route_nothing_is_claimed() {
    let Some(net) = Net::new(1500, 1280) else { return };
    let silent = net.client("mtu", &["--timer", "20ms", SERVER_V4]);
    // The server's host says that its port is closed.
    assert_eq!(silent.status.code(), Some(69), "{silent:?}");
    assert!(
        text(&silent.stderr).contains("connection refused: nobody listens at 10.77.2.1:7000"),
        "{silent:?}"
    );
    for binary in ["request", "mtu"] {
        let lost = net.run(&net.router, binary, &["203.0.113.1:7"]);
        assert_eq!(lost.status.code(), Some(69), "{lost:?}");
        assert!(text(&lost.stderr).contains("there is no route"), "{lost:?}");
    }
}

/// Whoever sees a datagram, or guesses its ports, can say in the server's name that nobody listens there.
#[test]
fn one_forged_refusal_ends_no_client() {
    let Some(net) = Net::new(1500, 1500) else { return };
    for (number, (binary, arguments)) in [
        ("request", &["--raw"][..]),
        ("request", &["--raw", "--unconnected"]),
        ("mtu", &["--raw", "--verbose", "--max", "1400"]),
    ]
    .into_iter()
    .enumerate()
    {
        let port = 7100 + u16::try_from(number).unwrap();
        net.refuse_once(SocketAddrV4::new(Ipv4Addr::new(10, 77, 2, 1), port));
        let address = format!("10.77.2.1:{port}");
        let text_of_request = (binary == "request").then_some("hello");
        let run = net.client(binary, &[arguments, &[&address], text_of_request.as_slice()].concat());
        assert_eq!(run.status.code(), Some(0), "{binary} {arguments:?}: {run:?}");
        let heard = text(&run.stderr).contains("an error of the path: Connection refused");
        assert_eq!(heard, binary == "mtu", "the message has come: {run:?}");
    }
}

#[test]
fn a_host_that_does_not_exist_is_told_from_a_silent_one() {
    let Some(net) = Net::new(1500, 1280) else { return };
    // Nobody answers the ARP requests; the kernel says so after about three seconds.
    let lost = net.client("request", &["--timeout", "8s", "10.77.1.99:7"]);
    assert_eq!(lost.status.code(), Some(69), "{lost:?}");
    assert!(text(&lost.stderr).contains("may be down (No route to host"), "{lost:?}");
}

#[test]
fn without_a_router_the_own_link_alone_is_reached() {
    let Some(net) = Net::new(1500, 1500) else { return };
    for (server, neighbour) in [(SERVER_V4, "10.77.1.2:7"), (SERVER_V6, "[fd77:1::2]:7")] {
        net.answer(server);
        let request =
            |options: &[&str], target| net.client("request", &[options, &["--json", target]].concat());
        let answered = request(&["--show-socket"], server);
        assert_eq!(answered.status.code(), Some(0), "{answered:?}");
        let found: Value = serde_json::from_slice(&answered.stdout).unwrap();
        assert_eq!(found["socket"]["after"]["dont_route"], false, "{found}");
        for mode in ["--raw", "--unconnected"] {
            let lost = request(&["--dont-route", "--show-socket", "--timeout", "2s", mode], server);
            assert_eq!(lost.status.code(), Some(69), "{lost:?}");
            let found: Value = serde_json::from_slice(&lost.stdout).unwrap();
            assert_eq!(
                (&found["answer"], &found["socket"]["before"]["dont_route"]),
                (&Value::Null, &true.into())
            );
            if server == SERVER_V4 {
                assert!(text(&lost.stderr).contains("it is on no link of this host"), "{lost:?}");
            }
        }
        // The router's own address is on the link, and says that nobody listens.
        let refused = request(&["--dont-route", "--raw"], neighbour);
        assert!(text(&refused.stderr).contains("connection refused: nobody listens"), "{refused:?}");
    }
}

#[test]
fn broadcast_reaches_the_neighbour_by_the_interface_named() {
    let Some(net) = Net::new(1500, 1500) else { return };
    for address in ["10.77.1.255:7000", "255.255.255.255:7000"] {
        let arguments = ["--listen", "--for", "20s", "--count", "1", address];
        let mut there = net.listen(&net.router, &arguments);
        let sent = net.client("cast", &["--interface", "ca", address, "hello"]);
        assert_eq!(sent.status.code(), Some(0), "{sent:?}");
        assert_eq!(there.wait().unwrap().code(), Some(0), "{address}");
    }
}

#[test]
fn an_ipv6_group_of_the_link_is_heard_next_door() {
    let Some(net) = Net::new(1500, 1500) else { return };
    let group = "[ff02::4242]:7000";
    let mut there =
        net.listen(&net.router, &["--listen", "--for", "20s", "--count", "1", "--interface", "rc", group]);
    let sent = net.client("cast", &["--interface", "ca", group, "hello"]);
    assert_eq!(sent.status.code(), Some(0), "{sent:?}");
    assert_eq!(there.wait().unwrap().code(), Some(0));
}

#[test]
fn the_loop_option_decides_who_hears_a_group() {
    let Some(net) = Net::new(1500, 1500) else { return };
    for (flag, code_here) in [("--no-loop", 69), ("--loop", 0)] {
        let listen = |space: &str, interface: &str| {
            let end = ["--listen", "--for", "2s", "--count", "1"];
            net.listen(space, &[&end[..], &["--interface", interface, "239.1.2.3:7000"]].concat())
        };
        let (mut here, mut there) = (listen(&net.client, "ca"), listen(&net.router, "rc"));
        let sent = net.client("cast", &[flag, "--interface", "ca", "239.1.2.3:7000", "hello"]);
        assert_eq!(sent.status.code(), Some(0), "{sent:?}");
        assert_eq!(there.wait().unwrap().code(), Some(0), "the other host hears it with {flag}");
        assert_eq!(here.wait().unwrap().code(), Some(code_here), "this host with {flag}");
    }
}

#[test]
fn a_ttl_of_0_keeps_a_group_on_this_host() {
    let Some(net) = Net::new(1500, 1500) else { return };
    for group in ["239.1.2.3:7000", "[ff12::4242]:7000"] {
        let listen = |space: &str, interface: &str, end: &[&str]| {
            net.listen(space, &[&["--listen", "--interface", interface][..], end, &[group]].concat())
        };
        let one = &["--for", "20s", "--count", "1"][..];
        let (mut here, mut there) = (listen(&net.client, "ca", one), listen(&net.router, "rc", one));
        let mut both = listen(&net.router, "rc", &["--for", "3s", "--count", "2"]);
        let send = |ttl: &str| net.client("cast", &["--ttl", ttl, "--interface", "ca", group, ttl]);
        assert_eq!(send("0").status.code(), Some(0), "{group}");
        assert_eq!(here.wait().unwrap().code(), Some(0), "this host hears {group}");
        assert_eq!(send("1").status.code(), Some(0), "{group}");
        assert_eq!(there.wait().unwrap().code(), Some(0), "the other host hears the second one");
        assert_eq!(both.wait().unwrap().code(), Some(69), "the other host hears only one");
    }
    let refused = net.client("cast", &["--ttl", "0", "10.77.1.255:7000", "hello"]);
    assert_eq!(refused.status.code(), Some(64), "{refused:?}");
}

/// The kernel makes no train of datagrams that need fragments: they leave one by one, and none is missed.
#[test]
fn a_path_that_takes_no_trains_gets_datagrams() {
    for (size, refused) in [("1400", true), ("1000", false)] {
        let Some(net) = Net::new(1280, 1500) else { return };
        net.answer(SERVER_V4);
        let load = ["--rate", "20k/s", "-d", "100ms", "--warmup", "0s", "--timeout", "20s", "--gso", "on"];
        let found = net.load(&[&load[..], &["--size", size, SERVER_V4]].concat(), 0);
        assert_eq!(found["local"]["trains_refused"].as_u64() > Some(0), refused, "{found:#}");
        assert_eq!(found["local"]["trains"].as_u64() > Some(0), !refused, "{found:#}");
        let count = |name: &str| found["counts"][name].as_u64().unwrap();
        assert_eq!((count("planned"), count("sent")), (2000, 2000), "{found:#}");
        assert_eq!(
            count("ok") + count("lost"),
            2000,
            "a busy server may lose some, and all are accounted for"
        );
        assert!(count("ok") > 0);
    }
}

/// A queue of the device that is full is said by the kernel (ENOBUFS, `udp(7)`): what it drops has not left.
#[test]
fn what_a_full_queue_of_the_device_drops_is_not_sent() {
    let Some(net) = Net::new(1500, 1500) else { return };
    let slow = ["netns", "exec", &net.client, "tc", "qdisc", "add", "dev", "ca", "root"];
    net.ip(&[&slow[..], &["tbf", "rate", "1mbit", "burst", "2k", "limit", "4k"]].concat());
    net.answer(SERVER_V4);
    for gso in ["off", "on"] {
        let load = ["--rate", "4k/s", "-d", "250ms", "--warmup", "0s", "--timeout", "5s", "--gso", gso];
        let found = net.load(&[&load[..], &["--size", "500", SERVER_V4]].concat(), 0);
        let count = |name: &str| found["counts"][name].as_u64().unwrap();
        assert!(count("not_sent_refused") > 0 && count("ok") > 0, "{found:#}");
        assert_eq!(count("planned"), count("sent") + count("not_sent"));
        assert_eq!((count("planned"), count("not_sent")), (1000, count("not_sent_refused")));
        let why = found["local"]["refusal"].as_str().unwrap();
        assert!(why.contains("No buffer space"), "{why}");
    }
}

/// Says that a test is skipped: past the capturing of the test harness, so that it is seen. Where `CI` is set nothing is
/// skipped.
#[track_caller]
fn skip(reason: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty()), "{test} cannot run in CI: {reason}");
    // Nobody is left to tell when standard error is closed.
    writeln!(std::io::stderr(), "SKIPPED {test}: {reason}").ok();
}

/// Three namespaces with unique names, removed on drop, also on a panic.
struct Net {
    client: String,
    router: String,
    server: String,
}

impl Net {
    /// `None`, after saying so, where namespaces are not permitted.
    fn new(near_mtu: u32, far_mtu: u32) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let unique = format!("ppt-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let name = |role: &str| format!("{unique}-{role}");
        let net = Self { client: name("c"), router: name("r"), server: name("s") };
        let probe = Command::new("ip").args(["netns", "add", &net.client]).output();
        if !probe.as_ref().is_ok_and(|output| output.status.success()) {
            skip(&format!("no network namespace can be made here: {probe:?}"));
            return None;
        }
        net.build(near_mtu, far_mtu);
        Some(net)
    }

    fn build(&self, near_mtu: u32, far_mtu: u32) {
        let (c, r, s) = (self.client.as_str(), self.router.as_str(), self.server.as_str());
        self.ip(&["netns", "add", r]);
        self.ip(&["netns", "add", s]);
        self.ip(&["link", "add", "ca", "netns", c, "type", "veth", "peer", "name", "rc", "netns", r]);
        self.ip(&["link", "add", "rs", "netns", r, "type", "veth", "peer", "name", "sr", "netns", s]);
        for space in [c, r, s] {
            // A host's ICMP errors to itself go this way.
            self.ip(&["-n", space, "link", "set", "lo", "up"]);
        }
        let (near, far) = (near_mtu.to_string(), far_mtu.to_string());
        for (space, link, mtu, v4, v6) in [
            (c, "ca", &near, "10.77.1.1/24", "fd77:1::1/64"),
            (r, "rc", &near, "10.77.1.2/24", "fd77:1::2/64"),
            (r, "rs", &far, "10.77.2.2/24", "fd77:2::2/64"),
            (s, "sr", &far, "10.77.2.1/24", "fd77:2::1/64"),
        ] {
            self.ip(&["-n", space, "link", "set", link, "mtu", mtu, "up"]);
            self.ip(&["-n", space, "addr", "add", v4, "dev", link]);
            self.ip(&["-n", space, "addr", "add", v6, "dev", link, "nodad"]);
        }
        let forward =
            "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding";
        self.ip(&["netns", "exec", r, "sh", "-c", forward]);
        for (space, v4, v6) in [(c, "10.77.1.2", "fd77:1::2"), (s, "10.77.2.2", "fd77:2::2")] {
            self.ip(&["-n", space, "route", "add", "default", "via", v4]);
            self.ip(&["-n", space, "route", "add", "default", "via", v6]);
        }
    }

    #[track_caller]
    fn ip(&self, arguments: &[&str]) {
        let output = Command::new("ip").args(arguments).output().unwrap();
        assert!(output.status.success(), "ip {arguments:?} for {}: {}", self.client, text(&output.stderr));
    }

    fn command(&self, space: &str, binary: &str, arguments: &[&str]) -> Command {
        let path = match binary {
            "load" => env!("CARGO_BIN_EXE_polyport-load"),
            "mtu" => env!("CARGO_BIN_EXE_polyport-mtu"),
            "cast" => env!("CARGO_BIN_EXE_polyport-cast"),
            "request" => env!("CARGO_BIN_EXE_polyport-request"),
            other => panic!("no binary {other} in {}", self.client),
        };
        let mut command = Command::new("timeout");
        command.args(["60", "ip", "netns", "exec", space, path]).args(arguments);
        command
    }

    fn run(&self, space: &str, binary: &str, arguments: &[&str]) -> Output {
        self.command(space, binary, arguments).output().unwrap()
    }

    fn client(&self, binary: &str, arguments: &[&str]) -> Output {
        self.run(&self.client, binary, arguments)
    }

    /// A listener that is ready.
    #[track_caller]
    fn listen(&self, space: &str, arguments: &[&str]) -> Child {
        let mut child = self.command(space, "cast", arguments).stdout(Stdio::piped()).spawn().unwrap();
        wait_for_line(&mut child);
        child
    }

    #[track_caller]
    fn mtu(&self, arguments: &[&str]) -> Value {
        let output = self.client("mtu", &[&["--json"], arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let typed: MtuReport = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(serde_json::to_value(typed).unwrap(), found);
        found
    }

    /// What a load from the client's namespace says.
    #[track_caller]
    fn load(&self, arguments: &[&str], code: i32) -> Value {
        let output = self.client("load", &[&["--json", "-q"], arguments].concat());
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// A responder in the server's namespace, which the thread steps into; it ends with the test's process.
    fn answer(&self, address: &'static str) {
        let space = File::open(format!("/run/netns/{}", self.server)).unwrap();
        let (ready, wait) = mpsc::channel();
        std::thread::spawn(move || {
            move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            let socket = UdpSocket::bind(address).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            ready.send(()).unwrap();
            let mut buffer = vec![0; 65_536];
            while let Ok((len, peer)) = socket.recv_from(&mut buffer) {
                if let Some(answer) = reply(&buffer[..len]) {
                    socket.send_to(&answer, peer).unwrap();
                }
            }
        });
        wait.recv_timeout(Duration::from_secs(20)).unwrap();
    }

    /// An echo that answers its first datagram with nothing but an ICMP message: "port unreachable".
    fn refuse_once(&self, address: SocketAddrV4) {
        let space = File::open(format!("/run/netns/{}", self.server)).unwrap();
        let (ready, wait) = mpsc::channel();
        std::thread::spawn(move || {
            move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            let socket = UdpSocket::bind(address).unwrap();
            let raw =
                rustix::net::socket(AddressFamily::INET, SocketType::RAW, Some(rustix::net::ipproto::ICMP))
                    .unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            ready.send(()).unwrap();
            let (mut buffer, mut refused) = (vec![0; 65_536], false);
            while let Ok((len, peer)) = socket.recv_from(&mut buffer) {
                if std::mem::replace(&mut refused, true) {
                    socket.send_to(&buffer[..len], peer).unwrap();
                } else {
                    let SocketAddr::V4(from) = peer else { panic!("IPv4") };
                    let message = port_unreachable(from, address, &buffer[..len]);
                    let to = SocketAddr::from((*from.ip(), 0));
                    rustix::net::sendto(&raw, &message, SendFlags::empty(), &to).unwrap();
                }
            }
        });
        wait.recv_timeout(Duration::from_secs(20)).unwrap();
    }
}

/// RFC 792: type 3, code 3, with the headers and the start of the datagram at fault.
fn port_unreachable(from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) -> Vec<u8> {
    let quoted = &payload[..payload.len().min(400)];
    let udp_len = u16::try_from(8 + payload.len()).unwrap();
    let mut message = vec![3, 3, 0, 0, 0, 0, 0, 0];
    message.extend([0x45, 0]);
    message.extend((20 + udp_len).to_be_bytes());
    message.extend([0, 1, 0x40, 0, 63, 17, 0, 0]);
    message.extend(from.ip().octets());
    message.extend(to.ip().octets());
    for word in [from.port(), to.port(), udp_len, 0] {
        message.extend(word.to_be_bytes());
    }
    message.extend(quoted);
    let words =
        message.chunks(2).map(|word| u32::from(word[0]) << 8 | word.get(1).map_or(0, |low| u32::from(*low)));
    let mut sum: u32 = words.sum();
    while sum > 0xFFFF {
        sum = (sum >> 16) + (sum & 0xFFFF);
    }
    message[2..4].copy_from_slice(&(!u16::try_from(sum).unwrap()).to_be_bytes());
    message
}

impl Drop for Net {
    fn drop(&mut self) {
        for space in [&self.client, &self.router, &self.server] {
            drop(Command::new("ip").args(["netns", "del", space]).output());
        }
    }
}

/// `PROBE_ACK` to a PROBE, the same payload to a REQUEST.
fn reply(datagram: &[u8]) -> Option<Vec<u8>> {
    let frame = Decoder::new(Role::Responder).decode(datagram).ok()?;
    let kind = frame.header().kind.answer()?;
    let header = frame.header().reply(kind, Code::OK);
    let mut out = vec![0; datagram.len().max(64)];
    let encoder = Encoder::new(&mut out, &header);
    let len = if kind == Kind::ProbeAck {
        let info = FrameOption::ProbeInfo { len: u16::try_from(datagram.len()).unwrap(), limit: 0 };
        encoder.option(&info).finish().unwrap()
    } else {
        encoder.payload(frame.payload()).finish().unwrap()
    };
    out.truncate(len);
    Some(out)
}

/// The first line of a listener says that it is ready; the rest is read by nobody and fits the pipe.
#[track_caller]
fn wait_for_line(child: &mut Child) {
    use std::io::BufRead;
    let stdout = child.stdout.take().unwrap();
    let (ready, wait) = mpsc::channel();
    std::thread::spawn(move || {
        for line in std::io::BufReader::new(stdout).lines().map_while(Result::ok) {
            drop(ready.send(line));
        }
    });
    let line = wait.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(line.starts_with("listening at "), "{line}");
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}
