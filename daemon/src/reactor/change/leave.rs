//! Listeners that go with the switch: marked ahead of it, and removed by the turns after it.

use std::ops::Range;

use super::share::Share;
use super::wish::{Changing, Newcomer};
use crate::limits::{CHANGE_INSTANCES, CHANGE_LOOKS};
use crate::reactor::core::{Reactor, current};
use crate::reactor::io::Io;
use crate::reactor::listener::{Listener, ListenerReport, Removed};

impl<I: Io> Reactor<I> {
    /// What is left of listeners that a change has removed, since the last call: their books are the caller's from
    /// now on, and their sockets, which the loop does not close itself.
    pub fn take_removed(&mut self) -> Vec<Removed<I::Socket>> {
        std::mem::take(&mut self.removed)
    }

    /// The sockets of newcomers of a change that was not made, since the last call: for the caller to close.
    pub fn take_unserved(&mut self) -> Vec<I::Socket> {
        std::mem::take(&mut self.unserved)
    }

    /// Reports of the listeners in these slots that have left with a change and are not removed yet: they are in no other report, and
    /// what they count is the caller's when they are removed.
    pub fn leaving_in(&self, slots: Range<usize>) -> impl Iterator<Item = ListenerReport<'_>> {
        let there = slots.filter_map(|slot| self.listeners.get(slot));
        there.filter(|listener| self.has_left(listener)).map(Listener::report)
    }

    /// Whether listeners that leave stay where they are for now: who looks at all listeners, some between two batches, sees each of
    /// them once, there or among those that were removed.
    pub fn keep_leaving(&mut self, keep: bool) {
        self.keeps_leaving = keep;
    }

    /// Marks the next listeners that are to go: with the switch their owner does not know them any more. Returns
    /// whether all are marked.
    pub(super) fn mark_leaving(&mut self, change: &mut Changing<I::Socket>) -> bool {
        let number = change.number;
        for token in change.remove.iter().skip(change.marked).take(CHANGE_LOOKS) {
            if let Some(listener) = current(&mut self.listeners, *token) {
                listener.leaving = number;
            }
            change.marked += 1;
        }
        change.marked == change.remove.len()
    }

    /// Removes some of those that go; or of the newcomers, if there was no switch. Returns whether there are more.
    pub(super) fn remove_some(&mut self, change: &mut Changing<I::Socket>, share: Share) -> bool {
        for number in 0..CHANGE_INSTANCES {
            if number > 0 && share.is_over(&mut self.core.io) {
                break;
            }
            if change.made {
                let Some(token) = change.remove.pop() else { return false };
                let removed = self.remove(token);
                self.removed.extend(removed);
            } else if let Some(token) = change.coming.pop_back() {
                // It was never served, so there is nothing to tell of it.
                let unserved = self.remove(token).map(|removed| removed.socket);
                self.unserved.extend(unserved);
            } else {
                match change.add.pop_back().or_else(|| change.together.pop()) {
                    Some(Newcomer::Alone(spec)) => self.unserved.push(spec.socket),
                    Some(Newcomer::Together(specs)) => {
                        self.unserved.extend(specs.into_iter().map(|spec| spec.socket));
                    }
                    None => return false,
                }
            }
        }
        true
    }
}
