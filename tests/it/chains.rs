//! A relay in front of another listener of the same daemon: what is allowed, what would go round, and the books of both.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use polyport_tests::client::Client;
#[cfg(target_os = "linux")]
use polyport_tests::network::Network;
use polyport_tests::plugins::built;
use polyport_tests::served::Served;
use polyport_tests::tool::tool;
use polyport_tests::{Launch, ports};
use rustix::process::Signal;

use crate::polyport;
use crate::responder::{agrees, peer};

/// Ports that are free on loopback of both families.
fn free(offset: u16) -> u16 {
    ports::free_range(&[Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()], 3, offset)
}

fn local(ip: impl Into<IpAddr>, port: u16) -> SocketAddr {
    SocketAddr::new(ip.into(), port)
}

/// A listener in a file.
fn listen(name: &str, bind: &impl ToString, plugin: &str, more: &str) -> String {
    let bind = bind.to_string();
    format!("[[listen]]\nname = '{name}'\nbind = '{bind}'\nplugin = '{plugin}'\n{more}\n")
}

/// The example in front of `to`.
fn relay(name: &str, bind: &impl ToString, to: &impl ToString, more: &str) -> String {
    let options = format!("options = {{ to = '{}' }}\n{more}", to.to_string());
    listen(name, bind, &built("example-relay").display().to_string(), &options)
}

/// Sessions of a relay, and how many of them were refused or taken away as going to a listener that takes none.
fn sessions(served: &Served, relay: &str) -> (u64, u64) {
    let of = format!("{relay} sessions");
    (served.sent(&of, "opened"), served.sent(&of, "refused_address"))
}

/// All that a relay has got has gone on, and all answers have come back.
#[track_caller]
fn adds_up(served: &Served, relay: &str, behind: &str, asked: u64) {
    let of = format!("{relay} sessions");
    assert_eq!(
        (served.received(relay, "replied"), served.sent(relay, "sent")),
        (asked, asked),
        "{}",
        served.line(relay)
    );
    assert_eq!(
        (served.received(&of, "replied"), served.sent(&of, "sent")),
        (asked, asked),
        "{}",
        served.line(&of)
    );
    let behind_line = served.line(behind);
    assert_eq!(
        (served.received(behind, "received"), served.sent(behind, "sent")),
        (asked, asked),
        "{behind_line}"
    );
    assert_eq!(
        (served.sent(relay, "dropped"), served.sent(&of, "dropped"), served.sent(behind, "dropped")),
        (0, 0, 0)
    );
}

/// Bound to one address or to all, over both families.
#[test]
fn a_relay_stands_in_front_of_an_echo_of_the_same_daemon() {
    let port = free(9100);
    let (v4, v6) = (local(Ipv4Addr::LOCALHOST, port), local(Ipv6Addr::LOCALHOST, port));
    let (any4, any6) = (local(Ipv4Addr::UNSPECIFIED, port), local(Ipv6Addr::UNSPECIFIED, port));
    let other = local([127, 7, 7, 7], port);
    for (bound, to) in [(v4, v4), (v6, v6), (any4, v4), (any4, other), (any6, v6)] {
        let front = local(to.ip(), port + 1);
        let text = listen("echo", &bound, "echo", "") + &relay("relay", &front, &to, "");
        let daemon = polyport().config(&text).serve();
        for number in 0..5 {
            let client = Client::of(front);
            (0..4).for_each(|n| client.expect_echo(format!("{n} of client {number}").as_bytes()));
        }
        let served = daemon.stop();
        adds_up(&served, "relay", "echo", 20);
        assert_eq!(sessions(&served, "relay"), (5, 0));
    }
}

/// A client that knows the protocol of the responder meets no difference.
#[test]
fn a_relay_stands_in_front_of_the_responder_of_the_same_daemon() {
    let Some(python) = tool("python3") else { return };
    let port = free(9200);
    for ip in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
        let (behind, front) = (local(ip, port), local(ip, port + 1));
        let text = listen("behind", &behind, "responder", "options = { service = 'time' }")
            + &relay("relay", &front, &behind, "");
        let daemon = polyport().config(&text).serve();
        agrees(&peer(&python, front, &["--service", "time"]));
        let served = daemon.stop();
        assert_eq!(served.sent("behind", "dropped"), 0, "{}", served.line("behind"));
        let came = served.received("behind", "received");
        assert_eq!(
            (served.sent("relay sessions", "sent"), served.received("relay", "received")),
            (came, came)
        );
        let back = served.sent("behind", "sent");
        // The client asks from ports of other services as well, which the relay does not answer.
        let refused = served.sent("relay", "loop_port");
        let heard = served.received("relay sessions", "received");
        assert_eq!((heard, served.sent("relay", "sent") + refused), (back, back));
        assert!(came > 0 && back > 0);
    }
}

/// Behind an address that is not loopback the relay is a client as any other: its budget is its own, and echoes are within.
#[cfg(target_os = "linux")]
#[test]
fn an_address_of_this_host_is_as_good_as_loopback() {
    let Some(network) = Network::new() else { return };
    let text = listen("echo", &"0.0.0.0:7000", "echo", "")
        + &listen("echo6", &"[::]:7000", "echo", "")
        + &relay("relay", &"10.77.0.1:7001", &"10.77.0.3:7000", "")
        + &relay("relay6", &"[fd77::1]:7001", &"[fd77::3]:7000", "");
    let daemon = network.here.launch(env!("CARGO_BIN_EXE_polyport-under-test")).config(&text).serve();
    network.there.inside(|| {
        for front in ["10.77.0.1:7001", "[fd77::1]:7001"] {
            let front: SocketAddr = front.parse().unwrap();
            let any = if front.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let client = Client::from(any.parse().unwrap(), front);
            (0..10).for_each(|n| client.expect_echo(&vec![n; 100 * usize::from(n)]));
        }
    });
    let served = daemon.stop();
    adds_up(&served, "relay", "echo", 10);
    adds_up(&served, "relay6", "echo6", 10);
}

