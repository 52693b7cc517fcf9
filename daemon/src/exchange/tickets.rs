//! Tickets: the right to answer a datagram in a later call.
//!
//! A ticket is a number. What it stands for, the sender, the address that was asked and what the datagram pays for, stays
//! here, so nobody can make one up or change one: a number is good for the instance that got it, until its time is over,
//! and for one call.

use std::collections::{BTreeMap, BTreeSet};

use super::Arrived;

/// Numbers of received datagrams from here on stand for the datagrams of tickets that are used in the call.
pub(super) const FIRST_RX: u32 = 1 << 31;

/// Of all tickets one instance may have one in so many, so that a flood of one listener leaves others theirs.
const SHARE: usize = 4;

/// The tickets of all instances, and what the running call does with them.
#[derive(Debug)]
pub(super) struct Tickets {
    /// Most tickets there may be at once.
    most: usize,
    tickets: BTreeMap<u64, Ticket>,
    /// Number of each ticket by its end, monotonic ns.
    ends: BTreeSet<(u64, u64)>,
    /// How many tickets each instance has.
    held: BTreeMap<usize, usize>,
    /// The number that was given out last. None is given out twice.
    last: u64,
    /// Tickets that the running call has taken.
    taken: Vec<Taken>,
    /// Datagrams of the tickets that the running call uses, in the order in which it named them.
    used: Vec<Used>,
    /// Tickets that the running call was refused.
    refused: u64,
}

/// A ticket that was taken in the running call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    number: u64,
    /// The message that its datagram came in, among those that are presented.
    pub message: usize,
    /// Payload bytes of its datagram.
    pub bytes: usize,
}

/// A ticket that is used in the running call.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    number: u64,
    /// What came: its length is that of the datagram, and it has no bytes any more.
    pub arrived: Arrived,
    /// Thousandths of a byte that it pays for.
    pub milli: u64,
    /// The address that was asked, of those of the instance.
    pub address: u32,
}

/// What the tickets of a call have come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TicketCounts {
    /// Given out.
    pub taken: u64,
    /// Used.
    pub used: u64,
    /// Asked for in vain.
    pub refused: u64,
}

#[derive(Debug)]
struct Ticket {
    /// The instance that may use it.
    owner: usize,
    ends_ns: u64,
    arrived: Arrived,
    milli: u64,
    address: u32,
    /// Its place in [`Tickets::used`], if the running call uses it.
    place: Option<usize>,
}

