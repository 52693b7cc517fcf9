//! A recording that is sent again: what goes, when, where, and the books of it.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use polyport_protocol::{Code, Encoder, Header, Kind};
use polyport_tools::load::recorded::json::RecordedReport;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::server::Server;
use crate::tester::{Ran, command, expect};

const MILLISECOND: u64 = 1_000_000;

/// A file of one test, in the format of libpcap with nanoseconds and link type RAW.
struct Recording {
    path: PathBuf,
    octets: Vec<u8>,
}

impl Recording {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("polyport-recorded-{name}-{}", std::process::id()));
        let head = [0xA1B2_3C4D_u32, 4 << 16 | 2, 0, 0, 65_535, 101];
        Self { path, octets: head.iter().flat_map(|word| word.to_le_bytes()).collect() }
    }

    /// A datagram that passed at `at` ns.
    fn datagram(mut self, at: u64, from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) -> Self {
        let len = |more: usize| u16::try_from(payload.len() + more).unwrap().to_be_bytes();
        let mut packet = vec![0x45, 0];
        packet.extend(len(28));
        packet.extend([0, 0, 0, 0, 64, 17, 0, 0]);
        packet.extend(from.ip().octets());
        packet.extend(to.ip().octets());
        packet.extend(from.port().to_be_bytes());
        packet.extend(to.port().to_be_bytes());
        packet.extend(len(8));
        packet.extend([0, 0]);
        packet.extend(payload);
        let word = |number: u64| u32::try_from(number).unwrap().to_le_bytes();
        for number in [1_700_000_000 + at / 1_000_000_000, at % 1_000_000_000] {
            self.octets.extend(word(number));
        }
        (0..2).for_each(|_| self.octets.extend(word(packet.len() as u64)));
        self.octets.extend(packet);
        self
    }

    /// A packet that is no datagram.
    fn other(mut self) -> Self {
        self.octets.extend([0; 8]);
        (0..2).for_each(|_| self.octets.extend(20_u32.to_le_bytes()));
        self.octets.extend([0x45, 0, 0, 20, 0, 0, 0, 0, 64, 253, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
        self
    }

    #[track_caller]
    fn play(&self, targets: impl std::fmt::Display, more: &str) -> Ran {
        fs::write(&self.path, &self.octets).unwrap();
        let line = format!("{targets} --pcap {} -q {more}", self.path.display());
        command().args(line.split_ascii_whitespace()).output().unwrap().into()
    }

    #[track_caller]
    fn result(&self, targets: impl std::fmt::Display, more: &str) -> Value {
        let ran = self.play(targets, &format!("--json {more}"));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        object(&ran.stdout)
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        fs::remove_file(&self.path).unwrap_or(());
    }
}

/// What was printed, which has exactly the fields of its schema.
#[track_caller]
fn object(printed: &str) -> Value {
    let object: Value = serde_json::from_str(printed).unwrap();
    let typed: RecordedReport = serde_json::from_str(printed).unwrap();
    assert_eq!(serde_json::to_value(typed).unwrap(), object);
    object
}

fn host(number: u8, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, number), port)
}

fn request(id: u64, kind: Kind) -> Vec<u8> {
    let mut frame = vec![0; 100];
    let len = Encoder::new(&mut frame, &Header::new(kind, id, 7, id, 0)).payload(b"hi").finish().unwrap();
    frame.truncate(len);
    frame
}

#[test]
fn what_went_to_the_server_goes_again_at_its_times_and_from_as_many_ports() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&heard);
    let server = Server::start(move |request| {
        hears.lock().unwrap().push((request.from, request.datagram.to_vec()));
        request.send(b"answer");
    });
    let (first, second, there) = (host(1, 5000), host(2, 5000), host(9, 53));
    let recording = Recording::new("times")
        .datagram(0, first, there, b"one")
        .datagram(MILLISECOND, there, first, b"its answer")
        .datagram(100 * MILLISECOND, second, there, b"two")
        .other()
        .datagram(90 * MILLISECOND, first, there, b"")
        .datagram(300 * MILLISECOND, first, there, b"\xff\x00four");
    let result = recording.result(server.address, "--speed 2x --loop 3");
    expect(&result["counts"], &[("due", 12), ("sent", 12), ("ok", 12), ("lost", 0), ("unasked", 0)]);
    expect(&result["counts"], &[("sent_octets", 3 * 12)]);
    expect(&result["recording"], &[("sources", 2), ("other_way", 3), ("backwards", 3)]);
    assert_eq!(result["recording"]["left_out"], serde_json::json!({"not UDP": 1}));
    // Half of 300 ms in each pass; the tester does not sleep less than it plans.
    assert!(result["took_ns"].as_u64().unwrap() >= 450 * MILLISECOND, "{result:#}");
    assert_eq!((&result["passes"], &result["speed"]), (&3.into(), &"2x".into()));
    assert_eq!(result["latency"]["rtt_from_plan"]["count"], 12);
    let heard = heard.lock().unwrap();
    let payloads: Vec<&[u8]> = heard.iter().map(|(_, payload)| &payload[..]).collect();
    assert_eq!(payloads, [&b"one"[..], b"two", b"", b"\xff\x00four"].repeat(3));
    let ports: BTreeSet<_> = heard.iter().map(|(from, _)| *from).collect();
    assert_eq!(ports.len(), 2, "{ports:?}");
    assert!(heard[0].0 == heard[2].0 && heard[0].0 != heard[1].0);
}

