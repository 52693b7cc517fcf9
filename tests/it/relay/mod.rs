//! The plugin `relay` between real clients and real servers.
//!
//! ```text
//! traffic    every size both ways, trains, addresses of both families
//! upstreams  servers that are not found, refuse, go and come back, fall silent
//! limits     sessions, ports, descriptors, strangers
//! names      looked up at a name server, again and again
//! network    what happens to datagrams on their way
//! paths      what fits through the path, and the traffic class
//! chains     in front of other listeners of the same daemon
//! life       other options, new handlers, a handler that breaks
//! ```

use std::net::SocketAddr;

use polyport_tests::Daemon;
use polyport_tests::served::Served;

use crate::polyport;

mod chains;
mod life;
mod limits;
mod names;
mod network;
mod paths;
mod traffic;
mod upstreams;

/// A relay to one server, with more options, and an echo beside it.
fn relay(to: SocketAddr, more: &str) -> Daemon {
    let relay = format!("127.0.0.1:0=relay,name=relay,to={to}{more}");
    polyport().arg("-v").listen(relay).listen("127.0.0.1:0=echo,name=neighbour").serve()
}

/// A counter of the relay; one that was never counted is 0.
fn counted(served: &Served, what: &str) -> u64 {
    let named = format!(" {what} ");
    if served.finished.stdout.contains(&named) { served.counted("relay", what) } else { 0 }
}

/// Of the book of its sessions.
fn sessions(served: &Served, what: &str) -> u64 {
    served.sent("relay sessions", what)
}
