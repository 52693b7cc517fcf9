//! Sessions, ports, descriptors, strangers: each limit has a counter, and who is served goes on being served.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use polyport_tests::network::Host;
use polyport_tests::strangers::Strangers;
use polyport_tests::tool::tool;
use polyport_tests::upstream::Upstream;
use polyport_tests::{Client, Launch};

use super::{counted, relay, sessions};
use crate::polyport;

/// More than a handler opens in one call. Those that find no room are refused, and get a session by their next datagram.
#[test]
fn sixty_five_new_clients_at_once_all_get_a_session() {
    let upstream = Upstream::at("127.0.0.1:0");
    let daemon = relay(upstream.address, "");
    let clients: Vec<Client> = (0..65).map(|_| daemon.client(0)).collect();
    daemon.process.freeze();
    clients.iter().for_each(|client| client.send(b"first"));
    daemon.process.thaw();
    for client in &clients {
        assert_eq!(client.ask_until_answered(b"first", 60), b"first");
    }
    let served = daemon.stop();
    assert_eq!((counted(&served, "opened_total"), counted(&served, "refused_opens_total")), (65, 0));
    // 64 of them in one call, and the last in another, or refused at first.
    assert!(counted(&served, "refused_sessions_total") <= 1);
}

#[test]
fn beyond_the_limit_newcomers_are_refused_or_the_oldest_end() {
    for (full, refused, ended) in [("refuse", 3, 0), ("oldest", 0, 3)] {
        let upstream = Upstream::at("127.0.0.1:0");
        let daemon = relay(upstream.address, &format!(",sessions=2,full={full}"));
        let clients: Vec<Client> = (0..5).map(|_| daemon.client(0)).collect();
        clients[..2].iter().for_each(|client| client.expect_echo(b"one of two"));
        for client in &clients[2..] {
            if refused > 0 { client.send(b"one too many") } else { client.expect_echo(b"in its place") }
        }
        daemon.client(1).expect_echo(b"the neighbour");
        // Behind all of them.
        clients[if refused > 0 { 0 } else { 4 }].expect_echo(b"has one");
        let served = daemon.stop();
        assert_eq!(counted(&served, "refused_sessions_total"), refused);
        assert_eq!(counted(&served, "closed_full_total"), ended);
    }
}

/// The listener allows no more than the relay, so the oldest has to go before another one comes: by the second datagram at the latest.
#[test]
fn the_oldest_end_as_well_where_the_listener_has_the_same_limit() {
    for own in ["sessions = 2, ", ""] {
        let upstream = Upstream::at("127.0.0.1:0");
        let config = format!(
            "[[listen]]\nname = 'relay'\nbind = '127.0.0.1:0'\nplugin = 'relay'\nsessions = 2\n\
             options = {{ to = '{}', {own}full = 'oldest' }}\n",
            upstream.address
        );
        let daemon = polyport().config(&config).serve();
        let clients: Vec<Client> = (0..6).map(|_| daemon.client(0)).collect();
        clients[..2].iter().for_each(|client| client.expect_echo(b"one of two"));
        for client in &clients[2..] {
            client.send(b"comes too early");
            // In its place behind that one.
            assert_eq!(client.ask_until_answered(b"in its place", 60), b"in its place");
        }
        let served = daemon.stop();
        let out = &served.finished.stdout;
        let count = |what: &str| counted(&served, what);
        assert_eq!((count("refused_sessions_total"), count("closed_full_total")), (4, 4), "{out}");
        assert_eq!((sessions(&served, "opened"), sessions(&served, "limit")), (6, 4), "{out}");
        served.finished.expect_stderr(&["silent for longest", "open at the end"]);
    }
}

/// Ten ports, and more clients than that. The neighbour is served; another source address has ten more.
#[test]
fn where_ports_are_used_up_others_are_served_and_another_source_has_more() {
    for (source, most) in [("", 10), ("source = ['127.0.0.2', '127.0.0.3']", 20)] {
        let Some(host) = Host::alone() else { return };
        host.inside(|| std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "20000 20009").unwrap());
        let _upstream = Upstream::of(host.inside(|| UdpSocket::bind("127.0.0.9:9000").unwrap()));
        let config = format!(
            "[[listen]]\nname = 'relay'\nbind = '127.0.0.1:7000'\nplugin = 'relay'\n\
             options = {{ to = '127.0.0.9:9000', {source} }}\n\
             [[listen]]\nname = 'neighbour'\nbind = '127.0.0.1:7001'\nplugin = 'echo'\n"
        );
        let daemon = host.launch(env!("CARGO_BIN_EXE_polyport-under-test")).config(&config).serve();
        let [relay, neighbour] = [7000, 7001].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        host.inside(|| {
            let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
            let clients: Vec<Client> = (0..30).map(|n| Client::from(local(30_000 + n), relay)).collect();
            let beside = Client::from(local(31_000), neighbour);
            for round in 0..3 {
                for client in &clients {
                    client.send(b"hello");
                }
                beside.expect_echo(format!("round {round}").as_bytes());
            }
            // Who has a session is served.
            assert_eq!(clients[0].ask_until_answered(b"hello", 60), b"hello");
        });
        let served = daemon.stop();
        let out = &served.finished.stdout;
        assert!(counted(&served, "refused_port_total") >= 1, "{out}");
        let held = counted(&served, "opened_total") - counted(&served, "failed_total");
        assert!(held <= most && (source.is_empty() || held > 10), "{held}: {out}");
        served.finished.expect_stderr(&["no session can be opened", "ip_local_port_range"]);
    }
}

