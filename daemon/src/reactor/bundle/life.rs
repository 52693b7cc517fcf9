//! The handler of several addresses: made, broken, and made again for all of them.

use std::cell::Cell;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use rand::RngExt;
use slab::Slab;

use super::errands::Errand;
use super::members::{Bundle, Left, Seat};
use crate::exchange::{Facts, SessionEnd};
use crate::plugin::{CreateError, Instance, InstancePlace, InstanceSpec, Why};
use crate::reactor::core::{Core, Reactor, current};
use crate::reactor::due::Timer;
use crate::reactor::io::{Io, Token, nanos};
use crate::reactor::listener::{AddError, Listener, ListenerSpec, OnFault, Service, instance_seed};
use crate::reactor::poison::{keep_state, served, take_legacy};

/// Stands for an address that was removed while others of its bundle stayed.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// How many datagrams these addresses have served together.
fn served_by<S>(listeners: &mut Slab<Listener<S>>, all: &[(u32, Token)]) -> u64 {
    all.iter().filter_map(|(_, token)| Some(served(&current(listeners, *token)?.counters))).sum()
}

/// The addresses of a bundle in a line of the log: the first of them, and how many more.
struct Shown<'a, S> {
    first: &'a Listener<S>,
    more: usize,
}

impl<S> fmt::Display for Shown<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first: Listener { name, local, plugin, .. }, more } = self;
        let addresses = if *more == 1 { "address" } else { "addresses" };
        write!(f, "listener {name} {local} and {more} more {addresses} (plugin {})", plugin.name())
    }
}

impl<I: Io> Reactor<I> {
    /// Makes one handler for all these addresses, and starts to watch their sockets. For plugins that want it so
    /// ([`crate::plugin::Plugin::is_per_listener`]).
    ///
    /// # Errors
    /// The plugin's refusal, or why a socket cannot be watched; then all of the addresses and their sockets are dropped.
    pub fn add_together(&mut self, specs: Vec<ListenerSpec<I::Socket>>) -> Result<Vec<Token>, AddError> {
        if specs.len() < 2 {
            return specs.into_iter().map(|spec| self.add(spec)).collect();
        }
        let (mut tokens, mut needs) = (Vec::with_capacity(specs.len()), Vec::new());
        let open = Rc::new(Cell::new(0));
        for (number, mut spec) in (0..).zip(specs) {
            let need = std::mem::take(&mut spec.needs);
            let token = self.next_token();
            let mut listener = self.core.listener(token, spec);
            let bundle = tokens.first().copied().unwrap_or(token);
            listener.seat = Some(Box::new(Seat { bundle, number }));
            if let Some(family) = &mut listener.family {
                family.share_room(&open);
            }
            self.listeners.insert(listener);
            tokens.push(token);
            needs.push((token, need));
        }
        self.core.bundles.add(&tokens);
        let Some(name) = tokens.first().copied() else { return Ok(tokens) };
        let begun = self.create_together(name, Why::Start).map_err(AddError::Create);
        if let Err(error) = begun.and_then(|()| self.watch_all(&tokens)) {
            self.core.timers.cancel_all(name);
            self.core.bundles.remove(name);
            for token in tokens {
                let mut listener = self.listeners.remove(token.index as usize);
                // Most are not watched yet.
                self.core.io.unregister(&mut listener.socket).unwrap_or(());
            }
            return Err(error);
        }
        for (token, need) in needs {
            let Some(listener) = current(&mut self.listeners, token) else { continue };
            self.core.join_chain(listener);
            self.need(token, need);
        }
        Ok(tokens)
    }

    fn watch_all(&mut self, tokens: &[Token]) -> Result<(), AddError> {
        for token in tokens {
            if let Some(listener) = current(&mut self.listeners, *token) {
                self.core.io.register(&mut listener.socket, *token).map_err(AddError::Register)?;
            }
        }
        Ok(())
    }

