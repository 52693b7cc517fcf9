//! What was counted, summed by the names of the configuration: all addresses of an entry in one line.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::metrics::Counters;
use crate::plugin::Cells;
use crate::reactor::SessionBook;

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

impl Books {
    /// Adds what one listener counted.
    pub(super) fn add(&mut self, name: &Arc<str>, counters: &Counters, waiting: u64, cells: &Cells) {
        if !self.sums.contains_key(name) {
            self.order.push(Arc::clone(name));
        }
        let sum = self.sums.entry(Arc::clone(name)).or_default();
        sum.counters += counters;
        sum.waiting += waiting;
        for cell in cells.iter() {
            *sum.cells.entry(cell.name.clone()).or_default() += cell.value();
        }
    }

    /// Adds what the sessions of one listener counted, which was added before.
    pub(super) fn add_sessions(&mut self, name: &Arc<str>, book: &SessionBook, waiting: u64) {
        if let Some(sum) = self.sums.get_mut(name) {
            sum.sessions.0 += book;
            sum.sessions.1 += waiting;
        }
    }

    /// Every name with its sum.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Sum)> {
        self.order.iter().filter_map(|name| Some((&**name, self.sums.get(name)?)))
    }
}
