//! From one [`Watch`] to another. Nothing else changes what a socket is watched for.

use super::slot::{Listener, Service};
use super::watch::Watch;
use crate::limits::RESUME_AFTER;
use crate::reactor::due::{Timer, Timers};
use crate::reactor::io::{Interest, Io, nanos};

impl<S> Listener<S> {
    /// Watches the socket for `interest`. False when that is not possible; then everything is as it was.
    pub(crate) fn watch_for<I: Io<Socket = S>>(&mut self, io: &mut I, interest: Interest) -> bool {
        match io.watch(&mut self.socket, self.token, interest) {
            Ok(()) => {
                self.set_watch(Watch::Watched);
                self.watch_failed = false;
                true
            }
            Err(error) => {
                if !std::mem::replace(&mut self.watch_failed, true) {
                    log::error!("{self}: cannot be watched for {interest:?}: {error}");
                }
                false
            }
        }
    }

    /// Stops to watch a busy listener, which is visited every turn then. One that waits for room to send, or serves
    /// nobody, needs its events.
    #[cold]
    pub(crate) fn poll<I: Io<Socket = S>>(&mut self, io: &mut I) {
        let serves = matches!(self.service, Service::Running(_)) && self.backlog.is_empty();
        if serves && self.watch_for(io, Interest::NOTHING) {
            self.set_watch(Watch::Polled);
        }
    }

    /// Watches a socket again that gave only errors, or was polled; when that is not possible, later.
    pub(crate) fn resume<I: Io<Socket = S>>(&mut self, io: &mut I, timers: &mut Timers, now_ns: u64) {
        let interest = if self.backlog.is_empty() { Interest::READ } else { Interest::READ_WRITE };
        if !self.watch_for(io, interest) {
            self.pause(io, timers, now_ns);
        }
    }

    /// The error did not go away, and no event will tell when it does: look again in a while, without
    /// keeping the loop busy (R16).
    pub(crate) fn pause<I: Io<Socket = S>>(&mut self, io: &mut I, timers: &mut Timers, now_ns: u64) {
        // Unwatched meanwhile: a socket that is ready to give errors would end every wait at once.
        let unwatched = self.watch_for(io, Interest::NOTHING);
        self.set_watch(if unwatched { Watch::Paused } else { Watch::Unwatchable });
        timers.arm(self.token, Timer::Resume, now_ns.saturating_add(nanos(RESUME_AFTER)), 0);
    }

    /// Nothing brings it back any more: its socket is unusable, or it is being removed.
    pub(crate) fn forget<I: Io<Socket = S>>(&mut self, io: &mut I) {
        // An unusable descriptor cannot be taken out of the watch either; it then raises nothing.
        io.watch(&mut self.socket, self.token, Interest::NOTHING).unwrap_or(());
        self.set_watch(Watch::Watched);
    }

    /// Whether every turn visits it.
    #[inline]
    pub(crate) fn is_polled(&self) -> bool {
        self.watch == Watch::Polled
    }

    fn set_watch(&mut self, watch: Watch) {
        self.watch = watch;
        self.polling.restart(watch == Watch::Polled);
    }
}
