//! The finding as one JSON object.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use polyport_protocol::Nanos;
use polyport_protocol::client::Bound;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::report::{Back, BackLimit, Finding, NextHop};
use super::size::overhead;

/// What `polyport-mtu --json` prints. Lengths are in octets; what was not found out is `null`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MtuReport {
    /// Who was asked.
    pub target: SocketAddr,
    /// Whether the target answered and the search came to its end.
    pub answered: bool,
    /// The longest UDP payload that passes, whole, every way that was measured.
    pub payload: Option<usize>,
    /// The path MTU: that payload with the headers of UDP and IP.
    pub mtu: Option<usize>,
    /// Which way was measured.
    pub direction: Direction,
    /// The way there.
    pub there: Option<WayReport>,
    /// The way back, as far as it is known.
    pub back: Option<BackReport>,
    /// What bounds the way there, or, if `back.limit` is `either`, one of the two.
    pub bound: Option<BoundReport>,
    /// Whether longer datagrams vanish without a word, on the way there or, if `back.limit` is `either`, on one of the two.
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

/// How much passes one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WayReport {
    /// The longest UDP payload known to pass.
    pub payload: usize,
    /// That payload with the headers of UDP and IP.
    pub mtu: usize,
    /// Whether more may pass.
    pub at_least: bool,
}

/// How much comes back whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackReport {
    /// The longest UDP payload known to come whole.
    pub payload: usize,
    /// That payload with the headers of UDP and IP.
    pub mtu: usize,
    /// Whether more may come.
    pub at_least: bool,
    /// Why not more was seen.
    pub limit: BackLimitReport,
    /// The longest fragment of an answer that did not come whole, IP header included.
    pub fragment: Option<usize>,
}

/// Why no longer answer came whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BackLimitReport {
    /// Answers are never longer than what gets there.
    Probes,
    /// Longer ones come in fragments.
    Fragments,
    /// Longer ones do not come, though their probes get there.
    Silence,
    /// Longer probes have no answer: which of the two ways does not take them is not known.
    Either,
    /// The server sends no more back.
    Cut,
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
    /// Longer probes are answered in fragments.
    Fragments,
    /// The server sends longer probes back cut: the path may take more.
    CutEcho,
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
        let headers = overhead(target);
        let back = BackReport::new(finding.back, headers);
        let least = |payload: usize| back.map_or(payload, |back| payload.min(back.payload));
        let payload = found.map(|(payload, _)| least(payload));
        let there =
            |(payload, _)| WayReport { payload, mtu: payload + headers, at_least: finding.is_least() };
        Self {
            target,
            answered: found.is_some(),
            payload,
            mtu: payload.map(|payload| payload + headers),
            direction: if back.is_some() { Direction::Both } else { Direction::Forward },
            there: found.map(there),
            back,
            bound: found.map(|(_, bound)| bound.into()),
            black_hole: finding.is_black_hole(),
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

impl BackReport {
    fn new(back: Back, headers: usize) -> Option<Self> {
        let Back::Found { payload, limit } = back else { return None };
        let (limit_report, fragment) = match limit {
            BackLimit::Probes => (BackLimitReport::Probes, None),
            BackLimit::Fragments(longest) => (BackLimitReport::Fragments, longest),
            BackLimit::Silence => (BackLimitReport::Silence, None),
            BackLimit::Either => (BackLimitReport::Either, None),
            BackLimit::Cut => (BackLimitReport::Cut, None),
        };
        let (mtu, at_least) = (payload + headers, limit.is_least());
        Some(Self { payload, mtu, at_least, limit: limit_report, fragment })
    }
}

impl From<Bound> for BoundReport {
    fn from(bound: Bound) -> Self {
        match bound {
            Bound::Limit => Self::Limit,
            Bound::Silence => Self::Silence,
            Bound::MessageTooLong => Self::LocalEmsgsize,
            Bound::NextHop => Self::IcmpNextHop,
            Bound::Fragments => Self::Fragments,
            Bound::Cut => Self::CutEcho,
        }
    }
}
