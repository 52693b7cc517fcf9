//! The counters of one direction.

use std::ffi::CString;

use polyport_impair::{Cause, Direction, Fate, Pass, What};
use polyport_plugin::{Counter, Setup};

/// What happened to datagrams in one direction.
#[derive(Debug)]
pub struct Counts {
    datagrams: Counter,
    bytes: Counter,
    lost: Counter,
    queue_full: Counter,
    marked: Counter,
    duplicated: Counter,
    corrupted: Counter,
    uncorruptible: Counter,
    reordered: Counter,
    late: Counter,
    delayed: Counter,
}

impl Counts {
    /// Asks for the counters: `up_lost_total` and so on. A direction that is not named has no prefix.
    #[must_use]
    pub fn new(setup: &mut Setup<'_>, direction: Direction) -> Self {
        let prefix = match direction {
            Direction::Only => "",
            Direction::Up => "up_",
            Direction::Down => "down_",
        };
        let mut counter = |name: &str, help: &str| {
            // Without a NUL in them, both are there.
            let name = CString::new(format!("{prefix}{name}_total")).unwrap_or_default();
            setup.counter(&name, &CString::new(help).unwrap_or_default())
        };
        Self {
            datagrams: counter("datagrams", "Datagrams that were decided about"),
            bytes: counter("bytes", "Bytes of payload in them"),
            lost: counter("lost", "Datagrams lost: by a loss model, mtu, or blackout"),
            queue_full: counter("queue_full", "Datagrams and copies lost because too many waited"),
            marked: counter("marked", "Datagrams marked instead of lost"),
            duplicated: counter("duplicated", "Datagrams that left twice"),
            corrupted: counter("corrupted", "Datagrams and copies with one bit flipped"),
            uncorruptible: counter(
                "uncorruptible",
                "Empty datagrams and copies picked for corruption, that have no bit to flip",
            ),
            reordered: counter("reordered", "Datagrams and copies that went before those that waited"),
            late: counter("late", "Datagrams and copies that were held for longer"),
            delayed: counter("delayed", "Datagrams that left later than they came"),
        }
    }

    /// Counts what was decided about one datagram.
    #[inline]
    pub fn decided(&self, fate: &Fate, bytes: usize) {
        self.datagrams.add(1);
        self.bytes.add(bytes as u64);
        match fate {
            Fate::Lost(Cause::QueueFull) => self.queue_full.add(1),
            Fate::Lost(Cause::Mtu | Cause::Blackout | Cause::Loss) => self.lost.add(1),
            Fate::Pass(Pass { what: What::NOTHING, .. }) => {}
            Fate::Pass(Pass { what: What::DELAYED, .. }) => self.delayed.add(1),
            Fate::Pass(pass) => {
                self.marked.add(pass.what.has(What::MARKED).into());
                self.duplicated.add(pass.copy.is_some().into());
                self.queue_full.add(pass.what.has(What::COPY_LOST).into());
                self.delayed.add(pass.what.has(What::DELAYED).into());
                let copy = pass.copy.map_or(What::NOTHING, |copy| copy.what);
                let both = |what| u64::from(pass.what.has(what)) + u64::from(copy.has(what));
                // An empty datagram has no bit to flip.
                let corrupted = if bytes > 0 { &self.corrupted } else { &self.uncorruptible };
                corrupted.add(both(What::CORRUPTED));
                self.reordered.add(both(What::REORDERED));
                self.late.add(both(What::LATE));
            }
        }
    }
}
