//! Settling a call of a handler that has sessions: as any other call, and what it queued may leave by several sockets.

use arrayvec::ArrayVec;

use super::family::Family;
use super::outlet::SessionOutlet;
use super::slots::Sessions;
use crate::exchange::{Answers, Output, SessionEnd, longest_to};
use crate::guard::{self, OwnAddresses};
use crate::metrics::DropReason;
use crate::reactor::bundle::Aside;
use crate::reactor::core::Core;
use crate::reactor::due::Delayed;
use crate::reactor::io::{Io, Token};
use crate::reactor::listener::Listener;
use crate::reactor::send::{MAX_OUTPUTS, Transmitter};
use crate::reactor::settle::{
    Marks, account, bad_output, delay, later, may_leave, show_delayed, since_turn, trace, verdict,
};
use crate::reactor::till::Till;

/// Outputs that leave by one socket, one after the other.
#[derive(Debug)]
struct Pending<'a> {
    /// The session; 0 is the listener's socket.
    by: u64,
    outputs: ArrayVec<Output<'a>, MAX_OUTPUTS>,
}

impl<I: Io> Core<I> {
    /// Carries out what the handler asked for, sends what it queued, and counts an outcome for each datagram that it was shown.
    /// The call has taken `tickets`, used them, or neither.
    pub(in crate::reactor) fn settle_sessions(
        &mut self,
        listener: &mut Listener<I::Socket>,
        in_event: bool,
        tickets: bool,
    ) {
        self.with_family(listener, |core, listener, family| {
            core.carry_out(listener, family, in_event);
            // In an event nothing is shown, whatever waits to be.
            let by_session = !in_event && core.exchange.is_by_session();
            core.settle_outputs(listener, family, by_session, tickets);
            core.end_asked(listener, family);
            core.end_broken(listener, family);
        });
        if tickets {
            self.end_tickets(listener);
        }
        self.exchange.close_desk();
    }

    /// Sends what was queued. `by_session` is whether the datagrams came by sessions that the handler was shown.
    fn settle_outputs(
        &mut self,
        listener: &mut Listener<I::Socket>,
        family: &mut Family,
        by_session: bool,
        tickets: bool,
    ) {
        let traced = log::log_enabled!(target: "polyport::datagram", log::Level::Trace);
        let now_ns = self.now.mono_ns;
        let Self {
            io,
            exchange,
            delayed,
            limits,
            backlog_bytes,
            own,
            budgets,
            sessions,
            bundles,
            errands,
            shortcuts,
            taps,
            ..
        } = self;
        if shortcuts.prefetch {
            exchange.sessions_named().for_each(|id| sessions.prefetch(id));
        }
        let mut transmitter = Transmitter { io, limits, backlog_bytes, taps, now_ns };
        let by_one = Till::asks_for_each(listener);
        let mut aside = Aside { delayed, bundles, errands };
        let mut till = Till::open(listener, budgets, exchange, now_ns, tickets);
        let exchange = till.exchange();
        let mut replied = Marks::default();
        let mut since_ns = None;
        let mut pending = Pending { by: 0, outputs: ArrayVec::new() };
        for output in exchange.outputs() {
            let mut output = match output {
                Ok(output) => output,
                Err(error) => {
                    bad_output(listener, error);
                    transmitter.taps.missed(listener.tapped, 1);
                    continue;
                }
            };
            replied.set(output.answers);
            if let Some(owner) = owner_elsewhere(listener, sessions, output.session) {
                let later = later(&output, now_ns, || since_turn(listener, &mut transmitter));
                aside.errands.send(listener, owner, &later, &mut family.book.counters);
                continue;
            }
            if output.address != Output::HERE {
                let later = later(&output, now_ns, || since_turn(listener, &mut transmitter));
                match aside.takes(listener, &later) {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(error) => {
                        bad_output(listener, error);
                        transmitter.taps.missed(listener.tapped, 1);
                        continue;
                    }
                }
            }
            let by = if output.to_client { 0 } else { output.session };
            let answers = output.answers;
            let is_answer = answers.count > 0;
            if output.session != 0
                && let Err(reason) = resolve(listener.token, by_session, sessions, family, &mut output)
            {
                let book = if by == 0 { &mut listener.counters } else { &mut family.book.counters };
                book.queued += output.datagrams() as u64;
                book.drop_many(reason, output.datagrams() as u64);
                transmitter.show_dropped(listener, &[output], reason);
                continue;
            }
            let mut part = |output: &mut _| {
                let leaves = if by == 0 {
                    may_leave(listener, own, &mut till, output)
                } else {
                    may_leave_by(listener, family, sessions, own, &mut till, output)
                };
                if let Err(reason) = leaves {
                    show(listener, family, sessions, &mut transmitter, output, Fate::Dropped(reason));
                    return;
                }
                if listener.tapped != 0 {
                    // A tap tells how long the client's answer took since it came from upstream.
                    output.answers = answers;
                }
                if output.at_ns > now_ns {
                    let since_ns = *since_ns.get_or_insert_with(|| since_turn(listener, &mut transmitter));
                    if is_answer {
                        output.at_ns = output.at_ns.saturating_add(since_ns);
                    }
                    let refused = if by == 0 {
                        delay(listener, aside.delayed, output, now_ns, |_| {})
                    } else {
                        delay_by(listener.token, family, aside.delayed, output, now_ns)
                    };
                    show(listener, family, sessions, &mut transmitter, output, Fate::Delayed(refused));
                    return;
                }
                if pending.outputs.is_full() || pending.by != by {
                    leave(listener, family, sessions, &mut transmitter, &mut pending);
                    pending.by = by;
                }
                pending.outputs.push(*output);
            };
            if by == 0 && by_one {
                output.split().for_each(|mut output| part(&mut output));
            } else {
                part(&mut output);
            }
        }
        leave(listener, family, sessions, &mut transmitter, &mut pending);
        let book = if by_session { &mut family.book.counters } else { &mut listener.counters };
        account(book, exchange, &replied);
        if listener.tapped != 0 {
            transmitter.taps.missed(listener.tapped, u64::from(exchange.refused()));
            transmitter.taps.settle(exchange.datagrams(), |rx| verdict(exchange, &replied, rx));
        }
        if traced {
            trace(&listener.name, listener.local, exchange, &[]);
        }
        till.close(listener);
    }

