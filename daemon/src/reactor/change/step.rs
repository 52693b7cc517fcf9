//! A part of a change in each turn, so that no listener waits for it: handlers are made ahead where nothing is lost by
//! that, and destroyed when they have gone.

use std::sync::Arc;

use super::share::Share;
use super::wish::{ChangeDone, ChangeRefused, Changes, Changing, Need, Wish};
use crate::limits::{CHANGE_INSTANCES, CHANGE_LOOKS, CHANGE_SPAN};
use crate::plugin::{Reconfigured, Rescued};
use crate::reactor::core::{Core, Reactor, current};
use crate::reactor::io::Io;
use crate::reactor::listener::{Listener, Service};

impl<I: Io> Reactor<I> {
    /// Begins to make changes. It is done in the turns that follow, all of it by one of them or nothing; that turn
    /// returns [`Flow::Attend`](crate::reactor::Flow::Attend), and [`Self::take_changed`] says what has become of it.
    /// From then on reports are those of the new listeners, as they begin to be served some a turn, and no more those
    /// of the ones that go. When all are served, and all of these are gone, another turn returns `Attend`:
    /// [`Self::is_changing`]. What is left of a change before is finished at once.
    pub fn change(&mut self, changes: impl Into<Changes<I::Socket>>) {
        self.finish_change();
        self.changes = self.changes.wrapping_add(1).max(1);
        let changes = changes.into();
        if !changes.add.is_empty() {
            self.reserve(changes.add.len());
        }
        self.change = Some(Box::new(Changing::new(self.changes, changes)));
        self.changed = None;
        self.core.change_at_ns = 0;
    }

