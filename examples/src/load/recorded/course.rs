//! Which datagrams of a recording are sent, from which socket of ours, and to which target.
//!
//! A recording has both ways of a conversation, and a load sends one. As with `tcpprep --auto=first`, who sent the first datagram of a
//! pair of addresses is the client, and what went the other way is left out; where a port is named, it is the server's.

use std::collections::HashMap;
use std::net::SocketAddr;

/// Pairs of addresses that are told apart: each takes some hundred octets. Datagrams of further ones are sent whichever way they went.
pub const MOST_PAIRS: usize = 65_536;

/// Sockets, one for each source: half of the descriptors that a shell gives a program. Further sources share them.
pub const MOST_SOCKETS: usize = 512;

/// Where a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Route {
    /// Which of our sockets.
    pub socket: usize,
    /// Which target.
    pub target: usize,
}

/// Who is who in a recording.
#[derive(Clone, Debug)]
pub struct Course {
    port: Option<u16>,
    targets: usize,
    pairs: HashMap<(SocketAddr, SocketAddr), Route>,
    sources: HashMap<SocketAddr, usize>,
    servers: HashMap<SocketAddr, usize>,
    other_way: u64,
    unsorted: u64,
}

impl Course {
    /// Nobody yet. With a port, what was sent to it goes.
    #[must_use]
    pub fn new(port: Option<u16>, targets: usize) -> Self {
        Self {
            port,
            targets: targets.max(1),
            pairs: HashMap::new(),
            sources: HashMap::new(),
            servers: HashMap::new(),
            other_way: 0,
            unsorted: 0,
        }
    }

    /// Where a datagram of the recording goes; `None` for one of the other way.
    pub fn route(&mut self, from: SocketAddr, to: SocketAddr) -> Option<Route> {
        let is_answer = match self.port {
            Some(port) => to.port() != port,
            None => self.pairs.contains_key(&(to, from)),
        };
        if is_answer {
            self.other_way += 1;
            return None;
        }
        if let Some(route) = self.pairs.get(&(from, to)) {
            return Some(*route);
        }
        let is_known = self.pairs.len() < MOST_PAIRS;
        self.unsorted += u64::from(!is_known);
        let route = Route {
            socket: place(&mut self.sources, from, is_known) % MOST_SOCKETS,
            target: place(&mut self.servers, to, is_known) % self.targets,
        };
        if is_known {
            self.pairs.insert((from, to), route);
        }
        Some(route)
    }

    /// Sources of the recording that were told apart.
    #[must_use]
    pub fn sources(&self) -> usize {
        self.sources.len()
    }

    /// Datagrams of the other way.
    #[must_use]
    pub const fn other_way(&self) -> u64 {
        self.other_way
    }

    /// Datagrams of pairs for which there was no room.
    #[must_use]
    pub const fn unsorted(&self) -> u64 {
        self.unsorted
    }
}

/// Which one this is, in the order of their first datagrams.
fn place(known: &mut HashMap<SocketAddr, usize>, address: SocketAddr, may_grow: bool) -> usize {
    let next = known.len();
    match known.get(&address) {
        Some(place) => *place,
        None if may_grow => {
            known.insert(address, next);
            next
        }
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: u8, port: u16) -> SocketAddr {
        ([192, 0, 2, host], port).into()
    }

    #[test]
    fn the_first_datagram_says_who_the_client_is_and_servers_take_turns_among_targets() {
        let mut course = Course::new(None, 2);
        let (client, server, other) = (address(1, 5000), address(2, 53), address(3, 53));
        let route = |socket, target| Some(Route { socket, target });
        assert_eq!(course.route(client, server), route(0, 0));
        assert_eq!(course.route(server, client), None);
        assert_eq!(course.route(client, other), route(0, 1));
        assert_eq!(course.route(address(1, 5001), other), route(1, 1));
        assert_eq!(course.route(client, address(4, 53)), route(0, 0));
        assert_eq!((course.sources(), course.other_way(), course.unsorted()), (2, 1, 0));
    }

    #[test]
    fn a_port_names_the_server() {
        let mut course = Course::new(Some(53), 1);
        assert_eq!(course.route(address(2, 53), address(1, 5000)), None);
        assert!(course.route(address(1, 5000), address(2, 53)).is_some());
        assert_eq!(course.other_way(), 1);
    }

    #[test]
    fn who_is_told_apart_is_bounded() {
        let mut course = Course::new(None, 1);
        for n in 0..=u16::MAX {
            course.route(address(1, n), address(2, 53)).unwrap();
        }
        assert!(course.route(address(9, 9), address(2, 53)).is_some_and(|route| route.socket < MOST_SOCKETS));
        assert_eq!((course.sources(), course.unsorted()), (MOST_PAIRS, 1));
    }
}