    /// Ends the sessions whose sockets have turned out to be unusable.
    pub(super) fn end_broken(&mut self, listener: &Listener<I::Socket>, family: &mut Family) {
        for id in std::mem::take(&mut self.sessions.broken) {
            match self.sessions.get(id).map(|session| session.owner) {
                Some(owner) if owner == listener.token => {
                    self.end_session(family, id, SessionEnd::Broken, 0);
                }
                // Of another listener, whose turn comes.
                Some(_) => self.sessions.broken.push(id),
                None => {}
            }
        }
    }
}

/// The address that has a session, if it is another one than `listener`, whose handler has several.
fn owner_elsewhere<S>(listener: &Listener<S>, sessions: &mut Sessions<S>, id: u64) -> Option<Token> {
    let owner = sessions.get(id).filter(|_| listener.seat().is_some())?.owner;
    (owner != listener.token).then_some(owner)
}

/// Fills in where an output goes that names a session. The error is the reason to drop it.
pub(super) fn resolve<S>(
    owner: Token,
    by_session: bool,
    sessions: &mut Sessions<S>,
    family: &Family,
    output: &mut Output<'_>,
) -> Result<(), DropReason> {
    let Some(session) = sessions.of(owner, output.session) else {
        let failed = family.failed.contains(&output.session)
            || family.deferred.iter().any(|spec| spec.id == output.session);
        return Err(if failed { DropReason::SessionFailed } else { DropReason::SessionClosed });
    };
    let is_named = output.to != Output::UNNAMED;
    if output.to_client {
        output.to = session.client.get().ok_or(DropReason::BadTx)?;
        output.from = session.asked;
        // What it answers in the book of the sessions is no request of the client.
        if by_session {
            output.answers = Answers::default();
        }
        output.answers_group = false;
    } else if let Some(upstream) = session.upstream.get() {
        if is_named && output.to != upstream {
            return Err(DropReason::BadTx);
        }
        output.to = upstream;
    } else if !is_named {
        return Err(DropReason::NoDestination);
    }
    let len = output.payload.len();
    let longest = if output.segment == 0 { len } else { len.min(output.segment) };
    if longest > longest_to(output.to) { Err(DropReason::ReplyTooLong) } else { Ok(()) }
}

