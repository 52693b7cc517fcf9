//! What a line does to datagrams, as numbers: one field an option, with the option's name.

use alloc::sync::Arc;

use crate::chance::Share;
use crate::limits::{DEFAULT_LATE_BY_NS, DEFAULT_LIMIT, DEFAULT_LIMIT_OF_BYTES};
use crate::table::Table;
use crate::trace::{DelayTrace, RateTrace};

/// The impairments of one direction. The default changes nothing. Fields have the names of the options, and those the names
/// of tc-netem(8) where it has the thing.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Share that is lost.
    pub loss: Share,
    /// How much of the decision before is taken over.
    pub loss_correlation: Share,
    /// Loss in runs of one length.
    pub loss_burst: Option<Burst>,
    /// Loss by a chain of four states.
    pub loss_state: Option<FourStates>,
    /// Loss by the model of Gilbert and Elliott.
    pub loss_gemodel: Option<GilbertElliott>,
    /// What would be lost is marked (CE) if its sender can have that (ECT), and passes.
    pub ecn: bool,
    /// Share, of those not lost, that leaves twice.
    pub duplicate: Share,
    /// As `loss_correlation`.
    pub duplicate_correlation: Share,
    /// Share, of those not lost, with one bit flipped.
    pub corrupt: Share,
    /// As `loss_correlation`.
    pub corrupt_correlation: Share,
    /// How long each datagram takes, ns.
    pub delay: u64,
    /// How much longer or shorter, ns: half the width of the uniform distribution, the sigma of the others.
    pub jitter: u64,
    /// How often the jitter of the datagram before is taken over.
    pub jitter_correlation: Share,
    /// How jitter is distributed.
    pub distribution: Distribution,
    /// Share that goes at once, before those that wait.
    pub reorder: Share,
    /// As `loss_correlation`.
    pub reorder_correlation: Share,
    /// Only each so-manieth datagram, at the soonest, is reordered. `None`: 1, any.
    pub gap: Option<u16>,
    /// Share that is held for `late_by` besides its delay.
    pub late: Share,
    /// As `loss_correlation`.
    pub late_correlation: Share,
    /// How much longer late ones are held, ns.
    pub late_by: u64,
    /// Whether datagrams may overtake each other.
    pub order: Order,
    /// What a correlation means.
    pub correlation: Correlation,
    /// Bits a second of the link.
    pub rate: Option<u64>,
    /// Bytes besides the payload that the link carries for each datagram. `None`: IP and UDP, 28 bytes or with IPv6 48.
    pub packet_overhead: Option<i32>,
    /// The link carries cells with so many bytes of it. `None`: no cells.
    pub cell_size: Option<u32>,
    /// Bytes that each cell has besides.
    pub cell_overhead: i32,
    /// Most datagrams that wait. `None`: [`DEFAULT_LIMIT`] where something waits for a link or a slot, else none.
    pub limit: Option<u32>,
    /// Most bytes that wait, with `packet_overhead`.
    pub limit_bytes: Option<u64>,
    /// Datagrams leave in slots only.
    pub slot: Option<Slot>,
    /// Longest payload that passes.
    pub mtu: Option<u32>,
    /// Nothing passes.
    pub blackout: bool,
    /// Instead of `rate`: when the link can carry what.
    pub trace: Option<Arc<RateTrace>>,
    /// Instead of `delay`: the delays of one datagram after the other.
    pub delay_trace: Option<Arc<DelayTrace>>,
    /// A delay of the trace holds for so long, ns, instead of for one datagram.
    pub delay_trace_step: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            loss: Share::NEVER,
            loss_correlation: Share::NEVER,
            loss_burst: None,
            loss_state: None,
            loss_gemodel: None,
            ecn: false,
            duplicate: Share::NEVER,
            duplicate_correlation: Share::NEVER,
            corrupt: Share::NEVER,
            corrupt_correlation: Share::NEVER,
            delay: 0,
            jitter: 0,
            jitter_correlation: Share::NEVER,
            distribution: Distribution::Uniform,
            reorder: Share::NEVER,
            reorder_correlation: Share::NEVER,
            gap: None,
            late: Share::NEVER,
            late_correlation: Share::NEVER,
            late_by: DEFAULT_LATE_BY_NS,
            order: Order::Time,
            correlation: Correlation::Copy,
            rate: None,
            packet_overhead: None,
            cell_size: None,
            cell_overhead: 0,
            limit: None,
            limit_bytes: None,
            slot: None,
            mtu: None,
            blackout: false,
            trace: None,
            delay_trace: None,
            delay_trace_step: None,
        }
    }
}

impl Config {
    /// Whether every datagram passes at once, as it came. With `order = "keep"` it may not: it does not overtake what waits
    /// from before a change.
    #[must_use]
    pub fn is_neutral(&self) -> bool {
        let never = self.loss.is_never()
            && self.duplicate.is_never()
            && self.corrupt.is_never()
            && self.late.is_never()
            && self.loss_burst.is_none_or(|burst| burst.share.is_never())
            && self.loss_state.is_none_or(|chain| chain.p13.is_never() && chain.p14.is_never())
            && self.loss_gemodel.is_none_or(GilbertElliott::loses_nothing);
        let whole = self.mtu.is_none() && !self.blackout;
        never && whole && !self.delays() && self.order == Order::Time
    }

