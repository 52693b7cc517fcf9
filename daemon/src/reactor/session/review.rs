//! Whether a session may lead to another listener of the same daemon, when it is opened and when listeners have changed.

use std::net::SocketAddr;

use super::chain::{Link, Speaker};
use crate::exchange::SessionEnd;
use crate::guard::{self, Changed};
use crate::limits::OPEN_WARNING_NS;
use crate::metrics::DropReason;
use crate::reactor::core::{Core, Reactor, current};
use crate::reactor::io::Io;
use crate::reactor::listener::Listener;

impl<I: Io> Core<I> {
    /// Where a session of a listener to `to` leads within this daemon; none if it leaves it.
    ///
    /// # Errors
    /// It must not be: see [`guard::dial`], or it would lead back. What the configuration can allow is logged.
    pub(super) fn link(
        &mut self,
        listener: &Listener<I::Socket>,
        to: SocketAddr,
    ) -> Result<Option<Link>, DropReason> {
        let at = guard::dial(&self.own, &listener.reply, to).inspect_err(|reason| {
            if *reason == DropReason::OwnListener {
                let why = "the handler of the listener there opens sessions itself; `chain = true` in its [[listen]] table \
                           allows it, if what is sent cannot come back here";
                self.warn_of_chain(listener, to, why);
            }
        })?;
        let Some(at) = at else { return Ok(None) };
        let alone = Speaker::At(bare(listener.local));
        let link = Link { from: listener.seat().map_or(alone, |seat| Speaker::Bundle(seat.bundle)), to: at };
        if self.sessions.chain.leads(link.to, link.from) {
            let why =
                "sessions lead from there back to this listener, and what is sent would go round for ever";
            self.warn_of_chain(listener, to, why);
            return Err(DropReason::OwnListener);
        }
        Ok(Some(link))
    }

    /// Notes that a listener is served from now on. Where its handler has other addresses too, a way back to one of them is one to
    /// all.
    pub(in crate::reactor) fn join_chain(&mut self, listener: &Listener<I::Socket>) {
        self.own.add(listener.local, listener.is_closed());
        if let Some(seat) = listener.seat().filter(|_| listener.plugin.has_sessions()) {
            self.sessions.chain.join(bare(listener.local), seat.bundle);
        }
    }

    /// Notes that a listener is there no more.
    pub(in crate::reactor) fn part_chain(&mut self, listener: &Listener<I::Socket>) {
        self.own.remove(listener.local, listener.is_closed());
        if let Some(seat) = listener.seat() {
            self.sessions.chain.part(bare(listener.local), seat.bundle);
        }
    }

    #[cold]
    fn warn_of_chain(&mut self, listener: &Listener<I::Socket>, to: SocketAddr, why: &str) {
        let (now_ns, said_ns) = (self.now.mono_ns, &mut self.sessions.chain.said_ns);
        if said_ns.is_none_or(|said| now_ns.saturating_sub(said) >= OPEN_WARNING_NS) {
            *said_ns = Some(now_ns);
            log::warn!("{listener}: no session to {to}, which is a listener of this daemon: {why}");
        }
    }
}

impl<I: Io> Reactor<I> {
    /// Looks at sessions again if listeners or addresses of this host have changed: where one leads may be another place
    /// now, and one that must not be any more ends.
    #[inline]
    pub(in crate::reactor) fn review_sessions(&mut self) {
        let Core { own, sessions, .. } = &mut self.core;
        if let Some(changed) = own.take_changed(|port| sessions.lead_to(port)) {
            self.review(changed);
        }
    }

    #[cold]
    fn review(&mut self, changed: Changed) {
        let Core { sessions, own, .. } = &mut self.core;
        let meant = match changed {
            Changed::Host => {
                let moved = sessions.near.take_moved(|to| own.receiver(to));
                moved.iter().for_each(|(id, _)| sessions.chain.remove(*id));
                moved
            }
            Changed::Listeners => {
                sessions.chain.clear();
                sessions.near.clear();
                let all = sessions.connected(|to| own.may_serve(to));
                all.iter().for_each(|(id, to)| sessions.near.add(*to, *id, own.receiver(*to)));
                all
            }
        };
        for (id, to) in meant {
            // A handler that was told of the end of another one may have ended it.
            let Some(owner) = self.core.sessions.get(id).map(|session| session.owner) else { continue };
            let Some(listener) = current(&mut self.listeners, owner) else { continue };
            match self.core.link(listener, to) {
                Ok(Some(link)) => self.core.sessions.chain.add(id, link),
                Err(DropReason::OwnListener) => {
                    self.core.end_alone(listener, id, SessionEnd::RefusedAddress);
                    self.run_errands();
                }
                // A policy is about sessions to come.
                Ok(None) | Err(_) => {}
            }
        }
    }
}

/// An address without what only one interface knows of it, as the guard has those of listeners.
fn bare(local: SocketAddr) -> SocketAddr {
    SocketAddr::new(local.ip(), local.port())
}