/// Asks whether an output may leave by its session. Counts it as queued, and as dropped if it may not; the error is the reason.
/// Where a session is connected to, the handler has decided when it opened it: nobody who sends to the listener can choose it.
pub(super) fn may_leave_by<S>(
    listener: &Listener<S>,
    family: &mut Family,
    sessions: &mut Sessions<S>,
    own: &OwnAddresses,
    till: &mut Till<'_>,
    output: &Output<'_>,
) -> Result<(), DropReason> {
    let datagrams = output.datagrams() as u64;
    family.book.counters.queued += datagrams;
    let Some(session) = sessions.get(output.session) else { return Err(DropReason::SessionClosed) };
    let verdict = if session.upstream.get().is_some() {
        guard::dial(own, &listener.reply, output.to).map(|_| ())
    } else {
        let local = session.local.get().unwrap_or(listener.local);
        let departure = guard::Departure { local, to: output.to, from: None, answers_group: false };
        guard::depart(own, &listener.reply, &departure).and_then(|()| till.pay(listener, own, output))
    };
    verdict.inspect_err(|reason| {
        family.book.counters.drop_many(*reason, datagrams);
        session.dropped += datagrams;
    })
}

/// Keeps the datagrams of an output for later, or drops those that exceed the share of the sessions of their listener. Returns how
/// many those are.
pub(super) fn delay_by(
    owner: Token,
    family: &mut Family,
    delayed: &mut Delayed,
    output: &Output<'_>,
    now_ns: u64,
) -> usize {
    let mut refused = 0;
    for datagram in output.split() {
        if delayed.push(owner.beside(), &datagram, now_ns) {
            family.delayed += 1;
        } else {
            family.book.counters.drop_one(DropReason::DelayFull);
            refused += 1;
        }
    }
    refused
}

/// What became of an output that does not leave now.
pub(super) enum Fate {
    Dropped(DropReason),
    /// It leaves later, all but so many datagrams that found no room.
    Delayed(usize),
}

/// Shows taps an output that does not leave now, by the socket of its listener or of its session.
pub(super) fn show<I: Io>(
    listener: &Listener<I::Socket>,
    family: &mut Family,
    sessions: &mut Sessions<I::Socket>,
    transmitter: &mut Transmitter<'_, I>,
    output: &Output<'_>,
    fate: Fate,
) {
    if listener.tapped == 0 {
        return;
    }
    let session = if output.to_client { None } else { sessions.get(output.session) };
    match (session, fate) {
        (None, Fate::Dropped(reason)) => {
            transmitter.show_dropped(listener, std::slice::from_ref(output), reason);
        }
        (None, Fate::Delayed(refused)) => show_delayed(listener, transmitter, output, (None, refused)),
        (Some(session), fate) => {
            let outlet = SessionOutlet { session, family, listener: listener.place() };
            match fate {
                Fate::Dropped(reason) => {
                    transmitter.show_dropped(&outlet, std::slice::from_ref(output), reason);
                }
                Fate::Delayed(refused) => show_delayed(&outlet, transmitter, output, (None, refused)),
            }
        }
    }
}

/// Sends what is pending.
fn leave<I: Io>(
    listener: &mut Listener<I::Socket>,
    family: &mut Family,
    sessions: &mut Sessions<I::Socket>,
    transmitter: &mut Transmitter<'_, I>,
    pending: &mut Pending<'_>,
) {
    if pending.by == 0 {
        match pending.outputs.as_slice() {
            // One datagram, as most calls about a session end in: there is less code for it.
            [one] if one.segment == 0 && !listener.broken => transmitter.transmit_one(listener, one),
            outputs => transmitter.transmit(listener, outputs),
        }
    } else if let Some(session) = sessions.get(pending.by) {
        let listener = listener.place();
        SessionOutlet { session, family, listener }.transmit(transmitter, &pending.outputs);
        if session.broken {
            sessions.broken.push(pending.by);
        }
    }
    pending.outputs.clear();
}
