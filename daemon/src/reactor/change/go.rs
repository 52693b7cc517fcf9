//! The switch: between two batches all wishes are fulfilled, or none is.

use std::mem;
use std::rc::Rc;
use std::sync::Arc;

use super::step::has_something_to_lose;
use super::trial::Former;
use super::wish::{ChangeDone, Changing, Fresh, Need, Wish};
use crate::exchange::SessionEnd;
use crate::guard::Counted;
use crate::limits::{KEPT_BYTES, PROBATION};
use crate::plugin::{CreateError, Instance, Reconfigured, State};
use crate::reactor::core::{Core, Reactor, current};
use crate::reactor::due::Timer;
use crate::reactor::io::{Io, Token, nanos};
use crate::reactor::listener::{Listener, Service, farthest};
use crate::reactor::session::Family;

/// A handler that has its place, and was not called yet.
struct Newcomer {
    token: Token,
    /// The one before had broken.
    was_down: bool,
    /// The sessions it goes on with, each with its new word.
    kept: Vec<(u64, u64)>,
}

impl<I: Io> Reactor<I> {
    /// Makes what could not be made ahead, and switches everything; or takes everything back.
    pub(super) fn go(&mut self, change: &mut Changing<I::Socket>) {
        change.decided = true;
        let mut reconfigured = Vec::new();
        let mut bundles = Vec::new();
        if change.refused.is_empty() {
            bundles = self.add_bundles(change);
        }
        if change.refused.is_empty() {
            self.make_rest(change);
        }
        if change.refused.is_empty() {
            reconfigured = self.reconfigure(change);
        }
        if change.refused.is_empty() {
            let (added, removed) = (change.coming.len() + bundles.len(), change.remove.len());
            let done = self.switch(change, &reconfigured);
            (change.made, self.made) = (true, change.number);
            self.changed = Some(Ok(ChangeDone { added, removed, ..done }));
        } else {
            for token in bundles {
                let unserved = self.remove(token).map(|removed| removed.socket);
                self.unserved.extend(unserved);
            }
            self.take_back(change, &reconfigured);
            self.changed = Some(Err(mem::take(&mut change.refused)));
        }
    }

    /// Leaves everything as it was, before the switch.
    pub(super) fn go_back(&mut self, change: &mut Changing<I::Socket>) {
        change.decided = true;
        self.take_back(change, &[]);
    }

    /// Makes the handlers that go on with what the ones before have.
    fn make_rest(&mut self, change: &mut Changing<I::Socket>) {
        let Self { listeners, core, .. } = self;
        let Changing { wishes, todo, fixed, refused, graves, .. } = change;
        for (at, fresh) in todo {
            let Some(wish) = wishes.get(*at) else { continue };
            let Some(listener) = current(listeners, wish.token) else { continue };
            if wish.need(listener, fixed) != Need::Replace {
                continue;
            }
            // It was made when there was nothing to hand over, and now there is.
            if let Some(early) = fresh.take_if(|_| has_something_to_lose(listener, wish)) {
                core.unmake(listener, early.place);
                graves.push(early.instance);
            }
            if fresh.is_none() {
                match core.make_anew(listener, wish) {
                    Ok(made) => *fresh = Some(made),
                    Err(error) => Changing::<I::Socket>::refuse(refused, wish, error),
                }
            }
        }
    }

    /// Gives handlers their new options; those that say so are made anew. Ends with the first that refuses. Returns which have
    /// their new options.
    fn reconfigure(&mut self, change: &mut Changing<I::Socket>) -> Vec<usize> {
        let Self { listeners, core, .. } = self;
        let Changing { wishes, todo, fixed, refused, .. } = change;
        let mut done = Vec::new();
        for (at, fresh) in todo {
            let Some(wish) = wishes.get(*at) else { continue };
            let Some(listener) = current(listeners, wish.token) else { continue };
            if wish.need(listener, fixed) != Need::Reconfigure {
                continue;
            }
            let now_ns = core.now.mono_ns;
            let Service::Running(instance) = &mut listener.service else { continue };
            let refusal = match instance.reconfigure(&wish.values, now_ns) {
                Reconfigured::Done => {
                    done.push(*at);
                    continue;
                }
                Reconfigured::Unsupported => match core.make_anew(listener, wish) {
                    Ok(made) => {
                        *fresh = Some(made);
                        continue;
                    }
                    Err(error) => error,
                },
                Reconfigured::Refused(error) => error,
                Reconfigured::Broken => {
                    core.broke_in_reconfigure(listener);
                    CreateError {
                        option: None,
                        message: "its handler broke when it got its new options".into(),
                    }
                }
            };
            Changing::<I::Socket>::refuse(refused, wish, refusal);
            break;
        }
        done
    }

