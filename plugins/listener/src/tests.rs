//! Through the exported table, as the daemon calls it.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

use pcap_file::pcapng::{Block, PcapNgReader};
use polyport_plugin::testing::{Harness, Incoming, LOCAL, START_NS, START_WALL_NS};
use polyport_plugin::{Facts, Level};

use super::Listener;

const ALICE: &str = "192.0.2.1:5000";
const BOB: &str = "[2001:db8::1]:6000";
const GROUP: &str = "239.1.2.3:1062";
const SECOND: Duration = Duration::from_secs(1);

fn listener(options: &[(&str, &str)]) -> Harness<Listener> {
    Harness::new(options)
}

fn multicast(payload: &[u8]) -> Incoming {
    Incoming::multicast(ALICE.parse().unwrap(), GROUP.parse().unwrap(), payload)
}

#[test]
fn it_counts_and_says_nothing() {
    let mut h = listener(&[]);
    let broadcast = Incoming::broadcast(BOB.parse().unwrap(), "192.0.2.255:1062".parse().unwrap(), b"");
    h.deliver(&[multicast(b"one"), broadcast, Incoming::new(ALICE.parse().unwrap(), &vec![7; 65_507])]);
    h.advance(SECOND * 100);
    let names = ["datagrams_total", "bytes_total", "multicast_total", "broadcast_total", "unicast_total"];
    assert_eq!(names.map(|name| h.counter(name)), [3, 65_510, 1, 1, 1]);
    assert_eq!((h.gauge("senders"), h.counter("senders_forgotten_total")), (2, 0));
    assert_eq!((h.sent().len(), h.waiting(), h.counter("acks_total"), h.discarded()), (0, 0, 0, 0));
    assert_eq!((h.counter("recorded_total"), h.counter("record_errors_total")), (0, 0));
    assert!(h.lines().is_empty());
}

#[test]
fn the_table_of_senders_is_bounded() {
    let mut h = listener(&[]);
    let senders: Vec<Incoming> = (0..70_000_u32)
        .map(|number| {
            let [a, b, c, d] = (0x0A00_0000 + number).to_be_bytes();
            Incoming::new(([a, b, c, d], 9).into(), b"")
        })
        .collect();
    for batch in senders.chunks(1000) {
        h.deliver(batch);
    }
    let expected = (super::senders::MAX_SENDERS as u64, 70_000 - super::senders::MAX_SENDERS as u64);
    assert_eq!((h.gauge("senders"), h.counter("senders_forgotten_total")), expected);
}

#[test]
fn acks_come_only_when_asked_for_and_within_leisure() {
    let mut h = listener(&[("ack", "true"), ("leisure", "100ms"), ("ack_text", "here")]);
    h.deliver(&vec![multicast(b"anybody?"); 50]);
    assert_eq!(h.counter("acks_total"), 50);
    h.advance(Duration::from_millis(100));
    let sent = h.sent();
    assert!(sent.iter().all(|s| s.payload == b"here" && s.to == ALICE.parse().unwrap()));
    let moments: BTreeSet<u64> = sent.iter().map(|s| s.at_ns - START_NS).collect();
    assert!(moments.len() > 40 && moments.iter().all(|at| *at <= 100_000_000), "{moments:?}");
    // The same seed, the same moments.
    let again = |seed| {
        let mut h = Harness::<Listener>::with_seed(&[("ack", "true")], seed);
        h.send(ALICE, b"x");
        h.advance(SECOND);
        h.sent()[0].at_ns
    };
    assert_eq!(again(1), again(1));
    assert_ne!(again(1), again(2));
}

#[test]
fn an_ack_is_not_acknowledged() {
    let mut h = listener(&[("ack", "true"), ("leisure", "0s")]);
    h.send_batch(&[(ALICE, &b"ack"[..]), (BOB, b""), (ALICE, b"ack?")]);
    let to: Vec<_> = h.sent().into_iter().map(|s| s.to.to_string()).collect();
    assert_eq!((to, h.counter("acks_total")), (vec![BOB.to_owned(), ALICE.to_owned()], 2));
}