    /// Makes the handler of a bundle that has none.
    fn create_together(&mut self, name: Token, why: Why) -> Result<(), CreateError> {
        let secret = self.core.secret()?;
        let cashier = self.core.bundles.get(name).and_then(Bundle::cashier);
        let plugin = cashier.and_then(|token| Some(Arc::clone(&current(&mut self.listeners, token)?.plugin)));
        let Some(plugin) = plugin else { return Ok(()) };
        let wakes = self.core.wakes_for(&plugin)?;
        let sessions = self.sessions_of_bundle(name);
        let infos: Vec<_> = sessions.iter().map(|(_, info)| *info).collect();
        let (mut kept, mut wanted) = (Vec::new(), Facts::NONE);
        let Self { listeners, core, .. } = self;
        let Some(bundle) = core.bundles.get_mut(name) else { return Ok(()) };
        let (all, serving) = (bundle.there(), bundle.served());
        let Some((cashier, speaker)) = bundle.cashier().zip(bundle.speaker()) else { return Ok(()) };
        let total_served = served_by(listeners, &all);
        // One that is there no more keeps its number.
        let mut addresses = vec![NOWHERE; bundle.len()];
        for (number, token) in &all {
            if let Some(listener) = current(listeners, *token) {
                addresses.get_mut(*number as usize).map(|address| *address = listener.local).unwrap_or(());
            }
        }
        let Some(first) = current(listeners, cashier) else { return Ok(()) };
        let mut cells = std::mem::take(&mut first.cells);
        let (listener, values) = (Arc::clone(&first.name), Rc::clone(&first.values));
        let place = bundle.faults.place(|| InstancePlace::new(&listener, plugin.name(), None));
        let state = take_legacy(&mut bundle.faults, total_served, &mut core.kept_bytes);
        let spec = InstanceSpec {
            listener: &listener,
            addresses: &addresses,
            values: &values,
            seed: instance_seed(core.seed, &listener, first.local),
            now_ns: core.now.mono_ns,
            why,
            secret,
            budget: &core.handler_budget,
            sessions: &infos,
            place: Some(place),
            state: state.as_ref(),
            wakes: wakes.as_ref().map(|list| (list, name.number())),
        };
        let io = &mut core.io;
        let mut tell = |facts: Facts| {
            let sockets =
                |(_, token): &(u32, Token)| Some(io.want(&mut current(listeners, *token)?.socket, facts));
            serving.iter().filter_map(sockets).fold(facts, Facts::and)
        };
        let mut want = |facts: Facts| {
            wanted = wanted.or(facts);
            tell(wanted).and(facts)
        };
        let made = Instance::create(&plugin, &spec, &mut cells, &mut want, &mut kept);
        if wanted == Facts::NONE && made.is_ok() {
            // Who had the sockets before may have wanted something.
            tell(Facts::NONE);
        }
        if let Some(first) = current(listeners, cashier) {
            first.cells = cells;
        }
        let mut instance = made?;
        let refused = core.apply_timers(name, &instance);
        let held_back = core.held_back.is_some();
        let groups = if held_back { Vec::new() } else { instance.take_groups() };
        if let Some(speaker) = current(listeners, speaker) {
            speaker.note_refused_timers(refused, core.limits.handler_timers);
            core.apply_groups(speaker, &groups);
        }
        for (number, token) in serving {
            if let Some(listener) = current(listeners, token) {
                listener.service = Service::Running(instance.held_by(number));
            }
        }
        drop(instance);
        self.keep_sessions_of_bundle(sessions, &kept);
        Ok(())
    }

    /// Makes the handler of a bundle again, if it is down.
    pub(in crate::reactor) fn restart_together(&mut self, name: Token) {
        let Some(serving) = self.core.bundles.get(name).map(Bundle::served) else { return };
        let Some((_, speaker)) = serving.first().copied() else { return };
        let is_down = |l: &mut Listener<I::Socket>| matches!(l.service, Service::Down);
        if !current(&mut self.listeners, speaker).is_some_and(is_down) {
            return;
        }
        let made = self.create_together(name, Why::Restart);
        let Some(listener) = current(&mut self.listeners, speaker) else { return };
        match made {
            Ok(()) => {
                listener.counters.restarts += 1;
                log::warn!("{}: the handler is back", Shown { first: listener, more: serving.len() - 1 });
                for (_, token) in serving {
                    if let Some(listener) = current(&mut self.listeners, token).filter(|l| l.faults.is_some())
                        && matches!(listener.service, Service::Running(_))
                    {
                        self.core.give(listener);
                        self.run_errands();
                    }
                }
            }
            Err(error) => {
                let shown = Shown { first: listener, more: serving.len() - 1 };
                log::error!("{shown}: the plugin refuses to make the handler again: {}", error.message);
                listener.counters.faults += 1;
                self.fell(name, None);
            }
        }
    }

