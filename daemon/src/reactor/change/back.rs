//! A new handler breaks while it is on trial: the one before serves again.

use crate::reactor::core::Core;
use crate::reactor::due::Timer;
use crate::reactor::io::Io;
use crate::reactor::listener::Listener;

impl<I: Io> Core<I> {
    /// Has what served before the last change serve again, if the handler that broke is on trial. Returns whether it is.
    pub(in crate::reactor) fn roll_back(&mut self, listener: &mut Listener<I::Socket>) -> bool {
        let Some(former) = self.trial.take(listener.token, self.now.mono_ns) else { return false };
        self.kept_bytes -= former.bytes();
        log::error!(
            "{listener}: the new handler broke within its first second: {} (generation {}) serves again, with the \
             options it had; the next reload tries once more",
            former.plugin.identity(),
            former.plugin.generation()
        );
        let is_heir = listener.plugin.name() == former.plugin.name();
        let faults = listener.faults.get_or_insert_default();
        if !is_heir {
            faults.forget_places();
        }
        if former.state.is_some() || !is_heir {
            // What the new one has left may be what is wrong.
            self.kept_bytes -= faults.kept.state.take().map_or(0, |state| state.bytes.len());
            self.kept_bytes += former.bytes();
            faults.kept.state = former.state;
        }
        let closed = listener.is_closed();
        listener.plugin = former.plugin;
        self.own.set_closed(listener.local, closed, listener.is_closed());
        listener.values = former.values;
        self.timers.arm(listener.token, Timer::Restart, self.now.mono_ns, 0);
        true
    }
}
