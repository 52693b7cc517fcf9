//! Who answered without having been asked: the wrong address often says what is wrong with the right one.

use std::net::SocketAddr;

/// Senders that are remembered by name: more than a misrouted answer has, and fewer than a forger can invent.
const MOST_NAMED: usize = 4;

/// Addresses that datagrams came from, other than the one that was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strangers {
    named: Vec<SocketAddr>,
    more: bool,
    count: u64,
}

impl Strangers {
    /// One more datagram.
    pub fn heard(&mut self, from: SocketAddr) {
        self.count += 1;
        if self.named.contains(&from) {
            return;
        }
        if self.named.len() < MOST_NAMED {
            self.named.push(from);
        } else {
            self.more = true;
        }
    }

    /// Adds what another thread heard.
    pub fn absorb(&mut self, other: &Self) {
        let count = self.count + other.count;
        other.named.iter().for_each(|from| self.heard(*from));
        self.more |= other.more;
        self.count = count;
    }

    /// Datagrams so far.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The first senders.
    #[must_use]
    pub fn named(&self) -> &[SocketAddr] {
        &self.named
    }

    /// The first senders, such as `192.0.2.7:7000, 192.0.2.8:7000 and others`; `None` if nobody was heard.
    #[must_use]
    pub fn names(&self) -> Option<String> {
        if self.named.is_empty() {
            return None;
        }
        let names: Vec<String> = self.named.iter().map(SocketAddr::to_string).collect();
        Some(names.join(", ") + if self.more { " and others" } else { "" })
    }

    /// For the line that says that nobody answered: what came instead.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let names = self.names()?;
        Some(format!("what came is from {names}: does the server answer from the address that is asked?"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_named_once_and_the_others_counted() {
        let mut strangers = Strangers::default();
        assert_eq!((strangers.names(), strangers.hint()), (None, None));
        for port in [1, 2, 1, 3, 4] {
            strangers.heard(([127, 0, 0, 1], port).into());
        }
        let four = "127.0.0.1:1, 127.0.0.1:2, 127.0.0.1:3, 127.0.0.1:4";
        assert_eq!(strangers.names().unwrap(), four);
        strangers.heard(([127, 0, 0, 1], 5).into());
        assert_eq!((strangers.count(), strangers.names().unwrap()), (6, format!("{four} and others")));
        assert!(strangers.hint().unwrap().contains(four));
        let mut other = Strangers::default();
        other.heard(([127, 0, 0, 1], 1).into());
        other.absorb(&strangers);
        assert_eq!((other.count(), other.names().unwrap()), (7, format!("{four} and others")));
    }
}
