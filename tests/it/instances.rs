//! Plugins that are made once for all addresses of a listener: a range of ports, IPv4 and IPv6, one instance.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;

#[cfg(target_os = "linux")]
use polyport_tests::plugins::spec;
use polyport_tests::plugins::{built, compile_c, fixture};
use polyport_tests::{Client, DEADLINE, Daemon, ports};

use crate::polyport;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn census() -> PathBuf {
    built("census")
}

/// The answer of an address to a datagram.
#[track_caller]
fn ask(client: &Client, datagram: &[u8]) -> String {
    String::from_utf8(client.ask(datagram)).unwrap()
}

/// A daemon whose listener `all` has so many ports of 127.0.0.1, and as many of `::1`.
fn both_families(library: &std::path::Path, count: u16, offset: u16) -> (Daemon, Vec<SocketAddr>) {
    let ips = [LOCALHOST, "::1".parse().unwrap()];
    let first = ports::free_range(&ips, count, offset);
    let last = first + count - 1;
    let toml = format!(
        "[[listen]]\nname = \"all\"\nplugin = \"{}\"\nbind = [\"127.0.0.1:{first}-{last}\", \"[::1]:{first}-{last}\"]\n",
        library.display()
    );
    let daemon = polyport().config(&toml).serve();
    let addresses = ips.iter().flat_map(|ip| (first..=last).map(move |port| SocketAddr::new(*ip, port)));
    (daemon, addresses.collect())
}

#[test]
fn a_range_of_ports_of_both_families_has_one_instance() {
    let (daemon, addresses) = both_families(&census(), 20, 11_000);
    for (number, address) in addresses.iter().enumerate() {
        assert_eq!(ask(&Client::of(*address), b"n"), format!("{} {number} 40", number + 1));
    }
    // From a timer, by the address that was asked.
    let client = Client::of(addresses[33]);
    assert_eq!(client.ask(b"\x06later"), b"\x06later");
    let served = daemon.stop();
    assert_eq!(served.received("all", "received"), 41);
    assert_eq!((served.counted("all", "seen_total"), served.counted("all", "instances")), (41, 1));
    assert!(served.finished.stderr.contains("41 datagrams at 40 addresses"), "{}", served.finished.stderr);
}

/// Answers leave by any address that the handler names, whatever was asked.
#[test]
fn an_answer_leaves_by_the_address_that_is_named() {
    let (daemon, addresses) = both_families(&census(), 3, 11_100);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut answer = [0; 16];
    for other in [2, 0, 1] {
        socket.send_to(format!("o{other}").as_bytes(), addresses[0]).unwrap();
        let (n, from) = socket.recv_from(&mut answer).unwrap();
        assert_eq!((&answer[..n], from), (format!("o{other}").as_bytes(), addresses[other]));
    }
    // There is no such address.
    socket.send_to(b"o9", addresses[0]).unwrap();
    socket.send_to(b"n", addresses[1]).unwrap();
    let (n, _) = socket.recv_from(&mut answer).unwrap();
    assert_eq!(&answer[..n], b"5 1 6");
    assert_eq!(daemon.stop().sent("all", "bad_tx"), 1);
}

/// One break, one line for it, one for the pause and one for the return; not one of each for every address.
#[test]
fn all_addresses_break_and_come_back_together() {
    let (daemon, addresses) = both_families(&census(), 50, 11_200);
    let clients: Vec<_> = addresses.iter().map(|address| Client::of(*address)).collect();
    clients.iter().for_each(|client| assert_eq!(client.ask(b"x"), b"x"));
    clients[60].send(b"p");
    // It takes its count along: a hundred before, and the poison.
    let back = clients[7].ask_until_answered(b"n", 1000);
    let (seen, rest) = std::str::from_utf8(&back).unwrap().split_once(' ').unwrap();
    assert!(seen.parse::<u64>().unwrap() > 101 && rest == "7 100", "{seen} {rest}");
    clients.iter().for_each(|client| assert_eq!(client.ask(b"y"), b"y"));
    let served = daemon.stop();
    assert_eq!((served.counted("all", "faults"), served.counted("all", "restarts")), (1, 1));
    let log = &served.finished.stderr;
    for (what, times) in [("broke in on_batch", 1), ("is made again in", 1), ("the handler is back", 1)] {
        assert_eq!(log.matches(what).count(), times, "{what}:\n{log}");
    }
    assert!(log.contains("and 99 more addresses (plugin census): the handler is back"), "{log}");
}

