//! From a wish to its end: asked by a signal, read by a thread, changed by the reactor, told to the log.

use std::mem;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::time::Duration;

use polyport_terminal::{Hangup, Hung, Output, Style, Waker, aside, counted};

use super::work::{Again, Done, Handler, Job, Next, work};
use crate::apply::prepare::Entry;
use crate::apply::running::{Running, is_denial, on_fault, refused_by};
use crate::apply::sources::Sources;
use crate::apply::steps::Place;
use crate::config::{Plan, Problems};
use crate::metrics::Counters;
use crate::plugin::Plugin;
use crate::reactor::{ChangeDone, ChangeRefused, Clock, Token, Wish};
use crate::sandbox::State;

/// How long the end of the daemon waits for what is being read, so that its private copies of libraries can be removed.
const LAST_READING: Duration = Duration::from_secs(2);

/// Reloads when a signal asks for it.
pub(in crate::apply) struct Reloading {
    hangup: Hangup,
    again: Again,
    sources: Sources,
    output: Output,
    clock: Clock,
    thread: Option<Thread>,
    stage: Stage,
    /// A signal has come while a reload was under way: another one follows.
    once_more: bool,
}

/// The thread that reads.
struct Thread {
    jobs: Sender<Job>,
    done: Receiver<Done>,
}

/// How far a reload is.
enum Stage {
    Idle,
    /// The thread reads what these listeners shall be.
    Reading {
        since_ns: u64,
        tokens: Vec<Token>,
    },
    /// The reactor changes them.
    Changing {
        since_ns: u64,
        plan: Arc<Plan>,
        entries: Vec<Entry>,
        libraries: Vec<Arc<Plugin>>,
    },
    /// The thread has failed, and with it the loader.
    Broken,
}

impl Reloading {
    /// Waits for `hangup`. `again` reads the configuration.
    pub(in crate::apply) fn new(hangup: Hangup, again: Again, sources: Sources, output: Output) -> Self {
        let clock = Clock::new();
        Self { hangup, again, sources, output, clock, thread: None, stage: Stage::Idle, once_more: false }
    }

