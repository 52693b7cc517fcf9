//! The counters of a listener, and the two equations that must hold for them.

use std::fmt;
use std::ops::AddAssign;

use super::{DropReason, Stage};

/// The counts of one listener since it was bound. They are plain numbers, because one thread owns them. The counts of
/// every datagram come first, in one cache line.
///
/// The closing report of the daemon shows the equations and what went wrong. The simulation counts datagrams, bytes and
/// errors itself and compares after every turn; some counts have no other reader.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams taken from the socket.
    pub received: u64,
    /// Payload bytes taken from the socket; of a truncated datagram only those that were taken. Read by the simulation.
    pub received_bytes: u64,
    /// Received datagrams that at least one valid send entry answers.
    pub replied: u64,
    /// Received datagrams that the handler took without an answer.
    pub consumed: u64,
    /// Datagrams that the handler queued for sending.
    pub queued: u64,
    /// Datagrams handed to the kernel.
    pub sent: u64,
    /// Payload bytes handed to the kernel. Read by the simulation.
    pub sent_bytes: u64,
    /// Segmented messages that the kernel refused. Their datagrams were sent one by one. Read by the simulation.
    pub segments_refused: u64,
    /// Receive calls that failed with an error other than `EAGAIN`. Read by the simulation.
    pub receive_errors: u64,
    /// Datagrams that the kernel dropped before the loop could take them: the receive queue was full, or a checksum was
    /// wrong. Sampled, not part of the equations. In the closing report.
    pub kernel_drops: u64,
    /// Handler calls that broke the handler. In the closing report.
    pub faults: u64,
    /// Handler calls that returned an error and kept the handler. In the closing report.
    pub handler_errors: u64,
    /// Handler calls that took longer than `slow_batch`. In the closing report.
    pub slow_calls: u64,
    /// Timers that were refused because the handler had too many armed. The first is logged.
    pub timers_refused: u64,
    /// Handlers created after the first one. In the closing report.
    pub restarts: u64,
    /// Received datagrams that wait for the next handler, since the one before broke: no count, they become something else.
    pub kept: u64,
    /// Source prefixes whose unspent bytes and replies were forgotten for those of others, because the table of them was
    /// full. In the closing report.
    pub prefixes_evicted: u64,
    /// Handler calls that returned a code which the ABI does not know, and so broke the handler. In the closing report.
    pub unknown_codes: u64,
    /// Groups that a handler could not join or leave. In the closing report.
    pub groups_refused: u64,
    /// Tickets for a later answer that the handler has taken. In the closing report.
    pub tickets_taken: u64,
    /// Tickets that it has used; the others are too old, or ended with the handler.
    pub tickets_used: u64,
    /// Tickets that it was refused, because there were too many.
    pub tickets_refused: u64,
    drops: [u64; DropReason::COUNT],
}

impl Counters {
    /// Counts one drop.
    pub fn drop_one(&mut self, reason: DropReason) {
        self.drop_many(reason, 1);
    }

    /// Counts `n` drops.
    pub fn drop_many(&mut self, reason: DropReason, n: u64) {
        if let Some(cell) = self.drops.get_mut(reason as usize) {
            *cell += n;
        }
    }

    /// Datagrams that were dropped for `reason`.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops.get(reason as usize).copied().unwrap_or(0)
    }

    /// Datagrams that were dropped in a stage, for any reason.
    #[must_use]
    pub fn dropped_in(&self, stage: Stage) -> u64 {
        DropReason::ALL.iter().filter(|r| r.stage() == stage).map(|r| self.dropped(*r)).sum()
    }

    /// The conservation equations (invariant I1). `waiting` is how many datagrams still wait to be sent.
    #[must_use]
    pub fn conservation(&self, waiting: u64) -> Conservation {
        Conservation { counters: *self, waiting }
    }
}

