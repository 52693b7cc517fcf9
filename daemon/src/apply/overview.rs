//! What runs and what it has counted, as the control socket tells it: gathered a part at a time between two batches, since
//! thousands of listeners take longer to look at than one of them may wait.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::books::Books;
use super::configured::source;
use super::looks::{Look, Next};
use super::pages::{Pages, Tally, gathered};
use super::running::Running;
use super::steps::{Place, shown};
use crate::config::{Listen, Plan};
use crate::control::Reply;
use crate::control::wire::{
    Answer, ControlCounts, Counts, Entry, Error, HandlerTime, Level, MOST_BINDS, Sessions, Status,
    StatusParams, VERSION, code,
};
use crate::metrics::{Counters, DropReason, Stage};
use crate::reactor::{CallTimes, ListenerReport};

/// Slots that are looked at between two batches: a look costs some cache lines, all of them less than a visit.
pub(super) const SLOTS_A_PART: usize = 512;

/// What is known beside the listeners.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around {
    pub(super) log_level: Level,
    pub(super) control: ControlCounts,
}

/// A status that is being gathered.
#[derive(Debug)]
pub(super) struct Overview {
    params: StatusParams,
    reply: Reply,
    /// That of the listeners which were looked at. Places in another one mean something else.
    plan: Arc<Plan>,
    next_slot: usize,
    look: Look,
    /// What those have counted that leave.
    leaving: Books,
    total: Tally,
    /// One for each entry of the page, and of the pages behind it if they are kept: listeners by their number in the plan.
    page: Vec<Tally>,
    /// Nothing is to be gathered: it is the page behind another.
    is_whole: bool,
    /// Of one listener: the addresses on the page, and how many were before them.
    one: Option<(u32, Vec<Entry>, usize)>,
}

impl Overview {
    /// Begins to gather. What cannot be had is answered at once.
    pub(super) fn begin(
        params: StatusParams,
        reply: Reply,
        running: &Running,
        pages: &mut Pages,
    ) -> Option<Self> {
        let plan = Arc::clone(&running.prepared.plan);
        let one = match &params.listener {
            None => None,
            Some(name) => match (0..).zip(&plan.listen).find(|(_, listen)| listen.name == *name) {
                Some((entry, _)) => Some((entry, Vec::new(), 0)),
                None => {
                    let refusal = Error::new(code::NO_LISTENER, format!("there is no listener `{name}`"));
                    reply.send(Err(refusal));
                    return None;
                }
            },
        };
        let kept = pages.take(&params, &plan, running.vitals.now_ns());
        let is_whole = kept.is_some();
        let (total, page) = kept.unwrap_or_default();
        let (look, leaving) = (Look::default(), Books::default());
        Some(Self { params, reply, plan, next_slot: 0, look, leaving, total, page, is_whole, one })
    }

    /// Begins with the listeners that are gone.
    fn start(&mut self, running: &Running) {
        (self.total, self.leaving) = (Tally::default(), Books::default());
        (self.next_slot, self.is_whole) = (0, false);
        let first = self.params.offset.min(self.plan.listen.len());
        let entries = self
            .plan
            .listen
            .get(first..)
            .unwrap_or_default()
            .iter()
            .take(gathered(&self.params, self.plan.listen.len()));
        let entries = if self.one.is_some() { Vec::new() } else { entries.collect() };
        self.page = vec![Tally::default(); entries.len()];
        add_gone(&running.gone, &entries, &mut self.total, &mut self.page);
        if let Some((_, entries, before)) = &mut self.one {
            (*entries, *before) = (Vec::new(), 0);
        }
    }

    /// Looks at the next listeners. Returns whether all were looked at.
    pub(super) fn go_on(&mut self, running: &mut Running) -> bool {
        let is_another = !Arc::ptr_eq(&running.prepared.plan, &self.plan);
        if self.is_whole && !is_another {
            return true;
        }
        let Running { reactor, looks, .. } = running;
        let next = self.look.next(is_another, reactor.is_changing(), looks);
        let running = &*running;
        if next == Next::Wait {
            return false;
        }
        if is_another {
            // A reload has come in between: everything may be another.
            self.plan = Arc::clone(&running.prepared.plan);
            let plan = &self.plan;
            if let (Some((entry, ..)), Some(name)) = (&mut self.one, &self.params.listener) {
                let found = (0..).zip(&plan.listen).find(|(_, listen)| listen.name == *name);
                *entry = found.map_or(u32::MAX, |(entry, _)| entry);
            }
        }
        if next == Next::Begin {
            self.start(running);
        }
        let slots = self.next_slot..self.next_slot + SLOTS_A_PART;
        self.next_slot = slots.end;
        for report in running.reactor.reports_in(slots.clone()) {
            self.add(&report, running.reactor.missing(report.token));
        }
        if self.look.is_held() {
            running.reactor.leaving_in(slots).for_each(|report| self.leaving.add_report(&report));
        }
        self.next_slot >= running.reactor.slots()
    }

    fn add(&mut self, report: &ListenerReport<'_>, missing: Vec<String>) {
        let Place { entry, .. } = Place::of_tag(report.tag);
        self.total.add_report(report);
        let at = (entry as usize).checked_sub(self.params.offset);
        if let Some((one, entries, before)) = &mut self.one {
            if *one == entry {
                if *before >= self.params.offset && entries.len() < self.params.most() {
                    let mut sum = Tally::default();
                    sum.add_report(report);
                    sum.await_all(missing);
                    let bind = vec![report.local.to_string()];
                    entries.push(sum.entry(report.name, report.plugin, bind));
                }
                *before += 1;
            }
        } else if let Some(sum) = at.and_then(|at| self.page.get_mut(at)) {
            sum.add_report(report);
            sum.await_all(missing);
        }
    }

