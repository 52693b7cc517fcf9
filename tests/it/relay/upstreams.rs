//! Servers that are not found, refuse, go and come back, answer from elsewhere, fall silent.

use std::net::UdpSocket;
use std::time::Duration;

use polyport_tests::upstream::Upstream;
use polyport_tests::{DEADLINE, wait};

use super::{counted, relay, sessions};
use crate::polyport;

/// How long is waited for what should not come.
const A_MOMENT: Duration = Duration::from_millis(300);

/// A configuration is right although nobody knows the name: the check asks nobody. The daemon starts, and asks again.
#[test]
fn a_name_that_nobody_knows_is_looked_up_again_and_keeps_nobody_from_starting() {
    let spec = "127.0.0.1:0=relay,name=relay,to=nobody.invalid:9";
    polyport().arg("check").listen(spec).run().expect_code(0);
    let mut daemon = polyport().listen(spec).listen("127.0.0.1:0=echo").serve();
    daemon.process.wait_for_stderr_times("nobody.invalid: ", 2);
    daemon.client(0).send(b"to nobody");
    daemon.client(1).expect_echo(b"the neighbour is served");
    let served = daemon.stop();
    assert_eq!(counted(&served, "refused_upstream_total"), 1);
    assert_eq!((counted(&served, "unresolved"), served.received("relay", "on_purpose")), (1, 1));
}

/// In the sandbox, by the files of the system.
#[test]
fn a_name_is_found_with_the_rights_of_a_handler() {
    let upstream = Upstream::at("127.0.0.1:0");
    let port = upstream.address.port();
    let spec = format!("127.0.0.1:0=relay,name=relay,family=ipv4,to=localhost:{port}");
    let daemon = polyport().listen(spec).serve();
    let client = daemon.client(0);
    assert_eq!(client.ask_until_answered(b"hello", 60), b"hello");
    assert_eq!(counted(&daemon.stop(), "opened_total"), 1);
}

/// The error of an earlier datagram fails a later send, and the datagram must not be lost by that.
#[test]
fn a_server_that_comes_back_gets_the_first_datagram() {
    let upstream = Upstream::at("127.0.0.1:0");
    let address = upstream.address;
    let mut daemon = relay(address, "");
    let client = daemon.client(0);
    client.expect_echo(b"before");
    drop(upstream);
    for n in 0..4 {
        client.send(format!("nobody is there, {n}").as_bytes());
        wait::until("a daemon that waits", || daemon.is_asleep());
    }
    daemon.process.wait_for_stderr("is down for 10s: refused");
    let _upstream = Upstream::at(&address.to_string());
    client.expect_echo(b"after");
    let served = daemon.stop();
    assert_eq!(
        (sessions(&served, "opened"), sessions(&served, "sent"), sessions(&served, "dropped")),
        (1, 6, 0)
    );
    let refused = counted(&served, "upstream_refused_total");
    assert!((3..=4).contains(&refused), "{refused}");
    assert_eq!((counted(&served, "up_datagrams_total"), counted(&served, "down_datagrams_total")), (6, 2));
}

#[test]
fn who_is_refused_goes_to_another_server_and_whoever_comes_next_as_well() {
    let upstream = Upstream::at("127.0.0.1:0");
    // A port that was free a moment ago.
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let spec = format!("127.0.0.1:0=relay,name=relay,select=first,marks=1,to={nobody}");
    let config = format!(
        "[[listen]]\nname = 'relay'\nbind = '127.0.0.1:0'\nplugin = 'relay'\n\
         options = {{ to = ['{nobody}', '{}'], select = 'first', marks = 1 }}\n",
        upstream.address
    );
    let mut daemon = polyport().config(&config).serve();
    let client = daemon.client(0);
    client.send(b"refused");
    daemon.process.wait_for_stderr("is down for 10s: refused");
    client.expect_echo(b"moved");
    daemon.client(0).expect_echo(b"a new one");
    let served = daemon.stop();
    assert_eq!((counted(&served, "moved_total"), counted(&served, "opened_total")), (1, 3));
    // The same by the command line has one server only, which is refused again and again.
    let mut daemon = polyport().listen(spec).serve();
    let client = daemon.client(0);
    for nth in 1..=3 {
        client.send(b"refused");
        wait::until("a daemon that waits", || daemon.is_asleep());
        if nth == 1 {
            daemon.process.wait_for_stderr("is down for 10s: refused");
        }
    }
    let served = daemon.stop();
    assert_eq!((counted(&served, "moved_total"), counted(&served, "opened_total")), (0, 1));
    assert_eq!((sessions(&served, "sent"), sessions(&served, "dropped")), (3, 0));
    assert!(counted(&served, "upstream_refused_total") >= 1, "{}", served.finished.stdout);
}

/// The session is connected: the kernel keeps out what others send.
#[test]
fn what_comes_from_another_address_is_nobodys_answer() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(DEADLINE)).unwrap();
    let daemon = relay(server.local_addr().unwrap(), "");
    let client = daemon.client(0);
    client.send(b"hello");
    let mut buffer = [0; 10];
    let (_, session) = server.recv_from(&mut buffer).unwrap();
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"forged", session).unwrap();
    assert_eq!(client.receive_within(A_MOMENT), None);
    server.send_to(b"right", session).unwrap();
    assert_eq!(client.receive(), b"right");
    assert_eq!(counted(&daemon.stop(), "down_datagrams_total"), 1);
}

/// A session that hears nothing goes on by another port: a NAT on the way may have forgotten the one it had.
#[test]
fn a_session_that_falls_silent_goes_on_by_another_port() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(DEADLINE)).unwrap();
    let daemon = relay(server.local_addr().unwrap(), ",silence=200ms");
    let client = daemon.client(0);
    let mut buffer = [0; 100];
    client.send(b"one");
    let (_, first) = server.recv_from(&mut buffer).unwrap();
    server.send_to(b"answer", first).unwrap();
    assert_eq!(client.receive(), b"answer");
    let mut now = first;
    wait::until("another port", || {
        client.send(b"no answer");
        now = server.recv_from(&mut buffer).unwrap().1;
        now != first
    });
    server.send_to(b"again", now).unwrap();
    assert_eq!(client.receive(), b"again");
    let served = daemon.stop();
    assert_eq!((counted(&served, "moved_total"), sessions(&served, "asked")), (1, 1));
}

#[test]
fn with_replies_a_session_ends_when_all_is_answered() {
    let upstream = Upstream::at("127.0.0.1:0");
    let daemon = relay(upstream.address, ",replies=1");
    let client = daemon.client(0);
    (0..5).for_each(|n| client.expect_echo(format!("question {n}").as_bytes()));
    let served = daemon.stop();
    assert_eq!((counted(&served, "opened_total"), counted(&served, "closed_replies_total")), (5, 5));
    let line = served.finished.stderr.lines().find(|line| line.contains("answered; up 1 (10 B, lost 0)"));
    assert!(line.is_some(), "{}", served.finished.stderr);
}

#[test]
fn a_group_is_no_server() {
    let refused = polyport().listen("127.0.0.1:0=relay,to=224.0.0.9:9").refused(78);
    refused.expect_stderr(&["`224.0.0.9:9`: is no address of a single host"]);
    let refused = polyport().listen("127.0.0.1:0=relay,to=255.255.255.255:9").refused(78);
    refused.expect_stderr(&["is no address of a single host"]);
    let refused = polyport().listen("127.0.0.1:0=relay,to=192.0.2.1").refused(78);
    refused.expect_stderr(&["expected HOST:PORT"]);
}