impl Tickets {
    /// At most so many tickets at once.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            tickets: BTreeMap::new(),
            ends: BTreeSet::new(),
            held: BTreeMap::new(),
            last: 0,
            taken: Vec::new(),
            used: Vec::new(),
            refused: 0,
        }
    }

    /// Gives out a ticket for a datagram that is presented to the instance `owner`: `arrived` is what is known of it, beside the number of the address it came to,
    /// `message` the number of the message it came in. It ends at `ends_ns`. None if there are too many.
    pub(super) fn take(
        &mut self,
        owner: usize,
        (arrived, address): (Arrived, u32),
        message: usize,
        (now_ns, ends_ns): (u64, u64),
    ) -> Option<u64> {
        self.end_old(now_ns);
        let own = self.held.get(&owner).copied().unwrap_or(0);
        if self.tickets.len() >= self.most || own >= (self.most / SHARE).max(1) {
            self.refused += 1;
            return None;
        }
        self.last += 1;
        let number = self.last;
        self.taken.push(Taken { number, message, bytes: arrived.len });
        // Its bytes are gone when it is used.
        let arrived = Arrived { offset: 0, cap: 0, segment: 0, ..arrived };
        self.tickets.insert(number, Ticket { owner, ends_ns, arrived, milli: 0, address, place: None });
        self.ends.insert((ends_ns, number));
        self.held.insert(owner, own + 1);
        Some(number)
    }

    /// Uses a ticket in the running call, once or again. Returns what stands for its datagram in `pp_tx::rx`; none if the
    /// instance has no such ticket any more.
    pub(super) fn answer(&mut self, owner: usize, number: u64, now_ns: u64) -> Option<u32> {
        let ticket = self.tickets.get_mut(&number).filter(|ticket| ticket.owner == owner)?;
        let place = match ticket.place {
            Some(place) => place,
            None if ticket.ends_ns <= now_ns => return None,
            None => {
                let place = self.used.len();
                self.used.push(Used {
                    number,
                    arrived: ticket.arrived,
                    milli: ticket.milli,
                    address: ticket.address,
                });
                *ticket.place.insert(place)
            }
        };
        u32::try_from(place).ok()?.checked_add(FIRST_RX)
    }

    /// The datagram that a number of a received datagram stands for, with its place among those that the call uses.
    pub(super) fn datagram(&self, rx: u32) -> Option<(&Arrived, usize)> {
        let place = rx.checked_sub(FIRST_RX)? as usize;
        Some((&self.used.get(place)?.arrived, place))
    }

    /// The tickets that the running call has taken.
    pub(super) fn taken(&self) -> &[Taken] {
        &self.taken
    }

    /// The tickets that the running call uses.
    pub(super) fn used(&self) -> &[Used] {
        &self.used
    }

    /// Says what a ticket that was just taken pays for, thousandths of a byte.
    pub(super) fn endow(&mut self, taken: Taken, milli: u64) {
        if let Some(ticket) = self.tickets.get_mut(&taken.number) {
            ticket.milli = milli;
            // A handler may use it at once.
            if let Some(used) = ticket.place.and_then(|place| self.used.get_mut(place)) {
                used.milli = milli;
            }
        }
    }

    /// Ends the call: the tickets that it used are gone. Returns what it did.
    pub(super) fn end_call(&mut self) -> TicketCounts {
        let counts = TicketCounts {
            taken: self.taken.len() as u64,
            used: self.used.len() as u64,
            refused: std::mem::take(&mut self.refused),
        };
        self.taken.clear();
        while let Some(used) = self.used.pop() {
            self.end(used.number);
        }
        counts
    }

    /// Ends all tickets of an instance.
    pub(super) fn forget(&mut self, owner: usize) {
        if self.held.contains_key(&owner) {
            let own = self.tickets.iter().filter(|(_, ticket)| ticket.owner == owner);
            let own: Vec<u64> = own.map(|(number, _)| *number).collect();
            own.into_iter().for_each(|number| self.end(number));
        }
    }

    /// When the last ticket ends that is good at `now_ns`, monotonic ns; none if there is no such ticket.
    pub(super) fn last_end(&self, now_ns: u64) -> Option<u64> {
        self.ends.last().map(|(ends_ns, _)| *ends_ns).filter(|ends_ns| *ends_ns > now_ns)
    }

    /// How many tickets there are, of which some may be too old.
    pub(super) fn len(&self) -> usize {
        self.tickets.len()
    }

    /// Ends the tickets whose time is over, so many that none of them stays for long and no call pays for all.
    fn end_old(&mut self, now_ns: u64) {
        /// Tickets that one call ends: more than the one that it takes.
        const AT_ONCE: usize = 8;
        for _ in 0..AT_ONCE {
            match self.ends.first() {
                Some((ends_ns, number)) if *ends_ns <= now_ns => self.end(*number),
                _ => return,
            }
        }
    }

    fn end(&mut self, number: u64) {
        let Some(ticket) = self.tickets.remove(&number) else { return };
        self.ends.remove(&(ticket.ends_ns, number));
        if let Some(held) = self.held.get_mut(&ticket.owner) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&ticket.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::ArrivalFlags;

    const ME: usize = 1;
    const OTHER: usize = 2;

    fn arrived(len: usize) -> Arrived {
        Arrived {
            offset: 5,
            len,
            cap: 9,
            segment: 0,
            peer: "192.0.2.1:5".parse().unwrap(),
            destination: None,
            reply_from: None,
            ifindex: 0,
            tos: 0,
            hop_limit: 0,
            session: 0,
            flags: ArrivalFlags::default(),
        }
    }

    fn take(tickets: &mut Tickets, owner: usize, now_ns: u64) -> Option<u64> {
        tickets.take(owner, (arrived(7), 3), 0, (now_ns, now_ns + 10))
    }

    #[test]
    fn a_ticket_is_good_for_one_call_of_its_owner_until_its_time_is_over() {
        let mut tickets = Tickets::new(100);
        let [once, late] = [0; 2].map(|_| take(&mut tickets, ME, 1).unwrap());
        assert_eq!(tickets.end_call(), TicketCounts { taken: 2, used: 0, refused: 0 });
        assert_eq!(tickets.answer(OTHER, once, 2), None, "it belongs to somebody else");
        assert_eq!(tickets.answer(ME, late + 1, 2), None, "nobody has given it out");
        assert_eq!(tickets.answer(ME, late, 11), None, "too old");
        let rx = tickets.answer(ME, once, 10).unwrap();
        assert_eq!(tickets.answer(ME, once, 99), Some(rx), "again in the same call");
        let (datagram, place) = tickets.datagram(rx).unwrap();
        assert_eq!((datagram.len, datagram.cap, datagram.peer.port(), place), (7, 0, 5, 0));
        assert!(tickets.datagram(rx + 1).is_none() && tickets.datagram(0).is_none());
        assert_eq!(tickets.end_call(), TicketCounts { taken: 0, used: 1, refused: 0 });
        assert_eq!(tickets.answer(ME, once, 10), None, "it was used");
        assert!(tickets.datagram(rx).is_none());
    }

    #[test]
    fn what_it_pays_for_is_there_when_it_is_used_also_at_once() {
        let mut tickets = Tickets::new(100);
        let (now, later) = (take(&mut tickets, ME, 1).unwrap(), take(&mut tickets, ME, 1).unwrap());
        tickets.answer(ME, now, 1).unwrap();
        let taken = tickets.taken().to_vec();
        assert_eq!(taken.iter().map(|taken| taken.bytes).collect::<Vec<_>>(), [7, 7]);
        taken.into_iter().for_each(|taken| tickets.endow(taken, 3000));
        assert_eq!(tickets.used()[0].milli, 3000);
        tickets.end_call();
        tickets.answer(ME, later, 2).unwrap();
        assert_eq!(tickets.used()[0].milli, 3000);
    }

    #[test]
    fn nobody_has_more_than_a_quarter_and_old_ones_make_room() {
        let mut tickets = Tickets::new(40);
        let took = (0..40).filter(|_| take(&mut tickets, ME, 1).is_some()).count();
        assert_eq!((took, tickets.end_call().refused), (10, 30));
        for owner in 2..9 {
            (0..10).for_each(|_| _ = take(&mut tickets, owner, 5));
        }
        assert_eq!((tickets.len(), tickets.end_call().taken), (40, 30));
        assert!(take(&mut tickets, 9, 10).is_none());
        let took = (0..40).filter(|_| take(&mut tickets, 9, 11).is_some()).count();
        assert_eq!((took, tickets.len()), (10, 40), "those of the first have ended");
    }

    #[test]
    fn with_an_instance_its_tickets_end() {
        let mut tickets = Tickets::new(100);
        let [mine, others] = [ME, OTHER].map(|owner| take(&mut tickets, owner, 1).unwrap());
        tickets.end_call();
        tickets.forget(ME);
        assert_eq!((tickets.answer(ME, mine, 2), tickets.len()), (None, 1));
        assert_eq!((tickets.ends.len(), tickets.held.len()), (1, 1));
        assert!(tickets.answer(OTHER, others, 2).is_some());
        tickets.end_call();
        assert_eq!((tickets.len(), tickets.ends.len(), tickets.held.len()), (0, 0, 0));
    }
}