    /// Puts everything into its place.
    fn switch(&mut self, change: &mut Changing<I::Socket>, reconfigured: &[usize]) -> ChangeDone {
        let Self { listeners, core, .. } = self;
        let mut done = ChangeDone::default();
        let mut replaced = Vec::new();
        for (at, fresh) in mem::take(&mut change.todo) {
            let Some(wish) = change.wishes.get(at) else { continue };
            let Some(listener) = current(listeners, wish.token) else { continue };
            if let Some(Fresh { instance, kept, wanted, cells, state, .. }) = fresh {
                if let Some(cells) = cells {
                    done.retired.push((Arc::clone(&listener.name), mem::replace(&mut listener.cells, cells)));
                }
                core.on_trial(listener, state);
                listener.wanted = wanted;
                core.io.want(&mut listener.socket, wanted);
                core.timers.cancel_handler(listener.token);
                core.timers.arm(listener.token, Timer::Restart, 0, 0);
                let before = mem::replace(&mut listener.service, Service::Running(instance));
                let was_down = if let Service::Running(instance) = before {
                    core.exchange.forget_tickets(instance.owner());
                    change.graves.push(instance);
                    false
                } else {
                    true
                };
                if let Some(faults) = &mut listener.faults {
                    core.kept_bytes -= faults.kept.state.take().map_or(0, |state| state.bytes.len());
                    if listener.name != wish.name || listener.plugin.name() != wish.plugin.name() {
                        faults.forget_places();
                    }
                }
                replaced.push(Newcomer { token: wish.token, was_down, kept });
                done.replaced += 1;
            } else if reconfigured.contains(&at) {
                core.on_trial(listener, None);
                done.reconfigured += 1;
            } else if wish.adjusts(listener) {
                done.adjusted += 1;
            }
            let closed = listener.is_closed();
            settle_in(listener, wish);
            listener.tapped = core.taps.bits(&listener.name);
            core.own.set_closed(listener.local, closed, listener.is_closed());
            core.apply_timers_of(listener);
        }
        for (token, tag) in mem::take(&mut change.retagged) {
            if let Some(listener) = current(listeners, token) {
                listener.tag = tag;
            }
        }
        // Handlers are called only when all are in their places.
        for Newcomer { token, was_down, kept } in replaced {
            if let Some(listener) = current(listeners, token) {
                core.introduce(listener, was_down, &kept);
            }
        }
        done
    }

    /// Leaves everything as it was.
    fn take_back(&mut self, change: &mut Changing<I::Socket>, reconfigured: &[usize]) {
        let Self { listeners, core, .. } = self;
        for (at, fresh) in mem::take(&mut change.todo) {
            let Some(wish) = change.wishes.get(at) else { continue };
            let listener = current(listeners, wish.token);
            if let Some(fresh) = fresh {
                change.graves.push(fresh.instance);
                listener.into_iter().for_each(|listener| core.unmake(listener, fresh.place));
            } else if reconfigured.contains(&at)
                && let Some(listener) = listener
                && let Some(instance) = core.give_back_options(listener, wish)
            {
                change.graves.push(instance);
            }
        }
    }
}

