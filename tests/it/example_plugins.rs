//! The larger example plugins, each with a program that others have written for what it serves.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use polyport_tests::plugins::spec;
use polyport_tests::process::Process;
use polyport_tests::tool::tool;
use polyport_tests::{Client, Daemon, wait};

use super::examples::{built_by_cargo, built_by_cc};
use crate::polyport;

/// What `dig` prints for these words.
#[track_caller]
fn dig(program: &Path, to: SocketAddr, words: &[&str]) -> String {
    let mut command = Command::new(program);
    let server = [format!("@{}", to.ip()), "-p".into(), to.port().to_string()];
    // No file of the user's, and patience for a busy machine.
    command.arg("-r").args(server).args(["+tries=1", "+timeout=20"]).args(words);
    let finished = Process::spawn(&mut command).finish();
    finished.expect_code(0);
    finished.stdout
}

/// A port that is free now, for a program that takes only a number.
fn free_port(ip: &str) -> u16 {
    std::net::UdpSocket::bind((ip, 0)).unwrap().local_addr().unwrap().port()
}

#[test]
fn dig_is_told_who_it_is() {
    let Some(program) = tool("dig") else { return };
    let library = built_by_cargo("polyport-example-whoami");
    let daemon = polyport()
        .listen(spec("127.0.0.1:0", &library) + ",name=v4,reply.ports=any")
        .listen(spec("[::1]:0", &library) + ",name=v6")
        .serve();
    let [v4, v6] = [0, 1].map(|row| daemon.addresses()[row]);
    let port = free_port("127.0.0.1");
    let from = format!("127.0.0.1#{port}");
    for name in ["whoami", "WhoAmI"] {
        assert_eq!(
            dig(&program, v4, &["-b", &from, "+short", name, "TXT"]),
            format!("\"127.0.0.1\" \"{port}\"\n")
        );
    }
    assert_eq!(dig(&program, v4, &["+short", "whoami", "A"]), "127.0.0.1\n");
    assert_eq!(dig(&program, v4, &["+short", "whoami", "AAAA"]), "");
    assert_eq!(dig(&program, v6, &["+short", "whoami", "AAAA"]), "::1\n");
    let whole = dig(&program, v6, &["+bufsize=4096", "whoami", "ANY", "+notcp"]);
    for part in ["status: NOERROR", "flags: qr aa rd", "ANSWER: 2", "EDNS: version: 0, flags:; udp: 1232"] {
        assert!(whole.contains(part), "{part}: {whole}");
    }
    assert!(!whole.contains("malformed") && !whole.contains("mismatch"), "{whole}");
    for (words, status) in [
        (&["elsewhere", "A"][..], "status: REFUSED"),
        (&["whoami", "CH", "TXT"], "status: REFUSED"),
        (&["+opcode=notify", "whoami", "SOA"], "status: NOTIMP"),
        (&["+edns=7", "+noednsneg", "whoami", "A"], "status: BADVERS"),
    ] {
        let shown = dig(&program, v4, words);
        assert!(shown.contains(status), "{words:?}: {shown}");
    }
    let served = daemon.stop();
    assert_eq!((served.counted("v4", "refused_total"), served.counted("v4", "malformed_total")), (4, 0));
}

/// There is no TCP behind it, so what is cut stays cut, unless the asker takes more at once.
#[test]
fn dig_is_told_that_an_answer_was_cut_and_gets_it_whole_by_edns() {
    let Some(program) = tool("dig") else { return };
    let library = built_by_cargo("polyport-example-whoami");
    let comment = "x".repeat(700);
    let daemon = polyport().listen(spec("127.0.0.1:0", &library) + ",name=long,comment=" + &comment).serve();
    let to = daemon.addresses()[0];
    let cut = dig(&program, to, &["+noedns", "+ignore", "whoami", "TXT"]);
    assert!(cut.contains("flags: qr aa tc rd") && cut.contains("ANSWER: 0"), "{cut}");
    let whole = dig(&program, to, &["+bufsize=1232", "+ignore", "whoami", "TXT"]);
    assert!(
        whole.contains("ANSWER: 2") && whole.contains(&"x".repeat(255)) && !whole.contains(" tc "),
        "{whole}"
    );
}

