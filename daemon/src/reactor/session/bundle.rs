//! Sessions of a handler that serves several addresses. Each belongs to the address in whose call it was opened, and is visited
//! through it; a call about another address may use it all the same.

use std::slice;

use super::kept::Kept;
use super::outlet::SessionOutlet;
use super::settle::{Fate, delay_by, may_leave_by, resolve, show};
use crate::exchange::{SessionEnd, SessionInfo, SessionRequest};
use crate::reactor::bundle::{Asking, Bundle, Errand, Parcel};
use crate::reactor::core::{Core, Reactor, current};
use crate::reactor::io::{Io, Token};
use crate::reactor::listener::Listener;
use crate::reactor::send::Transmitter;
use crate::reactor::settle::{delay, may_leave};
use crate::reactor::till::Till;

impl<I: Io> Reactor<I> {
    /// The sessions of all addresses of a bundle, each with the address that has it.
    pub(in crate::reactor) fn sessions_of_bundle(&mut self, bundle: Token) -> Vec<(Token, SessionInfo)> {
        let core = &mut self.core;
        let all = core.bundles.get(bundle).map(Bundle::there).unwrap_or_default();
        let mut sessions = Vec::new();
        for (_, owner) in all {
            for id in core.sessions.ids_of(owner) {
                sessions.extend(core.sessions.get(id).map(|session| (owner, session.info())));
            }
        }
        sessions
    }

    /// Goes on with those sessions of a bundle that its new handler has kept, and ends the others.
    pub(in crate::reactor) fn keep_sessions_of_bundle(
        &mut self,
        sessions: Vec<(Token, SessionInfo)>,
        kept: &[(u64, u64)],
    ) {
        let mut owners: Vec<_> = sessions.into_iter().map(|(owner, _)| owner).collect();
        owners.dedup();
        let kept = Kept::new(kept);
        for owner in owners {
            if let Some(listener) = current(&mut self.listeners, owner) {
                self.core.keep(listener, &kept);
                self.core.exchange.clear(self.core.now.mono_ns, listener.local);
                self.core.tell(listener);
            }
        }
    }
}

impl<I: Io> Core<I> {
    /// Leaves a request to the address that has the session, if that is another one than `listener`, whose handler has several.
    #[inline]
    pub(super) fn asks_elsewhere(
        &mut self,
        listener: &Listener<I::Socket>,
        id: u64,
        request: &SessionRequest,
    ) -> bool {
        let Some(seat) = listener.seat() else { return false };
        let owner = self.sessions.get(id).map(|session| session.owner);
        let Some(owner) = owner.filter(|owner| *owner != listener.token) else { return false };
        let (bundle, asker) = (seat.bundle, listener.token);
        self.errands.push(Errand::Ask(Asking { bundle, asker, owner, request: *request }));
        true
    }

    /// Carries out what was asked for in a call about another address.
    pub(in crate::reactor) fn ask_of_session(
        &mut self,
        listener: &mut Listener<I::Socket>,
        request: &SessionRequest,
    ) {
        self.exchange.clear(self.now.mono_ns, listener.local);
        self.with_family(listener, |core, listener, family| {
            let known = match *request {
                SessionRequest::User(id, user) => core.set_user(listener.token, id, user),
                SessionRequest::Idle(id, idle_ns) => core.set_idle(listener.token, id, idle_ns),
                SessionRequest::Close(id) if core.sessions.of(listener.token, id).is_some() => {
                    core.end_session(family, id, SessionEnd::Asked, 0);
                    true
                }
                // A client is whoever has asked at the address that has the session.
                SessionRequest::Close(_) | SessionRequest::Client(..) | SessionRequest::Open(_) => false,
            };
            family.book.bad_requests += u64::from(!known);
        });
        self.tell(listener);
    }

    /// Sends what a call about another address has queued for a session of `listener`, or for its client.
    pub(in crate::reactor) fn deliver_to_session(
        &mut self,
        listener: &mut Listener<I::Socket>,
        parcel: &Parcel,
    ) {
        self.with_family(listener, |core, listener, family| {
            let now_ns = core.now.mono_ns;
            let Self { io, exchange, delayed, limits, backlog_bytes, own, budgets, sessions, taps, .. } =
                core;
            let mut transmitter = Transmitter { io, limits, backlog_bytes, taps, now_ns };
            let mut till = Till::shut(budgets, exchange, now_ns);
            let mut output = parcel.output();
            let by_listener = output.to_client;
            if let Err(reason) = resolve(listener.token, false, sessions, family, &mut output) {
                let book = if by_listener { &mut listener.counters } else { &mut family.book.counters };
                book.queued += 1;
                book.drop_one(reason);
                transmitter.show_dropped(listener, &[output], reason);
                return;
            }
            let leaves = if by_listener {
                may_leave(listener, own, &mut till, &mut output)
            } else {
                may_leave_by(listener, family, sessions, own, &mut till, &output)
            };
            if let Err(reason) = leaves {
                show(listener, family, sessions, &mut transmitter, &output, Fate::Dropped(reason));
                return;
            }
            if output.at_ns > now_ns && by_listener {
                listener.marks.note_delay();
                let refused = delay(listener, delayed, &output, now_ns, |_| {});
                show(listener, family, sessions, &mut transmitter, &output, Fate::Delayed(refused));
            } else if output.at_ns > now_ns {
                let refused = delay_by(listener.token, family, delayed, &output, now_ns);
                show(listener, family, sessions, &mut transmitter, &output, Fate::Delayed(refused));
            } else if by_listener {
                transmitter.transmit(listener, slice::from_ref(&output));
            } else if let Some(session) = sessions.get(output.session) {
                let listener = listener.place();
                SessionOutlet { session, family, listener }
                    .transmit(&mut transmitter, slice::from_ref(&output));
            }
        });
        self.end_if_broken(listener, parcel.session());
        self.close_if_broken(listener);
    }
}
