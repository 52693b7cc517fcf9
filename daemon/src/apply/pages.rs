//! The pages of a status behind the first one, kept for a moment: a client that reads all of them has them in one piece, and the
//! listeners are looked at once for all pages, not once for each.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::books::Sum;
use crate::config::Plan;
use crate::control::wire::{MOST_OF_A_PAGE, StatusParams};
use crate::reactor::ListenerState;

/// So long they are kept, ns: a client that reads them does it at once.
const KEPT_NS: u64 = 2_000_000_000;
/// Listeners of which they are kept; of more, the listeners are looked at again for each page. They take about as much memory as so
/// many listeners do.
const LISTENERS: usize = 20_000;

/// What was counted at several addresses.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) sum: Sum,
    /// How many addresses are served.
    pub(super) addresses: usize,
    /// How many of them are in each state.
    pub(super) states: BTreeMap<ListenerState, usize>,
    /// What some of them wait for.
    pub(super) waits_for: Vec<String>,
}

/// What a look has gathered beyond the page that was asked for.
#[derive(Debug, Default)]
pub(super) struct Pages(Option<Kept>);

#[derive(Debug)]
struct Kept {
    plan: Arc<Plan>,
    at_ns: u64,
    total: Tally,
    /// The number of the first of `rest` in the plan.
    first: usize,
    rest: Vec<Tally>,
}

/// Entries to gather for a client that asks this of so many listeners, from its offset on: only who takes the largest pages, and
/// begins at the first, is held to read them all.
pub(super) fn gathered(params: &StatusParams, listeners: usize) -> usize {
    let reads_all = params.offset == 0 && params.most() == MOST_OF_A_PAGE && listeners <= LISTENERS;
    if reads_all { listeners } else { params.most() }
}

impl Pages {
    /// The page that is asked for and the sum of all, if they are those that come next.
    pub(super) fn take(
        &mut self,
        params: &StatusParams,
        plan: &Arc<Plan>,
        now_ns: u64,
    ) -> Option<(Tally, Vec<Tally>)> {
        let is_over =
            |kept: &Kept| now_ns.saturating_sub(kept.at_ns) > KEPT_NS || !Arc::ptr_eq(&kept.plan, plan);
        if self.0.as_ref().is_some_and(is_over) {
            self.0 = None;
        }
        let kept = self.0.as_mut().filter(|kept| params.listener.is_none() && kept.first == params.offset)?;
        let page: Vec<Tally> = kept.rest.drain(..params.most().min(kept.rest.len())).collect();
        kept.first += page.len();
        let total = kept.total.clone();
        if kept.rest.is_empty() {
            self.0 = None;
        }
        Some((total, page))
    }

    /// Takes off what does not belong to the page that was asked for, and keeps it.
    pub(super) fn keep(
        &mut self,
        params: &StatusParams,
        plan: &Arc<Plan>,
        now_ns: u64,
        total: &Tally,
        page: &mut Vec<Tally>,
    ) {
        if page.len() > params.most() {
            let rest = page.split_off(params.most());
            let first = params.offset + page.len();
            self.0 = Some(Kept { plan: Arc::clone(plan), at_ns: now_ns, total: total.clone(), first, rest });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::built_in;

    fn any_plan() -> Arc<Plan> {
        Arc::new(built_in().plan)
    }

    fn asks(offset: usize) -> StatusParams {
        StatusParams { listener: None, offset, limit: Some(MOST_OF_A_PAGE) }
    }

    fn pages(plan: &Arc<Plan>) -> Pages {
        let mut page: Vec<Tally> =
            (0..2500).map(|addresses| Tally { addresses, ..Tally::default() }).collect();
        let mut pages = Pages::default();
        let total = Tally { addresses: 7, ..Tally::default() };
        pages.keep(&asks(0), plan, 0, &total, &mut page);
        assert_eq!(page.len(), MOST_OF_A_PAGE);
        pages
    }

    #[test]
    fn all_pages_are_those_of_one_look() {
        let plan = any_plan();
        let mut pages = pages(&plan);
        assert!(pages.take(&asks(1), &plan, 1).is_none(), "not the next one");
        let (total, page) = pages.take(&asks(1000), &plan, 1).unwrap();
        assert_eq!((total.addresses, page.len(), page[0].addresses), (7, 1000, 1000));
        assert!(pages.take(&asks(1000), &plan, 1).is_none(), "a page is given once");
        let (_, page) = pages.take(&asks(2000), &plan, 1).unwrap();
        assert_eq!((page.len(), page[0].addresses, pages.0.is_none()), (500, 2000, true));
    }

    #[test]
    fn what_is_old_or_of_another_plan_is_not_given() {
        let plan = any_plan();
        assert!(pages(&plan).take(&asks(1000), &plan, KEPT_NS + 1).is_none());
        assert!(pages(&plan).take(&asks(1000), &any_plan(), 1).is_none());
        let one = StatusParams { listener: Some("a".into()), ..asks(1000) };
        assert!(pages(&plan).take(&one, &plan, 1).is_none());
    }

    #[test]
    fn only_who_reads_all_has_all_gathered() {
        assert_eq!(gathered(&asks(0), 5000), 5000);
        assert_eq!(gathered(&asks(1000), 5000), 1000);
        assert_eq!(gathered(&StatusParams::default(), 5000), 100);
        assert_eq!(gathered(&asks(0), LISTENERS + 1), 1000);
    }
}
