//! What reaches the owner of a forged source: no more than the budget of the listener, whatever the handler does (R27,
//! R28).

use std::collections::{BTreeMap, BTreeSet};
use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::num::NonZeroU16;
use std::time::Duration;

use polyport_net::monotonic_ns;
use polyport_tests::forger::{Forger, forge_addresses};
use polyport_tests::network::{Network, WIRE};
use polyport_tests::plugins::{built, compile_c, fixture, spec};
use polyport_tests::{Client, DEADLINE, Launch, scale};

use crate::polyport;

const SERVER: &str = "10.77.0.1:5000";
/// Where forged datagrams come from: no port that the policy speaks of.
const PORT: u16 = 40_000;
/// Bytes of the IP and UDP headers.
const HEADERS: usize = 28;
/// Commands of `moody`, in byte 8: send 300 copies, the same and say that the peer has proved its address.
const MANY: &[u8] = b"12345678\x02 and more";
const PROVED: &[u8] = b"12345678\x14 and more";
const COPIES: usize = 300;
/// How long nothing must come before it is silent, while the daemon has nothing to do.
const SILENCE: Duration = Duration::from_millis(300);

fn daemon(network: &Network) -> Launch {
    network.here.launch(env!("CARGO_BIN_EXE_polyport-under-test"))
}

/// A listener with the plugin that overdoes it.
fn moody(bind: &str, settings: &str) -> std::ffi::OsString {
    format!("{},name=moody{settings}", spec(bind, &built("moody"))).into()
}

/// What the forger sent and what came back, with the time.
#[derive(Debug, Default)]
struct Traffic {
    sent: BTreeMap<IpAddr, Vec<(u64, usize)>>,
    came: BTreeMap<IpAddr, Vec<(u64, usize)>>,
}

impl Traffic {
    fn send(&mut self, forger: &mut Forger, source: IpAddr, to: SocketAddr, payload: &[u8]) {
        // The time before, so that the answer is never older.
        self.sent.entry(prefix(source)).or_default().push((monotonic_ns(), payload.len() + HEADERS));
        forger.send(source, to, payload);
    }

    /// Takes what comes, until nothing has come for so long.
    fn take(&mut self, forger: &mut Forger, wait: Duration) -> usize {
        let mut n = 0;
        while let Some((victim, payload)) = forger.receive_within(wait) {
            self.came.entry(prefix(victim)).or_default().push((monotonic_ns(), payload.len() + HEADERS));
            n += 1;
        }
        n
    }

    /// In every second no more came to a prefix than three times what was sent in its name in that second and the one
    /// before. A tenth of a second is allowed for the way.
    fn check_every_second(&self) {
        for (victim, came) in &self.came {
            let sent = self.sent.get(victim).unwrap_or_else(|| panic!("{victim} was not named"));
            for (end, _) in came {
                let within = |flow: &[(u64, usize)], span_ns: u64| {
                    flow.iter()
                        .filter(|(at, _)| at <= end && at + span_ns > *end)
                        .map(|(_, n)| n)
                        .sum::<usize>()
                };
                let (came, sent) = (within(came, 1_000_000_000), within(sent, 2_100_000_000));
                assert!(came <= 3 * sent, "{victim}: {came} bytes in a second for {sent}");
            }
        }
    }
}

fn prefix(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => Ipv4Addr::from(ip.to_bits() & 0xffff_ff00).into(),
        IpAddr::V6(_) => ip,
    }
}

/// Bytes that an interface of this host has received and sent, from `/proc/net/dev`.
fn interface_bytes() -> (u64, u64) {
    let table = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let row = table.lines().find_map(|line| line.trim().strip_prefix(WIRE)?.strip_prefix(':')).unwrap();
    let numbers: Vec<u64> = row.split_whitespace().map(|n| n.parse().unwrap()).collect();
    (numbers[0], numbers[8])
}

