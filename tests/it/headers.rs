//! What the IP header of answers says, and of what sessions send, and by which interface they go: `tos`, `ttl`, `device`, and
//! the class that `echo` reflects. The client is on another host and sees what came over the wire.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::num::NonZeroU8;

use polyport_net::{
    MAX_DATAGRAM, RecvBatch, SendBatch, SendMessage, SlotLayout, SocketOptions, UdpSocket, wait_readable,
};
use polyport_tests::DEADLINE;
use polyport_tests::network::{Host, Network, WIRE};
use polyport_tests::tool::skip_by_kernel;

/// A client that chooses TOS and TTL of its requests, and sees those of the answers.
struct Client {
    socket: UdpSocket,
    memory: Vec<u8>,
}

const LAYOUT: SlotLayout = SlotLayout::new(2048, 64);

impl Client {
    #[track_caller]
    fn new(host: &Host, local: &str) -> Self {
        let options = SocketOptions { recv_tos: true, recv_hop_limit: true, ..Default::default() };
        let socket = host.inside(|| UdpSocket::bind(local.parse().unwrap(), &options).unwrap());
        Self { socket, memory: vec![0; LAYOUT.memory(1).max(MAX_DATAGRAM)] }
    }

    #[track_caller]
    fn send(&self, server: &str, tos: u8, ttl: u8) {
        let to: SocketAddr = server.parse().unwrap();
        let (parts, hop_limit) = ([IoSlice::new(b"x")], NonZeroU8::new(ttl));
        let message = SendMessage { to, from: None, parts: &parts, segment: None, tos, hop_limit };
        assert_eq!(SendBatch::new(1).send(&self.socket, &[message]).unwrap(), 1);
    }

    /// TOS and TTL of the answer.
    #[track_caller]
    fn ask(&mut self, server: &str, tos: u8, ttl: u8) -> (u8, u8) {
        self.send(server, tos, ttl);
        self.heard()
    }

