//! The thread that has all connections. It waits in `poll(2)` for clients, for answers of the loop, and for the end.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError};
use std::time::Duration;

use polyport_terminal::{Waker, aside};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::calls::{Answered, Call, Reply, poke};
use super::counts::{Counts, count};
use super::endpoint::Endpoint;
use super::frame::{self, Id, Incoming};
use super::give;
use super::peer::is_permitted;
use super::talk::{Found, Moment, State, Talk};
use super::tap;
use super::wire::{Answer, ControlCounts, Error, Level, Logged, Request, Stopping, code};
use crate::tap::Feed;

/// Connections at a time: more than an operator, a `top` and a script have. One more gets the place of the one that was idle
/// longest.
pub(super) const CONNECTIONS: usize = 16;
/// Requests that wait for the loop; one more is told so.
pub(super) const REQUESTS: usize = 8;
/// Lines of one connection that are looked at before those of the others.
const LINES_A_LOOK: usize = 32;
/// How long the end of the daemon waits for clients to read their answers.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long nobody is accepted after the system had no descriptor for one.
const NO_DESCRIPTORS: Duration = Duration::from_millis(100);

/// What the thread does by itself, so that it works when the loop is stuck in a handler.
pub struct Hooks {
    /// Asks for the end of the daemon, as SIGTERM does.
    pub stop: Box<dyn Fn() + Send>,
    /// A clock that only goes forward.
    pub now: Arc<dyn Fn() -> Duration + Send + Sync>,
    /// Unix time.
    pub unix: Arc<dyn Fn() -> Duration + Send + Sync>,
    /// Says, or sets, how much is logged.
    pub log_level: Box<dyn Fn(Option<Level>) -> Level + Send>,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooks")
    }
}

/// The thread, from outside. Dropping it ends the thread and removes the socket.
#[derive(Debug)]
pub struct Server {
    endpoint: Endpoint,
    ending: Arc<AtomicBool>,
    closed: Arc<AtomicBool>,
    wake: Arc<UnixStream>,
    counts: Arc<Counts>,
    ended: Receiver<()>,
}

impl Server {
    /// Starts the thread. Requests come out of the receiver, after `waker` was used.
    ///
    /// # Errors
    /// Those of `socketpair(2)` and `pthread_create(3)`.
    pub fn start(endpoint: Endpoint, waker: Waker, hooks: Hooks) -> io::Result<(Self, Receiver<Call>)> {
        let listener = endpoint.listener();
        let (woken, wake) = UnixStream::pair()?;
        woken.set_nonblocking(true)?;
        wake.set_nonblocking(true)?;
        let (wake, ending, counts) = (Arc::new(wake), Arc::default(), Arc::<Counts>::default());
        let closed = Arc::new(AtomicBool::new(endpoint.is_shared()));
        let (calls, requests) = mpsc::sync_channel(REQUESTS);
        let (answered, answers) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let thread = Clerk {
            listener,
            woken,
            wake: Arc::clone(&wake),
            ending: Arc::clone(&ending),
            closed: Arc::clone(&closed),
            talks: Vec::new(),
            waiting: VecDeque::new(),
            numbers: 0,
            calls,
            waker,
            answered,
            answers,
            hooks,
            counts: Arc::clone(&counts),
            accepts_again: None,
            taps: Vec::new(),
            gives: Vec::new(),
            end: end.clone(),
        };
        aside("control", move || {
            thread.run();
            drop(end);
        })?;
        Ok((Self { endpoint, ending, closed, wake, counts, ended }, requests))
    }

    /// What was counted so far.
    #[must_use]
    pub fn counts(&self) -> ControlCounts {
        self.counts.read()
    }

    /// The socket, for another process that is to have it as well.
    #[must_use]
    pub fn listener(&self) -> Arc<UnixListener> {
        self.endpoint.listener()
    }

    /// From now on this process alone answers on the socket.
    pub fn open(&mut self) {
        self.endpoint.claim();
        self.closed.store(false, Relaxed);
        poke(&self.wake);
    }

    /// The socket is another process's: nobody else is answered here, and it is not removed at the end.
    pub fn close(&mut self) {
        self.endpoint.disown();
        self.closed.store(true, Relaxed);
        poke(&self.wake);
    }

