//! The client and the server of sockperf: one datagram at a time, and a load over a network that loses, doubles and delays.

use polyport_tests::tool::tool;
use rustix::process::Signal;

use super::{Between, expect_all_arrived, expect_the_relay_adds_up, number_after, run};

const PORT: u16 = 6000;

#[test]
fn sockperf_counts_what_the_relay_lets_through() {
    let Some(sockperf) = tool("sockperf") else { return };
    let port = PORT.to_string();
    for (mode, more, options) in [
        // It waits for each answer: a lost one ends the test.
        ("ping-pong", &[][..], "down = { delay = '2ms' }"),
        (
            "under-load",
            &["--mps", "500", "--reply-every", "1"],
            "seed = 7, up = { loss = '10%' }, down = { loss = '10%', duplicate = '10%' }",
        ),
    ] {
        let Some(between) = Between::new(PORT, options) else { return };
        let mut server = between.start(&sockperf, &["server", "-i", "127.0.0.2", "-p", &port]);
        assert!(server.wait_for_stdout("to block on socket"), "{}", server.stderr());
        let measuring =
            [&[mode, "-i", "127.0.0.1", "-p", &port, "-t", "1", "--msg-size", "64"], more].concat();
        let finished = run(&between.host, &sockperf, &measuring);
        let shown = &finished.expect_code(0).stdout;
        let total = shown.split_once("[Total Run]").unwrap_or_else(|| panic!("{shown}")).1;
        let total = total.lines().next().unwrap();
        let (sent, received) =
            (number_after(total, "SentMessages="), number_after(total, "ReceivedMessages="));
        assert!(received > 0, "{shown}");
        between.wait_until_quiet(&server);
        let (host, served) = between.stop();
        server.signal(Signal::INT);
        let handled = number_after(&server.finish().expect_code(0).stdout, "Total ");
        expect_the_relay_adds_up(&served);
        expect_all_arrived(
            &host,
            &[
                ("client to relay", sent, served.received("relay", "received")),
                ("relay to server", served.sent("relay sessions", "sent"), handled),
                ("server to relay", handled, served.received("relay sessions", "received")),
            ],
            &served,
        );
        // It stops at a time, whatever is under way to it then.
        assert!(received <= served.sent("relay", "sent"), "{mode}: {shown}\n{}", served.finished.stdout);
        if mode == "under-load" {
            let counted = |what: &str| served.counted("relay", what);
            assert!(counted("up_lost_total") > 0, "{}", served.finished.stdout);
            assert!(counted("down_lost_total") > 0 && counted("down_duplicated_total") > 0);
        } else {
            assert!(shown.contains("# dropped messages = 0; # duplicated messages = 0"), "{shown}");
        }
    }
}
