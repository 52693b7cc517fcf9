//! Listeners come and go; handlers are made, break, and are made again.
//!
//! ```text
//! add --> Running --(handler breaks)--> Down --(timer)--> Running
//!            |------(it breaks, and on_fault = "off")---> Failed
//!            '------(socket unusable)-------------------> Failed          remove, stop: from anywhere
//! ```

use std::rc::Rc;
use std::sync::Arc;

use rand::RngExt;

use super::core::{Core, Reactor, current};
use super::due::Timer;
use super::errno;
use super::io::{Io, Token, nanos};
use super::listener::{AddError, Listener, ListenerSpec, OnFault, Removed, Service, Standing, instance_seed};
use super::probe;
use super::session::Family;
use crate::exchange::{Facts, SessionEnd};
use crate::metrics::DropReason;
use crate::plugin::{CreateError, GroupRequest, Instance, InstanceSpec, Plugin, WakeList, Why};

impl<I: Io> Reactor<I> {
    /// Makes the handler of a listener and starts to watch its socket. The listener serves from the next turn on.
    ///
    /// # Errors
    /// The plugin's refusal, or why the socket cannot be watched; then the listener and its socket are dropped.
    pub fn add(&mut self, mut spec: ListenerSpec<I::Socket>) -> Result<Token, AddError> {
        let needs = std::mem::take(&mut spec.needs);
        let token = self.next_token();
        let slot = self.listeners.vacant_entry();
        let mut listener = self.core.listener(token, spec);
        self.core.create(&mut listener, Why::Start).map_err(AddError::Create)?;
        if let Err(error) = self.core.io.register(&mut listener.socket, token) {
            self.core.timers.cancel_all(token);
            return Err(AddError::Register(error));
        }
        self.core.join_chain(&listener);
        let listener = slot.insert(listener);
        if self.network.add(&mut self.core.io, listener, needs) {
            self.core.host.changed(self.core.now.mono_ns);
        }
        Ok(token)
    }

    /// What a listener waits for: its address, or the interface it is tied to, in words, as of the last look
    /// at the network. Mostly nothing.
    #[must_use]
    pub fn missing(&self, token: Token) -> Vec<String> {
        self.network.missing(token)
    }

    /// The token of the listener that is added next.
    pub(super) fn next_token(&mut self) -> Token {
        self.generation = self.generation.wrapping_add(1);
        let index = u32::try_from(self.listeners.vacant_key()).unwrap_or(u32::MAX);
        Token { index, generation: self.generation }
    }

    /// Removes a listener: destroys its handler, and drops the datagrams that still wait to be sent, as
    /// [`DropReason::ListenerGone`]. Returns what it has counted and its socket, which the caller may close or give to
    /// a new listener. None if there is no such listener.
    pub fn remove(&mut self, token: Token) -> Option<Removed<I::Socket>> {
        current(&mut self.listeners, token)?;
        let mut listener = self.listeners.remove(token.index as usize);
        self.network.remove(token);
        let core = &mut self.core;
        probe::look(&mut core.io, &mut listener);
        match listener.seat() {
            None => core.timers.cancel_all(token),
            Some(seat) => self.leave(&mut listener, seat),
        }
        let core = &mut self.core;
        if listener.standing != Standing::Coming {
            core.part_chain(&listener);
        }
        let delayed = core.delayed.remove(token);
        listener.counters.drop_many(DropReason::ListenerGone, delayed);
        core.taps.missed(listener.tapped, delayed);
        core.drop_backlog(&mut listener, DropReason::ListenerGone);
        core.end_sessions(&mut listener, SessionEnd::ListenerGone);
        core.drop_kept(&mut listener);
        if listener.seat().is_none_or(|seat| core.bundles.get(seat.bundle).is_none())
            && let Service::Running(instance) = &listener.service
        {
            core.exchange.forget_tickets(instance.owner());
        }
        if let Err(error) = core.io.unregister(&mut listener.socket) {
            log::debug!("{listener}: cannot be taken out of the watch: {error}");
        }
        Some(listener.into_removed())
    }

    /// Ends the service: drops the datagrams that still wait to be sent, as [`DropReason::Stopping`], and destroys the
    /// handlers, which may still count what they finish.
    pub fn stop(&mut self) {
        // A change that goes on is none any more.
        self.finish_change();
        self.core.delayed.clear();
        self.let_go();
        let now_ns = self.core.io.now().mono_ns;
        for (_, listener) in &mut self.listeners {
            self.core.end_sessions(listener, SessionEnd::Stopping);
            self.sampler.look_last(&mut self.core.io, listener, now_ns);
            let delayed = std::mem::take(&mut listener.delayed);
            listener.counters.drop_many(DropReason::Stopping, delayed);
            self.core.taps.missed(listener.tapped, delayed);
            self.core.drop_backlog(listener, DropReason::Stopping);
            self.core.drop_kept(listener);
            // The books show how full the tables were, and also what the end has counted, of recordings above all.
            let gauges = listener.cells.gauges();
            listener.service = Service::Down;
            listener.cells.set_gauges(&gauges);
        }
        self.core.taps.end();
    }
}

