//! A plan on a reactor, and the way to the next plan.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use polyport_terminal::{Interrupt, Output, Signals, Waker};

use super::books::Books;
use super::confine;
use super::descriptors;
use super::gone::Gone;
use super::looks::Looks;
use super::memory;
use super::prepare::{Entry, Prepared, refusal};
use super::refused::Refused;
use super::restart::after_restart;
use super::sockets::{self, Bound, Surroundings};
use super::steps::{Address, Place, Steps, addresses};
use super::told::Told;
use super::vitals::Vitals;
use super::watchdog::{Stuck, Watchdog};
use crate::broker::Maker;
use crate::config::{self, Listen, Plan, Problem};
use crate::exchange::ExchangeLimits;
use crate::plugin::{CreateError, Loader, Plugin};
use crate::reactor::{
    AddError, Clock, ListenerReport, ListenerSpec, MioIo, OnFault, Reactor, Removed, Socket, Token,
};
use crate::reply::ReplyPolicy;
use crate::sandbox::State;

/// A reactor that serves a plan.
#[derive(Debug)]
pub struct Running {
    /// Serves the listeners. They are changed by [`Running::change`] alone.
    pub reactor: Reactor<MioIo>,
    pub(super) prepared: Prepared,
    /// Of earlier plans: listeners that were kept still run their plugins, whose staged copies go with the loader.
    earlier: Vec<Loader>,
    /// What listeners counted that are gone.
    pub(super) gone: Books,
    /// What listeners counted that are gone, by the series of metrics.
    pub(super) gone_series: Gone,
    /// Who looks at all listeners while some leave.
    pub(super) looks: Looks,
    /// What the process has given up; `None`: nothing was to be.
    pub(super) sandbox: Option<State>,
    /// What is needed to tell how it goes.
    pub(super) vitals: Vitals,
    /// Makes the sockets that a reload adds.
    pub(super) maker: Maker,
    /// Watches the calls of the handlers; the last to go.
    watchdog: Option<Watchdog>,
    /// Has the loop return to its owner, from another thread, each of which gets another one.
    pub(super) waker: Waker,
    /// Asks for the end, from another thread as well, and knows whether it was asked for.
    pub(super) interrupt: Interrupt,
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
        Self::begin(prepared, None, (Maker::Here, Maker::Here), |_| Ok(None))
    }

    /// Starts as [`Running::start`] does, and gives up what the plan says before any handler is made. This concerns the
    /// whole process, for good. Threads would keep what this one gives up, so those of the output start right after. Of the makers, the
    /// first makes the sockets of this plan, the second those of later ones.
    ///
    /// # Errors
    /// Why nothing was started. Part of what was to be given up may be gone.
    pub fn start_confined(
        prepared: Prepared,
        output: &Output,
        makers: (Maker, Maker),
    ) -> Result<Self, Refused> {
        confine::check(&prepared)?;
        Self::begin(prepared, Some(output), makers, |prepared| {
            let state = confine::confine(prepared)?;
            let no_thread = |error| format!("the threads that write the output cannot be started: {error}");
            output.start().map_err(|error| Refused::by_system(&prepared.plan, &no_thread(error)))?;
            Ok(Some(state))
        })
    }

    fn begin(
        mut prepared: Prepared,
        watched: Option<&Output>,
        (mut first, maker): (Maker, Maker),
        give_up: impl FnOnce(&mut Prepared) -> Result<Option<State>, Refused>,
    ) -> Result<Self, Refused> {
        let vitals = Vitals::begin();
        let plan = &prepared.plan;
        let is_shared = first.is_shared();
        let bound =
            sockets::bind(plan, addresses(plan), plan.sockets(), &Surroundings::of(plan), &mut first)?;
        drop(first);
        let exchange = ExchangeLimits::default();
        let io = Signals::listen().and_then(|signals| {
            let (interrupt, waker) = (signals.interrupt(), signals.waker()?);
            Ok((MioIo::new(Clock::new(), exchange.slots, signals)?, interrupt, waker))
        });
        let (io, interrupt, waker) =
            io.map_err(|error| Refused::by_system(plan, &format!("the event loop cannot be made: {error}")))?;
        if let Some(seed) = plan.seed {
            log::info!(
                "seed = {seed}: the random numbers of handlers repeat; their secrets come from the system all the same"
            );
        }
        let seed = plan.seed.unwrap_or_else(rand::random);
        let limits = memory::resolve(plan.limits);
        let has_sessions = prepared.entries.iter().any(|entry| entry.plugin.has_sessions());
        let limits = if has_sessions { descriptors::resolve(limits, bound.len()) } else { limits };
        let mut reactor = Reactor::new(io, limits, exchange, seed, rand::random());
        reactor.reserve(memory::room(bound.len()));
        if is_shared {
            reactor.hold_back();
        }
        let sandbox = give_up(&mut prepared)?;
        let no_thread = |error| format!("the thread that waits for signals cannot be started: {error}");
        interrupt.start().map_err(|error| Refused::by_system(&prepared.plan, &no_thread(error)))?;
        let no_thread = |error| format!("the thread that watches the handlers cannot be started: {error}");
        let watchdog = watched
            .map(|output| Watchdog::start(interrupt.clone(), output.clone()))
            .transpose()
            .map_err(|error| Refused::by_system(&prepared.plan, &no_thread(error)))?;
        add(&mut reactor, &prepared, bound, sandbox.as_ref())?;
        Ok(Self {
            reactor,
            prepared,
            earlier: Vec::new(),
            gone: Books::default(),
            gone_series: Gone::default(),
            looks: Looks::default(),
            sandbox,
            vitals,
            maker,
            watchdog,
            waker,
            interrupt,
        })
    }

    /// Serves another plan from now on. Addresses that both plans serve in the same way are not touched; one that is
    /// served in another way keeps its socket, with what waits there, and gets a new handler. For a moment both
    /// handlers of such an address are there, so one that holds something for itself alone (a file, say) refuses.
    ///
    /// # Errors
    /// What cannot be done; then everything is served as before (I5), though a socket for which the refused plan asked
    /// larger buffers keeps them. An address that cannot be bound while another of the old plan is, a wildcard's own for
    /// example, takes two changes.
    pub fn change(&mut self, next: Prepared) -> Result<Changed, Refused> {
        let (tokens, served): (Vec<_>, Vec<_>) = self.served().unzip();
        let (old, new) = (&self.prepared.plan, &next.plan);
        let reactor = &mut self.reactor;
        let steps = Steps::between(&served, old, new).whole(
            &served,
            |entry| self.prepared.is_per_listener(entry),
            |entry| next.is_per_listener(entry),
        );
        let around = Surroundings::of(&next.plan);
        let of_old = |number: usize| Some((*tokens.get(number)?, *served.get(number)?));
        let changing: Vec<(Token, Address, Address)> = steps
            .change
            .iter()
            .filter_map(|(number, to)| of_old(*number).map(|(token, was)| (token, was, *to)))
            .collect();
        let sandbox = self.sandbox.as_ref();
        if let Err(refused) = serve_also(reactor, &next, old, &steps.add, &changing, &around, sandbox) {
            let before: HashSet<Token> = tokens.iter().copied().collect();
            let added = reactor.reports().map(|report| report.token).filter(|token| !before.contains(token));
            for token in added.collect::<Vec<_>>() {
                drop(reactor.remove(token));
            }
            for (token, was, to) in changing {
                if let Some(socket) = reactor.socket(token) {
                    sockets::give_back(socket, (new, to), (old, was), &around);
                }
            }
            return Err(refused);
        }
        self.gone_series.begin(old);
        let mut note = |removed: &Removed<Socket>| note_gone(&mut self.gone, &mut self.gone_series, removed);
        for (token, was, to) in changing {
            if let Some(removed) = reactor.remove(token) {
                sockets::leave_groups(&removed.socket, (old, was.place), (new, to.place));
                note(&removed);
            }
        }
        for (token, _) in steps.remove.iter().filter_map(|number| of_old(*number)) {
            reactor.remove(token).iter().for_each(&mut note);
        }
        drop(self.gone_series.end());
        for (number, place) in &steps.keep {
            tokens.get(*number).and_then(|token| reactor.set_tag(*token, place.tag())).unwrap_or(());
        }
        let changed = Changed {
            kept: steps.keep.len(),
            changed: steps.change.len(),
            added: steps.add.len(),
            removed: steps.remove.len(),
            after_restart: after_restart(old, new),
        };
        self.earlier.push(std::mem::replace(&mut self.prepared, next).loader);
        self.share_descriptors();
        // What was timed for listeners that are in the plan no more gives its room back.
        let names: HashSet<&str> = self.prepared.plan.listen.iter().map(|listen| &*listen.name).collect();
        self.reactor.retain_call_times(|name| names.contains(name));
        Ok(changed)
    }

    /// Leaves to sessions the descriptors that the listeners of the plan do not need, which may be others than before.
    pub(super) fn share_descriptors(&mut self) {
        let Prepared { plan, entries, .. } = &self.prepared;
        if entries.iter().any(|entry| entry.plugin.has_sessions()) {
            let now = self.reactor.most_sessions();
            self.reactor.limit_sessions(descriptors::sessions(&plan.limits, plan.sockets(), now));
        }
    }

    /// Begins to end: nothing new is taken, and what waits has the `grace` of the plan. From now on the loop says when that is over
    /// ([`Flow::Ended`](crate::reactor::Flow::Ended)). False: there is no grace, so it is over now.
    pub fn end(&mut self) -> bool {
        // A call that does not return holds up the end, whoever asked for it.
        self.interrupt.ask();
        let grace = self.prepared.plan.grace;
        if !grace.is_zero() {
            self.reactor.end_within(grace);
        }
        !grace.is_zero()
    }

    /// Ends, as [`Self::end`] does, after another process has got the sockets.
    pub(super) fn part(&mut self) -> bool {
        self.interrupt.ask();
        let grace = self.prepared.plan.grace;
        self.reactor.part_with(grace);
        !grace.is_zero()
    }

    /// Which call does not return, for other threads.
    pub(super) fn stuck(&self) -> Stuck {
        self.watchdog.as_ref().map(Watchdog::stuck).unwrap_or_default()
    }

    /// Every listener with its address in the plan.
    pub(super) fn served(&self) -> impl Iterator<Item = (Token, Address)> {
        self.reactor.reports().filter_map(|report| self.address(&report))
    }

    /// The listeners in these slots, each with its address in the plan.
    pub(super) fn served_in(&self, slots: Range<usize>) -> impl Iterator<Item = (Token, Address)> {
        self.reactor.reports_in(slots).filter_map(|report| self.address(&report))
    }

    fn address(&self, report: &ListenerReport<'_>) -> Option<(Token, Address)> {
        let place = Place::of_tag(report.tag);
        let (_, bind) = place.of(&self.prepared.plan)?;
        Some((report.token, Address { place, asked: bind.asked_for(report.local) }))
    }
}

