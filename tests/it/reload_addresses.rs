//! A reload adds and removes addresses: what stays keeps its socket and loses nothing, and what cannot be had changes
//! nothing.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use polyport_tests::client::Client;
use polyport_tests::daemon::Daemon;
use polyport_tests::strace::Strace;
use polyport_tests::{Launch, ports, wait};
use rustix::process::{Resource, Rlimit, Signal, prlimit};

use crate::polyport;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
}

/// A daemon with its configuration in a directory `etc`, and the path of the file.
fn configured(text: &str) -> (Launch, PathBuf) {
    let launch = polyport();
    let etc = launch.dir().join("etc");
    fs::create_dir(&etc).unwrap();
    let file = etc.join("polyport.toml");
    write(&file, text);
    (launch.arg("-c").arg(&file), file)
}

fn listen(name: &str, bind: &str, more: &str) -> String {
    format!("[[listen]]\nname = \"{name}\"\nbind = \"{bind}\"\nplugin = \"echo\"\n{more}\n")
}

/// The inodes of the sockets of a process, as `ss -e` shows them.
fn inodes(daemon: &Daemon) -> Vec<String> {
    let links = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap();
    let links = links.filter_map(|link| fs::read_link(link.unwrap().path()).ok());
    let mut sockets: Vec<_> =
        links.map(|link| link.display().to_string()).filter(|link| link.starts_with("socket:")).collect();
    sockets.sort();
    // Some are there by several descriptors, and the first reload adds one of them.
    sockets.dedup();
    sockets
}

/// The inode of the UDP socket that is bound to a port of 127.0.0.1: `/proc/net/udp`.
pub(crate) fn inode_of(port: u16) -> String {
    let table = fs::read_to_string("/proc/net/udp").unwrap();
    let local = format!("0100007F:{port:04X}");
    let line = table.lines().find(|line| line.split_whitespace().nth(1) == Some(&local));
    line.unwrap_or_else(|| panic!("{port}: {table}")).split_whitespace().nth(9).unwrap().to_owned()
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::new(LOCALHOST, port)
}

/// R44: what stays has the very same socket, with what waits in it.
#[test]
fn addresses_come_and_go_and_what_stays_keeps_its_socket() {
    let first = ports::free_range(&[LOCALHOST], 8, 400);
    let range =
        |from: u16, to: u16| listen("many", &format!("127.0.0.1:{}-{}", first + from, first + to), "");
    let (launch, file) = configured(&range(0, 3));
    let mut daemon = launch.serve();
    let clients: Vec<_> = (0..8).map(|n| Client::of(at(first + n))).collect();
    clients[2].expect_echo(b"before");
    let stays: Vec<_> = (2..4).map(|n| inode_of(first + n)).collect();
    write(&file, &(range(2, 6) + &listen("six", "[::1]:0", "")));
    let told = daemon.reload(1);
    assert!(told.contains("reloaded: 4 addresses added, 2 addresses removed, in "), "{told}");
    (2..7).for_each(|n| clients[n].expect_echo(b"after"));
    assert_eq!((2..4).map(|n| inode_of(first + n)).collect::<Vec<_>>(), stays);
    for gone in [0, 1] {
        UdpSocket::bind(at(first + gone)).expect("its address is free again");
    }
    // A setting of the socket and a group come along, and the socket stays.
    write(
        &file,
        &range(2, 6).replace("\"echo\"", "\"echo\"\nrecv_buffer = \"64KiB\"\nreply.ttl = \"decay\""),
    );
    let told = daemon.reload(2);
    assert!(told.contains("reloaded: 5 addresses changed, 1 address removed, in "), "{told}");
    (2..7).for_each(|n| clients[n].expect_echo(b"with other settings"));
    assert_eq!((2..4).map(|n| inode_of(first + n)).collect::<Vec<_>>(), stays);
    let served = daemon.stop();
    assert_eq!(served.received("many", "replied"), 11, "{}", served.finished.stdout);
    assert_eq!(served.received("six", "received"), 0, "who is gone is in the books");
}

