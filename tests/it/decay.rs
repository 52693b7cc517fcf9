//! `reply.ttl = "decay"`: an answer leaves with the TTL of its request, less one. So two daemons do not answer each other
//! for ever, whatever their ports are.

use std::fs;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::num::{NonZeroU8, NonZeroU16};

use polyport::apply::{Running, Sources, prepare};
use polyport::config;
use polyport_net::{RecvBatch, SendBatch, SendMessage, SlotLayout, SocketOptions, UdpSocket, wait_readable};
use polyport_tests::network::{Host, Network, WIRE};
use polyport_tests::served::Served;
use polyport_tests::{DEADLINE, Daemon, wait};

use crate::polyport;

const DECAY: &str = "reply.ttl=decay";
const SYSTEM: &str = "reply.ttl=system";

/// A client that chooses the TTL of its requests, and is told that of the answers.
struct Client {
    socket: UdpSocket,
    send: SendBatch,
    receive: RecvBatch,
    memory: Vec<u8>,
}

impl Client {
    const LAYOUT: SlotLayout = SlotLayout::new(2048, 64);
    const SLOTS: usize = 64;

    /// A client on loopback, of the family of the server.
    #[track_caller]
    fn of(server: SocketAddr) -> Self {
        let local = if server.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
        let options =
            SocketOptions { recv_hop_limit: true, recv_buffer: Some(1 << 20), ..Default::default() };
        let socket = UdpSocket::bind(local.parse().unwrap(), &options).unwrap();
        let memory = vec![0; Self::LAYOUT.memory(Self::SLOTS)];
        Self { socket, send: SendBatch::new(1), receive: RecvBatch::new(Self::SLOTS), memory }
    }

    /// Sends one message; without a TTL it is the system's, and with a segment size it is a train.
    #[track_caller]
    fn send(&mut self, server: SocketAddr, hop_limit: u8, payload: &[u8], segment: u16) {
        let local = self.socket.local_addr().unwrap();
        let to = SocketAddr::new(local.ip(), server.port());
        let (parts, segment) = ([IoSlice::new(payload)], NonZeroU16::new(segment));
        let hop_limit = NonZeroU8::new(hop_limit);
        let message = SendMessage { to, from: None, parts: &parts, segment, tos: 0, hop_limit };
        assert_eq!(self.send.send(&self.socket, &[message]).unwrap(), 1);
    }

    /// The TTL of the next `answers`.
    #[track_caller]
    fn hear(&mut self, answers: usize) -> Vec<u8> {
        let mut heard = Vec::new();
        while heard.len() < answers {
            let ready = wait_readable(&self.socket, DEADLINE).unwrap();
            assert!(ready, "{} answers of {answers}", heard.len());
            self.receive.recv(&self.socket, &mut self.memory, Self::LAYOUT, Self::SLOTS).unwrap();
            heard.extend(self.receive.metas().map(|meta| meta.hop_limit.expect("it was asked for")));
        }
        heard
    }

    /// The TTL that this system sends with, where nobody says another.
    #[track_caller]
    fn system(&mut self) -> u8 {
        let own = self.socket.local_addr().unwrap();
        self.send(own, 0, b"to myself", 0);
        self.hear(1)[0]
    }
}

const BOUND: [&str; 4] = ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"];

/// One after the other, and all at once, which goes another way through the daemon.
#[test]
fn a_client_is_answered_with_the_hops_of_its_request_less_one() {
    const ASKED: [u8; 6] = [64, 2, 1, 65, 200, 33];
    const ANSWERED: [u8; 5] = [63, 1, 64, 64, 32];
    for bound in BOUND {
        for handler in ["echo", "echo,reply=length", "lossy", "lossy,delay=5ms"] {
            let mut daemon = polyport().listen(format!("{bound}={handler},name=it,{DECAY}")).serve();
            let server = daemon.addresses()[0];
            let mut client = Client::of(server);
            let mut heard = Vec::new();
            for asked in ASKED {
                client.send(server, asked, b"one by one", 0);
                if asked > 1 {
                    heard.extend(client.hear(1));
                }
            }
            assert_eq!(heard, ANSWERED, "{bound} {handler}");
            daemon.process.freeze();
            ASKED.iter().for_each(|asked| client.send(server, *asked, b"at once", 0));
            daemon.process.thaw();
            assert_eq!(client.hear(ANSWERED.len()), ANSWERED, "{bound} {handler}");
            let line = "with no TTL to spare, or an unknown one; `reply.ttl = \"system\"` allows it; this is logged once";
            daemon.process.wait_for_stderr(line);
            let served = daemon.stop();
            assert_eq!(served.finished.stderr.matches("reply.ttl").count(), 1, "{}", served.finished.stderr);
            assert_eq!((served.sent("it", "replies"), served.sent("it", "sent")), (12, 10), "{bound}");
            assert_eq!((served.sent("it", "ttl_expired"), served.received("it", "replied")), (2, 12));
        }
    }
}

