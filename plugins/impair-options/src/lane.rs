//! One direction at work: its script, its counters, and the log of its decisions.

use polyport_impair::{Fate, Line, Script};

use crate::arrived::Arrived;
use crate::counts::Counts;
use crate::decisions::Decisions;

/// What decides about the datagrams of one direction, of all clients.
#[derive(Debug)]
pub struct Lane {
    script: Script,
    counts: Option<Counts>,
    /// As the script says it, kept where it is looked at for each datagram.
    neutral: bool,
}

impl Lane {
    /// Decides by the script, and counts where there are counters.
    #[must_use]
    pub fn new(script: Script, counts: Option<Counts>) -> Self {
        Self { neutral: script.is_neutral(), script, counts }
    }

    /// Decides by another script from now on. Lines go on with their numbers.
    pub fn set_script(&mut self, script: Script) {
        self.neutral = script.is_neutral();
        self.script = script;
    }

    /// Nothing ever happens to a datagram, so nobody needs to ask.
    #[inline]
    #[must_use]
    pub const fn is_neutral(&self) -> bool {
        self.neutral
    }

    /// Whether it has counters.
    #[must_use]
    pub const fn counts(&self) -> bool {
        self.counts.is_some()
    }

    /// Decides about the next datagram of a line.
    #[inline]
    pub fn decide(&self, line: &mut Line, datagram: &Arrived, log: Option<&mut Decisions>) -> Fate {
        let n = line.count();
        let fate = line.decide(&self.script, datagram.now_ns, datagram.bytes, datagram.tos);
        if let Some(counts) = &self.counts {
            counts.decided(&fate, datagram.bytes);
        }
        if let Some(log) = log {
            log.log(fate, self.script.direction(), n, datagram);
        }
        fate
    }
}
