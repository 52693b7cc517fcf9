//! From a wish to its end: asked by a signal, read by a thread, changed by the reactor, told to the log.

use std::collections::VecDeque;
use std::mem;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::TryRecvError;
use std::time::Duration;

use polyport_terminal::{Hangup, Hung, Output, Shape, Style, counted};

use super::assembly::{Assembly, Look};
use super::history::History;
use super::remains::{Remains, free};
use super::thread::{Thread, Todo, start};
use super::wanted::{Again, Wanted};
use super::words::{named, summary, told};
use super::work::Job;
use crate::apply::banner::scope;
use crate::apply::notifier::Notifier;
use crate::apply::prepare::Prepared;
use crate::apply::running::{Running, is_denial, note_gone, refused_by};
use crate::apply::sources::Sources;
use crate::apply::steps::Place;
use crate::broker::Maker;
use crate::config::{Plan, Problem, Problems};
use crate::control::Reply;
use crate::control::http::figures::Reloads;
use crate::control::wire::{
    AddParams, Answer, Error, ListenerParams, PluginParams, Reloaded, SetParams, code,
};
use crate::metrics::Counters;
use crate::reactor::{ChangeDone, ChangeRefused, Clock, Token};
use crate::sandbox::State;

/// How long the end of the daemon waits for what is being read, so that its private copies of libraries can be removed.
const LAST_READING: Duration = Duration::from_secs(2);

/// What stands behind the status that the service manager shows.
const REFUSED: &str = "; the last reload was refused";

/// Reloads when a signal asks for it.
pub(in crate::apply) struct Reloading {
    hangup: Hangup,
    again: Again,
    sources: Sources,
    output: Output,
    notifier: Rc<Notifier>,
    clock: Clock,
    thread: Option<Thread>,
    stage: Stage,
    /// A signal has come while a reload was under way: another one follows.
    once_more: bool,
    /// Clients of the control socket that wait for the reload that is under way, and for the one that follows.
    asked: Vec<Reply>,
    asked_next: Vec<Reply>,
    /// Clients that want one listener to be another, one after the other.
    alterations: VecDeque<(Wanted, Reply)>,
    /// What is being done, as it is told when it is.
    done: &'static str,
    /// How it is told if nothing came of it.
    nothing: &'static str,
    /// It is a reload, of which the service manager is told.
    is_reload: bool,
    /// What nobody needs any more.
    remains: Remains,
    /// The switch was made in this turn, which has enough to do.
    has_switched: bool,
    /// What it took to catch up in this turn, processor time, ns.
    caught_up_ns: u64,
    /// The longest that this reload has kept the loop between two batches, processor time, ns.
    longest_ns: u64,
    history: History,
}

/// How far a reload is.
enum Stage {
    Idle,
    /// What serves is looked up for the thread.
    Looking {
        since_ns: u64,
        wanted: Wanted,
        look: Look,
    },
    /// The thread reads what these listeners shall be.
    Reading {
        since_ns: u64,
        tokens: Vec<Token>,
    },
    /// What the reactor is to be asked for is put together.
    Assembling {
        since_ns: u64,
        assembly: Box<Assembly>,
    },
    /// The reactor changes them.
    Changing {
        since_ns: u64,
        assembly: Box<Assembly>,
    },
    /// It has, and some newcomers are not served yet, or some that go are still there.
    Settling {
        since_ns: u64,
        reloaded: Box<Reloaded>,
    },
    /// It has changed nothing, and some newcomers have not gone yet.
    GoingBack {
        problems: Problems,
    },
    /// The thread has failed, and with it the loader.
    Broken,
}

impl Reloading {
    /// Waits for `hangup`. `again` reads the configuration. `notifier` is told of it.
    pub(in crate::apply) fn new(
        hangup: Hangup,
        again: Again,
        sources: Sources,
        output: Output,
        notifier: Rc<Notifier>,
    ) -> Self {
        let mut clock = Clock::new();
        let began_ns = clock.unix_ns();
        Self {
            hangup,
            again,
            sources,
            output,
            notifier,
            clock,
            thread: None,
            stage: Stage::Idle,
            once_more: false,
            asked: Vec::new(),
            asked_next: Vec::new(),
            alterations: VecDeque::new(),
            done: "reloaded",
            nothing: "nothing has changed",
            is_reload: false,
            remains: Remains::default(),
            has_switched: false,
            caught_up_ns: 0,
            longest_ns: 0,
            history: History::begin(began_ns),
        }
    }

    /// What became of reloads so far.
    pub(in crate::apply) fn history(&self) -> Reloads {
        self.history.told()
    }

    /// Whether something is being changed, or is about to be.
    pub(in crate::apply) fn is_busy(&self) -> bool {
        self.once_more || !self.alterations.is_empty() || !matches!(self.stage, Stage::Idle | Stage::Broken)
    }