#[test]
fn without_it_every_answer_leaves_with_the_hops_of_the_system() {
    for bound in BOUND {
        for more in ["", ",reply.ttl=system"] {
            let daemon = polyport().listen(format!("{bound}=echo,name=it{more}")).serve();
            let server = daemon.addresses()[0];
            let mut client = Client::of(server);
            let system = client.system();
            for asked in [1, 9, 255] {
                client.send(server, asked, b"as ever", 0);
                assert_eq!(client.hear(1), [system], "{bound} asked with {asked}");
            }
            assert_eq!(daemon.stop().sent("it", "sent"), 3);
        }
    }
}

/// Trains in and out: the kernel joins datagrams of one TTL, and the daemon answers with a train of one TTL.
#[test]
fn a_train_is_answered_with_the_hops_of_all_its_datagrams() {
    const CARS: usize = 32;
    const LENGTH: usize = 64;
    for bound in BOUND {
        let daemon = polyport().listen(format!("{bound}=echo,name=it,{DECAY}")).serve();
        let server = daemon.addresses()[0];
        let mut client = Client::of(server);
        for asked in [9, 33, 9, 2] {
            client.send(server, asked, &[7; CARS * LENGTH], LENGTH.try_into().unwrap());
            assert_eq!(client.hear(CARS), [asked - 1; CARS], "{bound}");
        }
        client.send(server, 1, &[7; CARS * LENGTH], LENGTH.try_into().unwrap());
        client.send(server, 5, b"the end", 0);
        assert_eq!(client.hear(1), [4]);
        let served = daemon.stop();
        assert_eq!(served.sent("it", "ttl_expired"), CARS as u64, "{}", served.line("it"));
    }
}

/// A listener that begins to decay, or stops, keeps its socket: the kernel tells the TTL as long as somebody asks.
#[test]
fn a_listener_changes_its_mind_without_a_new_socket() {
    for bound in BOUND {
        let plan = |ttl: &str| {
            let listen = [format!("{bound}=echo,name=it,{ttl}")];
            prepare(config::from_listen_args(&listen), &Sources::default())
                .unwrap_or_else(|p| panic!("{}", p.render(false)))
        };
        let mut running =
            Running::start(plan(SYSTEM)).unwrap_or_else(|e| panic!("{}", e.problems.render(false)));
        let server = running.reactor.reports().next().unwrap().local;
        let mut client = Client::of(server);
        let system = client.system();
        for (ttl, expected) in [(SYSTEM, system), (DECAY, 8), (DECAY, 8), (SYSTEM, system), (DECAY, 8)] {
            let changed =
                running.change(plan(ttl)).unwrap_or_else(|e| panic!("{}", e.problems.render(false)));
            assert_eq!((changed.kept + changed.changed, changed.added), (1, 0));
            client.send(server, 9, b"and now?", 0);
            running.reactor.turn().unwrap();
            assert_eq!(client.hear(1), [expected], "{bound} {ttl}");
        }
        assert_eq!(running.reactor.reports().next().unwrap().local, server);
    }
}

/// Two daemons, one on each host, and one datagram to the first that seems to come from the second. It came with this
/// TTL. `until` knows when it has seen enough.
#[track_caller]
fn looped(
    network: &Network,
    ttl: &str,
    [one, other]: [(&str, &str); 2],
    first: u8,
    until: impl FnOnce(&mut [Daemon; 2]),
) -> [Served; 2] {
    let serve = |host: &Host, bound| {
        let launch = host.launch(env!("CARGO_BIN_EXE_polyport-under-test"));
        launch.listen(format!("{bound}=echo,name=it,{ttl}")).serve()
    };
    let ([bound, address], [other_bound, from]) = ([one.0, one.1], [other.0, other.1]);
    let here = serve(&network.here, bound);
    here.process.freeze();
    network.there.inside(|| {
        let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), address.parse().unwrap());
        let socket = UdpSocket::bind(from, &SocketOptions::default()).unwrap();
        socket.set_ttl(first).unwrap();
        socket.connect(to).unwrap();
        socket.send(b"there and back again").unwrap();
    });
    wait_until_free(&network.there, 6000);
    // The socket is closed. Whoever has the address next gets the answer, as a victim of a forged source does.
    let there = serve(&network.there, other_bound);
    here.process.thaw();
    let mut daemons = [here, there];
    until(&mut daemons);
    daemons.map(Daemon::stop)
}

