//! The small state of a line: the decisions about the datagram before, and the loss models.

use crate::chance::{Share, Stream, Streams};
use crate::channel::{Chance, Channel, Drawn, Loss};
use crate::frame::Family;
use crate::memory::{DECISIONS, Memory};

/// 8 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State {
    flags: u16,
    /// Losses of a run that are still to come.
    burst: u16,
    /// Datagrams since the last that was reordered.
    pub(crate) since_reordered: u16,
    /// Steps of the timeline that hold.
    pub(crate) steps: u16,
}

/// The kinds of decisions that may be correlated: bits of the flags, and places among the numbers of Linux's rule.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Loss = 0,
    Duplicate = 1,
    Corrupt = 2,
    Late = 3,
    Reorder = 4,
    Jitter = 5,
}

/// There is no decision before that could be taken over.
const FOLLOWS: u16 = 1 << 6;
/// Gilbert and Elliott: the bad state.
const BAD: u16 = 1 << 7;
/// Where the state of the four is, minus one, and which model ran last.
const FOUR_AT: u32 = 8;
const MODEL_AT: u32 = 10;
/// The datagrams have headers of IPv6.
const IPV6: u16 = 1 << 12;

/// Who draws, and for which datagram.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draws<'a> {
    pub(crate) streams: &'a Streams,
    pub(crate) client: u64,
    pub(crate) n: u64,
}

impl Draws<'_> {
    #[inline]
    pub(crate) const fn own(&self, stream: Stream) -> u64 {
        self.streams.draw(stream, self.client, self.n)
    }

    #[inline]
    pub(crate) const fn copy(&self, stream: Stream) -> u64 {
        self.streams.copy(stream, self.client, self.n)
    }

    const fn correlation(&self, stream: Stream) -> u64 {
        self.streams.correlation(stream, self.client, self.n)
    }
}

/// The decisions about a datagram, or about its copy, that is not lost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Luck {
    pub(crate) duplicate: bool,
    pub(crate) corrupt: bool,
    pub(crate) late: bool,
    pub(crate) reorder: bool,
    pub(crate) jitter: Drawn,
}

impl Luck {
    /// Decisions that do not look at those before.
    #[inline]
    pub(crate) fn new(channel: &Channel, draw: impl Fn(Stream) -> u64) -> Self {
        let hit = |stream, Chance { share, .. }| !share.is_never() && share.hit(draw(stream));
        Self {
            duplicate: hit(Stream::Duplicate, channel.duplicate),
            corrupt: hit(Stream::Corrupt, channel.corrupt),
            late: hit(Stream::Late, channel.late),
            reorder: hit(Stream::Reorder, channel.reorder),
            jitter: Drawn::Free(if channel.jitter.ns == 0 { 0 } else { draw(Stream::Jitter) }),
        }
    }
}

impl State {
    pub(crate) const fn new(family: Family) -> Self {
        let flags = match family {
            Family::Ipv4 => 0,
            Family::Ipv6 => IPV6,
        };
        Self { flags, burst: 0, since_reordered: 0, steps: 0 }
    }

    #[inline]
    pub(crate) const fn family(self) -> Family {
        if self.flags & IPV6 == 0 { Family::Ipv4 } else { Family::Ipv6 }
    }

    /// Decisions that look at those about the datagram before: whether it is lost, and all others, also those that do not
    /// come to bear, for the next one.
    pub(crate) fn correlated(
        &mut self,
        channel: &Channel,
        draws: &Draws<'_>,
        memory: &mut Memory,
    ) -> (bool, Luck) {
        let loss = match channel.loss {
            Loss::Random(chance) => chance,
            Loss::None | Loss::Burst { .. } | Loss::FourStates(_) | Loss::Elliott(_) => NEVER,
        };
        let mut hit = |kind, stream, chance| self.hit(kind, stream, chance, channel.netem, draws, memory);
        let loss = hit(Kind::Loss, Stream::Loss, loss);
        let duplicate = hit(Kind::Duplicate, Stream::Duplicate, channel.duplicate);
        let corrupt = hit(Kind::Corrupt, Stream::Corrupt, channel.corrupt);
        let late = hit(Kind::Late, Stream::Late, channel.late);
        let reorder = hit(Kind::Reorder, Stream::Reorder, channel.reorder);
        let jitter = self.jitter(channel, draws, memory);
        self.flags |= FOLLOWS;
        (loss, Luck { duplicate, corrupt, late, reorder, jitter })
    }

    /// A datagram was decided without looking back: the next one cannot either.
    #[inline]
    pub(crate) const fn uncorrelated(&mut self) {
        self.flags &= !FOLLOWS;
    }

    /// A datagram leaves in its turn.
    #[inline]
    pub(crate) const fn not_reordered(&mut self) {
        self.since_reordered = self.since_reordered.saturating_add(1);
    }

