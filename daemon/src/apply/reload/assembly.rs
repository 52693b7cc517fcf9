//! From what the thread has read to what the reactor is asked for: some of it between two batches each, since
//! thousands of listeners take longer than one of them may wait.

use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::vec;

use super::work::{Handler, Next};
use crate::apply::prepare::Entry;
use crate::apply::running::{Running, on_fault};
use crate::apply::sockets::{self, Bound, Tuning};
use crate::apply::steps::{Address, Place};
use crate::config::{Listen, Plan, Problem};
use crate::plugin::Plugin;
use crate::reactor::{Changes, ListenerSpec, Newcomer, Socket, Token, Wish};
use crate::reply::ReplyPolicy;

/// Listeners that are looked at, or named to the reactor, between two batches.
const SOME: usize = 512;
/// Sockets that get other options between two batches: some system calls each.
const TUNINGS: usize = 8;

/// What is served, looked up some at a time.
#[derive(Debug, Default)]
pub(super) struct Look {
    next_slot: usize,
    pub(super) tokens: Vec<Token>,
    pub(super) served: Vec<Address>,
}

impl Look {
    /// Looks at the next listeners. Returns whether all were looked at.
    pub(super) fn go_on(&mut self, running: &Running) -> bool {
        let slots = self.next_slot..self.next_slot + SOME;
        self.next_slot = slots.end;
        for (token, address) in running.served_in(slots) {
            self.tokens.push(token);
            self.served.push(address);
        }
        self.next_slot >= running.reactor.slots()
    }
}

/// What all addresses of a listener share.
pub(super) type Shared = (Arc<str>, Rc<ReplyPolicy>);

/// What the reactor will be asked for.
#[derive(Debug)]
pub(super) struct Assembly {
    pub(super) plan: Arc<Plan>,
    pub(super) entries: Vec<Entry>,
    pub(super) libraries: Vec<Arc<Plugin>>,
    /// Sockets that get other options, and how many have them.
    pub(super) tunings: Vec<(Token, Tuning)>,
    tuned: usize,
    /// Their numbers.
    are_tuned: HashSet<usize>,
    handlers: vec::IntoIter<Handler>,
    places: vec::IntoIter<(usize, Place)>,
    bound: vec::IntoIter<Bound>,
    tokens: Vec<Token>,
    /// What all addresses of a listener share, by its table.
    pub(super) shared: Vec<Option<Shared>>,
    /// The names of all listeners.
    pub(super) names: HashSet<String>,
    /// Addresses that have a handler together, by the table of their listener.
    together: BTreeMap<u32, Vec<ListenerSpec<Socket>>>,
    changes: Changes<Socket>,
}

impl Assembly {
    /// Begins. `tokens` are those of the listeners by their numbers.
    pub(super) fn new(next: Next, tokens: Vec<Token>) -> Self {
        let Next { plan, handlers, places, retagged, bound, tunings, removed, names, libraries } = next;
        let shared = vec![None; plan.listen.len()];
        let of = |number: usize| tokens.get(number).copied();
        let remove = removed.into_iter().filter_map(of).collect();
        let retag =
            retagged.into_iter().filter_map(|(number, place)| Some((of(number)?, place.tag()))).collect();
        let are_tuned = tunings.iter().map(|(number, _)| *number).collect();
        let tunings = tunings.into_iter().filter_map(|(number, tuning)| Some((of(number)?, tuning)));
        Self {
            plan,
            entries: Vec::with_capacity(handlers.len()),
            libraries,
            tunings: tunings.collect(),
            tuned: 0,
            are_tuned,
            handlers: handlers.into_iter(),
            places: places.into_iter(),
            bound: bound.into_iter(),
            tokens,
            shared,
            names,
            together: BTreeMap::new(),
            changes: Changes { wishes: Vec::new(), add: Vec::new(), remove, retag },
        }
    }

    /// Does the next part. Returns what the reactor is to be asked for, when that is known.
    ///
    /// # Errors
    /// A socket cannot be had as it should be; then all are as they were.
    pub(super) fn go_on(&mut self, running: &mut Running) -> Result<Option<Changes<Socket>>, Vec<Problem>> {
        let before = &running.prepared.entries;
        let entry = |handler| match handler {
            Handler::AsBefore(entry) => before.get(entry).cloned(),
            Handler::New(plugin, values, files) => Some(Entry { plugin, values: Rc::new(values), files }),
        };
        self.entries.extend(self.handlers.by_ref().take(SOME).filter_map(entry));
        if self.handlers.len() > 0 {
            return Ok(None);
        }
        if self.tuned < self.tunings.len() {
            self.tune(running)?;
            return Ok(None);
        }
        for (number, place) in self.places.by_ref().take(SOME).collect::<Vec<_>>() {
            let wish = self.wish(number, place);
            self.changes.wishes.extend(wish);
        }
        if self.places.len() > 0 {
            return Ok(None);
        }
        for bound in self.bound.by_ref().take(SOME).collect::<Vec<_>>() {
            self.newcomer(bound);
        }
        if self.bound.len() > 0 {
            return Ok(None);
        }
        let mut changes = std::mem::replace(&mut self.changes, Vec::new().into());
        for (_, mut specs) in std::mem::take(&mut self.together) {
            // The handler knows its addresses by their numbers: those of the plan.
            specs.sort_by_key(|spec| (spec.tag, spec.local));
            changes.add.push(Newcomer::Together(specs));
        }
        Ok(Some(changes))
    }

