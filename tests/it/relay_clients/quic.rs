//! A client and a server of quinn, each a process: 10 MB over a network that loses 2 % either way and delays by 40 ms.

use std::path::Path;

use polyport_tests::process::Process;
use rustix::process::Signal;

use super::{Between, expect_all_arrived, expect_the_relay_adds_up, number_after};

const PORT: u16 = 4433;
const BYTES: &str = "10000000";

#[test]
fn ten_megabytes_by_quic_arrive_whole_over_loss_and_delay() {
    let options = "seed = 7, up = { loss = '2%', delay = '40ms' }, down = { loss = '2%', delay = '40ms' }";
    let Some(between) = Between::new(PORT, options) else { return };
    let dir = tempfile::tempdir().unwrap();
    let certificate = dir.path().join("certificate");
    let certificate = certificate.to_str().unwrap();
    let start = |side: &str, ip: &str| {
        let address = format!("{ip}:{PORT}");
        between.start(Path::new(env!("CARGO_BIN_EXE_polyport-quic")), &[side, &address, certificate, BYTES])
    };
    let mut server = start("serve", "127.0.0.2");
    server.wait_for_stdout("serving\n");
    let mut client = start("fetch", "127.0.0.1");
    for end in [&mut client, &mut server] {
        assert!(end.wait_for_stdout("done\n"), "it ended:\n{}{}", end.stdout(), end.stderr());
    }
    // From here on neither sends; what the relay has sent by its end is in their sockets.
    let (host, served) = between.stop();
    let [client, server] = [client, server].map(counts);
    expect_the_relay_adds_up(&served);
    expect_all_arrived(
        &host,
        &[
            ("client to relay", client.sent, served.received("relay", "received")),
            ("relay to server", served.sent("relay sessions", "sent"), server.received),
            ("server to relay", server.sent, served.received("relay sessions", "received")),
            ("relay to client", served.sent("relay", "sent"), client.received),
        ],
        &served,
    );
    // 10 MB in datagrams of at most 1452 bytes, one in 50 of them lost: far from none, and far from all.
    let lost = served.counted("relay", "down_lost_total");
    assert!((50..2000).contains(&lost), "{}", served.finished.stdout);
}

struct Counts {
    sent: u64,
    received: u64,
}

/// Ends one, and takes what it has counted.
#[track_caller]
fn counts(end: Process) -> Counts {
    end.signal(Signal::TERM);
    let finished = end.finish();
    let shown = &finished.expect_code(0).stdout;
    Counts { sent: number_after(shown, "datagrams: "), received: number_after(shown, " sent, ") }
}
