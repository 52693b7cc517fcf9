//! The plugin `relay` between clients and servers that nobody here wrote. Each end says how many datagrams it has sent and
//! received, the relay says what it has done to them, and both add up.
//!
//! ```text
//! dns       dig and dnsmasq, over loss both ways
//! quic      quinn at both ends: 10 MB over loss and delay
//! iperf     iperf3, whose control connection is TCP
//! sockperf  sockperf in ping-pong and under load
//! ```

use std::path::Path;

use polyport_tests::network::Host;
use polyport_tests::process::Process;
use polyport_tests::served::Served;
use polyport_tests::{Daemon, Finished, kernel, wait};

mod dns;
mod iperf;
mod quic;
mod sockperf;

/// A host with nothing else on it: a relay at 127.0.0.1, the server at 127.0.0.2, on the same port.
struct Between {
    host: Host,
    relay: Daemon,
}

impl Between {
    /// None, and a visible word, where no host can be made.
    fn new(port: u16, options: &str) -> Option<Self> {
        let host = Host::alone()?;
        let config = format!(
            "[[listen]]\nname = 'relay'\nbind = '127.0.0.1:{port}'\nplugin = 'relay'\nrecv_buffer = '8MiB'\n\
             send_buffer = '8MiB'\noptions = {{ to = '127.0.0.2:{port}', {options} }}\n"
        );
        let program = env!("CARGO_BIN_EXE_polyport-under-test");
        let relay = host.launch(program).arg("run").arg("-v").config(&config).serve();
        Some(Self { host, relay })
    }

    /// A program on that host.
    fn start(&self, program: &Path, args: &[&str]) -> Process {
        let mut launch = self.host.launch(program).args(args);
        Process::spawn(launch.command())
    }

    /// Returns when nothing is under way: the relay and the server wait, and so does no datagram. A relay that delays
    /// datagrams may still have some.
    fn wait_until_quiet(&self, server: &Process) {
        quiet(&self.relay.pid(), &[self.relay.pid(), pid(server)]);
    }

    /// Stops the relay: what it has not sent by now is never sent.
    fn stop(self) -> (Host, Served) {
        (self.host, self.relay.stop())
    }
}

fn pid(process: &Process) -> String {
    process.pid().as_raw_nonzero().to_string()
}

/// Returns when these processes sleep in a network in which no datagram waits and none was sent or taken meanwhile.
fn quiet(network: &str, processes: &[String]) {
    let counts = || ["InDatagrams", "OutDatagrams"].map(|name| kernel::snmp(network, "Udp", name));
    wait::until("a network in which nothing is under way", || {
        let before = counts();
        let still =
            kernel::udp_waiting(network) == 0 && processes.iter().all(|process| kernel::is_asleep(process));
        still && before == counts()
    });
}

/// From one socket to another over loopback: its name, datagrams that were sent, and that were received.
type Hop = (&'static str, u64, u64);

/// Fails unless all that was sent was received, but for what the kernel says that it had no room for.
#[track_caller]
fn expect_all_arrived(host: &Host, hops: &[Hop], served: &Served) {
    let no_room = host.inside(|| kernel::snmp("thread-self", "Udp", "RcvbufErrors"));
    let report = &served.finished.stdout;
    let missing: u64 = hops
        .iter()
        .map(|hop @ (_, sent, received)| {
            sent.checked_sub(*received)
                .unwrap_or_else(|| panic!("more came than was sent: {hop:?}\n{report}"))
        })
        .sum();
    // It counts a train as one.
    let explained = if no_room == 0 { missing == 0 } else { missing >= no_room };
    assert!(explained, "{missing} are missing, {no_room} found no room: {hops:?}\n{report}");
}

/// Fails unless the relay sent on, each way, all that came and was not lost, and twice what was doubled.
#[track_caller]
fn expect_the_relay_adds_up(served: &Served) {
    for (direction, came, left) in [("up", "relay", "relay sessions"), ("down", "relay sessions", "relay")] {
        let counted = |what: &str| served.counted("relay", &format!("{direction}_{what}_total"));
        let received = served.received(came, "received");
        assert_eq!(counted("datagrams"), received, "{direction}\n{}", served.finished.stdout);
        assert_eq!(
            received + counted("duplicated") - counted("lost") - counted("queue_full"),
            served.sent(left, "replies"),
            "{direction}\n{}",
            served.finished.stdout
        );
    }
}

/// The number behind the last `key`: `SentMessages=298;`, `ReceivedMessages=7`.
#[track_caller]
fn number_after(text: &str, key: &str) -> u64 {
    let behind = text.rsplit_once(key).unwrap_or_else(|| panic!("no {key:?} in:\n{text}")).1;
    let digits = behind.trim_start().split(|c: char| !c.is_ascii_digit()).next();
    digits
        .and_then(|digits| digits.parse().ok())
        .unwrap_or_else(|| panic!("no number after {key:?} in:\n{text}"))
}

/// A program that runs in the host's network to its end.
fn run(host: &Host, program: &Path, args: &[&str]) -> Finished {
    host.launch(program).args(args).run()
}
