//! What metrics tell of the listeners: gathered a part at a time between two batches, as a status is.

use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::sync::Arc;

use super::books::Books;
use super::gone::{Gone, OTHERS, Sum, first_ranges, label};
use super::looks::{Look, Next};
use super::overview::SLOTS_A_PART;
use super::running::Running;
use super::steps::Place;
use crate::config::Plan;
use crate::control::http::Wanted;
use crate::control::http::figures::{
    BOUNDS_NS, Counts, Figures, Held, Listener, MOST_PLUGIN_NAMES, MOST_PLUGIN_SERIES, MOST_RANGES,
    PluginMetric, Range, Reason, Reloads, Sessions, Times,
};
use crate::control::wire::ControlCounts;
use crate::exchange::{OpenRefused, SessionEnd};
use crate::metrics::{Counters, DropReason, Stage};
use crate::plugin::Cells;
use crate::reactor::{ListenerReport, ListenerState, SessionBook};

/// What is known beside the listeners.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around {
    pub(super) reloads: Reloads,
    pub(super) control: Option<ControlCounts>,
    pub(super) log_lines_lost: u64,
}

/// Figures that are being gathered.
#[derive(Debug)]
pub(super) struct Gathering {
    wanted: Wanted,
    /// That of the listeners which were looked at. Places in another one mean something else.
    plan: Arc<Plan>,
    /// For each table the number of its first bind address among all of them.
    first_of: Vec<usize>,
    next_slot: usize,
    look: Look,
    /// What those have counted that leave, by series and by listener.
    leaving: Gone,
    leaving_books: Books,
    /// One for each bind address or range, and one for those behind.
    rows: Vec<Option<Row>>,
    /// By the number of the table.
    listeners: BTreeMap<u32, Listener>,
    /// Names of plugins' metrics, with the plugin.
    names: BTreeSet<(String, String)>,
    plugin_series: usize,
    plugin_series_left_out: u64,
}

/// What was counted for a bind address or range.
#[derive(Debug, Default)]
struct Row {
    listener: String,
    address: String,
    plugin: String,
    /// Addresses in each state, in the order of [`ListenerState::ALL`].
    states: [u64; ListenerState::ALL.len()],
    counters: Counters,
    waiting: u64,
    sessions: Option<(SessionBook, u64)>,
}

impl Gathering {
    /// Begins to gather.
    pub(super) fn begin(wanted: Wanted, running: &Running) -> Self {
        Self {
            wanted,
            plan: Arc::clone(&running.prepared.plan),
            first_of: Vec::new(),
            next_slot: 0,
            look: Look::default(),
            leaving: Gone::default(),
            leaving_books: Books::default(),
            rows: Vec::new(),
            listeners: BTreeMap::new(),
            names: BTreeSet::new(),
            plugin_series: 0,
            plugin_series_left_out: 0,
        }
    }

    fn start(&mut self, running: &Running) {
        self.plan = Arc::clone(&running.prepared.plan);
        (self.leaving, self.leaving_books) = (running.gone_series.beside(), Books::default());
        self.first_of = first_ranges(&self.plan);
        let ranges: usize = self.plan.listen.iter().map(|listen| listen.bind.len()).sum();
        self.next_slot = 0;
        self.rows = Vec::new();
        self.rows.resize_with(ranges.min(MOST_RANGES + 1), || None);
        self.listeners.clear();
        self.names.clear();
        (self.plugin_series, self.plugin_series_left_out) = (0, 0);
    }

    /// Looks at the next listeners. Returns whether all were looked at.
    pub(super) fn go_on(&mut self, running: &mut Running) -> bool {
        // Where a reload has come in between everything may be another.
        let is_another = !Arc::ptr_eq(&running.prepared.plan, &self.plan);
        let Running { reactor, looks, .. } = running;
        let next = self.look.next(is_another, reactor.is_changing(), looks);
        let running = &*running;
        match next {
            Next::Wait => return false,
            Next::Begin => self.start(running),
            Next::GoOn => {}
        }
        let slots = self.next_slot..self.next_slot + SLOTS_A_PART;
        self.next_slot = slots.end;
        for report in running.reactor.reports_in(slots.clone()) {
            self.add(&report, running);
        }
        if self.look.is_held() {
            for report in running.reactor.leaving_in(slots) {
                self.leaving.add_report(&report);
                self.leaving_books.add_report(&report);
            }
        }
        self.next_slot >= running.reactor.slots()
    }

