//! What is known of a daemon: from what it said, one time after the other, to rows with rates. Texts of the daemon become harmless
//! for a terminal here, once; what it calls a listener is kept as it is, to ask for it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use polyport_terminal::Escaped;

use super::rates::{Rates, per_second};
use crate::control::wire::{Counts, Entry, HandlerTime, Peers, Sessions, Status};

/// Rates that are kept of each listener: the widest picture of it has as many columns.
pub(super) const HISTORY: usize = 180;

/// Of less time than this there is no rate: a question out of turn may come right behind another.
const BARELY: Duration = Duration::from_millis(100);

/// What a daemon said at a moment of our clock.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// When the answer came.
    pub(super) at: Duration,
    /// With the entries of all pages.
    pub(super) status: Status,
    /// The listener that was looked at closely.
    pub(super) one: Option<OneSample>,
}

/// What a daemon said about one listener.
#[derive(Clone, Debug)]
pub(super) struct OneSample {
    pub(super) name: String,
    /// When the answer came.
    pub(super) at: Duration,
    /// Addresses from this one on.
    pub(super) offset: usize,
    pub(super) addresses: Vec<Entry>,
    /// Who sends most; none if this daemon does not say it.
    pub(super) peers: Option<Peers>,
}

/// A daemon, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) head: Option<Head>,
    /// In the order of the daemon.
    pub(super) rows: Vec<Row>,
    pub(super) one: Option<One>,
    /// Samples that were taken.
    pub(super) taken: u64,
    /// When the last sample came.
    at: Duration,
}

/// What is known of the daemon itself.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) version: String,
    pub(super) pid: u32,
    pub(super) uptime_s: u64,
    pub(super) source: String,
    pub(super) listeners: usize,
    pub(super) addresses: usize,
    /// Since the sample before; none for the first of a daemon.
    pub(super) interval: Option<Duration>,
    pub(super) total: Counts,
    pub(super) rates: Option<Rates>,
}

/// A listener, or one of its addresses.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    /// As the daemon calls it: not for the terminal.
    pub(super) name: String,
    pub(super) shown: String,
    pub(super) plugin: String,
    pub(super) bind: Vec<String>,
    pub(super) addresses: usize,
    pub(super) counts: Counts,
    pub(super) sessions: Option<Sessions>,
    pub(super) time: Option<HandlerTime>,
    /// The plugin's own, with how much they grow in a second.
    pub(super) metrics: BTreeMap<String, (u64, Option<f64>)>,
    /// Since the sample before; none for the first one.
    pub(super) rates: Option<Rates>,
    /// Of the sockets of its sessions.
    pub(super) session_rates: Option<Rates>,
    pub(super) history: History,
}

/// One listener, looked at closely.
#[derive(Clone, Debug)]
pub(super) struct One {
    pub(super) name: String,
    pub(super) offset: usize,
    pub(super) addresses: Vec<Row>,
    pub(super) peers: Option<Peers>,
    at: Duration,
}

/// The rates of a listener in the last samples, the latest last; datagrams in a second.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    points: VecDeque<(u32, u32)>,
}

impl History {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    fn push(&mut self, rates: &Rates) {
        if self.points.len() == HISTORY {
            self.points.pop_front();
        }
        self.points.push_back((rates.received.round() as u32, rates.sent.round() as u32));
    }

    /// What came in, in the last `width` samples.
    pub(super) fn received(&self, width: usize) -> Vec<u64> {
        self.last(width).map(|(received, _)| u64::from(*received)).collect()
    }

    /// What left, in the last `width` samples.
    pub(super) fn sent(&self, width: usize) -> Vec<u64> {
        self.last(width).map(|(_, sent)| u64::from(*sent)).collect()
    }

    fn last(&self, width: usize) -> impl Iterator<Item = &(u32, u32)> {
        self.points.iter().skip(self.points.len().saturating_sub(width))
    }
}

