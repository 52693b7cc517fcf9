//! Tickets for later answers, as the daemon has them.

use std::collections::BTreeMap;

use polyport_abi as abi;
use polyport_abi::{pp_addr, pp_dgram};

/// Where the numbers of used tickets begin among those of received datagrams.
const FIRST_RX: u32 = 1 << 31;

/// The tickets of the instance.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    /// Most there may be; none is as many as it likes.
    pub(super) most: Option<usize>,
    open: BTreeMap<u64, Ticket>,
    last: u64,
    now_ns: u64,
    /// Sender and asked address of each datagram of the running call; none if it came by a session.
    shown: Vec<Option<Asked>>,
    /// Numbers of the tickets that the running call uses.
    used: Vec<u64>,
}

/// Who asked, and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) peer: pp_addr,
    pub(super) local: pp_addr,
}

#[derive(Clone, Copy, Debug)]
struct Ticket {
    asked: Asked,
    ends_ns: u64,
}

impl Tickets {
    /// Begins a call that is shown `rx`.
    pub(super) fn begin(&mut self, rx: &[pp_dgram], now_ns: u64) {
        self.now_ns = now_ns;
        let asked = |d: &pp_dgram| (d.session == 0).then_some(Asked { peer: d.peer, local: d.local });
        self.shown = rx.iter().map(asked).collect();
    }

    pub(super) fn take(&mut self, rx: u32, age_ns: u64) -> u64 {
        let now_ns = self.now_ns;
        let Some(Some(asked)) = self.shown.get(rx as usize).copied() else { return 0 };
        self.open.retain(|_, ticket| ticket.ends_ns > now_ns);
        if self.most.is_some_and(|most| self.open.len() >= most) {
            return 0;
        }
        let age_ns = if age_ns == 0 { abi::TICKET_AGE_NS } else { age_ns.min(abi::TICKET_AGE_NS) };
        self.last += 1;
        self.open.insert(self.last, Ticket { asked, ends_ns: now_ns.saturating_add(age_ns) });
        self.last
    }

    pub(super) fn answer(&mut self, number: u64) -> Option<u32> {
        let place = match self.used.iter().position(|used| *used == number) {
            Some(place) => place,
            None => {
                self.open.get(&number).filter(|ticket| ticket.ends_ns > self.now_ns)?;
                self.used.push(number);
                self.used.len() - 1
            }
        };
        u32::try_from(place).ok()?.checked_add(FIRST_RX)
    }

    /// What a number of a received datagram stands for, if it is that of a used ticket.
    pub(super) fn asked(&self, rx: u32) -> Option<Asked> {
        let number = self.used.get(rx.checked_sub(FIRST_RX)? as usize)?;
        self.open.get(number).map(|ticket| ticket.asked)
    }

    /// Ends a call: the tickets that it used are gone.
    pub(super) fn end(&mut self) {
        self.shown.clear();
        for number in self.used.drain(..) {
            self.open.remove(&number);
        }
    }

    /// The instance is gone, and its tickets with it.
    pub(super) fn forget(&mut self) {
        self.open.clear();
        self.used.clear();
    }

    /// Tickets that may still be used.
    pub(super) fn len(&self, now_ns: u64) -> usize {
        self.open.values().filter(|ticket| ticket.ends_ns > now_ns).count()
    }
}
