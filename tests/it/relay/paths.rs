//! What fits through the path to the server, and the traffic class that goes along.

use std::fs;
use std::io::IoSlice;
use std::net::{SocketAddr, UdpSocket};

use polyport_net::{Facts, RecvBatch, SendBatch, SendMessage, SlotLayout, SocketOptions, wait_readable};
use polyport_tests::network::Host;
use polyport_tests::upstream::Upstream;
use polyport_tests::{Client, DEADLINE, wait};

use super::{counted, relay, sessions};

/// Longer than the path, shorter than the first link.
const LONG: [u8; 1400] = [7; 1400];

/// The relay with its client, and behind a router the server, on a link that takes 1280 bytes.
///
/// ```text
///   relay .1 --- 10.79.1.0/24, 1500 --- .2 router .1 --- 10.79.2.0/24, 1280 --- .2 server
/// ```
struct Narrow {
    relay: Host,
    _router: Host,
    server: Host,
}

impl Narrow {
    fn new() -> Option<Self> {
        let [relay, router, server] = [Host::alone()?, Host::alone()?, Host::alone()?];
        router.inside(|| {
            for name in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
                fs::write(format!("/proc/sys/net/{name}"), "1").unwrap();
            }
        });
        relay.wire("out", &router, "in");
        router.wire("out", &server, "in");
        for (host, link, net, end, mtu) in [
            (&relay, "out", 1, 1, "1500"),
            (&router, "in", 1, 2, "1500"),
            (&router, "out", 2, 1, "1280"),
            (&server, "in", 2, 2, "1280"),
        ] {
            host.ip(&["link", "set", link, "mtu", mtu, "up"]);
            host.ip(&["address", "add", &format!("10.79.{net}.{end}/24"), "dev", link]);
            host.ip(&["address", "add", &format!("fd79:{net}::{end}/64"), "dev", link, "nodad"]);
        }
        for (host, v4, v6) in [(&relay, "10.79.1.2", "fd79:1::2"), (&server, "10.79.2.1", "fd79:2::1")] {
            host.ip(&["route", "add", "default", "via", v4]);
            host.ip(&["route", "add", "default", "via", v6]);
        }
        Some(Self { relay, _router: router, server })
    }

    /// Datagrams that the server has put together from fragments so far, over both families.
    fn put_together(&self) -> u64 {
        self.server.inside(|| {
            let read = |name: &str| fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap();
            let (v4, v6) = (read("snmp"), read("snmp6"));
            let mut lines = v4.lines().filter_map(|line| line.strip_prefix("Ip: "));
            let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
            let mut pairs = names.split_whitespace().zip(values.split_whitespace());
            let v4 = pairs.find(|(name, _)| *name == "ReasmOKs").unwrap().1;
            let v6 = v6.lines().find_map(|line| line.strip_prefix("Ip6ReasmOKs")).unwrap();
            [v4, v6].iter().map(|number| number.trim().parse::<u64>().unwrap()).sum()
        })
    }
}

/// A client asks with less than the path takes, with more, and with less again.
#[test]
fn what_is_too_long_for_the_path_is_counted_with_df_and_goes_in_fragments_without() {
    let Some(narrow) = Narrow::new() else { return };
    let servers = ["10.79.2.2:9000", "[fd79:2::2]:9000"].map(|text| text.parse::<SocketAddr>().unwrap());
    // The router says how long, and from then on the kernel of this host knows.
    for (df, is_known) in [(true, false), (true, true), (false, true)] {
        for to in servers {
            let upstream = Upstream::of(narrow.server.inside(move || UdpSocket::bind(to).unwrap()));
            let spec = format!("127.0.0.1:7000=relay,name=relay,df={df},to={}", upstream.address);
            let program = env!("CARGO_BIN_EXE_polyport-under-test");
            let mut daemon = narrow.relay.launch(program).listen(spec).serve();
            let server = daemon.addresses()[0];
            let client = narrow.relay.inside(|| Client::of(server));
            client.expect_echo(b"short");
            let before = narrow.put_together();
            let said = format!("-> {to}: too long for the path, which takes 1280 bytes");
            if df {
                client.send(&LONG);
                daemon.process.wait_for_stderr(&said);
                client.expect_echo(b"what fits goes on");
            } else {
                assert_eq!(client.ask_until_answered(&LONG, 60), LONG);
            }
            let served = daemon.stop();
            let out = &served.finished.stdout;
            assert_eq!(narrow.put_together() > before, !df, "{to}: {out}");
            assert_eq!(served.finished.stderr.matches(&said).count(), usize::from(df), "{to}: {out}");
            // What this host knows to be too long does not leave.
            assert_eq!(sessions(&served, "too_big"), u64::from(df && is_known), "{to}: {out}");
            assert_eq!(sessions(&served, "dropped"), u64::from(df && is_known), "{to}: {out}");
            if df && !is_known {
                assert_eq!(counted(&served, "too_big_total"), 1, "{to}: {out}");
            }
            assert_eq!(counted(&served, "too_big_total") > 0, df, "{to}: {out}");
        }
    }
}

