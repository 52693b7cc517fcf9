//! The engine once more, as slow and as obvious as can be: numbers as floats, whole histories instead of states, every
//! decision worked out from the first datagram on.

use polyport_impair::{
    Cause, Config, Correlation, Direction, Distribution, Duplicate, Fate, Order, Pass, RateTrace, Share,
    Slot, What, mix,
};

/// A datagram: when it comes, its length, its traffic class.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) now: u64,
    pub(crate) len: u64,
    pub(crate) tos: u8,
}

#[derive(Debug)]
pub(crate) struct Twin<'a> {
    config: &'a Config,
    seed: u64,
    direction: Direction,
    client: u64,
    n: u64,
    /// Where times begin: with the first datagram, if nobody says otherwise.
    origin: Option<u64>,
    state: u32,
    bad: bool,
    burst: u16,
    /// When and how many bytes, of all that ever waited.
    left: Vec<(u64, u64)>,
    /// The last to leave the link, or to leave in order.
    last: u64,
    delayed_since: u64,
    /// The last to leave of all.
    latest: u64,
    /// When, datagrams and bytes that find room, and how many there were of other chains.
    slots: Vec<(u64, u32, u64)>,
    other_slots: u64,
    opportunity: usize,
    opportunity_left: u64,
    /// Whose the slots and the opportunities are.
    slot_before: Option<Slot>,
    trace_before: Option<(RateTrace, u64)>,
}

impl<'a> Twin<'a> {
    pub(crate) fn new(config: &'a Config, seed: u64, direction: Direction, client: u64) -> Self {
        Self {
            config,
            seed,
            direction,
            client,
            n: 0,
            origin: None,
            state: 1,
            bad: false,
            burst: 0,
            left: Vec::new(),
            last: 0,
            delayed_since: 0,
            latest: 0,
            slots: Vec::new(),
            other_slots: 0,
            opportunity: 0,
            opportunity_left: RateTrace::BYTES,
            slot_before: config.slot,
            trace_before: None,
        }
    }

    /// Goes on with these options, whose times begin at `origin`. Other slots are another chain, and so is another
    /// trace, or the same one from another begin.
    pub(crate) fn change(&mut self, config: &'a Config, origin: u64) {
        if config.slot.is_some() && config.slot != self.slot_before {
            self.other_slots += self.slots.len() as u64;
            self.slots.clear();
            self.slot_before = config.slot;
        }
        let trace = config.trace.as_deref().map(|trace| (trace.clone(), origin));
        if trace.is_some() && trace != self.trace_before {
            (self.opportunity, self.opportunity_left) = (0, RateTrace::BYTES);
            self.trace_before = trace;
        }
        (self.config, self.origin) = (config, Some(origin));
    }

    fn x(&self, stream: u64, n: u64) -> u64 {
        mix(mix(self.seed, stream | (self.direction as u64) << 32, 0), self.client, n)
    }

    fn u(&self, stream: u64, n: u64) -> f64 {
        unit(self.x(stream, n))
    }

    fn x32(&self, stream: u64, n: u64) -> u64 {
        self.x(stream, n) >> 32
    }

    /// The datagram whose draw holds for datagram n: as long as one takes over, the one before.
    fn drawn_at(&self, stream: u64, correlation: Share) -> u64 {
        let mut n = self.n;
        while n > 0 && self.u(32 + stream, n) < correlation.get() {
            n -= 1;
        }
        n
    }

    /// Linux's mixture, from the first datagram on.
    fn mixture(&self, stream: u64, correlation: Share) -> u64 {
        let rho = in_32_bits(correlation) + 1;
        let first = self.x32(32 + stream, 0);
        (0..=self.n).fold(first, |last, n| {
            let sum =
                u128::from(self.x32(stream, n)) * u128::from((1_u64 << 32) - rho) + u128::from(last * rho);
            u64::try_from(sum >> 32).unwrap()
        })
    }

    fn hit(&self, stream: u64, share: Share, correlation: Share) -> bool {
        if share.is_never() {
            return false;
        }
        if self.config.correlation == Correlation::Netem && !correlation.is_never() {
            return in_32_bits(share) >= self.mixture(stream, correlation);
        }
        self.u(stream, self.drawn_at(stream, correlation)) < share.get()
    }

