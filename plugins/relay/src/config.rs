//! The options of the plugin, and what they mean together.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use polyport_impair_options::{Common, Direction, Plan, Way};
use polyport_plugin::{Error, choices, config};

use crate::clients::SESSION_BYTES;
use crate::endpoint::{Endpoint, is_unicast};

choices! {
    /// Which upstream a new session gets.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Select {
        /// A hash of the client says it (rendezvous): the same upstream each time.
        Hash = "hash",
        /// One after the other.
        Round = "round",
        /// The first that is up.
        First = "first",
    }
}

choices! {
    /// What a client is to `hash`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Affinity {
        /// Its address with its port.
        Address = "address",
        /// Its address alone: all of its ports go to one upstream.
        Ip = "ip",
    }
}

choices! {
    /// Which addresses of a name are used.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Family {
        /// All.
        Any = "any",
        /// Those of IPv4.
        Ipv4 = "ipv4",
        /// Those of IPv6.
        Ipv6 = "ipv6",
    }
}

choices! {
    /// What becomes of a newcomer when there are as many sessions as may be.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Full {
        /// Its datagram is dropped.
        Refuse = "refuse",
        /// The session that is unanswered or silent for longest ends.
        Oldest = "oldest",
    }
}

choices! {
    /// What an ICMP message does that says that nobody is there.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Refused {
        /// It is a mark against the upstream, and an unanswered session moves.
        Move = "move",
        /// It is counted, and changes nothing.
        Keep = "keep",
    }
}

choices! {
    /// What becomes of TOS (RFC 791) and traffic class (RFC 8200): DSCP and ECN.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Tos {
        /// Both are zero on the other side.
        Clear = "clear",
        /// Both go through, both ways.
        Copy = "copy",
    }
}

choices! {
    /// What is written about sessions.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Lines {
        /// A line at the end of each, and for those that are open at the end of the relay.
        Sessions = "sessions",
        /// Nothing.
        Off = "off",
    }
}

choices! {
    /// Whose line the impairments are.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Channel {
        /// Each client has a line of its own.
        Client = "client",
        /// All clients share one line, its rate and its queue.
        Shared = "shared",
    }
}

config! {
    /// Options of the plugin.
    #[derive(Clone, Debug)]
    pub struct RelayConfig {
        to: Vec<String> = required, "Where everything goes: host:port, [IPv6]:port, with *3 behind it for three times as many sessions as the others";
        select: Select = "hash", "Which upstream a new session gets: that of its client's hash, the next in turn, or the first that is up";
        affinity: Affinity = "address", "What hash looks at: the client's address with its port, or without";
        resolve: Duration = "30s", "Names are looked up again after so long; 0: until they are found, and never again", max = LONGEST_NS;
        family: Family = "any", "Which addresses of names are used";
        sessions: u32 = "1024", "Sessions at most; [limits] and the listener have limits as well", min = 1, max = MOST_SESSIONS;
        full: Full = "refuse", "What happens at that limit: a newcomer gets no session, or the one ends that is unanswered or silent for longest; at a limit of the daemon it ends for the newcomer's next datagram";
        opens: u32 = "1000", "New sessions a second, and as many at once; 0: no limit", max = 10_000_000;
        idle: Duration = "2min", "A session ends after so long without a datagram either way", min = 1_000_000, max = LONGEST_NS;
        replies: u32 = "0", "A session ends when each of its requests has so many answers: 1 for DNS; 0: it does not";
        silence: Duration = "10s", "A session moves that has sent and heard nothing for so long, without what up.delay takes, if its upstream has answered anybody; 0: none does", max = LONGEST_NS;
        marks: u32 = "3", "So many marks without an answer between, and an upstream is down", min = 1, max = 1_000_000;
        retry: Duration = "10s", "How long an upstream is down; if all are, all count as up", max = LONGEST_NS;
        refused: Refused = "move", "What ICMP does that says that nobody is there: it is a mark, and an unanswered session moves; or nothing";
        source: Vec<String> = "", "Local addresses of the sessions, the next where the ports of one are used up; none: the system chooses";
        tos: Tos = "clear", "Whether DSCP and ECN go through, both ways";
        df: bool = "false", "Whether sessions never fragment: what is too long for the path is dropped and counted";
        log: Lines = "sessions", "What is logged: a line at the end of each session and for those that are open when the relay stops, or nothing";
        channel: Channel = "client", "Whose line the impairments are: each client has one, or all of them have one together";
        common: Common = flattened;
        up: Direction = nested;
        down: Direction = nested;
    }
}

/// One day.
const LONGEST_NS: u64 = 86_400_000_000_000;
/// What a daemon has at most.
const MOST_SESSIONS: u32 = 1_048_576;
/// What a session costs besides, bytes, where something happens to datagrams.
pub(crate) const OWN_BYTES: usize = 192;
/// Upstreams at most: a choice looks at each of them.
pub(crate) const MOST_UPSTREAMS: usize = 64;
/// Source addresses at most: where one has no port left, each of the others is tried.
const MOST_SOURCES: usize = 64;

/// The configuration, checked.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) to: Vec<Endpoint>,
    pub(crate) source: Sources,
    /// What happens to datagrams.
    pub(crate) plan: Plan<2>,
    pub(crate) options: RelayConfig,
}

