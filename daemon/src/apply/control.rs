//! The control socket of a daemon that serves: where it is made, and what the loop does about requests, between two batches.

use std::collections::VecDeque;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Weak};
use std::time::Duration;

use polyport_terminal::{Escaped, Exit, Interrupt, Waker};

use super::configured;
use super::hand_over::{HandOver, Outcome, named};
use super::overview::{Around, Overview};
use super::pages::Pages;
use super::peers;
use super::policy;
use super::prepare::Prepared;
use super::quiet::Quiets;
use super::refused::Refused;
use super::reload::Reloading;
use super::running::Running;
use super::tapping::Tapping;
use crate::config::{Control as Wanted, Plan, Problem};
use crate::control::wire::{
    Answer, ControlCounts, Error, HandingOver, Level, Request, TAKE_OVER_VERSION, TakeOverParams, code,
};
use crate::control::{BindError, Call, Endpoint, Hand, Hooks, Reply, Server, default_places};
use crate::plugin::is_elevated;
use crate::reactor::Clock;

/// Says how much is logged, and sets it if a level is given.
pub type LogLevel = Arc<dyn Fn(Option<Level>) -> Level + Send + Sync>;

/// Binds the socket that the plan, or nobody, asks for. It has to be done before rights are given up, and the sandbox learns
/// where it may be removed.
pub(super) fn bind(prepared: &mut Prepared) -> Result<Option<Endpoint>, Refused> {
    let endpoint = match &prepared.plan.control {
        Some(Wanted { path: None, .. }) => return Ok(None),
        Some(Wanted { path: Some(path), span }) => {
            let refused = |error: BindError| {
                let problem = Problem::new("control", format!("control socket {error}"));
                let problem = match span {
                    Some(span) => problem.at(span, "this socket"),
                    None => problem,
                };
                let problem = problem.help("--control PATH names another one, --control off none");
                let exit = if error.is_busy() { Exit::Busy } else { Exit::Os };
                Refused { exit, ..Refused::at(&prepared.plan, [problem]) }
            };
            Endpoint::bind(path).map_err(refused)?
        }
        // The environment is the caller's, who has fewer rights: it does not say where something is made.
        None if is_elevated() => {
            log::debug!(
                "there is no control socket, since polyport has more rights than its caller; --control PATH makes one"
            );
            return Ok(None);
        }
        None => {
            let places = default_places(|name| std::env::var_os(name).map(PathBuf::from));
            match Endpoint::bind_by_default(&places) {
                Ok(endpoint) => endpoint,
                Err(error) => {
                    let why = error.map_or_else(String::new, |error| format!(": {error}"));
                    log::warn!("there is no control socket{why}; --control PATH names a place for it");
                    return Ok(None);
                }
            }
        }
    };
    prepared.policy.removable.extend(policy::own_directory(endpoint.path()));
    Ok(Some(endpoint))
}

/// The control socket of a daemon that is taken over, which still answers on it. The sandbox learns where it may be removed.
pub(super) fn share(
    prepared: &mut Prepared,
    (socket, path): (OwnedFd, PathBuf),
) -> Result<Endpoint, Refused> {
    let endpoint = Endpoint::share(socket, &path).map_err(|error| {
        Refused::at(&prepared.plan, [Problem::new("take-over", format!("control socket {error}"))])
    })?;
    prepared.policy.removable.extend(policy::own_directory(endpoint.path()));
    Ok(endpoint)
}

/// What the loop does about requests.
#[derive(Debug)]
pub(super) struct Control {
    calls: Receiver<Call>,
    /// The status that is gathered now, and those that follow.
    overviews: VecDeque<Overview>,
    pages: Pages,
    /// Taps of which not every listener knows yet.
    tappings: VecDeque<Tapping>,
    /// Brings the loop back for the next part of it.
    waker: Waker,
    log_level: HeldLevel,
    /// The plan that somebody asked for last, and a number that tells it from those before.
    plan: Weak<Plan>,
    generation: u64,
    /// Listeners that are paused, resumed or drained.
    quiets: Quiets,
    /// Another daemon takes over.
    hand_over: Option<HandOver>,
    given_up: u64,
    /// Goes last: whoever has no answer yet is told by replies that are dropped.
    server: Server,
}

/// A function without a name to print.
struct HeldLevel(LogLevel);