    /// A client of the control socket asks for a reload, as a signal does, and waits for what becomes of it.
    pub(in crate::apply) fn ask(&mut self, reply: Reply) {
        self.asked_next.push(reply);
        self.once_more = true;
    }

    /// A client of the control socket wants other options for a listener, and waits for what becomes of it.
    pub(in crate::apply) fn set(&mut self, params: SetParams, reply: Reply) {
        self.alterations.push_back((Wanted::Set(params), reply));
    }

    /// A client of the control socket wants one listener more, and waits for what becomes of it.
    pub(in crate::apply) fn add(&mut self, params: AddParams, reply: Reply) {
        self.alterations.push_back((Wanted::Add(params), reply));
    }

    /// A client of the control socket wants one listener less, and waits for what becomes of it.
    pub(in crate::apply) fn remove(&mut self, params: ListenerParams, reply: Reply) {
        self.alterations.push_back((Wanted::Remove(params), reply));
    }

    /// A client of the control socket wants what lies now in the file of one plugin, and waits for what becomes of it.
    pub(in crate::apply) fn plugin(&mut self, params: PluginParams, reply: Reply) {
        self.alterations.push_back((Wanted::Plugin(params), reply));
    }

    /// Follows what the reactor has made of a change since: the plan and the books are those of what serves from then on. Whoever
    /// looks at the listeners does it after this, or sees those of one plan by the places of another.
    pub(in crate::apply) fn catch_up(&mut self, running: &mut Running) {
        let from_ns = running.reactor.cpu_ns();
        if let Some(changed) = running.reactor.take_changed() {
            self.has_switched = true;
            self.switched(running, changed);
        }
        let mut sockets = running.reactor.take_unserved();
        for removed in running.reactor.take_removed() {
            note_gone(&mut running.gone, &mut running.gone_series, &removed);
            sockets.push(removed.socket);
        }
        self.remains.close(self.thread.as_ref(), sockets);
        self.caught_up_ns = running.reactor.cpu_ns().saturating_sub(from_ns);
    }

    /// Looks at what has come: a signal, what the thread has read. It has caught up with what the reactor has changed. False if the daemon is to end.
    pub(in crate::apply) fn attend(&mut self, running: &mut Running) -> bool {
        let step_ns = running.reactor.take_step_ns() + mem::take(&mut self.caught_up_ns);
        self.longest_ns = self.longest_ns.max(step_ns);
        let from_ns = running.reactor.cpu_ns();
        let goes_on = self.attend_to(running);
        let spent_ns = running.reactor.cpu_ns().saturating_sub(from_ns);
        self.longest_ns = self.longest_ns.max(step_ns + spent_ns);
        goes_on
    }

    fn attend_to(&mut self, running: &mut Running) -> bool {
        match self.hangup.take() {
            Some(Hung::TerminalGone) => {
                log::warn!("the terminal has gone (SIGHUP): the daemon ends");
                return false;
            }
            Some(Hung::Reload) => self.once_more = true,
            None => {}
        }
        if !mem::take(&mut self.has_switched) {
            self.remains.free_some();
        }
        self.look(running);
        self.look_at_thread(running);
        self.assemble(running);
        self.settle(running);
        if self.once_more && matches!(self.stage, Stage::Idle | Stage::Broken) {
            self.once_more = false;
            self.asked = mem::take(&mut self.asked_next);
            self.begin(running, Wanted::Again(Arc::clone(&self.again)));
        }
        while matches!(self.stage, Stage::Idle | Stage::Broken)
            && let Some((wanted, reply)) = self.alterations.pop_front()
        {
            let Prepared { plan, entries, .. } = &running.prepared;
            if let Some(missing) = wanted.missing(plan, entries.iter().map(|entry| &entry.plugin)) {
                reply.send(Err(missing));
                continue;
            }
            self.asked = vec![reply];
            self.begin(running, wanted);
        }
        let goes_on = matches!(self.stage, Stage::Looking { .. } | Stage::Assembling { .. });
        if goes_on || self.remains.has_more() {
            running.waker.wake();
        }
        true
    }

    /// The daemon ends: waits for what is being read, but not for long.
    pub(in crate::apply) fn end(&self, running: &mut Running) {
        if let (Stage::Reading { .. }, Some(thread)) = (&self.stage, &self.thread)
            && let Ok(done) = thread.done.recv_timeout(LAST_READING)
        {
            running.prepared.loader = done.loader;
        }
    }