/// R27, with a handler that answers 300 times over.
#[test]
fn a_victim_gets_three_times_what_was_sent_in_its_name_in_any_second() {
    let Some(network) = Network::new() else { return };
    forge_addresses(&network);
    let daemon = daemon(&network).listen(moody(SERVER, "")).serve();
    let to: SocketAddr = SERVER.parse().unwrap();
    let (requests, before, after, traffic) = network.there.inside(|| {
        let (mut forger, mut traffic) = (Forger::new("0.0.0.0", PORT), Traffic::default());
        let before = interface_bytes();
        let start = monotonic_ns();
        // For more than two seconds, so that what is not spent in one of them could be saved for another.
        for number in 0..600_u32 {
            let source = Ipv4Addr::new(150, 0, (number % 20).to_le_bytes()[0], number.to_le_bytes()[0]);
            traffic.send(&mut forger, source.into(), to, MANY);
            while monotonic_ns() < start + u64::from(number) * 4_000_000 {
                traffic.take(&mut forger, Duration::from_millis(1));
            }
        }
        traffic.take(&mut forger, SILENCE);
        (600, before, interface_bytes(), traffic)
    });
    let served = daemon.stop();
    // On a busy machine the wire loses some.
    let received = served.received("moody", "received");
    assert!((requests / 2..=requests).contains(&received), "{received} of {requests}");
    let [sent, unpaid, no_room] = ["sent", "amplification", "no_room"].map(|what| served.sent("moody", what));
    assert_eq!(sent + unpaid + no_room, COPIES as u64 * received);
    // A batch of many requests fills the send ring before the last of them are answered.
    assert!(sent <= 3 * received && (sent == 3 * received || no_room > 0), "{}", served.line("moody"));
    traffic.check_every_second();
    let came: usize = traffic.came.values().map(Vec::len).sum();
    assert!(traffic.came.len() == 20 && came as u64 <= 3 * received, "{came} of {}", 3 * received);
    assert!(came as u64 >= requests, "{came} of {}", 3 * received);
    // The kernel's own sums, with Ethernet's 14 bytes a frame and a few of its own.
    let (in_bytes, out_bytes) = (after.0 - before.0, after.1 - before.1);
    assert!(in_bytes <= 3 * out_bytes + 1000, "{in_bytes} bytes came to the victims, {out_bytes} were sent");
    let line = "nothing is sent to 150.0.0.0:40000: more to an unproved address than what came from it pays for; \
                `reply.amplification` is 3, and `reply.budget = \"off\"` allows it; this is logged once";
    assert_eq!(served.finished.stderr.matches("nothing is sent").count(), 1, "{}", served.finished.stderr);
    assert!(served.finished.stderr.contains(line), "{}", served.finished.stderr);
}

/// R27 over IPv6, and a handler that knows its peers.
#[test]
fn ipv6_prefixes_have_a_budget_too_and_a_proof_needs_none() {
    let Some(network) = Network::new() else { return };
    forge_addresses(&network);
    let daemon = daemon(&network).listen(moody("[fd77::1]:5000", "")).serve();
    let to: SocketAddr = "[fd77::1]:5000".parse().unwrap();
    let counts = network.there.inside(|| {
        let (mut forger, mut traffic) = (Forger::new("::", PORT), Traffic::default());
        // The hosts find each other only now.
        let finds = (0..100).any(|_| {
            forger.send("2001:db8:1::1".parse().unwrap(), to, b"are you there?");
            forger.receive_within(DEADLINE / 100).is_some()
        });
        assert!(finds, "nobody answers");
        traffic.take(&mut forger, SILENCE);
        [MANY, MANY, PROVED].map(|payload| {
            // Of one /56, with another /64 each.
            forger.send("2001:db8:0:12::1".parse().unwrap(), to, payload);
            traffic.take(&mut forger, SILENCE)
        })
    });
    let served = daemon.stop();
    assert_eq!(counts, [3, 3, COPIES], "{}", served.finished.stdout);
    assert_eq!(served.sent("moody", "amplification"), 2 * (COPIES as u64 - 3));
}

#[test]
fn without_a_budget_a_handler_may_send_what_it_likes() {
    let Some(network) = Network::new() else { return };
    forge_addresses(&network);
    let daemon = daemon(&network).listen(moody(SERVER, ",reply.budget=off")).serve();
    let to: SocketAddr = SERVER.parse().unwrap();
    let came = network.there.inside(|| {
        let (mut forger, mut traffic) = (Forger::new("0.0.0.0", PORT), Traffic::default());
        forger.send("150.0.0.1".parse().unwrap(), to, MANY);
        traffic.take(&mut forger, SILENCE)
    });
    assert_eq!(came, COPIES);
    assert_eq!(daemon.stop().sent("moody", "amplification"), 0);
}