    fn add(&mut self, report: &ListenerReport<'_>, running: &Running) {
        let place = Place::of_tag(report.tag);
        let Some(first) = self.first_of.get(place.entry as usize) else { return };
        let number = (first + place.bind as usize).min(MOST_RANGES);
        if let Some(row) = self.rows.get_mut(number) {
            let place = (number < MOST_RANGES).then_some(place);
            let row =
                row.get_or_insert_with(|| Row::of(report, place, &self.plan).with_gone(&running.gone_series));
            row.add(report);
        }
        self.add_to_listener(place.entry, report, running);
    }

    /// Adds what is told of a listener as a whole: its times and the metrics of its handlers.
    fn add_to_listener(&mut self, entry: u32, report: &ListenerReport<'_>, running: &Running) {
        if let btree_map::Entry::Vacant(vacant) = self.listeners.entry(entry) {
            let times = running.reactor.call_times(report.name).map(|times| Times {
                samples: times.samples(),
                sum_ns: times.sum_ns(),
                longest_ns: times.longest_ns(),
                at_most: times.at_most(&BOUNDS_NS),
            });
            if times.is_none() && report.cells.iter().next().is_none() {
                return;
            }
            let (name, plugin) = (report.name.to_string(), report.plugin.to_string());
            vacant.insert(Listener { name, plugin, times, metrics: Vec::new() });
        }
        self.add_cells(entry, report.cells, running);
    }

    fn add_cells(&mut self, entry: u32, cells: &Cells, running: &Running) {
        let Self { listeners, names, plugin_series, plugin_series_left_out, .. } = self;
        let Some(listener) = listeners.get_mut(&entry) else { return };
        for cell in cells.iter() {
            if let Some(metric) = listener.metrics.iter_mut().find(|metric| metric.name == cell.name) {
                metric.value += cell.value();
                continue;
            }
            let name = (listener.plugin.clone(), cell.name.clone());
            let is_new = !names.contains(&name);
            if *plugin_series >= MOST_PLUGIN_SERIES || is_new && names.len() >= MOST_PLUGIN_NAMES {
                *plugin_series_left_out += 1;
                continue;
            }
            *plugin_series += 1;
            names.insert(name);
            // What was counted by handlers that are gone: a number that only grows must not shrink.
            let gone = if cell.is_counter() { running.gone.cell(&listener.name, &cell.name) } else { 0 };
            listener.metrics.push(PluginMetric {
                name: cell.name.clone(),
                help: cell.help.clone(),
                is_counter: cell.is_counter(),
                value: gone + cell.value(),
            });
        }
    }

    /// Answers with what was gathered; `around` is what is known beside the listeners.
    pub(super) fn finish(self, running: &Running, around: Around) {
        let held = running.reactor.held();
        let ranges: usize = self.plan.listen.iter().map(|listen| listen.bind.len()).sum();
        let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let (mut rows, mut listeners) = (self.rows, self.listeners);
        if self.look.is_held() {
            for row in rows.iter_mut().flatten() {
                row.add_gone(&self.leaving);
            }
            for listener in listeners.values_mut() {
                for metric in listener.metrics.iter_mut().filter(|metric| metric.is_counter) {
                    metric.value += self.leaving_books.cell(&listener.name, &metric.name);
                }
            }
        }
        let others = if rows.len() > MOST_RANGES { rows.pop().flatten() } else { None };
        let figures = Figures {
            ending: running.reactor.is_ending(),
            uptime_s: running.vitals.uptime_s(),
            states: ListenerState::ALL.map(|state| state.name().to_owned()).to_vec(),
            wanted_states: ListenerState::AS_WANTED,
            reasons: DropReason::ALL.iter().map(|reason| named(*reason)).collect(),
            ends: SessionEnd::ALL.iter().map(|end| end.name().to_owned()).collect(),
            refusals: OpenRefused::NAMES.map(str::to_owned).to_vec(),
            listener_count: number(self.plan.listen.len()),
            listeners: listeners.into_values().collect(),
            ranges: rows.into_iter().flatten().map(Row::into_range).collect(),
            others: others.map(Row::into_range),
            other_ranges: number(ranges.saturating_sub(MOST_RANGES)),
            held: Held {
                delayed_datagrams: number(held.delayed_datagrams),
                delayed_bytes: number(held.delayed_bytes),
                backlog_bytes: number(held.backlog_bytes),
                kept_bytes: number(held.kept_bytes),
                tickets: number(held.tickets),
            },
            reloads: around.reloads,
            control: around.control,
            log_lines_lost: around.log_lines_lost,
            call_times_left_out: running.reactor.call_times_left_out(),
            plugin_series_left_out: self.plugin_series_left_out,
        };
        self.wanted.send(figures);
    }
}

