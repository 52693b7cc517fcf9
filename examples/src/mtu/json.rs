//! The finding as one JSON object.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use polyport_protocol::Nanos;
use polyport_protocol::client::Bound;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::report::{Finding, NextHop};
use super::size::overhead;

/// What `polyport-mtu --json` prints. Lengths are in octets; what was not found out is `null`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MtuReport {
    /// Who was asked.
    pub target: SocketAddr,
    /// Whether the target answered and the search came to its end.
    pub answered: bool,
    /// The longest UDP payload that passes.
    pub payload: Option<usize>,
    /// The path MTU: the longest payload with the headers of UDP and IP.
    pub mtu: Option<usize>,
    /// Which way was measured.
    pub direction: Direction,
    /// What bounds the path.
    pub bound: Option<BoundReport>,
    /// Whether longer datagrams vanish without a word.
    pub black_hole: Option<bool>,
    /// The limit that ICMP named last, and that was believed.
    pub next_hop: Option<NextHopReport>,
    /// ICMP messages that were not believed.
    pub icmp_disbelieved: u64,
    /// The kernel's `IP_MTU` after the last probe: ICMP may have taught it.
    pub kernel_mtu: Option<usize>,
    /// The kernel's `IP_MTU` before the first probe.
    pub kernel_mtu_before: Option<usize>,
    /// Probes sent.
    pub probes: u64,
    /// Probes answered.
    pub answers: u64,
    /// Echoes that were shorter than the probe: the server's fault, not the path's.
    pub cut_echoes: u64,
    /// The shortest round trip, nanoseconds.
    pub rtt_ns: Option<Nanos>,
    /// Largest datagram the responder takes whole, if it says so.
    pub responder_limit: Option<u16>,
    /// Datagrams not accepted, by reason.
    pub rejected: BTreeMap<String, u64>,
}

/// Which way was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// There and back.
    Both,
    /// There only.
    Forward,
}

/// What bounds a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BoundReport {
    /// The search tried nothing longer.
    Limit,
    /// Silence about longer probes, while short ones are answered.
    Silence,
    /// EMSGSIZE from the local stack.
    LocalEmsgsize,
    /// ICMP named the MTU of a next hop.
    IcmpNextHop,
}

/// What a router said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NextHopReport {
    /// The MTU of its next hop, IP header included.
    pub mtu: usize,
    /// The router.
    pub router: Option<IpAddr>,
}

impl MtuReport {
    /// All that a search found out.
    #[must_use]
    pub fn new(finding: &Finding) -> Self {
        let found = finding.found();
        let target = finding.target();
        Self {
            target,
            answered: found.is_some(),
            payload: found.map(|(payload, _)| payload),
            mtu: found.map(|(payload, _)| payload + overhead(target)),
            direction: if finding.is_both_ways() { Direction::Both } else { Direction::Forward },
            bound: found.map(|(_, bound)| bound.into()),
            black_hole: found.map(|(_, bound)| bound == Bound::Silence),
            next_hop: finding.next_hop.map(|NextHop { mtu, router }| NextHopReport { mtu, router }),
            icmp_disbelieved: finding.disbelieved,
            kernel_mtu: finding.kernel_after,
            kernel_mtu_before: finding.kernel_before,
            probes: finding.probes,
            answers: finding.answers,
            cut_echoes: finding.cut_echoes,
            rtt_ns: finding.rtt,
            responder_limit: finding.responder_limit,
            rejected: finding.rejects.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
        }
    }
}

impl From<Bound> for BoundReport {
    fn from(bound: Bound) -> Self {
        match bound {
            Bound::Limit => Self::Limit,
            Bound::Silence => Self::Silence,
            Bound::MessageTooLong => Self::LocalEmsgsize,
            Bound::NextHop => Self::IcmpNextHop,
        }
    }
}