    fn hit(
        &mut self,
        kind: Kind,
        stream: Stream,
        chance: Chance,
        netem: bool,
        draws: &Draws<'_>,
        memory: &mut Memory,
    ) -> bool {
        let bit = 1 << kind as u16;
        let Chance { share, correlation } = chance;
        let hit = if share.is_never() {
            false
        } else if correlation.is_never() {
            share.hit(draws.own(stream))
        } else if netem {
            share.in_32_bits() >= self.mixed(kind, stream, correlation, draws, &mut memory.netem)
        } else if self.takes_over(stream, correlation, draws) {
            self.flags & bit != 0
        } else {
            share.hit(draws.own(stream))
        };
        self.flags = if hit { self.flags | bit } else { self.flags & !bit };
        hit
    }

    fn jitter(self, channel: &Channel, draws: &Draws<'_>, memory: &mut Memory) -> Drawn {
        let correlation = channel.jitter.correlation;
        if correlation.is_never() {
            return Drawn::Free(if channel.jitter.ns == 0 { 0 } else { draws.own(Stream::Jitter) });
        }
        if channel.netem {
            return Drawn::Netem(self.mixed(
                Kind::Jitter,
                Stream::Jitter,
                correlation,
                draws,
                &mut memory.netem,
            ));
        }
        if !self.takes_over(Stream::Jitter, correlation, draws) {
            memory.jitter = draws.own(Stream::Jitter);
        }
        Drawn::Free(memory.jitter)
    }

    /// Whether the decision before is taken over.
    const fn takes_over(self, stream: Stream, correlation: Share, draws: &Draws<'_>) -> bool {
        self.flags & FOLLOWS != 0 && correlation.hit(draws.correlation(stream))
    }

    /// Linux's mixture of a new number and the last mixture.
    const fn mixed(
        self,
        kind: Kind,
        stream: Stream,
        correlation: Share,
        draws: &Draws<'_>,
        all: &mut [u32; DECISIONS],
    ) -> u32 {
        let last = &mut all[kind as usize];
        if self.flags & FOLLOWS == 0 {
            *last = high(draws.correlation(stream));
        }
        let rho = correlation.in_32_bits() as u64 + 1;
        let sum = high(draws.own(stream)) as u64 * ((1 << 32) - rho) + *last as u64 * rho;
        *last = high(sum);
        *last
    }

    /// Whether the loss model loses the datagram. `random` is the decision by a share, if it was made already.
    #[inline(always)]
    pub(crate) fn loses(&mut self, loss: &Loss, random: Option<bool>, draws: &Draws<'_>) -> bool {
        match loss {
            Loss::None => false,
            Loss::Random(chance) => random.unwrap_or_else(|| chance.share.hit(draws.own(Stream::Loss))),
            Loss::Burst { begin, length } => {
                self.runs(1);
                if let Some(left) = self.burst.checked_sub(1) {
                    self.burst = left;
                    return true;
                }
                let begins = begin.hit(draws.own(Stream::Loss));
                self.burst = if begins { length.saturating_sub(1) } else { 0 };
                begins
            }
            Loss::FourStates(chain) => {
                self.runs(2);
                let random = draws.own(Stream::FourStates);
                let next = match self.four() {
                    1 if chain.p14.hit(random) => 4,
                    1 if chain.p14.plus(chain.p13).hit(random) => 3,
                    2 if chain.p23.hit(random) => 3,
                    2 => 2,
                    3 if chain.p32.hit(random) => 2,
                    3 if !chain.p32.plus(chain.p31).hit(random) => 3,
                    _ => 1,
                };
                self.flags = self.flags & !(3 << FOUR_AT) | (next - 1) << FOUR_AT;
                next >= 3
            }
            Loss::Elliott(model) => {
                self.runs(3);
                let bad = self.flags & BAD != 0;
                let (leave, lose) = if bad { (model.r, model.bad_loss) } else { (model.p, model.good_loss) };
                if leave.hit(draws.own(Stream::ElliottState)) {
                    self.flags ^= BAD;
                }
                lose == Share::ALWAYS || (!lose.is_never() && lose.hit(draws.own(Stream::ElliottLoss)))
            }
        }
    }

    /// A model that did not run before begins at its begin.
    #[inline]
    const fn runs(&mut self, model: u16) {
        if self.flags >> MODEL_AT & 3 != model {
            self.flags = self.flags & !(3 << MODEL_AT | 3 << FOUR_AT | BAD) | model << MODEL_AT;
            self.burst = 0;
        }
    }

    const fn four(self) -> u16 {
        (self.flags >> FOUR_AT & 3) + 1
    }
}

const NEVER: Chance = Chance { share: Share::NEVER, correlation: Share::NEVER };

/// The high half.
const fn high(random: u64) -> u32 {
    (random >> 32) as u32
}
