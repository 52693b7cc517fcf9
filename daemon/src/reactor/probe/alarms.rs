//! Drops that an operator must know of: the first of a reason at a listener is a warning, and so is the first of each minute after that.
//!
//! The path of a datagram counts and does nothing else. The counts are compared with those of the last look when the sampler looks at
//! an address anyway, about a second after a visit. What was dropped while nobody was told is in the next warning. However many
//! listeners drop, the number of lines and the memory for it are bounded.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use polyport_terminal::counted;

use crate::metrics::{Counters, DropReason};
use crate::reactor::listener::{ALARMING, Listener};

/// Reasons that are told, and what can be done about each. The other reasons say something of a peer or of a policy, are told elsewhere with
/// what they are about, or mean that the daemon ends.
const TOLD: [(DropReason, &str); ALARMING - 1] = [
    (DropReason::Poison, "the line about the handler says where"),
    (DropReason::NoRoom, "a handler sends more in one call than there is memory for"),
    (DropReason::DelayFull, "`delayed_datagrams` and `delayed_bytes` of [limits] hold more"),
    (
        DropReason::BacklogFull,
        "the network is slower; `send_buffer`, or `backlog_datagrams` of [limits], holds more",
    ),
    (DropReason::NoBuffers, "the system is short of memory for the network"),
];
/// What is told of drops by the kernel, which no reason of ours counts. The last of the reasons.
const KERNEL: (&str, &str) = (
    "kernel",
    "its receive queue was full, or a checksum was wrong; a larger `recv_buffer` holds longer bursts",
);
/// A warning of one reason at one listener silences it for so long, ns.
const MINUTE_NS: u64 = 60_000_000_000;
/// Most warnings of all listeners in a minute: more than anybody reads.
const MOST_LINES: u32 = 50;
/// Most listeners that are remembered; 50,000 may drop at once.
const MOST_LISTENERS: usize = 1024;

/// What was told.
#[derive(Debug, Default)]
pub(crate) struct Alarms {
    listeners: HashMap<Arc<str>, [Silence; ALARMING]>,
    /// When the minute began in which lines are counted, monotonic ns, and how many there were.
    lines: (u64, u32),
    /// Warnings that found no room in it.
    left_out: u64,
}

/// One reason at one listener.
#[derive(Clone, Copy, Debug, Default)]
struct Silence {
    until_ns: u64,
    /// Datagrams that were dropped and not told of.
    untold: u64,
}

impl Alarms {
    /// Compares the counts of an address with those of the last look, and warns of what is new.
    pub(crate) fn look<S>(&mut self, listener: &mut Listener<S>, now_ns: u64) {
        let counts = counts(listener);
        if counts == [0; ALARMING] {
            return;
        }
        let before = std::mem::replace(&mut **listener.seen.get_or_insert_default(), counts);
        for (reason, (count, before)) in counts.into_iter().zip(before).enumerate() {
            if count > before
                && let Some(n) = self.note(&listener.name, reason, count - before, now_ns)
            {
                log::warn!("{}", Warning { listener: &*listener, n, reason });
            }
        }
    }

    /// Notes that so many datagrams more were dropped. Returns of how many to warn, if it is time.
    fn note(&mut self, name: &Arc<str>, reason: usize, n: u64, now_ns: u64) -> Option<u64> {
        if now_ns.saturating_sub(self.lines.0) >= MINUTE_NS {
            self.lines = (now_ns, 0);
            match std::mem::take(&mut self.left_out) {
                0 => {}
                left_out => log::warn!("{} about drops left out", counted(left_out, "warning", "warnings")),
            }
        }
        if self.listeners.len() >= MOST_LISTENERS && !self.listeners.contains_key(name) {
            self.listeners.retain(|_, silences| silences.iter().any(|silence| silence.until_ns > now_ns));
            if self.listeners.len() >= MOST_LISTENERS {
                self.left_out += 1;
                return None;
            }
        }
        let silence = self.listeners.entry(Arc::clone(name)).or_default().get_mut(reason)?;
        silence.untold += n;
        if silence.until_ns > now_ns {
            return None;
        }
        silence.until_ns = now_ns.saturating_add(MINUTE_NS);
        if self.lines.1 >= MOST_LINES {
            self.left_out += 1;
            return None;
        }
        self.lines.1 += 1;
        Some(std::mem::take(&mut silence.untold))
    }
}

/// The counts of an address that are told of, with those of its sessions.
fn counts<S>(listener: &Listener<S>) -> [u64; ALARMING] {
    let sessions: Option<&Counters> = listener.family.as_deref().map(|family| &family.book.counters);
    let mut counts = [0; ALARMING];
    let sum = |count: &dyn Fn(&Counters) -> u64| count(&listener.counters) + sessions.map_or(0, count);
    for (place, (reason, _)) in counts.iter_mut().zip(TOLD) {
        *place = sum(&|counters| counters.dropped(reason));
    }
    if let Some(kernel) = counts.last_mut() {
        *kernel = sum(&|counters| counters.kernel_drops);
    }
    counts
}

/// A line of the log.
struct Warning<'a, S> {
    listener: &'a Listener<S>,
    n: u64,
    reason: usize,
}

impl<S> fmt::Display for Warning<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { listener, n, reason } = self;
        let dropped = counted(*n, "datagram", "datagrams");
        let (name, what, advice) = match TOLD.get(*reason) {
            Some((reason, advice)) => (reason.name(), reason.text(), *advice),
            None => (KERNEL.0, "dropped by the kernel", KERNEL.1),
        };
        write!(
            f,
            "{listener}: {dropped} dropped ({name}): {what}; {advice}; told once a minute for all its addresses"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(n: usize) -> Vec<Arc<str>> {
        (0..n).map(|n| Arc::from(format!("l{n}"))).collect()
    }

    #[test]
    fn the_first_of_a_minute_is_told_with_what_was_not() {
        let (mut alarms, names) = (Alarms::default(), names(2));
        let mut note = |name: usize, reason, n, second: u64| {
            alarms.note(&names[name], reason, n, second * 1_000_000_000)
        };
        assert_eq!([note(0, 1, 3, 1), note(0, 1, 4, 2), note(0, 1, 5, 60)], [Some(3), None, None]);
        assert_eq!(
            [note(0, 2, 1, 2), note(1, 1, 1, 2)],
            [Some(1), Some(1)],
            "another reason, another listener"
        );
        assert_eq!([note(0, 1, 6, 61), note(0, 1, 7, 62)], [Some(4 + 5 + 6), None]);
    }

    #[test]
    fn however_many_listeners_drop_the_lines_and_the_memory_are_bounded() {
        let (mut alarms, names) = (Alarms::default(), names(50_000));
        for minute in 1..4 {
            let told =
                names.iter().filter(|name| alarms.note(name, 0, 1, minute * MINUTE_NS).is_some()).count();
            assert_eq!(told, MOST_LINES as usize, "minute {minute}");
            assert!(alarms.listeners.len() <= MOST_LISTENERS);
            assert_eq!(alarms.left_out, 50_000 - u64::from(MOST_LINES));
        }
    }
}
