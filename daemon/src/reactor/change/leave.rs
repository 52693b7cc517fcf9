//! Listeners that go with the switch: marked ahead of it, and removed by the turns after it.

use super::share::Share;
use super::wish::Changing;
use crate::limits::{CHANGE_INSTANCES, CHANGE_LOOKS};
use crate::reactor::core::{Reactor, current};
use crate::reactor::io::Io;
use crate::reactor::listener::Removed;

impl<I: Io> Reactor<I> {
    /// What is left of listeners that a change has removed, since the last call: their books are the caller's from
    /// now on.
    pub fn take_removed(&mut self) -> Vec<Removed<I::Socket>> {
        std::mem::take(&mut self.removed)
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
                drop(self.remove(token));
            } else if change.add.pop_back().is_none() && change.together.pop().is_none() {
                return false;
            }
        }
        true
    }
}
