//! Where a handler call pays for what it sends: the budget of its listener, asked for one output after the other.
//!
//! What came and what leaves is counted by the message: nothing is done for a single datagram of a train. For peers that
//! do not count, loopback for one, nothing is done but to look at their addresses.

use super::listener::Listener;
use crate::exchange::{Arrived, Exchange, Output, Used};
use crate::guard::{Budgets, OwnAddresses, Reply, Request};
use crate::metrics::DropReason;

/// The budgets while a call is settled.
pub(super) struct Till<'a> {
    budgets: &'a mut Budgets,
    exchange: &'a Exchange,
    now_ns: u64,
    /// Somebody counts who asked.
    is_open: bool,
}

impl<'a> Till<'a> {
    /// Begins the settling of the call that `exchange` was lent for, which has taken `tickets`, used them, or neither.
    #[inline]
    pub(super) fn open<S>(
        listener: &Listener<S>,
        budgets: &'a mut Budgets,
        exchange: &'a mut Exchange,
        now_ns: u64,
        tickets: bool,
    ) -> Self {
        let is_open = if tickets {
            Self::ask_with_tickets(listener, budgets, exchange)
        } else {
            Self::ask(listener, budgets, exchange)
        };
        Self { budgets, exchange, now_ns, is_open }
    }

    /// The settling of what nobody who asks in this call has to do with.
    pub(super) fn shut(budgets: &'a mut Budgets, exchange: &'a Exchange, now_ns: u64) -> Self {
        Self { budgets, exchange, now_ns, is_open: false }
    }

    /// The exchange that is settled.
    #[inline]
    pub(super) fn exchange(&self) -> &'a Exchange {
        self.exchange
    }

    /// Has all who ask in the call pay, if somebody counts who asks. Returns whether somebody does.
    #[inline]
    fn ask<S>(listener: &Listener<S>, budgets: &mut Budgets, exchange: &Exchange) -> bool {
        let askers = askers(exchange);
        let counts = askers.iter().any(|arrived| listener.counted.includes(arrived.peer.ip()));
        if counts && let Some(budget) = &listener.reply.budget {
            budgets.open(budget, askers.iter().map(request));
        }
        counts
    }

    /// As [`Self::ask`], for a call that has taken or used tickets. What a datagram pays for is set aside for its ticket, and
    /// what a ticket has is there for this call.
    fn ask_with_tickets<S>(listener: &Listener<S>, budgets: &mut Budgets, exchange: &mut Exchange) -> bool {
        let counts = |arrived: &Arrived| listener.counted.includes(arrived.peer.ip());
        let counts = askers(exchange).iter().any(counts)
            || exchange.tickets_used().iter().any(|used| counts(&used.arrived));
        if counts && let Some(budget) = &listener.reply.budget {
            budgets.open(budget, askers(exchange).iter().map(request));
            for taken in exchange.tickets_taken().to_vec() {
                let milli = budgets.set_aside(budget, taken.message, taken.bytes);
                exchange.endow_ticket(taken, milli);
            }
            for used in exchange.tickets_used() {
                budgets.add(used.arrived.peer.ip(), used.milli);
            }
        }
        counts
    }

    /// Asks whether the budget lets an output leave, and charges it if so.
    ///
    /// # Errors
    /// The reason to drop it.
    #[inline]
    pub(super) fn pay<S>(
        &mut self,
        listener: &Listener<S>,
        own: &OwnAddresses,
        output: &Output<'_>,
    ) -> Result<(), DropReason> {
        if output.proved || !listener.counted.includes(output.to.ip()) {
            return Ok(());
        }
        // Nothing ever comes from a group, and `groups` allows to announce something there. What answers a datagram may
        // have been asked for by a forger.
        if output.answers.count == 0 && output.ticket == 0 && own.is_group(output.to.ip().to_canonical()) {
            return Ok(());
        }
        self.charge(listener, output)
    }

    /// Whether the listener counts replies, and wants to be asked for each datagram of a train.
    #[inline]
    pub(super) fn asks_for_each<S>(listener: &Listener<S>) -> bool {
        listener.reply.budget.is_some_and(|budget| budget.rate.is_some())
    }

    /// Ends the settling: keeps for later calls what this one has not spent.
    #[inline]
    pub(super) fn close<S>(self, listener: &mut Listener<S>) {
        // The policy of a listener is not looked at for peers that do not count: it is far from what every visit needs.
        if self.is_open
            && let Some(budget) = &listener.reply.budget
        {
            self.budgets.close(budget, self.now_ns);
            listener.counters.prefixes_evicted += self.budgets.take_evicted();
        }
    }

    fn charge<S>(&mut self, listener: &Listener<S>, output: &Output<'_>) -> Result<(), DropReason> {
        let Some(budget) = &listener.reply.budget else { return Ok(()) };
        let answers = output.answers;
        let payers = askers(self.exchange).len();
        let reply = Reply {
            to: output.to,
            bytes: output.payload.len(),
            datagrams: output.datagrams(),
            answers: match output.ticket {
                0 if answers.count > 0 => {
                    self.exchange.message_of(answers.first).filter(|number| *number < payers)
                }
                0 => None,
                // They come behind what was received.
                ticket => Some(payers + usize::from(ticket) - 1),
            },
            short: self.is_short(output),
        };
        self.budgets.pay(budget, &reply, self.now_ns)
    }

    /// The ticket whose datagram an output answers, if it answers that of one.
    fn used(&self, output: &Output<'_>) -> Option<&Used> {
        self.exchange.tickets_used().get(usize::from(output.ticket).checked_sub(1)?)
    }

    /// Whether no datagram of an output is longer than the one it answers.
    fn is_short(&self, output: &Output<'_>) -> bool {
        match output.answers.count {
            0 => self.used(output).is_some_and(|used| output.payload.len() <= used.arrived.len),
            1 => {
                self.exchange.length(output.answers.first).is_some_and(|asked| output.payload.len() <= asked)
            }
            // What answers several sends them back as they are.
            _ => true,
        }
    }
}

/// The messages whose senders have asked for something. Whoever sent to a session has not.
#[inline]
fn askers(exchange: &Exchange) -> &[Arrived] {
    if exchange.is_by_session() { &[] } else { exchange.presented() }
}

fn request(arrived: &Arrived) -> Request {
    Request { peer: arrived.peer, bytes: arrived.len, datagrams: arrived.datagrams() }
}