/// With 256 descriptors the daemon keeps some for everything else; what is left is the limit of sessions. When even those are
/// taken away while it runs, no session is made, and nobody suffers who has one.
#[test]
fn where_descriptors_are_used_up_others_are_served() {
    let upstream = Upstream::at("127.0.0.1:0");
    let program = env!("CARGO_BIN_EXE_polyport-under-test");
    let Some(prlimit) = tool("prlimit") else { return };
    let launch = Launch::new(&prlimit).arg("--nofile=256").arg("--").arg(program);
    let relay = format!("127.0.0.1:0=relay,name=relay,to={}", upstream.address);
    let daemon = launch.listen(relay).listen("127.0.0.1:0=echo,name=neighbour").serve();
    let clients: Vec<Client> = (0..40).map(|_| daemon.client(0)).collect();
    clients[..20].iter().for_each(|client| client.expect_echo(b"one of many"));
    // As many as are open now, and none more.
    let open = std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count();
    let limit = Command::new(&prlimit)
        .arg(format!("--pid={}", daemon.pid()))
        .arg(format!("--nofile={open}"))
        .status();
    assert!(limit.unwrap().success());
    for client in &clients[20..] {
        client.send(b"no descriptor is left");
    }
    daemon.client(1).expect_echo(b"the neighbour");
    clients[..20].iter().for_each(|client| client.expect_echo(b"has one"));
    let served = daemon.stop();
    let out = &served.finished.stdout;
    // A number between others may have been free.
    let [opened, failed, refused] =
        ["opened_total", "failed_total", "refused_file_total"].map(|what| counted(&served, what));
    assert!((20..25).contains(&(opened - failed)) && opened - failed + refused == 40, "{out}");
    served.finished.expect_stderr(&["no descriptor or memory is left"]);
}

/// As many sessions as the descriptors that are left allow, whatever the options say.
#[test]
fn few_descriptors_are_few_sessions() {
    let upstream = Upstream::at("127.0.0.1:0");
    let Some(prlimit) = tool("prlimit") else { return };
    let program = env!("CARGO_BIN_EXE_polyport-under-test");
    let launch = Launch::new(&prlimit).arg("--nofile=256").arg("--").arg(program);
    let relay = format!("127.0.0.1:0=relay,name=relay,opens=0,to={}", upstream.address);
    let daemon = launch.listen(relay).listen("127.0.0.1:0=echo,name=neighbour").serve();
    let clients: Vec<Client> = (0..300).map(|_| daemon.client(0)).collect();
    for few in clients.chunks(50) {
        few.iter().for_each(|client| client.send(b"hello"));
        daemon.client(1).expect_echo(b"the neighbour");
    }
    assert_eq!(clients[0].receive(), b"hello");
    clients[0].expect_echo(b"has one");
    let served = daemon.stop();
    let [opened, refused] = ["opened_total", "refused_sessions_total"].map(|what| counted(&served, what));
    assert_eq!(opened + refused, 300, "{}", served.finished.stdout);
    assert!((100..256).contains(&opened), "{}", served.finished.stdout);
}

/// Strangers, each with an address of its own, 2,000 a second: `opens` of them get a session each second, the others are dropped
/// before anything is made for them; memory ends to grow when there are as many sessions as may be.
#[test]
fn strangers_cost_what_the_options_allow() {
    /// Rounds of 20 strangers, which take 10 ms at least.
    const ROUNDS: u64 = 300;
    let upstream = Upstream::at("127.0.0.1:0");
    let relay = format!(
        "0.0.0.0:0=relay,name=relay,sessions=200,opens=100,idle=500ms,log=off,to={}",
        upstream.address
    );
    let daemon = polyport().listen(relay).serve();
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, daemon.addresses()[0].port()));
    let honest = Client::of(to);
    assert_eq!(honest.ask_until_answered(b"honest", 60), b"honest");
    let mut strangers = Strangers::new(1 << 20);
    let mut send = || {
        for _ in 0..ROUNDS {
            (0..20).for_each(|_| strangers.send(to, b"from nobody"));
            honest.expect_echo(b"still served");
            assert_eq!(honest.receive_within(Duration::from_millis(10)), None);
        }
        ROUNDS * 20
    };
    let warm = send();
    let before = daemon.anonymous_memory();
    let sent = warm + send();
    let grown = daemon.anonymous_memory().saturating_sub(before);
    // Pages of the allocator, but nothing that grows with strangers.
    assert!(grown < 1 << 20, "{grown} bytes");
    let served = daemon.stop();
    let out = &served.finished.stdout;
    let refused = counted(&served, "refused_opens_total") + counted(&served, "refused_sessions_total");
    let opened = counted(&served, "opened_total");
    assert!(refused + opened <= sent + 2 && refused > sent / 4, "{sent} sent: {out}");
    assert!(counted(&served, "closed_idle_total") > 0, "{out}");
}