#[test]
fn a_group_is_joined_and_left_by_the_socket_that_is_there() {
    let text = |join: &str| listen("group", "0.0.0.0:0", join);
    let (launch, file) = configured(&text(""));
    let mut daemon = launch.serve();
    let joined = |group: &str| fs::read_to_string("/proc/net/igmp").unwrap().contains(group);
    // 239.255.213.77 as the kernel writes it.
    let hex = "4DD5FFEF";
    assert!(!joined(hex));
    let before = inodes(&daemon);
    write(&file, &text("join = \"239.255.213.77 on lo\""));
    assert!(daemon.reload(1).contains("reloaded: 1 address changed") && joined(hex));
    write(&file, &text("join = \"239.255.213.77 on 999999\""));
    assert!(daemon.reload(2).contains("not reloaded: 1 problem"));
    assert!(joined(hex), "as before");
    write(&file, &text(""));
    daemon.reload(3);
    assert!(!joined(hex));
    assert_eq!(inodes(&daemon), before);
    drop(daemon.stop());
}

/// R38, R45, and a port that somebody else has: told in words, nothing has changed, and nothing is left open.
#[test]
fn what_cannot_be_bound_changes_nothing() {
    let first = ports::free_range(&[LOCALHOST], 3, 600);
    let text = listen("stays", &format!("127.0.0.1:{first}"), "");
    let (launch, file) = configured(&text);
    let mut daemon = launch.serve();
    let client = Client::of(at(first));
    let taken = UdpSocket::bind(at(first + 2)).unwrap();
    let before = inodes(&daemon);
    let mut nth = 0;
    let mut refused = |daemon: &mut Daemon, more: &str, words: &[&str]| {
        nth += 1;
        let from = daemon.process.stderr().len();
        write(&file, more);
        let told = daemon.reload(nth);
        assert!(told.contains("everything is served as before"), "{told}");
        let said = &daemon.process.stderr()[from..];
        words.iter().for_each(|word| assert!(said.contains(word), "{word}: {said}"));
        client.expect_echo(b"as before");
        assert_eq!(inodes(daemon), before, "{more}");
    };
    let more = |bind: &str| text.clone() + &listen("more", bind, "");
    let range = format!("127.0.0.1:{}-{}", first + 1, first + 2);
    refused(
        &mut daemon,
        &more(&range),
        &[&format!("ss -ulnp sport = {}", first + 2), "polyport.toml:8:8", "^"],
    );
    drop(taken);
    refused(
        &mut daemon,
        &more("192.0.2.7:4000"),
        &["no interface of this host has the address 192.0.2.7", "^"],
    );
    // The old address goes only with the switch, and the new one needs its place.
    let wild = listen("stays", &format!("0.0.0.0:{first}"), "");
    refused(&mut daemon, &wild, &["as long as", "take the old address out by one reload"]);
    // A handler that refuses, behind many that do not.
    let nowhere = listen("heard", "127.0.0.1:0", "options = { record = \"pcapng\", file = \"/no/such/x\" }");
    let many = text.clone() + &listen("many", &format!("127.0.0.1:{}", first + 1), "");
    refused(
        &mut daemon,
        &(many + &nowhere.replace("\"echo\"", "\"listener\"")),
        &["listener `heard`", "/no/such/x"],
    );
    drop(daemon.stop());
}