/// Has the books of a listener that is gone counted with the others of its name, and of its series.
pub(super) fn note_gone(gone: &mut Books, series: &mut Gone, removed: &Removed<Socket>) {
    series.add(removed);
    gone.add(&removed.name, &removed.counters, 0, &removed.cells);
    if let Some(book) = &removed.sessions {
        gone.add_sessions(&removed.name, book, 0);
    }
}

/// Serves new addresses, and addresses that are served already a second time.
fn serve_also(
    reactor: &mut Reactor<MioIo>,
    next: &Prepared,
    old: &Plan,
    new: &[Address],
    changing: &[(Token, Address, Address)],
    around: &Surroundings,
    sandbox: Option<&State>,
) -> Result<(), Refused> {
    let total = reactor.reports().count() + new.len() + changing.len();
    reactor.reserve(new.len() + changing.len());
    let mut bound = sockets::bind(&next.plan, new.iter().copied(), total, around, &mut Maker::Here)?;
    for (token, was, to) in changing {
        if let Some(socket) = reactor.socket(*token) {
            bound.push(sockets::take_over(socket, (old, was.place), (&next.plan, *to), around)?);
        }
    }
    add(reactor, next, bound, sandbox)
}

/// Makes a handler for every socket, or for all sockets of a listener whose plugin wants it so. Where one is refused, those that were made before it stay.
fn add(
    reactor: &mut Reactor<MioIo>,
    prepared: &Prepared,
    mut bound: Vec<Bound>,
    sandbox: Option<&State>,
) -> Result<(), Refused> {
    let Prepared { plan, entries, .. } = prepared;
    let names: Vec<Arc<str>> = plan.listen.iter().map(|listen| Arc::from(listen.name.as_str())).collect();
    let replies: Vec<Rc<ReplyPolicy>> =
        plan.listen.iter().map(|listen| Rc::new(listen.reply.clone())).collect();
    let mut problems = plan.problems();
    let mut told = Told::default();
    // Addresses that have a handler together, by the table of their listener.
    let mut together = BTreeMap::new();
    // Handed over from its end, so that its memory is free for the handlers as they are made.
    bound.reverse();
    while let Some(Bound { place, local, socket, kernel_drops_seen }) = bound.pop() {
        if bound.len().is_multiple_of(FREE_EVERY) {
            bound.shrink_to_fit();
        }
        let entry = place.entry as usize;
        let (Some(listen), Some(Entry { plugin, values, .. }), Some(name), Some(reply)) =
            (plan.listen.get(entry), entries.get(entry), names.get(entry), replies.get(entry))
        else {
            continue;
        };
        let needs =
            place.of(plan).map(|(listen, bind)| sockets::needs(listen, bind, &socket)).unwrap_or_default();
        let spec = ListenerSpec {
            name: Arc::clone(name),
            local,
            socket,
            plugin: Arc::clone(plugin),
            values: Rc::clone(values),
            on_fault: on_fault(listen),
            access: listen.access.clone(),
            reply: Rc::clone(reply),
            sessions: listen.sessions,
            chain: listen.chain,
            needs,
            outgoing: sockets::outgoing(listen),
            kernel_drops_seen,
            tag: place.tag(),
        };
        if plugin.is_per_listener() {
            together.entry(place.entry).or_insert_with(Vec::new).push(spec);
            continue;
        }
        match reactor.add(spec) {
            Ok(_) => told.one_more(plan, place, local, plugin),
            Err(AddError::Create(error)) => {
                problems.push(refused_by(listen, plugin, &error, sandbox));
            }
            Err(AddError::Register(error)) => {
                return Err(Refused::by_system(plan, &format!("listener {name} {local}: {error}")));
            }
        }
    }
    for (entry, mut specs) in together {
        let entry = entry as usize;
        let (Some(listen), Some(Entry { plugin, .. })) = (plan.listen.get(entry), entries.get(entry)) else {
            continue;
        };
        // The handler knows its addresses by their numbers: those of the plan, however the sockets came.
        specs.sort_by_key(|spec| (spec.tag, spec.local));
        let served: Vec<_> = specs.iter().map(|spec| (Place::of_tag(spec.tag), spec.local)).collect();
        match reactor.add_together(specs) {
            Ok(_) => served.iter().for_each(|(place, local)| told.one_more(plan, *place, *local, plugin)),
            Err(AddError::Create(error)) => problems.push(refused_by(listen, plugin, &error, sandbox)),
            Err(AddError::Register(error)) => {
                return Err(Refused::by_system(plan, &format!("listener {}: {error}", listen.name)));
            }
        }
    }
    told.end(plan);
    Ok(problems.into_result(())?)
}

