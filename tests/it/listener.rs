//! Broadcast and multicast between two hosts: who hears what, who answers and from where, and what is recorded.

use std::net::{SocketAddr, SocketAddrV6, UdpSocket};
use std::path::Path;
use std::process::Command;

use polyport_tests::network::{Host, Network, WIRE};
use polyport_tests::tool::tool;
use polyport_tests::{Client, DEADLINE, Daemon};
use rustix::net::netdevice::name_to_index;

#[test]
fn two_groups_on_one_port_never_mix() {
    let Some(network) = Network::new() else { return };
    let mut daemon = serve(
        &network.here,
        "[[listen]]
        name = 'any'
        bind = '0.0.0.0:5000'
        plugin = 'listener'
        join = '239.1.2.3 on eth0'
        share = true
        options = { record = 'log' }
        [[listen]]
        name = 'specific'
        bind = '0.0.0.0:5000'
        plugin = 'listener'
        join = '232.1.1.1 from 10.77.0.2 on 10.77.0.1'
        share = true
        options = { record = 'log' }",
    );
    let sender = |address| Sender::new(&network.there, address);
    let (second, fourth) = (sender("10.77.0.2:0"), sender("10.77.0.4:0"));
    for _ in 0..10 {
        fourth.send("232.1.1.1:5000", "not from this source");
        second.send("232.1.1.1:5000", "specific");
        second.send("239.1.2.3:5000", "any");
        fourth.send("239.1.2.3:5000", "any");
        second.send("239.9.9.9:5000", "nobody joined this");
    }
    // A socket keeps the order: what came by mistake came before these.
    second.send("232.1.1.1:5000", "the end of one");
    fourth.send("239.1.2.3:5000", "the end of the other");
    daemon.process.wait_for_stderr(&format!(
        "{} -> 232.1.1.1:5000 multicast on {WIRE}, 14 bytes: \"the",
        second.local()
    ));
    daemon.process.wait_for_stderr(&format!(
        "{} -> 239.1.2.3:5000 multicast on {WIRE}, 20 bytes: \"the",
        fourth.local()
    ));
    let served = daemon.stop();
    assert_eq!(served.counted("any", "multicast_total"), 21);
    assert_eq!(served.counted("specific", "multicast_total"), 11);
    for listener in ["any", "specific"] {
        assert_eq!(served.received(listener, "received"), served.counted(listener, "multicast_total"));
        assert_eq!(served.sent(listener, "replies"), 0);
    }
}

#[test]
fn groups_of_ipv6_do_not_mix_either() {
    let Some(network) = Network::new() else { return };
    let mut daemon = serve(
        &network.here,
        "[[listen]]
        name = 'any'
        bind = '[::]:5000'
        plugin = 'listener'
        join = ['ff15::77 on eth0', 'ff02::77 on eth0']
        share = true
        options = { record = 'log' }
        [[listen]]
        name = 'specific'
        bind = '[::]:5000'
        plugin = 'listener'
        join = 'ff35::77 from fd77::2 on eth0'
        share = true
        options = { record = 'log' }",
    );
    let sender = |address| Sender::new(&network.there, address);
    let (second, fourth) = (sender("[fd77::2]:0"), sender("[fd77::4]:0"));
    for group in ["ff15::77", "ff02::77", "ff35::77", "ff15::78"] {
        fourth.send(&format!("[{group}]:5000"), "from the fourth");
        second.send(&format!("[{group}]:5000"), "from the second");
    }
    second.send("[ff35::77]:5000", "the end of one");
    second.send("[ff02::77]:5000", "the end of the other");
    daemon.process.wait_for_stderr(&format!(
        "{} -> [ff35::77]:5000 multicast on {WIRE}, 14 bytes: \"the",
        second.local()
    ));
    daemon.process.wait_for_stderr("the end of the other");
    let served = daemon.stop();
    assert_eq!(served.counted("any", "multicast_total"), 5);
    assert_eq!(served.counted("specific", "multicast_total"), 2);
}

