//! A part of a change in each turn, so that no listener waits for it: handlers are made ahead where nothing is lost by
//! that, and destroyed when they have gone.

use std::sync::Arc;

use super::wish::{ChangeDone, ChangeRefused, Changing, Need, Wish};
use crate::limits::{CHANGE_INSTANCES, CHANGE_LOOKS};
use crate::plugin::{Reconfigured, Rescued};
use crate::reactor::core::{Core, Reactor, current};
use crate::reactor::io::Io;
use crate::reactor::listener::{Listener, Service};

impl<I: Io> Reactor<I> {
    /// Begins to fulfil wishes about listeners that serve. It is done in the turns that follow, by all handlers in one
    /// of them or by none; that turn returns [`Flow::Attend`](crate::reactor::Flow::Attend), and [`Self::take_changed`] says what has become
    /// of it. What is left of a change before is finished at once.
    pub fn change(&mut self, wishes: Vec<Wish>) {
        self.change = Some(Box::new(Changing::new(wishes)));
        self.changed = None;
        self.core.change_at_ns = 0;
    }

    /// What has become of the last change; none if it goes on, or was taken already.
    ///
    /// # Errors
    /// Whose handlers did not want to be made, or their new options. Then nothing was changed.
    pub fn take_changed(&mut self) -> Option<Result<ChangeDone, Vec<ChangeRefused>>> {
        self.changed.take()
    }

    /// Does a part of a change, and ends trials. Returns whether the change was decided in this turn.
    #[cold]
    pub(in crate::reactor) fn tend_change(&mut self) -> bool {
        let mut decided = false;
        if let Some(mut change) = self.change.take() {
            let goes_on = if change.decided {
                bury(&mut change)
            } else {
                self.make_ahead(&mut change);
                if change.at == change.wishes.len() {
                    self.go(&mut change);
                    decided = true;
                }
                true
            };
            self.change = goes_on.then_some(change);
            // All of that has taken its time, of which no handler is slow.
            self.core.now = self.core.io.now();
        }
        let core = &mut self.core;
        core.kept_bytes -= core.trial.end(core.now.mono_ns);
        core.change_at_ns = if self.change.is_some() { 0 } else { core.trial.next().unwrap_or(u64::MAX) };
        decided
    }

    /// Looks at the next wishes, and makes their handlers if nothing that the ones before do until the switch is of use to
    /// them.
    fn make_ahead(&mut self, change: &mut Changing) {
        let (mut looks, mut instances) = (CHANGE_LOOKS, CHANGE_INSTANCES);
        let Self { listeners, core, .. } = self;
        let Changing { wishes, at, todo, asked, fixed, refused, .. } = change;
        while looks > 0
            && instances > 0
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
            if need == Need::Nothing
                && listener.tag == wish.tag
                && !wish.adjusts(listener, core.limits.sessions)
            {
                continue;
            }
            let mut fresh = None;
            if need == Need::Replace {
                instances -= 1;
                if !has_something_to_lose(listener, wish) {
                    match core.make_anew(listener, wish) {
                        Ok(made) => fresh = Some(made),
                        Err(error) => Changing::refuse(refused, wish, error),
                    }
                }
            }
            todo.push((*at - 1, fresh));
        }
    }
}

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

/// Destroys some handlers that have gone. Returns whether there are more.
fn bury(change: &mut Changing) -> bool {
    let rest = change.graves.len().saturating_sub(CHANGE_INSTANCES);
    change.graves.truncate(rest);
    rest > 0
}
