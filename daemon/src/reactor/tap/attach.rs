//! A tap begins.

use std::ops::Range;
use std::sync::Arc;

use crate::reactor::core::Reactor;
use crate::reactor::io::Io;
use crate::tap::Feed;

impl<I: Io> Reactor<I> {
    /// Adds a tap of the listeners with these names, or of all; those that are added later under such a name are seen as well.
    /// Returns its number, or none where there are [`crate::tap::TAPS`] already. It shows nothing before [`Self::turn_tap_on`].
    #[must_use]
    pub fn add_tap(&mut self, names: Option<Vec<Arc<str>>>, feed: Feed) -> Option<usize> {
        self.core.taps.add(names, feed)
    }

    /// Tells the listeners in these slots which taps there are: a part of all, for who may not look at all of them at once.
    pub fn tell_taps_in(&mut self, slots: Range<usize>) {
        for slot in slots {
            if let Some(listener) = self.listeners.get_mut(slot) {
                listener.tapped = self.core.taps.bits(&listener.name);
            }
        }
    }

    /// A tap begins to show what comes and goes: all listeners have been told.
    pub fn turn_tap_on(&mut self, number: usize) {
        self.core.taps.turn_on(number);
    }

    /// Lets go of taps that nobody reads any more.
    pub fn sweep_taps(&mut self) {
        self.core.taps.sweep();
    }
}
