//! The finding [P-90]: how much passes, by which evidence, and whether the path is a black hole.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use polyport_protocol::Nanos;
use polyport_protocol::client::{Bound, MtuResult};

use super::echo::Method;
use super::size::overhead;
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

/// A finding and all that speaks for it.
#[derive(Clone, Debug)]
pub struct Finding {
    target: SocketAddr,
    method: Method,
    /// The search's own word; `None` if it was interrupted.
    pub result: Option<MtuResult>,
    /// The limit that ICMP named last, and that was believed.
    pub next_hop: Option<NextHop>,
    /// ICMP messages that were not believed.
    pub disbelieved: u64,
    /// Probes sent.
    pub probes: u64,
    /// Probes answered.
    pub answers: u64,
    /// The longest probe answered, and the length of its answer.
    pub answer_for: (usize, usize),
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
    pub(super) fn new(target: SocketAddr, method: Method) -> Self {
        Self {
            target,
            method,
            result: None,
            next_hop: None,
            disbelieved: 0,
            probes: 0,
            answers: 0,
            answer_for: (0, 0),
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

    /// Whether the answers were as long as the probes, so that the way back was measured, too.
    #[must_use]
    pub fn is_both_ways(&self) -> bool {
        self.method != Method::Forward || self.answer_for.1 >= self.answer_for.0.max(1)
    }

    /// Payload and bound, if a peer answered and the search came to its end.
    #[must_use]
    pub const fn found(&self) -> Option<(usize, Bound)> {
        match self.result {
            Some(MtuResult::Found { payload, bound }) => Some((payload, bound)),
            Some(MtuResult::Unreachable) | None => None,
        }
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        match self.found() {
            Some((payload, bound)) => {
                let mtu = payload + overhead(self.target);
                let (way, more) = (self.way(), if bound == Bound::Limit { " or more" } else { "" });
                put(&mut text, format_args!("path MTU to {}: {mtu} octets{more}, {way}", self.target));
                put(&mut text, format_args!("UDP payload: {payload} octets"));
                put(&mut text, format_args!("evidence: an answer to {payload} octets; {}", self.why(bound)));
                let hole =
                    if bound == Bound::Silence { "yes: longer ones vanish without a word" } else { "no" };
                put(&mut text, format_args!("black hole: {hole}"));
            }
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

    fn way(&self) -> &'static str {
        if self.is_both_ways() { "there and back" } else { "there" }
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
        }
    }
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    writeln!(text, "{line}").unwrap_or_default();
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
