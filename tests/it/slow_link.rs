//! R8: answers that a slow link does not take wait in a bounded backlog, and beyond it are dropped and counted.

use std::time::Duration;

use polyport_tests::Client;
use polyport_tests::network::{Network, WIRE};

const REQUESTS: usize = 6000;
/// So many fit the receive buffer at once.
const BURST: usize = 500;
const BYTES: usize = 400;
const SERVER: &str = "10.77.0.1:5000";

#[test]
fn answers_that_do_not_leave_are_kept_up_to_a_limit_and_then_counted() {
    /// Growth that bookkeeping may cost; one reply more for each listener would be far beyond it.
    const MORE_KIB: u64 = 1024;
    let Some(network) = Network::new() else { return };
    // The qdisc holds more than the socket may have on the way: so the socket is what is full. A qdisc that is
    // full itself drops without a word to the sender.
    let slow = ["qdisc", "add", "dev", WIRE, "root", "tbf", "rate", "64kbit", "burst", "2k", "limit", "4m"];
    if !network.here.tc(&slow) {
        return;
    }
    let launch = network.here.launch(env!("CARGO_BIN_EXE_polyport-under-test"));
    // What waits at the end would have its time otherwise.
    let daemon = launch
        .args(&["--grace", "0s"])
        .config(&format!(
            "[limits]\nbacklog_datagrams = 16\n[[listen]]\nbind = '{SERVER}'\nplugin = 'echo'\n\
             recv_buffer = '1MiB'\nsend_buffer = '8KiB'\n"
        ))
        .serve();
    let client =
        network.there.inside(|| Client::from("10.77.0.2:0".parse().unwrap(), SERVER.parse().unwrap()));
    let mut resident = 0;
    for burst in 0..REQUESTS / BURST {
        (0..BURST).for_each(|_| client.send(&[1; BYTES]));
        daemon.wait_until_drained(0);
        // Everything it needs it has after the first.
        if burst == 0 {
            resident = daemon.resident_kib();
        }
    }
    let grown = daemon.resident_kib().saturating_sub(resident);
    let dropped = daemon.queue(0).drops;
    let served = daemon.stop();
    assert!(grown < MORE_KIB, "{grown} KiB more than {resident}");
    assert_eq!(dropped, 0, "all requests fit the receive buffer");
    let sent = served.sent("echo", "sent");
    let (full, stopping) = (served.sent("echo", "backlog_full"), served.sent("echo", "stopping"));
    assert_eq!(served.sent("echo", "replies"), REQUESTS as u64, "{}", served.line("echo"));
    assert_eq!(sent + full + stopping, REQUESTS as u64, "{}", served.line("echo"));
    assert!(full > REQUESTS as u64 / 2 && (1..=16).contains(&stopping), "{}", served.line("echo"));
    for answer in 0..sent {
        assert_eq!(client.receive().len(), BYTES, "answer {answer} of {sent}");
    }
    assert_eq!(client.receive_within(Duration::from_millis(200)), None, "more than {sent} answers");
}
