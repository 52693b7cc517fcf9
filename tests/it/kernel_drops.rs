//! R2: what the kernel drops before the daemon sees it is shown per listener, also when nothing follows.

use std::net::UdpSocket;

use polyport_tests::strace::Strace;
use polyport_tests::wait;

use crate::polyport;

/// More than the smallest of queues holds.
const BURST: usize = 2000;

#[test]
fn drops_of_the_kernel_are_in_the_closing_report_of_their_listener() {
    let daemon = polyport()
        .listen("127.0.0.1:0=echo,name=small,recv_buffer=16KiB")
        .listen("127.0.0.1:0=echo,name=large")
        .serve();
    daemon.process.freeze();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..BURST {
        socket.send_to(b"too many", daemon.addresses()[0]).unwrap();
    }
    socket.send_to(b"one", daemon.addresses()[1]).unwrap();
    daemon.process.thaw();
    // Nothing more is sent: the count of drops does not come with a later datagram.
    daemon.wait_until_drained(0);
    daemon.wait_until_drained(1);
    let (small, large) = (daemon.queue(0).drops, daemon.queue(1).drops);
    assert!(small > 0 && large == 0, "{small} and {large} drops");
    let served = daemon.stop();
    let report = &served.finished.stdout;
    assert!(report.contains(&format!("kernel drops {small}\n")), "no {small} drops in:\n{report}");
    assert_eq!(report.matches("kernel drops").count(), 1, "{report}");
    assert_eq!(served.received("small", "received") + small, BURST as u64);
    assert_eq!(served.received("large", "received"), 1);
}

/// The count of the kernel has 32 bits and wraps, so it is read now and then, and not only at the end: a second after a
/// datagram of that listener.
#[test]
fn the_kernel_is_asked_for_its_drops_while_the_daemon_serves() {
    /// Of a period: at the listener as one that was visited, and again in the sweep over all.
    const LOOKS: usize = 2;
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    let client = daemon.client(0);
    let Some(strace) = Strace::attach(&daemon, "getsockopt", &[]) else { return };
    for round in 1..=2 {
        client.expect_echo(b"of which nothing is dropped");
        let looks = || strace.so_far().text().matches("SO_MEMINFO").count();
        wait::until("a look at the drops", || looks() >= round * LOOKS);
    }
    let trace = strace.detach();
    assert!(trace.calls(&["getsockopt"]) <= 3 * LOOKS, "more than a look a period:\n{}", trace.text());
    assert_eq!(daemon.stop().received("echo", "replied"), 2);
}