#[test]
fn plain_answers_count_for_the_oldest_and_what_is_not_answered_is_lost() {
    let server = Server::start(|request| {
        if request.datagram[0] % 3 != 0 {
            request.send(b"answer");
        }
    });
    let recording = (0..30).fold(Recording::new("loss"), |recording, n: u8| {
        // Each from a port of its own, so that the turn of one is not that of another.
        recording.datagram(u64::from(n) * MILLISECOND, host(1, 5000 + u16::from(n)), host(9, 53), &[n])
    });
    let result = recording.result(server.address, "--timeout 2 --speed 0.5x");
    expect(&result["counts"], &[("sent", 30), ("ok", 20), ("lost", 10), ("late", 0)]);
    let missed = recording.play(server.address, "--timeout 0.5 --speed max --threshold loss<10%");
    assert_eq!(missed.code, 99, "{}{}", missed.stdout, missed.stderr);
    assert!(
        missed.stdout.contains(" sent    30 = ok 20 + late 0 + error 0 + lost 10 + one way 0"),
        "{}",
        missed.stdout
    );
    assert!(missed.stdout.contains(" FAIL  loss<10%"), "{}", missed.stdout);
}

#[test]
fn frames_are_known_by_their_ids() {
    let mut held = Vec::new();
    let server = Server::start(move |request| {
        // 1 after 2, 3 twice, 4 an error, 5 damaged, 6 with another id, events never.
        let reply = |code| request.reply(code, None, |_| ());
        match request.datagram[15] {
            1 => held.push(reply(Code::OK)),
            2 => {
                request.send(&reply(Code::OK));
                held.drain(..).for_each(|first| request.send(&first));
            }
            3 => (0..2).for_each(|_| request.send(&reply(Code::OK))),
            4 => request.send(&reply(Code::BUSY)),
            5 => {
                let mut damaged = reply(Code::OK);
                *damaged.last_mut().unwrap() ^= 1;
                request.send(&damaged);
            }
            6 => request.send(&request.reply(Code::OK, None, |header| header.request_id ^= 1 << 40)),
            _ => {}
        }
    });
    let recording = (1..=6).fold(Recording::new("frames"), |recording, id| {
        recording.datagram(id * MILLISECOND, host(1, 5000), host(9, 7000), &request(id, Kind::Request))
    });
    let recording =
        recording.datagram(7 * MILLISECOND, host(1, 5000), host(9, 7000), &request(0, Kind::Event));
    let result = recording.result(server.address, "--loop 5 --timeout 2");
    let counts = [
        ("ok", 3),
        ("error", 1),
        ("lost", 2),
        ("one_way", 1),
        ("duplicates", 1),
        ("malformed", 1),
        ("unasked", 1),
    ];
    for (name, count) in counts {
        assert_eq!(result["counts"][name], 5 * count, "{name}: {:#}", result["counts"]);
    }
}

#[test]
fn servers_of_the_recording_take_turns_among_the_targets() {
    let good = || Server::start(|request| request.send(request.datagram));
    let (first, second) = (good(), good());
    let server = |port| host(9, port);
    let recording = Recording::new("targets")
        .datagram(0, host(1, 5000), server(53), b"a")
        .datagram(1, host(1, 5000), server(54), b"b")
        .datagram(2, host(1, 5000), server(53), b"c")
        .datagram(3, host(1, 5000), server(55), b"d");
    let both = format!("127.0.0.1:{},{}", first.port(), second.port());
    let result = recording.result(&both, "--loop 2");
    expect(&result["counts"], &[("sent", 8), ("ok", 8)]);
    let only = recording.result(&both, "--pcap-port 53 --loop 2");
    expect(&only["counts"], &[("sent", 4), ("ok", 4)]);
    expect(&only["recording"], &[("other_way", 4)]);
}

