//! A plugin serves datagrams in a virtual network with virtual time, by the loop that serves real ones.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::sources::Bench;
use super::world::{Arrival, Seen, World};
use crate::exchange::ExchangeLimits;
use crate::limits::Limits;
use crate::plugin::{Given, GivenValue, Values};
use crate::reactor::{Flow, ListenerSpec, Needs, OnFault, Reactor};
use crate::reply::ReplyPolicy;

/// Addresses of the listener where none are given, one of each family, in networks for documentation (RFC 5737, RFC 3849).
const LISTENER: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 7000),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0x5ca1, 0, 0, 0, 0, 1)), 7000),
];

/// What a plugin is tried with.
#[derive(Clone, Debug)]
pub struct Play {
    /// Options of the plugin.
    pub options: Vec<(String, String)>,
    /// What arrives.
    pub arrivals: Vec<Arrival>,
    /// Addresses of the listener, to which what arrives is sent in turn; none are one of each family.
    pub addresses: Vec<SocketAddr>,
    /// How long the network lasts after the last arrival: for delayed answers and timers.
    pub lasting: Duration,
    /// Seed of the handler and of everything else: the same seed gives the same run.
    pub seed: u64,
}

/// Lets the plugin serve; `told` is called for each datagram. Returns the books, and whether the handler has held.
///
/// # Errors
/// The plugin cannot be loaded, or refuses its options.
pub fn play(
    bench: &Bench,
    reference: &str,
    play: &Play,
    told: &mut dyn FnMut(Seen),
) -> Result<(String, bool), String> {
    let mut loader = bench.loader();
    let plugin = loader.load(reference).map_err(|refusal| refusal.to_string())?;
    let given: Vec<Given<'_>> =
        play.options.iter().map(|(name, value)| Given { name, value: GivenValue::Text(value) }).collect();
    let values = Values::check(plugin.options(), &given).map_err(|problems| {
        let lines = problems.into_iter().map(|problem| match problem.help {
            Some(help) => format!("{} ({help})", problem.message),
            None => problem.message,
        });
        lines.collect::<Vec<_>>().join("; ")
    })?;
    plugin.check(&values).map_err(|error| format!("the plugin refuses: {}", error.message))?;
    // Nothing is gained by looking again where waiting costs nothing.
    let limits = Limits { spin: Some(Duration::ZERO), moderation: Duration::ZERO, ..Limits::default() };
    let addresses = if play.addresses.is_empty() { &LISTENER[..] } else { &play.addresses };
    let nowhere = |a: &&Arrival| !addresses.iter().any(|to| to.is_ipv4() == a.peer.is_ipv4());
    if let Some(arrival) = play.arrivals.iter().find(nowhere) {
        return Err(format!("{} sends, and no address of its family listens", arrival.peer));
    }
    let all = plugin.is_per_listener();
    let world = World::new(play.arrivals.clone(), play.lasting, (addresses, all), play.seed, told);
    let bound = world.bound();
    let mut reactor = Reactor::new(world, limits, ExchangeLimits::default(), play.seed, [0; 16]);
    let (values, reply) = (Rc::new(values), Rc::new(ReplyPolicy::default()));
    let specs = bound.into_iter().map(|(socket, local)| ListenerSpec {
        name: Arc::clone(plugin.name()),
        local,
        socket,
        plugin: Arc::clone(&plugin),
        values: Rc::clone(&values),
        on_fault: OnFault::Restart,
        access: None,
        reply: Rc::clone(&reply),
        needs: Needs::default(),
        outgoing: Rc::default(),
        kernel_drops_seen: 0,
        sessions: None,
        chain: false,
        tag: 0,
    });
    let specs: Vec<_> = specs.collect();
    let added = if all {
        reactor.add_together(specs).map(drop)
    } else {
        specs.into_iter().try_for_each(|spec| reactor.add(spec).map(drop))
    };
    added.map_err(|error| error.to_string())?;
    while reactor.turn().map_err(|error| error.to_string())? == Flow::Continue {}
    reactor.stop();
    Ok(books(&reactor))
}

/// What was counted, and whether the handler never broke.
fn books(reactor: &Reactor<World<'_>>) -> (String, bool) {
    let (mut text, mut held) = (String::new(), true);
    for report in reactor.reports() {
        let line = report.counters.conservation(report.waiting);
        write!(text, "{}{}: {line}", if text.is_empty() { "" } else { "\n" }, report.local).unwrap_or(());
        let failures =
            [("handler faults", report.counters.faults), ("handler errors", report.counters.handler_errors)];
        for (what, n) in failures.iter().filter(|(_, n)| *n > 0) {
            write!(text, "\n{what} {n}").unwrap_or(());
        }
        for cell in report.cells.iter().filter(|cell| cell.value() > 0) {
            write!(text, "\n{} {}", cell.name, cell.value()).unwrap_or(());
        }
        held &= report.counters.faults == 0;
    }
    (text, held)
}