    /// Answers with what was gathered.
    pub(super) fn finish(self, running: &Running, around: Around, pages: &mut Pages) {
        let Self { params, reply, plan, mut total, mut page, one, leaving, look, .. } = self;
        if look.is_held() {
            let entries: Vec<&Listen> = plan.listen.iter().skip(params.offset).take(page.len()).collect();
            add_gone(&leaving, &entries, &mut total, &mut page);
        }
        pages.keep(&params, &plan, running.vitals.now_ns(), &total, &mut page);
        let offset = params.offset;
        let (entries, all) = match one {
            Some((_, entries, all)) => (entries, all),
            None => (listeners(running, &plan, offset, page), plan.listen.len()),
        };
        let end = offset.saturating_add(entries.len());
        let status = Status {
            polyport: VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_s: running.vitals.uptime_s(),
            source: source(&plan),
            sandbox: running.sandbox.as_ref().map(ToString::to_string),
            log_level: around.log_level,
            listeners: plan.listen.len(),
            addresses: total.addresses,
            total: total.counts(),
            offset,
            next: (end < all && !entries.is_empty()).then_some(end),
            entries,
            control: around.control,
        };
        reply.send(Ok(Answer::Status(Box::new(status))));
    }
}

/// Adds what listeners have counted that are gone, or leave, to the sum and to the entries of the same names.
fn add_gone(gone: &Books, entries: &[&Listen], total: &mut Tally, page: &mut [Tally]) {
    let places: BTreeMap<&str, usize> =
        entries.iter().enumerate().map(|(at, listen)| (listen.name.as_str(), at)).collect();
    for (name, gone) in gone.iter() {
        total.sum += gone;
        if let Some(tally) = places.get(name).and_then(|at| page.get_mut(*at)) {
            tally.sum += gone;
        }
    }
}

/// The page of listeners.
fn listeners(running: &Running, plan: &Plan, offset: usize, page: Vec<Tally>) -> Vec<Entry> {
    let entries = &running.prepared.entries;
    let listed = plan.listen.iter().zip(entries).skip(offset).zip(page);
    let entry = |((listen, entry), sum): ((&Listen, &super::prepare::Entry), Tally)| {
        let binds = listen.bind.iter().take(MOST_BINDS).filter_map(|bind| {
            let first = bind.addresses().next()?;
            Some(shown(bind, first))
        });
        let time = running.reactor.call_times(&listen.name).map(handler_time);
        Entry { time, ..sum.entry(&listen.name, entry.plugin.name(), binds.collect()) }
    };
    listed.map(entry).collect()
}

/// Call times as they are told.
fn handler_time(times: &CallTimes) -> HandlerTime {
    HandlerTime {
        samples: times.samples(),
        p50_ns: times.quantile_ns(0.5),
        p99_ns: times.quantile_ns(0.99),
        max_ns: times.longest_ns(),
    }
}

impl Tally {
    fn add_report(&mut self, report: &ListenerReport<'_>) {
        self.sum.add_report(report);
        self.addresses += 1;
        *self.states.entry(report.state).or_default() += 1;
    }

    /// Notes what an address waits for, each thing once.
    fn await_all(&mut self, missing: Vec<String>) {
        for thing in missing {
            if self.waits_for.len() < MOST_BINDS && !self.waits_for.contains(&thing) {
                self.waits_for.push(thing);
            }
        }
    }

    fn counts(&self) -> Counts {
        counts(&self.sum.counters, self.sum.waiting)
    }

    fn entry(self, name: &str, plugin: &str, bind: Vec<String>) -> Entry {
        let (book, waiting) = &self.sum.sessions;
        let sessions = (!book.is_blank()).then(|| Sessions {
            opened: book.opened,
            open: book.open,
            counts: counts(&book.counters, *waiting),
        });
        Entry {
            name: name.to_owned(),
            plugin: plugin.to_owned(),
            bind,
            addresses: self.addresses,
            states: self.states.iter().map(|(state, n)| (state.name().to_owned(), *n)).collect(),
            counts: self.counts(),
            waits_for: self.waits_for,
            sessions,
            time: None,
            metrics: self.sum.cells,
        }
    }
}

/// Counters as they are told.
fn counts(counters: &Counters, waiting: u64) -> Counts {
    let dropped = |stage: Stage| {
        let reasons = DropReason::ALL.iter().filter(|reason| reason.stage() == stage);
        let counted = reasons.map(|reason| (reason.name().to_owned(), counters.dropped(*reason)));
        counted.filter(|(_, n)| *n > 0).collect()
    };
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
        faults: counters.faults,
        restarts: counters.restarts,
        handler_errors: counters.handler_errors,
        slow_calls: counters.slow_calls,
        dropped_in: dropped(Stage::Receive),
        dropped_out: dropped(Stage::Send),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_adds_up_as_the_counters_do() {
        let mut counters = Counters::default();
        (counters.received, counters.replied, counters.consumed) = (5, 2, 1);
        (counters.queued, counters.sent) = (4, 2);
        counters.drop_many(DropReason::OnPurpose, 2);
        counters.drop_one(DropReason::Group);
        assert!(counters.conservation(1).holds());
        let told = counts(&counters, 1);
        let sum = |drops: &BTreeMap<String, u64>| drops.values().sum::<u64>();
        assert_eq!(told.received, told.replied + told.consumed + sum(&told.dropped_in) + told.kept);
        assert_eq!(told.queued, told.sent + told.waiting + sum(&told.dropped_out));
        assert_eq!(told.dropped_out.keys().collect::<Vec<_>>(), ["group"]);
    }
}