#[test]
fn a_plugin_in_c_gathers_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = compile_c(&fixture("gathers"), &[], dir.path(), "gathers") else { return };
    let (daemon, addresses) = both_families(&library, 2, 11_400);
    let clients: Vec<_> = addresses.iter().map(|address| Client::of(*address)).collect();
    for (number, client) in clients.iter().enumerate() {
        assert_eq!(ask(client, b"n"), format!("{} {number} 4", number + 1));
    }
    // By the last address, which is of the other family: the kernel has no way there, and the books say so.
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.send_to(b"o", addresses[0]).unwrap();
    socket.send_to(b"x", addresses[0]).unwrap();
    // The timer says by each address who asked last; those of its family reach it.
    socket.send_to(b"t", addresses[3 - 2]).unwrap();
    let mut answer = [0; 16];
    let mut from: Vec<_> = (0..2)
        .map(|_| {
            let (n, from) = socket.recv_from(&mut answer).unwrap();
            assert_eq!(&answer[..n], b"by");
            from
        })
        .collect();
    from.sort();
    assert_eq!(from, addresses[..2]);
    clients[3].send(b"f");
    let back = clients[0].ask_until_answered(b"n", 1000);
    assert!(String::from_utf8_lossy(&back).ends_with(" 0 4"), "{back:?}");
    let served = daemon.stop();
    assert_eq!((served.counted("all", "faults"), served.sent("all", "bad_tx")), (1, 1));
}

/// The watchdog and the tools name the listener, and say how its instances are made.
#[test]
fn tools_say_how_instances_are_made() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(census(), dir.path().join("libpolyport_census.so")).unwrap();
    let list = polyport().args(&["plugin", "list", "--plugin-dir"]).arg(dir.path()).run();
    assert!(list.stdout.contains("one instance for all addresses of a listener"), "{}", list.stdout);
    for (name, instance) in [("census", "listener"), ("echo", "address")] {
        let inspect = |more: &[&str]| {
            polyport()
                .args(&["plugin", "inspect", name])
                .args(more)
                .arg("--plugin-dir")
                .arg(dir.path())
                .run()
                .stdout
        };
        let json: serde_json::Value = serde_json::from_str(&inspect(&["--json"])).unwrap();
        assert_eq!(json["instance"], instance, "{name}");
        let text = inspect(&[]);
        let words = if instance == "listener" {
            "one for all addresses of a listener"
        } else {
            "one for each address"
        };
        assert!(text.contains(words), "{text}");
    }
}

/// As many addresses as this machine allows files, 50,000 at most, cost one instance: its counter says so, every part of the range
/// answers, it breaks once for all, and is destroyed once. (`tests/sim/bundles.rs` has 50,000 anywhere.)
#[cfg(target_os = "linux")]
#[test]
fn tens_of_thousands_of_addresses_have_one_instance() {
    const MOST: u64 = 50_000;
    const FIRST: u16 = 10_000;
    let Some(host) = polyport_tests::network::Host::alone() else { return };
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    // Besides its sockets a daemon has some files of its own.
    let ports = u16::try_from(limit.maximum.unwrap_or(MOST).saturating_sub(200).min(MOST)).unwrap();
    let ip = Ipv4Addr::LOCALHOST;
    let range = format!("{ip}:{FIRST}-{}", FIRST + ports - 1);
    let under_test = env!("CARGO_BIN_EXE_polyport-under-test");
    let listen = format!("{},name=all", spec(range, &census()));
    let mut daemon = host.launch(under_test).listen(listen).serve();
    let asked: Vec<_> = (0..ports).step_by(997).chain([ports - 1]).collect();
    host.inside(|| {
        for (count, number) in asked.iter().enumerate() {
            let client = Client::of((ip, FIRST + number).into());
            assert_eq!(ask(&client, b"n"), format!("{} {number} {ports}", count + 1));
        }
        Client::of((ip, FIRST + 1).into()).send(b"p");
    });
    daemon.process.wait_for_stderr("the handler is back");
    host.inside(|| assert_eq!(Client::of((ip, FIRST + ports - 1).into()).ask(b"x"), b"x"));
    let served = daemon.stop();
    assert_eq!((served.counted("all", "faults"), served.counted("all", "instances")), (1, 1));
    assert_eq!(served.finished.stderr.matches("the handler is back").count(), 1);
    let last_words = format!(" datagrams at {ports} addresses\n");
    assert_eq!(served.finished.stderr.matches(&last_words).count(), 1, "destroyed once");
}