/// One end: it chooses the traffic class of what it sends, and is told that of what it hears.
struct Marked {
    socket: polyport_net::UdpSocket,
    memory: Vec<u8>,
}

impl Marked {
    const LAYOUT: SlotLayout = SlotLayout::new(2048, 0);

    fn at(ip: &str) -> Self {
        let local = format!("{ip}:0").parse().unwrap();
        let mut socket = polyport_net::UdpSocket::bind(local, &SocketOptions::default()).unwrap();
        assert!(socket.want(Facts { tos: true, ..Facts::NONE }).tos);
        Self { socket, memory: vec![0; Self::LAYOUT.memory(1)] }
    }

    #[track_caller]
    fn send(&self, to: SocketAddr, tos: u8, payload: &[u8]) {
        let parts = [IoSlice::new(payload)];
        let message = SendMessage { to, from: None, parts: &parts, segment: None, tos, hop_limit: None };
        assert_eq!(SendBatch::new(1).send(&self.socket, &[message]).unwrap(), 1);
    }

    /// Who sent the next datagram, how long it is, and its traffic class.
    #[track_caller]
    fn receive(&mut self) -> (SocketAddr, usize, Option<u8>) {
        assert!(wait_readable(&self.socket, DEADLINE).unwrap(), "nothing came");
        let mut batch = RecvBatch::new(1);
        assert_eq!(batch.recv(&self.socket, &mut self.memory, Self::LAYOUT, 1).unwrap(), 1);
        let meta = batch.metas().next().unwrap();
        (meta.peer, meta.len, meta.tos)
    }
}

/// DSCP 46 and ECT(0), and what becomes of them on the way there and back.
#[test]
fn dscp_and_ecn_go_both_ways_or_not_at_all() {
    for (ip, tos, expected) in [
        ("127.0.0.1", "copy", 0xBA),
        ("[::1]", "copy", 0xBA),
        ("127.0.0.1", "clear", 0),
        ("[::1]", "clear", 0),
    ] {
        let (mut server, mut client) = (Marked::at(ip), Marked::at(ip));
        let to = server.socket.local_addr().unwrap();
        let spec = format!("{ip}:0=relay,name=relay,tos={tos},to={to}");
        let daemon = crate::polyport().listen(spec).serve();
        // The first goes by a session that is just being made, and the next by one that is there.
        for _ in 0..2 {
            client.send(daemon.addresses()[0], 0xBA, b"up");
            let (session, len, seen) = server.receive();
            assert_eq!((len, seen), (2, Some(expected)), "up: {ip} {tos}");
            server.send(session, 0xBA, b"down");
            let (_, len, seen) = client.receive();
            assert_eq!((len, seen), (4, Some(expected)), "down: {ip} {tos}");
        }
        drop(daemon.stop());
    }
}

/// What would be lost arrives with CE (RFC 3168) where its sender can have that, and is lost otherwise.
#[test]
fn a_loss_is_a_mark_for_whoever_can_have_one() {
    let (mut server, mut client) = (Marked::at("127.0.0.1"), Marked::at("127.0.0.1"));
    let to = server.socket.local_addr().unwrap();
    let daemon = relay(to, ",tos=copy,up.loss=100%,up.ecn=true");
    let front = daemon.addresses()[0];
    for (sent, arrives) in [(0xBA, 0xBB), (0x02, 0x03), (0x01, 0x03), (0x03, 0x03)] {
        // Not ECN-capable: this one is lost, and the next arrives.
        client.send(front, 0xB8, b"lost");
        client.send(front, sent, b"marked");
        let (session, len, seen) = server.receive();
        assert_eq!((len, seen), (6, Some(arrives)), "{sent:#x}");
        server.send(session, sent, b"down");
        assert_eq!(client.receive().2, Some(sent), "{sent:#x}");
    }
    wait::until("a daemon that waits", || daemon.is_asleep());
    let served = daemon.stop();
    let counts = ["up_datagrams_total", "up_lost_total", "up_marked_total", "down_marked_total"];
    assert_eq!(counts.map(|what| counted(&served, what)), [8, 4, 4, 0], "{}", served.finished.stdout);
}
