//! R2: what the kernel drops before the daemon sees it is shown per listener, also when nothing follows.

use crate::polyport;
use std::net::UdpSocket;

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
