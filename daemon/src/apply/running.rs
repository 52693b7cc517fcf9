//! A plan on a reactor, and the way to the next plan.

use super::prepare::{Prepared, refusal};
use super::refused::Refused;
use super::sockets::{self, Bound};
use super::steps::{Place, Steps, places};
use crate::config::{self, Plan};
use crate::exchange::ExchangeLimits;
use crate::reactor::{AddError, Clock, ListenerSpec, MioIo, OnFault, Reactor, Token};
use polyport_terminal::Interrupt;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

/// A reactor that serves a plan.
#[derive(Debug)]
pub struct Running {
    /// Serves the listeners. They are changed by [`Running::change`] alone.
    pub reactor: Reactor<MioIo>,
    pub(super) prepared: Prepared,
}

/// What a change did, in addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Served as before; nothing of them was touched.
    pub kept: usize,
    /// Served by a new handler, from the same socket.
    pub changed: usize,
    /// Served for the first time.
    pub added: usize,
    /// Served no more.
    pub removed: usize,
    /// Top-level keys whose new value counts only after a restart.
    pub after_restart: Vec<&'static str>,
}

/// Sockets handed to the reactor before the memory of their list is given back.
const FREE_EVERY: usize = 1024;

impl Running {
    /// Binds every address of a plan and makes every handler, or nothing.
    ///
    /// # Errors
    /// Why nothing was started: every problem of one kind, not only the first.
    pub fn start(prepared: Prepared) -> Result<Self, Refused> {
        let plan = &prepared.plan;
        let bound = sockets::bind(plan, places(plan), plan.sockets())?;
        let exchange = ExchangeLimits::default();
        let io = Interrupt::stream().and_then(|stop| MioIo::new(Clock::new(), exchange.slots, stop));
        let io =
            io.map_err(|error| Refused::by_system(plan, &format!("the event loop cannot be made: {error}")))?;
        let seed = plan.seed.unwrap_or_else(rand::random);
        let mut reactor = Reactor::new(io, plan.limits, exchange, seed);
        reactor.reserve(bound.len());
        add(&mut reactor, &prepared, bound)?;
        Ok(Self { reactor, prepared })
    }

    /// Serves another plan from now on. Addresses that both plans serve in the same way are not touched; one that is
    /// served in another way keeps its socket, with what waits there, and gets a new handler. For a moment both
    /// handlers of such an address are there, so one that holds something for itself alone (a file, say) refuses.
    ///
    /// # Errors
    /// What cannot be done; then everything is served as before (I5). An address that cannot be bound while another
    /// of the old plan is, a wildcard's own for example, takes two changes.
    pub fn change(&mut self, next: Prepared) -> Result<Changed, Refused> {
        let (tokens, served): (Vec<_>, Vec<_>) = self.served().into_iter().unzip();
        let (old, new) = (&self.prepared.plan, &next.plan);
        let steps = Steps::between(&served, old, new);
        let mut bound = sockets::bind(new, steps.add.iter().copied(), served.len() + steps.add.len())?;
        let mut undo = Vec::with_capacity(steps.change.len());
        let result = steps.change.iter().try_for_each(|&(number, place)| {
            let (Some(&token), Some(&was)) = (tokens.get(number), served.get(number)) else { return Ok(()) };
            let Some(socket) = self.reactor.socket(token) else { return Ok(()) };
            undo.push((token, was, place));
            bound.push(sockets::take_over(socket, (old, was), (new, place))?);
            Ok(())
        });
        let added = result.and_then(|()| add(&mut self.reactor, &next, bound));
        if let Err(refused) = added {
            for (token, was, place) in undo {
                self.reactor.socket(token).into_iter().for_each(|socket| {
                    sockets::give_back(socket, (new, place), (old, was));
                });
            }
            return Err(refused);
        }
        for (token, was, place) in undo {
            self.reactor.socket(token).into_iter().for_each(|socket| {
                sockets::leave_groups(socket, (old, was), (new, place));
            });
            drop(self.reactor.remove(token));
        }
        for token in steps.remove.iter().filter_map(|number| tokens.get(*number)) {
            drop(self.reactor.remove(*token));
        }
        let changed = Changed {
            kept: steps.keep.len(),
            changed: steps.change.len(),
            added: steps.add.len(),
            removed: steps.remove.len(),
            after_restart: after_restart(old, new),
        };
        self.prepared = next;
        Ok(changed)
    }

    /// Every listener with its place in the plan.
    pub(super) fn served(&self) -> Vec<(Token, Place)> {
        let plan = &self.prepared.plan;
        let names = plan.listen.iter().enumerate().map(|(entry, listen)| (listen.name.as_str(), entry));
        let entries: HashMap<&str, usize> = names.collect();
        let place = |name: &str, local: SocketAddr| {
            let entry = *entries.get(name)?;
            let binds = &plan.listen.get(entry)?.bind;
            let bind = binds.iter().position(|bind| bind.covers(local))?;
            let address = binds.get(bind)?.asked_for(local);
            Some(Place { entry, bind, address })
        };
        let reports = self.reactor.reports();
        reports.filter_map(|report| Some((report.token, place(report.name, report.local)?))).collect()
    }
}

/// Makes a handler for every socket, or for none.
fn add(reactor: &mut Reactor<MioIo>, prepared: &Prepared, mut bound: Vec<Bound>) -> Result<(), Refused> {
    let Prepared { plan, entries, .. } = prepared;
    let names: Vec<Arc<str>> = plan.listen.iter().map(|listen| Arc::from(listen.name.as_str())).collect();
    let mut tokens = Vec::new();
    let mut problems = plan.problems();
    let mut failed = None;
    // Handed over from its end, so that its memory is free for the handlers as they are made.
    bound.reverse();
    while let Some(Bound { place, local, socket, kernel_drops_seen }) = bound.pop() {
        if bound.len().is_multiple_of(FREE_EVERY) {
            bound.shrink_to_fit();
        }
        let (Some(listen), Some(entry), Some(name)) =
            (plan.listen.get(place.entry), entries.get(place.entry), names.get(place.entry))
        else {
            continue;
        };
        let added = reactor.add(ListenerSpec {
            name: Arc::clone(name),
            local,
            socket,
            plugin: Arc::clone(&entry.plugin),
            values: Rc::clone(&entry.values),
            on_fault: match listen.on_fault {
                config::OnFault::Drop => OnFault::Drop,
                config::OnFault::Exit => OnFault::Exit,
            },
            kernel_drops_seen,
        });
        match added {
            Ok(token) => {
                tokens.push(token);
                log::info!("listener {name} {local}: served by {}", entry.plugin.identity());
            }
            Err(AddError::Create(error)) => problems.push(refusal(listen, &entry.plugin, &error)),
            Err(AddError::Register(error)) => {
                failed = Some(Refused::by_system(plan, &format!("listener {name} {local}: {error}")));
                break;
            }
        }
    }
    let refused = failed.or_else(|| (!problems.is_empty()).then(|| Refused::from(problems)));
    if refused.is_some() {
        tokens.into_iter().for_each(|token| drop(reactor.remove(token)));
    }
    refused.map_or(Ok(()), Err)
}

/// What a reactor is told once, when it is made.
fn after_restart(old: &Plan, new: &Plan) -> Vec<&'static str> {
    let keys = [("limits", old.limits != new.limits), ("seed", old.seed != new.seed)];
    keys.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
}
