//! Errands are run: when a visit is over, and before the next one.

use arrayvec::ArrayVec;

use super::errands::{Asking, Errand, Parcel};
use crate::exchange::Output;
use crate::guard;
use crate::metrics::DropReason;
use crate::reactor::core::{Core, Reactor, current};
use crate::reactor::io::Io;
use crate::reactor::listener::Listener;
use crate::reactor::send::{MAX_OUTPUTS, Transmitter};
use crate::reactor::settle::{delay, may_leave, show_delayed};
use crate::reactor::till::Till;

impl<I: Io> Reactor<I> {
    /// Does what the last call has left to be done for other addresses.
    #[inline]
    pub(in crate::reactor) fn run_errands(&mut self) {
        if !self.core.errands.is_empty() {
            self.run_all_errands();
        }
    }

    #[cold]
    fn run_all_errands(&mut self) {
        while let Some(errand) = self.core.errands.pop() {
            match errand {
                Errand::Broke(bundle, broken) => self.fell(bundle, broken),
                Errand::Send(parcel) => self.deliver(*parcel),
                Errand::Ask(asking) => self.ask(&asking),
            }
        }
    }

    fn deliver(&mut self, parcel: Parcel) {
        let Self { listeners, core, .. } = self;
        match current(listeners, parcel.by).filter(|listener| listener.is_of(parcel.bundle)) {
            Some(listener) if parcel.session() != 0 => core.deliver_to_session(listener, &parcel),
            Some(listener) => core.deliver_to_address(listener, parcel),
            // A session of another handler, or forged.
            None => {
                let sender = current(listeners, parcel.sender);
                if let Some(family) = sender.and_then(|sender| sender.family.as_mut()) {
                    family.book.counters.queued += 1;
                    family.book.counters.drop_one(DropReason::SessionClosed);
                }
            }
        }
    }

    fn ask(&mut self, asking: &Asking) {
        let Self { listeners, core, .. } = self;
        let owner = current(listeners, asking.owner);
        if let Some(listener) = owner.filter(|listener| listener.is_of(asking.bundle)) {
            core.ask_of_session(listener, &asking.request);
        } else if let Some(family) = current(listeners, asking.asker).and_then(|l| l.family.as_mut()) {
            family.book.bad_requests += 1;
        }
    }
}

impl<I: Io> Core<I> {
    /// Sends by an address what a call about another one has queued for it, and what follows for the same address.
    fn deliver_to_address(&mut self, listener: &mut Listener<I::Socket>, parcel: Parcel) {
        let mut parcels = ArrayVec::<Parcel, MAX_OUTPUTS>::new();
        parcels.push(parcel);
        while !parcels.is_full() {
            let Some(next) = self.errands.pop_by(listener.token) else { break };
            parcels.push(*next);
        }
        let now_ns = self.now.mono_ns;
        let Self { io, exchange, delayed, limits, backlog_bytes, own, budgets, taps, .. } = self;
        let mut transmitter = Transmitter { io, limits, backlog_bytes, taps, now_ns };
        // What was asked for at the other address is in the books of the peers by now.
        let mut till = Till::shut(budgets, exchange, now_ns);
        let mut batch = ArrayVec::<Output<'_>, MAX_OUTPUTS>::new();
        for parcel in &parcels {
            let mut output = parcel.output();
            if listener.broken {
                listener.counters.queued += 1;
                listener.counters.drop_one(DropReason::SocketBroken);
                transmitter.show_dropped(listener, &[output], DropReason::SocketBroken);
                continue;
            }
            let hop_limit = match parcel
                .asked_with
                .filter(|_| listener.farthest > 0)
                .map(|asked_with| guard::decay(asked_with, listener.farthest))
            {
                None => 0,
                Some(Ok(hop_limit)) => hop_limit,
                Some(Err(reason)) => {
                    listener.counters.queued += 1;
                    listener.counters.drop_one(reason);
                    transmitter.show_dropped(listener, &[output], reason);
                    continue;
                }
            };
            if let Err(reason) = may_leave(listener, own, &mut till, &mut output) {
                transmitter.show_dropped(listener, &[output], reason);
                continue;
            }
            output.hop_limit = hop_limit;
            if output.at_ns > now_ns {
                listener.marks.note_delay();
                let refused = delay(listener, delayed, &output, now_ns, |_| {});
                if listener.tapped != 0 {
                    show_delayed(listener, &mut transmitter, &output, (None, refused));
                }
            } else {
                batch.push(output);
            }
        }
        transmitter.transmit(listener, &batch);
        till.close(listener);
        self.close_if_broken(listener);
    }
}