    /// Looks at what has come: a signal, what the thread has read, what the reactor has changed. False if the daemon is to end.
    pub(in crate::apply) fn attend(&mut self, running: &mut Running) -> bool {
        match self.hangup.take() {
            Some(Hung::TerminalGone) => {
                log::warn!("the terminal has gone (SIGHUP): the daemon ends");
                return false;
            }
            Some(Hung::Reload) => self.once_more = true,
            None => {}
        }
        self.look_at_thread(running);
        if let Some(changed) = running.reactor.take_changed() {
            self.tell(running, changed);
        }
        if self.once_more && matches!(self.stage, Stage::Idle | Stage::Broken) {
            self.once_more = false;
            self.begin(running);
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

    fn begin(&mut self, running: &mut Running) {
        if matches!(self.stage, Stage::Broken) {
            log::error!(
                "not reloaded: the thread that reads the configuration has failed before; restart the daemon"
            );
            return;
        }
        let waker = &mut running.waker;
        let thread = match &mut self.thread {
            Some(thread) => thread,
            none => match waker.take().map_or_else(|| Err(std::io::ErrorKind::NotFound.into()), start) {
                Ok(thread) => none.insert(thread),
                Err(error) => {
                    log::error!(
                        "not reloaded: the thread that reads the configuration cannot be started: {error}"
                    );
                    self.stage = Stage::Broken;
                    return;
                }
            },
        };
        log::info!("reloading (SIGHUP)");
        let (tokens, served) = running.served().unzip();
        let prepared = &mut running.prepared;
        let policy = &prepared.policy;
        let confined = running.sandbox.as_ref().is_some_and(|state| *state != State::off());
        let job = Job {
            again: Arc::clone(&self.again),
            sources: self.sources.clone(),
            before: Arc::clone(&prepared.plan),
            plugins: prepared.entries.iter().map(|entry| Arc::clone(&entry.plugin)).collect(),
            served,
            without_sessions: confined && policy.refuses_sessions(),
            loader: prepared.loader.take(),
        };
        self.stage = match thread.jobs.send(job) {
            Ok(()) => Stage::Reading { since_ns: self.clock.mono_ns(), tokens },
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
                log::error!("not reloaded: the thread that reads the configuration has failed");
                self.stage = Stage::Broken;
                return;
            }
        };
        let Stage::Reading { since_ns, tokens } = mem::replace(&mut self.stage, Stage::Idle) else { return };
        running.prepared.loader = done.loader;
        let Next { plan, handlers, places, libraries } = match done.next {
            Ok(next) => next,
            Err(problems) => return self.refuse(&problems, running.sandbox.as_ref()),
        };
        let before = &running.prepared.entries;
        let entries: Vec<Entry> = handlers
            .into_iter()
            .filter_map(|handler| match handler {
                Handler::AsBefore(entry) => before.get(entry).cloned(),
                Handler::New(plugin, values) => Some(Entry { plugin, values: Rc::new(values) }),
            })
            .collect();
        running.reactor.change(wishes(&plan, &entries, &places, &tokens));
        self.stage = Stage::Changing { since_ns, plan, entries, libraries };
    }

    /// The reactor has changed everything, or nothing.
    fn tell(&mut self, running: &mut Running, changed: Result<ChangeDone, Vec<ChangeRefused>>) {
        let Stage::Changing { since_ns, plan, entries, libraries } =
            mem::replace(&mut self.stage, Stage::Idle)
        else {
            return;
        };
        match changed {
            Ok(done) => {
                let took = Duration::from_nanos(self.clock.mono_ns().saturating_sub(since_ns));
                log::info!("reloaded: {}, in {} ms", summary(&done, &libraries), took.as_millis());
                for (name, cells) in &done.retired {
                    running.gone.add(name, &Counters::default(), 0, cells);
                }
                running.prepared.plan = plan;
                running.prepared.entries = entries;
            }
            Err(refused) => {
                let mut problems = plan.problems();
                for ChangeRefused { tag, plugin, error } in &refused {
                    if let Some((listen, _)) = Place::of_tag(*tag).of(&plan) {
                        problems.push(refused_by(listen, plugin, error, running.sandbox.as_ref()));
                    }
                }
                self.refuse(&problems, None);
            }
        }
    }

    /// Says why nothing was changed.
    fn refuse(&self, problems: &Problems, sandbox: Option<&State>) {
        self.output.remark(problems.render(Style::stderr().is_coloured()).trim_end_matches('\n'));
        let denied =
            problems.list().iter().any(|problem| is_denial(&problem.title) || is_denial(&problem.label));
        if let Some(state) = sandbox.filter(|state| denied && **state != State::off()) {
            log::warn!(
                "the daemon reads its files in the sandbox: {state}; of a directory that others use as well it may read only \
                 what was there at the start; `read = [...]` in [sandbox], or --sandbox read=PATH, allows more after a restart"
            );
        }
        let count = counted(problems.list().len(), "problem", "problems");
        log::error!("not reloaded: {count}; everything is served as before");
    }
}

/// Starts the thread. Its end is noticed, however it comes.
fn start(waker: Waker) -> std::io::Result<Thread> {
    struct Woken(Waker);
    impl Drop for Woken {
        fn drop(&mut self) {
            self.0.wake();
        }
    }
    let (jobs, todo) = mpsc::channel::<Job>();
    let (told, done) = mpsc::channel();
    aside("reload", move || {
        let mut waker = Woken(waker);
        // The end of the channel is told before the loop is woken for the last time.
        let told = told;
        while let Ok(job) = todo.recv() {
            if told.send(work(job)).is_err() {
                break;
            }
            waker.0.wake();
        }
    })?;
    Ok(Thread { jobs, done })
}

/// What each listener shall be.
fn wishes(plan: &Plan, entries: &[Entry], places: &[(usize, Place)], tokens: &[Token]) -> Vec<Wish> {
    let names: Vec<Arc<str>> = plan.listen.iter().map(|listen| Arc::from(listen.name.as_str())).collect();
    let replies: Vec<_> = plan.listen.iter().map(|listen| Rc::new(listen.reply.clone())).collect();
    let wish = |(number, place): &(usize, Place)| {
        let entry = place.entry as usize;
        let (listen, Entry { plugin, values }) = (plan.listen.get(entry)?, entries.get(entry)?);
        Some(Wish {
            token: *tokens.get(*number)?,
            name: Arc::clone(names.get(entry)?),
            plugin: Arc::clone(plugin),
            values: Rc::clone(values),
            on_fault: on_fault(listen),
            reply: Rc::clone(replies.get(entry)?),
            sessions: listen.sessions,
            tag: place.tag(),
        })
    };
    places.iter().filter_map(wish).collect()
}

/// What was changed, in words.
fn summary(done: &ChangeDone, libraries: &[Arc<Plugin>]) -> String {
    let changed = done.replaced + done.reconfigured + done.adjusted;
    if changed == 0 {
        return "nothing has changed".to_owned();
    }
    let mut text = format!("{} changed", counted(changed, "listener", "listeners"));
    let parts = [
        (done.replaced, "by a new handler"),
        (done.reconfigured, "by new options"),
        (done.adjusted, "by other settings"),
    ];
    let parts = parts.into_iter().filter(|(n, _)| *n > 0 && *n < changed);
    let parts: Vec<_> = parts.map(|(n, how)| format!("{n} {how}")).collect();
    if !parts.is_empty() {
        text += &format!(" ({})", parts.join(", "));
    }
    if !libraries.is_empty() {
        let shown =
            |library: &Arc<Plugin>| format!("{} generation {}", library.identity(), library.generation());
        let shown: Vec<_> = libraries.iter().map(shown).collect();
        text += &format!(", {} new ({})", counted(libraries.len(), "library", "libraries"), shown.join(", "));
    }
    text
}