fn named(reason: DropReason) -> Reason {
    Reason { name: reason.name().to_owned(), is_out: reason.stage() == Stage::Send }
}

impl Row {
    /// A row for what was reported first; without a place, for all that have none of their own.
    fn of(report: &ListenerReport<'_>, place: Option<Place>, plan: &Plan) -> Self {
        let Some((_, bind)) = place.and_then(|place| place.of(plan)) else {
            let others = OTHERS.to_owned();
            return Self {
                listener: others.clone(),
                address: others.clone(),
                plugin: others,
                ..Self::default()
            };
        };
        let address = label(bind, report.local);
        let (listener, plugin) = (report.name.to_string(), report.plugin.to_string());
        Self { listener, address, plugin, ..Self::default() }
    }

    /// With what was counted under its name by addresses that are gone.
    fn with_gone(mut self, gone: &Gone) -> Self {
        self.add_gone(gone);
        self
    }

    /// Adds what was counted under its name by addresses that are gone, or leave.
    fn add_gone(&mut self, gone: &Gone) {
        let Some(Sum { counters, waiting, sessions }) = gone.of(&self.listener, &self.address) else {
            return;
        };
        self.counters += counters;
        self.waiting += waiting;
        if let Some((book, waiting)) = sessions {
            let all = self.sessions.get_or_insert_default();
            all.0 += book;
            all.1 += waiting;
        }
    }

    fn add(&mut self, report: &ListenerReport<'_>) {
        for (state, addresses) in ListenerState::ALL.into_iter().zip(&mut self.states) {
            *addresses += u64::from(state == report.state);
        }
        self.counters += report.counters;
        self.waiting += report.waiting;
        if let Some(sessions) = report.sessions.filter(|sessions| !sessions.book.is_blank()) {
            let (book, waiting) = self.sessions.get_or_insert_default();
            *book += sessions.book;
            *waiting += sessions.waiting;
        }
    }

    fn into_range(self) -> Range {
        let Self { listener, address, plugin, states, counters, waiting, sessions } = self;
        let sessions = sessions.map(|(book, waiting)| Sessions {
            opened: book.opened,
            open: book.open,
            closed: book.closed.to_vec(),
            refused: book.opens_refused.to_vec(),
            counts: counts(&book.counters, waiting),
        });
        let counts = counts(&counters, waiting);
        Range { listener, address, plugin, states: states.to_vec(), counts, sessions }
    }
}

/// Counters as they are told.
fn counts(counters: &Counters, waiting: u64) -> Counts {
    Counts {
        received: counters.received,
        received_bytes: counters.received_bytes,
        replied: counters.replied,
        consumed: counters.consumed,
        kept: counters.kept,
        queued: counters.queued,
        sent: counters.sent,
        sent_bytes: counters.sent_bytes,
        waiting,
        kernel_drops: counters.kernel_drops,
        receive_errors: counters.receive_errors,
        segments_refused: counters.segments_refused,
        faults: counters.faults,
        restarts: counters.restarts,
        handler_errors: counters.handler_errors,
        slow_calls: counters.slow_calls,
        unknown_codes: counters.unknown_codes,
        timers_refused: counters.timers_refused,
        groups_refused: counters.groups_refused,
        prefixes_evicted: counters.prefixes_evicted,
        tickets_taken: counters.tickets_taken,
        tickets_used: counters.tickets_used,
        tickets_refused: counters.tickets_refused,
        dropped: DropReason::ALL.iter().map(|reason| counters.dropped(*reason)).collect(),
    }
}
