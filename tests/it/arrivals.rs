//! What a recording says of each datagram: when it came, by which way, and what came with it.

use std::fs;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::Command;
use std::time::UNIX_EPOCH;

use polyport_net::{Facts, RecvBatch, SlotLayout, SocketOptions, UdpSocket};
use polyport_tests::plugins::{compile_c, fixture, spec};
use polyport_tests::tool::tool;
use polyport_tests::wait;
use rustix::net::sockopt;

use super::recordings::blocks;
use crate::polyport;

/// Unix time in nanoseconds.
fn now() -> u64 {
    u64::try_from(UNIX_EPOCH.elapsed().unwrap().as_nanos()).unwrap()
}

/// The time stamps of the packets in a file, nanoseconds since 1970, in the order they were written.
fn stamps(path: &Path) -> Vec<u64> {
    const ENHANCED_PACKET: u32 = 6;
    let words = |block: &[u8]| [12, 16].map(|at| u32::from_ne_bytes(block[at..at + 4].try_into().unwrap()));
    let stamp = |block: &[u8]| {
        let [high, low] = words(block);
        u64::from(high) << 32 | u64::from(low)
    };
    blocks(&fs::read(path).unwrap())
        .iter()
        .filter(|(kind, _)| *kind == ENHANCED_PACKET)
        .map(|(_, b)| stamp(b))
        .collect()
}

/// Waits until the kernel stamps what arrives: it begins to do so a moment after the first socket has asked.
#[track_caller]
pub(super) fn wait_for_stamps() {
    let mut server = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &SocketOptions::default()).unwrap();
    assert!(server.want(Facts { time: true, ..Facts::NONE }).time);
    let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (layout, mut batch) = (SlotLayout::new(16, 0), RecvBatch::new(1));
    let mut memory = vec![0; layout.memory(1)];
    wait::until("time stamps of the kernel", || {
        client.send_to(b"x", server.local_addr().unwrap()).unwrap();
        let sent = now();
        batch.recv(&server, &mut memory, layout, 1).unwrap();
        // Otherwise the time of reading stands for that of arrival.
        batch.meta(0).unix_ns.is_some_and(|stamp| stamp <= sent)
    });
}

/// Sends datagrams over loopback, where one has arrived when `send` returns; tells between which moments each did.
fn burst(to: SocketAddr, count: usize) -> Vec<RangeInclusive<u64>> {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let one = |_| {
        let before = now();
        socket.send_to(b"when did I come?", to).unwrap();
        before..=now()
    };
    (0..count).map(one).collect()
}

/// C6: a turn that takes long, or a burst in one turn, does not move a stamp.
#[test]
fn stamps_are_of_the_arrival_and_not_of_the_turn() {
    const ROUNDS: u64 = 3;
    const BURST: usize = 300;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("heard.pcapng");
    let Some(slow) = compile_c(&fixture("slow"), &["-DPAUSE_MS=200"], dir.path(), "slow") else { return };
    let record =
        format!("127.0.0.1:0=listener,name=heard,record=pcapng,recv_buffer=200KiB,file={}", file.display());
    let daemon = polyport().listen(spec("127.0.0.1:0", &slow)).listen(record).serve();
    wait_for_stamps();
    let (neighbour, heard) = (daemon.client(0), daemon.addresses()[1]);
    let mut came = Vec::new();
    for round in 1..=ROUNDS {
        neighbour.send(b"sleep");
        came.extend(burst(heard, BURST));
        daemon.wait_until_drained(1);
        assert_eq!(neighbour.receive(), b"sleep", "round {round}");
    }
    let served = daemon.stop();
    assert_eq!(served.counted("heard", "recorded_total"), came.len() as u64, "{}", served.line("heard"));
    let stamps = stamps(&file);
    let mut distinct = stamps.clone();
    distinct.dedup();
    assert_eq!((stamps.len(), distinct.len()), (came.len(), came.len()));
    for (stamp, between) in stamps.iter().zip(&came) {
        assert!(between.contains(stamp), "{stamp} not in {between:?}");
    }
}

/// Of a daemon that stands still: what comes meanwhile keeps its time.
#[test]
fn what_waits_in_the_socket_keeps_its_time() {
    const COUNT: usize = 100;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("heard.pcapng");
    let record = format!("127.0.0.1:0=listener,name=heard,record=pcapng,file={}", file.display());
    let daemon = polyport().listen(record).serve();
    wait_for_stamps();
    daemon.process.freeze();
    let came = burst(daemon.addresses()[0], COUNT);
    daemon.process.thaw();
    daemon.wait_until_drained(0);
    drop(daemon.stop());
    let stamps = stamps(&file);
    assert_eq!(stamps.len(), COUNT);
    assert!(stamps.iter().zip(&came).all(|(stamp, between)| between.contains(stamp)), "{stamps:?} {came:?}");
}