impl std::fmt::Debug for HeldLevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LogLevel")
    }
}

impl Control {
    /// Answers on a socket from now on. Its thread begins here, when rights have been given up.
    pub(super) fn start(endpoint: Endpoint, running: &Running, log_level: LogLevel) -> Result<Self, Refused> {
        let refused = |error: std::io::Error| {
            let title = format!("the thread of the control socket cannot be started: {error}");
            Refused::by_system(&running.prepared.plan, &title)
        };
        let is_told = !endpoint.is_first();
        let (waker, of_thread) = (running.waker.another(), running.waker.another());
        let (waker, of_thread) = (waker.map_err(refused)?, of_thread.map_err(refused)?);
        let stop = stop(running.interrupt.clone(), running.waker.another().map_err(refused)?);
        let of_hook = Arc::clone(&log_level);
        let clock = Clock::new();
        let now = Arc::new(move || Duration::from_nanos(clock.mono_ns()));
        let unix = Arc::new(|| Duration::from_nanos(Clock::new().unix_ns()));
        let hooks = Hooks { stop, now, unix, log_level: Box::new(move |level| of_hook(level)) };
        let (server, calls) = Server::start(endpoint, of_thread, hooks).map_err(refused)?;
        // Clients find the first of a user by themselves; any other has to be told to them.
        log::log!(
            if is_told { log::Level::Info } else { log::Level::Debug },
            "control socket {}",
            server.path().display()
        );
        let log_level = HeldLevel(log_level);
        let plan = Arc::downgrade(&running.prepared.plan);
        Ok(Self {
            server,
            calls,
            overviews: VecDeque::new(),
            pages: Pages::default(),
            tappings: VecDeque::new(),
            waker,
            log_level,
            plan,
            generation: 0,
            quiets: Quiets::new(),
            hand_over: None,
            given_up: 0,
        })
    }

    /// What the socket has counted.
    pub(super) fn counts(&self) -> ControlCounts {
        ControlCounts { take_overs_given_up: self.given_up, ..self.server.counts() }
    }

    /// Answers from now on: nobody else does any more.
    pub(super) fn open(&mut self) {
        self.server.open();
    }

    /// Whether another daemon takes over.
    pub(super) fn is_handing_over(&self) -> bool {
        self.hand_over.is_some()
    }

    /// Does what a daemon asks for that takes over. Returns its process once it has everything.
    pub(super) fn hand_over(
        &mut self,
        running: &mut Running,
        metrics: Option<BorrowedFd<'_>>,
    ) -> Option<Taker> {
        let hand_over = self.hand_over.as_mut()?;
        match hand_over.attend(running, &self.server.listener(), metrics) {
            Outcome::GoesOn => return None,
            Outcome::GivenUp(why) => {
                self.note_given_up(&why);
                return None;
            }
            Outcome::Over => {}
        }
        let pid = self.hand_over.take()?.pid();
        self.server.close();
        log::info!("{} has taken over: what is due is still sent", named(pid));
        Some(Taker { pid })
    }

    /// The daemon is to end: nobody takes over. False: somebody may have the sockets already, which is not known yet.
    pub(super) fn refuse_hand_over(&mut self, running: &mut Running) -> bool {
        let Some(hand_over) = &mut self.hand_over else { return true };
        if hand_over.is_held() {
            return false;
        }
        let why = "it ends itself";
        hand_over.refuse(running, why);
        self.note_given_up(why);
        true
    }

    /// The daemon has ended. A hand-over that is not over may have given the control socket away: it stays where it is.
    pub(super) fn leave(&mut self) {
        if self.hand_over.is_some() {
            self.server.close();
        }
    }

    fn note_given_up(&mut self, why: &str) {
        // What could not go on meanwhile does.
        self.waker.wake();
        let pid = self.hand_over.take().and_then(|hand_over| hand_over.pid());
        self.given_up += 1;
        log::warn!(
            "the take-over by {} was given up, everything goes on here: {}",
            named(pid),
            Escaped(why.as_bytes())
        );
    }