impl<I: Io> Core<I> {
    /// Gives a handler the options back that it had before it took those of a wish. If it does not take them, one is made that
    /// has them, and the other one is returned.
    fn give_back_options(&mut self, listener: &mut Listener<I::Socket>, wish: &Wish) -> Option<Instance> {
        let now_ns = self.now.mono_ns;
        let Service::Running(instance) = &mut listener.service else { return None };
        let again = instance.reconfigure(&listener.values, now_ns);
        if again == Reconfigured::Done {
            self.apply_timers_of(listener);
            return None;
        }
        let before = Wish { values: Rc::clone(&listener.values), ..wish.clone() };
        let made = if again == Reconfigured::Broken { None } else { self.make_anew(listener, &before).ok() };
        let Some(Fresh { instance, kept, wanted, .. }) = made else {
            self.broke_in_reconfigure(listener);
            return None;
        };
        listener.wanted = wanted;
        self.io.want(&mut listener.socket, wanted);
        self.timers.cancel_handler(listener.token);
        let other = mem::replace(&mut listener.service, Service::Running(instance));
        self.apply_timers_of(listener);
        self.introduce(listener, false, &kept);
        let Service::Running(other) = other else { return None };
        self.exchange.forget_tickets(other.owner());
        Some(other)
    }

    /// Keeps what a listener was until now, for as long as its handler is on trial.
    fn on_trial(&mut self, listener: &Listener<I::Socket>, state: Option<State>) {
        if !matches!(listener.service, Service::Running(_)) {
            // What broke is not what anybody wants back.
            return;
        }
        let room = KEPT_BYTES.saturating_sub(self.kept_bytes);
        let former = Former {
            until_ns: self.now.mono_ns.saturating_add(nanos(PROBATION)),
            plugin: Arc::clone(&listener.plugin),
            values: Rc::clone(&listener.values),
            state: state.filter(|state| state.bytes.len() <= room),
        };
        self.kept_bytes += former.bytes();
        self.kept_bytes -= self.trial.begin(listener.token, former);
    }

    /// Lets a new handler know its sessions, that it was woken before it served, and what was kept for it. Has its groups
    /// joined.
    fn introduce(&mut self, listener: &mut Listener<I::Socket>, was_down: bool, kept: &[(u64, u64)]) {
        if let Service::Running(instance) = &listener.service {
            let groups = instance.take_groups();
            self.apply_groups(listener, &groups);
        }
        if listener.family.is_some() {
            self.forget_handler_of_sessions(listener);
            if listener.plugin.has_sessions() {
                self.keep_sessions(listener, kept);
                self.exchange.clear(self.now.mono_ns, listener.local);
                self.tell(listener);
            } else {
                self.end_sessions(listener, SessionEnd::Restart);
            }
        }
        if listener.plugin.can_be_woken() {
            self.handler_wake(listener);
        }
        if was_down {
            self.give(listener);
        }
    }

    /// A handler broke when it got options.
    #[cold]
    pub(super) fn broke_in_reconfigure(&mut self, listener: &mut Listener<I::Socket>) {
        log::error!("{listener}: the handler broke in reconfigure");
        self.broke(listener);
    }
}

/// What a wish says besides the handler.
fn settle_in<S>(listener: &mut Listener<S>, wish: &Wish) {
    listener.name = Arc::clone(&wish.name);
    listener.plugin = Arc::clone(&wish.plugin);
    listener.values = Rc::clone(&wish.values);
    listener.on_fault = wish.on_fault;
    listener.chain = wish.chain;
    listener.marks.restrict(wish.access.is_some());
    listener.access.clone_from(&wish.access);
    listener.counted = Counted::by(wish.reply.budget.as_ref());
    listener.farthest = farthest(&wish.reply, wish.outgoing.ttl);
    listener.reply = Rc::clone(&wish.reply);
    listener.tag = wish.tag;
    let most = wish.sessions.unwrap_or(usize::MAX);
    match &mut listener.family {
        Some(family) => {
            family.set_most(most);
            family.outgoing = Rc::clone(&wish.outgoing);
        }
        none if wish.plugin.has_sessions() => {
            *none = Some(Box::new(Family::new(most, Rc::clone(&wish.outgoing))));
        }
        _ => {}
    }
}