/// What a program sends that is none of DNS, and an answer of a server, get nothing.
#[test]
fn whoami_is_silent_to_responses_and_to_what_is_no_query() {
    let library = built_by_cargo("polyport-example-whoami");
    let daemon = polyport().listen(spec("127.0.0.1:0", &library) + ",name=whoami").serve();
    let client = daemon.client(0);
    let query = b"\0\x01\0\0\0\x01\0\0\0\0\0\0\x06whoami\0\0\x10\0\x01";
    let mut response = query.to_vec();
    response[2] = 0x80;
    client.send(&response);
    client.send(b"not of DNS");
    client.send(&query[..20]);
    // The only answer is that to the query.
    assert_eq!(client.ask(query)[2..4], [0x84, 0]);
    let served = daemon.stop();
    assert_eq!((served.counted("whoami", "malformed_total"), served.sent("whoami", "sent")), (3, 1));
}

#[test]
fn sockperf_measures_in_ping_pong_and_under_load() {
    let Some(program) = tool("sockperf") else { return };
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = built_by_cc("sockperf", dir.path()) else { return };
    let daemon = polyport().listen(spec("127.0.0.1:0", &library) + ",name=sockperf").serve();
    let to = daemon.addresses()[0];
    for (mode, rest) in [
        ("ping-pong", &["-t", "1", "--msg-size", "14"][..]),
        ("ping-pong", &["-t", "1", "--msg-size", "1400"]),
        ("under-load", &["-t", "1", "--mps", "500", "--reply-every", "5"]),
        ("throughput", &["-t", "1", "--mps", "500"]),
    ] {
        let mut command = Command::new(&program);
        command.args([mode, "-i", "127.0.0.1", "-p", &to.port().to_string()]).args(rest);
        let finished = Process::spawn(&mut command).finish();
        let shown = &finished.expect_code(0).stdout;
        if mode == "throughput" {
            assert!(shown.contains("Message Rate"), "{shown}");
        } else {
            assert!(received(shown) > 0, "{mode}: {shown}");
            let in_order = "# dropped messages = 0; # duplicated messages = 0; # out-of-order messages = 0";
            assert!(shown.contains(in_order), "{mode}: {shown}");
        }
    }
    let client = daemon.client(0);
    // A server's message, one that lies about its length, and one that is cut.
    for wrong in [
        &b"\0\0\0\0\0\0\0\x01\0\x02\0\0\0\x0e"[..],
        b"\0\0\0\0\0\0\0\x01\0\x03\0\0\0\x0f",
        b"\0\0\0\0\0\0\0\x01\0\x03\0\0\0",
    ] {
        client.send(wrong);
    }
    assert_eq!(client.ask(b"\0\0\0\0\0\0\0\x07\0\x03\0\0\0\x0e"), b"\0\0\0\0\0\0\0\x07\0\x02\0\0\0\x0e");
    let served = daemon.stop();
    let [answered, swallowed, malformed] =
        ["answered_total", "swallowed_total", "malformed_total"].map(|name| served.counted("sockperf", name));
    assert!(answered > 3 && swallowed > 0, "{}", served.line("sockperf"));
    assert_eq!((malformed, served.received("sockperf", "on_purpose")), (3, 3));
    assert_eq!(served.received("sockperf", "received"), answered + swallowed + malformed);
}