    /// Where the socket is.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        self.endpoint.path()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ending.store(true, Relaxed);
        poke(&self.wake);
        // One that is stuck in the kernel is left behind.
        let ended = self.ended.recv_timeout(2 * LAST_WORDS);
        if ended == Err(RecvTimeoutError::Timeout) {
            log::debug!("control socket: its thread has not ended in time");
        }
    }
}

/// What the thread has.
pub(super) struct Clerk {
    listener: Arc<UnixListener>,
    woken: UnixStream,
    wake: Arc<UnixStream>,
    pub(super) ending: Arc<AtomicBool>,
    /// Somebody else accepts.
    closed: Arc<AtomicBool>,
    pub(super) talks: Vec<Talk>,
    /// Requests that have no answer yet, with their ids; none for those that want no answer.
    pub(super) waiting: VecDeque<(u64, Option<Id>)>,
    /// The number of the request that came last.
    numbers: u64,
    calls: SyncSender<Call>,
    pub(super) waker: Waker,
    answered: Sender<Answered>,
    answers: Receiver<Answered>,
    pub(super) hooks: Hooks,
    counts: Arc<Counts>,
    /// Taps whose requests have no answer yet, with the numbers of these.
    pub(super) taps: Vec<(u64, tap::Pending)>,
    /// Take-overs whose requests have no answer yet, as those of taps.
    pub(super) gives: Vec<(u64, give::Pending)>,
    /// Held by every thread whose end is waited for.
    pub(super) end: Sender<()>,
    /// Nobody is accepted before this moment.
    accepts_again: Option<Moment>,
}

impl Clerk {
    fn run(mut self) {
        let mut last_words = None;
        loop {
            let now = (self.hooks.now)();
            while let Ok((number, answer)) = self.answers.try_recv() {
                self.answer(number, &answer, now);
            }
            if self.ending.load(Relaxed) && last_words.is_none() {
                last_words = Some(now + LAST_WORDS);
            }
            if last_words.is_some_and(|until| until <= now || !self.has_something_to_say()) {
                return;
            }
            let ready = match self.wait(now, last_words) {
                Ok(ready) => ready,
                Err(error) => {
                    log::error!("control socket: waiting failed, nobody is answered any more: {error}");
                    return;
                }
            };
            let now = (self.hooks.now)();
            let mut bytes = [0; 64];
            while self.woken.read(&mut bytes).is_ok_and(|n| n > 0) {}
            self.look_after_talks(&ready, now);
            if self.accepts_again.is_some_and(|again| again <= now) {
                self.accepts_again = None;
            }
            if self.accepts(last_words) {
                self.accept(now);
            }
        }
    }

    fn accepts(&self, last_words: Option<Moment>) -> bool {
        last_words.is_none() && self.accepts_again.is_none() && !self.closed.load(Relaxed)
    }

    /// Whether a client has an answer to read or to wait for.
    fn has_something_to_say(&self) -> bool {
        self.talks.iter().any(|talk| talk.state != State::Reading)
    }

    /// Waits. Returns what has come for each connection, in their order: none may go before it was looked after.
    fn wait(&self, now: Moment, last_words: Option<Moment>) -> io::Result<Vec<PollFlags>> {
        let deadlines = self.talks.iter().filter_map(Talk::deadline);
        let deadlines = deadlines.chain(self.accepts_again).chain(last_words);
        // A millisecond more: who wakes too early would look in vain.
        let timeout = deadlines.min().map(|at| at.saturating_sub(now) + Duration::from_millis(1));
        let timeout = if self.talks.iter().any(Talk::is_pending) { Some(Duration::ZERO) } else { timeout };
        let timeout = timeout.and_then(|time| Timespec::try_from(time).ok());
        let listens = if self.accepts(last_words) { PollFlags::IN } else { PollFlags::empty() };
        let mut fds = vec![
            PollFd::new(&self.woken, PollFlags::IN),
            PollFd::from_borrowed_fd(self.listener.as_fd(), listens),
        ];
        for talk in &self.talks {
            let flags = match talk.state {
                State::Reading => PollFlags::IN,
                State::Waiting(_) => PollFlags::empty(),
                State::Writing => PollFlags::OUT,
            };
            fds.push(PollFd::from_borrowed_fd(talk.stream.as_fd(), flags));
        }
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(fds.iter().skip(2).map(PollFd::revents).collect())
    }

