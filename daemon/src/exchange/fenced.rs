//! An exchange for one call of a plugin that is tested: whoever touches what he must not touch ends the process.

use std::io;

use super::array::Array;
use super::claims::Claims;
use super::fence::Holds;
use super::memory::Memory;
use super::received::{EMPTY_RX, Received};
use super::send_queue::{EMPTY_TX, SendQueue};
use super::{Arrived, Exchange, ExchangeLimits};

impl Exchange {
    /// An exchange for a single call. Each datagram is [placed](Self::place) so that nothing may be touched behind it; the
    /// same holds for the descriptors, the entries and each chunk of the arena.
    ///
    /// # Errors
    /// The system has no such memory.
    pub fn fenced(limits: ExchangeLimits) -> io::Result<Self> {
        let ring = Memory::slots(limits.slots, limits.slot_len)?;
        let rx = Array::fenced(&vec![EMPTY_RX; limits.rx], Holds::Descriptors)?;
        let tx = Array::fenced(&vec![EMPTY_TX; limits.tx], Holds::Entries)?;
        let queue = SendQueue::within(&limits, tx, |len| Memory::fenced(len).ok());
        if queue.arena.is_empty() {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let mut exchange = Self::within(limits, Received::within(&limits, ring, rx), queue);
        exchange.claims = Some(Claims::default());
        Ok(exchange)
    }

    /// Pushes a message with this payload; where it lies is not for the caller to say.
    ///
    /// # Errors
    /// There is no slot for it.
    pub fn place(&mut self, payload: &[u8], arrived: Arrived) -> io::Result<()> {
        let slot = self.received.messages.len();
        let offset = self.received.ring.put(slot, payload)?;
        let arrived = Arrived { offset, len: payload.len(), cap: payload.len(), ..arrived };
        if self.push(arrived) { Ok(()) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }

    /// What the handler of the call said of what it had written.
    #[must_use]
    pub fn claims(&self) -> Claims {
        self.claims.unwrap_or_default()
    }

    /// Goes on with the tickets of the exchange of the call before.
    pub fn inherit_tickets(&mut self, before: &mut Self) {
        std::mem::swap(&mut self.received.tickets, &mut before.received.tickets);
    }

    /// Takes the memory away from the handler: from now on nobody may touch it, and this exchange must not be used.
    ///
    /// # Errors
    /// Those of `mprotect(2)`.
    pub fn close(&self) -> io::Result<()> {
        self.received.ring.close()?;
        self.received.rx.close()?;
        self.queue.tx.close()?;
        self.queue.arena.iter().try_for_each(Memory::close)
    }
}