    fn begin(&mut self, running: &mut Running, wanted: Wanted) {
        self.longest_ns = 0;
        (self.done, self.nothing) = (wanted.done(), wanted.nothing());
        self.is_reload = matches!(wanted, Wanted::Again(_));
        if self.is_reload {
            self.notifier.reloading();
        }
        if matches!(self.stage, Stage::Broken) {
            self.fail(
                &running.prepared.plan,
                "the thread that reads the configuration has failed before; restart the daemon",
            );
            return;
        }
        if self.thread.is_none() {
            match running.waker.another().and_then(start) {
                Ok(thread) => self.thread = Some(thread),
                Err(error) => {
                    self.stage = Stage::Broken;
                    self.fail(
                        &running.prepared.plan,
                        &format!("the thread that reads the configuration cannot be started: {error}"),
                    );
                    return;
                }
            }
        }
        wanted.announce(!self.asked.is_empty());
        self.stage = Stage::Looking { since_ns: self.clock.mono_ns(), wanted, look: Look::default() };
        self.look(running);
    }

    /// Looks up what serves, and hands it to the thread when all of it is known.
    fn look(&mut self, running: &mut Running) {
        let Stage::Looking { look, .. } = &mut self.stage else { return };
        if !look.go_on(running) {
            return;
        }
        let (Stage::Looking { since_ns, wanted, look }, Some(thread)) =
            (mem::replace(&mut self.stage, Stage::Idle), &self.thread)
        else {
            return;
        };
        let Look { tokens, served, .. } = look;
        let prepared = &mut running.prepared;
        let policy = &prepared.policy;
        let confined = running.sandbox.as_ref().is_some_and(|state| *state != State::off());
        let job = Job {
            wanted,
            sources: self.sources.clone(),
            before: Arc::clone(&prepared.plan),
            plugins: prepared.entries.iter().map(|entry| Arc::clone(&entry.plugin)).collect(),
            files: prepared.entries.iter().map(|entry| entry.files.clone()).collect(),
            served,
            without_sessions: confined && policy.refuses_sessions(),
            loader: prepared.loader.take(),
            maker: mem::replace(&mut running.maker, Maker::Here),
        };
        self.stage = match thread.todo.send(Todo::Job(Box::new(job))) {
            Ok(()) => Stage::Reading { since_ns, tokens },
            Err(_) => Stage::Broken,
        };
    }

    /// Hands the reactor what the thread has read.
    fn look_at_thread(&mut self, running: &mut Running) {
        let (Stage::Reading { .. }, Some(thread)) = (&self.stage, &self.thread) else { return };
        let done = match thread.done.try_recv() {
            Ok(done) => done,
            Err(TryRecvError::Empty) => return,
            Err(TryRecvError::Disconnected) => {
                self.stage = Stage::Broken;
                self.fail(&running.prepared.plan, "the thread that reads the configuration has failed");
                return;
            }
        };
        let Stage::Reading { since_ns, tokens } = mem::replace(&mut self.stage, Stage::Idle) else { return };
        running.prepared.loader = done.loader;
        running.maker = done.maker;
        match done.next {
            Ok(next) => {
                let assembly = Box::new(Assembly::new(next, tokens));
                self.stage = Stage::Assembling { since_ns, assembly };
            }
            Err(problems) => self.refuse(&running.prepared.plan, &problems, running.sandbox.as_ref()),
        }
    }

    /// Puts together what the reactor is to be asked for, and asks for it.
    fn assemble(&mut self, running: &mut Running) {
        let Stage::Assembling { assembly, .. } = &mut self.stage else { return };
        let changes = match assembly.go_on(running) {
            Ok(None) => return,
            Ok(Some(changes)) => changes,
            Err(found) => {
                let mut problems = assembly.plan.problems();
                found.into_iter().for_each(|problem| problems.push(problem));
                if let Stage::Assembling { assembly, .. } = mem::replace(&mut self.stage, Stage::Idle) {
                    self.throw_away(*assembly);
                }
                return self.refuse(&running.prepared.plan, &problems, None);
            }
        };
        running.reactor.change(changes);
        if let Stage::Assembling { since_ns, assembly } = mem::replace(&mut self.stage, Stage::Idle) {
            self.stage = Stage::Changing { since_ns, assembly };
        }
    }

