//! A whole batch on its way back: what echoing handlers queue most.

use super::output::is_echo;
use super::{Answers, Arrived, Exchange, Output};

impl Exchange {
    /// The answers, if all that was queued is one entry that sends every datagram back as it came, and at once: what
    /// [`Self::outputs`] says of such an entry, the short way.
    #[inline]
    #[must_use]
    pub fn whole_echo(&self) -> Option<impl Iterator<Item = Output<'_>>> {
        let [tx] = self.tx.get(..self.tx_len)? else { return None };
        let shown = self.messages.get(self.portion..self.presented)?;
        let all = self.parked.is_empty() && self.refused == 0 && usize::from(tx.run) + 1 == self.rx_len;
        let unchanged = is_echo(tx) && tx.rx == 0 && shown.first()?.piece(0).1 == tx.len as usize;
        let outputs =
            || shown.iter().zip(&self.firsts).map(|(message, first)| self.returned(message, *first));
        (all && unchanged).then(outputs)
    }

    /// A message as its own answer.
    #[inline(always)]
    fn returned(&self, message: &Arrived, first: usize) -> Output<'_> {
        Output {
            answers: Answers { first, count: message.datagrams() },
            payload: self.ring.slice(message.offset, message.len),
            to: message.peer,
            from: message.reply_from,
            at_ns: 0,
            segment: message.segment,
            ecn: 0,
        }
    }
}