#[test]
fn a_relay_in_front_of_a_relay_needs_its_word() {
    let port = free(9300);
    let [a, b, c] = [0, 1, 2].map(|n| local(Ipv4Addr::LOCALHOST, port + n));
    let with =
        |chain: &str| relay("a", &a, &b, "") + &relay("b", &b, &c, chain) + &listen("echo", &c, "echo", "");
    let mut daemon = polyport().config(&with("")).serve();
    let client = Client::of(a);
    client.send(b"for nobody");
    daemon.process.wait_for_stderr("`chain = true` in its [[listen]] table allows it");
    let served = daemon.stop();
    served.finished.expect_stderr(&[&format!("no session to {b}, which is a listener of this daemon")]);
    assert_eq!(sessions(&served, "a"), (1, 1));
    assert_eq!((served.sent("a sessions", "session_failed"), served.received("b", "received")), (1, 0));

    let daemon = polyport().config(&with("chain = true")).serve();
    (0..5).for_each(|n| Client::of(a).expect_echo(&[n; 50]));
    let served = daemon.stop();
    adds_up(&served, "a", "b", 5);
    adds_up(&served, "b", "echo", 5);

    // Without a file.
    let of = |bind: SocketAddr, name: &str, to: SocketAddr| {
        format!("{bind}={},name={name},to={to}", built("example-relay").display())
    };
    let launch = polyport().listen(of(a, "a", b)).listen(of(b, "b", c) + ",chain=true");
    let daemon = launch.listen(format!("{c}=echo,chain=true")).serve();
    Client::of(a).expect_echo(b"all the way");
    let served = daemon.stop();
    adds_up(&served, "a", "b", 1);
    served.finished.expect_stderr(&["listener echo: `chain`: without effect, since plugin echo"]);
}

/// Whatever the operator allows: one datagram, and then it is quiet.
#[test]
fn nothing_goes_round() {
    let port = free(9400);
    let [a, b] = [0, 1].map(|n| local(Ipv4Addr::LOCALHOST, port + n));
    let text = relay("a", &a, &b, "chain = true") + &relay("b", &b, &a, "chain = true");
    let mut daemon = polyport().config(&text).serve();
    Client::of(a).send(b"round and round");
    daemon.process.wait_for_stderr("sessions lead from there back to this listener");
    let served = daemon.stop();
    assert_eq!((served.received("a", "received"), served.received("b", "received")), (1, 1));
    assert_eq!((sessions(&served, "a"), sessions(&served, "b")), ((1, 0), (1, 1)));

    let mut daemon = polyport().config(&relay("a", &a, &a, "chain = true")).serve();
    Client::of(a).send(b"to itself");
    daemon.process.wait_for_stderr("sessions lead from there back to this listener");
    let served = daemon.stop();
    assert_eq!((served.received("a", "received"), sessions(&served, "a")), (1, (1, 1)));
}

/// The listener behind becomes one that opens sessions, and then one that leads back.
#[test]
fn a_reload_ends_the_sessions_that_must_not_be_any_more() {
    let port = free(9500);
    let [a, b, c] = [0, 1, 2].map(|n| local(Ipv4Addr::LOCALHOST, port + n));
    let launch: Launch = polyport();
    let file = launch.dir().join("polyport.toml");
    let with =
        |behind: String| relay("a", &a, &b, "chain = true") + &behind + &listen("echo", &c, "echo", "");
    fs::write(&file, with(listen("b", &b, "echo", ""))).unwrap();
    let mut daemon = launch.arg("-v").arg("-c").arg(&file).serve();
    let client = Client::of(a);
    client.expect_echo(b"by an echo");
    let reload = |daemon: &mut polyport_tests::Daemon, behind: String, nth: usize| {
        fs::write(&file, with(behind)).unwrap();
        daemon.process.signal(Signal::HUP);
        daemon.process.wait_for_stderr_times("loaded: ", nth);
    };
    // No word: the session ends at once, and there will be no other.
    reload(&mut daemon, relay("b", &b, &c, ""), 1);
    daemon.process.wait_for_stderr_times("the address is refused", 1);
    client.send(b"for nobody");
    daemon.process.wait_for_stderr_times("the address is refused", 2);
    // With its word it goes on to the echo.
    reload(&mut daemon, relay("b", &b, &c, "chain = true"), 2);
    client.expect_echo(b"by a relay and an echo");
    // It leads back: what is open stays, and the one that would close the circle is refused.
    reload(&mut daemon, relay("b", &b, &a, "chain = true"), 3);
    Client::of(a).send(b"round and round");
    daemon.process.wait_for_stderr_times("the address is refused", 3);
    let served = daemon.stop();
    assert_eq!(sessions(&served, "a"), (4, 2), "{}", served.finished.stdout);
    assert_eq!(served.received("a", "received"), 4, "{}", served.finished.stdout);
    assert!(sessions(&served, "b").1 >= 1, "{}", served.finished.stdout);
}
