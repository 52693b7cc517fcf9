//! Many ports in one process: every one answers, and none costs anything while it is idle.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
#[cfg(target_os = "linux")]
use std::sync::atomic::AtomicBool;
#[cfg(target_os = "linux")]
use std::sync::atomic::Ordering::Relaxed;
#[cfg(target_os = "linux")]
use std::thread;
#[cfg(target_os = "linux")]
use std::time::Duration;

#[cfg(target_os = "linux")]
use polyport_tests::wait;
use polyport_tests::{Client, DEADLINE, Daemon, ports};

use crate::polyport;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[test]
fn a_range_of_200_ports_answers_on_every_port() {
    let (daemon, first) = serve_range(200, 1000);
    expect_every_port(first, 200);
    let row = format!("127.0.0.1:{first}-{}", first + 199);
    assert!(daemon.process.stdout().contains(&row), "{}", daemon.process.stdout());
    let served = daemon.stop();
    assert_eq!(served.received("range", "replied"), 200);
}

#[test]
fn a_range_of_2000_ports_answers_on_every_port_and_idles_for_free() {
    let (daemon, first) = serve_range(2000, 3000);
    expect_every_port(first, 2000);
    #[cfg(target_os = "linux")]
    expect_idle_for_free(&daemon, first);
    assert_eq!(daemon.stop().received("range", "replied"), 2000);
}

/// What a port takes besides its slot: the handler, what the host knows of it, and its share of the address table.
#[cfg(target_os = "linux")]
#[test]
fn a_port_takes_less_than_200_bytes_beyond_its_slot() {
    use polyport::reactor::{MioIo, Reactor};
    /// Two sizes, so that what every daemon takes does not count.
    const FEW: u16 = 2000;
    const MANY: u16 = 6000;
    const MOST: u64 = 200;
    // An address that no other test uses.
    let ip = Ipv4Addr::new(127, 3, 0, 1);
    let memory = |count| {
        let first = ports::free_range(&[ip.into()], count, 0);
        let daemon = polyport().listen(format!("{ip}:{first}-{}=echo,name=range", first + count - 1)).serve();
        let anonymous = daemon.anonymous_memory();
        assert_eq!(daemon.stop().received("range", "received"), 0);
        anonymous
    };
    let more = memory(MANY) - memory(FEW);
    let ports = u64::from(MANY - FEW);
    let slots = ports * Reactor::<MioIo>::SLOT_BYTES as u64;
    let each = more.saturating_sub(slots) / ports;
    assert!(more > slots && each < MOST, "{each} bytes a port: {more} in all, {slots} of them slots");
}

#[test]
fn ports_of_one_range_are_handlers_of_their_own() {
    let first = ports::free_range(&[LOCALHOST], 2, 900);
    let library = polyport_tests::plugins::built("fixture-panics");
    let spec = polyport_tests::plugins::spec(format!("127.0.0.1:{first}-{}", first + 1), &library);
    let daemon = polyport().listen(format!("{spec},name=two")).serve();
    let (broken, healthy) =
        (Client::of((LOCALHOST, first).into()), Client::of((LOCALHOST, first + 1).into()));
    broken.send(b"boom");
    healthy.expect_echo(b"nothing happened here");
    assert_eq!(broken.ask_until_answered(b"again", 10), b"again");
    let served = daemon.stop();
    assert_eq!((served.counted("two", "faults"), served.counted("two", "restarts")), (1, 1));
}

