//! A run, as far as its log tells it.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use polyport_protocol::Nanos;

use super::bins::{Bins, Row};
use super::channel::Channel;
use super::decision::{Decision, Direction, Kind};
use super::few::{Points, Ticks};
use super::passage::{Passage, Unseen};
use super::selection::Selection;
use super::span::{Offset, after, between, offset};

/// Clients that are told apart: some 10 MB of memory. Decisions about more of them are drawn all the same.
pub const MAX_CLIENTS: usize = 65_536;

/// Clients that are named where one was asked for that is not there.
const MAX_NAMED: usize = 5;

/// Unknown words that are remembered; one would do to say what is wrong.
const MAX_WORDS: usize = 8;

/// Significant digits of the delays of a run.
const DIGITS: u8 = 3;

/// One direction of a run.
#[derive(Clone, Debug, Default)]
pub struct Side {
    /// Datagrams that came, those with nothing in the log included.
    pub datagrams: u64,
    /// Decisions about them.
    pub decisions: u64,
    /// Datagrams that do not arrive.
    pub dropped: u64,
    /// Datagrams that waited, and those of their delays that are drawn as points.
    pub points: Points,
    kinds: [u64; Kind::ALL.len()],
    ticks: [Ticks; Kind::ALL.len()],
    delays: Option<Histogram<u64>>,
    longest: Nanos,
}

/// What of a log is drawn, as far as it was read.
#[derive(Debug, Default)]
pub struct Run {
    selection: Selection,
    zero: Option<Nanos>,
    read: u64,
    clients: BTreeMap<String, u32>,
    /// The first of them, in order of appearance.
    named: Vec<String>,
    chosen: BTreeMap<u32, String>,
    passage: Passage,
    channels: [Channel; Direction::ALL.len()],
    bins: Bins,
    sides: [Side; Direction::ALL.len()],
    span: Option<(Offset, Offset)>,
    words: BTreeMap<String, u64>,
    uncounted: u64,
}

impl Side {
    /// How often something happened.
    #[must_use]
    pub const fn count(&self, kind: Kind) -> u64 {
        self.kinds[kind.index()]
    }

    /// When something happened, unless it happened too often.
    #[must_use]
    pub fn ticks(&self, kind: Kind) -> Option<&[Offset]> {
        self.ticks[kind.index()].all()
    }

    /// Datagrams that waited.
    #[must_use]
    pub fn delayed(&self) -> u64 {
        self.delays.as_ref().map_or(0, Histogram::len)
    }

    /// The delay that so large a part of those that waited does not exceed.
    #[must_use]
    pub fn delay(&self, quantile: f64) -> Option<Nanos> {
        let delays = self.delays.as_ref()?;
        Some(delays.value_at_quantile(quantile).min(self.longest))
    }

    /// The longest delay; 0 if nothing waited.
    #[must_use]
    pub const fn longest(&self) -> Nanos {
        self.longest
    }
}

impl Run {
    /// Nothing yet; of what comes, only this will be shown.
    #[must_use]
    pub fn new(selection: Selection) -> Self {
        Self { selection, ..Self::default() }
    }

    /// Takes the next decision of the log.
    pub fn take(&mut self, decision: &Decision<'_>) {
        self.read += 1;
        let zero = *self.zero.get_or_insert(decision.at);
        let at = offset(zero, decision.at);
        let client = self.client(decision.client);
        let (number, direction) = (decision.number, decision.direction);
        if !decision.is_of_copy() {
            self.channels[direction.index()].see(client, number);
        }
        if !self.selection.takes(decision) {
            return;
        }
        if let Some(client) = client {
            self.chosen.entry(client).or_insert_with(|| decision.client.to_owned());
        }
        if !decision.is_of_copy() {
            let window = self.selection.window();
            let Unseen { count, since } = self.channels[direction.index()].take(number, at);
            self.bins.came_between((since, at), window, (direction, Row::Channel), count);
            match client.and_then(|client| self.passage.take(client, direction, number, at)) {
                Some(Unseen { count, since }) => {
                    self.bins.came_between((since, at), window, (direction, Row::Own), count);
                }
                None => self.uncounted += 1,
            }
        }
        if self.selection.shows(at) {
            self.show(decision, at);
        }
    }