    fn lost(&mut self) -> bool {
        let config = self.config;
        let n = self.n;
        if let Some(burst) = config.loss_burst {
            if self.burst > 0 {
                self.burst -= 1;
                return true;
            }
            let (p, length) = (burst.share.get(), f64::from(burst.length));
            let begins = self.u(1, n) < p / (length * (1.0 - p) + p);
            self.burst = if begins { burst.length - 1 } else { 0 };
            return begins;
        }
        if let Some(chain) = config.loss_state {
            let [p13, p31, p32, p23, p14] =
                [chain.p13, chain.p31, chain.p32, chain.p23, chain.p14].map(Share::get);
            let ways: &[(u32, f64)] = match self.state {
                1 => &[(4, p14), (3, p13)],
                2 => &[(3, p23)],
                3 => &[(2, p32), (1, p31)],
                _ => &[(1, 1.0)],
            };
            let (u, mut sum) = (self.u(9, n), 0.0);
            let next = ways.iter().find(|(_, p)| {
                sum += p;
                u < sum
            });
            self.state = next.map_or(self.state, |(state, _)| *state);
            return self.state >= 3;
        }
        if let Some(model) = config.loss_gemodel {
            let was_bad = self.bad;
            self.bad = if was_bad { self.u(7, n) >= model.r.get() } else { self.u(7, n) < model.p.get() };
            let share = if was_bad { model.bad_loss } else { model.good_loss };
            return self.u(8, n) < share.get();
        }
        self.hit(1, config.loss, config.loss_correlation)
    }

    pub(crate) fn decide(&mut self, arrival: Arrival) -> Fate {
        if self.origin.is_none() {
            self.change(self.config, arrival.now);
        }
        let fate = self.fate(arrival);
        self.n += 1;
        fate
    }

    fn fate(&mut self, Arrival { now, len, tos }: Arrival) -> Fate {
        let config = self.config;
        if config.is_neutral() {
            return Fate::untouched(now);
        }
        let lost = self.lost();
        if config.mtu.is_some_and(|mtu| len > u64::from(mtu)) {
            return Fate::Lost(Cause::Mtu);
        }
        if config.blackout {
            return Fate::Lost(Cause::Blackout);
        }
        let mark = lost && config.ecn && tos & 3 != 0;
        if lost && !mark {
            return Fate::Lost(Cause::Loss);
        }
        let packet = len.saturating_add_signed(config.packet_overhead.map_or(28, i64::from));
        let n = self.n;
        let jitter_at = self.drawn_at(6, config.jitter_correlation);
        let netem = config.correlation == Correlation::Netem && !config.jitter_correlation.is_never();
        let jitter =
            if netem { Err(self.mixture(6, config.jitter_correlation)) } else { Ok(self.x(6, jitter_at)) };
        let reorder = self.hit(10, config.reorder, config.reorder_correlation);
        let late = self.hit(5, config.late, config.late_correlation);
        let Some((at_ns, mut what)) = self.leaves(now, packet, reorder, late, jitter) else {
            return Fate::Lost(Cause::QueueFull);
        };
        let corrupt = self.hit(3, config.corrupt, config.corrupt_correlation).then(|| self.x(4, n));
        let mut copy = None;
        if self.hit(2, config.duplicate, config.duplicate_correlation) {
            let hit = |stream: u64, share: Share| self.u(64 + stream, n) < share.get();
            let (reorder, late, corrupted) =
                (hit(10, config.reorder), hit(5, config.late), hit(3, config.corrupt));
            let left = self.leaves(now, packet, reorder, late, Ok(self.x(70, n)));
            copy = left.map(|(at_ns, mut what)| {
                let corrupt = corrupted.then(|| self.x(68, n));
                if corrupted {
                    what = what | What::CORRUPTED;
                }
                Duplicate { at_ns, corrupt, what }
            });
            what = what | if copy.is_some() { What::DUPLICATED } else { What::COPY_LOST };
        }
        if corrupt.is_some() {
            what = what | What::CORRUPTED;
        }
        if mark {
            what = what | What::MARKED;
        }
        Fate::Pass(Pass { at_ns, corrupt, mark, copy, what })
    }

    fn leaves(
        &mut self,
        now: u64,
        packet: u64,
        reorder: bool,
        late: bool,
        jitter: Result<u64, u64>,
    ) -> Option<(u64, What)> {
        let config = self.config;
        let waits = config.rate.is_some() || config.trace.is_some() || config.slot.is_some();
        let datagrams = match (config.limit, config.limit_bytes, waits) {
            (Some(limit), ..) => u64::from(limit),
            (None, Some(_), _) => 65_536,
            (None, None, true) => 1000,
            (None, None, false) => u64::MAX,
        };
        let waiting: Vec<u64> =
            self.left.iter().filter(|(at, _)| *at > now).map(|(_, bytes)| *bytes).collect();
        let bytes: u64 = waiting.iter().sum();
        if waiting.len() as u64 >= datagrams || bytes + packet > config.limit_bytes.unwrap_or(u64::MAX) {
            return None;
        }
        if reorder && self.delayed_since >= u64::from(config.gap.unwrap_or(1)) - 1 {
            self.delayed_since = 0;
            return Some((now, What::REORDERED));
        }
        self.delayed_since += 1;
        let base = match (&config.delay_trace, config.delay_trace_step) {
            (None, _) => config.delay,
            (Some(trace), None) => trace.delays()[usize::try_from(self.n).unwrap() % trace.delays().len()],
            (Some(trace), Some(step)) => trace.delays()
                [usize::try_from((now - self.origin.unwrap()) / step).unwrap() % trace.delays().len()],
        };
        let mut at = now + self.jittered(base, jitter);
        if let Some(rate) = config.rate {
            let ns = u128::from(self.carried(packet)) * 8_000_000_000 / u128::from(rate);
            at = at.max(self.last) + u64::try_from(ns).unwrap();
            self.last = at;
        } else if let Some(trace) = &config.trace {
            at = self.across(trace, at.max(self.last), self.carried(packet));
            self.last = at;
        }
        if late {
            at += config.late_by;
        }
        if config.rate.is_none() && config.trace.is_none() {
            if config.order == Order::Keep {
                at = at.max(self.last);
            }
            self.last = self.last.max(at);
        }
        if config.slot.is_some() {
            at = self.slot(now, at, packet);
        }
        if config.order == Order::Keep {
            at = at.max(self.latest);
        }
        self.latest = self.latest.max(at);
        // What waits from a time without a limit is not counted under one.
        if datagrams < u64::MAX {
            self.left.push((at, packet));
        }
        let mut what = if at > now { What::DELAYED } else { What::NOTHING };
        if late {
            what = what | What::LATE;
        }
        Some((at, what))
    }

