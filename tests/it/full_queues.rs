//! R6: full receive queues are bounded memory of the kernel, and nobody else's.

use std::net::UdpSocket;

use polyport_tests::Client;
use polyport_tests::kernel::{snmp, udp_queue};
use polyport_tests::network::Host;

const PORTS: u16 = 1000;
const FIRST: u16 = 20_000;
/// The smallest that can be asked for; the kernel doubles it.
const BUFFER: u64 = 4 << 10;
/// More than such a buffer holds of small datagrams.
const EACH: u64 = 64;

/// R6: kernel memory for datagrams is one pool of the host (`net.ipv4.udp_mem`). A queue takes no more of it than its socket
/// may, so a thousand full ones leave room for a port that is opened meanwhile, and for each other afterwards.
#[test]
fn a_thousand_full_queues_leave_room_for_a_fresh_port() {
    let Some(host) = Host::alone() else { return };
    let launch = || host.launch(env!("CARGO_BIN_EXE_polyport-under-test"));
    let last = FIRST + PORTS - 1;
    let full = launch().listen(format!("127.0.0.1:{FIRST}-{last}=echo,name=full,recv_buffer=4KiB")).serve();
    full.process.freeze();
    let sender = host.inside(|| UdpSocket::bind("127.0.0.1:0").unwrap());
    for port in FIRST..=last {
        (0..EACH).for_each(|_| assert_eq!(sender.send_to(b"one of many", ("127.0.0.1", port)).unwrap(), 11));
    }
    // A socket may overrun its share by one datagram.
    for port in [FIRST, FIRST + PORTS / 2, last] {
        let queue = udp_queue(&full.pid(), port);
        assert!(queue.drops > 0 && queue.waiting > 0, "{port} is not full: {queue:?}");
        assert!(queue.waiting <= 2 * BUFFER + 4096, "{port} takes more than its share: {queue:?}");
    }
    let fresh = launch().listen("127.0.0.1:5000=echo,name=fresh").serve();
    let client = |port: u16| {
        host.inside(|| Client::from("127.0.0.1:0".parse().unwrap(), ([127, 0, 0, 1], port).into()))
    };
    let asking = client(5000);
    (0..100).for_each(|n: u32| asking.expect_echo(n.to_string().as_bytes()));
    assert_eq!(snmp(&fresh.pid(), "Udp", "MemErrors"), 0, "the pool of the host was exhausted");
    full.process.thaw();
    for port in [FIRST, FIRST + PORTS / 2, last] {
        assert_eq!(client(port).ask_until_answered(b"and you?", 20), b"and you?");
    }
    let asked: u64 = 3;
    assert_eq!(fresh.stop().received("fresh", "replied"), 100);
    let served = full.stop();
    let kernel_drops = served.counted("full", "drops");
    let received = served.received("full", "received");
    assert!(kernel_drops > 0 && received >= u64::from(PORTS), "{}", served.finished.stdout);
    let all = u64::from(PORTS) * EACH;
    assert!(
        (all + asked..all + asked + 400).contains(&(received + kernel_drops)),
        "{received} {kernel_drops}"
    );
}