#[test]
fn a_line_is_one_line_and_bounded() {
    let mut h = listener(&[("record", "log"), ("log_bytes", "8")]);
    let mut datagram = multicast("a\n\"\u{e9}\u{1b}".as_bytes());
    datagram.ifindex = 0;
    h.deliver(&[datagram]);
    h.send(BOB, b"\xFF12345678");
    h.send(BOB, b"");
    let interface = if cfg!(target_os = "linux") { "lo" } else { "if1" };
    let expected = [
        format!("{ALICE} -> {GROUP} multicast on ?, 6 bytes: \"a\\n\\\"\u{e9}\\u{{1b}}\""),
        format!("{BOB} -> {LOCAL} unicast on {interface}, 9 bytes: \"\\xff1234567\"..."),
        format!("{BOB} -> {LOCAL} unicast on {interface}, 0 bytes: \"\""),
    ];
    assert_eq!((h.lines(), h.counter("recorded_total")), (expected.to_vec(), 3));
    h.set_log_level(Level::Warn);
    h.send(BOB, b"unseen");
    assert_eq!((h.lines().len(), h.counter("recorded_total")), (0, 3));
    // Every byte may be escaped, and the host's limit of 4 KiB still shows the end.
    let mut h = listener(&[("record", "log"), ("log_bytes", "512")]);
    h.send(BOB, &[0x7F; 600]);
    assert!(h.lines()[0].ends_with("\"..."));
}

#[test]
fn reports_come_on_time_and_at_the_end() {
    let mut h = listener(&[("report", "10s")]);
    h.advance(SECOND * 15);
    assert!(h.lines().is_empty(), "there is nothing to say");
    h.send_batch(&[(ALICE, &b"one"[..]), (BOB, b"two"), (BOB, b"three")]);
    h.advance(SECOND * 30);
    let expected = format!(
        "heard 3 datagrams with 11 bytes from 2 senders: {BOB} 2 datagrams 8 bytes, {ALICE} 1 datagram 3 bytes"
    );
    assert_eq!((h.lines(), h.stop()), (vec![expected.clone()], vec![expected]));
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let refused = |options: &[(&str, &str)]| {
        let refused = Harness::<Listener>::try_new(options, 1).unwrap_err();
        (refused.option.unwrap(), refused.message)
    };
    let (option, message) = refused(&[("record", "pcapng")]);
    assert!(option == "record" && message.contains("needs the name of a file"), "{message}");
    assert_eq!(refused(&[("record", "pcapng"), ("file", "/")]).0, "file");
    let (option, message) = refused(&[("record", "pcapng"), ("file", "/no/such/dir/a.pcapng")]);
    assert!(option == "file" && message.starts_with("/no/such/dir/a.pcapng: "), "{message}");
    assert_eq!(refused(&[("ack_text", &"x".repeat(65))]).0, "ack_text");
}

/// Packets of a file: interface name, nanoseconds since 1970, bytes.
fn packets(path: &Path) -> Vec<(String, Duration, Vec<u8>)> {
    let mut reader = PcapNgReader::new(File::open(path).unwrap()).unwrap();
    let (mut names, mut packets) = (Vec::new(), Vec::new());
    while let Some(block) = reader.next_block() {
        match block.unwrap() {
            Block::SectionHeader(_) => names.clear(),
            Block::InterfaceDescription(interface) => names.push(format!("{:?}", interface.options[0])),
            Block::EnhancedPacket(packet) => packets.push((
                names[packet.interface_id as usize].clone(),
                packet.timestamp,
                packet.data.into_owned(),
            )),
            other @ (Block::Packet(_)
            | Block::SimplePacket(_)
            | Block::NameResolution(_)
            | Block::InterfaceStatistics(_)
            | Block::SystemdJournalExport(_)
            | Block::Unknown(_)) => panic!("{other:?}"),
        }
    }
    packets
}

#[test]
fn a_recording_holds_every_datagram() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("heard.pcapng");
    let mut h = listener(&[("record", "pcapng"), ("file", path.to_str().unwrap())]);
    let mut six = Incoming::multicast(BOB.parse().unwrap(), "[ff15::1]:1062".parse().unwrap(), b"six");
    six.ifindex = 4_000_000_000;
    h.deliver(&[multicast(b""), six, multicast(&vec![7; 65_507])]);
    tick_until(&mut h, |h| h.counter("recorded_total") == 3);
    let found = packets(&path);
    assert_eq!(found.iter().map(|(.., bytes)| bytes.len()).collect::<Vec<_>>(), [28, 51, 65_535]);
    assert!(found.iter().all(|(_, at, _)| *at == Duration::from_nanos(START_WALL_NS)));
    assert!(found[1].0.contains("if4000000000"), "{}", found[1].0);
    assert_eq!((h.counter("record_errors_total"), h.counter("record_dropped_total")), (0, 0));
    // What came after the last flush is written at the end.
    h.deliver(&[multicast(b"last")]);
    assert_eq!(h.stop().len(), 1);
    assert_eq!(packets(&path).len(), 4);
}