impl AddAssign<&Self> for Counters {
    fn add_assign(&mut self, other: &Self) {
        self.received += other.received;
        self.received_bytes += other.received_bytes;
        self.replied += other.replied;
        self.consumed += other.consumed;
        self.queued += other.queued;
        self.sent += other.sent;
        self.sent_bytes += other.sent_bytes;
        self.segments_refused += other.segments_refused;
        self.receive_errors += other.receive_errors;
        self.kernel_drops += other.kernel_drops;
        self.faults += other.faults;
        self.handler_errors += other.handler_errors;
        self.slow_calls += other.slow_calls;
        self.timers_refused += other.timers_refused;
        self.restarts += other.restarts;
        self.kept += other.kept;
        self.prefixes_evicted += other.prefixes_evicted;
        self.unknown_codes += other.unknown_codes;
        self.groups_refused += other.groups_refused;
        self.tickets_taken += other.tickets_taken;
        self.tickets_used += other.tickets_used;
        self.tickets_refused += other.tickets_refused;
        for (mine, theirs) in self.drops.iter_mut().zip(other.drops) {
            *mine += theirs;
        }
    }
}

/// The conservation equations of one listener (invariant I1): every datagram that came in, and every datagram that a
/// handler queued, has an outcome. Prints itself with the numbers.
#[derive(Clone, Copy, Debug)]
pub struct Conservation {
    counters: Counters,
    waiting: u64,
}

impl Conservation {
    /// Whether both equations hold.
    #[must_use]
    pub fn holds(&self) -> bool {
        let c = &self.counters;
        c.received == c.replied + c.consumed + c.dropped_in(Stage::Receive) + c.kept
            && c.queued == c.sent + self.waiting + c.dropped_in(Stage::Send)
    }
}

impl fmt::Display for Conservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = &self.counters;
        write!(
            f,
            "received {} = replied {} + consumed {} + dropped {}",
            c.received,
            c.replied,
            c.consumed,
            c.dropped_in(Stage::Receive)
        )?;
        reasons(f, c, Stage::Receive)?;
        if c.kept > 0 {
            write!(f, " + kept {}", c.kept)?;
        }
        write!(f, "; replies {} = sent {} + dropped {}", c.queued, c.sent, c.dropped_in(Stage::Send))?;
        reasons(f, c, Stage::Send)?;
        if self.waiting > 0 {
            write!(f, " + waiting {}", self.waiting)?;
        }
        if !self.holds() {
            f.write_str(" (DOES NOT ADD UP: please report this)")?;
        }
        Ok(())
    }
}

/// Writes the reasons of the drops of a stage in parentheses, if there are any.
fn reasons(f: &mut fmt::Formatter<'_>, counters: &Counters, stage: Stage) -> fmt::Result {
    let mut first = true;
    for reason in DropReason::ALL.iter().filter(|r| r.stage() == stage) {
        let n = counters.dropped(*reason);
        if n > 0 {
            write!(f, "{}{} {n}", if first { " (" } else { ", " }, reason.name())?;
            first = false;
        }
    }
    if first { Ok(()) } else { f.write_str(")") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_equation_prints_what_it_checks() {
        let mut c =
            Counters { received: 5, replied: 2, consumed: 1, queued: 3, sent: 2, ..Counters::default() };
        c.drop_many(DropReason::OnPurpose, 2);
        assert!(c.conservation(1).holds());
        assert!(!c.conservation(0).holds());
        assert_eq!(
            c.conservation(1).to_string(),
            "received 5 = replied 2 + consumed 1 + dropped 2 (on_purpose 2); replies 3 = sent 2 + dropped 0 + waiting 1"
        );
        c.received += 1;
        assert!(c.conservation(1).to_string().contains("DOES NOT ADD UP"));
        c.kept += 1;
        assert!(c.conservation(1).holds());
        assert!(c.conservation(1).to_string().contains("dropped 2 (on_purpose 2) + kept 1; replies"));
    }
}