    /// Has every connection do what it can.
    fn look_after_talks(&mut self, ready: &[PollFlags], now: Moment) {
        let mut kept = Vec::with_capacity(CONNECTIONS);
        let ready = ready.iter().copied().chain(std::iter::repeat(PollFlags::empty()));
        for (mut talk, flags) in std::mem::take(&mut self.talks).into_iter().zip(ready) {
            // Of who has closed both ways, what was sent before is read all the same.
            let gone = flags.intersects(PollFlags::HUP | PollFlags::ERR) && !flags.contains(PollFlags::IN);
            if !gone && self.look_after(&mut talk, now) {
                kept.push(talk);
            } else if let State::Waiting(number) = talk.state {
                self.waiting.retain(|(other, _)| *other != number);
            }
        }
        self.talks = kept;
    }

    /// Has a connection do what it can. Returns whether it goes on.
    fn look_after(&mut self, talk: &mut Talk, now: Moment) -> bool {
        if talk.deadline().is_some_and(|deadline| deadline <= now) && !self.is_late(talk, now) {
            return false;
        }
        let mut lines = LINES_A_LOOK;
        while lines > 0 {
            match talk.state {
                State::Waiting(_) => return true,
                State::Writing => {
                    if !talk.write(now) {
                        return false;
                    }
                    if talk.state == State::Writing {
                        return true;
                    }
                }
                State::Reading => match talk.read(now) {
                    Found::Nothing => return true,
                    Found::Gone => return false,
                    Found::TooLong => {
                        count(&self.counts.too_long);
                        let bytes = super::talk::LINE_BYTES;
                        let words = format!("a line has {bytes} bytes at most; the connection ends");
                        refuse(talk, code::TOO_LONG, &words, now);
                    }
                    Found::Line(line) => {
                        lines -= 1;
                        if !line.trim_ascii().is_empty() {
                            self.request(talk, &line, now);
                        }
                    }
                },
            }
        }
        true
    }

    /// Deals with a connection that waits for too long. Returns whether it goes on.
    fn is_late(&mut self, talk: &mut Talk, now: Moment) -> bool {
        match talk.state {
            State::Waiting(number) => {
                count(&self.counts.unanswered);
                let seconds = super::talk::ANSWER_TIME.as_secs();
                let words = format!(
                    "the loop of the daemon has not answered for {seconds} s; what was asked for may still be done"
                );
                let id = self.take_waiting(number).flatten();
                let answer = Err(Error::new(code::UNANSWERED, words));
                match id {
                    Some(id) => talk.answer(frame::written(&id, &answer), false, now),
                    None => talk.go_on(now),
                }
                true
            }
            State::Reading => {
                count(&self.counts.slow);
                let seconds = super::talk::LINE_TIME.as_secs();
                let words = format!("a line has to be whole in {seconds} s; the connection ends");
                refuse(talk, code::SLOW, &words, now);
                true
            }
            State::Writing => {
                count(&self.counts.slow);
                false
            }
        }
    }

    /// What a line asks for.
    fn request(&mut self, talk: &mut Talk, line: &[u8], now: Moment) {
        count(&self.counts.requests);
        let Incoming { id, request } = frame::read(line);
        let answer = match request {
            Err(error) => Err(error),
            Ok(Request::Hello) => Ok(Answer::Hello(frame::hello())),
            Ok(Request::LogLevel(level)) => {
                Ok(Answer::Logged(Logged { level: (self.hooks.log_level)(level) }))
            }
            Ok(Request::Stop) => {
                (self.hooks.stop)();
                Ok(Answer::Stopping(Stopping { stopping: true }))
            }
            Ok(
                request @ (Request::Status(_)
                | Request::Peers(_)
                | Request::Configuration(_)
                | Request::Reload
                | Request::PluginReload(_)
                | Request::Set(_)
                | Request::Add(_)
                | Request::Remove(_)
                | Request::Pause(_)
                | Request::Resume(_)
                | Request::Drain(_)
                | Request::Tap(_)
                | Request::TakeOver(_)),
            ) => match self.ask_for(request) {
                Ok(number) => {
                    self.waiting.push_back((number, id));
                    talk.wait_for(number, now);
                    return;
                }
                Err(error) => Err(error),
            },
        };
        match id {
            Some(id) => talk.answer(frame::written(&id, &answer), false, now),
            None => talk.go_on(now),
        }
    }