/// Nothing comes from a group that could pay for it; whether anything goes there, `groups` says.
#[test]
fn what_a_handler_announces_to_a_group_is_not_counted() {
    let Some(network) = Network::new() else { return };
    network.here.ip(&["route", "add", "239.0.0.0/8", "dev", WIRE]);
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = compile_c(&fixture("announce"), &[], dir.path(), "announce") else { return };
    let listen = |port: u16, more: &str| spec(format!("10.77.0.1:{port}"), &library) + more;
    let daemon = daemon(&network)
        .listen(listen(5000, ",name=silent"))
        .listen(listen(5001, ",name=heard,reply.groups=true"))
        .serve();
    network.there.inside(|| {
        let hears = UdpSocket::bind("0.0.0.0:4000").unwrap();
        hears.join_multicast_v4(&Ipv4Addr::new(239, 77, 0, 1), &Ipv4Addr::new(10, 77, 0, 2)).unwrap();
        hears.set_read_timeout(Some(DEADLINE)).unwrap();
        for _ in 0..5 {
            let (_, from) = hears.recv_from(&mut [0; 64]).unwrap();
            assert_eq!(from.port(), 5001);
        }
    });
    let served = daemon.stop();
    assert_eq!(served.sent("heard", "amplification"), 0, "{}", served.line("heard"));
    assert!(served.sent("heard", "sent") >= 5, "{}", served.line("heard"));
    assert!(
        served.sent("silent", "sent") == 0 && served.sent("silent", "group") > 0,
        "{}",
        served.line("silent")
    );
}

/// R28, with the sources that a test can afford; a million are in the tests of the table itself.
#[test]
fn random_sources_take_no_answer_from_a_steady_client() {
    const ROUNDS: u32 = 200;
    let Some(network) = Network::new() else { return };
    forge_addresses(&network);
    let listen = format!("{SERVER}=echo,reply.rate=400/s,reply.slip=0");
    let daemon = daemon(&network).listen(&listen).serve();
    let to: SocketAddr = SERVER.parse().unwrap();
    let sources = 100 * scale();
    let (mut forger, steady) = network
        .there
        .inside(|| (Forger::new("0.0.0.0", PORT), Client::from("10.77.0.2:0".parse().unwrap(), to)));
    let (mut answered, mut random, mut memory) = (0, 1_u32, Vec::new());
    let mut prefixes = BTreeSet::new();
    for round in 0..ROUNDS {
        for _ in 0..sources {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let source = Ipv4Addr::from(random.rotate_left(16) & 0x3fff_ffff | 0x8000_0000);
            prefixes.insert(prefix(source.into()));
            forger.send(source.into(), to, b"nobody asked this");
        }
        while forger.receive_within(Duration::ZERO).is_some() {}
        let question = format!("question {round}");
        steady.send(question.as_bytes());
        answered += u32::from(steady.receive_within(DEADLINE / 4).is_some_and(|a| a == question.as_bytes()));
        memory.push(daemon.anonymous_memory());
    }
    let prefixes = prefixes.len();
    assert!(answered >= ROUNDS * 99 / 100, "{answered} of {ROUNDS}");
    assert!(prefixes > 15_000, "{prefixes}");
    // The table is made at once; from then on it is as large as it will ever be.
    let (early, late) = (memory[ROUNDS as usize / 10], memory[ROUNDS as usize - 1]);
    assert!(late <= early + (1 << 20), "{early} bytes grew to {late}");
    let served = daemon.stop();
    assert_eq!(served.sent("echo", "amplification"), 0, "{}", served.line("echo"));
}

/// A23: short requests with longer answers, twice each.
#[test]
fn answers_that_tell_a_length_or_come_twice_or_are_receipts_stay_within_the_budget() {
    let Some(network) = Network::new() else { return };
    forge_addresses(&network);
    let daemon = daemon(&network)
        .listen("10.77.0.1:5000=echo,reply=length,name=length")
        .listen("10.77.0.1:5001=lossy,reply=length,duplicate=100%,name=twice")
        .listen("10.77.0.1:5002=lossy,reply=length,duplicate=100%,delay=50ms,name=later")
        .listen("10.77.0.1:5003=listener,ack=true,name=receipt")
        .serve();
    let (mut forger, mut traffic) =
        network.there.inside(|| (Forger::new("0.0.0.0", PORT), Traffic::default()));
    for (row, to) in (0_u8..).zip(daemon.addresses()) {
        for payload in [&b""[..], b"a", b"0123456789"] {
            // A prefix of its own for each, so that none pays for another.
            let source = Ipv4Addr::new(151, row, payload.len().to_le_bytes()[0], 1);
            traffic.send(&mut forger, source.into(), *to, payload);
        }
        daemon.wait_until_drained(row.into());
    }
    while traffic.take(&mut forger, 2 * SILENCE) > 0 {}
    assert!(traffic.came.len() >= 11, "only an empty request pays for no receipt: {traffic:?}");
    for (victim, came) in &traffic.came {
        let sum = |flow: &[(u64, usize)]| flow.iter().map(|(_, bytes)| bytes).sum::<usize>();
        assert!(sum(came) <= 3 * sum(&traffic.sent[victim]), "{victim}: {traffic:?}");
    }
    traffic.check_every_second();
    let served = daemon.stop();
    for (listener, dropped) in [("length", 0), ("twice", 2), ("later", 2)] {
        assert_eq!(served.sent(listener, "amplification"), dropped, "{}", served.line(listener));
    }
}

