//! One bound UDP address with its handler: a slot of the slab.

use super::backlog::Backlog;
use super::fault::FaultHistory;
use super::io::Token;
use super::pace::Pace;
use super::polling::Polling;
use crate::metrics::Counters;
use crate::plugin::{CACHE_LINE, Cells, Instance, Plugin, Values};
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

/// What becomes of the daemon when a handler breaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFault {
    /// Datagrams are read, dropped and counted until the handler has been made again.
    #[default]
    Drop,
    /// The daemon stops.
    Exit,
}

/// A listener to be.
#[derive(Debug)]
pub struct ListenerSpec<S> {
    /// Name in the configuration, shared by all addresses of an entry.
    pub name: Arc<str>,
    /// The bound address.
    pub local: SocketAddr,
    /// The bound socket.
    pub socket: S,
    /// The plugin.
    pub plugin: Arc<Plugin>,
    /// Its checked options.
    pub values: Rc<Values>,
    /// What happens when the handler breaks.
    pub on_fault: OnFault,
}

/// The state of a listener's handler.
#[derive(Debug)]
pub(super) enum Service {
    Running(Instance),
    /// Broken; a timer makes it again.
    Down,
    /// Broke too often, or its socket is unusable.
    Failed,
}

/// The fields of every visit come first, in whole cache lines: with a thousand busy listeners each of them is
/// cold, and its lines are what a visit waits for.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Listener<S> {
    pub(super) token: Token,
    /// On the ready list.
    pub(super) ready: bool,
    /// The socket turned out to be unusable: no call on it makes sense any more.
    pub(super) broken: bool,
    /// Watching it failed last: logged once in a row.
    pub(super) unwatchable: bool,
    /// The sampler knows of its traffic.
    pub(super) marked: bool,
    /// Whether it is visited every turn instead of being watched.
    pub(super) polling: Polling,
    /// How the next visit receives.
    pub(super) pace: Pace,
    pub(super) service: Service,
    pub(super) socket: S,
    pub(super) local: SocketAddr,
    pub(super) backlog: Backlog,
    pub(super) counters: Counters,
    /// Plain messages only before this moment, monotonic ns.
    pub(super) no_segments_until: u64,
    /// Its datagrams among the delayed ones.
    pub(super) delayed: u64,
    /// The kernel's count of drops when it was looked at last.
    pub(super) kernel_drops_seen: u32,
    pub(super) on_fault: OnFault,
    pub(super) name: Arc<str>,
    pub(super) plugin: Arc<Plugin>,
    pub(super) values: Rc<Values>,
    pub(super) cells: Cells,
    /// Made at the first break: most listeners never need it.
    pub(super) faults: Option<Box<FaultHistory>>,
}

/// Bytes at the beginning of a listener that a visit touches.
pub(super) const HOT_BYTES: usize = 3 * CACHE_LINE;

impl<S> Listener<S> {
    /// Fetches what a visit touches beyond the slot, which must have been fetched before.
    #[inline]
    pub(super) fn prefetch_handler(&self) {
        if let Service::Running(instance) = &self.service {
            instance.prefetch();
        }
    }

    /// Counts timers beyond the limit; the first is logged.
    pub(super) fn note_refused_timers(&mut self, refused: u64, limit: usize) {
        if refused > 0 && self.counters.timers_refused == 0 {
            log::warn!(
                "{self}: the handler has {limit} timers armed already; more are refused; this is logged once"
            );
        }
        self.counters.timers_refused += refused;
    }

    /// Datagrams that wait to be sent.
    pub(super) fn waiting(&self) -> u64 {
        self.delayed + self.backlog.len() as u64
    }

    /// Largest payload of one datagram, bytes: 65,535 less the headers.
    pub(super) fn max_payload(&self) -> u32 {
        if self.local.is_ipv4() { 65_507 } else { 65_527 }
    }
}

impl<S> fmt::Display for Listener<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "listener {} {} (plugin {})", self.name, self.local, self.plugin.name())
    }
}

#[cfg(test)]
mod tests {
    use super::super::mio_io::Socket;
    use super::*;
    use std::mem::offset_of;

    #[test]
    fn what_every_visit_touches_lies_in_the_lines_that_are_fetched() {
        let counters = offset_of!(Listener<Socket>, counters);
        let last_hot_counter = offset_of!(Counters, sent_bytes) + size_of::<u64>();
        assert!(counters + last_hot_counter <= HOT_BYTES, "{counters} + {last_hot_counter} bytes");
        assert_eq!(align_of::<Listener<Socket>>(), CACHE_LINE);
    }
}