/// Nobody could wake the handler: `eventfd(2)`.
fn no_eventfd(error: &std::io::Error) -> CreateError {
    let message = format!(
        "the system gives no descriptor to wake the handler by: {error}; the limit of open files may be too low \
         (`ulimit -n`)"
    );
    CreateError { option: None, message }
}

impl<I: Io> Core<I> {
    /// A listener without a handler.
    pub(super) fn listener(&mut self, token: Token, spec: ListenerSpec<I::Socket>) -> Listener<I::Socket> {
        let segments = self.io.can_segment(&spec.socket);
        let (most, outgoing) = (spec.sessions.unwrap_or(usize::MAX), Rc::clone(&spec.outgoing));
        let mut listener = Listener::new(token, spec, segments);
        listener.tapped = self.taps.bits(&listener.name);
        self.sample.prepare(&listener.name);
        listener.family = listener.plugin.has_sessions().then(|| Box::new(Family::new(most, outgoing)));
        listener
    }

    /// Bytes for the secrets of a handler.
    ///
    /// # Errors
    /// The system gave no random bytes: `getrandom(2)`.
    pub(super) fn secret(&mut self) -> Result<[u8; 32], CreateError> {
        self.io.secret().map_err(|error| CreateError {
            option: None,
            message: format!("the system gives no random bytes: {error}"),
        })
    }

    /// Makes the handler of a listener that has none.
    pub(super) fn create(&mut self, listener: &mut Listener<I::Socket>, why: Why) -> Result<(), CreateError> {
        let kept = self.make_handler(listener, why)?;
        self.apply_timers_of(listener);
        if let Service::Running(instance) = &listener.service {
            let groups = instance.take_groups();
            self.apply_groups(listener, &groups);
        }
        if let Some(kept) = kept {
            self.keep_sessions(listener, &kept);
            self.exchange.clear(self.now.mono_ns, listener.local);
            self.tell(listener);
        }
        Ok(())
    }

    /// Makes the handler of a listener that has none, and does nothing yet that it asks for. Returns the sessions it
    /// goes on with, each with its new word, if there are any.
    pub(super) fn make_handler(
        &mut self,
        listener: &mut Listener<I::Socket>,
        why: Why,
    ) -> Result<Option<Vec<(u64, u64)>>, CreateError> {
        let sessions = self.sessions_of(listener);
        let mut kept = Vec::new();
        let (place, state) = self.legacy(listener);
        let wakes = self.wakes_for(&listener.plugin)?;
        let spec = InstanceSpec {
            listener: &listener.name,
            addresses: &[listener.local],
            values: &listener.values,
            seed: instance_seed(self.seed, &listener.name, listener.local),
            now_ns: self.now.mono_ns,
            why,
            secret: self.secret()?,
            budget: &self.handler_budget,
            sessions: &sessions,
            place,
            state: state.as_ref(),
            wakes: wakes.as_ref().map(|list| (list, listener.token.number())),
        };
        let (io, socket, mut wanted) = (&mut self.io, &mut listener.socket, Facts::NONE);
        let mut want = |facts: Facts| {
            wanted = wanted.or(facts);
            io.want(socket, wanted).and(facts)
        };
        let instance = Instance::create(&listener.plugin, &spec, &mut listener.cells, &mut want, &mut kept)?;
        listener.wanted = wanted;
        if wanted == Facts::NONE {
            // Who had the socket before may have wanted something.
            self.io.want(&mut listener.socket, Facts::NONE);
        }
        listener.service = Service::Running(instance);
        Ok((!sessions.is_empty()).then_some(kept))
    }

    /// Applies the timers that the handler of a listener has asked for outside of a batch.
    pub(super) fn apply_timers_of(&mut self, listener: &mut Listener<I::Socket>) {
        if let Service::Running(instance) = &listener.service {
            let refused = self.apply_timers(listener.token, instance);
            listener.note_refused_timers(refused, self.limits.handler_timers);
        }
    }

    /// The list of the handlers that were woken, if handlers of this plugin can be.
    pub(super) fn wakes_for(&mut self, plugin: &Plugin) -> Result<Option<Arc<WakeList>>, CreateError> {
        plugin.can_be_woken().then(|| self.wakes().map_err(|error| no_eventfd(&error))).transpose()
    }