impl Model {
    /// Takes what the daemon says now.
    pub(super) fn take(&mut self, sample: Sample) {
        let Sample { at, status, one } = sample;
        let before = self.head.take();
        // Another process counts from zero; so does one that was started anew under the same number.
        let same =
            before.as_ref().is_some_and(|head| head.pid == status.pid && head.uptime_s <= status.uptime_s);
        let interval = same.then(|| at.saturating_sub(self.at));
        if interval.is_some_and(|interval| interval < BARELY) {
            self.head = before;
            self.look_closely(one, same);
            return;
        }
        let rates = interval.zip(before.as_ref()).and_then(|(interval, before)| {
            Rates::between(&before.total, &status.total, interval.as_secs_f64())
        });
        self.head = Some(Head {
            version: shown(&status.version),
            pid: status.pid,
            uptime_s: status.uptime_s,
            source: shown(&status.source),
            listeners: status.listeners,
            addresses: status.addresses,
            interval,
            total: status.total,
            rates,
        });
        let rows = std::mem::take(&mut self.rows);
        self.rows = grown(rows, status.entries, interval, |row| row.name.clone());
        self.look_closely(one, same);
        self.at = at;
        self.taken += 1;
    }

    /// Takes what is said about one listener, by the `same` process as before or another.
    fn look_closely(&mut self, one: Option<OneSample>, same: bool) {
        self.one = one.map(|one| {
            let before = self.one.take().filter(|before| before.name == one.name);
            let interval = before.as_ref().filter(|_| same).map(|before| one.at.saturating_sub(before.at));
            let rows = before.map(|before| before.addresses).unwrap_or_default();
            let addresses = grown(rows, one.addresses, interval, |row| row.bind.join(" "));
            One { name: one.name, offset: one.offset, addresses, peers: one.peers, at: one.at }
        });
    }

    /// The row of this listener.
    pub(super) fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }
}

/// Rows for these entries, each after what it was before, found by its key.
fn grown(
    before: Vec<Row>,
    entries: Vec<Entry>,
    interval: Option<Duration>,
    key: impl Fn(&Row) -> String,
) -> Vec<Row> {
    let mut before: HashMap<String, Row> = before.into_iter().map(|row| (key(&row), row)).collect();
    let rows = entries.into_iter().map(Row::of);
    rows.map(|row| {
        let was = before.remove(&key(&row));
        row.after(was, interval)
    })
    .collect()
}

impl Row {
    /// An entry, before anything is known of how it grows.
    fn of(entry: Entry) -> Self {
        let metrics = entry.metrics.iter().map(|(name, value)| (shown(name), (*value, None)));
        Self {
            shown: shown(&entry.name),
            plugin: shown(&entry.plugin),
            bind: entry.bind.iter().map(|bind| shown(bind)).collect(),
            addresses: entry.addresses,
            counts: harmless(entry.counts),
            sessions: entry.sessions.map(|mut sessions| {
                sessions.counts = harmless(sessions.counts);
                sessions
            }),
            time: entry.time,
            metrics: metrics.collect(),
            name: entry.name,
            ..Self::default()
        }
    }

    /// With its rates since it was `before`.
    fn after(mut self, before: Option<Self>, interval: Option<Duration>) -> Self {
        let Some(before) = before else { return self };
        if let Some(seconds) = interval.map(|interval| interval.as_secs_f64()) {
            self.rates = Rates::between(&before.counts, &self.counts, seconds);
            self.session_rates = before
                .sessions
                .as_ref()
                .zip(self.sessions.as_ref())
                .and_then(|(before, sessions)| Rates::between(&before.counts, &sessions.counts, seconds));
            for (name, (value, rate)) in &mut self.metrics {
                *rate = before.metrics.get(name).and_then(|(was, _)| per_second(*was, *value, seconds));
            }
        }
        self.history = before.history;
        if let Some(rates) = &self.rates {
            self.history.push(rates);
        }
        self
    }
}

/// Counts whose reasons are harmless: those of a later version may be anything.
fn harmless(mut counts: Counts) -> Counts {
    for drops in [&mut counts.dropped_in, &mut counts.dropped_out] {
        if drops.keys().any(|reason| shown(reason) != *reason) {
            *drops = std::mem::take(drops).into_iter().map(|(reason, n)| (shown(&reason), n)).collect();
        }
    }
    counts
}

