//! R14: peers that cannot be reached, in the middle of a batch of answers: each costs its own datagrams.

use std::net::SocketAddr;

use polyport_tests::network::Network;
use polyport_tests::{Client, Daemon};

use crate::polyport;

/// Peers that ask twice each, in two rounds: a batch of 32.
const PEERS: usize = 16;
/// Where those without a way back stand in a round.
const POSITIONS: [&[usize]; 4] = [&[0], &[PEERS - 1], &[7, 8], &[0, 5, PEERS - 1]];
/// What is wrong with the way back, and the reason it is counted by.
const ROUTES: [(&str, &str); 3] =
    [("prohibit", "forbidden"), ("unreachable", "unreachable"), ("blackhole", "invalid")];
const SERVER: &str = "10.77.0.1:5000";
const GOOD: &str = "10.77.0.2:0";
const BAD: &str = "10.77.0.4:0";

#[test]
fn peers_without_a_way_back_cost_their_own_answers_only() {
    let Some(network) = Network::new() else { return };
    let launch = network.here.launch(env!("CARGO_BIN_EXE_polyport-under-test"));
    let daemon = launch.listen(format!("{SERVER}=echo")).serve();
    let mut answered = 0;
    for (route, _) in ROUTES {
        for bad in POSITIONS {
            answered += round(&network, &daemon, route, bad);
        }
    }
    let served = daemon.stop();
    let lost = 2 * POSITIONS.iter().map(|bad| bad.len() as u64).sum::<u64>();
    for (_, reason) in ROUTES {
        assert_eq!(served.sent("echo", reason), lost, "{reason}: {}", served.line("echo"));
    }
    assert_eq!(served.sent("echo", "sent"), answered, "{}", served.line("echo"));
    assert_eq!(served.sent("echo", "dropped"), lost * ROUTES.len() as u64);
}

/// R32: a peer that closes its port before the answer comes makes the kernel report it (ICMP port unreachable), and that
/// report is for nobody else.
#[test]
fn peers_whose_port_is_closed_cost_nobody_an_answer() {
    const GONE: u64 = 1000;
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    let live = daemon.client(0);
    for _ in 0..GONE {
        let gone = daemon.client(0);
        gone.send(b"who closes at once");
        drop(gone);
        live.expect_echo(b"who stays");
    }
    let served = daemon.stop();
    assert_eq!(served.received("echo", "received"), 2 * GONE, "{}", served.line("echo"));
    assert_eq!(served.received("echo", "replied"), 2 * GONE, "{}", served.line("echo"));
}

/// Returns how many answers came.
#[track_caller]
fn round(network: &Network, daemon: &Daemon, route: &str, bad: &[usize]) -> u64 {
    let server: SocketAddr = SERVER.parse().unwrap();
    let peer = |index| {
        let local = if bad.contains(&index) { BAD } else { GOOD };
        network.there.inside(|| Client::from(local.parse().unwrap(), server))
    };
    let peers: Vec<Client> = (0..PEERS).map(peer).collect();
    daemon.process.freeze();
    for datagram in [b"first", b"again"] {
        peers.iter().for_each(|peer| peer.send(datagram));
    }
    // Only now, so that the datagrams come in whatever the kernel thinks of sources without a route.
    network.here.ip(&["route", "add", route, "10.77.0.4"]);
    daemon.process.thaw();
    for (index, peer) in peers.iter().enumerate().filter(|(index, _)| !bad.contains(index)) {
        for datagram in [b"first", b"again"] {
            assert_eq!(peer.receive(), datagram, "{route}, {bad:?}: peer {index}");
        }
    }
    daemon.wait_until_drained(0);
    // Somebody who asks now is answered after the whole batch.
    let last = &peer(PEERS);
    last.expect_echo(b"the batch is over");
    network.here.ip(&["route", "del", route, "10.77.0.4"]);
    for index in bad {
        peers[*index].expect_echo(b"the first that comes back");
    }
    let good = PEERS - bad.len();
    (2 * good + 1 + bad.len()) as u64
}
