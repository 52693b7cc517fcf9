//! Listeners that are not there yet: each gets its handler ahead of the switch, and is served by a turn after it.

use super::share::Share;
use super::wish::{Changing, Newcomer};
use crate::limits::CHANGE_OPENS;
use crate::plugin::Why;
use crate::reactor::core::{Core, Reactor, current};
use crate::reactor::io::{Interest, Io, Token};
use crate::reactor::listener::{AddError, ListenerSpec, Service, Standing};

impl<I: Io> Reactor<I> {
    /// Makes the next newcomers, `most` of them. Those that have a handler together are left to the switch. Returns
    /// whether all others are made.
    pub(super) fn make_newcomers(
        &mut self,
        change: &mut Changing<I::Socket>,
        most: usize,
        share: Share,
    ) -> bool {
        let mut together = std::mem::take(&mut change.together);
        for number in 0..most {
            if !change.refused.is_empty() || number > 0 && share.is_over(&mut self.core.io) {
                break;
            }
            match change.add.pop_front() {
                Some(Newcomer::Alone(spec)) => {
                    let (tag, plugin) = (spec.tag, std::sync::Arc::clone(&spec.plugin));
                    match self.prepare(spec) {
                        Ok(token) => change.coming.push_back(token),
                        Err(error) => {
                            Changing::<I::Socket>::refuse_newcomer(&mut change.refused, tag, plugin, error);
                        }
                    }
                }
                Some(bundle @ Newcomer::Together(_)) => together.push(bundle),
                None => break,
            }
        }
        change.together = together;
        change.add.is_empty() || !change.refused.is_empty()
    }

    /// Adds a listener that has its handler and is not served yet.
    fn prepare(&mut self, mut spec: ListenerSpec<I::Socket>) -> Result<Token, AddError> {
        let needs = std::mem::take(&mut spec.needs);
        let token = self.next_token();
        let slot = self.listeners.vacant_entry();
        let mut listener = self.core.listener(token, spec);
        (listener.standing, listener.broken) = (Standing::Coming, true);
        self.core.make_handler(&mut listener, Why::Start).map_err(AddError::Create)?;
        // What comes until the switch waits in the socket.
        let io = &mut self.core.io;
        let watched = io
            .register(&mut listener.socket, token)
            .and_then(|()| io.watch(&mut listener.socket, token, Interest::NOTHING));
        watched.map_err(AddError::Register)?;
        let listener = slot.insert(listener);
        if self.network.add(&mut self.core.io, listener, needs) {
            self.core.host.changed(self.core.now.mono_ns);
        }
        Ok(token)
    }

    /// Adds those that have a handler together.
    pub(super) fn add_bundles(&mut self, change: &mut Changing<I::Socket>) -> Vec<Token> {
        let mut added = Vec::new();
        for newcomer in std::mem::take(&mut change.together) {
            let Some((tag, plugin)) =
                newcomer.first().map(|spec| (spec.tag, std::sync::Arc::clone(&spec.plugin)))
            else {
                continue;
            };
            let Newcomer::Together(specs) = newcomer else { continue };
            match self.add_together(specs) {
                Ok(tokens) => added.extend(tokens),
                Err(error) => {
                    Changing::<I::Socket>::refuse_newcomer(&mut change.refused, tag, plugin, error);
                    break;
                }
            }
        }
        added
    }

    /// Has the next newcomers served, after the switch. Returns whether there are more.
    pub(super) fn open_newcomers(&mut self, change: &mut Changing<I::Socket>, share: Share) -> bool {
        for number in 0..CHANGE_OPENS {
            if number > 0 && share.is_over(&mut self.core.io) {
                break;
            }
            let Some(token) = change.coming.pop_front() else { return false };
            self.open(token);
        }
        !change.coming.is_empty()
    }

    fn open(&mut self, token: Token) {
        let Self { listeners, core, .. } = self;
        let Some(listener) = current(listeners, token) else { return };
        (listener.standing, listener.broken) = (Standing::Here, false);
        core.join_chain(listener);
        core.apply_timers_of(listener);
        if let Service::Running(instance) = &listener.service {
            let groups = instance.take_groups();
            core.apply_groups(listener, &groups);
        }
        let Core { io, timers, now, .. } = core;
        listener.resume(io, timers, now.mono_ns);
        if listener.plugin.can_be_woken() {
            // It may have been woken when nobody looked.
            core.handler_wake(listener);
        }
        self.run_errands();
    }
}