/// `[Total Run] RunTime=1.0 sec; ...; ReceivedMessages=7`
fn received(shown: &str) -> u64 {
    let count = shown.split("ReceivedMessages=").nth(1).unwrap_or_default();
    count.split(|c: char| !c.is_ascii_digit()).next().and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// So few tokens that none comes while a test runs.
const SELDOM: &str = ",rate=0.0001";

/// How many of `n` datagrams are answered. The last listener is an echo: when it answers, the visit before it is over.
#[track_caller]
fn passed(daemon: &Daemon, row: usize, from: &str, n: usize) -> usize {
    let client = Client::from(from.parse().unwrap(), daemon.addresses()[row]);
    client.send_numbered(n);
    daemon.wait_until_drained(row);
    daemon.client(daemon.addresses().len() - 1).expect_echo(b"behind them");
    std::iter::from_fn(|| client.receive_within(Duration::from_millis(1))).count()
}

#[test]
fn a_policer_lets_each_prefix_have_its_burst_and_counts_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = built_by_cc("policer", dir.path()) else { return };
    let spec = |rest: &str| spec("127.0.0.1:0", &library) + SELDOM + rest;
    let daemon = polyport()
        .listen(spec(",burst=5,name=four"))
        .listen(spec(",burst=5,prefix_v4=16,name=wide"))
        .listen(spec(",burst=1,prefixes=4,prefix_v4=32,name=small"))
        .listen("127.0.0.1:0=echo")
        .serve();
    for (from, expected) in [("127.0.1.1:0", 5), ("127.0.1.200:0", 0), ("127.0.2.1:0", 5), ("127.0.2.1:0", 0)]
    {
        assert_eq!(passed(&daemon, 0, from, 20), expected, "{from}");
    }
    assert_eq!(passed(&daemon, 1, "127.0.1.1:0", 20), 5);
    assert_eq!(passed(&daemon, 1, "127.0.2.1:0", 20), 0, "of the same /16");
    // More prefixes than places: those that come back begin with a full bucket, and it is counted.
    for number in 1..=6 {
        assert_eq!(passed(&daemon, 2, &format!("127.3.0.{number}:0"), 2), 1);
    }
    let served = daemon.stop();
    assert_eq!(
        (served.counted("four", "passed_total") + served.counted("four", "dropped_total")),
        served.received("four", "received")
    );
    assert_eq!(served.counted("four", "dropped_total"), served.received("four", "on_purpose"));
    assert!(served.counted("small", "forgotten_total") >= 2, "{}", served.line("small"));
    assert_eq!(served.counted("four", "forgotten_total"), 0);
}

#[test]
fn tokens_come_back_at_the_rate_and_a_load_gets_no_more_than_the_burst() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = built_by_cc("policer", dir.path()) else { return };
    let daemon = polyport()
        .listen(spec("127.0.0.1:0", &library) + ",rate=20,burst=1,name=quick")
        .listen(spec("[::1]:0", &library) + SELDOM + ",burst=7,name=loaded")
        .serve();
    let client = daemon.client(0);
    client.expect_echo(b"the only token");
    wait::until("another token", || {
        client.send(b"again");
        client.receive_within(Duration::from_millis(10)).is_some()
    });
    let mut load = Command::new(env!("CARGO_BIN_EXE_polyport-load-under-test"));
    load.args(["--raw-echo", "-q", "-d", "500ms", "--warmup", "0s", "--rate", "200/s"]);
    let finished = Process::spawn(load.arg(daemon.addresses()[1].to_string())).finish();
    let report = &finished.expect_code(0).stdout;
    // One token or more, if an answer is late, goes to the first datagram that says whether anybody is there.
    assert!(report.contains("lost 9"), "{report}");
    let served = daemon.stop();
    assert_eq!(served.counted("loaded", "passed_total"), 7);
    assert_eq!(served.counted("loaded", "dropped_total"), served.received("loaded", "received") - 7);
    for wrong in ["rate=0", "burst=0", "prefix_v4=33", "prefixes=1"] {
        drop(polyport().listen(spec("127.0.0.1:0", &library) + "," + wrong).refused(78));
    }
}
