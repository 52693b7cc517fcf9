//! The finding [P-90]: how much passes each way, by which evidence, whether the path is a black hole, and what is not known.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use polyport_protocol::Nanos;
use polyport_protocol::client::{Bound, MtuResult};

use super::size::{IPV6_MINIMUM, overhead};
use crate::strangers::Strangers;
use crate::text::millis;

/// What a router said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// The MTU of its next hop, IP header included.
    pub mtu: usize,
    /// The router.
    pub router: Option<IpAddr>,
}

/// An answer that came in fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragmented {
    /// Octets of its UDP payload.
    pub len: usize,
    /// Octets of its longest fragment, IP header included.
    pub longest: usize,
}

/// What is known of the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Back {
    /// Nothing: it was not asked for, or the search was interrupted.
    Unmeasured,
    /// Nothing: the peer answers, but not with what it got.
    NoEcho,
    /// Nothing: answers came, but this system does not tell whether in fragments.
    Untold,
    /// So many octets come whole.
    Found {
        /// Octets of UDP payload.
        payload: usize,
        /// Why not more.
        limit: BackLimit,
    },
}

impl Back {
    /// The way back of answers that are as long as their probes and all came whole.
    pub(super) const fn after_round_trip(payload: usize, bound: Bound) -> Self {
        let limit = match bound {
            Bound::Silence => BackLimit::Either,
            Bound::Cut => BackLimit::Cut,
            Bound::Limit | Bound::MessageTooLong | Bound::NextHop | Bound::Fragments => BackLimit::Probes,
        };
        Self::Found { payload, limit }
    }
}

/// Why not more comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackLimit {
    /// Answers are never longer than probes, and no longer probe gets there: the way back may take more.
    Probes,
    /// Longer answers come in fragments, of at most so many octets if that is known.
    Fragments(Option<usize>),
    /// Longer probes get there, and their answers do not come.
    Silence,
    /// Longer probes have no answer: it is not known which of the two ways does not take them.
    Either,
    /// The peer sends no more back: the way may take more.
    Cut,
}

impl BackLimit {
    pub(super) fn new(bound: Bound, fragmented: Option<Fragmented>) -> Self {
        match bound {
            Bound::Fragments => Self::Fragments(fragmented.map(|fragmented| fragmented.longest)),
            Bound::Silence => Self::Silence,
            Bound::Cut => Self::Cut,
            Bound::Limit | Bound::MessageTooLong | Bound::NextHop => Self::Probes,
        }
    }

    /// Whether the way back may take more.
    #[must_use]
    pub const fn is_least(self) -> bool {
        matches!(self, Self::Probes | Self::Either | Self::Cut)
    }
}

/// A finding and all that speaks for it.
#[derive(Clone, Debug)]
pub struct Finding {
    target: SocketAddr,
    /// The search's own word about the way there; `None` if it was interrupted.
    pub result: Option<MtuResult>,
    /// What is known of the way back.
    pub back: Back,
    /// The limit that ICMP named last, and that was believed.
    pub next_hop: Option<NextHop>,
    /// ICMP messages that were not believed.
    pub disbelieved: u64,
    /// Probes sent.
    pub probes: u64,
    /// Probes answered.
    pub answers: u64,
    /// The longest probe answered, and the length of its answer.
    answer_for: (usize, usize),
    /// The shortest answer that came in fragments.
    pub fragmented: Option<Fragmented>,
    /// Whether the last answers were sent whole or not at all.
    pub(super) is_uncut: bool,
    /// The shortest round trip.
    pub rtt: Option<Nanos>,
    /// Echoes that were shorter than the probe: the server's fault, not the path's.
    pub cut_echoes: u64,
    /// Largest datagram the responder takes whole, if it says so.
    pub responder_limit: Option<u16>,
    /// Datagrams not accepted.
    pub rejects: Vec<(&'static str, u64)>,
    /// Who sent those from elsewhere.
    pub strangers: Strangers,
    /// `IP_MTU` before the first probe.
    pub kernel_before: Option<usize>,
    /// `IP_MTU` after the last one: ICMP may have taught it.
    pub kernel_after: Option<usize>,
}

impl Finding {
    pub(super) fn new(target: SocketAddr) -> Self {
        Self {
            target,
            result: None,
            back: Back::Unmeasured,
            next_hop: None,
            disbelieved: 0,
            probes: 0,
            answers: 0,
            answer_for: (0, 0),
            fragmented: None,
            is_uncut: false,
            rtt: None,
            cut_echoes: 0,
            responder_limit: None,
            rejects: Vec::new(),
            strangers: Strangers::default(),
            kernel_before: None,
            kernel_after: None,
        }
    }

