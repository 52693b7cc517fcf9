//! What a plugin may ask of the host while it is being made.

use core::ffi::CStr;
use core::fmt::Display;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::hash::{BuildHasher, RandomState};

use polyport_abi as abi;

use crate::convert::Created;
use crate::facts::Facts;
use crate::host::{BudgetRef, HostRef};
use crate::level::Level;
use crate::line::line;
use crate::metric::{Counter, Gauge};
use crate::remote::{Logger, Waker};
use crate::reservation::Reservation;
use crate::session::OldSession;
use crate::time::nanos;

/// Why an instance is being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Why {
    /// The daemon starts, or the listener is new.
    Start,
    /// The previous instance panicked.
    Restart,
    /// A new library or a new configuration.
    Reload,
}

/// What [`Handler::new`](crate::Handler::new) may use.
#[derive(Debug)]
pub struct Setup<'a> {
    created: &'a Created<'a>,
}

impl<'a> Setup<'a> {
    pub(crate) const fn new(created: &'a Created<'a>) -> Self {
        Self { created }
    }

    /// A number that only grows. `name` is `snake_case` with a unit, `dropped_total`; the same name gives
    /// the same cell again after a restart or a reload, so the number does not jump back.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "asking for a cell changes the host")]
    pub fn counter(&mut self, name: &CStr, help: &CStr) -> Counter {
        Counter::new(self.created.host.metric(abi::COUNTER, name, help))
    }

    /// A number that goes up and down; named as a counter is.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "asking for a cell changes the host")]
    pub fn gauge(&mut self, name: &CStr, help: &CStr) -> Gauge {
        Gauge::new(self.created.host.metric(abi::GAUGE, name, help))
    }

    /// Calls [`on_timer`](crate::Handler::on_timer) with `token` after `after`, then every `every` unless
    /// that is zero. The same token again moves the timer. It fires in the first turn of the loop that begins
    /// then or later. False: not set.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "setting a timer changes the host")]
    pub fn timer(&mut self, token: u64, after: Duration, every: Duration) -> bool {
        set_timer(self.created.host, self.created.now_ns, token, after, every)
    }

    /// The seed of the instance: fixed by the configuration for repeatable runs, else random.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.created.seed
    }

    /// Bytes for keys and secrets: from the operating system, different for each instance, and never from a seed, which
    /// others may know. In tests the [`Harness`](crate::testing::Harness) decides about them.
    #[must_use]
    pub fn secret(&self) -> [u8; 32] {
        self.created.secret.unwrap_or_else(system_secret)
    }

    /// A reservation without a byte yet, of the budget of memory that all handlers share. May be asked for more than
    /// once: for each table its own.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "opens the instance's account at the host")]
    pub fn reservation(&mut self) -> Reservation {
        // Opens the account; a refusal of nothing means nothing.
        let _ = self.created.host.reserve(0);
        Reservation::new(BudgetRef::new(self.created.host))
    }

    /// Asks for facts about each datagram of the listener. Returns those that will be told. Each costs the kernel and the
    /// host something a datagram, so ask for what you use; [`Facts::TIME`] also keeps the kernel from joining datagrams into
    /// trains, which makes bulk dearer. Asking again adds to what was asked for.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "changes what the listener is told")]
    pub fn want(&mut self, facts: Facts) -> Facts {
        Facts::from_bits(self.created.host.want(facts.bits()))
    }

    /// The sessions of the instance before, which go on if they are [kept](OldSession::keep), and end otherwise.
    pub fn sessions(&self) -> impl Iterator<Item = OldSession<'a>> + use<'a> {
        let created = self.created;
        created.sessions.iter().map(move |info| OldSession::new(created, *info))
    }

    /// What wakes the instance from other threads; its handler says [`WAKES`](crate::Handler::WAKES).
    #[must_use]
    pub fn waker(&self) -> Waker {
        Waker::new(self.created.link.get(self.created.host))
    }

    /// What writes to the host's log from other threads.
    #[must_use]
    pub fn logger(&self) -> Logger {
        Logger::new(self.created.link.get(self.created.host))
    }

    /// Has the listener's socket join a multicast group when the instance is made, on the interface with that index, 0 for
    /// the one that the system chooses; with a `source` it hears only that sender. False: it is no group, or the host is
    /// before ABI 1.3. What the system refuses is in the host's log.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "changes the listener")]
    pub fn join(&mut self, group: IpAddr, source: Option<IpAddr>, ifindex: u32) -> bool {
        change_group(self.created.host, abi::GROUP_JOIN, group, source, ifindex)
    }

    /// What [`save`](crate::Handler::save) of the predecessor returned and wrote.
    #[must_use]
    pub const fn state(&self) -> Option<(u32, &'a [u8])> {
        self.created.state
    }

    /// Name of the listener in the configuration.
    #[must_use]
    pub const fn listener(&self) -> &'a str {
        self.created.listener
    }

    /// The address the listener is bound to.
    #[must_use]
    pub const fn local(&self) -> Option<SocketAddr> {
        self.created.local
    }

    /// The time, nanoseconds of the monotonic clock.
    #[must_use]
    pub const fn now_ns(&self) -> u64 {
        self.created.now_ns
    }

    /// Why the instance is being made.
    #[must_use]
    pub const fn why(&self) -> Why {
        match self.created.why {
            abi::WHY_RESTART => Why::Restart,
            abi::WHY_RELOAD => Why::Reload,
            _ => Why::Start,
        }
    }

    /// One line for the host's log, which rate-limits it and adds listener and plugin.
    pub fn log(&self, level: Level, message: impl Display) {
        log(self.created.host, level, message);
    }
}

/// What [`Handler::stop`](crate::Handler::stop) may use.
#[derive(Debug)]
pub struct Log<'a>(&'a HostRef);

impl<'a> Log<'a> {
    pub(crate) const fn new(host: &'a HostRef) -> Self {
        Self(host)
    }

    /// One line for the host's log, as [`Setup::log`].
    pub fn log(&self, level: Level, message: impl Display) {
        log(*self.0, level, message);
    }
}

/// Secret bytes where the host gives none: the standard library keys its hashers by the operating system.
fn system_secret() -> [u8; 32] {
    let mut secret = [0; 32];
    for (number, part) in secret.chunks_mut(8).enumerate() {
        part.copy_from_slice(&RandomState::new().hash_one(number).to_ne_bytes());
    }
    secret
}

pub(crate) fn log(host: HostRef, level: Level, message: impl Display) {
    host.log(level as i32, line(message).as_bytes());
}

pub(crate) fn change_group(
    host: HostRef,
    op: u32,
    group: IpAddr,
    source: Option<IpAddr>,
    ifindex: u32,
) -> bool {
    let address = |ip| SocketAddr::new(ip, 0).into();
    host.group(op, address(group), source.map(address).unwrap_or_default(), ifindex)
}

pub(crate) fn set_timer(host: HostRef, now_ns: u64, token: u64, after: Duration, every: Duration) -> bool {
    // 0 would cancel.
    host.timer(token, now_ns.saturating_add(nanos(after)).max(1), nanos(every))
}