    /// Whether something is left to be done of a change.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        self.change.is_some()
    }

    /// Finishes a change at once if the switch was made; takes it back otherwise, and nobody is told.
    pub(in crate::reactor) fn finish_change(&mut self) {
        let Some(mut change) = self.change.take() else { return };
        if !change.decided {
            self.go_back(&mut change);
        }
        let all = Share::ALL;
        while self.open_newcomers_or_not(&mut change, all) | self.remove_some(&mut change, all) {}
    }

    /// Newcomers are served after a switch only.
    fn open_newcomers_or_not(&mut self, change: &mut Changing<I::Socket>, share: Share) -> bool {
        change.made && self.open_newcomers(change, share)
    }

    /// The most processor time that a turn has taken for changes since the last call, ns: so long did a listener wait for
    /// its visit because of them.
    pub fn take_step_ns(&mut self) -> u64 {
        std::mem::take(&mut self.step_ns)
    }

    /// Processor time of the thread that serves, ns.
    pub fn cpu_ns(&mut self) -> u64 {
        self.core.io.cpu_ns()
    }

    /// What has become of the last change; none if it goes on, or was taken already.
    ///
    /// # Errors
    /// Whose handlers did not want to be made, or their new options. Then nothing was changed.
    pub fn take_changed(&mut self) -> Option<Result<ChangeDone, Vec<ChangeRefused>>> {
        self.changed.take()
    }

    /// Does a part of a change, and ends trials. Returns whether there is something to look at: it was decided,
    /// listeners have gone, or nothing of it is left.
    #[cold]
    pub(in crate::reactor) fn tend_change(&mut self) -> bool {
        let mut decided = false;
        if let Some(mut change) = self.change.take() {
            let from_ns = self.core.io.cpu_ns();
            let share = Share::from(self.core.io.now().mono_ns, CHANGE_SPAN);
            let goes_on = if change.decided {
                let opening = self.open_newcomers_or_not(&mut change, share);
                let leaving = self.keeps_leaving || self.remove_some(&mut change, share);
                // Who waits for the books of those that have gone, and for the end, looks.
                decided = !(self.removed.is_empty() && self.unserved.is_empty());
                bury(&mut change) | opening | leaving
            } else {
                let is_prepared = change.is_prepared();
                let left = self.make_ahead(&mut change, share);
                // The switch has a turn of its own.
                if change.at == change.wishes.len()
                    && self.make_newcomers(&mut change, left, share)
                    && self.mark_leaving(&mut change)
                    && is_prepared
                {
                    self.go(&mut change);
                    decided = true;
                }
                true
            };
            self.change = goes_on.then_some(change);
            decided |= !goes_on;
            // All of that has taken its time, of which no handler is slow.
            self.core.now = self.core.io.now();
            self.step_ns = self.step_ns.max(self.core.io.cpu_ns().saturating_sub(from_ns));
        }
        let core = &mut self.core;
        core.kept_bytes -= core.trial.end(core.now.mono_ns);
        if core.attend_at_ns <= core.now.mono_ns {
            core.attend_at_ns = u64::MAX;
            decided = true;
        }
        let next_ns = if self.change.is_some() { 0 } else { core.trial.next().unwrap_or(u64::MAX) };
        core.change_at_ns = next_ns.min(core.attend_at_ns);
        decided
    }

    /// Looks at the next wishes, and makes their handlers if nothing that the ones before do until the switch is of use to
    /// them. Returns how many more handlers may be made in this turn.
    fn make_ahead(&mut self, change: &mut Changing<I::Socket>, share: Share) -> usize {
        let (mut looks, mut instances) = (CHANGE_LOOKS, CHANGE_INSTANCES);
        let Self { listeners, core, .. } = self;
        let Changing { wishes, at, todo, retagged, asked, fixed, refused, .. } = change;
        while looks > 0
            && instances > 0
            && (looks == CHANGE_LOOKS || !looks.is_multiple_of(LOOKS_A_TIME) || !share.is_over(&mut core.io))
            && let Some(wish) = wishes.get(*at)
        {
            looks -= 1;
            *at += 1;
            let Some(listener) = current(listeners, wish.token) else { continue };
            if wish.need(listener, fixed) == Need::Reconfigure
                && !asked.iter().any(|plugin| Arc::ptr_eq(plugin, &wish.plugin))
            {
                asked.push(Arc::clone(&wish.plugin));
                if core.is_fixed(listener) {
                    fixed.push(Arc::clone(&wish.plugin));
                }
            }
            let need = wish.need(listener, fixed);
            if need == Need::Nothing && !wish.adjusts(listener) {
                if listener.tag != wish.tag {
                    // Thousands may get other places, by one that comes before them in the file.
                    retagged.push((wish.token, wish.tag));
                }
                continue;
            }
            let mut fresh = None;
            if need == Need::Replace {
                // The next look is one at the clock as well.
                looks -= looks % LOOKS_A_TIME;
                instances -= 1;
                if !has_something_to_lose(listener, wish) {
                    match core.make_anew(listener, wish) {
                        Ok(made) => fresh = Some(made),
                        Err(error) => Changing::<I::Socket>::refuse(refused, wish, error),
                    }
                }
            }
            todo.push((*at - 1, fresh));
        }
        instances
    }
}

/// Looks at wishes between two looks at the clock.
const LOOKS_A_TIME: usize = 32;

impl<I: Io> Core<I> {
    /// Whether the handler of a listener takes no other options. It is asked with those it has.
    fn is_fixed(&mut self, listener: &mut Listener<I::Socket>) -> bool {
        let now_ns = self.now.mono_ns;
        let Service::Running(instance) = &mut listener.service else { return false };
        match instance.reconfigure(&listener.values, now_ns) {
            Reconfigured::Unsupported => true,
            Reconfigured::Done | Reconfigured::Refused(_) => {
                self.apply_timers_of(listener);
                false
            }
            Reconfigured::Broken => {
                self.broke_in_reconfigure(listener);
                false
            }
        }
    }
}

/// Whether the handler that serves has a state or sessions, which go on changing until it goes; or none serves.
pub(super) fn has_something_to_lose<S>(listener: &mut Listener<S>, wish: &Wish) -> bool {
    let Service::Running(instance) = &mut listener.service else { return true };
    instance.has_sessions() || wish.plugin.has_sessions() || instance.save(0) != Rescued::Nothing
}

/// Destroys some handlers that have gone, and some wishes that are of no use any more. Returns whether there are more.
fn bury<S>(change: &mut Changing<S>) -> bool {
    let rest = change.graves.len().saturating_sub(CHANGE_INSTANCES);
    change.graves.truncate(rest);
    change.wishes.truncate(change.wishes.len().saturating_sub(CHANGE_LOOKS));
    rest > 0 || !change.wishes.is_empty()
}