    /// Who was asked.
    #[must_use]
    pub const fn target(&self) -> SocketAddr {
        self.target
    }

    pub(super) const fn note_answer(&mut self, size: usize, len: usize) {
        if size >= self.answer_for.0 {
            self.answer_for = (size, len);
        }
    }

    /// Whether the answers were as long as the probes.
    pub(super) const fn is_answered_in_full(&self) -> bool {
        self.answer_for.0 > 0 && self.answer_for.1 >= self.answer_for.0
    }

    /// Adds what another search has counted.
    pub(super) fn add(&mut self, other: Self) {
        self.probes += other.probes;
        self.answers += other.answers;
        self.cut_echoes += other.cut_echoes;
        self.disbelieved += other.disbelieved;
        self.rtt = self.rtt.into_iter().chain(other.rtt).min();
        self.responder_limit = other.responder_limit.or(self.responder_limit);
        for (name, count) in other.rejects {
            match self.rejects.iter_mut().find(|(known, _)| *known == name) {
                Some((_, sum)) => *sum += count,
                None => self.rejects.push((name, count)),
            }
        }
    }

    /// Payload and bound of the way there, if a peer answered and the search came to its end.
    #[must_use]
    pub const fn found(&self) -> Option<(usize, Bound)> {
        match self.result {
            Some(MtuResult::Found { payload, bound }) => Some((payload, bound)),
            Some(MtuResult::Unreachable) | None => None,
        }
    }

    /// Whether the way there may take more than was found.
    #[must_use]
    pub const fn is_least(&self) -> bool {
        let either = matches!(self.back, Back::Found { limit: BackLimit::Either, .. });
        either || matches!(self.found(), Some((_, Bound::Limit | Bound::Cut)))
    }

    /// Whether longer datagrams vanish without a word; `None` if that is not known.
    #[must_use]
    pub const fn is_black_hole(&self) -> Option<bool> {
        match self.found() {
            Some((_, Bound::Cut)) | None => None,
            Some((_, bound)) => Some(matches!(bound, Bound::Silence)),
        }
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        match self.found() {
            Some((payload, bound)) => self.put_found(&mut text, payload, bound),
            None => put(&mut text, format_args!("path MTU to {}: unknown, no peer answered", self.target)),
        }
        if let Some(after) = self.kernel_after {
            let before = self.kernel_before.unwrap_or(after);
            let learnt = if before == after { String::new() } else { format!(", {before} before") };
            let local =
                if self.found().is_none() { " (local knowledge only: nothing was measured)" } else { "" };
            put(&mut text, format_args!("the kernel's IP_MTU: {after} octets{learnt}{local}"));
        }
        let rtt = self.rtt.map_or_else(String::new, |rtt| format!(", shortest round trip {}", millis(rtt)));
        put(&mut text, format_args!("probes: {} sent, {} answered{rtt}", self.probes, self.answers));
        if self.cut_echoes > 0 {
            put(&mut text, format_args!("cut echoes: {}, the server's buffer is the limit", self.cut_echoes));
        }
        if let Some(limit) = self.responder_limit {
            put(&mut text, format_args!("the responder takes up to {limit} octets whole"));
        }
        for (name, count) in &self.rejects {
            put(&mut text, format_args!("rejected: {name} {count}"));
        }
        if let Some(names) = self.strangers.names() {
            put(&mut text, format_args!("wrong_source: from {names}"));
        }
        text.truncate(text.trim_end().len());
        text
    }

