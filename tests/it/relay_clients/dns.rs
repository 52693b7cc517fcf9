//! `dig` asks dnsmasq over a network that loses each tenth datagram either way, and asks again until it has the answer.

use polyport_tests::tool::tool;
use rustix::process::Signal;

use super::{Between, expect_all_arrived, expect_the_relay_adds_up, run};

const PORT: u16 = 5300;
const NAMES: u64 = 30;

#[test]
fn dig_gets_every_answer_of_dnsmasq_over_loss_both_ways() {
    let (Some(dig), Some(dnsmasq)) = (tool("dig"), tool("dnsmasq")) else { return };
    // By order: each dig has a new port, and shall not have the luck of the one before.
    let options = "seed = 7, key = 'order', up = { loss = '10%' }, down = { loss = '10%' }";
    let Some(between) = Between::new(PORT, options) else { return };
    let port = format!("--port={PORT}");
    let mut server = between.start(
        &dnsmasq,
        &[
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--listen-address=127.0.0.2",
            "--bind-interfaces",
            "--address=/example.test/192.0.2.1",
            "--log-queries",
            "--log-facility=-",
            "--user=root",
            "--pid-file=",
            &port,
        ],
    );
    server.wait_for_stderr("started");
    let mut asked = 0;
    for number in 0..NAMES {
        let name = format!("n{number}.example.test");
        let port = PORT.to_string();
        let asking = [
            "@127.0.0.1",
            "-p",
            &port,
            &name,
            "A",
            "+tries=100",
            "+time=1",
            "+noall",
            "+answer",
            "+comments",
        ];
        let finished = run(&between.host, &dig, &asking);
        let shown = &finished.expect_code(0).stdout;
        assert!(shown.contains("192.0.2.1"), "{shown}");
        // It says of each question that nobody answered in time.
        asked += 1 + shown.matches(": timed out").count() as u64;
    }
    between.wait_until_quiet(&server);
    let (host, served) = between.stop();
    server.signal(Signal::TERM);
    let logged = server.finish().stderr;
    let of = |what: &str| logged.lines().filter(|line| line.contains(what)).count() as u64;
    expect_the_relay_adds_up(&served);
    expect_all_arrived(
        &host,
        &[
            ("dig to relay", asked, served.received("relay", "received")),
            ("relay to dnsmasq", served.sent("relay sessions", "sent"), of("query[A] ")),
            ("dnsmasq to relay", of("config "), served.received("relay sessions", "received")),
        ],
        &served,
    );
    assert!(served.sent("relay", "sent") >= NAMES, "{}", served.finished.stdout);
    let lost = |way: &str| served.counted("relay", &format!("{way}_lost_total"));
    assert!(lost("up") > 0 && lost("down") > 0, "{}", served.finished.stdout);
}
