//! What one listener may answer, and to whom, each with its default and the reason for it. The configuration sets it,
//! and the guard keeps to it; neither uses the other, and this module uses neither.
//!
//! The defaults suit a port on the open Internet, where sources are forged: whoever answers must not start a loop of
//! answers, nor send more to a stranger's victim than the stranger sent.

/// The reply policy of one listener: `[listen.reply]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyPolicy {
    /// Which of the [`LOOP_PORTS`] may be sent to. Default: none of them.
    pub ports: PeerPorts,
    /// Whether a peer may be sent to whose port is the listener's own. Default: no. The same service on another host is
    /// the most likely owner of that port, and two services that answer anything never stop.
    pub same_port: bool,
    /// Whether anything may be sent to broadcast and multicast addresses, and in answer to what was sent to them.
    /// Default: no. One forged datagram would make every host of a network answer (RFC 1122, section 3.2.2.6, forbids it
    /// to ICMP for this reason).
    pub groups: bool,
    /// How much is sent to peers that have not proved their address; none is no bound. Default: a budget with its
    /// defaults.
    pub budget: Option<Budget>,
    /// Which TTL or hop limit answers leave with. Default: the system's.
    pub ttl: ReplyTtl,
}

impl Default for ReplyPolicy {
    fn default() -> Self {
        Self {
            ports: PeerPorts::default(),
            same_port: false,
            groups: false,
            budget: Some(Budget::default()),
            ttl: ReplyTtl::default(),
        }
    }
}

/// Which of the [`LOOP_PORTS`] may be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerPorts {
    /// Those that are listed, in ascending order, and all ports that are not [`LOOP_PORTS`].
    Only(Vec<u16>),
    /// Every port.
    Any,
}

impl PeerPorts {
    /// Whether a [`LOOP_PORTS`] port may be sent to.
    #[must_use]
    pub fn allows(&self, port: u16) -> bool {
        match self {
            Self::Only(ports) => ports.binary_search(&port).is_ok(),
            Self::Any => true,
        }
    }
}

impl Default for PeerPorts {
    fn default() -> Self {
        Self::Only(Vec::new())
    }
}

/// How much a listener sends to peers that have not proved that they own their address. Peers count together whose
/// addresses have the same prefix, because whoever owns a network can use all of its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Most bytes that are sent for the bytes that came, headers counted, in thousandths, 1,000 to 1,000,000.
    /// Default 3,000: that many times as much is what QUIC allows before a path is validated (RFC 9000, section 8.1).
    pub amplification_milli: u32,
    /// Most replies to one prefix in a second, 1 to 1,000,000,000; none is no bound. Default none: a load test in one's
    /// own network is no attack.
    pub rate: Option<u32>,
    /// Of so many replies that exceed the rate, one leaves all the same, so that a genuine client behind a forged prefix
    /// gets an answer now and then; 0 is none. Default 2, as name servers have it.
    pub slip: u32,
    /// Bits of an IPv4 address that make its prefix, 8 to 32. Default 24: the smallest network that is routed.
    pub v4_prefix: u8,
    /// Bits of an IPv6 address that make its prefix, 16 to 128. Default 56: what a subscriber is given (RFC 6177).
    pub v6_prefix: u8,
    /// Whether loopback peers count. Default: no, because nobody else can use their addresses.
    pub loopback: bool,
}

impl Default for Budget {
    fn default() -> Self {
        Self { amplification_milli: 3000, rate: None, slip: 2, v4_prefix: 24, v6_prefix: 56, loopback: false }
    }
}

/// Which TTL (IPv4) or hop limit (IPv6) answers leave with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyTtl {
    /// The system's default, which reaches every peer.
    #[default]
    System,
    /// One less than the request came with, so that a loop of two such daemons ends by itself.
    Decay,
}

/// UDP ports of services that answer nearly anything, each with the service. A datagram with such a source is most
/// likely forged: the service would answer our answer, and neither would ever stop (CERT CA-1996-01, CVE-2024-2169).
///
/// Above port 1023 the list is short, because there the system of a genuine client, or a NAT on its way, may choose such
/// a port by chance.
pub const LOOP_PORTS: [(u16, &str); 21] = [
    (7, "echo: sends everything back (RFC 862)"),
    (11, "active users: answers any datagram with a list (RFC 866)"),
    (13, "daytime: answers any datagram with the date (RFC 867)"),
    (17, "quote of the day: answers any datagram with a text (RFC 865)"),
    (19, "character generator: answers any datagram with up to 512 characters (RFC 864)"),
    (37, "time: answers any datagram with the time (RFC 868)"),
    (53, "DNS: answers what it cannot read with FORMERR (RFC 1035)"),
    (69, "TFTP: answers what it cannot read with an error (RFC 1350)"),
    (111, "rpcbind: answers unknown calls with a rejection (RFC 1833)"),
    (123, "NTP: answers old modes and versions in kind (RFC 5905)"),
    (137, "NetBIOS names: answers queries and errors (RFC 1002)"),
    (161, "SNMP: answers requests with reports and errors (RFC 3412)"),
    (389, "CLDAP: answers what it cannot read with an error, a common reflector (RFC 1798)"),
    (500, "IKE: answers unknown versions with a notification (RFC 7296)"),
    (520, "RIP: answers a request for a whole table with the table (RFC 2453)"),
    (862, "STAMP and TWAMP: sends any datagram of 14 octets or more back (RFC 8762, RFC 5357)"),
    (1434, "Microsoft SQL Server Resolution: one byte makes two of them answer for ever (CVE-2002-0650)"),
    (1900, "SSDP: answers searches with one datagram a service, a common reflector (UPnP)"),
    (3702, "WS-Discovery: answers probes, also broken ones, with long faults, a common reflector"),
    (5353, "multicast DNS: answers unicast queries of the whole Internet where it is exposed (RFC 6762)"),
    (11_211, "memcached: answers unknown commands with ERROR, the strongest reflector known"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_in_order_and_allowed_one_by_one() {
        assert!(LOOP_PORTS.is_sorted_by(|(one, _), (next, _)| one < next));
        let some = PeerPorts::Only(vec![53, 123]);
        assert!(some.allows(53) && some.allows(123) && !some.allows(7));
        assert!(PeerPorts::Any.allows(7) && !PeerPorts::default().allows(53));
    }
}