impl Settings {
    /// Checks the options. Resolves no name.
    ///
    /// # Errors
    /// Names the option at fault.
    pub(crate) fn new(options: RelayConfig) -> Result<Self, Error> {
        let to = options.to.iter().map(|text| {
            Endpoint::parse(text).map_err(|why| Error::option("to", format_args!("`{text}`: {why}")))
        });
        let to = to.collect::<Result<Vec<_>, _>>()?;
        if to.is_empty() {
            return Err(Error::option("to", "names nobody: give at least one host:port"));
        }
        if to.len() > MOST_UPSTREAMS {
            return Err(Error::option("to", format_args!("names more than {MOST_UPSTREAMS}")));
        }
        let source = options.source.iter().map(|text| address(text)).collect::<Result<Vec<_>, _>>()?;
        if source.len() > MOST_SOURCES {
            return Err(Error::option("source", format_args!("names more than {MOST_SOURCES}")));
        }
        let (v4, v6) = source.into_iter().partition(IpAddr::is_ipv4);
        let source = Sources { v4, v6 };
        let is_out_of_reach = |to: &Endpoint| to.address().is_some_and(|to| !source.can_reach(to));
        if let Some((text, _)) = options.to.iter().zip(&to).find(|(_, to)| is_out_of_reach(to)) {
            return Err(Error::option("source", format_args!("has no address of the family of `{text}`")));
        }
        let plan = Plan::new(&options.common, [Way::up(&options.up), Way::down(&options.down)])?;
        let settings = Self { to, source, plan, options };
        settings.check_marks()?;
        Ok(settings)
    }

    /// Marks need a traffic class that goes through.
    fn check_marks(&self) -> Result<(), Error> {
        let marked = ["up", "down"].into_iter().zip(self.plan.marks()).find(|(_, marks)| *marks);
        match marked.filter(|_| !self.copies_tos()) {
            Some((way, _)) => {
                Err(Error::option("ecn", "marks what does not go through: set tos to copy").under(way))
            }
            None => Ok(()),
        }
    }

    /// Whether something may happen to datagrams, now or later.
    fn acts(&self) -> bool {
        self.plan.acts().contains(&true)
    }

    /// What a session costs at worst, bytes.
    pub(crate) fn session_bytes(&self) -> usize {
        SESSION_BYTES + if self.acts() { OWN_BYTES + self.plan.client_bytes() } else { 0 }
    }

    /// Whether an instance with these settings, which was made with so many bytes for each session, can take those instead: all but
    /// what is asked for when an instance is made.
    pub(crate) fn can_become(&self, other: &Self, session_bytes: usize) -> bool {
        self.copies_tos() == other.copies_tos()
            && self.plan.delays() == other.plan.delays()
            && session_bytes >= other.session_bytes()
            && self.options.common.decisions == other.options.common.decisions
    }

    /// Whether all clients have one line together.
    pub(crate) fn is_shared(&self) -> bool {
        self.options.channel == Channel::Shared
    }

    /// Whether DSCP and ECN go through.
    pub(crate) fn copies_tos(&self) -> bool {
        self.options.tos == Tos::Copy
    }

    /// The local addresses to reach `to` from; none: the system chooses.
    pub(crate) fn sources(&self, to: SocketAddr) -> &[IpAddr] {
        if to.is_ipv4() { &self.source.v4 } else { &self.source.v6 }
    }

    /// Whether an address of a name is one to go to.
    pub(crate) fn takes(&self, to: SocketAddr) -> bool {
        let fits = match self.options.family {
            Family::Any => true,
            Family::Ipv4 => to.is_ipv4(),
            Family::Ipv6 => to.is_ipv6(),
        };
        fits && is_unicast(to.ip()) && self.source.can_reach(to)
    }
}

/// Local addresses, by family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sources {
    v4: Vec<IpAddr>,
    v6: Vec<IpAddr>,
}

impl Sources {
    fn can_reach(&self, to: SocketAddr) -> bool {
        let (own, other) = if to.is_ipv4() { (&self.v4, &self.v6) } else { (&self.v6, &self.v4) };
        !own.is_empty() || other.is_empty()
    }
}

fn address(text: &str) -> Result<IpAddr, Error> {
    let ip = text.trim().parse::<IpAddr>().ok().filter(|ip| is_unicast(*ip));
    ip.ok_or_else(|| {
        let why =
            format_args!("`{text}` is no address of this host: give one such as 192.0.2.1, without a port");
        Error::option("source", why)
    })
}

#[cfg(test)]
mod tests {
    use polyport_plugin::testing::Harness;
    use polyport_plugin::{Batch, Handler, Level, Setup};

    use super::*;

    /// What a name has.
    const FOUND: [&str; 4] = ["192.0.2.1:53", "[2001:db8::1]:53", "224.0.0.1:53", "[ff02::1]:53"];

    /// Says which of them its options take.
    struct Says;

    impl Handler for Says {
        type Config = RelayConfig;

        fn new(config: RelayConfig, setup: &mut Setup<'_>) -> Result<Self, Error> {
            let settings = Settings::new(config)?;
            let takes = FOUND.map(|text| settings.takes(text.parse().unwrap()));
            setup.log(Level::Info, format_args!("{takes:?}"));
            Ok(Self)
        }

        fn on_batch(&mut self, _: &mut Batch<'_>) {}
    }

    #[test]
    fn addresses_of_a_name_are_used_by_family_and_source_and_none_of_a_group() {
        for (family, source, taken) in [
            ("any", None, [true, true, false, false]),
            ("ipv4", None, [true, false, false, false]),
            ("ipv6", None, [false, true, false, false]),
            ("any", Some("198.51.100.1"), [true, false, false, false]),
            ("ipv6", Some("198.51.100.1"), [false; 4]),
            ("any", Some("198.51.100.1, 2001:db8::9"), [true, true, false, false]),
        ] {
            let mut options = vec![("to", "name.example:53"), ("family", family)];
            options.extend(source.map(|source| ("source", source)));
            let mut says = Harness::<Says>::new(&options);
            assert_eq!(says.lines(), [format!("{taken:?}")], "{options:?}");
        }
    }
}
