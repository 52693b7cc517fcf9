//! What threads of a plugin may do: wake their instance, and write to the log.

use core::fmt::Display;
use std::sync::Arc;

use crate::host::{HostRef, Link};
use crate::level::Level;
use crate::line::line;

/// Wakes an instance from any thread: [`on_wake`](crate::Handler::on_wake) is called soon, once however often it was woken
/// before that. May outlive the instance, and then does nothing.
///
/// What a thread has written before it wakes the instance, behind a lock or in a channel, `on_wake` finds there.
#[derive(Clone, Debug)]
pub struct Waker(Arc<Link>);

impl Waker {
    pub(crate) const fn new(link: Arc<Link>) -> Self {
        Self(link)
    }

    /// Wakes the instance. False if it is gone, if its handler does not say [`WAKES`](crate::Handler::WAKES), and with a host
    /// before ABI 1.3.
    pub fn wake(&self) -> bool {
        self.0.with(HostRef::wake).unwrap_or(false)
    }
}

/// Writes lines to the host's log from any thread. May outlive the instance, and then does nothing.
#[derive(Clone, Debug)]
pub struct Logger(Arc<Link>);

impl Logger {
    pub(crate) const fn new(link: Arc<Link>) -> Self {
        Self(link)
    }

    /// One line for the host's log, which rate-limits it and adds listener and plugin. False if the instance is gone.
    pub fn log(&self, level: Level, message: impl Display) -> bool {
        // The text is made before the instance is held: it may take long.
        let text = line(message);
        self.0.with(|host| host.log(level as i32, text.as_bytes())).is_some()
    }
}

/// The right to answer one datagram in a later call, by [`Batch::answer`](crate::Batch::answer): from `on_wake` or
/// `on_timer`, when a thread has found the answer. A number, good for the instance that took it, until it is too old, and
/// for one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub(crate) core::num::NonZeroU64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_go_to_threads() {
        fn is_free<T: Send + Sync + Clone + 'static>() {}
        is_free::<Waker>();
        is_free::<Logger>();
        is_free::<Ticket>();
        assert_eq!(size_of::<Option<Ticket>>(), 8);
    }
}