#[test]
fn a_broadcast_reaches_every_receiver_of_a_host_and_only_the_told_one_answers() {
    let Some(network) = Network::new() else { return };
    let receiver = |more: &str, policy: &str| {
        let options = format!("options = {{ record = 'log'{more} }}\n{policy}");
        let listen = "[[listen]]\nbind = '0.0.0.0:5000'\nplugin = 'listener'\nshare = true\n";
        serve(&network.here, &format!("{listen}{options}"))
    };
    let mut silent = receiver("", "");
    let mut told =
        receiver(", ack = true, ack_text = 'heard', leisure = '50ms'", "reply = { groups = true }");
    let sender = Sender::new(&network.there, "10.77.0.2:0");
    for (number, to) in ["10.77.0.255:5000", "255.255.255.255:5000"].into_iter().enumerate() {
        sender.send(to, &format!("number {number}"));
        let line = format!("{} -> {to} broadcast on {WIRE}, 8 bytes: \"number {number}\"", sender.local());
        silent.process.wait_for_stderr(&line);
        told.process.wait_for_stderr(&line);
        assert_eq!(sender.receive(), ("10.77.0.1:5000".parse().unwrap(), b"heard".to_vec()));
    }
    for (daemon, acks) in [(silent, 0), (told, 2)] {
        let served = daemon.stop();
        assert_eq!(
            (served.counted("listener", "broadcast_total"), served.counted("listener", "acks_total")),
            (2, acks)
        );
        assert_eq!(served.sent("listener", "sent"), acks);
    }
}

/// A connected client takes answers from the address it asked, and from no other.
#[test]
fn a_host_with_two_addresses_answers_from_the_one_that_was_asked() {
    let Some(network) = Network::new() else { return };
    let daemon = serve(&network.here, "[[listen]]\nbind = ['0.0.0.0:5000', '[::]:5000']\nplugin = 'echo'");
    let pairs = [
        ("10.77.0.2:0", "10.77.0.1:5000"),
        ("10.77.0.2:0", "10.77.0.3:5000"),
        ("10.77.0.4:0", "10.77.0.3:5000"),
        ("[fd77::2]:0", "[fd77::1]:5000"),
        ("[fd77::2]:0", "[fd77::3]:5000"),
        ("[fd77::4]:0", "[fd77::3]:5000"),
    ];
    for (local, server) in pairs {
        let (local, server) = (local.parse().unwrap(), server.parse().unwrap());
        let client = network.there.inside(|| Client::from(local, server));
        client.expect_echo(server.to_string().as_bytes());
    }
    assert_eq!(daemon.stop().received("echo", "replied"), 6);
}

#[test]
fn a_group_that_cannot_be_joined_is_a_reason_not_to_start() {
    let Some(network) = Network::new() else { return };
    network.here.ip(&["route", "del", "224.0.0.0/4", "dev", WIRE]);
    let listen =
        "[[listen]]\nname = 'deaf'\nbind = '0.0.0.0:5000'\nplugin = 'listener'\njoin = '239.1.2.3'\n";
    let finished = launch(&network.here).config(listen).refused(71);
    finished.expect_stderr(&["listener `deaf`", "239.1.2.3", "this group", "write `on INTERFACE`"]);
}

