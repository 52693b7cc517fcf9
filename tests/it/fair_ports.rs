//! Many listeners, one loop: none waits for more than its turn. R3, R4, R5.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use polyport_tests::plugins::{compile_c, fixture, spec};
#[cfg(target_os = "linux")]
use polyport_tests::strace::{Strace, Trace};
#[cfg(target_os = "linux")]
use polyport_tests::wait;
use polyport_tests::{Client, DEADLINE, ports, scale};
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_recv_buffer_size_force};

use crate::polyport;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Where no other test binds thousands of ports; elsewhere there is one loopback address only.
const CROWD: IpAddr =
    if cfg!(target_os = "linux") { IpAddr::V4(Ipv4Addr::new(127, 4, 0, 1)) } else { LOCALHOST };

/// R3: a port that is flooded costs its neighbour no answer. How long one takes is not judged here.
#[test]
fn a_flood_on_one_port_leaves_the_others_their_turns() {
    const PINGS: usize = 300;
    let launch = polyport().listen("127.0.0.1:0=echo,name=flooded");
    let daemon = launch.listen("127.0.0.1:0=echo,name=quiet").serve();
    let (flooded, quiet) = (daemon.addresses()[0], daemon.client(1));
    let done = AtomicBool::new(false);
    let sent = thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let socket = UdpSocket::bind((LOCALHOST, 0)).unwrap();
            let mut sent = 0_u64;
            while !done.load(Ordering::Relaxed) {
                socket.send_to(b"and another one", flooded).unwrap();
                sent += 1;
            }
            sent
        });
        let end = End(&done);
        for ping in 0..PINGS {
            quiet.expect_echo(format!("ping {ping}").as_bytes());
        }
        drop(end);
        flood.join().unwrap()
    });
    daemon.wait_until_drained(0);
    let dropped = daemon.queue(0).drops;
    let served = daemon.stop();
    assert_eq!(served.received("quiet", "replied"), PINGS as u64);
    let received = served.received("flooded", "received");
    assert!(received > PINGS as u64 && received + dropped <= sent, "{received} + {dropped} of {sent}");
}

/// Ends a flood also when the test fails in between.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// R4: with all ports ready at once, none gets a visit more than the others before they had theirs.
#[test]
fn ready_ports_take_turns() {
    /// More than a turn has budget for: 600 visits of 4 are 2400 datagrams.
    const PORTS: u16 = 600;
    const EACH: usize = 12;
    const VISIT: usize = 4;
    /// Bytes the kernel counts for a small datagram in a receive queue, and more.
    const ANSWER: usize = 2048;
    let ports = u16::try_from(u32::from(PORTS) * scale()).unwrap_or(u16::MAX).min(10_000);
    let first = ports::free_range(&[CROWD], ports, 0);
    let daemon = polyport()
        .config(&format!(
            "[limits]\nvisit_datagrams = {VISIT}\n[[listen]]\nname = \"range\"\nbind = \"{CROWD}:{first}-{}\"\n\
             plugin = \"echo\"\n",
            first + ports - 1
        ))
        .serve();
    let socket = UdpSocket::bind((LOCALHOST, 0)).unwrap();
    // Room for all answers, if the system gives it: they come faster than a loaded machine may read them.
    let room = usize::from(ports) * EACH * ANSWER;
    set_socket_recv_buffer_size_force(&socket, room)
        .or_else(|_| set_socket_recv_buffer_size(&socket, room))
        .unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    daemon.process.freeze();
    for port in first..first + ports {
        for number in 0..EACH {
            socket.send_to(&number.to_be_bytes(), (CROWD, port)).unwrap();
        }
    }
    daemon.process.thaw();
    let mut answered: BTreeMap<u16, usize> = (first..first + ports).map(|port| (port, 0)).collect();
    for n in 0..usize::from(ports) * EACH {
        let mut number = [0; size_of::<usize>()];
        let received = socket.recv_from(&mut number);
        let (_, from) = received.unwrap_or_else(|error| panic!("{error} after {n} answers: {answered:?}"));
        let had = answered[&from.port()];
        assert_eq!(usize::from_be_bytes(number), had, "the order of port {}", from.port());
        let rounds = had / VISIT;
        let behind = answered.iter().find(|(_, n)| **n < rounds * VISIT);
        assert_eq!(behind, None, "port {} has visit {} before that one", from.port(), rounds + 1);
        answered.insert(from.port(), had + 1);
    }
    assert_eq!(daemon.stop().received("range", "replied"), u64::from(ports) * EACH as u64);
}