#[test]
fn a_recording_is_rotated_by_size() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("heard.pcapng");
    let options =
        [("record", "pcapng"), ("file", path.to_str().unwrap()), ("rotate", "128KiB"), ("keep", "2")];
    let mut h = listener(&options);
    for number in 0..100_u8 {
        h.deliver(&[multicast(&[number; 10_000])]);
    }
    drop(h);
    let files = ["heard.2.pcapng", "heard.1.pcapng", "heard.pcapng"].map(|name| dir.path().join(name));
    let numbers: Vec<u8> = files
        .iter()
        .flat_map(|path| {
            assert!(path.metadata().unwrap().len() <= 128 << 10);
            packets(path).into_iter().map(|(.., bytes)| *bytes.last().unwrap())
        })
        .collect();
    // Twelve fit into a file, and what is there is the end without a gap.
    assert_eq!(numbers, (100 - 4 - 24..100).collect::<Vec<u8>>());
    assert_eq!(dir.path().read_dir().unwrap().count(), 3);
}

/// A second passes, and the thread of the recorder gets time to answer, until `condition` holds.
#[track_caller]
fn tick_until(h: &mut Harness<Listener>, condition: impl Fn(&Harness<Listener>) -> bool) {
    for _ in 0..20_000 {
        h.advance(SECOND);
        if condition(h) {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
    panic!("not within 20 s");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_told_once_and_everything_else_goes_on() {
    let mut h = listener(&[("record", "pcapng"), ("file", "/dev/full")]);
    h.deliver(&[multicast(b"one")]);
    assert_eq!((h.counter("record_errors_total"), h.lines().len()), (0, 0));
    tick_until(&mut h, |h| h.counter("record_errors_total") == 1);
    let lines = h.lines();
    assert!(
        lines.len() == 1 && lines[0].starts_with("/dev/full cannot be written: No space left"),
        "{lines:?}"
    );
    h.deliver(&[multicast(b"two"), multicast(b"three")]);
    tick_until(&mut h, |h| h.counter("record_errors_total") == 3);
    assert_eq!((h.lines().len(), h.counter("recorded_total"), h.counter("datagrams_total")), (0, 0, 3));
    // More than a buffer at once.
    h.deliver(&vec![multicast(&vec![0; 60_000]); 20]);
    tick_until(&mut h, |h| h.counter("record_errors_total") == 23);
    assert_eq!((h.lines().len(), h.counter("recorded_total"), h.counter("record_dropped_total")), (0, 0, 0));
}

/// What the reader of a pipe does not take waits, and beyond that is left out; it costs nobody time, and when the reader
/// goes on, so does the recording.
#[test]
#[cfg(target_os = "linux")]
fn a_reader_of_a_pipe_that_stops_and_goes_on() {
    use std::io::Read;
    const COUNT: u64 = 200;
    // A packet of the file has 32 bytes around the IP packet, and 8, 4 + 52 and 4 of options.
    const PACKET: u64 = 32 + 60_028 + 68;
    let datagram = multicast(&vec![7; 60_000]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let mut reader = File::options().read(true).write(true).open(&path).unwrap();
    let mut h = listener(&[("record", "pcapng"), ("file", path.to_str().unwrap())]);
    for _ in 0..COUNT {
        h.deliver(std::slice::from_ref(&datagram));
        h.advance(SECOND);
    }
    let dropped = h.counter("record_dropped_total");
    assert!((1..COUNT).contains(&dropped), "{dropped}");
    // The reader wakes up, and what waited comes, whole.
    let (sender, wanted) = std::sync::mpsc::channel::<u64>();
    let copy = dir.path().join("copy");
    let to = File::create(&copy).unwrap();
    let thread = std::thread::spawn(move || {
        let mut to = to;
        while let Ok(bytes) = wanted.recv() {
            std::io::copy(&mut (&mut reader).take(bytes), &mut to).unwrap();
        }
    });
    sender.send((COUNT - dropped) * PACKET).unwrap();
    tick_until(&mut h, |h| h.counter("recorded_total") == COUNT - dropped);
    h.deliver(std::slice::from_ref(&datagram));
    sender.send(PACKET).unwrap();
    tick_until(&mut h, |h| h.counter("recorded_total") == COUNT - dropped + 1);
    drop(sender);
    thread.join().unwrap();
    assert_eq!((h.counter("record_errors_total"), h.counter("record_dropped_total")), (0, dropped));
}

#[test]
#[cfg(target_os = "linux")]
fn a_pipe_that_nobody_reads_does_not_stop_the_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let options = [("record", "pcapng"), ("file", path.to_str().unwrap())];
    let refused = Harness::<Listener>::try_new(&options, 1).unwrap_err();
    assert_eq!(refused.option.unwrap(), "file");
    assert!(
        refused.message.contains("a pipe that nobody reads; start its reader first"),
        "{}",
        refused.message
    );
    // A socket has no reader either, and is no place for a recording.
    let socket = dir.path().join("socket");
    let _listens = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let options = [("record", "pcapng"), ("file", socket.to_str().unwrap())];
    let refused = Harness::<Listener>::try_new(&options, 1).unwrap_err();
    assert!(refused.message.contains("neither a file nor a pipe"), "{}", refused.message);
}

#[test]
fn a_reload_begins_a_file_and_a_second_listener_may_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("heard.pcapng");
    let options = [("record", "pcapng"), ("file", path.to_str().unwrap())];
    let mut h = listener(&options);
    h.deliver(&[multicast(b"before")]);
    let refused = Harness::<Listener>::try_new(&options, 1).unwrap_err();
    assert!(refused.message.contains("another listener"), "{refused}");
    h.reload(&options).unwrap();
    h.deliver(&[multicast(b"after")]);
    h.restart().unwrap_err();
    drop(h);
    assert_eq!(packets(&path).len(), 1);
    assert_eq!(packets(&dir.path().join("heard.1.pcapng")).len(), 1);
}

#[test]
fn listeners_that_start_together_do_not_report_together() {
    let mut firsts = BTreeSet::new();
    for seed in 0..30 {
        let mut h = Harness::<Listener>::with_seed(&[("report", "10s")], seed);
        h.send(ALICE, b"heard");
        let first = (1..=100).find(|_| {
            h.advance(SECOND / 10);
            !h.lines().is_empty()
        });
        let first = first.expect("a report within its period");
        assert!(first >= 50, "not before half of it: {first}");
        firsts.insert(first);
        h.send(ALICE, b"heard again");
        h.advance(SECOND * 99 / 10);
        assert!(h.lines().is_empty());
        h.advance(SECOND / 5);
        assert_eq!(h.lines().len(), 1, "and from then on once a period");
    }
    assert!(firsts.len() > 10, "{firsts:?}");
}

#[test]
fn a_listener_keeps_what_the_host_grants_and_names_those_that_are_left() {
    let mut h = listener(&[("report", "10s")]);
    h.set_budget(20_000);
    for n in 0..2_000_u16 {
        let [a, b] = n.to_be_bytes();
        h.send(std::net::SocketAddr::from(([10, 0, a, b], 4000)), b"forged");
        h.send(ALICE, b"honest");
    }
    assert!((10_000..=20_000).contains(&h.kept()) && h.reservations_refused() > 0, "{}", h.kept());
    assert!(h.gauge("senders") <= 16 + 20_000 / 168);
    h.advance(SECOND * 10);
    let report = h.lines().pop().unwrap();
    assert!(
        report.contains("4000 datagrams") && report.contains(": 192.0.2.1:5000 2000 datagrams"),
        "{report}"
    );
}

/// Of each packet in a file: its time since the start, its flags and its comment.
fn told(path: &Path) -> Vec<(i64, u32, String)> {
    use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption::{Comment, Flags};
    let mut reader = PcapNgReader::new(File::open(path).unwrap()).unwrap();
    let mut packets = Vec::new();
    while let Some(block) = reader.next_block() {
        let Block::EnhancedPacket(packet) = block.unwrap() else { continue };
        let [Flags(flags), Comment(comment)] = packet.options.as_slice() else { panic!("{packet:?}") };
        let at = i64::try_from(packet.timestamp.as_nanos()).unwrap() - START_WALL_NS.cast_signed();
        packets.push((at, *flags, comment.clone().into_owned()));
    }
    packets
}

const NEVER: &str = "unknown: id, fragment flags, IP options, UDP checksum";

#[test]
fn a_recording_says_when_and_how_datagrams_came_and_what_is_not_known() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("heard.pcapng");
    let options = [("record", "pcapng"), ("file", path.to_str().unwrap())];
    let mut h = listener(&options);
    assert_eq!(h.told(), Facts::LOCAL | Facts::TIME | Facts::TOS | Facts::HOPS);
    h.advance(SECOND);
    let broadcast = Incoming::broadcast(ALICE.parse().unwrap(), "192.0.2.255:1062".parse().unwrap(), b"");
    let unicast = Incoming::new(ALICE.parse().unwrap(), b"");
    let came = [10, 20, 30].map(|ns| START_NS + ns);
    let mut datagrams = [multicast(b""), broadcast, unicast.clone()];
    datagrams.iter_mut().zip(came).for_each(|(datagram, at)| datagram.kernel_ns = at);
    (datagrams[0].tos, datagrams[0].hop_limit) = (0xB8, 1);
    h.deliver(&datagrams);
    // The kernel had no room for what it tells.
    h.deliver(&[Incoming { hop_limit: 0, kernel_ns: START_NS + 40, ..unicast.clone() }]);
    tick_until(&mut h, |h| h.counter("recorded_total") == 4);
    let never = NEVER.to_owned();
    let cut = format!("{NEVER}, TTL, TOS");
    assert_eq!(
        told(&path),
        [
            (10, 1 | 2 << 2, never.clone()),
            (20, 1 | 3 << 2, never.clone()),
            (30, 1 | 1 << 2, never),
            (40, 5, cut)
        ]
    );
    let (.., packet) = packets(&path).remove(0);
    assert_eq!((packet[1], packet[8]), (0xB8, 1));
    // Another host tells nothing.
    h.offer(Facts::default());
    h.reload(&options).unwrap();
    let before = i64::try_from(h.now_ns() - START_NS).unwrap();
    h.deliver(&[Incoming { local: "0.0.0.0:1062".parse().unwrap(), ..unicast }]);
    drop(h);
    let all = format!("{NEVER}, TTL, TOS, destination, time of arrival (this is when it was read)");
    assert_eq!(told(&path), [(before, 5, all)]);
}

#[test]
fn answers_are_recorded_as_outbound_when_they_leave() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("heard.pcapng");
    let mut h = listener(&[
        ("record", "pcapng"),
        ("file", path.to_str().unwrap()),
        ("ack", "true"),
        ("leisure", "900ms"),
    ]);
    h.send(ALICE, b"alone");
    h.deliver(&[multicast(b"to all")]);
    h.advance(SECOND);
    let sent: Vec<i64> = h.sent().iter().map(|sent| (sent.at_ns - START_NS).cast_signed()).collect();
    assert!(sent.len() == 2 && sent[1] > sent[0] && sent[0] > 0, "{sent:?}");
    h.send(BOB, b"later");
    // What has not left at the end is not recorded.
    assert_eq!(h.counter("acks_total"), 3);
    drop(h);
    let out = "given to be sent; ";
    let (ways, comments): (Vec<_>, Vec<_>) =
        told(&path).into_iter().map(|(at, flags, comment)| ((at, flags & 3), comment)).unzip();
    assert_eq!(
        ways,
        [(0, 1), (0, 1), (sent[0], 2), (sent[1], 2), (SECOND.as_nanos().try_into().unwrap(), 1)]
    );
    let outs: BTreeSet<&str> = comments[2..4].iter().map(String::as_str).collect();
    let (known, unknown) = (format!("{out}{NEVER}, TTL, TOS"), format!("{out}{NEVER}, TTL, TOS, source"));
    assert_eq!(outs, BTreeSet::from([known.as_str(), unknown.as_str()]));
    let packets = packets(&path);
    let port = |at: usize| packets[2].2[at..][..2].to_vec();
    // From the port of the listener to that of who asked.
    assert_eq!(port(22), 5000_u16.to_be_bytes());
    assert!(packets[2].2.ends_with(b"ack"));
}

/// What waited in the socket while an answer left came before it.
#[test]
fn a_recording_is_in_the_order_of_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("heard.pcapng");
    let file = path.to_str().unwrap();
    let mut h = listener(&[("record", "pcapng"), ("file", file), ("ack", "true"), ("leisure", "0s")]);
    let came = |before: u64| Incoming { kernel_ns: START_NS - before, ..multicast(b"") };
    h.deliver(&[came(10)]);
    h.advance(SECOND / 2);
    h.deliver(&[came(5)]);
    // The last one came while the turn ran, and so was its answer.
    h.deliver(&[Incoming { kernel_ns: h.now_ns() + 7, ..multicast(b"") }]);
    assert_eq!(h.counter("acks_total"), 3);
    drop(h);
    let half = i64::try_from(SECOND.as_nanos()).unwrap() / 2;
    let order: Vec<_> = told(&path).into_iter().map(|(at, flags, _)| (at, flags & 3)).collect();
    assert_eq!(order, [(-10, 1), (-5, 1), (0, 2), (half, 2), (half + 7, 1), (half + 7, 2)]);
}