    /// Takes a broken handler away from all its addresses, destroys it, and decides whether and when it is made again.
    #[cold]
    pub(super) fn fell(&mut self, name: Token, broken: Option<Instance>) {
        let Self { listeners, core, .. } = self;
        let Some(bundle) = core.bundles.get_mut(name) else { return };
        let (all, serving) = (bundle.there(), bundle.served());
        let total_served = served_by(listeners, &all);
        let Some(first) = bundle.speaker().and_then(|token| current(listeners, token)) else { return };
        let (on_fault, shown) = (first.on_fault, Shown { first, more: serving.len() - 1 }.to_string());
        if let Some(instance) = &broken {
            core.exchange.forget_tickets(instance.owner());
        }
        if let Some(mut broken) = broken
            && on_fault == OnFault::Restart
        {
            keep_state(&mut bundle.faults, &mut broken, total_served, &mut core.kept_bytes, &shown);
        }
        let chance = core.rng.random::<f64>();
        let wait = bundle.faults.note(core.now.mono_ns, chance);
        for (_, token) in serving {
            let Some(listener) = current(listeners, token) else { continue };
            listener.service = Service::Down;
            core.forget_handler_of_sessions(listener);
            if on_fault == OnFault::Off {
                listener.service = Service::Failed;
                core.end_sessions(listener, SessionEnd::Restart);
            }
        }
        match on_fault {
            OnFault::Restart => {
                log::warn!("{shown}: the handler is made again in {} ms", wait.as_millis());
                let at = core.now.mono_ns.saturating_add(nanos(wait));
                core.timers.arm(name, Timer::Restart, at, 0);
            }
            OnFault::Off => log::error!(
                "{shown}: on_fault = \"off\": the handler is not made again until polyport is restarted"
            ),
            OnFault::Exit => {
                log::error!("{shown}: on_fault = \"exit\": the daemon stops");
                core.fatal = true;
            }
        }
    }

    /// Takes an address that is removed out of its bundle.
    pub(in crate::reactor) fn leave(&mut self, listener: &mut Listener<I::Socket>, seat: Seat) {
        let core = &mut self.core;
        core.timers.arm(listener.token, Timer::Resume, 0, 0);
        match core.bundles.leave(seat) {
            Left::Nobody => {
                core.timers.cancel_all(seat.bundle);
                let bundle = core.bundles.remove(seat.bundle);
                core.kept_bytes -= bundle.map_or(0, |bundle| bundle.faults.kept.bytes());
            }
            // The handler counts there as long as it lives.
            Left::Heir(heir) => {
                if let Some(heir) = current(&mut self.listeners, heir) {
                    std::mem::swap(&mut heir.cells, &mut listener.cells);
                }
            }
            Left::Others => {}
        }
    }

    /// Lets go of the handlers of bundles that are about to be destroyed, but for the addresses that have their cells.
    pub(in crate::reactor) fn let_go(&mut self) {
        for name in self.core.bundles.names() {
            let Some(bundle) = self.core.bundles.get(name) else { continue };
            let cashier = bundle.cashier();
            for (_, token) in bundle.there().into_iter().filter(|(_, token)| Some(*token) != cashier) {
                if let Some(listener) = current(&mut self.listeners, token) {
                    listener.service = Service::Down;
                }
            }
        }
    }
}

impl<I: Io> Core<I> {
    /// Cancels the timers of an address that is closed. Those of a handler go on as long as it has other addresses.
    pub(in crate::reactor) fn cancel_timers_of_closed(&mut self, listener: &Listener<I::Socket>) {
        match listener.seat() {
            None => self.timers.cancel_all(listener.token),
            Some(seat) => {
                self.timers.arm(listener.token, Timer::Resume, 0, 0);
                if self.bundles.get(seat.bundle).and_then(Bundle::speaker).is_none() {
                    self.timers.cancel_all(seat.bundle);
                }
            }
        }
    }

    /// The handler of a bundle broke in a call about `listener`: nobody is called any more, and the rest is done when the visit
    /// is over.
    #[cold]
    pub(in crate::reactor) fn broke_together(&mut self, listener: &mut Listener<I::Socket>, name: Token) {
        self.timers.cancel_handler(name);
        self.forget_handler_of_sessions(listener);
        let broken = match std::mem::replace(&mut listener.service, Service::Down) {
            Service::Running(instance) => Some(instance),
            Service::Down | Service::Failed => None,
        };
        self.errands.push(Errand::Broke(name, broken));
    }
}
