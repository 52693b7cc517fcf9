//! How many system calls a datagram costs, counted by `strace`: a limit that holds on the slowest machine.

use std::io::IoSlice;
use std::net::UdpSocket;
use std::num::NonZeroU16;
use std::time::Duration;

use polyport_tests::strace::{Strace, Trace};
use polyport_tests::wait;
use polyport_tests::{Client, DEADLINE, Daemon};

use crate::polyport;

const RECEIVE: [&str; 3] = ["recvmmsg", "recvmsg", "recvfrom"];
const SEND: [&str; 3] = ["sendmmsg", "sendmsg", "sendto"];
const WAIT: [&str; 3] = ["epoll_wait", "epoll_pwait", "epoll_pwait2"];
const BOTH: &str = "recvmmsg,recvmsg,recvfrom,sendmmsg,sendmsg,sendto";

/// Queued datagrams of distinct peers: at most one call each way for 16 of them.
#[test]
fn a_batch_of_many_peers_is_received_and_answered_in_few_calls() {
    const PEERS: usize = 32;
    let daemon = polyport().listen("127.0.0.1:0=echo,recv_buffer=1MiB").serve();
    let clients: Vec<Client> = (0..PEERS).map(|_| daemon.client(0)).collect();
    for each in [1, 3, 8] {
        let datagrams = PEERS * each;
        let trace = traced(&daemon, BOTH, || {
            (0..each)
                .for_each(|n| clients.iter().for_each(|client| client.send(format!("no. {n}").as_bytes())));
            daemon.process.thaw();
            for client in &clients {
                (0..each).for_each(|n| assert_eq!(client.receive(), format!("no. {n}").as_bytes()));
            }
        });
        let Some(trace) = trace else { return };
        expect_calls(&trace, &RECEIVE, datagrams.div_ceil(16));
        expect_calls(&trace, &SEND, datagrams.div_ceil(16));
    }
    let all = (PEERS * (1 + 3 + 8)) as u64;
    assert_eq!(daemon.stop().received("echo", "replied"), all);
}

/// One peer in bulk: at most one call each way for 32 datagrams.
#[test]
fn trains_are_received_and_answered_as_trains() {
    const LENGTH: usize = 64;
    const CARS: usize = 32;
    const TRAINS: usize = 8;
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    // Room for all answers: they come while this test may have to wait for a processor.
    let options = polyport_net::SocketOptions { recv_buffer: Some(1 << 20), ..Default::default() };
    let socket = polyport_net::UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
    let to = daemon.addresses()[0];
    let mut send = polyport_net::SendBatch::new(1);
    let train = [7; LENGTH * CARS];
    let mut send_train = || {
        let parts = [IoSlice::new(&train)];
        let segment = NonZeroU16::new(u16::try_from(LENGTH).unwrap());
        let message =
            polyport_net::SendMessage { to, from: None, parts: &parts, segment, tos: 0, hop_limit: None };
        assert_eq!(send.send(&socket, &[message]).unwrap(), 1);
    };
    // The first tells the daemon that this peer sends in bulk.
    send_train();
    expect_train_answers(&socket, CARS, LENGTH);
    let trace = traced(&daemon, BOTH, || {
        (0..TRAINS).for_each(|_| send_train());
        daemon.process.thaw();
        expect_train_answers(&socket, CARS * TRAINS, LENGTH);
    });
    let Some(trace) = trace else { return };
    expect_calls(&trace, &RECEIVE, TRAINS);
    expect_calls(&trace, &SEND, TRAINS);
    assert_eq!(daemon.stop().received("echo", "replied"), (CARS * (TRAINS + 1)) as u64);
}

