//! The transitions from one [`Watch`] to another. Between adding and removing a listener, nothing else changes what its
//! socket is watched for.

use super::slot::{Listener, Service};
use super::watch::Watch;
use crate::limits::RESUME_AFTER;
use crate::reactor::due::{Timer, Timers};
use crate::reactor::io::{Interest, Io, nanos};

impl<S> Listener<S> {
    /// Watches the socket for `interest`. Returns false when the kernel refuses; then nothing has changed.
    pub(crate) fn watch_for<I: Io<Socket = S>>(&mut self, io: &mut I, interest: Interest) -> bool {
        let interest = Interest { readable: interest.readable && !self.deaf, ..interest };
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

    /// Stops watching a busy listener, which every turn visits from then on. A listener with a backlog or without a
    /// running handler stays watched, because it needs its events.
    #[cold]
    pub(crate) fn poll<I: Io<Socket = S>>(&mut self, io: &mut I) {
        let serves = matches!(self.service, Service::Running(_)) && self.backlog.is_empty();
        if serves && self.watch_for(io, Interest::NOTHING) {
            self.set_watch(Watch::Polled);
        }
    }

    /// Watches a socket again that was paused or polled. When the kernel refuses, a timer tries again later.
    pub(crate) fn resume<I: Io<Socket = S>>(&mut self, io: &mut I, timers: &mut Timers, now_ns: u64) {
        let interest = if self.backlog.is_empty() { Interest::READ } else { Interest::READ_WRITE };
        if !self.watch_for(io, interest) {
            self.pause(io, timers, now_ns);
        }
    }

    /// Stops watching a socket that gives only errors. No event tells when that ends, so a timer brings the listener
    /// back after [`RESUME_AFTER`]; meanwhile the errors do not keep the loop busy (R16).
    pub(crate) fn pause<I: Io<Socket = S>>(&mut self, io: &mut I, timers: &mut Timers, now_ns: u64) {
        // A watched socket that has errors to give would end every wait at once.
        let unwatched = self.watch_for(io, Interest::NOTHING);
        self.set_watch(if unwatched { Watch::Paused } else { Watch::Unwatchable });
        timers.arm(self.token, Timer::Resume, now_ns.saturating_add(nanos(RESUME_AFTER)), 0);
    }

    /// Stops watching a socket for good, because it is unusable.
    pub(crate) fn forget<I: Io<Socket = S>>(&mut self, io: &mut I) {
        // The kernel may refuse that for an unusable descriptor, which raises no event anyway.
        io.watch(&mut self.socket, self.token, Interest::NOTHING).unwrap_or(());
        self.set_watch(Watch::Never);
    }

    /// Whether every turn visits the listener.
    #[inline]
    pub(crate) fn is_polled(&self) -> bool {
        self.watch == Watch::Polled
    }

    fn set_watch(&mut self, watch: Watch) {
        self.watch = watch;
        self.polling.restart(watch == Watch::Polled);
    }
}