    /// Takes requests, and does the next part of what takes longer.
    pub(super) fn attend(&mut self, running: &mut Running, reloading: &mut Reloading) {
        while let Ok(Call { request, reply, feed, hand }) = self.calls.try_recv() {
            match request {
                Request::Status(params) => {
                    self.overviews.extend(Overview::begin(params, reply, running, &mut self.pages));
                }
                Request::Peers(params) => reply.send(peers::answer(&params, running)),
                Request::Configuration(params) => {
                    let plan = Arc::downgrade(&running.prepared.plan);
                    if !plan.ptr_eq(&self.plan) {
                        (self.plan, self.generation) = (plan, self.generation + 1);
                    }
                    let page = configured::page(&running.prepared, &params, self.generation);
                    reply.send(Ok(Answer::Configuration(Box::new(page))));
                }
                // While it ends there is nothing to be changed any more, and a reply that is dropped says why.
                Request::Reload
                | Request::Set(_)
                | Request::Add(_)
                | Request::Remove(_)
                | Request::PluginReload(_)
                | Request::Pause(_)
                | Request::Resume(_)
                | Request::Drain(_)
                | Request::TakeOver(_)
                    if running.reactor.is_ending() =>
                {
                    drop(reply);
                }
                Request::Reload
                | Request::Set(_)
                | Request::Add(_)
                | Request::Remove(_)
                | Request::PluginReload(_)
                | Request::TakeOver(_)
                    if self.hand_over.is_some() =>
                {
                    let words = "another daemon takes over; ask again later";
                    reply.send(Err(Error::new(code::BUSY, words)));
                }
                Request::TakeOver(params) => self.begin_hand_over(&params, hand, reply, running, reloading),
                Request::Reload => reloading.ask(reply),
                Request::Set(params) => reloading.set(params, reply),
                Request::Add(params) => reloading.add(params, reply),
                Request::Remove(params) => reloading.remove(params, reply),
                Request::PluginReload(params) => reloading.plugin(params, reply),
                Request::Pause(params) => self.quiets.pause(running, params, reply),
                Request::Resume(params) => self.quiets.resume(running, params, reply),
                Request::Drain(params) => self.quiets.drain(running, params, reply),
                Request::Tap(params) => {
                    let tapping = feed.and_then(|feed| Tapping::begin(&params, feed, reply, running));
                    self.tappings.extend(tapping);
                }
                // The thread of the socket does these by itself, and has nothing to ask for.
                Request::Hello | Request::LogLevel(_) | Request::Stop => {}
            }
        }
        self.quiets.attend(running);
        if let Some(tapping) = self.tappings.front_mut() {
            if tapping.go_on(running)
                && let Some(tapping) = self.tappings.pop_front()
            {
                tapping.finish(running);
            }
            if !self.tappings.is_empty() {
                self.waker.wake();
            }
        }
        let Some(overview) = self.overviews.front_mut() else { return };
        if overview.go_on(running)
            && let Some(overview) = self.overviews.pop_front()
        {
            let around = Around { log_level: self.log_level.0(None), control: self.counts() };
            overview.finish(running, around, &mut self.pages);
        }
        if !self.overviews.is_empty() {
            self.waker.wake();
        }
    }
}

impl Control {
    fn begin_hand_over(
        &mut self,
        params: &TakeOverParams,
        hand: Option<Hand>,
        reply: Reply,
        running: &Running,
        reloading: &Reloading,
    ) {
        if params.version != TAKE_OVER_VERSION {
            let words = format!(
                "this daemon (version {}) hands over as of version {TAKE_OVER_VERSION} of the messages, and was asked for {}; stop it, and start the other one",
                env!("CARGO_PKG_VERSION"),
                params.version
            );
            return reply.send(Err(Error::new(code::REFUSED, words)));
        }
        if reloading.is_busy() {
            return reply.send(Err(Error::new(code::BUSY, "a reload is under way; ask again later")));
        }
        let Some(hand) = hand else { return };
        self.hand_over = Some(HandOver::new(hand));
        let sockets = running.prepared.plan.sockets();
        reply.send(Ok(Answer::HandingOver(HandingOver { take_over: TAKE_OVER_VERSION, sockets })));
    }
}

/// Who has taken over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taker {
    pub(super) pid: Option<u32>,
}

/// Asks for the end, as SIGTERM does.
fn stop(interrupt: Interrupt, waker: Waker) -> Box<dyn Fn() + Send> {
    let waker = std::sync::Mutex::new(waker);
    Box::new(move || {
        log::info!("asked to end by the control socket");
        interrupt.ask();
        waker.lock().unwrap_or_else(std::sync::PoisonError::into_inner).wake();
    })
}