/// C7: TTL, TOS and interface are what came, and so says another program that reads the file; the answer is outbound.
#[test]
fn a_recording_says_what_came() {
    for (address, fields, came, out) in [
        ("127.0.0.1", ["ip.ttl", "ip.dsfield"], "7\t0xb9", "64\t0x00"),
        ("[::1]", ["ipv6.hlim", "ipv6.tclass"], "7\t0x000000b9", "64\t0"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("heard.pcapng");
        let record =
            format!("{address}:0=listener,ack=true,leisure=0s,record=pcapng,file={}", file.display());
        let daemon = polyport().listen(record).serve();
        wait_for_stamps();
        let (to, socket) =
            (daemon.addresses()[0], std::net::UdpSocket::bind(format!("{address}:0")).unwrap());
        if to.is_ipv4() {
            sockopt::set_ip_ttl(&socket, 7).unwrap();
            sockopt::set_ip_tos(&socket, 0xb9).unwrap();
        } else {
            sockopt::set_ipv6_unicast_hops(&socket, Some(7)).unwrap();
            sockopt::set_ipv6_tclass(&socket, 0xb9).unwrap();
        }
        socket.set_read_timeout(Some(polyport_tests::DEADLINE)).unwrap();
        socket.send_to(b"hear me", to).unwrap();
        assert_eq!(socket.recv_from(&mut [0; 100]).expect("an answer").1, to);
        drop(daemon.stop());
        let Some(tshark) = tool("tshark") else { return };
        let mut command = Command::new(tshark);
        command.args(["-n", "-o", "udp.check_checksum:TRUE", "-T", "fields", "-r"]).arg(&file);
        let common = ["udp.srcport", "udp.dstport", "frame.interface_name", "udp.checksum.status"];
        let told = ["frame.packet_flags_direction", "frame.packet_flags_reception_type", "frame.comment"];
        for field in fields.iter().chain(&common).chain(&told) {
            command.args(["-e", field]);
        }
        let output = command.output().expect("tshark can be started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let shown = String::from_utf8(output.stdout).expect("tshark prints UTF-8");
        // Versions differ in how they print the direction.
        let shown = shown.replace("\t0x0000000", "\t");
        let (ours, theirs) = (to.port(), socket.local_addr().unwrap().port());
        let (unknown, more) = if to.is_ipv4() {
            ("unknown: id, fragment flags, IP options, UDP checksum", "TTL, TOS")
        } else {
            ("unknown: flow label, extension headers", "hop limit, traffic class")
        };
        let expected = format!(
            "{came}\t{theirs}\t{ours}\tlo\t1\t1\t1\t{unknown}\n\
             {out}\t{ours}\t{theirs}\tlo\t1\t2\t0\tgiven to be sent; {unknown}, {more}\n"
        );
        assert_eq!(shown, expected);
    }
}

/// Only a handler that wants facts makes its socket tell them: the others' datagrams cost what they did.
#[test]
fn facts_are_told_where_they_are_wanted() {
    let Some(strace) = tool("strace") else { return };
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("strace");
    let record = format!("127.0.0.1:0=listener,record=pcapng,file={}", dir.path().join("a").display());
    let program = env!("CARGO_BIN_EXE_polyport-under-test");
    let launch = polyport().replaced_by(strace).args(&["-D", "-f", "-e", "trace=setsockopt", "-o"]);
    let launch = launch.arg(&log).arg(program);
    let daemon = launch.listen("127.0.0.1:0=echo").listen("127.0.0.1:0=listener").listen(record).serve();
    daemon.client(0).expect_echo(b"as cheap as ever");
    let pid = daemon.pid();
    let ended = |line: &str| line.starts_with(&pid) && line.contains("+++ exited");
    drop(daemon.stop());
    let calls = || fs::read_to_string(&log).unwrap();
    wait::until("the end of the trace", || calls().lines().any(ended));
    let calls = calls();
    for option in ["SO_TIMESTAMPNS_OLD", "IP_RECVTTL", "IP_RECVTOS", "IP_PKTINFO"] {
        assert_eq!(calls.matches(option).count(), 1, "{option}: {calls}");
    }
}

/// A recording is one from the first byte on, whether or not anything is heard.
#[test]
fn a_recording_of_nothing_can_be_opened() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("heard.pcapng");
    let record = || format!("127.0.0.1:0=listener,record=pcapng,file={}", file.display());
    for _ in 0..2 {
        let daemon = polyport().listen(record()).serve();
        assert_eq!(blocks(&fs::read(&file).unwrap()).len(), 1, "while nothing has come");
        drop(daemon.stop());
        let Some(capinfos) = tool("capinfos") else { return };
        let output = Command::new(capinfos).arg("-c").arg("-M").arg(&file).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("Number of packets:   0"), "{text}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is put aside for it");
}