    fn tune(&mut self, running: &mut Running) -> Result<(), Vec<Problem>> {
        let old = Arc::clone(&running.prepared.plan);
        for _ in 0..TUNINGS {
            let Some((token, tuning)) = self.tunings.get(self.tuned) else { return Ok(()) };
            self.tuned += 1;
            if let Some(socket) = running.reactor.socket_mut(*token)
                && let Err(problems) = tuning.tune(socket, &old, &self.plan)
            {
                self.give_back(running);
                return Err(problems);
            }
        }
        Ok(())
    }

    /// Gives all sockets what they had.
    pub(super) fn give_back(&self, running: &mut Running) {
        let old = Arc::clone(&running.prepared.plan);
        for (token, tuning) in self.tunings.iter().take(self.tuned) {
            if let Some(socket) = running.reactor.socket_mut(*token) {
                tuning.give_back(socket, &old, &self.plan);
            }
        }
    }

    /// Nothing comes of it: what of it only the loop may free, some at a time, and what a thread may.
    pub(super) fn into_waste(self) -> (Vec<Entry>, Vec<Option<Shared>>, impl Send + 'static) {
        let Self { plan, entries, handlers, bound, shared, names, .. } = self;
        (entries, shared, (plan, names, handlers, bound))
    }

    /// After the switch from the plan `old`: the sockets leave the groups of before.
    pub(super) fn leave_groups(&self, running: &mut Running, old: &Plan) {
        for (token, tuning) in &self.tunings {
            if let Some(socket) = running.reactor.socket(*token) {
                tuning.leave(socket, old, &self.plan);
            }
            if let (Some((listen, bind)), Some(socket)) =
                (tuning.to.of(&self.plan), running.reactor.socket(*token))
            {
                let needs = sockets::needs(listen, bind, socket);
                running.reactor.set_needs(*token, needs);
            }
        }
    }

    /// What an address has of its listener.
    fn of_listener(&mut self, place: Place) -> Option<(&Listen, &Entry, Arc<str>, Rc<ReplyPolicy>)> {
        let number = place.entry as usize;
        let (listen, entry) = (self.plan.listen.get(number)?, self.entries.get(number)?);
        let make = || (Arc::from(listen.name.as_str()), Rc::new(listen.reply.clone()));
        let (name, reply) = self.shared.get_mut(number)?.get_or_insert_with(make);
        Some((listen, entry, Arc::clone(name), Rc::clone(reply)))
    }

    /// What a listener that serves shall be.
    fn wish(&mut self, number: usize, place: Place) -> Option<Wish> {
        let token = *self.tokens.get(number)?;
        let is_tuned = self.are_tuned.contains(&number);
        let (listen, Entry { plugin, values, .. }, name, reply) = self.of_listener(place)?;
        Some(Wish {
            token,
            name,
            plugin: Arc::clone(plugin),
            values: Rc::clone(values),
            on_fault: on_fault(listen),
            access: listen.access.clone(),
            reply,
            outgoing: sockets::outgoing(listen),
            sessions: listen.sessions,
            chain: listen.chain,
            is_tuned,
            tag: place.tag(),
        })
    }

    fn newcomer(&mut self, bound: Bound) {
        let Bound { place, local, socket, kernel_drops_seen } = bound;
        let needs = place.of(&self.plan).map(|(listen, bind)| sockets::needs(listen, bind, &socket));
        let Some((listen, Entry { plugin, values, .. }, name, reply)) = self.of_listener(place) else {
            return;
        };
        let spec = ListenerSpec {
            name,
            local,
            socket,
            plugin: Arc::clone(plugin),
            values: Rc::clone(values),
            on_fault: on_fault(listen),
            access: listen.access.clone(),
            reply,
            sessions: listen.sessions,
            chain: listen.chain,
            needs: needs.unwrap_or_default(),
            outgoing: sockets::outgoing(listen),
            kernel_drops_seen,
            tag: place.tag(),
        };
        if spec.plugin.is_per_listener() {
            self.together.entry(place.entry).or_default().push(spec);
        } else {
            self.changes.add.push(Newcomer::Alone(spec));
        }
    }
}