/// Answers of an upstream come by a socket for each client, and leave to all clients by one. The other way, what was delayed and is
/// due leaves together.
#[test]
fn what_sessions_have_heard_and_what_is_due_by_one_leave_in_few_calls() {
    const PEERS: usize = 32;
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(DEADLINE)).unwrap();
    let to = server.local_addr().unwrap();
    let delay = Duration::from_secs(2);
    let daemon = polyport()
        .listen(format!("127.0.0.1:0=relay,to={to}"))
        .listen(format!("127.0.0.1:0=relay,to={to},up.delay={}s", delay.as_secs()))
        .serve();
    let mut buffer = [0; 64];
    let clients: Vec<Client> = (0..PEERS).map(|_| daemon.client(0)).collect();
    let sessions: Vec<_> = clients
        .iter()
        .map(|client| {
            client.send(b"where am I?");
            server.recv_from(&mut buffer).unwrap().1
        })
        .collect();
    let trace = traced(&daemon, BOTH, || {
        sessions.iter().for_each(|session| _ = server.send_to(b"there", session).unwrap());
        daemon.process.thaw();
        clients.iter().for_each(|client| assert_eq!(client.receive(), b"there"));
    });
    let Some(trace) = trace else { return };
    expect_calls(&trace, &SEND, PEERS.div_ceil(16));

    let client = daemon.client(1);
    (0..PEERS).for_each(|_| client.send(b"much later"));
    wait::until("a daemon that has received them", || daemon.is_asleep());
    let trace = traced(&daemon, BOTH, || {
        assert_eq!(client.receive_within(delay), None);
        daemon.process.thaw();
        (0..PEERS).for_each(|_| assert_eq!(server.recv_from(&mut buffer).unwrap().0, 10));
    });
    let Some(trace) = trace else { return };
    expect_calls(&trace, &SEND, PEERS.div_ceil(16));
    drop(daemon.stop());
}

/// A single datagram costs one wait, one receive and one send, whatever kind of socket it comes to. Who asks the kernel
/// for nothing about it has the cheapest calls there are: what answers that decay need, nobody else pays for.
#[test]
fn a_single_datagram_costs_three_calls() {
    /// Fewer than the turns after which the loop tries to look again instead of sleeping.
    const EXCHANGES: usize = 500;
    for (bound, more, cheapest) in [
        ("127.0.0.1", "", true),
        ("0.0.0.0", "", false),
        ("127.0.0.1", "reply.ttl = 'decay'", false),
        ("0.0.0.0", "reply.ttl = 'decay'", false),
    ] {
        // A tracer, and whoever else works on the machine, makes a turn slow, and the calls after it would be timed.
        let config = format!(
            "[limits]\nslow_batch = '60s'\n[[listen]]\nname = 'echo'\nbind = '{bound}:0'\nplugin = 'echo'\n{more}"
        );
        let daemon = polyport().config(&config).serve();
        let client = Client::of(([127, 0, 0, 1], daemon.addresses()[0].port()).into());
        // What a thread does to begin is nobody's datagram.
        wait::until("threads that have begun", || daemon.is_asleep_as_a_whole());
        let trace = traced(&daemon, "all", || {
            daemon.process.thaw();
            for n in 0..EXCHANGES {
                client.expect_echo(n.to_string().as_bytes());
                // Or the next one is there before a look for more, which then is not in vain.
                wait::until("a daemon that waits", || daemon.is_asleep());
            }
        });
        let Some(trace) = trace else { return };
        expect_calls(&trace, &RECEIVE, EXCHANGES + 1);
        expect_calls(&trace, &SEND, EXCHANGES);
        for call in ["recvfrom", "sendto"] {
            assert_eq!(trace.calls(&[call]) > 0, cheapest, "{call} {bound}{more}:\n{}", trace.text());
        }
        // The last wait finds nothing, and one that a deadline ends does not either.
        let alarms = alarms(&trace);
        expect_calls(&trace, &WAIT, EXCHANGES + 1 + alarms.len());
        let served = daemon.stop();
        let others = chores(&trace, alarms.len(), EXCHANGES, served.finished.stderr.lines().count());
        let named = [&RECEIVE[..], &SEND, &WAIT].concat();
        assert_eq!(
            trace.calls(&[]) - trace.calls(&named),
            others,
            "calls without a reason:\n{}",
            trace.text()
        );
    }
}