/// R38: the limit of now counts, not that of the start. The soft one is raised, as far as the hard one goes.
#[test]
fn fewer_descriptors_than_needed_leave_everything_as_it_was() {
    let first = ports::free_range(&[LOCALHOST], 1, 1500);
    let some = ports::free_range(&[LOCALHOST], 200, 1600);
    let text = listen("stays", &format!("127.0.0.1:{first}"), "");
    let more = |to: u16| text.clone() + &listen("more", &format!("127.0.0.1:{some}-{to}"), "");
    let (launch, file) = configured(&text);
    let mut daemon = launch.serve();
    let limited = Rlimit { current: Some(60), maximum: Some(300) };
    prlimit(Some(daemon.process.pid()), Resource::Nofile, limited).unwrap();
    write(&file, &more(some + 199));
    let told = daemon.reload(1);
    assert!(told.contains("reloaded: 200 addresses added"), "{told}");
    Client::of(at(some + 199)).expect_echo(b"with more than 60");
    let before = inodes(&daemon);
    write(&file, &(more(some + 199) + &listen("many", "127.7.7.9:20000-21999", "")));
    let told = daemon.reload(2);
    assert!(told.contains("everything is served as before"), "{told}");
    let stderr = daemon.process.stderr();
    assert!(stderr.contains("2201 addresses need 2265 file descriptors, and the limit is 300"), "{stderr}");
    assert_eq!(inodes(&daemon), before);
    Client::of(at(first)).expect_echo(b"as before");
    drop(daemon.stop());
}

/// R45: twenty of them, each shown at its place.
#[test]
fn twenty_broken_files_change_nothing() {
    let first = ports::free_range(&[LOCALHOST], 2, 900);
    let text = listen("stays", &format!("127.0.0.1:{first}"), "");
    let (launch, file) = configured(&text);
    let mut daemon = launch.serve();
    let client = Client::of(at(first));
    let before = inodes(&daemon);
    let more = |text: &str| format!("[[listen]]\n{text}\n");
    let broken = [
        "oops".to_owned(),
        "[listen".to_owned(),
        "x = \"".to_owned(),
        more("bind = \"127.0.0.1\"\nplugin = \"echo\""),
        more("bind = \"127.0.0.1:99999\"\nplugin = \"echo\""),
        more("bind = \"127.0.0.1:9-7\"\nplugin = \"echo\""),
        more("bind = \"300.0.0.1:7\"\nplugin = \"echo\""),
        more("bind = 7\nplugin = \"echo\""),
        more("bind = \"127.0.0.1:0\"\nplugin = \"ecko\""),
        more("bind = \"127.0.0.1:0\""),
        more("plugin = \"echo\""),
        more("bind = \"127.0.0.1:0\"\nplugin = \"echo\"\nname = \"stays\""),
        more(&format!("bind = \"127.0.0.1:{first}\"\nplugin = \"echo\"")),
        more("bind = \"127.0.0.1:0\"\nplugin = \"echo\"\nrecv_bufer = \"1MiB\""),
        more("bind = \"127.0.0.1:0\"\nplugin = \"echo\"\nrecv_buffer = \"much\""),
        more("bind = \"127.0.0.1:0\"\nplugin = \"echo\"\njoin = \"10.0.0.1\""),
        more("bind = \"127.0.0.1:0\"\nplugin = \"lossy\"\noptions = { loss = \"110%\" }"),
        more("bind = \"127.0.0.1:0\"\nplugin = \"echo\"\non_fault = \"maybe\""),
        "[limits]\nvisit_datagrams = 0\n".to_owned(),
        "[sandbox]\nbroker = \"maybe\"\n".to_owned(),
    ];
    for (nth, more) in (1..).zip(&broken) {
        let from = daemon.process.stderr().len();
        write(&file, &(text.clone() + more));
        let told = daemon.reload(nth);
        assert!(
            told.contains("not reloaded: ") && told.contains("everything is served as before"),
            "{more}: {told}"
        );
        let said = &daemon.process.stderr()[from..];
        assert!(said.contains("polyport.toml:") && said.contains('^'), "{more}: {said}");
        client.expect_echo(b"as before");
        assert_eq!(inodes(&daemon), before, "{more}");
    }
    drop(daemon.stop());
}

