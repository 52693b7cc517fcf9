//! System calls that fail on a running daemon, by `strace -e inject`: R13, R15, R16, R17. The calls it uses:
//! `recvfrom`, `recvmsg` and `recvmmsg`; `sendto`, `sendmsg` and `sendmmsg`.

use std::time::Duration;

use polyport_tests::strace::{Strace, Trace};
use polyport_tests::wait;
use polyport_tests::{Client, Daemon};

use crate::polyport;

const RECEIVE: &str = "recvmmsg,recvmsg,recvfrom";
const SEND: &str = "sendmmsg,sendmsg,sendto";

/// Every errno of a receive that is not the end of a socket (udp-io.md, section 3.4).
const RECEIVE_ERRORS: [&str; 11] = [
    "ECONNREFUSED",
    "EHOSTUNREACH",
    "ENETUNREACH",
    "EHOSTDOWN",
    "ENETDOWN",
    "ENONET",
    "EPROTO",
    "ENOBUFS",
    "ENOMEM",
    "EINTR",
    "EPERM",
];

/// Every errno of a send that costs its datagram, with the reason it is counted by.
const SEND_ERRORS: [(&str, &str); 17] = [
    ("ENOBUFS", "no_buffers"),
    ("ENOMEM", "no_buffers"),
    ("ECONNREFUSED", "unreachable"),
    ("EHOSTUNREACH", "unreachable"),
    ("ENETUNREACH", "unreachable"),
    ("EHOSTDOWN", "unreachable"),
    ("ENETDOWN", "unreachable"),
    ("ENONET", "unreachable"),
    ("EPROTO", "unreachable"),
    ("EIO", "unreachable"),
    ("EPERM", "forbidden"),
    ("EACCES", "forbidden"),
    ("EMSGSIZE", "too_big"),
    ("EINVAL", "invalid"),
    ("EADDRNOTAVAIL", "address_gone"),
    ("ENODEV", "address_gone"),
    ("EAFNOSUPPORT", "no_destination"),
];

/// R13: an error in the middle of a batch leaves datagrams in the queue, and they are served all the same.
#[test]
fn no_errno_of_a_receive_strands_the_queue() {
    const QUEUED: usize = 160;
    // Four datagrams a call make many calls.
    let limits = "[limits]\nvisit_datagrams = 4\n";
    let listen = |name, ip| format!("[[listen]]\nname = \"{name}\"\nbind = \"{ip}:0\"\nplugin = \"echo\"\n");
    let config = limits.to_owned() + &listen("exact", "127.0.0.1") + &listen("wildcard", "0.0.0.0");
    let daemon = polyport().config(&config).serve();
    let wildcard = Client::of(([127, 0, 0, 1], daemon.addresses()[1].port()).into());
    let clients = [daemon.client(0), wildcard];
    for errno in RECEIVE_ERRORS {
        daemon.process.freeze();
        let rule = format!("{RECEIVE}:error={errno}:when=2+7");
        let Some(strace) = Strace::attach(&daemon, RECEIVE, &[&rule]) else { return };
        clients.iter().for_each(|client| client.send_numbered(QUEUED));
        daemon.process.thaw();
        clients.iter().for_each(|client| client.expect_numbered(QUEUED));
        let trace = strace.detach();
        assert!(trace.injected() >= 8, "{errno}: {}", trace.text());
    }
    expect_idle(&daemon, &clients[0]);
    let all = (RECEIVE_ERRORS.len() * QUEUED) as u64;
    let served = daemon.stop();
    for name in ["exact", "wildcard"] {
        assert_eq!(served.received(name, "replied"), all, "{}", served.line(name));
        assert_eq!(served.sent(name, "sent"), all, "{}", served.line(name));
    }
}

/// R15: each failing call costs the datagram it failed for, counted by its reason, and no other.
#[test]
fn every_errno_of_a_send_costs_one_datagram_and_is_counted_by_its_reason() {
    for (errno, reason) in SEND_ERRORS {
        let daemon = polyport().listen("127.0.0.1:0=echo").serve();
        let mut peers = Peers::of(&daemon);
        let rule = format!("{SEND}:error={errno}:when=1+2");
        let Some(trace) = peers.exchange(&daemon, &rule) else { return };
        let failed = trace.injected() as u64;
        if errno == "ENODEV" {
            expect_idle(&daemon, &peers.0[0].client);
        }
        let served = daemon.stop();
        let line = served.line("echo");
        assert_eq!(served.sent("echo", reason), failed, "{errno}: {line}\n{}", trace.text());
        assert_eq!(served.sent("echo", "dropped"), failed, "{errno}: {line}");
        assert_eq!(served.sent("echo", "sent"), peers.answers(), "{errno}: {line}");
        assert_eq!(served.received("echo", "replied"), peers.sent(), "{errno}: {line}");
        assert!(served.finished.stderr.lines().count() < 5, "{}", served.finished.stderr);
    }
}

