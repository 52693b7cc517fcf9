//! What came from each source prefix and what left to it: the promise of the budgets, checked without their code.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use polyport::reply::Budget;

/// How long what came may pay, ns: a second, and what a turn of the loop takes.
const PAYS_NS: u64 = 1_050_000_000;
const SECOND_NS: u64 = 1_000_000_000;

/// The books of all listeners with a budget.
#[derive(Debug, Default)]
pub(crate) struct Spent {
    budgets: BTreeMap<usize, Budget>,
    prefixes: BTreeMap<IpAddr, Flow>,
}

/// What came from a prefix pays for, and what left to it: both in thousandths of bytes, with the time.
#[derive(Debug, Default)]
struct Flow {
    came: Vec<(u64, u64)>,
    left: Vec<(u64, u64)>,
    /// Sums of both.
    sums: [u64; 2],
}

impl Spent {
    /// A listener has a budget. Its prefixes are /24 and /56.
    pub(crate) fn listener(&mut self, at: usize, budget: Option<&Budget>) {
        if let Some(budget) = budget {
            self.budgets.insert(at, *budget);
        }
    }

    /// A datagram that a handler may see came at `now_ns`.
    pub(crate) fn came(&mut self, at: usize, from: IpAddr, payload: usize, now_ns: u64) {
        if let Some(budget) = self.counts(at, from) {
            let parts = wire(from, payload) * u64::from(budget.amplification_milli);
            let flow = self.prefixes.entry(prefix(from)).or_default();
            flow.came.push((now_ns, parts));
            flow.sums[0] += parts;
        }
    }

    /// A datagram to an address that nobody has proved left at `now_ns`. An error is a sentence: more has left than ever
    /// came.
    pub(crate) fn left(&mut self, at: usize, to: IpAddr, payload: usize, now_ns: u64) -> Result<(), String> {
        if self.counts(at, to).is_none() {
            return Ok(());
        }
        let parts = wire(to, payload) * 1000;
        let flow = self.prefixes.entry(prefix(to)).or_default();
        flow.left.push((now_ns, parts));
        flow.sums[1] += parts;
        let [came, left] = flow.sums;
        if left > came {
            return Err(format!(
                "R27: {left} thousandths of bytes left to {}, and {came} were paid",
                prefix(to)
            ));
        }
        Ok(())
    }

    /// The budget of a listener, if it counts what comes from and goes to an address.
    fn counts(&self, at: usize, ip: IpAddr) -> Option<&Budget> {
        self.budgets.get(&at).filter(|budget| budget.loopback || !ip.is_loopback())
    }

    /// Whether in every second no more left to any prefix than what came in that second and the one before pays for.
    /// That holds where nothing is delayed and no socket is full.
    pub(crate) fn check_every_second(&self) {
        for (prefix, flow) in &self.prefixes {
            for (last, _) in &flow.left {
                let within = |flow: &[(u64, u64)], span: u64| {
                    let new = |at: u64| at <= *last && at + span > *last;
                    flow.iter().filter(|(at, _)| new(*at)).map(|(_, parts)| *parts).sum::<u64>()
                };
                let (came, left) = (within(&flow.came, SECOND_NS + PAYS_NS), within(&flow.left, SECOND_NS));
                assert!(left <= came, "{prefix}: {left} of {came} in the second that ends at {last}");
            }
        }
    }

    /// How many prefixes anything came from.
    pub(crate) fn prefixes(&self) -> usize {
        self.prefixes.len()
    }
}

fn prefix(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => Ipv4Addr::from(ip.to_bits() & 0xffff_ff00).into(),
        IpAddr::V6(ip) => Ipv6Addr::from(ip.to_bits() >> 72 << 72).into(),
    }
}

/// Bytes of a datagram with its headers.
fn wire(ip: IpAddr, payload: usize) -> u64 {
    u64::try_from(payload).unwrap() + if ip.is_ipv4() { 28 } else { 48 }
}
