//! The client and the server of iperf3, by UDP. They speak TCP on the same port as well, which no relay of datagrams carries: a
//! thread of the test does.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use polyport_tests::tool::tool;

use super::{Between, expect_all_arrived, expect_the_relay_adds_up, pid, quiet, run};

const PORT: u16 = 5201;
const DATAGRAMS: u64 = 2000;

#[test]
fn iperf3_counts_the_datagrams_that_the_relay_let_through() {
    let Some(iperf3) = tool("iperf3") else { return };
    // The first datagram either way, without which iperf3 does not begin, is not lost with this seed.
    let Some(between) = Between::new(PORT, "seed = 7, up = { loss = '5%' }") else { return };
    let port = PORT.to_string();
    let mut server = between
        .start(&iperf3, &["--server", "--one-off", "--bind", "127.0.0.2", "--port", &port, "--forceflush"]);
    assert!(server.wait_for_stdout("Server listening"), "{}", server.stderr());
    let processes = [between.relay.pid(), pid(&server)];
    let network = between.relay.pid();
    let listener = between.host.inside(|| TcpListener::bind(("127.0.0.1", PORT)).unwrap());
    let control = between.host.inside(|| TcpStream::connect(("127.0.0.2", PORT)).unwrap());
    let carrier = thread::spawn(move || {
        let client = listener.accept().unwrap().0;
        let back = [&control, &client].map(|stream| stream.try_clone().unwrap());
        let answers = thread::spawn(move || {
            let [from, to] = back;
            carry(from, to, || {});
        });
        // "The test is over" goes its own way, and must not overtake the last datagrams.
        carry(client, control, || quiet(&network, &processes));
        answers.join().unwrap();
    });
    let blocks = DATAGRAMS.to_string();
    let measuring =
        ["--client", "127.0.0.1", "-p", &port, "--udp", "-k", &blocks, "-l", "1000", "-b", "10M", "--json"];
    let finished = run(&between.host, &iperf3, &measuring);
    let shown: serde_json::Value = serde_json::from_str(&finished.expect_code(0).stdout).unwrap();
    server.finish().expect_code(0);
    carrier.join().unwrap();
    let (host, served) = between.stop();
    let end = |side: &str, what: &str| {
        shown["end"][side][what].as_u64().unwrap_or_else(|| panic!("no {side} {what} in {shown}"))
    };
    assert_eq!(end("sum_sent", "packets"), DATAGRAMS);
    // The first datagram either way opens the stream, and is no packet of it.
    let arrived = end("sum_received", "packets") - end("sum_received", "lost_packets");
    expect_the_relay_adds_up(&served);
    expect_all_arrived(
        &host,
        &[
            ("client to relay", 1 + DATAGRAMS, served.received("relay", "received")),
            ("relay to server", served.sent("relay sessions", "sent"), 1 + arrived),
            ("server to relay", 1, served.received("relay sessions", "received")),
            ("relay to client", served.sent("relay", "sent"), 1),
        ],
        &served,
    );
    assert!(served.counted("relay", "up_lost_total") > 0, "{}", served.finished.stdout);
}

/// Hands on what comes, each part after `before`, until the end, which it hands on, too.
fn carry(mut from: TcpStream, mut to: TcpStream, before: impl Fn()) {
    let mut buffer = [0; 4096];
    // Either end may be gone first.
    while let Ok(taken @ 1..) = from.read(&mut buffer) {
        before();
        if to.write_all(&buffer[..taken]).is_err() {
            break;
        }
    }
    to.shutdown(Shutdown::Write).ok();
}