    /// Asks the loop.
    pub(super) fn ask(
        &mut self,
        request: Request,
        (feed, hand): (Option<Feed>, Option<give::Hand>),
    ) -> Result<u64, Error> {
        self.numbers += 1;
        let reply = Reply::new(self.numbers, self.answered.clone(), Arc::clone(&self.wake));
        match self.calls.try_send(Call { request, reply, feed, hand }) {
            Ok(()) => {
                self.waker.wake();
                Ok(self.numbers)
            }
            Err(error) => {
                let (call, refusal) = match error {
                    TrySendError::Full(call) => {
                        count(&self.counts.busy);
                        let words = format!("{REQUESTS} requests wait already; ask again later");
                        (call, Error::new(code::BUSY, words))
                    }
                    TrySendError::Disconnected(call) => (call, Error::new(code::ENDING, "the daemon ends")),
                };
                // It is answered here.
                call.reply.forget();
                Err(refusal)
            }
        }
    }

    /// Hands an answer to who waits for it, if anybody still does.
    fn answer(&mut self, number: u64, answer: &Result<Answer, Error>, now: Moment) {
        let Some(id) = self.take_waiting(number) else { return self.forget_take_over(number) };
        if matches!(answer, Ok(Answer::Tapping(_))) {
            let line = id.map(|id| frame::written(&id, answer)).unwrap_or_default();
            return self.begin_tap(number, line);
        }
        if matches!(answer, Ok(Answer::HandingOver(_))) {
            let line = id.map(|id| frame::written(&id, answer)).unwrap_or_default();
            return self.begin_take_over(number, line);
        }
        self.forget_take_over(number);
        let Some(talk) = self.talks.iter_mut().find(|talk| talk.state == State::Waiting(number)) else {
            return;
        };
        match id {
            Some(id) => talk.answer(frame::written(&id, answer), false, now),
            None => talk.go_on(now),
        }
    }

    fn take_waiting(&mut self, number: u64) -> Option<Option<Id>> {
        let at = self.waiting.iter().position(|(other, _)| *other == number)?;
        self.waiting.remove(at).map(|(_, id)| id)
    }

    /// Takes connections that wait, as many as there may be at most, so that those that are there have their turn.
    fn accept(&mut self, now: Moment) {
        for _ in 0..CONNECTIONS {
            match self.listener.accept() {
                Ok((stream, _)) => self.welcome(stream, now),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    log::debug!("control socket: a connection cannot be accepted: {error}");
                    self.accepts_again = Some(now + NO_DESCRIPTORS);
                    return;
                }
            }
        }
    }

    fn welcome(&mut self, stream: UnixStream, now: Moment) {
        count(&self.counts.connections);
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        let mut talk = Talk::new(stream, now);
        if !is_permitted(&talk.stream) {
            count(&self.counts.strangers);
            return tell_off(
                &mut talk,
                code::STRANGER,
                "this is for the user of the daemon and for root",
                now,
            );
        }
        if self.talks.len() >= CONNECTIONS {
            let idle = self.talks.iter().enumerate().filter_map(|(at, talk)| Some((talk.idle_since()?, at)));
            match idle.min() {
                Some((_, at)) => {
                    count(&self.counts.evicted);
                    let mut oldest = self.talks.remove(at);
                    let words = format!("{CONNECTIONS} connections are open, and this one was idle longest");
                    tell_off(&mut oldest, code::NO_ROOM, &words, now);
                }
                None => {
                    count(&self.counts.refused);
                    let words = format!("{CONNECTIONS} connections are open, and all of them are busy");
                    return tell_off(&mut talk, code::NO_ROOM, &words, now);
                }
            }
        }
        if self.look_after(&mut talk, now) {
            self.talks.push(talk);
        }
    }
}

/// Says why a connection ends, as its last words.
fn refuse(talk: &mut Talk, code: i32, words: &str, now: Moment) {
    talk.answer(frame::written(&Id::Null, &Err(Error::new(code, words))), true, now);
}

/// Says why, if the client takes it at once, and that was it.
fn tell_off(talk: &mut Talk, code: i32, words: &str, now: Moment) {
    refuse(talk, code, words, now);
    talk.write(now);
}