#[test]
fn a_full_socket_and_an_interrupted_send_cost_nothing() {
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    let mut peers = Peers::of(&daemon);
    for errno in ["EAGAIN", "EINTR"] {
        let rule = format!("{SEND}:error={errno}:when=1+2");
        if peers.exchange(&daemon, &rule).is_none() {
            return;
        }
    }
    let served = daemon.stop();
    assert_eq!(served.sent("echo", "sent"), peers.sent(), "{}", served.line("echo"));
    assert_eq!(served.sent("echo", "dropped"), 0);
    assert_eq!(peers.answers(), peers.sent());
}

/// A run of equal answers to one peer leaves as one message. Where that is refused its datagrams leave one by one,
/// and after `EIO`, which is the device's, no other is tried for a while.
#[test]
fn a_refused_segmented_message_costs_no_datagram() {
    const RUN: usize = 20;
    for (errno, tried_again) in [("EIO", false), ("EMSGSIZE", true), ("EINVAL", true)] {
        let daemon = polyport().listen("127.0.0.1:0=echo").serve();
        let client = daemon.client(0);
        daemon.process.freeze();
        let Some(strace) = Strace::attach(&daemon, SEND, &[&format!("sendmsg:error={errno}:when=1")]) else {
            return;
        };
        for _ in 0..2 {
            (0..RUN).for_each(|number| client.send(format!("{number:02}").as_bytes()));
            daemon.process.thaw();
            (0..RUN).for_each(|number| assert_eq!(client.receive(), format!("{number:02}").as_bytes()));
            daemon.process.freeze();
        }
        daemon.process.thaw();
        let trace = strace.detach();
        assert_eq!(trace.injected(), 1, "{errno}: {}", trace.text());
        assert_eq!(trace.calls(&["sendmsg"]), 1 + usize::from(tried_again), "{errno}: {}", trace.text());
        let served = daemon.stop();
        assert_eq!(served.sent("echo", "sent"), 2 * RUN as u64, "{errno}: {}", served.line("echo"));
        let lines = served.finished.stderr.matches("does not send segmented messages").count();
        assert_eq!(lines, usize::from(!tried_again), "{errno}: {}", served.finished.stderr);
    }
}

/// An unusable descriptor is a fault of the daemon's own: it ends that listener, and no other.
#[test]
fn a_socket_that_is_none_ends_its_listener_only() {
    for (errno, calls) in [("EBADF", RECEIVE), ("ENOTSOCK", RECEIVE), ("EBADF", SEND), ("ENOTSOCK", SEND)] {
        let launch = polyport().listen("127.0.0.1:0=echo,name=victim");
        let mut daemon = launch.listen("127.0.0.1:0=echo,name=neighbour").serve();
        let (victim, neighbour) = (daemon.client(0), daemon.client(1));
        let rule = format!("{calls}:error={errno}:when=1");
        let Some(strace) = Strace::attach(&daemon, calls, &[&rule]) else { return };
        victim.send(b"the last one");
        daemon.process.wait_for_stderr("listener victim 127.0.0.1");
        daemon.process.wait_for_stderr("the socket is unusable");
        assert_eq!(strace.detach().injected(), 1);
        neighbour.expect_echo(b"not me");
        victim.send(b"nobody is there");
        expect_idle(&daemon, &victim);
        let served = daemon.stop();
        let dropped = u64::from(calls == SEND);
        assert_eq!(served.sent("victim", "socket_broken"), dropped, "{}", served.line("victim"));
        assert_eq!(served.received("neighbour", "replied"), 1);
        assert_eq!(served.finished.stderr.matches("is unusable").count(), 1, "{}", served.finished.stderr);
    }
}

/// R16: an error that stays keeps neither the processor nor the log busy.
#[test]
fn an_error_that_stays_does_not_make_the_loop_spin() {
    const LONG_MS: u64 = 2000;
    /// Attempts in a row, and how long the loop waits after them.
    const IN_A_ROW: usize = 16;
    const PAUSE_MS: u64 = 10;
    const MS_OF_A_TICK: u64 = 10;
    let launch = polyport().listen("127.0.0.1:0=echo");
    let daemon = launch.listen("0.0.0.0:0=echo,name=wildcard").serve();
    let client = daemon.client(0);
    let rule = format!("{RECEIVE}:error=ENETDOWN:when=1+");
    let Some(strace) = Strace::attach(&daemon, "all", &[&rule]) else { return };
    client.send(b"kept");
    let before = daemon.cpu_ticks();
    assert_eq!(client.receive_within(Duration::from_millis(LONG_MS)), None);
    let ticks = daemon.cpu_ticks() - before;
    let trace = strace.detach();
    // Told by the clock of the loop and not by that of the test, which may have to wait for a processor.
    let pauses = alarms_ms(&trace);
    let long = pauses.last().unwrap() - pauses[0];
    assert!(long >= LONG_MS / 2, "{long} ms of {LONG_MS}");
    // A look at the drops of the kernel, once a second, may come between two of them.
    assert!(pauses.windows(3).all(|three| three[2] - three[0] >= PAUSE_MS), "{pauses:?}");
    let attempts = trace.injected();
    // By the time, and not by the alarms: a pause that is over before the loop comes to wait needs none.
    let most = IN_A_ROW * (usize::try_from(long / PAUSE_MS).unwrap() + 2);
    assert!((1..=most).contains(&attempts), "{attempts} in {long} ms");
    assert!(ticks * MS_OF_A_TICK < long / 2, "{ticks} ticks in {long} ms");
    assert_eq!(client.receive(), b"kept");
    let served = daemon.stop();
    assert_eq!(served.received("echo", "replied"), 1);
    assert!(served.finished.stderr.lines().count() < 10, "{}", served.finished.stderr);
}

