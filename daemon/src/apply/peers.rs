//! Who sends most to a listener, as the control socket tells it.

use std::net::IpAddr;

use super::running::Running;
use crate::control::wire::{Answer, Error, Peer, Peers, PeersParams, code};
use crate::reactor::{PeerSeen, interface_name};

/// Asks the reactor, which looks from then on.
pub(super) fn answer(params: &PeersParams, running: &mut Running) -> Result<Answer, Error> {
    let name = &params.listener;
    if !running.prepared.plan.listen.iter().any(|listen| listen.name == *name) {
        return Err(Error::new(code::NO_LISTENER, format!("there is no listener `{name}`")));
    }
    let seen = running.reactor.top_peers(name, params.most());
    Ok(Answer::Peers(Peers {
        listener: name.clone(),
        window_ms: seen.window_ns / 1_000_000,
        datagrams: seen.datagrams,
        bytes: seen.bytes,
        peers: seen.peers.iter().map(peer).collect(),
    }))
}

fn peer(seen: &PeerSeen) -> Peer {
    let zone = match seen.ip {
        IpAddr::V6(_) if seen.scope != 0 => {
            let name = interface_name(seen.scope);
            format!("%{}", name.unwrap_or_else(|_| seen.scope.to_string()))
        }
        IpAddr::V4(_) | IpAddr::V6(_) => String::new(),
    };
    Peer {
        address: format!("{}{zone}", seen.ip),
        port: seen.port,
        datagrams: seen.datagrams,
        bytes: seen.bytes,
        more: seen.more,
    }
}
