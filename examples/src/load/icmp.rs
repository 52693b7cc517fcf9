//! What ICMP says against datagrams of a run, by type and code.

use std::collections::BTreeMap;

use polyport_net::ErrorOrigin;

/// Type and code of a message, of one family or the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Complaint {
    /// RFC 792.
    V4 {
        /// Its type.
        kind: u8,
        /// Its code.
        code: u8,
    },
    /// RFC 4443.
    V6 {
        /// Its type.
        kind: u8,
        /// Its code.
        code: u8,
    },
}

/// How many messages said what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IcmpCounts {
    by_code: BTreeMap<Complaint, u64>,
    disbelieved: u64,
}

impl Complaint {
    /// The message that an error came from; `None` if it is of this host.
    #[must_use]
    pub const fn new(origin: ErrorOrigin) -> Option<Self> {
        match origin {
            ErrorOrigin::Icmp { kind, code } => Some(Self::V4 { kind, code }),
            ErrorOrigin::Icmp6 { kind, code } => Some(Self::V6 { kind, code }),
            ErrorOrigin::Local | ErrorOrigin::Other(_) => None,
        }
    }

    /// Name of the counter. The families share the names of what means the same.
    #[must_use]
    pub fn name(self) -> String {
        let known = match self {
            // RFC 792, RFC 1122 section 3.2.2.1, RFC 1812 section 5.2.7.1.
            Self::V4 { kind: 3, code: 0 | 6 | 11 } | Self::V6 { kind: 1, code: 0 } => "net_unreachable",
            Self::V4 { kind: 3, code: 1 | 7 | 12 } | Self::V6 { kind: 1, code: 3 } => "host_unreachable",
            Self::V4 { kind: 3, code: 2 } => "protocol_unreachable",
            Self::V4 { kind: 3, code: 3 } | Self::V6 { kind: 1, code: 4 } => "port_unreachable",
            Self::V4 { kind: 3, code: 4 } | Self::V6 { kind: 2, .. } => "too_big",
            Self::V4 { kind: 3, code: 9 | 10 | 13 } | Self::V6 { kind: 1, code: 1 | 5 } => "prohibited",
            Self::V4 { kind: 11, code: 0 } | Self::V6 { kind: 3, code: 0 } => "ttl_exceeded",
            Self::V4 { kind: 11, code: 1 } | Self::V6 { kind: 3, code: 1 } => "reassembly_timeout",
            Self::V4 { kind, code } => return format!("type_{kind}_code_{code}"),
            Self::V6 { kind, code } => return format!("icmp6_type_{kind}_code_{code}"),
        };
        known.to_owned()
    }
}

/// The messages that have a name of their own, one of those that share it.
const NAMED: [(u8, u8); 8] = [(3, 0), (3, 1), (3, 2), (3, 3), (3, 4), (3, 13), (11, 0), (11, 1)];

impl IcmpCounts {
    /// Adds the counters of another run.
    pub fn add(&mut self, other: &Self) {
        for (complaint, count) in &other.by_code {
            *self.by_code.entry(*complaint).or_default() += count;
        }
        self.disbelieved += other.disbelieved;
    }

    /// The counters that were written down by their names ([`Self::by_name`]).
    ///
    /// # Errors
    /// A name that no message has.
    pub fn restore(by_name: &BTreeMap<String, u64>, disbelieved: u64) -> Result<Self, String> {
        let mut counts = Self { disbelieved, ..Self::default() };
        for (name, count) in by_name {
            let complaint = named(name).ok_or_else(|| format!("there is no ICMP message `{name}`"))?;
            counts.by_code.insert(complaint, *count);
        }
        Ok(counts)
    }

    /// Counts a message about a datagram of this run.
    pub fn count(&mut self, complaint: Complaint) {
        *self.by_code.entry(complaint).or_default() += 1;
    }

    /// Counts a message that quotes nothing of this run, or too little to tell ([P-76]).
    pub const fn disbelieve(&mut self) {
        self.disbelieved += 1;
    }

    /// Messages not believed.
    #[must_use]
    pub const fn disbelieved(&self) -> u64 {
        self.disbelieved
    }

    /// Messages about datagrams of this run.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_code.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The counters that are not zero, by their names.
    #[must_use]
    pub fn by_name(&self) -> BTreeMap<String, u64> {
        let mut named = BTreeMap::new();
        for (complaint, count) in &self.by_code {
            *named.entry(complaint.name()).or_default() += count;
        }
        named
    }

    /// Most frequent first, as words: `port_unreachable 12, ttl_exceeded 1`. Empty if there were none.
    #[must_use]
    pub fn words(&self) -> String {
        let mut named: Vec<(String, u64)> = self.by_name().into_iter().collect();
        named.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let words: Vec<String> = named.iter().map(|(name, count)| format!("{name} {count}")).collect();
        words.join(", ")
    }
}

/// A message with this name.
fn named(name: &str) -> Option<Complaint> {
    let mut known = NAMED.into_iter().map(|(kind, code)| Complaint::V4 { kind, code });
    if let Some(complaint) = known.find(|complaint| complaint.name() == name) {
        return Some(complaint);
    }
    let numbers = |rest: &str| {
        let (kind, code) = rest.strip_prefix("type_")?.split_once("_code_")?;
        Some((kind.parse().ok()?, code.parse().ok()?))
    };
    match name.strip_prefix("icmp6_") {
        Some(rest) => numbers(rest).map(|(kind, code)| Complaint::V6 { kind, code }),
        None => numbers(name).map(|(kind, code)| Complaint::V4 { kind, code }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_the_same_has_one_name_and_one_count() {
        let mut counts = IcmpCounts::default();
        for (kind, code) in [(3, 3), (3, 3), (11, 0), (3, 13), (40, 2)] {
            counts.count(Complaint::new(ErrorOrigin::Icmp { kind, code }).unwrap());
        }
        for (kind, code) in [(1, 4), (1, 3)] {
            counts.count(Complaint::new(ErrorOrigin::Icmp6 { kind, code }).unwrap());
        }
        counts.disbelieve();
        let words = "port_unreachable 3, host_unreachable 1, prohibited 1, ttl_exceeded 1, type_40_code_2 1";
        assert_eq!((counts.words().as_str(), counts.total(), counts.disbelieved()), (words, 7, 1));
        assert_eq!(counts.by_name()["port_unreachable"], 3);
        assert_eq!(Complaint::new(ErrorOrigin::Local), None);
        counts.add(&counts.clone());
        assert_eq!((counts.by_name()["port_unreachable"], counts.total(), counts.disbelieved()), (6, 14, 2));
        assert_eq!(IcmpCounts::default().words(), "");
    }
}
