//! Options made ready: what can be worked out beforehand is.

use alloc::sync::Arc;

use crate::chance::Share;
use crate::config::{Config, Correlation, Distribution, FourStates, GilbertElliott, Order, Slot};
use crate::frame::Frame;
use crate::table::Table;
use crate::trace::{DelayTrace, RateTrace};

/// What a line does with a datagram.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    neutral: bool,
    /// The share that is lost, where that is all that loses, and looks at nothing.
    pub(crate) plain_loss: Option<Share>,
    /// What is not lost takes so long, ns, and nothing else happens to it; `None`: more is to be decided.
    pub(crate) plain_delay: Option<u64>,
    /// Some decision looks at the one before: then all are made for every datagram, also for lost ones.
    pub(crate) correlated: bool,
    /// They do so by Linux's rule.
    pub(crate) netem: bool,
    /// More has to be kept than fits a line.
    pub(crate) remembers: bool,
    pub(crate) loss: Loss,
    pub(crate) ecn: bool,
    pub(crate) duplicate: Chance,
    pub(crate) corrupt: Chance,
    pub(crate) late: Chance,
    pub(crate) reorder: Chance,
    pub(crate) gap: u16,
    pub(crate) late_by: u64,
    pub(crate) delay: Delay,
    pub(crate) jitter: Jitter,
    /// Nothing overtakes. What a link carries is in order by itself, but not with what waits from before a step.
    pub(crate) keep: bool,
    pub(crate) link: Link,
    pub(crate) frame: Frame,
    pub(crate) slot: Option<Slot>,
    /// Most datagrams and bytes that wait.
    pub(crate) limits: Option<(u32, u64)>,
    pub(crate) mtu: Option<u32>,
    pub(crate) blackout: bool,
}

/// A share, and how much of the decision before is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chance {
    pub(crate) share: Share,
    pub(crate) correlation: Share,
}

/// The loss models.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loss {
    None,
    Random(Chance),
    /// The chance that a run of `length` begins.
    Burst {
        begin: Share,
        length: u16,
    },
    FourStates(FourStates),
    Elliott(GilbertElliott),
}

#[derive(Clone, Debug)]
pub(crate) enum Delay {
    Same(u64),
    /// By the number of the datagram, or by steps of so many ns.
    Trace(Arc<DelayTrace>, Option<u64>),
}

#[derive(Clone, Debug)]
pub(crate) struct Jitter {
    /// Half the width, or sigma, ns; 0: none.
    pub(crate) ns: u64,
    pub(crate) correlation: Share,
    /// `None`: uniform.
    pub(crate) table: Option<Arc<Table>>,
}

#[derive(Clone, Debug)]
pub(crate) enum Link {
    None,
    /// Bits a second.
    Rate(u64),
    Trace(Arc<RateTrace>),
}