    /// Whether a datagram may leave later than it comes, so that the handler needs the host's delays.
    #[must_use]
    pub const fn delays(&self) -> bool {
        self.delay > 0
            || self.jitter > 0
            || !self.late.is_never()
            || self.is_link()
            || self.delay_trace.is_some()
    }

    /// Whether something waits for its turn.
    pub(crate) const fn is_link(&self) -> bool {
        self.rate.is_some() || self.trace.is_some() || self.slot.is_some()
    }

    /// Most datagrams that wait, and bytes.
    pub(crate) fn limits(&self) -> Option<(u32, u64)> {
        let datagrams = match (self.limit, self.limit_bytes) {
            (Some(limit), _) => limit,
            (None, Some(_)) => DEFAULT_LIMIT_OF_BYTES,
            (None, None) if self.is_link() => DEFAULT_LIMIT,
            (None, None) => return None,
        };
        Some((datagrams, self.limit_bytes.unwrap_or(u64::MAX)))
    }
}

/// `loss_burst p L`: what is lost is lost in runs of exactly so many. Two runs may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// Share that is lost in all.
    pub share: Share,
    /// Datagrams a run, at least 1.
    pub length: u16,
}

/// `loss_state`: 1 well, 2 well within a burst, 3 lost within a burst, 4 lost alone; a datagram is lost if the chain steps
/// into 3 or 4 with it, and from 4 it always steps to 1. Begins in 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FourStates {
    /// From 1 to 3.
    pub p13: Share,
    /// From 3 to 1.
    pub p31: Share,
    /// From 3 to 2.
    pub p32: Share,
    /// From 2 to 3.
    pub p23: Share,
    /// From 1 to 4.
    pub p14: Share,
}

impl FourStates {
    /// The arguments in the order of tc: p13, p31, p32, p23, p14. What is not given is 1 - p13, 0, 1, 0. `None` without any,
    /// or with more than five.
    #[must_use]
    pub fn from_arguments(arguments: &[Share]) -> Option<Self> {
        let p13 = *arguments.first()?;
        let or = |at: usize, default| arguments.get(at).copied().unwrap_or(default);
        (arguments.len() <= 5).then(|| Self {
            p13,
            p31: or(1, p13.rest()),
            p32: or(2, Share::NEVER),
            p23: or(3, Share::ALWAYS),
            p14: or(4, Share::NEVER),
        })
    }
}

/// `loss_gemodel`: two states, each with a share that it loses. A datagram is decided by the state that it finds. Begins
/// good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GilbertElliott {
    /// From good to bad.
    pub p: Share,
    /// From bad to good.
    pub r: Share,
    /// Share that the bad state loses: tc's `1-h`.
    pub bad_loss: Share,
    /// Share that the good state loses: tc's `1-k`.
    pub good_loss: Share,
}

impl GilbertElliott {
    /// The arguments in the order of tc: p, r, 1-h, 1-k. What is not given is 1 - p, 1, 0. `None` without any, or with more
    /// than four.
    #[must_use]
    pub fn from_arguments(arguments: &[Share]) -> Option<Self> {
        let p = *arguments.first()?;
        let or = |at: usize, default| arguments.get(at).copied().unwrap_or(default);
        (arguments.len() <= 4).then(|| Self {
            p,
            r: or(1, p.rest()),
            bad_loss: or(2, Share::ALWAYS),
            good_loss: or(3, Share::NEVER),
        })
    }

    const fn loses_nothing(self) -> bool {
        self.good_loss.is_never() && (self.p.is_never() || self.bad_loss.is_never())
    }
}

/// How jitter is distributed.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Distribution {
    /// Every value from `delay - jitter` up to `delay + jitter` alike.
    #[default]
    Uniform,
    /// By a table of 16-bit values in units of sigma / 8192: [`Table::normal`], [`Table::pareto`],
    /// [`Table::pareto_normal`], or of a file.
    Table(Arc<Table>),
}

/// Whether datagrams may overtake each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Each leaves at its time: jitter reorders.
    #[default]
    Time,
    /// None leaves before one that came earlier.
    Keep,
}

/// What a correlation of r means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Correlation {
    /// With chance r the decision of the datagram before is taken over, else it is drawn anew: the share stays exact, and r
    /// is the correlation.
    #[default]
    Copy,
    /// As in Linux: decided on `(1 - r) U + r X'` with the `X'` of the datagram before, in 32 bits. The share is not what
    /// was asked for.
    Netem,
}

/// `slot min max packets bytes`: times at which datagrams leave. The chain of slots begins with the first arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Least time from one slot to the next, ns, above zero.
    pub min: u64,
    /// Most, ns.
    pub max: u64,
    /// Datagrams a slot. `None`: any number.
    pub packets: Option<u32>,
    /// Bytes a slot, with `packet_overhead`: it has room as long as one is left. `None`: any number.
    pub bytes: Option<u64>,
}