    /// The reactor has changed everything, or nothing.
    fn switched(&mut self, running: &mut Running, changed: Result<ChangeDone, Vec<ChangeRefused>>) {
        let Stage::Changing { since_ns, assembly } = mem::replace(&mut self.stage, Stage::Idle) else {
            return;
        };
        match changed {
            Ok(done) => {
                let plan = Arc::clone(&assembly.plan);
                let grace = (plan.grace != running.prepared.plan.grace).then_some(plan.grace);
                let reloaded = Reloaded {
                    summary: summary(&done, &assembly.libraries, grace, self.nothing),
                    replaced: done.replaced,
                    reconfigured: done.reconfigured,
                    adjusted: done.adjusted,
                    added: done.added,
                    removed: done.removed,
                    libraries: assembly.libraries.iter().map(named).collect(),
                    took_ms: 0,
                };
                for (name, cells) in &done.retired {
                    running.gone.add(name, &Counters::default(), 0, cells);
                }
                let old = mem::replace(&mut running.prepared.plan, plan);
                if done.removed > 0 {
                    running.gone_series.begin(&old);
                }
                assembly.leave_groups(running, &old);
                let before = mem::replace(&mut running.prepared.entries, assembly.entries);
                self.remains.take(before, assembly.shared);
                running.share_descriptors();
                running.reactor.retain_call_times(|name| assembly.names.contains(name));
                // Where listeners go, the old plan is needed until they are gone: then this is not the last of it.
                free(self.thread.as_ref(), (old, assembly.names));
                self.history.done(self.clock.unix_ns());
                self.stage = Stage::Settling { since_ns, reloaded: Box::new(reloaded) };
            }
            Err(refused) => {
                assembly.give_back(running);
                let mut problems = assembly.plan.problems();
                for ChangeRefused { tag, plugin, error, is_by_system } in &refused {
                    let Some((listen, bind)) = Place::of_tag(*tag).of(&assembly.plan) else { continue };
                    problems.push(if *is_by_system {
                        let title = format!("listener `{}`: {}", listen.name, error.message);
                        Problem::new("system", title).at(&bind.span, "this address")
                    } else {
                        refused_by(listen, plugin, error, running.sandbox.as_ref())
                    });
                }
                self.throw_away(*assembly);
                self.stage = Stage::GoingBack { problems };
            }
        }
    }

    /// Tells what was changed, when all newcomers are served and all that go have gone; or that nothing was, when no newcomer is left.
    fn settle(&mut self, running: &mut Running) {
        let is_done = !running.reactor.is_changing() && self.remains.is_closed();
        let is_over = is_done || running.reactor.is_ending();
        if !is_over || !matches!(self.stage, Stage::Settling { .. } | Stage::GoingBack { .. }) {
            return;
        }
        let stage = mem::replace(&mut self.stage, Stage::Idle);
        if let Stage::GoingBack { problems } = &stage {
            return self.refuse(&running.prepared.plan, problems, None);
        }
        let Stage::Settling { since_ns, mut reloaded } = stage else { return };
        if let Some(waste) = running.gone_series.end() {
            free(self.thread.as_ref(), waste);
        }
        let took = Duration::from_nanos(self.clock.mono_ns().saturating_sub(since_ns));
        reloaded.took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.notify(&running.prepared.plan, "");
        log::info!("{}: {}, in {} ms", self.done, reloaded.summary, reloaded.took_ms);
        log::debug!("a batch waited for that for {} us of work at most", self.longest_ns / 1000);
        self.answer(&Ok(Answer::Reloaded(*reloaded)));
    }

    /// Nothing comes of what was put together.
    fn throw_away(&mut self, assembly: Assembly) {
        let (of_loop, shared, waste) = assembly.into_waste();
        self.remains.take(of_loop, shared);
        free(self.thread.as_ref(), waste);
    }

    /// Tells the service manager that the reload which it was told of is over.
    fn notify(&self, plan: &Plan, more: &str) {
        if self.is_reload {
            self.notifier.ready(&scope(plan), more);
        }
    }

    /// Tells the clients that wait for it what has become of this reload.
    fn answer(&mut self, answer: &Result<Answer, Error>) {
        self.asked.drain(..).for_each(|reply| reply.send(answer.clone()));
    }

    /// No reload is possible.
    fn fail(&mut self, plan: &Plan, why: &str) {
        self.notify(plan, REFUSED);
        let done = self.done;
        self.history.refused();
        log::error!("not {done}: {why}");
        self.answer(&Err(Error::new(code::REFUSED, format!("not {done}: {why}"))));
    }

    /// Says why nothing was changed.
    fn refuse(&mut self, plan: &Plan, problems: &Problems, sandbox: Option<&State>) {
        self.notify(plan, REFUSED);
        self.history.refused();
        let is_coloured = matches!(self.output.shape(), Shape::Plain) && Style::stderr().is_coloured();
        self.output.remark(problems.render(is_coloured).trim_end_matches('\n'));
        let denied =
            problems.list().iter().any(|problem| is_denial(&problem.title) || is_denial(&problem.label));
        if let Some(state) = sandbox.filter(|state| denied && **state != State::off()) {
            log::warn!(
                "the daemon reads its files in the sandbox: {state}; of a directory that others use as well it may read only \
                 what was there at the start; `read = [...]` in [sandbox], or --sandbox read=PATH, allows more after a restart"
            );
        }
        let count = counted(problems.list().len(), "problem", "problems");
        let words = format!("not {}: {count}; everything is served as before", self.done);
        log::error!("{words}");
        if !self.asked.is_empty() {
            let data = Some(told(problems));
            self.answer(&Err(Error { data, ..Error::new(code::REFUSED, words) }));
        }
    }
}