/// Calls that are no datagram's, each kind as many as it may be: what they cost is spread over seconds or turns, and a
/// busy machine stretches a run over more of them.
#[track_caller]
fn chores(trace: &Trace, alarms: usize, turns: usize, lines: usize) -> usize {
    /// Turns of one measurement of the ways to wait: `epoch_turns`.
    const EPOCH: usize = 128;
    const OUTPUT_THREADS: usize = 2;
    /// Of the thread that watches the handlers, in a second.
    const LOOKS: usize = 2;
    let kinds: [(&[&str], usize); 7] = [
        (&["timerfd_settime"], alarms),
        // A look at the drops of the kernel: at a listener that was visited, and at all, which is the same one.
        (&["getsockopt"], 2 * alarms),
        // And the processor time, ten times a second: alarms are a second apart.
        (&["clock_gettime"], turns / EPOCH + 1 + 10 * (alarms + 1)),
        // The log says that a call took long, where the processor was taken away in the middle of it: a thread is woken,
        // writes, and sleeps again. Both threads of the output begin to sleep anew after the stop.
        (&["futex", "write"], OUTPUT_THREADS + 6 * lines + LOOKS * (alarms + 1) + 1),
        // The stop may have come while the last lines of the start were being written: that wait goes on first.
        (&["restart_syscall"], 1),
        // The thread that waits for signals goes on waiting after the stop.
        (&["read"], 1),
        // So does that of the control socket.
        (&["poll", "ppoll"], 1),
    ];
    let counted = kinds.map(|(names, most)| {
        let calls = trace.calls(names);
        assert!(calls <= most, "{calls} calls of {names:?}, {most} at most:\n{}", trace.text());
        calls
    });
    counted.iter().sum()
}

/// The moments the alarm was set to, in whole seconds of the system's clock. The only deadline of an echo is the look at
/// the drops, a second after the last: so each of them is later than the one before.
#[track_caller]
fn alarms(trace: &Trace) -> Vec<u64> {
    let calls = trace.text().lines().filter(|line| line.contains(" timerfd_settime("));
    let second = |line: &str| line.split_once("it_value={tv_sec=")?.1.split_once(',')?.0.parse().ok();
    let seconds: Vec<u64> = calls.map(|line| second(line).expect("a moment")).collect();
    assert!(seconds.windows(2).all(|pair| pair[0] < pair[1]), "an alarm is set too often: {seconds:?}");
    seconds
}

/// The calls of a daemon that is frozen at first; `action` lets it go on, and knows when it is done.
fn traced(daemon: &Daemon, calls: &str, action: impl FnOnce()) -> Option<Trace> {
    daemon.process.freeze();
    let strace = Strace::attach(daemon, calls, &[])?;
    action();
    Some(strace.detach())
}

#[track_caller]
fn expect_calls(trace: &Trace, names: &[&str], most: usize) {
    let calls = trace.calls(names);
    assert!((1..=most).contains(&calls), "{calls} calls of {names:?}, {most} at most:\n{}", trace.text());
}

#[track_caller]
fn expect_train_answers(socket: &polyport_net::UdpSocket, datagrams: usize, length: usize) {
    let layout = polyport_net::SlotLayout::new(2048, 64);
    let mut recv = polyport_net::RecvBatch::new(64);
    let mut memory = vec![0; layout.memory(64)];
    let mut left = datagrams;
    while left > 0 {
        let ready = polyport_net::wait_readable(socket, DEADLINE).unwrap();
        assert!(ready, "{left} of {datagrams} answers are missing");
        left -= recv.recv(socket, &mut memory, layout, 64).unwrap();
        assert!(recv.metas().all(|meta| meta.len == length));
    }
}