    /// The list of the handlers that were woken; made for the first of them.
    fn wakes(&mut self) -> std::io::Result<Arc<WakeList>> {
        if let Some(list) = &self.wakes {
            return Ok(Arc::clone(list));
        }
        let list = WakeList::new(self.io.notify()?);
        Ok(Arc::clone(self.wakes.insert(list)))
    }

    /// Has the socket of a listener join and leave the groups that its handler asked for. What fails is counted and logged.
    pub(super) fn apply_groups(&mut self, listener: &mut Listener<I::Socket>, requests: &[GroupRequest]) {
        for request in requests {
            match self.io.change_group(&mut listener.socket, request) {
                Err(error) if !(request.joins && errno::is_joined(&error)) => {
                    listener.note_group(request, &error);
                }
                // A handler that was made again asks for what its socket has since the first.
                _ => {}
            }
        }
    }

    /// Applies the timer calls that a handler made. Returns how many were refused, because it has too many timers
    /// armed.
    pub(super) fn apply_timers(&mut self, token: Token, instance: &Instance) -> u64 {
        let limit = self.limits.handler_timers;
        let mut refused = 0;
        instance.take_timers(&mut self.timer_requests);
        for request in self.timer_requests.drain(..) {
            if request.at_ns == 0 || self.timers.has_room(token, request.token, limit) {
                let timer = Timer::Handler { token: request.token };
                self.timers.arm(token, timer, request.at_ns, request.every_ns);
            } else {
                refused += 1;
            }
        }
        refused
    }

    /// Makes the handler of a listener again, if it is down.
    pub(super) fn restart(&mut self, listener: &mut Listener<I::Socket>) {
        if !matches!(listener.service, Service::Down) {
            return;
        }
        match self.create(listener, Why::Restart) {
            Ok(()) => {
                listener.counters.restarts += 1;
                log::warn!("{listener}: the handler is back");
                self.give(listener);
            }
            Err(error) => {
                log::error!("{listener}: the plugin refuses to make the handler again: {}", error.message);
                self.broke(listener);
            }
        }
    }

    /// Destroys a broken handler, and decides whether and when it is made again.
    #[cold]
    pub(super) fn broke(&mut self, listener: &mut Listener<I::Socket>) {
        listener.counters.faults += 1;
        if let Some(seat) = listener.seat() {
            return self.broke_together(listener, seat.bundle);
        }
        self.bury(listener);
        self.forget_handler_of_sessions(listener);
        self.timers.cancel_handler(listener.token);
        if self.roll_back(listener) {
            return;
        }
        match listener.on_fault {
            OnFault::Restart => {
                let chance = self.rng.random::<f64>();
                let wait = listener.faults.get_or_insert_default().note(self.now.mono_ns, chance);
                log::warn!("{listener}: the handler is made again in {} ms", wait.as_millis());
                let at = self.now.mono_ns.saturating_add(nanos(wait));
                self.timers.arm(listener.token, Timer::Restart, at, 0);
            }
            OnFault::Off => {
                log::error!(
                    "{listener}: on_fault = \"off\": the handler is not made again until a reload or a restart of polyport"
                );
                listener.service = Service::Failed;
                self.end_sessions(listener, SessionEnd::Restart);
            }
            OnFault::Exit => {
                log::error!("{listener}: on_fault = \"exit\": the daemon stops");
                self.fatal = true;
            }
        }
    }

    /// Destroys the handler of a listener that closes, if there is one, and ends its tickets, unless others have it as well.
    fn end_service(&mut self, listener: &mut Listener<I::Socket>, then: Service) {
        let others = listener.seat().is_some_and(|seat| self.bundles.close(seat));
        if let Service::Running(instance) = &listener.service
            && !others
        {
            self.exchange.forget_tickets(instance.owner());
        }
        listener.service = then;
    }

    /// Ends the service of a listener whose socket is unusable. The caller settles the answers of its handler before
    /// that, because they may lie in the handler's memory.
    #[inline]
    pub(super) fn close_if_broken(&mut self, listener: &mut Listener<I::Socket>) {
        if listener.broken {
            self.close(listener);
        }
    }

    #[cold]
    fn close(&mut self, listener: &mut Listener<I::Socket>) {
        self.end_service(listener, Service::Failed);
        self.end_sessions(listener, SessionEnd::Broken);
        self.cancel_timers_of_closed(listener);
        listener.forget(&mut self.io);
        self.drop_backlog(listener, DropReason::SocketBroken);
        self.drop_kept(listener);
    }

    /// Drops the datagrams of a backlog and counts them under `reason`.
    fn drop_backlog(&mut self, listener: &mut Listener<I::Socket>, reason: DropReason) {
        while listener.backlog.pop(&mut self.backlog_bytes).is_some() {
            listener.counters.drop_one(reason);
            self.taps.missed(listener.tapped, 1);
        }
    }
}