/// One call tells of 1024 ready sockets. When more are ready, all are known before any is visited a second time: no port
/// is asked twice before each was asked once.
#[cfg(target_os = "linux")]
#[test]
fn more_ready_ports_than_one_wait_tells_of_take_turns_too() {
    const PORTS: u16 = 1500;
    /// A visit that takes all it may goes on later, and does not wait for an event.
    const VISIT: usize = 2;
    const VISITS: usize = 3;
    let first = ports::free_range(&[CROWD], PORTS, 10_000);
    let config = format!(
        "[limits]\nvisit_datagrams = {VISIT}\n[[listen]]\nname = \"range\"\nbind = \"{CROWD}:{first}-{}\"\n\
         plugin = \"echo\"\n",
        first + PORTS - 1
    );
    let daemon = polyport().config(&config).serve();
    let socket = UdpSocket::bind((LOCALHOST, 0)).unwrap();
    daemon.process.freeze();
    let Some(strace) = Strace::attach(&daemon, "recvmmsg,recvmsg,recvfrom", &[]) else { return };
    for number in 0..VISIT * VISITS {
        for port in first..first + PORTS {
            socket.send_to(&number.to_be_bytes(), (CROWD, port)).unwrap();
        }
    }
    daemon.process.thaw();
    let all = usize::from(PORTS) * VISITS;
    wait::until("every datagram is taken", || descriptors(&strace.so_far()).len() >= all);
    let order = descriptors(&strace.detach());
    for (round, visited) in order.chunks(usize::from(PORTS)).enumerate() {
        let distinct: std::collections::BTreeSet<&str> = visited.iter().map(String::as_str).collect();
        assert_eq!(distinct.len(), usize::from(PORTS), "ports that were visited in round {}", round + 1);
    }
    assert_eq!(daemon.stop().received("range", "received"), (all * VISIT) as u64);
}

/// The descriptors of the calls that brought something, in order: "12  recvmmsg(7, ... = 1".
#[cfg(target_os = "linux")]
fn descriptors(trace: &Trace) -> Vec<String> {
    let lines = trace.text().lines().filter(|line| !line.contains(" = -1 ") && line.contains(" = "));
    lines.filter_map(|line| Some(line.split_once('(')?.1.split_once(',')?.0.to_owned())).collect()
}

/// R5: a handler that takes its time is named and counted, and the others are served between its calls.
#[test]
fn a_slow_handler_is_named_and_its_neighbours_go_on() {
    const CALLS: usize = 6;
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = compile_c(&fixture("slow"), &[], dir.path(), "slow") else { return };
    let slow = spec("127.0.0.1:0", &library) + ",name=slow";
    let mut daemon = polyport().listen(slow).listen("127.0.0.1:0=echo,name=neighbour").serve();
    let (slow, neighbour) = (daemon.client(0), daemon.client(1));
    for call in 0..CALLS {
        slow.send(&[1]);
        neighbour.expect_echo(format!("next door {call}").as_bytes());
        assert_eq!(slow.receive(), [1]);
    }
    daemon.process.wait_for_stderr("listener slow 127.0.0.1");
    daemon.process.wait_for_stderr("the handler took ");
    let served = daemon.stop();
    let report = &served.finished.stdout;
    let (_, counted) =
        report.split_once("slow calls ").unwrap_or_else(|| panic!("no slow calls in:\n{report}"));
    let counted: usize = counted.lines().next().and_then(|n| n.parse().ok()).unwrap();
    assert!((1..=CALLS).contains(&counted), "{report}");
    assert_eq!(report.matches("slow calls").count(), 1, "{report}");
    // One line in ten seconds, however many calls.
    let lines = served.finished.stderr.matches("the handler took ").count();
    assert!((1..=2).contains(&lines), "{}", served.finished.stderr);
    let line = served.finished.stderr.lines().find(|line| line.contains("the handler took ")).unwrap();
    assert!(line.contains("listener slow "), "{line}");
    // It sleeps, so nobody says that it has worked so long.
    assert!(!line.contains(" of it processor time"), "{line}");
    assert_eq!(served.received("neighbour", "replied"), CALLS as u64);
}

/// R9: what arrives between the last receive and the wait is served. A wake-up that is lost is never made up
/// for here: each port waits for the answer before it is asked again.
#[test]
fn no_wake_up_is_lost_between_a_receive_and_the_wait() {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};
    const PORTS: u16 = 100;
    const IN_FLIGHT: usize = 3;
    const LONGEST_GAP: u32 = 1000;
    let exchanges = 100_000 * scale() as usize;
    let first = ports::free_range(&[LOCALHOST], PORTS, 11_000);
    let last = first + PORTS - 1;
    let daemon = polyport().listen(format!("127.0.0.1:{first}-{last}=echo,name=range")).serve();
    let clients: Vec<_> = (first..=last).map(|port| Client::of((LOCALHOST, port).into())).collect();
    let mut rng = StdRng::seed_from_u64(9);
    let mut waiting: std::collections::VecDeque<usize> = std::collections::VecDeque::new();
    for exchange in 0..exchanges {
        let client = rng.random_range(0..clients.len());
        if waiting.contains(&client) {
            continue;
        }
        clients[client].send(&exchange.to_be_bytes());
        waiting.push_back(client);
        // Up to about 50 us, and no sleep, which would be far longer.
        (0..rng.random_range(0..LONGEST_GAP)).for_each(|_| std::hint::spin_loop());
        if waiting.len() > rng.random_range(0..IN_FLIGHT) {
            let client = waiting.pop_front().unwrap();
            assert_eq!(clients[client].receive().len(), size_of::<usize>());
        }
    }
    let left = waiting.len();
    waiting.into_iter().for_each(|client| assert_eq!(clients[client].receive().len(), size_of::<usize>()));
    let served = daemon.stop();
    let replied = served.received("range", "replied");
    assert!(left <= IN_FLIGHT && replied > exchanges as u64 / 2, "{}", served.line("range"));
    assert_eq!(served.sent("range", "sent"), replied);
}
