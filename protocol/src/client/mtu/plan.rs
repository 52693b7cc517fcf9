//! Which size to try next: common sizes first, then halving the gap ([P-85]).

/// Octets of a control probe, shorter than any link's limit; four more with an HMAC tag.
pub const CONTROL_LEN: usize = 64;

/// `BASE_PLPMTU` of RFC 8899 section 5.1.2: should pass anywhere.
const BASE: usize = 1200;

/// UDP payloads of common links: 1280, `WireGuard`, `PPPoE`, Ethernet, FDDI, jumbo, over IPv4 and IPv6.
const COMMON: [usize; 10] = [BASE, 1232, 1372, 1392, 1400, 1452, 1464, 1472, 4352, 8972];

/// What sets the upper end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The search's own limit passes; the path may take more.
    Limit,
    /// Longer probes vanish without a word.
    Silence,
    /// The local stack refuses longer ones (`EMSGSIZE`).
    MessageTooLong,
    /// A router named the limit of its next hop (ICMP).
    NextHop,
    /// Answers to longer probes come in fragments: the way back does not take them whole.
    Fragments,
    /// The peer sends longer probes back cut, so its buffer is the end of what can be told; the path may take more.
    Cut,
}

/// What the search found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MtuResult {
    /// Probes up to this size come back.
    Found {
        /// Octets of the longest UDP payload that came back.
        payload: usize,
        /// Why not more.
        bound: Bound,
    },
    /// Not even control probes come back.
    Unreachable,
}

impl MtuResult {
    /// Whether the path swallows long datagrams without telling anyone: a black hole.
    #[must_use]
    pub const fn is_black_hole(&self) -> bool {
        matches!(self, Self::Found { bound: Bound::Silence, .. })
    }
}

/// The next probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Control,
    Size(usize),
}

/// What is known: `low` passes, `high` does not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    control: usize,
    low: usize,
    high: usize,
    bound: Bound,
    /// `high` before silence lowered it, with its reason: silence may turn out to have been loss.
    certain: (usize, Bound),
    /// The `high` that silence has refuted twice.
    rechecked: Option<usize>,
    /// Sizes worth trying before all others.
    expected: [usize; 2],
}

impl Plan {
    pub(super) fn new(max_payload: usize, control: usize) -> Self {
        let high = max_payload.max(control).saturating_add(1);
        Self {
            control,
            low: control,
            high,
            bound: Bound::Limit,
            certain: (high, Bound::Limit),
            rechecked: None,
            expected: [0; 2],
        }
    }

    pub(super) const fn expect(&mut self, sizes: [usize; 2]) {
        self.expected = sizes;
    }

    /// Octets of a control probe.
    pub(super) const fn control(&self) -> usize {
        self.control
    }

    pub(super) const fn size(&self, target: Target) -> usize {
        match target {
            Target::Control => self.control,
            Target::Size(size) => size,
        }
    }

    /// Whether it is still unknown if `size` passes, or silence is all that speaks against it.
    pub(super) const fn is_open(&self, size: usize) -> bool {
        size > self.low && size < self.certain.0
    }

    /// Whether `high` could be the first size that fails.
    pub(super) const fn allows_bound(&self, high: usize) -> bool {
        high > self.low && high <= self.high
    }

    pub(super) fn confirm(&mut self, size: usize) {
        self.low = self.low.max(size);
        if self.low >= self.high {
            (self.high, self.bound) = self.certain;
            self.rechecked = None;
        }
    }

    pub(super) const fn refute(&mut self, size: usize, bound: Bound) {
        if size <= self.low || size > self.high {
            return;
        }
        if matches!(bound, Bound::Silence) {
            if size == self.high && matches!(self.bound, Bound::Silence) {
                self.rechecked = Some(size);
            }
        } else {
            self.certain = (size, bound);
        }
        (self.high, self.bound) = (size, bound);
    }

    /// The next size to try; `None` when there is nothing left to learn. On a lossy path the size that decides
    /// is tried once more.
    pub(super) fn next(&self, lossy: bool) -> Option<Target> {
        let gap = self.high.saturating_sub(self.low);
        if gap <= 1 {
            let doubtful = lossy && matches!(self.bound, Bound::Silence) && self.rechecked != Some(self.high);
            return doubtful.then_some(Target::Size(self.high));
        }
        let mut worthwhile = self.expected.into_iter().chain(COMMON);
        let common = worthwhile.find(|size| self.low < *size && *size < self.high);
        // A limit that a next hop named is most likely exact: try it before anything below it.
        let named = matches!(self.bound, Bound::NextHop).then(|| self.high.saturating_sub(1));
        let halfway = self.low.saturating_add(gap >> 1);
        Some(Target::Size(named.or(common).unwrap_or(halfway)))
    }

    pub(super) const fn result(&self) -> MtuResult {
        MtuResult::Found { payload: self.low, bound: self.bound }
    }
}