    /// TOS and TTL of the next datagram that comes.
    #[track_caller]
    fn heard(&mut self) -> (u8, u8) {
        assert!(wait_readable(&self.socket, DEADLINE).unwrap(), "nothing has come");
        let mut batch = RecvBatch::new(1);
        batch.recv(&self.socket, &mut self.memory, LAYOUT, 1).unwrap();
        let meta = batch.metas().next().unwrap();
        (meta.tos.expect("it was asked for"), meta.hop_limit.expect("it was asked for"))
    }
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_polyport-under-test");
/// What Linux sends with.
const SYSTEM: u8 = 64;
/// The addresses of the daemon, and of the client of each family.
const ENDS: [(&str, &str); 2] = [("10.77.0.1", "10.77.0.2:0"), ("[fd77::1]", "[fd77::2]:0")];

#[test]
fn answers_leave_in_the_class_and_with_the_hops_of_their_listener() {
    let Some(network) = Network::new() else { return };
    for (server, client) in ENDS {
        let daemon = [
            "5000=echo,name=plain",
            "5001=echo,name=class,listen.tos=af41",
            "5002=echo,name=hops,listen.tos=0x2b,listen.ttl=9",
            "5003=echo,name=decay,listen.ttl=9,reply.ttl=decay",
            "5004=echo,name=far,listen.ttl=200,reply.ttl=decay",
        ]
        .into_iter()
        .fold(network.here.launch(PROGRAM), |launch, listen| launch.listen(format!("{server}:{listen}")))
        .serve();
        let mut client = Client::new(&network.there, client);
        let mut ask = |port: u16, tos, ttl| client.ask(&format!("{server}:{port}"), tos, ttl);
        assert_eq!(ask(5000, 0xB8, 33), (0, SYSTEM), "{server}: nothing is reflected");
        assert_eq!(ask(5001, 0, 33), (0x88, SYSTEM), "{server}");
        assert_eq!(ask(5002, 0xB8, 33), (0x2B, 9), "{server}: a number is the whole byte");
        // What is left of the request, and never more than the listener's own or 64.
        assert_eq!([64, 10, 5].map(|ttl| ask(5003, 0, ttl).1), [9, 9, 4], "{server}");
        assert_eq!([255, 10].map(|ttl| ask(5004, 0, ttl).1), [SYSTEM, 9], "{server}");
        drop(daemon.stop());
    }
}

#[test]
fn echo_reflects_the_class_of_its_requests_and_no_ecn() {
    let Some(network) = Network::new() else { return };
    for (server, client) in ENDS {
        let daemon = [
            "5000=echo,name=same,reflect_tos=true",
            "5001=echo,name=whole,reflect_tos=true,df=true,reply=length,listen.tos=cs1",
        ]
        .into_iter()
        .fold(network.here.launch(PROGRAM), |launch, listen| launch.listen(format!("{server}:{listen}")))
        .serve();
        let mut client = Client::new(&network.there, client);
        let mut ask = |port: u16, tos| client.ask(&format!("{server}:{port}"), tos, 0).0;
        assert_eq!([0xB8, 0x8B, 0x01, 0].map(|tos| ask(5000, tos)), [0xB8, 0x88, 0, 0], "{server}");
        assert_eq!([0xB9, 0x03].map(|tos| ask(5001, tos)), [0xB8, 0x20], "{server}: the listener's own");
        drop(daemon.stop());
    }
}

/// What comes by another interface is not for it, though it is on all addresses: by loopback it cannot be reached.
#[test]
fn a_listener_with_a_device_is_on_that_interface_alone() {
    let Some(network) = Network::new() else { return };
    let (here, there) = (&network.here, &network.there);
    let daemon = here
        .launch(PROGRAM)
        .listen(format!("0.0.0.0:5000=echo,name=four,listen.device={WIRE}"))
        .listen(format!("[::]:5000=echo,name=six,listen.device={WIRE}"))
        .listen("0.0.0.0:5000=echo,name=near,listen.device=lo")
        .serve();
    for (to, own) in [("127.0.0.1:5000", "127.0.0.1:0"), ("[::1]:5000", "[::1]:0")] {
        Client::new(here, own).send(to, 0, 0);
    }
    for (server, client) in ENDS {
        Client::new(there, client).ask(&format!("{server}:5000"), 0, 0);
    }
    let served = daemon.stop();
    let heard = ["four", "six", "near"].map(|name| served.received(name, "received"));
    assert_eq!(heard, [1, 1, 1], "{}", served.finished.stdout);
    let launch = || here.launch(PROGRAM);
    launch()
        .listen("0.0.0.0:5000=echo,listen.device=no-such-if")
        .refused(78)
        .expect_stderr(&["no interface `no-such-if`"]);
    let taken = format!("0.0.0.0:5000=echo,listen.device={WIRE}");
    launch()
        .listen(&taken)
        .listen("0.0.0.0:5000=echo")
        .refused(78)
        .expect_stderr(&["port 5000 of 0.0.0.0 is used twice"]);
}

/// What a relay asks its server leaves as what it answers does, and by the interface of its listener alone.
#[test]
fn sessions_leave_in_the_class_with_the_hops_and_by_the_interface_of_their_listener() {
    let Some(network) = Network::new() else { return };
    let (here, there) = (&network.here, &network.there);
    for (own, near, server) in
        [("127.0.0.1", "127.0.0.1:0", "10.77.0.2:7000"), ("[::1]", "[::1]:0", "[fd77::2]:7000")]
    {
        let mut upstream = Client::new(there, server);
        let daemon = [
            "5000=relay,name=plain".to_owned(),
            "5001=relay,name=marked,listen.tos=af41,listen.ttl=9".to_owned(),
            "5002=relay,name=near,listen.device=lo".to_owned(),
        ]
        .into_iter()
        .fold(here.launch(PROGRAM), |launch, listen| launch.listen(format!("{own}:{listen},to={server}")))
        .serve();
        let ask = |port: u16| Client::new(here, near).send(&format!("{own}:{port}"), 0xB8, 33);
        // What is tied to loopback reaches nobody there, however long somebody waits: the others come behind it.
        ask(5002);
        ask(5000);
        assert_eq!(upstream.heard(), (0, SYSTEM), "{server}: that of the client is its own");
        ask(5001);
        assert_eq!(upstream.heard(), (0x88, 9), "{server}");
        let served = daemon.stop();
        assert_eq!(served.sent("plain sessions", "opened"), 1, "{}", served.finished.stdout);
    }
}

/// A relay whose clients are where its server is asks by the same wire; what is set counts for sessions that are made later.
#[test]
fn a_relay_that_is_tied_to_the_wire_asks_by_it_and_what_is_set_counts_for_later_sessions() {
    let Some(network) = Network::new() else { return };
    let (here, there) = (&network.here, &network.there);
    let mut upstream = Client::new(there, "10.77.0.2:7000");
    let daemon = here
        .launch(PROGRAM)
        .listen(format!("10.77.0.1:5000=relay,to=10.77.0.2:7000,listen.device={WIRE}"))
        .serve();
    let first = Client::new(there, "10.77.0.2:0");
    first.send("10.77.0.1:5000", 0, 33);
    assert_eq!(upstream.heard(), (0, SYSTEM));
    crate::control::json(&daemon, &["set", "relay", "listen.tos=cs1", "listen.ttl=7"]);
    first.send("10.77.0.1:5000", 0, 33);
    assert_eq!(upstream.heard(), (0, SYSTEM), "a session that is open stays as it is");
    Client::new(there, "10.77.0.2:0").send("10.77.0.1:5000", 0, 33);
    assert_eq!(upstream.heard(), (0x20, 7));
    drop(daemon.stop());
}

/// Addresses of a VRF are no others' business: without `device` the listener is not there.
#[test]
fn a_vrf_is_a_device() {
    let Some(network) = Network::new() else { return };
    let (here, there) = (&network.here, &network.there);
    if !here.try_ip(&["link", "add", "red", "type", "vrf", "table", "77"]) {
        skip_by_kernel("this kernel has no VRF");
        return;
    }
    here.ip(&["link", "set", "red", "up"]);
    here.ip(&["link", "set", WIRE, "master", "red"]);
    // The addresses of IPv6 went with the old table.
    here.ip(&["address", "replace", "fd77::1/64", "dev", WIRE, "nodad"]);
    let daemon = here
        .launch(PROGRAM)
        .listen("10.77.0.1:5000=echo,name=four,listen.device=red")
        .listen("[fd77::1]:5000=echo,name=six,listen.device=red")
        .serve();
    for (server, client) in ENDS {
        Client::new(there, client).ask(&format!("{server}:5000"), 0, 0);
    }
    drop(daemon.stop());
}
