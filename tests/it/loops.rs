//! One forged datagram must not set two listeners talking to each other (R29).

use std::path::Path;
use std::process::Command;

use polyport_tests::tool::{root, tool};

use crate::polyport;

#[test]
fn a_forged_datagram_between_two_listeners_ends_after_one_reply_that_is_dropped() {
    let Some(python) = tool("python3") else { return };
    if !root("a datagram with a forged source") {
        return;
    }
    let daemon = polyport()
        .listen("127.0.0.1:0=echo,name=one")
        .listen("127.0.0.1:0=echo,name=two")
        .listen("0.0.0.0:0=echo,name=wild")
        .serve();
    let [one, two, wild] = [0, 1, 2].map(|row| daemon.addresses()[row].port());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/forged.py");
    for (from, to) in [(one, two), (two, one), (one, one), (wild, one), (one, wild)] {
        let status = Command::new(&python).arg(&script).args([from, to].map(|p| p.to_string())).status();
        assert!(status.unwrap().success());
    }
    // Served in between: the loop would keep them busy for ever.
    for row in 0..2 {
        daemon.client(row).expect_echo(b"still here");
    }
    let served = daemon.stop();
    assert_eq!(served.received("one", "received"), 3 + 1);
    assert_eq!(served.sent("one", "own_listener"), 3);
    assert_eq!((served.received("two", "received"), served.sent("two", "own_listener")), (1 + 1, 1));
    assert_eq!((served.received("wild", "received"), served.sent("wild", "own_listener")), (1, 1));
}
