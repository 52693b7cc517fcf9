//! What happens to a datagram, and how the decision log says it.

use core::fmt;
use core::ops::BitOr;

use crate::chance::Direction;

/// What happens to one datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is gone.
    Lost(Cause),
    /// It leaves.
    Pass(Pass),
}

/// How a datagram leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// When, ns of the clock that the arrival was told in; never before it.
    pub at_ns: u64,
    /// 64 random bits that choose the bit to flip, see [`flip`].
    pub corrupt: Option<u64>,
    /// It would have been lost and can be marked instead: congestion experienced (RFC 3168), for the copy too.
    pub mark: bool,
    /// A second one of it leaves as well.
    pub copy: Option<Duplicate>,
    /// All that happened, for counters and the log.
    pub what: What,
}

/// The second one of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// When it leaves, ns.
    pub at_ns: u64,
    /// As [`Pass::corrupt`], of its own.
    pub corrupt: Option<u64>,
    /// What happened to it alone: corrupted, reordered, late.
    pub what: What,
}

/// Why a datagram is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Longer than `mtu`.
    Mtu,
    /// Nothing gets through.
    Blackout,
    /// By the loss model.
    Loss,
    /// The queue was full: `limit`, `limit_bytes`.
    QueueFull,
}

impl Cause {
    /// As the decision log says it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mtu => "mtu",
            Self::Blackout => "blackout",
            Self::Loss => "lost",
            Self::QueueFull => "queue_full",
        }
    }
}

/// A set of things that happened to a datagram that leaves.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct What(u8);

impl What {
    /// As if there were no line.
    pub const NOTHING: Self = Self(0);
    /// It leaves later than at once.
    pub const DELAYED: Self = Self(1);
    /// Marked instead of lost.
    pub const MARKED: Self = Self(2);
    /// A copy leaves as well.
    pub const DUPLICATED: Self = Self(4);
    /// One bit is to be flipped. An empty datagram has none: the caller counts it.
    pub const CORRUPTED: Self = Self(8);
    /// Let through at once, before those that wait: `reorder`.
    pub const REORDERED: Self = Self(16);
    /// Held longer than others: `late`.
    pub const LATE: Self = Self(32);
    /// A copy was to leave and found no room: `limit`, `limit_bytes`.
    pub const COPY_LOST: Self = Self(64);

    const NAMES: [(Self, &str); 6] = [
        (Self::MARKED, "marked"),
        (Self::DUPLICATED, "duplicated"),
        (Self::COPY_LOST, "copy_lost"),
        (Self::CORRUPTED, "corrupted"),
        (Self::REORDERED, "reordered"),
        (Self::LATE, "late"),
    ];

    /// All of `other` happened.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// With `other` if `so`.
    pub(crate) const fn with_if(self, other: Self, so: bool) -> Self {
        Self(self.0 | if so { other.0 } else { 0 })
    }
}

impl BitOr for What {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Joined by `+`, such as `duplicated+late`; `delayed` if it was nothing but that, `passed` if nothing at all.
impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (_, name) in Self::NAMES.iter().filter(|(what, _)| self.has(*what)) {
            write!(f, "{}{name}", if first { "" } else { "+" })?;
            first = false;
        }
        match (first, self.has(Self::DELAYED)) {
            (true, true) => f.write_str("delayed"),
            (true, false) => f.write_str("passed"),
            (false, _) => Ok(()),
        }
    }
}

impl fmt::Debug for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Fate {
    /// It leaves at once, as it came.
    #[must_use]
    pub const fn untouched(now_ns: u64) -> Self {
        Self::Pass(Pass { at_ns: now_ns, corrupt: None, mark: false, copy: None, what: What::NOTHING })
    }

    /// What the decision log says of it: a line, and another for the copy. `None` where nothing happened.
    ///
    /// `n` is the number of the datagram: [`Line::count`](crate::Line::count) before it was decided.
    pub fn decisions<C: Clone>(
        self,
        now_ns: u64,
        client: C,
        direction: Direction,
        n: u64,
        bytes: usize,
    ) -> [Option<Decision<C>>; 2] {
        let line = |what, wait_ns| Decision {
            ns: now_ns,
            client: client.clone(),
            direction,
            n,
            bytes,
            what,
            wait_ns,
        };
        match self {
            Self::Lost(cause) => [Some(line(Event::Lost(cause), 0)), None],
            Self::Pass(Pass { what: What::NOTHING, .. }) => [None, None],
            Self::Pass(pass) => {
                let copy =
                    pass.copy.map(|copy| line(Event::Copy(copy.what), copy.at_ns.saturating_sub(now_ns)));
                [Some(line(Event::Passed(pass.what), pass.at_ns.saturating_sub(now_ns))), copy]
            }
        }
    }
}

