//! Datagrams that a socket did not take: kept in order, bounded, sent when the socket has room again.

use std::collections::VecDeque;

use crate::exchange::OwnedOutput;

/// The datagrams of one listener that wait for room in its socket. Most listeners never have one, so the queue lies
/// behind a pointer.
#[derive(Debug, Default)]
pub(crate) struct Backlog(Option<Box<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    queue: VecDeque<OwnedOutput>,
    bytes: usize,
}

impl Backlog {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|waiting| waiting.queue.is_empty())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| waiting.queue.len())
    }

    /// Appends a datagram. `total` counts the bytes of all backlogs.
    ///
    /// # Errors
    /// The datagram itself, when a limit is reached.
    pub(crate) fn push(
        &mut self,
        owned: OwnedOutput,
        limits: &BacklogLimits,
        total: &mut usize,
    ) -> Result<(), OwnedOutput> {
        let len = owned.payload.len();
        let waiting = self.0.get_or_insert_default();
        let fits = waiting.queue.len() < limits.datagrams
            && waiting.bytes + len <= limits.bytes
            && *total + len <= limits.total_bytes;
        if !fits {
            return Err(owned);
        }
        waiting.bytes += len;
        *total += len;
        waiting.queue.push_back(owned);
        Ok(())
    }

    /// The datagrams, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &OwnedOutput> {
        self.0.iter().flat_map(|waiting| &waiting.queue)
    }

    /// Removes the oldest datagram, and takes its bytes off `total`.
    pub(crate) fn pop(&mut self, total: &mut usize) -> Option<OwnedOutput> {
        let waiting = self.0.as_mut()?;
        let owned = waiting.queue.pop_front()?;
        waiting.bytes -= owned.payload.len();
        *total -= owned.payload.len();
        Some(owned)
    }
}

/// How much may wait in backlogs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BacklogLimits {
    /// Datagrams of one listener.
    pub(crate) datagrams: usize,
    /// Payload bytes of one listener.
    pub(crate) bytes: usize,
    /// Payload bytes of all listeners.
    pub(crate) total_bytes: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Envelope;

    fn owned(len: usize) -> OwnedOutput {
        let to = "192.0.2.1:9".parse().unwrap();
        let envelope = Envelope { to, from: None, tos: 0, session: 0, hop_limit: 0, df: false };
        OwnedOutput { envelope, payload: vec![0; len] }
    }

    #[test]
    fn every_limit_holds_and_the_total_is_given_back() {
        let limits = BacklogLimits { datagrams: 2, bytes: 10, total_bytes: 12 };
        let (mut a, mut b, mut total) = (Backlog::default(), Backlog::default(), 0);
        a.push(owned(10), &limits, &mut total).unwrap();
        assert!(a.push(owned(1), &limits, &mut total).is_err());
        assert!(b.push(owned(3), &limits, &mut total).is_err());
        b.push(owned(1), &limits, &mut total).unwrap();
        b.push(owned(1), &limits, &mut total).unwrap();
        assert!(b.push(owned(0), &limits, &mut total).is_err());
        while a.pop(&mut total).is_some() || b.pop(&mut total).is_some() {}
        assert_eq!(total, 0);
    }

    #[test]
    fn what_left_makes_room_for_as_many_bytes() {
        let limits = BacklogLimits { datagrams: 9, bytes: 10, total_bytes: 10 };
        let (mut backlog, mut total) = (Backlog::default(), 0);
        for _ in 0..3 {
            backlog.push(owned(4), &limits, &mut total).unwrap();
            backlog.push(owned(6), &limits, &mut total).unwrap();
            assert!(backlog.push(owned(1), &limits, &mut total).is_err());
            assert_eq!(backlog.pop(&mut total).map(|owned| owned.payload.len()), Some(4));
            assert!(backlog.push(owned(5), &limits, &mut total).is_err());
            backlog.push(owned(4), &limits, &mut total).unwrap();
            while backlog.pop(&mut total).is_some() {}
            assert!(backlog.is_empty() && total == 0);
        }
    }
}
