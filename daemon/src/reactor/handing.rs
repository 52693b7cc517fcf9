//! The sockets of all listeners go from one process to another, with what waits in them.
//!
//! ```text
//! the one before                                   the one that follows
//!                                                  hold_back --> listeners are added; nothing is set on their sockets
//! fall_silent --> nothing is received any more
//!             --> part_with: the end with grace    claimed --> what was held back is done; turns begin
//!             --> or hear_again: nothing has happened
//! ```

use std::time::Duration;

use super::core::{Reactor, current};
use super::grace::Ending;
use super::io::{Io, Needs, Token, nanos};
use super::listener::{Service, Standing};
use crate::limits::CHANGE_LOOKS;

impl<I: Io> Reactor<I> {
    /// Receives nothing more, from this moment on: what lies in the sockets is for another process. Whatever waits to be sent leaves when it
    /// is due. It stays so until [`Self::part_with`] or [`Self::hear_again`]. False if the service ends already, or listeners are being
    /// changed.
    pub fn fall_silent(&mut self) -> bool {
        if self.ending.is_some() || self.change.is_some() {
            return false;
        }
        let now_ns = self.core.io.now().mono_ns;
        self.core.waiting.end_rest();
        for (_, listener) in &mut self.listeners {
            listener.deaf = true;
        }
        self.ending = Some(Box::new(Ending { held: true, ..Ending::new(u64::MAX, now_ns) }));
        true
    }

    /// The other process has not come to it: everything goes on as before [`Self::fall_silent`].
    pub fn hear_again(&mut self) {
        if self.ending.take_if(|ending| ending.held).is_none() {
            return;
        }
        let Self { listeners, core, ready, .. } = self;
        for (_, listener) in listeners {
            // Who is paused stays so.
            if listener.standing != Standing::Here || listener.broken {
                continue;
            }
            listener.deaf = false;
            listener.resume(&mut core.io, &mut core.timers, core.now.mono_ns);
            ready.push(listener.token, &mut listener.ready);
        }
    }

    /// The other process has the sockets: the service ends within `grace`, as [`Self::end_within`] has it, and reads none of them.
    pub fn part_with(&mut self, grace: Duration) {
        let now_ns = self.core.io.now().mono_ns;
        if let Some(ending) = self.ending.as_mut().filter(|ending| ending.held) {
            ending.held = false;
            ending.until_ns = now_ns.saturating_add(nanos(grace));
            ending.look_ns = now_ns;
            ending.unwatched = Some(0);
        }
    }

    /// Has some of the sockets watched no more that are another process's: what comes to them would wake this one as well. Returns
    /// whether there are more.
    pub(super) fn unwatch_some(&mut self, ending: &mut Ending) -> bool {
        let Some(from) = ending.unwatched else { return false };
        let Self { listeners, core, used_slots, .. } = self;
        let to = (from + CHANGE_LOOKS).min(*used_slots);
        for slot in from..to {
            if let Some(listener) = listeners.get_mut(slot).filter(|listener| !listener.broken) {
                listener.resume(&mut core.io, &mut core.timers, core.now.mono_ns);
            }
        }
        ending.unwatched = (to < *used_slots).then_some(to);
        ending.unwatched.is_some()
    }

    /// Listeners that are added from now on get their handlers, and nothing is set on their sockets, until
    /// [`Self::claimed`]: somebody else may still read them.
    pub fn hold_back(&mut self) {
        self.core.held_back = Some(Vec::new());
    }

    /// Nobody else reads the sockets any more, and each was [claimed](super::Socket::claim): does what was held back.
    pub fn claimed(&mut self) {
        let Some(held) = self.core.held_back.take() else { return };
        for (token, needs) in held {
            let Self { listeners, core, network, .. } = self;
            let Some(listener) = current(listeners, token) else { continue };
            if network.add(&mut core.io, listener, needs) {
                core.host.changed(core.now.mono_ns);
            }
            if let Service::Running(instance) = &listener.service {
                let groups = instance.take_groups();
                core.apply_groups(listener, &groups);
            }
        }
    }

    /// Notes what a listener needs of the network, or does it.
    pub(super) fn need(&mut self, token: Token, needs: Needs) {
        let Self { listeners, core, network, .. } = self;
        if let Some(held) = &mut core.held_back {
            held.push((token, needs));
            return;
        }
        let Some(listener) = current(listeners, token) else { return };
        if network.add(&mut core.io, listener, needs) {
            core.host.changed(core.now.mono_ns);
        }
    }
}