/// What a line of the decision log is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The datagram is gone.
    Lost(Cause),
    /// It leaves.
    Passed(What),
    /// Its copy leaves.
    Copy(What),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(cause) => f.write_str(cause.name()),
            Self::Passed(what) => write!(f, "{what}"),
            Self::Copy(What::NOTHING | What::DELAYED) => f.write_str("copy"),
            Self::Copy(what) => write!(f, "copy+{what}"),
        }
    }
}

/// A line of the decision log: CSV with the columns of [`HEADER`](Self::HEADER), no line end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision<C> {
    /// When the datagram came, ns. All else is equal in every run with the seed, as long as nothing depends on time.
    pub ns: u64,
    /// Who sent it, or whom it goes to.
    pub client: C,
    /// Which way.
    pub direction: Direction,
    /// Its number in its line, from 0.
    pub n: u64,
    /// Length of its payload.
    pub bytes: usize,
    /// What happened.
    pub what: Event,
    /// How long it waits, ns; 0 for a lost one.
    pub wait_ns: u64,
}

impl Decision<()> {
    /// The first line of a log.
    pub const HEADER: &'static str = "ns,client,dir,n,bytes,what,wait_ns";
}

impl<C: fmt::Display> fmt::Display for Decision<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ns, client, direction, n, bytes, what, wait_ns } = self;
        write!(f, "{ns},{client},{},{n},{bytes},{what},{wait_ns}", direction.name())
    }
}

/// Flips one bit of `payload`, chosen by `random`. False for an empty one, which has no bit to flip.
pub fn flip(payload: &mut [u8], random: u64) -> bool {
    // A payload has at most 65,507 * 8 bits: the bias of the remainder is below 2^-44.
    let bits = payload.len() as u64 * 8;
    let Some(bit) = random.checked_rem(bits) else { return false };
    match usize::try_from(bit / 8).ok().and_then(|at| payload.get_mut(at)) {
        Some(byte) => {
            *byte ^= 1 << (bit % 8);
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn exactly_one_bit_is_flipped_and_every_bit_can_be() {
        let mut reached = [0_u8; 3];
        for random in 0..24 {
            let mut payload = [0x5A; 3];
            assert!(flip(&mut payload, random));
            let flipped = payload.map(|byte| byte ^ 0x5A);
            assert_eq!(flipped.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
            reached.iter_mut().zip(flipped).for_each(|(all, one)| *all |= one);
        }
        assert_eq!(reached, [0xFF; 3]);
        assert!(!flip(&mut [], 5));
    }

    #[test]
    fn lines_of_the_log() {
        let lines = |fate: Fate| -> Vec<_> {
            let lines = fate.decisions(1_000, "192.0.2.1:5000", Direction::Up, 7, 1200);
            lines.into_iter().flatten().map(|line| line.to_string()).collect()
        };
        assert_eq!(lines(Fate::untouched(1_000)), [""; 0]);
        assert_eq!(lines(Fate::Lost(Cause::QueueFull)), ["1000,192.0.2.1:5000,up,7,1200,queue_full,0"]);
        let copy = Duplicate { at_ns: 1_000, corrupt: Some(3), what: What::CORRUPTED };
        let what = What::DELAYED | What::DUPLICATED | What::LATE;
        let pass = Pass { at_ns: 1_500, corrupt: None, mark: false, copy: Some(copy), what };
        let expected = [
            "1000,192.0.2.1:5000,up,7,1200,duplicated+late,500",
            "1000,192.0.2.1:5000,up,7,1200,copy+corrupted,0",
        ];
        assert_eq!(lines(Fate::Pass(pass)), expected);
        let pass = Pass { at_ns: 1_001, copy: None, what: What::DELAYED, ..pass };
        assert_eq!(lines(Fate::Pass(pass)), ["1000,192.0.2.1:5000,up,7,1200,delayed,1"]);
        assert_eq!(Decision::HEADER.split(',').count(), expected[0].split(',').count());
    }
}
