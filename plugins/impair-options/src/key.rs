//! Whose decisions they are: what of a client the seed is joined with.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use polyport_impair::{Family, client};
use polyport_plugin::choices;

choices! {
    /// What of a client its decisions depend on.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Key {
        /// Its address where the listener has a seed of its own, and a run shall repeat; else its endpoint, so that each run is another
        /// one. The seed of the daemon is none of its own.
        Auto = "auto",
        /// Its address: it meets the same network again with another port. Clients behind one address meet the same one, each from
        /// its first datagram on.
        Address = "address",
        /// Its address and port: programs on one machine meet different networks.
        Endpoint = "endpoint",
        /// Whether it is the first, the second, and so on: the same network wherever it comes from.
        Order = "order",
    }
}

/// Gives clients their keys.
#[derive(Debug)]
pub struct Keys {
    key: Key,
    local: u16,
    seen: u64,
}

/// A client, as its key and as the decision log calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// For [`Line::new`](polyport_impair::Line::new).
    pub key: u64,
    /// Which headers its datagrams have.
    pub family: Family,
    /// For the log.
    pub name: Name,
}

/// What the decision log calls a client: as much as its key knows, so that logs of equal runs are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// `192.0.2.1`
    Address(IpAddr),
    /// `192.0.2.1:5000`
    Endpoint(SocketAddr),
    /// `#0`, in the order of appearance.
    Order(u64),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(ip) => ip.fmt(f),
            Self::Endpoint(address) => address.fmt(f),
            Self::Order(number) => write!(f, "#{number}"),
        }
    }
}

impl Keys {
    /// For a listener with this port, or 0 where a run shall not depend on it. `key` is that of
    /// [`Common::key`](crate::Common::key); [`Key::Auto`] by itself is the address.
    #[must_use]
    pub const fn new(key: Key, local: u16) -> Self {
        Self { key, local, seen: 0 }
    }

    /// What is keyed.
    #[must_use]
    pub const fn key(&self) -> Key {
        self.key
    }

    /// How many clients there were: the number of the next one.
    #[must_use]
    pub const fn seen(&self) -> u64 {
        self.seen
    }

    /// The next client. To be asked once for each, when it appears.
    pub fn client(&mut self, client: SocketAddr) -> Client {
        let number = self.seen;
        self.seen = number.wrapping_add(1);
        let (key, name) = match self.key {
            Key::Address | Key::Auto => (client::by_address(client, self.local), Name::Address(client.ip())),
            Key::Endpoint => (client::by_address_and_port(client, self.local), Name::Endpoint(client)),
            Key::Order => (client::by_order(number, self.local), Name::Order(number)),
        };
        Client { key, family: family(client), name }
    }
}

/// Which headers the datagrams of an address have.
#[must_use]
pub fn family(address: SocketAddr) -> Family {
    match address.ip().to_canonical() {
        IpAddr::V4(_) => Family::Ipv4,
        IpAddr::V6(_) => Family::Ipv6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(key: Key) -> [Client; 4] {
        let mut keys = Keys::new(key, 7000);
        let all = ["192.0.2.1:5000", "192.0.2.1:5001", "[2001:db8::1]:5000", "192.0.2.1:5000"];
        all.map(|address| keys.client(address.parse().unwrap()))
    }

    #[test]
    fn a_client_is_its_address_or_its_endpoint_or_its_turn() {
        let same = |clients: [Client; 4]| clients.map(|client| client.key == clients[0].key);
        assert_eq!(same(keys(Key::Address)), [true, true, false, true]);
        assert_eq!(same(keys(Key::Endpoint)), [true, false, false, true]);
        assert_eq!(same(keys(Key::Order)), [true, false, false, false]);
        let names = |key| keys(key).map(|client| client.name.to_string());
        assert_eq!(names(Key::Address), ["192.0.2.1", "192.0.2.1", "2001:db8::1", "192.0.2.1"]);
        assert_eq!(names(Key::Endpoint)[..3], ["192.0.2.1:5000", "192.0.2.1:5001", "[2001:db8::1]:5000"]);
        assert_eq!(names(Key::Order), ["#0", "#1", "#2", "#3"]);
        assert_eq!(keys(Key::Order)[2].family, Family::Ipv6);
        assert_eq!(family("[::ffff:192.0.2.1]:1".parse().unwrap()), Family::Ipv4);
    }
}