impl Channel {
    /// Of checked options.
    pub(crate) fn new(config: &Config) -> Self {
        let chance = |share, correlation| Chance { share, correlation };
        let loss = match (config.loss_burst, config.loss_state, config.loss_gemodel) {
            (Some(burst), ..) => {
                Loss::Burst { begin: begin(burst.share, burst.length), length: burst.length }
            }
            (_, Some(chain), _) => Loss::FourStates(chain),
            (.., Some(model)) => Loss::Elliott(model),
            (None, None, None) if config.loss.is_never() => Loss::None,
            (None, None, None) => Loss::Random(chance(config.loss, config.loss_correlation)),
        };
        let correlations = [
            config.loss_correlation,
            config.duplicate_correlation,
            config.corrupt_correlation,
            config.late_correlation,
            config.reorder_correlation,
            config.jitter_correlation,
        ];
        let correlated = correlations.iter().any(|share| !share.is_never());
        let netem = config.correlation == Correlation::Netem;
        let (delay, by_time) = match &config.delay_trace {
            Some(trace) => {
                (Delay::Trace(Arc::clone(trace), config.delay_trace_step), config.delay_trace_step.is_some())
            }
            None => (Delay::Same(config.delay), false),
        };
        let link = match (&config.trace, config.rate) {
            (Some(trace), _) => Link::Trace(Arc::clone(trace)),
            (None, Some(rate)) => Link::Rate(rate),
            (None, None) => Link::None,
        };
        let limits = config.limits();
        let remembers = limits.is_some()
            || config.slot.is_some()
            || by_time
            || matches!(link, Link::Trace(_))
            || (netem && correlated)
            || !config.jitter_correlation.is_never();
        Self {
            neutral: config.is_neutral(),
            plain_loss: plain_loss(config, correlated),
            plain_delay: plain_delay(config),
            correlated,
            netem,
            remembers,
            loss,
            ecn: config.ecn,
            duplicate: chance(config.duplicate, config.duplicate_correlation),
            corrupt: chance(config.corrupt, config.corrupt_correlation),
            late: chance(config.late, config.late_correlation),
            reorder: chance(config.reorder, config.reorder_correlation),
            gap: config.gap.unwrap_or(1),
            late_by: config.late_by,
            delay,
            jitter: Jitter {
                ns: config.jitter,
                correlation: config.jitter_correlation,
                table: match &config.distribution {
                    Distribution::Uniform => None,
                    Distribution::Table(table) => Some(Arc::clone(table)),
                },
            },
            keep: config.order == Order::Keep,
            link,
            frame: Frame::new(config.packet_overhead, config.cell_size, config.cell_overhead),
            slot: config.slot,
            limits,
            mtu: config.mtu,
            blackout: config.blackout,
        }
    }

    #[inline]
    pub(crate) const fn is_neutral(&self) -> bool {
        self.neutral
    }
}

/// The share of options that lose by nothing else.
fn plain_loss(config: &Config, correlated: bool) -> Option<Share> {
    let models = config.loss_burst.is_some() || config.loss_state.is_some() || config.loss_gemodel.is_some();
    let more = models || correlated || config.ecn || config.mtu.is_some() || config.blackout;
    (!more).then_some(config.loss)
}

/// The delay of options that do nothing else to what they do not lose.
fn plain_delay(config: &Config) -> Option<u64> {
    let chances = [config.duplicate, config.corrupt, config.late, config.reorder];
    let waits = config.is_link() || config.limits().is_some() || config.delay_trace.is_some();
    let more = config.jitter > 0 || waits || chances.iter().any(|share| !share.is_never());
    (!more).then_some(config.delay)
}

/// With which chance a run of `length` begins with a datagram that is in none, so that `share` is lost: p / (L (1-p) + p).
#[expect(clippy::float_arithmetic, reason = "worked out once, of options")]
fn begin(share: Share, length: u16) -> Share {
    let p = share.get();
    Share::new(p / (f64::from(length) * (1.0 - p) + p)).unwrap_or(share)
}

impl Jitter {
    /// How much is added to a delay of `base` ns; both together are never below zero.
    #[inline]
    pub(crate) fn added(&self, base: u64, drawn: Drawn) -> u64 {
        let (base, ns) = (base.cast_signed(), self.ns.cast_signed());
        let by = match (&self.table, drawn) {
            (None, Drawn::Free(random)) => crate::chance::below(random, self.ns * 2).cast_signed() - ns,
            (Some(table), Drawn::Free(random)) => scaled(ns, table.pick(random)),
            // Linux takes remainders, of a width that fits 32 bits.
            (None, Drawn::Netem(random)) => {
                let half = self.ns.min(i32::MAX.unsigned_abs().into());
                (u64::from(random) % (half * 2)).cast_signed() - half.cast_signed()
            }
            (Some(table), Drawn::Netem(random)) => scaled(ns, table.remainder(random)),
        };
        base.saturating_add(by).max(0).cast_unsigned()
    }
}

/// `sigma` times a value of a table, rounded to the nearest.
const fn scaled(sigma: i64, value: i16) -> i64 {
    let product = sigma * value as i64;
    let half = if product >= 0 { Table::SCALE / 2 } else { -Table::SCALE / 2 };
    (product + half) / Table::SCALE
}

/// What a jitter is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drawn {
    Free(u64),
    /// By Linux's rule of correlation.
    Netem(u32),
}