fn shown(text: &str) -> String {
    Escaped(text.as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::top::example::{entry, sample};

    #[test]
    fn two_samples_make_rates_and_another_process_begins_anew() {
        let mut model = Model::default();
        model.take(sample(4711, 1, vec![entry("a", 10, 8, &[])]));
        assert_eq!(model.rows[0].rates, None, "one sample has no rate");
        model.take(sample(4711, 3, vec![entry("a", 30, 18, &[("on_purpose", 4)])]));
        let rates = model.rows[0].rates.clone().unwrap();
        assert_eq!((rates.received, rates.sent, rates.dropped), (10.0, 5.0, 2.0));
        assert_eq!(model.head.as_ref().unwrap().interval, Some(Duration::from_secs(2)));
        assert_eq!(model.rows[0].history.received(9), [10]);
        model.take(sample(4712, 4, vec![entry("a", 50, 30, &[])]));
        assert_eq!(model.rows[0].rates, None, "another process");
        assert_eq!((model.head.as_ref().unwrap().interval, model.taken), (None, 3));
        model.take(sample(4712, 5, vec![entry("a", 20, 30, &[]), entry("b", 1, 1, &[])]));
        assert_eq!(model.rows[0].rates, None, "a counter that went back");
        assert_eq!(model.rows[1].rates, None, "a listener that is new");
        model.take(sample(4712, 6, vec![entry("b", 6, 1, &[]), entry("a", 25, 30, &[])]));
        let of = |name: &str| model.row(name).unwrap().rates.as_ref().unwrap().received;
        assert_eq!((of("a"), of("b")), (5.0, 5.0), "found by their names");
        assert_eq!(model.row("a").unwrap().history.received(9), [10, 5]);
    }

    #[test]
    fn what_a_daemon_says_commands_no_terminal() {
        let mut odd = entry("a\u{1b}[2J", 1, 1, &[("why\u{7}", 1)]);
        odd.plugin = "p\nq".to_owned();
        odd.metrics.insert("m\u{9b}31m".to_owned(), 1);
        odd.bind = vec!["\u{202e}x".to_owned()];
        let mut said = sample(1, 1, vec![odd]);
        (said.status.source, said.status.version) = ("\u{1b}]0;x\u{7}".to_owned(), "\r".to_owned());
        let mut model = Model::default();
        model.take(said);
        let row = &model.rows[0];
        assert_eq!(row.name, "a\u{1b}[2J", "as it is asked for");
        let head = model.head.as_ref().unwrap();
        let mut shown = vec![&row.shown, &row.plugin, &row.bind[0], &head.source, &head.version];
        shown.extend(row.metrics.keys().chain(row.counts.dropped_in.keys()));
        for text in shown {
            assert!(text.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{text:?}");
        }
    }

    #[test]
    fn a_question_out_of_turn_makes_no_rate() {
        let mut model = Model::default();
        model.take(sample(1, 1, vec![entry("a", 0, 0, &[])]));
        model.take(sample(1, 2, vec![entry("a", 10, 0, &[])]));
        let mut early = sample(1, 2, vec![entry("a", 10, 0, &[])]);
        early.at += Duration::from_millis(5);
        early.one =
            Some(OneSample { name: "a".into(), at: early.at, offset: 0, addresses: vec![], peers: None });
        model.take(early);
        assert_eq!(model.rows[0].rates.as_ref().unwrap().received, 10.0);
        assert_eq!((model.rows[0].history.received(9), model.one.is_some()), (vec![10], true));
        model.take(sample(1, 3, vec![entry("a", 30, 0, &[])]));
        assert_eq!(model.rows[0].history.received(9), [10, 20], "the time since the sample before");
    }

    #[test]
    fn the_history_has_a_bound() {
        let mut model = Model::default();
        for second in 0..500 {
            model.take(sample(1, second, vec![entry("a", second * second, 0, &[])]));
        }
        let history = &model.rows[0].history;
        assert_eq!((history.received(1000).len(), history.received(2)), (HISTORY, vec![995, 997]));
    }
}
