//! Handlers that open sockets of their own: the example relay between real clients and a real upstream.

use std::net::{SocketAddr, UdpSocket};

use polyport_tests::client::Client;
use polyport_tests::plugins::{built, compile_c, fixture, spec};
use polyport_tests::served::Served;
use polyport_tests::upstream::Upstream;
use polyport_tests::{DEADLINE, Daemon};

use crate::polyport;

fn relay(to: SocketAddr, more: &str) -> Daemon {
    let relay = spec("127.0.0.1:0", &built("example-relay"));
    polyport().arg("-v").listen(format!("{relay},name=relay,to={to}{more}")).serve()
}

/// Of the book of the sessions.
fn sessions(served: &Served, what: &str) -> u64 {
    served.sent("relay sessions", what)
}

#[test]
fn clients_speak_to_the_upstream_and_each_gets_its_own_answers() {
    let upstream = Upstream::at("127.0.0.1:0");
    let daemon = relay(upstream.address, "");
    let clients: Vec<Client> = (0..20).map(|_| daemon.client(0)).collect();
    for round in 0..3 {
        for (number, client) in clients.iter().enumerate() {
            client.expect_echo(format!("round {round} of client {number}").as_bytes());
        }
    }
    let served = daemon.stop();
    assert_eq!((served.received("relay", "replied"), served.sent("relay", "sent")), (60, 60));
    assert_eq!((served.received("relay sessions", "replied"), sessions(&served, "sent")), (60, 60));
    assert_eq!(
        (sessions(&served, "opened"), sessions(&served, "stopping")),
        (20, 20),
        "{}",
        served.finished.stdout
    );
}

#[test]
fn empty_and_largest_datagrams_go_both_ways() {
    let upstream = Upstream::at("127.0.0.1:0");
    let daemon = relay(upstream.address, "");
    let client = daemon.client(0);
    for len in [0, 1, 2, 1472, 1473, 9000, 65_507] {
        let payload: Vec<u8> = (0..len).map(|n: usize| u8::try_from(n % 251).unwrap()).collect();
        client.expect_echo(&payload);
    }
    assert_eq!(daemon.stop().sent("relay", "sent"), 7);
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
    // One after the other: none may be on its way when the server is there again.
    for nth in 1..=3 {
        client.send(b"nobody is there");
        daemon.process.wait_for_stderr_times(": refused", nth);
    }
    let _upstream = Upstream::at(&address.to_string());
    client.expect_echo(b"after");
    let served = daemon.stop();
    // The same session, and so the same port.
    assert_eq!(sessions(&served, "opened"), 1, "{}", served.finished.stdout);
    assert_eq!(
        (sessions(&served, "sent"), sessions(&served, "dropped")),
        (5, 0),
        "{}",
        served.finished.stdout
    );
}

#[test]
fn an_idle_session_ends_and_the_next_datagram_opens_another() {
    let upstream = Upstream::at("127.0.0.1:0");
    let mut daemon = relay(upstream.address, ",idle=300ms");
    let client = daemon.client(0);
    client.expect_echo(b"first");
    daemon.process.wait_for_stderr(": idle");
    client.expect_echo(b"second");
    let served = daemon.stop();
    assert_eq!(sessions(&served, "opened"), 2, "{}", served.finished.stdout);
    assert!(sessions(&served, "idle") >= 1, "{}", served.finished.stdout);
}

#[test]
fn more_sessions_than_a_listener_may_have_are_refused_and_counted() {
    let upstream = Upstream::at("127.0.0.1:0");
    let library = built("example-relay");
    let config = format!(
        "[[listen]]\nname = 'relay'\nbind = '127.0.0.1:0'\nplugin = '{}'\nsessions = 2\noptions = {{ to = '{}' }}\n",
        library.display(),
        upstream.address
    );
    let daemon = polyport().config(&config).serve();
    let clients: Vec<Client> = (0..3).map(|_| daemon.client(0)).collect();
    clients[0].expect_echo(b"one");
    clients[1].expect_echo(b"two");
    clients[2].send(b"three");
    clients[0].expect_echo(b"one more");
    let served = daemon.stop();
    assert_eq!(
        (sessions(&served, "opened"), sessions(&served, "limit")),
        (2, 1),
        "{}",
        served.finished.stdout
    );
    assert_eq!(served.received("relay", "on_purpose"), 1);
}

/// The handler in C, compiled against the header; none without a compiler.
fn in_c(to: SocketAddr) -> Option<(Daemon, tempfile::TempDir)> {
    let dir = tempfile::tempdir().unwrap();
    let library = compile_c(&fixture("sessions"), &[], dir.path(), "sessions")?;
    let handler = format!("{},name=c,to={to}", spec("127.0.0.1:0", &library));
    Some((polyport().arg("-v").listen(handler).listen("127.0.0.1:0=echo,name=neighbour").serve(), dir))
}

#[test]
fn forged_and_dead_sessions_are_refused_and_counted() {
    let upstream = Upstream::at("127.0.0.1:0");
    let Some((daemon, _dir)) = in_c(upstream.address) else { return };
    let (client, neighbour) = (daemon.client(0), daemon.client(1));
    client.expect_echo(b"before");
    client.send(b"h");
    neighbour.expect_echo(b"next door");
    client.expect_echo(b"after");
    client.send(b"d");
    client.send(b"z");
    client.expect_echo(b"by another session");
    let served = daemon.stop();
    let out = &served.finished.stdout;
    assert_eq!(served.counted("c", "faults"), 0, "{out}");
    // One of five is known to be bad by its session only.
    assert_eq!((served.sent("c", "bad_tx"), sessions_of(&served, "bad_tx")), (4, 1), "{out}");
    assert_eq!(served.sent("c", "session_closed") + sessions_of(&served, "session_closed"), 3, "{out}");
    assert_eq!((sessions_of(&served, "opened"), sessions_of(&served, "asked")), (2, 1), "{out}");
    // Six requests of the attack, and the second close.
    assert_eq!(sessions_of(&served, "requests"), 7, "{out}");
}

fn sessions_of(served: &Served, what: &str) -> u64 {
    served.sent("c sessions", what)
}

#[test]
fn a_handler_that_breaks_finds_its_sessions_again() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(DEADLINE)).unwrap();
    let Some((mut daemon, _dir)) = in_c(server.local_addr().unwrap()) else { return };
    let client = daemon.client(0);
    let mut buffer = [0; 100];
    client.send(b"one");
    let (_, before) = server.recv_from(&mut buffer).unwrap();
    client.send(b"F");
    daemon.process.wait_for_stderr("the handler is made again");
    // What comes meanwhile waits in the kernel.
    server.send_to(b"answer", before).unwrap();
    assert_eq!(client.receive(), b"answer");
    client.send(b"two");
    let (len, after) = server.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..len], after), (&b"two"[..], before), "the same session by the same port");
    let served = daemon.stop();
    assert_eq!((served.counted("c", "faults"), served.counted("c", "restarts")), (1, 1));
    assert_eq!((sessions_of(&served, "opened"), sessions_of(&served, "restart")), (1, 0));
}