#[test]
fn recordings_of_others_are_read() {
    let server = Server::start(|request| request.send(request.datagram));
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fuzz/corpus/captures");
    for file in ["microseconds.pcapng", "big-endian.pcapng"] {
        let line = format!("{} --pcap {corpus}/{file} -q --json", server.address);
        let ran: Ran = command().args(line.split(' ')).output().unwrap().into();
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let result = object(&ran.stdout);
        expect(&result["counts"], &[("sent", 3), ("ok", 3)]);
        assert!(result["took_ns"].as_u64().unwrap() >= 20 * MILLISECOND, "{file}");
    }
}

#[test]
fn who_holds_datagrams_back_still_looks_for_answers() {
    let server = Server::start(|request| request.send(request.datagram));
    let recording = (0..1000).fold(Recording::new("full"), |recording, at| {
        recording.datagram(at, host(1, 5000), host(9, 53), b"a")
    });
    let result = recording.result(server.address, "--speed max --max-in-flight 10 --timeout 60 --loop 300");
    let count = |name: &str| result["counts"][name].as_u64().unwrap();
    assert_eq!(count("due"), 300_000);
    assert_eq!(count("due"), count("sent") + count("not_sent_in_flight"));
    assert!(count("ok") > 10, "more than fit at once: {:#}", result["counts"]);
}

#[test]
fn ctrl_c_ends_a_wait_and_the_books_still_balance() {
    let last = |recording: &Recording, target: std::net::SocketAddr, more: &str, heard: &Receiver<()>| {
        fs::write(&recording.path, &recording.octets).unwrap();
        let line = format!("{target} --pcap {} -q --json {more}", recording.path.display());
        let child = command().args(line.split(' ')).spawn().unwrap();
        heard.recv_timeout(Duration::from_secs(30)).unwrap();
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let ran = Ran::from(child.wait_with_output().unwrap());
        assert_eq!(ran.code, 130, "{}", ran.stderr);
        object(&ran.stdout)["counts"].clone()
    };
    let (hears, heard) = mpsc::channel();
    // The test may have seen enough and be gone.
    let mute = Server::start(move |_| hears.send(()).unwrap_or(()));
    let two = |name, apart| {
        let (from, to) = (host(1, 5000), host(9, 53));
        Recording::new(name).datagram(0, from, to, b"a").datagram(apart, from, to, b"b")
    };
    let counts = last(&two("wait", 3_600_000 * MILLISECOND), mute.address, "--timeout 1h", &heard);
    expect(&counts, &[("due", 1), ("sent", 1), ("pending_at_abort", 1), ("not_sent_in_flight", 0)]);
    let stuck = "--timeout 1h --speed max --max-in-flight 1 --loop 1000000";
    let counts = last(&two("stuck", 1), mute.address, stuck, &heard);
    expect(&counts, &[("sent", 1), ("pending_at_abort", 1)]);
    assert_eq!(counts["due"].as_u64().unwrap(), 1 + counts["not_sent_in_flight"].as_u64().unwrap());
}

#[test]
fn what_cannot_be_is_told() {
    let server = Server::start(|request| request.send(request.datagram));
    let mute = Server::start(|_| ());
    let one = || Recording::new("one").datagram(0, host(1, 5000), host(9, 53), b"a");
    let told = |ran: Ran, code, words: &str| {
        assert!(ran.code == code && ran.stderr.contains(words), "{words}: {} {}", ran.code, ran.stderr);
    };
    told(one().play(mute.address, "--timeout 0.1"), 69, "error: no answer to 1 datagram");
    told(one().play(server.address, "--pcap-port 9"), 65, "none of its 1 datagrams was sent to port 9");
    told(Recording::new("empty").play(server.address, ""), 65, "it is empty");
    told(
        Recording::new("icmp").other().play(server.address, ""),
        65,
        "no whole datagram of UDP, but packets not UDP 1",
    );
    let mut cut = one();
    cut.octets.truncate(cut.octets.len() - 1);
    told(cut.play(server.address, ""), 65, "it ends in the middle of a packet");
    let mut foreign = one();
    foreign.octets = b"hello, world".to_vec();
    told(foreign.play(server.address, ""), 65, "it is neither pcap nor pcapng");
    told(one().play("192.0.2.1:9", ""), 64, "--i-own-the-target");
    for option in ["--rate 5/s", "--threads 2", "--pin=0", "--gso off", "--rx-time kernel", "--per-flow"] {
        let name = option.split([' ', '=']).next().unwrap();
        told(one().play(server.address, option), 64, name);
    }
    told(one().play(server.address, "--threshold reordered<1"), 64, "no threshold of `reordered`");
    told(one().play(server.address, "--speed 0"), 64, "such as 2x or 0.5");
    let missing = command().args([&server.address.to_string(), "--pcap", "/no-such-file"]).output().unwrap();
    told(missing.into(), 65, "/no-such-file: it cannot be opened: No such file");
    let alone = command().args([&server.address.to_string(), "--loop", "2"]).output().unwrap();
    told(alone.into(), 64, "--pcap <FILE>");
}