    /// Takes a decision that lies in the window.
    fn show(&mut self, decision: &Decision<'_>, at: Offset) {
        let direction = decision.direction;
        let wait = (!decision.what.drops() && decision.wait > 0).then_some(decision.wait);
        if !decision.is_of_copy() {
            self.bins.came(at, direction);
        }
        self.bins.happened(at, direction, decision.what, wait);
        let (first, last) = self.span.unwrap_or((at, at));
        self.span = Some((first.min(at), last.max(at)));
        let side = &mut self.sides[direction.index()];
        side.decisions += 1;
        side.dropped += u64::from(decision.what.drops());
        for kind in decision.what.iter() {
            side.kinds[kind.index()] += 1;
            side.ticks[kind.index()].push(at);
        }
        if let Some(wait) = wait {
            side.points.push(at, wait);
            side.longest = side.longest.max(wait);
            if side.delays.is_none() {
                side.delays = Histogram::new(DIGITS).ok();
            }
            if let Some(delays) = &mut side.delays {
                // It grows with what it gets, up to 2^64, so that it cannot fail.
                delays.auto(true);
                delays.record(wait).unwrap_or(());
            }
        }
        if decision.what.has(Kind::Other)
            && (self.words.len() < MAX_WORDS || self.words.contains_key(decision.words))
        {
            *self.words.entry(decision.words.to_owned()).or_default() += 1;
        }
    }

    /// The log is at its end: what was summed up bin by bin is known of the whole.
    pub fn finish(&mut self) {
        for direction in Direction::ALL {
            if self.is_shared(direction) {
                self.bins.are_of_channel(direction);
            }
            let datagrams = self.bins.iter().map(|(_, sums)| sums[direction.index()].datagrams);
            self.sides[direction.index()].datagrams = datagrams.fold(0, u64::saturating_add);
        }
    }

    /// Whether the clients of the log share a channel, as far as their numbers tell.
    #[must_use]
    pub const fn is_shared(&self, direction: Direction) -> bool {
        self.channels[direction.index()].is_shared()
    }

    /// A number for a client; `None` if there are too many of them.
    fn client(&mut self, name: &str) -> Option<u32> {
        if let Some(number) = self.clients.get(name) {
            return Some(*number);
        }
        let number = u32::try_from(self.clients.len()).ok()?;
        if self.clients.len() == MAX_CLIENTS {
            return None;
        }
        self.clients.insert(name.to_owned(), number);
        if self.named.len() < MAX_NAMED {
            self.named.push(name.to_owned());
        }
        Some(number)
    }

    /// Decisions read, whatever they are about.
    #[must_use]
    pub const fn read(&self) -> u64 {
        self.read
    }

    /// Decisions shown.
    #[must_use]
    pub fn shown(&self) -> u64 {
        self.sides.iter().map(|side| side.decisions).sum()
    }

    /// One direction.
    #[must_use]
    pub const fn side(&self, direction: Direction) -> &Side {
        &self.sides[direction.index()]
    }

    /// The directions that something is shown of.
    pub fn directions(&self) -> impl Iterator<Item = Direction> {
        Direction::ALL.into_iter().filter(|direction| self.side(*direction).decisions > 0)
    }

    /// Sums over time.
    #[must_use]
    pub const fn bins(&self) -> &Bins {
        &self.bins
    }

    /// From where to where the picture goes: the window, or where something happened. `None` if nothing did.
    #[must_use]
    pub fn extent(&self) -> Option<(Offset, Offset)> {
        let (first, last) = self.span?;
        let (since, until) = self.selection.window();
        let start = if since == Offset::MIN { first } else { since };
        let end = if until == Offset::MAX { last } else { until };
        Some((start, end))
    }

    /// Whether a moment, counted from the first decision, is in the picture.
    #[must_use]
    pub fn covers(&self, at: Nanos) -> bool {
        self.extent().is_some_and(|(start, end)| (start..=end).contains(&after(at)))
    }

    /// How long the picture is.
    #[must_use]
    pub fn length(&self) -> Nanos {
        self.extent().map_or(0, |(start, end)| between(start, end))
    }

    /// The first clients of the log, in order of appearance, and how many there are.
    #[must_use]
    pub fn all_clients(&self) -> (&[String], usize) {
        (&self.named, self.clients.len())
    }

    /// Those clients that were chosen, in order of appearance.
    pub fn chosen(&self) -> impl ExactSizeIterator<Item = &str> {
        self.chosen.values().map(String::as_str)
    }

    /// Decisions about clients beyond [`MAX_CLIENTS`], or lines beyond [`super::passage::MAX_LINES`].
    #[must_use]
    pub const fn uncounted(&self) -> u64 {
        self.uncounted
    }

    /// Words of the log that this program does not know, and how often they came.
    #[must_use]
    pub const fn unknown_words(&self) -> &BTreeMap<String, u64> {
        &self.words
    }
}