/// 10,000 addresses in one reload, and out again, under traffic on those that stay, which lose nothing.
#[test]
fn ten_thousand_addresses_come_and_go_and_nobody_else_loses_a_datagram() {
    let first = ports::free_range(&[LOCALHOST], 2, 1200);
    let own = IpAddr::V4(Ipv4Addr::new(127, 7, 7, 7));
    let text = listen("stays", &format!("127.0.0.1:{first}-{}", first + 1), "");
    let (launch, file) = configured(&text);
    let mut daemon = launch.serve();
    let before = inodes(&daemon);
    let ends = AtomicBool::new(false);
    let asked = thread::scope(|scope| {
        let traffic = scope.spawn(|| {
            let clients = [0, 1].map(|n| Client::of(at(first + n)));
            let mut asked = 0;
            while !ends.load(Ordering::Relaxed) {
                clients.iter().for_each(|client| client.expect_echo(b"all the time"));
                asked += 2;
            }
            asked
        });
        write(&file, &(text.clone() + &listen("many", "127.7.7.7:20000-29999", "")));
        let told = daemon.reload(1);
        let is_added = told.contains("reloaded: 10000 addresses added, in ");
        let answers: Vec<_> = [20_000, 25_000, 29_999]
            .iter()
            .filter(|_| is_added)
            .map(|port| Client::of(SocketAddr::new(own, *port)).ask(b"?"))
            .collect();
        write(&file, &text);
        let removed = daemon.reload(2);
        ends.store(true, Ordering::Relaxed);
        assert!(is_added, "{told}");
        assert_eq!(answers, [b"?", b"?", b"?"]);
        assert!(removed.contains("reloaded: 10000 addresses removed, in "), "{removed}");
        traffic.join().unwrap()
    });
    assert_eq!(inodes(&daemon), before);
    let served = daemon.stop();
    assert_eq!((served.received("stays", "received"), served.received("stays", "replied")), (asked, asked));
    assert_eq!(served.received("many", "replied"), 3);
}

/// The kernel frees closed sockets in the midst of what runs where they were closed, hundreds at a time: the loop closes none of those that go.
#[test]
fn the_loop_closes_no_socket_of_those_that_go() {
    const MANY: usize = 300;
    let first = ports::free_range(&[LOCALHOST], 1, 1250);
    let text = listen("stays", &format!("127.0.0.1:{first}"), "");
    let many = listen("many", "127.7.7.10:20000-20299", "");
    let (launch, file) = configured(&(text.clone() + &many));
    let mut daemon = launch.serve();
    let before = inodes(&daemon);
    let Some(strace) = Strace::attach(&daemon, "close", &[]) else { return };
    write(&file, &text);
    let told = daemon.reload(1);
    assert!(told.contains("reloaded: 300 addresses removed, in "), "{told}");
    // Told is what is done.
    assert_eq!(before.len() - inodes(&daemon).len(), MANY);
    UdpSocket::bind("127.7.7.10:20299").expect("its address is free");
    let trace = strace.detach();
    let by_loop = trace.calls_of(daemon.pid().parse().unwrap(), &["close"]);
    assert!(trace.calls(&["close"]) >= MANY && by_loop < MANY / 10, "{by_loop}:\n{}", trace.text());
    drop(daemon.stop());
}

/// Signals while a reload that adds is under way, and the end in the midst of one.
#[test]
fn the_end_comes_in_the_midst_of_a_reload() {
    let first = ports::free_range(&[LOCALHOST], 1, 1400);
    let text = listen("stays", &format!("127.0.0.1:{first}"), "");
    let (launch, file) = configured(&text);
    let mut daemon = launch.serve();
    write(&file, &(text + &listen("many", "127.7.7.8:20000-23999", "")));
    (0..5).for_each(|_| daemon.process.signal(Signal::HUP));
    daemon.process.wait_for_stderr("reloading (SIGHUP)");
    Client::of(at(first)).expect_echo(b"before the end");
    let served = daemon.stop();
    assert_eq!(served.received("stays", "replied"), 1);
    wait::until("the addresses are free", || {
        UdpSocket::bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 7, 7, 8)), 20_000)).is_ok()
    });
}