    fn put_found(&self, text: &mut String, payload: usize, bound: Bound) {
        let headers = overhead(self.target);
        let ways = self.ways(payload + headers, headers);
        put(text, format_args!("path MTU to {}: {ways}", self.target));
        let ways = self.ways(payload, 0);
        let alone = self.back == Back::Unmeasured;
        put(
            text,
            format_args!("UDP payload: {}", ways.strip_suffix(", there").filter(|_| alone).unwrap_or(&ways)),
        );
        put(text, format_args!("evidence: an answer to {payload} octets; {}", self.why(bound)));
        if let Some(back) = self.why_back() {
            put(text, format_args!("way back: {back}"));
        }
        let hole = match self.is_black_hole() {
            Some(true) if self.is_least() => "yes: longer ones, or their answers, vanish without a word",
            Some(true) => "yes: longer ones vanish without a word",
            Some(false) => "no",
            None => "not known: the server's buffer is the end of what can be told",
        };
        put(text, format_args!("black hole: {hole}"));
        if self.target.is_ipv6() && payload + headers < IPV6_MINIMUM && !self.is_least() {
            let least = IPV6_MINIMUM;
            put(text, format_args!("note: every link must take {least} octets over IPv6; one does not"));
        }
    }

    /// How much there and back; `headers` are added to what comes back.
    fn ways(&self, there: usize, headers: usize) -> String {
        let least = |is_least: bool| if is_least { "at least " } else { "" };
        let there_least = self.is_least();
        match self.back {
            Back::Found { payload, limit } => {
                let back = payload + headers;
                if there == back && limit == BackLimit::Either {
                    format!("{there} octets, there and back")
                } else if there == back && there_least == limit.is_least() {
                    format!("{}{there} octets, there and back", least(there_least))
                } else {
                    let (there_least, back_least) = (least(there_least), least(limit.is_least()));
                    format!("{there_least}{there} octets there, {back_least}{back} back")
                }
            }
            Back::Unmeasured => format!("{}{there} octets, there", least(there_least)),
            Back::NoEcho | Back::Untold => {
                format!("{}{there} octets there, unknown back", least(there_least))
            }
        }
    }

    fn why(&self, bound: Bound) -> String {
        match bound {
            Bound::Limit => "the search tried nothing longer".to_owned(),
            Bound::Silence => "silence about longer ones, while short ones are answered".to_owned(),
            Bound::MessageTooLong => "EMSGSIZE from the local stack for longer ones".to_owned(),
            Bound::NextHop => match self.next_hop {
                Some(NextHop { mtu, router: Some(router) }) => {
                    format!("ICMP from {router}: its next hop takes {mtu}")
                }
                Some(NextHop { mtu, router: None }) => format!("ICMP: a next hop takes {mtu}"),
                None => "ICMP named a limit".to_owned(),
            },
            Bound::Fragments => "longer ones are answered in fragments".to_owned(),
            Bound::Cut => "the server sends longer ones back cut".to_owned(),
        }
    }

    fn why_back(&self) -> Option<String> {
        let (payload, limit) = match self.back {
            Back::Unmeasured => return None,
            Back::NoEcho => {
                return Some("not measured, since the server does not send back what it gets".into());
            }
            Back::Untold => {
                return Some(
                    "not known, since this system does not tell fragments from what came whole".into(),
                );
            }
            Back::Found { payload, limit } => (payload, limit),
        };
        let why = match limit {
            BackLimit::Probes => "answers are never longer than what gets there",
            BackLimit::Fragments(Some(longest)) => {
                return Some(format!(
                    "an answer of {payload} octets came whole; longer ones come in fragments of {longest}"
                ));
            }
            BackLimit::Fragments(None) => "longer ones come in fragments",
            BackLimit::Silence => "longer ones do not come, though their probes get there",
            BackLimit::Either => "which of the two ways is the limit is not known",
            BackLimit::Cut => "the server sends no more",
        };
        Some(format!("an answer of {payload} octets came whole; {why}"))
    }
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    writeln!(text, "{line}").unwrap_or_default();
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
