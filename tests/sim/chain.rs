//! Sessions from one listener to another of the same daemon: what may be, what would go round, and what a change of one of them
//! means for those that are open. The other end is a virtual server at the address of the listener.

use std::net::SocketAddr;

use polyport::exchange::SessionEnd;
use polyport::reactor::{SessionBook, Token};

use crate::bench::{ASKED, Bench, Bind, Kind, Setup, without_budget};
use crate::reloads::{change, wish};
use crate::world::{SocketId, Upstream, own};

fn at(port: u16) -> SocketAddr {
    SocketAddr::from((ASKED, port))
}

/// A relay at a port of the host, to an address.
fn relay(bench: &mut Bench, local: SocketAddr, to: &str, chain: bool) -> (SocketId, Token) {
    let options = [("to", to.to_owned()), ("idle", "9999h".to_owned())];
    bench.listen(&Bind {
        kind: Kind::Relay,
        options: &options,
        local,
        reply: without_budget(),
        chain,
        ..Bind::default()
    })
}

fn echo(bench: &mut Bench, local: SocketAddr) -> (SocketId, Token) {
    bench.listen(&Bind { local, reply: without_budget(), ..Bind::default() })
}

/// Everybody who is sent to answers, as a listener of the kind would.
fn bench(servers: &[&str]) -> Bench {
    let mut bench = Bench::new(&Setup::default());
    for server in servers {
        let echo = Upstream::Echo { times: 1, after_ns: 0 };
        bench.world().upstreams.servers.insert(server.parse().unwrap(), echo);
    }
    bench
}

fn book(bench: &Bench, relay: Token) -> SessionBook {
    let report = bench.reactor.reports().find(|report| report.token == relay).unwrap();
    *report.sessions.unwrap().book
}

/// Sessions that a listener has, and those that were refused or taken away.
fn state(bench: &Bench, (_, relay): (SocketId, Token)) -> (u64, u64) {
    let book = book(bench, relay);
    (book.open, book.closed[SessionEnd::RefusedAddress as usize])
}

/// A datagram of client `n`, and all that follows.
fn ask(bench: &mut Bench, (relay, _): (SocketId, Token), n: u16) {
    bench.burst(relay, 0, n, 1);
    bench.settle();
}

#[test]
fn a_session_to_a_listener_without_sessions_is_as_any_other() {
    let mut bench = bench(&["198.51.100.1:8"]);
    echo(&mut bench, at(8));
    let relay = relay(&mut bench, at(7), "198.51.100.1:8", false);
    (1..=3).for_each(|client| ask(&mut bench, relay, client));
    assert_eq!((state(&bench, relay), bench.answered(relay.0).len()), ((3, 0), 3));
    assert!(book(&bench, relay.1).holds(0));
}

#[test]
fn one_to_a_listener_with_sessions_needs_its_word() {
    // Bound to just this address or to all; written as IPv4 or in the form of IPv6.
    for (bound, to) in [
        ("198.51.100.1:8", "198.51.100.1:8"),
        ("0.0.0.0:8", "198.51.100.1:8"),
        ("0.0.0.0:8", "127.0.0.9:8"),
        ("[::]:8", "[2001:db8::1:1]:8"),
        ("[::1]:8", "[::1]:8"),
        ("0.0.0.0:8", "[::ffff:198.51.100.2]:8"),
    ] {
        for chain in [false, true] {
            let mut bench = bench(&[to]);
            relay(&mut bench, bound.parse().unwrap(), "203.0.113.9:1", chain);
            let first = relay(&mut bench, at(7), to, false);
            ask(&mut bench, first, 1);
            assert_eq!(state(&bench, first), if chain { (1, 0) } else { (0, 1) }, "{bound} {to} {chain}");
        }
    }
}

#[test]
fn no_word_allows_a_way_that_leads_back() {
    let [a, b, c] = ["198.51.100.1:7", "198.51.100.1:8", "198.51.100.1:9"];
    let mut bench = bench(&[a, b, c]);
    let itself = relay(&mut bench, "0.0.0.0:6".parse().unwrap(), "127.0.0.1:6", true);
    ask(&mut bench, itself, 1);
    assert_eq!(state(&bench, itself), (0, 1), "to itself");
    let all: Vec<_> =
        [(a, b), (b, c), (c, a)].map(|(at, to)| relay(&mut bench, at.parse().unwrap(), to, true)).into();
    all.iter().for_each(|relay| ask(&mut bench, *relay, 1));
    let states: Vec<_> = all.iter().map(|relay| state(&bench, *relay)).collect();
    assert_eq!(states, [(1, 0), (1, 0), (0, 1)], "the last one would close the circle");
    // Where a link of it has no session any more, it is open.
    bench.reactor.remove(all[1].1).unwrap();
    ask(&mut bench, all[2], 2);
    assert_eq!(state(&bench, all[2]), (1, 1));
}