/// Under load the loop visits busy listeners without watching their sockets. Afterwards it watches them all again.
#[cfg(target_os = "linux")]
#[test]
fn ports_that_were_busy_are_watched_again_and_idle_for_free() {
    const PORTS: u16 = 64;
    let (daemon, first) = serve_range(PORTS, 7000);
    let watched = || watched_files(&daemon.pid());
    let all = watched();
    assert!(all >= usize::from(PORTS), "{all} files are watched");
    let enough = AtomicBool::new(false);
    let answers = thread::scope(|scope| {
        let load = scope.spawn(|| one_in_flight_on_each(first, PORTS, &enough));
        wait::until("a busy socket is not watched", || watched() < all);
        enough.store(true, Relaxed);
        load.join().unwrap()
    });
    wait::until("every socket is watched again", || watched() == all);
    expect_idle_for_free(&daemon, first);
    expect_every_port(first, PORTS);
    assert_eq!(daemon.stop().received("range", "replied"), answers + u64::from(PORTS));
}

/// Each answer is sent back to its port, until it is enough, or too much. Returns how many answers there were.
#[cfg(target_os = "linux")]
fn one_in_flight_on_each(first: u16, count: u16, enough: &AtomicBool) -> u64 {
    const TOO_MUCH: u64 = 5_000_000;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    (first..first + count).for_each(|port| {
        socket.send_to(b"go", (LOCALHOST, port)).unwrap();
    });
    let (mut answers, mut in_flight) = (0, count);
    while in_flight > 0 {
        let (_, from) = socket.recv_from(&mut [0; 16]).unwrap();
        answers += 1;
        if enough.load(Relaxed) || answers >= TOO_MUCH {
            in_flight -= 1;
        } else {
            socket.send_to(b"go", from).unwrap();
        }
    }
    answers
}

/// Nothing happens for a while, and takes hardly any processor time. A loop that never sleeps would use up to 100 ticks
/// of 10 ms in a second, and a quarter of them on a machine whose cores are shared by four.
#[cfg(target_os = "linux")]
#[track_caller]
fn expect_idle_for_free(daemon: &Daemon, first: u16) {
    const IDLE: Duration = Duration::from_secs(1);
    const FEW_TICKS: u64 = 10;
    let quiet = Client::of((LOCALHOST, first).into());
    let before = daemon.cpu_ticks();
    assert_eq!(quiet.receive_within(IDLE), None);
    let used = daemon.cpu_ticks() - before;
    assert!(used <= FEW_TICKS, "{used} ticks of processor time while nothing happened");
}

/// Files in the epoll instances of a process, as proc(5) shows them.
#[cfg(target_os = "linux")]
fn watched_files(pid: &str) -> usize {
    let infos = std::fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap();
    let text = |info: std::fs::DirEntry| std::fs::read_to_string(info.path()).unwrap_or_default();
    infos.flatten().map(|info| text(info).lines().filter(|line| line.starts_with("tfd:")).count()).sum()
}

/// A daemon with an echo on so many ports in a row, and the first of them.
fn serve_range(count: u16, offset: u16) -> (Daemon, u16) {
    let first = ports::free_range(&[LOCALHOST], count, offset);
    let last = first + count - 1;
    (polyport().listen(format!("127.0.0.1:{first}-{last}=echo,name=range")).serve(), first)
}

/// One socket asks all ports; each has to answer with its own number.
#[track_caller]
fn expect_every_port(first: u16, count: u16) {
    /// So many answers fit the receive buffer of any system.
    const AT_ONCE: usize = 100;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let all: Vec<u16> = (first..first + count).collect();
    for ports in all.chunks(AT_ONCE) {
        for port in ports {
            socket.send_to(port.to_string().as_bytes(), (Ipv4Addr::LOCALHOST, *port)).unwrap();
        }
        let mut missing: BTreeSet<SocketAddr> = ports.iter().map(|p| (LOCALHOST, *p).into()).collect();
        while !missing.is_empty() {
            let mut answer = [0; 16];
            let received = socket.recv_from(&mut answer);
            let (n, from) = received.unwrap_or_else(|error| panic!("{error}; missing: {missing:?}"));
            assert_eq!(String::from_utf8_lossy(&answer[..n]), from.port().to_string());
            assert!(missing.remove(&from), "{from} answered twice");
        }
    }
}