#[test]
fn the_rate_and_its_slip_are_as_set() {
    let Some(network) = Network::new() else { return };
    forge_addresses(&network);
    let daemon = daemon(&network)
        .listen("10.77.0.1:5000=echo,reply.rate=10/s,name=two")
        .listen("10.77.0.1:5001=echo,reply.rate=10/s,reply.slip=0,name=none")
        .listen("10.77.0.1:5002=echo,reply.rate=10/s,reply.prefix=32/128,name=alone")
        .serve();
    let mut counts = Vec::new();
    for row in 0..3 {
        let to = daemon.addresses()[row];
        daemon.process.freeze();
        network.there.inside(|| {
            let mut forger = Forger::new("0.0.0.0", PORT + 1);
            (0..100_u8)
                .for_each(|n| forger.send(Ipv4Addr::new(152, 0, row.to_le_bytes()[0], n).into(), to, b"x"));
        });
        daemon.process.thaw();
        daemon.wait_until_drained(row);
        network.there.inside(|| {
            // Somebody else is answered, and after all of them.
            Client::from("10.77.0.2:0".parse().unwrap(), to).expect_echo(b"me");
        });
        counts.push(row);
    }
    let served = daemon.stop();
    // A hundred within a moment, or on both sides of the end of a second.
    for (listener, least, most) in [("two", 10 + 45, 20 + 40), ("none", 10, 20), ("alone", 100, 100)] {
        let sent = served.sent(listener, "sent") - 1;
        assert!((least..=most).contains(&sent), "{}", served.line(listener));
        assert_eq!(served.sent(listener, "rate_limited"), 100 - sent, "{}", served.line(listener));
    }
    assert!(served.finished.stderr.contains("`reply.rate` is \"10/s\""), "{}", served.finished.stderr);
}

#[test]
fn loopback_is_exempt_unless_it_counts() {
    let daemon = polyport()
        .listen(moody("127.0.0.1:0", ""))
        .listen(moody("127.0.0.1:0", "2,reply.loopback=counted"))
        .serve();
    for row in 0..2 {
        let client = daemon.client(row);
        client.send(MANY);
        assert_eq!(client.receive(), MANY);
    }
    let served = daemon.stop();
    for (listener, sent) in [("moody", 300), ("moody2", 3)] {
        assert_eq!(served.sent(listener, "sent"), sent, "{}", served.line(listener));
        assert_eq!(served.sent(listener, "amplification"), 300 - sent, "{}", served.line(listener));
    }
}

/// Each datagram of a train has a line of its own, with its own verdict.
#[test]
fn of_a_train_that_leaves_in_part_each_datagram_is_told_what_became_of_it() {
    const BYTES: u16 = 100;
    const TRAIN: usize = 40;
    let daemon = polyport()
        .arg("-vv")
        .listen("127.0.0.1:0=echo,reply.loopback=counted,reply.rate=30/s,reply.slip=0")
        .serve();
    let to = daemon.addresses()[0];
    let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
    let socket = polyport_net::UdpSocket::bind(any, &polyport_net::SocketOptions::default()).unwrap();
    let mut batch = polyport_net::SendBatch::new(1);
    let payload = [b'x'; BYTES as usize * TRAIN];
    let mut send = |bytes: &[u8]| {
        let (parts, segment) = ([IoSlice::new(bytes)], NonZeroU16::new(BYTES));
        let message =
            polyport_net::SendMessage { to, from: None, parts: &parts, segment, tos: 0, hop_limit: None };
        assert_eq!(batch.send(&socket, &[message]).unwrap(), 1);
    };
    // The first make the listener take trains, the second are one, and a second later some of them leave again.
    daemon.process.freeze();
    (0..TRAIN).for_each(|_| send(&payload[..BYTES.into()]));
    daemon.process.thaw();
    daemon.wait_until_drained(0);
    for _ in 0..3 {
        std::thread::park_timeout(Duration::from_millis(1100));
        send(&payload);
        daemon.wait_until_drained(0);
    }
    let served = daemon.stop();
    let lines = |verdict: &str| served.finished.stderr.matches(verdict).count() as u64;
    let (sent, refused) = (served.sent("echo", "sent"), served.sent("echo", "rate_limited"));
    assert_eq!(sent + refused, 4 * TRAIN as u64, "{}", served.line("echo"));
    assert!(sent > 30 && refused > 10, "{}", served.line("echo"));
    let told = (lines("': replied 100 bytes\n"), lines("': not answered, rate_limited: "));
    assert_eq!(told, (sent, refused), "{}", served.line("echo"));
}