/// What comes to any address of a handler may leave by a session of another one of them.
#[test]
fn no_way_leads_back_to_another_address_of_the_same_handler() {
    const BY_SESSION: u8 = 7;
    let [first, second, other] = ["198.51.100.1:7001", "198.51.100.1:7002", "198.51.100.1:8"];
    for other_first in [false, true] {
        let mut bench = bench(&[first, second, other]);
        let options = [("to", other.to_owned())];
        let bind = Bind {
            kind: Kind::Census,
            options: &options,
            reply: without_budget(),
            chain: true,
            ..Bind::default()
        };
        let binds = [7001, 7002].map(|port| Bind { local: at(port), ..bind.clone() });
        let (sockets, tokens) = bench.listen_together(&binds);
        let relay = relay(&mut bench, at(8), second, true);
        if other_first {
            ask(&mut bench, relay, 1);
        }
        bench.command(sockets[0], 0, 1, BY_SESSION);
        bench.settle();
        if !other_first {
            ask(&mut bench, relay, 1);
        }
        let states = [state(&bench, (sockets[0], tokens[0])), state(&bench, relay)];
        let [early, late] = if other_first { [states[1], states[0]] } else { states };
        assert_eq!((early, late), ((1, 0), (0, 1)), "other first: {other_first}");
    }
}

/// A listener that a session leads to gets another handler, or leaves its word.
#[test]
fn a_change_of_the_other_listener_ends_what_must_not_be() {
    for (chain, expected) in [(false, (0, 2)), (true, (2, 0))] {
        let mut bench = bench(&["198.51.100.1:8", "198.51.100.1:7"]);
        let second = echo(&mut bench, at(8));
        let first = relay(&mut bench, at(7), "198.51.100.1:8", true);
        (1..=2).for_each(|client| ask(&mut bench, first, client));
        assert_eq!(state(&bench, first), (2, 0));
        let mut becomes =
            wish(&bench, second.1, &Kind::Relay.plugin(), &[("to", "198.51.100.1:7"), ("idle", "9999h")]);
        becomes.chain = chain;
        assert_eq!(change(&mut bench, vec![becomes.clone()]).unwrap().replaced, 1);
        bench.kinds[second.0.0] = Kind::Relay;
        bench.settle();
        assert_eq!(state(&bench, first), expected, "{chain}");
        // What is there leads from the first to the second, and nothing leads back.
        ask(&mut bench, second, 1);
        assert_eq!(state(&bench, second), if chain { (0, 1) } else { (1, 0) });
        if chain {
            // The word alone is taken back.
            becomes.chain = false;
            assert_eq!(change(&mut bench, vec![becomes]).unwrap().adjusted, 1);
            bench.settle();
            assert_eq!(state(&bench, first), (0, 2));
        }
        ask(&mut bench, first, 3);
        assert_eq!(state(&bench, first).0, 0);
        assert!(book(&bench, first.1).holds(0) && book(&bench, second.1).holds(0));
    }
}

/// A relay on all addresses gets what was sent elsewhere when the host gets the address it was sent to.
#[test]
fn an_address_that_comes_to_the_host_ends_what_must_not_be() {
    let comes: SocketAddr = "198.51.100.3:8".parse().unwrap();
    let mut bench = bench(&[&comes.to_string(), "203.0.113.9:8"]);
    relay(&mut bench, "0.0.0.0:8".parse().unwrap(), "203.0.113.9:1", false);
    let first = relay(&mut bench, at(7), &comes.to_string(), false);
    let other = relay(&mut bench, at(6), "203.0.113.9:8", false);
    for client in 1..=2 {
        ask(&mut bench, first, client);
        ask(&mut bench, other, client);
    }
    let stays = bench.world().host.addresses();
    let unrelated = [stays.clone(), vec![own(std::net::Ipv4Addr::new(198, 51, 100, 4))]].concat();
    bench.world().readdress(0, unrelated);
    bench.settle();
    assert_eq!((state(&bench, first), state(&bench, other)), ((2, 0), (2, 0)));
    bench.world().readdress(0, [stays.clone(), vec![own(comes.ip())]].concat());
    bench.settle();
    assert_eq!((state(&bench, first), state(&bench, other)), ((0, 2), (2, 0)));
    ask(&mut bench, first, 1);
    assert_eq!(state(&bench, first), (0, 3));
    bench.world().readdress(0, stays);
    bench.settle();
    ask(&mut bench, first, 1);
    assert_eq!(state(&bench, first), (1, 3));
}

/// What was somebody else's becomes ours, or another listener's of ours.
#[test]
fn a_listener_that_comes_or_goes_ends_what_must_not_be() {
    let mut bench = bench(&["198.51.100.1:8", "198.51.100.2:8"]);
    let first = relay(&mut bench, at(7), "198.51.100.1:8", false);
    let other = relay(&mut bench, at(6), "198.51.100.2:8", false);
    ask(&mut bench, first, 1);
    ask(&mut bench, other, 1);
    let (_, echo) = echo(&mut bench, at(8));
    bench.settle();
    assert_eq!((state(&bench, first), state(&bench, other)), ((1, 0), (1, 0)));
    // On all addresses, but behind the echo at one of them.
    relay(&mut bench, "0.0.0.0:8".parse().unwrap(), "203.0.113.9:1", false);
    bench.turn().unwrap();
    assert_eq!((state(&bench, first), state(&bench, other)), ((1, 0), (0, 1)));
    bench.reactor.remove(echo).unwrap();
    bench.turn().unwrap();
    assert_eq!(state(&bench, first), (0, 1));
}