/// Returns when no socket of a host has this port. One that was closed lives on in a child that another test has forked
/// until that reaches its exec.
#[track_caller]
fn wait_until_free(host: &Host, port: u16) {
    let is_free = |table: &str| {
        let text = fs::read_to_string(format!("/proc/thread-self/net/{table}")).expect("proc(5)");
        !text.contains(&format!(":{port:04X} "))
    };
    wait::until("a port that is free", || host.inside(|| is_free("udp") && is_free("udp6")));
}

/// Packets that came over the wire to the host of a daemon.
#[track_caller]
fn packets(daemon: &Daemon) -> u64 {
    let path = format!("/proc/{}/net/dev", daemon.pid());
    let table = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let row = table.lines().find_map(|line| line.trim_start().strip_prefix(WIRE)?.strip_prefix(':'));
    let row = row.unwrap_or_else(|| panic!("no {WIRE} in {path}"));
    row.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number of packets")
}

/// What the daemons are bound to, and the address behind it.
const PAIRS: [[(&str, &str); 2]; 3] = [
    [("10.77.0.1:5000", "10.77.0.1:5000"), ("10.77.0.2:6000", "10.77.0.2:6000")],
    [("[fd77::1]:5000", "[fd77::1]:5000"), ("[fd77::2]:6000", "[fd77::2]:6000")],
    [("[::]:5000", "[fd77::3]:5000"), ("[::]:6000", "[fd77::4]:6000")],
];

/// Other ports, so that no rule about ports ends it.
#[test]
fn a_loop_of_two_daemons_ends_within_64_rounds() {
    let Some(network) = Network::new() else { return };
    for pair in PAIRS {
        // Which daemon the last datagram comes to depends on the TTL of the first.
        for (first, last) in [(64, 1), (255, 0), (63, 0), (2, 1), (1, 0)] {
            let served = looped(&network, DECAY, pair, first, |daemons| {
                daemons[last].process.wait_for_stderr("reply.ttl");
            });
            let count = |what| served.iter().map(|of| of.sent("it", what)).sum::<u64>();
            // Each answer answers one of the other daemon, but for the first.
            let sent = u64::from(first.saturating_sub(1).min(64));
            assert_eq!((count("sent"), count("ttl_expired")), (sent, 1), "{pair:?} TTL {first}");
            assert_eq!(served[last].sent("it", "ttl_expired"), 1);
        }
    }
}

/// Without decay it goes on until somebody stops a daemon, so the test above can fail.
#[test]
fn a_loop_of_two_daemons_that_do_not_decay_goes_on() {
    const ROUNDS: u64 = 400;
    let Some(network) = Network::new() else { return };
    for pair in PAIRS {
        let served = looped(&network, SYSTEM, pair, 64, |daemons| {
            let before = packets(&daemons[0]);
            wait::until("a loop that goes on", || packets(&daemons[0]) > before + ROUNDS);
        });
        assert!(served.iter().all(|of| of.received("it", "received") > ROUNDS / 2), "{pair:?}");
    }
}

/// One that does not is enough for its own half only: the other gives it the hops that it takes off.
#[test]
fn one_daemon_that_decays_does_not_end_a_loop_with_one_that_does_not() {
    const ROUNDS: u64 = 400;
    let Some(network) = Network::new() else { return };
    let launch = |host: &Host| host.launch(env!("CARGO_BIN_EXE_polyport-under-test"));
    let here = launch(&network.here).listen(format!("10.77.0.1:5000=echo,name=it,{DECAY}")).serve();
    here.process.freeze();
    network.there.inside(|| {
        let socket = std::net::UdpSocket::bind("10.77.0.2:6000").unwrap();
        socket.send_to(b"there and back again", "10.77.0.1:5000").unwrap();
    });
    wait_until_free(&network.there, 6000);
    let there = launch(&network.there).listen(format!("10.77.0.2:6000=echo,name=it,{SYSTEM}")).serve();
    here.process.thaw();
    wait::until("a loop that goes on", || packets(&here) > ROUNDS);
    assert_eq!(here.stop().sent("it", "ttl_expired"), 0);
    assert!(there.stop().received("it", "received") > ROUNDS / 2);
}