/// What the daemon does when a handler of a listener breaks.
pub(super) fn on_fault(listen: &Listen) -> OnFault {
    match listen.on_fault {
        config::OnFault::Restart => OnFault::Restart,
        config::OnFault::Off => OnFault::Off,
        config::OnFault::Exit => OnFault::Exit,
    }
}

/// A plugin's own refusal, with what the sandbox may have to do with it.
pub(super) fn refused_by(
    listen: &Listen,
    plugin: &Plugin,
    error: &CreateError,
    sandbox: Option<&State>,
) -> Problem {
    let refusal = refusal(listen, plugin, error);
    match sandbox.filter(|state| **state != State::off() && is_denial(&error.message)) {
        // What was allowed until then may not be any more, and plugins do not know why.
        Some(state) => refusal.help(format!(
            "handlers are made in the sandbox: {state}; `read = [...]` and `write = [...]` in [sandbox], or \
             --sandbox write=PATH, allow more files, `network = \"open\"` sockets"
        )),
        None => refusal,
    }
}

/// Whether a plugin was refused something by the system, as far as its words tell: other mistakes have nothing to do with
/// the sandbox.
pub(super) fn is_denial(message: &str) -> bool {
    [rustix::io::Errno::ACCESS, rustix::io::Errno::PERM].into_iter().any(|errno| {
        // `Permission denied (os error 13)`, and `errno 13` of plugins in other languages.
        let text = std::io::Error::from(errno).to_string();
        let (words, number) = (text.split(" (").next().unwrap_or_default(), errno.raw_os_error());
        message.contains(words)
            || message.split(|c: char| !c.is_ascii_alphanumeric()).collect::<Vec<_>>().windows(2).any(
                |pair| {
                    pair.first()
                        .is_some_and(|word| ["error", "errno"].contains(&word.to_lowercase().as_str()))
                        && pair.get(1).is_some_and(|word| *word == number.to_string())
                },
            )
    })
}