    /// The delay with a jitter made of 64 free random bits, or of 32 by Linux's rule.
    fn jittered(&self, base: u64, jitter: Result<u64, u64>) -> u64 {
        let half = i128::from(self.config.jitter);
        if half == 0 {
            return base;
        }
        let by = match (&self.config.distribution, jitter) {
            (Distribution::Uniform, Ok(x)) => ((i128::from(x) * 2 * half) >> 64) - half,
            (Distribution::Uniform, Err(x)) => i128::from(x) % (2 * half) - half,
            (Distribution::Table(table), x) => {
                let size = table.values().len() as u64;
                let index = x.map_or_else(
                    |x| x % size,
                    |x| u64::try_from((u128::from(x) * u128::from(size)) >> 64).unwrap(),
                );
                let product = half * i128::from(table.values()[usize::try_from(index).unwrap()]);
                // To the nearest, halves away from zero.
                product.signum() * ((product.abs() + 4096) / 8192)
            }
        };
        u64::try_from((i128::from(base) + by).max(0)).unwrap()
    }

    fn carried(&self, packet: u64) -> u64 {
        let Some(size) = self.config.cell_size else { return packet };
        let (mut cells, mut rest) = (0, packet);
        while rest > 0 {
            cells += 1;
            rest = rest.saturating_sub(u64::from(size));
        }
        cells * u64::from(size).saturating_add_signed(i64::from(self.config.cell_overhead))
    }

    /// Byte after byte, opportunity after opportunity.
    fn across(&mut self, trace: &RateTrace, ready: u64, bytes: u64) -> u64 {
        let times = opportunities(trace);
        let time = |at: usize| {
            let round = (at / times.len()) as u64;
            self.origin.unwrap() + round * trace.period_ns() + times[at % times.len()]
        };
        let mut rest = bytes;
        loop {
            if time(self.opportunity) < ready || self.opportunity_left == 0 {
                self.opportunity += 1;
                self.opportunity_left = RateTrace::BYTES;
            } else if rest > self.opportunity_left {
                rest -= self.opportunity_left;
                self.opportunity_left = 0;
            } else {
                self.opportunity_left -= rest;
                return time(self.opportunity);
            }
        }
    }

    /// The chain from the first arrival on; nothing is forgotten.
    fn slot(&mut self, now: u64, ready: u64, bytes: u64) -> u64 {
        let slot = self.config.slot.unwrap();
        // The chain begins where the first datagram that waits for one comes.
        let mut latest = self.slots.last().map_or(now, |(at, ..)| *at);
        loop {
            let fits =
                |(at, packets, bytes): &&mut (u64, u32, u64)| *at >= ready && *packets > 0 && *bytes > 0;
            if let Some((at, packets, room)) = self.slots.iter_mut().find(fits) {
                *packets -= 1;
                *room = room.saturating_sub(bytes);
                return *at;
            }
            let pause = (u128::from(self.x(11, self.other_slots + self.slots.len() as u64))
                * u128::from(slot.max - slot.min))
                >> 64;
            latest += slot.min + u64::try_from(pause).unwrap();
            self.slots.push((latest, slot.packets.unwrap_or(u32::MAX), slot.bytes.unwrap_or(u64::MAX)));
        }
    }
}

/// The times of a round, ns: the trace is asked for them by carrying whole opportunities in a row.
fn opportunities(trace: &RateTrace) -> Vec<u64> {
    trace.times_ms().iter().map(|ms| u64::from(*ms) * 1_000_000).collect()
}

fn unit(x: u64) -> f64 {
    const SCALE: f64 = 1.0 / 9_007_199_254_740_992.0;
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
    let unit = (x >> 11) as f64 * SCALE;
    unit
}

fn in_32_bits(share: Share) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 2^32, and whole")]
    let bits = (share.get() * 4_294_967_296.0).floor() as u64;
    bits.min(u64::from(u32::MAX))
}