#[test]
fn a_recording_can_be_opened_by_others() {
    let Some(network) = Network::new() else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    let (four, six) = (file("four.pcapng"), file("six.pcapng"));
    let listen = |bind: &str, join: &str, file: &Path| {
        let options = format!("record = 'pcapng', file = '{}', ack = true, leisure = '0s'", file.display());
        let options = format!("options = {{ {options} }}");
        format!(
            "[[listen]]\nbind = '{bind}'\nplugin = 'listener'\njoin = '{join} on eth0'\n{options}\nreply = {{ groups = true }}\n"
        )
    };
    let text = listen("0.0.0.0:5000", "239.1.2.3", &four) + &listen("[::]:5000", "ff15::77", &six);
    let daemon = serve(&network.here, &text);
    let v4 = Sender::new(&network.there, "10.77.0.2:6000");
    for (to, payload) in [("239.1.2.3:5000", "group"), ("10.77.0.255:5000", "all"), ("10.77.0.3:5000", "")] {
        v4.send(to, payload);
        assert_eq!(v4.receive().1, b"ack");
    }
    let v6 = Sender::new(&network.there, "[fd77::2]:6000");
    v6.send("[ff15::77]:5000", &"long ".repeat(200));
    assert_eq!(v6.receive().1, b"ack");
    drop(daemon.stop());
    // From where a group is answered is not known to the handler.
    let expected = [
        "10.77.0.2\t239.1.2.3\t\t\t6000\t5000\t13\teth0\t1\n\
         0.0.0.0\t10.77.0.2\t\t\t5000\t6000\t11\teth0\t1\n\
         10.77.0.2\t10.77.0.255\t\t\t6000\t5000\t11\teth0\t1\n\
         0.0.0.0\t10.77.0.2\t\t\t5000\t6000\t11\teth0\t1\n\
         10.77.0.2\t10.77.0.3\t\t\t6000\t5000\t8\teth0\t1\n\
         10.77.0.3\t10.77.0.2\t\t\t5000\t6000\t11\teth0\t1\n",
        "\t\tfd77::2\tff15::77\t6000\t5000\t1008\teth0\t1\n\
         \t\t::\tfd77::2\t5000\t6000\t11\teth0\t1\n",
    ];
    for (path, expected) in [&four, &six].into_iter().zip(expected) {
        let Some(shown) = tshark(path) else { return };
        assert_eq!(shown, expected);
        capinfos(path);
    }
}

/// One line a packet. The last column is 1 where the checksum of UDP is right.
fn tshark(path: &Path) -> Option<String> {
    let mut command = Command::new(tool("tshark")?);
    command.args(["-n", "-o", "udp.check_checksum:TRUE", "-T", "fields", "-r"]).arg(path);
    for field in [
        "ip.src",
        "ip.dst",
        "ipv6.src",
        "ipv6.dst",
        "udp.srcport",
        "udp.dstport",
        "udp.length",
        "frame.interface_name",
        "udp.checksum.status",
    ] {
        command.args(["-e", field]);
    }
    let output = command.output().expect("tshark can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).expect("tshark prints UTF-8"))
}

fn capinfos(path: &Path) {
    let Some(capinfos) = tool("capinfos") else { return };
    let output = Command::new(capinfos).arg("-M").arg(path).output().expect("capinfos can be started");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("pcapng") && text.contains("Raw IP"), "{text}");
}

fn launch(host: &Host) -> polyport_tests::Launch {
    host.launch(env!("CARGO_BIN_EXE_polyport-under-test"))
}

fn serve(host: &Host, config: &str) -> Daemon {
    launch(host).config(config).serve()
}

/// A socket that sends where it likes, to groups and to all.
struct Sender {
    socket: UdpSocket,
    interface: u32,
}

impl Sender {
    #[track_caller]
    fn new(host: &Host, local: &str) -> Self {
        let (socket, index) = host.inside(|| {
            let socket = UdpSocket::bind(local).unwrap_or_else(|error| panic!("{local}: {error}"));
            let index = name_to_index(&socket, WIRE);
            (socket, index)
        });
        socket.set_broadcast(true).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { socket, interface: index.unwrap() }
    }

    fn local(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    #[track_caller]
    fn send(&self, to: &str, payload: &str) {
        let to = match to.parse().unwrap() {
            SocketAddr::V6(v6) => SocketAddrV6::new(*v6.ip(), v6.port(), 0, self.interface).into(),
            to @ SocketAddr::V4(_) => to,
        };
        let sent = self.socket.send_to(payload.as_bytes(), to);
        assert_eq!(sent.unwrap_or_else(|error| panic!("{to}: {error}")), payload.len());
    }

    #[track_caller]
    fn receive(&self) -> (SocketAddr, Vec<u8>) {
        let mut buffer = [0; 100];
        let (len, from) = self.socket.recv_from(&mut buffer).expect("an answer in time");
        (from, buffer[..len].to_vec())
    }
}