/// The moments the loop set its alarm to, in ms of the system's clock.
fn alarms_ms(trace: &Trace) -> Vec<u64> {
    let calls = trace.text().lines().filter(|line| line.contains(" timerfd_settime("));
    let ms = |line: &str| {
        let (_, moment) = line.split_once("it_value={tv_sec=")?;
        let (seconds, nanos) = moment.split_once(", tv_nsec=")?;
        let (nanos, _) = nanos.split_once('}')?;
        Some(seconds.parse::<u64>().ok()? * 1000 + nanos.parse::<u64>().ok()? / 1_000_000)
    };
    calls.map(|line| ms(line).expect("a moment")).collect()
}

/// R17: a sandbox that forbids the batch calls costs speed, and nothing else.
#[test]
fn without_the_batch_calls_everything_is_served_one_by_one() {
    for errno in ["ENOSYS", "EOPNOTSUPP"] {
        served_one_by_one(errno);
    }
}

#[track_caller]
fn served_one_by_one(errno: &str) {
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    let mut peers = Peers::of(&daemon);
    daemon.process.freeze();
    let rule = format!("recvmmsg,sendmmsg:error={errno}:when=1+");
    let Some(strace) = Strace::attach(&daemon, &format!("{RECEIVE},{SEND}"), &[&rule]) else { return };
    for _ in 0..10 {
        peers.0.iter_mut().for_each(Peer::send);
        daemon.process.thaw();
        peers.0.iter_mut().for_each(Peer::take);
        daemon.process.freeze();
    }
    daemon.process.thaw();
    let trace = strace.detach();
    // One attempt tells for the whole life of the process.
    assert_eq!((trace.calls(&["recvmmsg"]), trace.calls(&["sendmmsg"])), (1, 1), "{}", trace.text());
    let served = daemon.stop();
    assert_eq!(served.received("echo", "replied"), peers.sent());
    assert_eq!(served.sent("echo", "sent"), peers.answers());
    assert_eq!(peers.sent(), peers.answers());
}

/// Fails unless a daemon that nobody asks anything leaves the processor alone, once it has done what it had to do.
#[track_caller]
fn expect_idle(daemon: &Daemon, client: &Client) {
    const IDLE: Duration = Duration::from_millis(500);
    const FEW_TICKS: u64 = 5;
    wait::until("a daemon that sleeps", || daemon.is_asleep());
    let before = daemon.cpu_ticks();
    assert_eq!(client.receive_within(IDLE), None);
    let used = daemon.cpu_ticks() - before;
    assert!(used <= FEW_TICKS, "{used} ticks of processor time while nothing happened");
}

/// Clients of one listener.
struct Peers(Vec<Peer>);

/// A client that knows what it sent, and that its answers keep the order. Each of its datagrams is longer than
/// the last: so no two answers are joined, and a failing call costs one datagram.
struct Peer {
    client: Client,
    sent: usize,
    answers: u64,
    last: usize,
}

impl Peers {
    fn of(daemon: &Daemon) -> Self {
        let peer = |_| Peer { client: daemon.client(0), sent: 0, answers: 0, last: 0 };
        Self((0..16).map(peer).collect())
    }

    /// A batch of datagrams under a rule for calls that fail, and its answers. At least one fails.
    #[track_caller]
    fn exchange(&mut self, daemon: &Daemon, rule: &str) -> Option<Trace> {
        daemon.process.freeze();
        let strace = Strace::attach(daemon, SEND, &[rule])?;
        self.0.iter_mut().for_each(Peer::send);
        daemon.process.thaw();
        wait::until("a failing call", || strace.so_far().injected() > 0);
        // A stopped process is in no call: let go in the middle of one that fails, it would see ENOSYS.
        daemon.process.freeze();
        let trace = strace.detach();
        daemon.process.thaw();
        // Whoever has this one has all that came before.
        for peer in &mut self.0 {
            peer.send();
            while peer.last < peer.sent {
                peer.take();
            }
        }
        Some(trace)
    }

    fn sent(&self) -> u64 {
        self.0.iter().map(|peer| peer.sent as u64).sum()
    }

    fn answers(&self) -> u64 {
        self.0.iter().map(|peer| peer.answers).sum()
    }
}

impl Peer {
    fn send(&mut self) {
        self.sent += 1;
        self.client.send(&vec![7; self.sent]);
    }

    #[track_caller]
    fn take(&mut self) {
        let answer = self.client.receive();
        assert!(answer.len() > self.last, "number {} came after {}", answer.len(), self.last);
        (self.last, self.answers) = (answer.len(), self.answers + 1);
    }
}
