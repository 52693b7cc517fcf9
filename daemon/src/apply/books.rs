//! What was counted, summed by the names of the configuration: all addresses of an entry in one line.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::Arc;

use crate::metrics::Counters;
use crate::plugin::Cells;
use crate::reactor::{ListenerReport, SessionBook};

/// Sums in the order in which their names came.
#[derive(Clone, Debug, Default)]
pub(super) struct Books {
    order: Vec<Arc<str>>,
    sums: BTreeMap<Arc<str>, Sum>,
}

/// The sum of one name.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    pub(super) counters: Counters,
    /// Datagrams that wait to be sent.
    pub(super) waiting: u64,
    /// What sessions counted, and how many datagrams wait to leave by them.
    pub(super) sessions: (SessionBook, u64),
    /// The handlers' own cells.
    pub(super) cells: BTreeMap<String, u64>,
}

impl Sum {
    /// Adds what one listener counted.
    fn add(&mut self, counters: &Counters, waiting: u64, cells: &Cells) {
        self.counters += counters;
        self.waiting += waiting;
        for cell in cells.iter() {
            match self.cells.get_mut(&cell.name) {
                Some(sum) => *sum += cell.value(),
                None => drop(self.cells.insert(cell.name.clone(), cell.value())),
            }
        }
    }

    /// Adds what the sessions of one listener counted.
    fn add_sessions(&mut self, book: &SessionBook, waiting: u64) {
        self.sessions.0 += book;
        self.sessions.1 += waiting;
    }

    /// Adds what a listener that is served has counted, with its sessions.
    pub(super) fn add_report(&mut self, report: &ListenerReport<'_>) {
        self.add(report.counters, report.waiting, report.cells);
        if let Some(sessions) = report.sessions {
            self.add_sessions(sessions.book, sessions.waiting);
        }
    }
}

impl AddAssign<&Self> for Sum {
    fn add_assign(&mut self, other: &Self) {
        self.counters += &other.counters;
        self.waiting += other.waiting;
        self.add_sessions(&other.sessions.0, other.sessions.1);
        for (name, value) in &other.cells {
            *self.cells.entry(name.clone()).or_default() += value;
        }
    }
}

impl Books {
    /// Adds what one listener counted.
    pub(super) fn add(&mut self, name: &Arc<str>, counters: &Counters, waiting: u64, cells: &Cells) {
        self.of(name).add(counters, waiting, cells);
    }

    /// Adds what the sessions of one listener counted.
    pub(super) fn add_sessions(&mut self, name: &Arc<str>, book: &SessionBook, waiting: u64) {
        self.of(name).add_sessions(book, waiting);
    }

    /// Adds what a listener that is served has counted, with its sessions.
    pub(super) fn add_report(&mut self, report: &ListenerReport<'_>) {
        self.of(report.name).add_report(report);
    }

    /// The sum of one cell of a name.
    pub(super) fn cell(&self, name: &str, cell: &str) -> u64 {
        self.sums.get(name).and_then(|sum| sum.cells.get(cell)).copied().unwrap_or(0)
    }

    fn of(&mut self, name: &Arc<str>) -> &mut Sum {
        if !self.sums.contains_key(name) {
            self.order.push(Arc::clone(name));
        }
        self.sums.entry(Arc::clone(name)).or_default()
    }

    /// Every name with its sum.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Sum)> {
        self.order.iter().filter_map(|name| Some((&**name, self.sums.get(name)?)))
    }
}
